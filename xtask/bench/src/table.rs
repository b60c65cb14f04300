//! Tables in Markdown, padded so that they are also readable in a terminal.

use std::{
    fmt::{self, Write as _},
    ops::Range,
};

use crate::{
    bench_record::Record,
    figure::{Figure, show},
};

/// A table under construction.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
    right: Vec<bool>,
}

/// Flags that align these columns to the right.
pub(crate) fn right(columns: Range<usize>) -> Vec<bool> {
    (0..columns.end).map(|column| columns.contains(&column)).collect()
}

impl Table {
    /// Makes a table with these heads. `right` says for each column whether it is aligned to the right.
    pub(crate) fn new<T: AsRef<str>>(heads: &[T], right: &[bool]) -> Self {
        let heads: Vec<String> = heads.iter().map(|head| head.as_ref().to_owned()).collect();
        let mut right = right.to_vec();
        right.resize(heads.len(), false);
        Self { rows: vec![heads], right }
    }

    /// Adds a row. It must have one cell for each head.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0).max(3);
        for (i, row) in self.rows.iter().enumerate() {
            for (column, cell) in row.iter().enumerate() {
                let width = width(column);
                if self.right[column] { write!(f, "| {cell:>width$} ")? } else { write!(f, "| {cell:<width$} ")? }
            }
            writeln!(f, "|")?;
            if i == 0 {
                for column in 0..row.len() {
                    let dashes = "-".repeat(width(column) - usize::from(self.right[column]));
                    write!(f, "| {dashes}{} ", if self.right[column] { ":" } else { "" })?;
                }
                writeln!(f, "|")?;
            }
        }
        Ok(())
    }
}

/// All rows of a record, one table for each.
pub(crate) fn everything(record: &Record) -> String {
    let mut out = String::new();
    for name in distinct(record.figures().map(|figure| figure.row.as_str())) {
        let _ = writeln!(out, "{name}\n\n{}", row(record, name));
    }
    for part in record.parts.iter().filter(|part| !part.missing.is_empty()) {
        let _ = writeln!(out, "{}: not installed, so not measured: {}", part.part.name(), part.missing.join(", "));
    }
    out
}

/// The table of one row: a line for each program and quantity, a column for each measured value. A ratio to ours follows a value
/// that several programs have.
pub(crate) fn row(record: &Record, name: &str) -> Table {
    let figures: Vec<&Figure> = record.figures().filter(|figure| figure.row == name).collect();
    let whats = distinct(figures.iter().map(|figure| figure.what.as_str()));
    let lines = distinct(figures.iter().map(|figure| (figure.who.as_str(), figure.at)));
    let varies = lines.iter().any(|(_, at)| at.is_some());
    let compared =
        |what: &str| figures.iter().filter(|figure| figure.what == what && figure.ratio.is_some()).count() > 1;
    let mut heads = vec!["who"];
    if varies {
        heads.push("how many");
    }
    for what in &whats {
        heads.push(what);
        if compared(what) {
            heads.push("times ours");
        }
    }
    let mut table = Table::new(&heads, &right(1..heads.len()));
    for (who, at) in lines {
        let mut cells = vec![who.to_owned()];
        if varies {
            cells.push(at.map(thousands).unwrap_or_default());
        }
        for what in &whats {
            let figure = figures.iter().find(|figure| figure.who == who && figure.at == at && figure.what == *what);
            cells.push(figure.map(|figure| figure.show()).unwrap_or_default());
            if compared(what) {
                cells.push(figure.and_then(|figure| figure.ratio).map(|ratio| show(ratio, "")).unwrap_or_default());
            }
        }
        table.row(cells);
    }
    table
}

fn distinct<T: PartialEq>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut distinct = Vec::new();
    for item in items {
        if !distinct.contains(&item) {
            distinct.push(item);
        }
    }
    distinct
}

/// Formats `1000000` as `1 000 000`.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_padded() {
        let mut table = Table::new(&["who", "time"], &right(1..2));
        table.row(["spice-link".into(), "2.8 ns".into()]);
        table.row(["by hand".into(), "µs".into()]);
        let expected = "\
            | who        |   time |\n\
            | ---------- | -----: |\n\
            | spice-link | 2.8 ns |\n\
            | by hand    |     µs |\n";
        assert_eq!(table.to_string(), expected);
    }

    #[test]
    fn thousands_are_separated_by_spaces() {
        assert_eq!([0, 999, 1000, 1_000_000].map(thousands), ["0", "999", "1 000", "1 000 000"]);
    }
}
