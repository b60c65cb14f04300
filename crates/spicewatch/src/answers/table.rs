//! A table with columns that are as wide as what is in them.

use super::text::shown;

/// Columns, by title; numbers are aligned to the right.
pub(super) struct Table<const N: usize> {
    titles: [&'static str; N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    pub(super) fn new(titles: [&'static str; N]) -> Self {
        Self { titles, rows: Vec::new() }
    }

    /// Adds a row. Hostile characters are escaped here.
    pub(super) fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells.map(|cell| shown(&cell).into_owned()));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table with its titles.
    pub(super) fn print(&self) -> String {
        let titles = self.titles.map(str::to_owned);
        let lines = || std::iter::once(&titles).chain(&self.rows);
        let width = |column: usize| lines().map(|cells| cells[column].chars().count()).max().unwrap_or(0);
        let widths: [usize; N] = std::array::from_fn(width);
        let mut text = String::new();
        for cells in lines() {
            let mut line = String::new();
            for ((cell, width), title) in cells.iter().zip(widths).zip(self.titles) {
                let pad = " ".repeat(width - cell.chars().count());
                let is_number = matches!(title, "CHANNELS" | "RX" | "TX" | "IDLE" | "DURATION");
                let (before, after) = if is_number { (pad.as_str(), "") } else { ("", pad.as_str()) };
                line.push_str(before);
                line.push_str(cell);
                line.push_str(after);
                line.push_str("  ");
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}
