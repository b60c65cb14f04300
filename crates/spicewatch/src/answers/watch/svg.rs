//! A picture of a screen, as SVG.

use std::fmt::Write as _;

use ratatui::{
    buffer::{Buffer, Cell},
    style::{Color, Modifier},
};

/// The size of a character's cell, in pixels, and where its base line is.
const CELL: (usize, usize, usize) = (9, 20, 15);
/// The margin, in pixels.
const MARGIN: usize = 12;

const BACKGROUND: &str = "#16181d";
const TEXT: &str = "#d7dae0";
const DIM: &str = "#8b919d";

/// Draws the buffer.
pub(super) fn svg(buffer: &Buffer) -> String {
    let (columns, lines) = (usize::from(buffer.area.width), usize::from(buffer.area.height));
    let (width, height) = (columns * CELL.0 + 2 * MARGIN, lines * CELL.1 + 2 * MARGIN);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"img\">\n\
         <title>spicewatch watch</title>\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{BACKGROUND}\"/>\n\
         <g font-family=\"ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace\" font-size=\"15\" xml:space=\"preserve\">\n"
    );
    for (line, cells) in buffer.content.chunks(columns.max(1)).enumerate() {
        let mut start = 0;
        while start < cells.len() {
            let look = look(&cells[start]);
            let length = cells[start..].iter().take_while(|cell| self::look(cell) == look).count();
            let text: String = cells[start..start + length].iter().map(Cell::symbol).collect();
            run(&mut svg, (start, line, length), &look, &text);
            start += length;
        }
    }
    svg.push_str("</g>\n</svg>\n");
    svg
}

/// How a cell looks.
#[derive(PartialEq, Eq)]
struct Look {
    text: &'static str,
    background: Option<&'static str>,
    is_bold: bool,
    is_underlined: bool,
}

fn look(cell: &Cell) -> Look {
    let has = |modifier| cell.modifier.contains(modifier);
    let text = colour(cell.fg).unwrap_or(if has(Modifier::DIM) { DIM } else { TEXT });
    let background = colour(cell.bg);
    let (text, background) =
        if has(Modifier::REVERSED) { (background.unwrap_or(BACKGROUND), Some(text)) } else { (text, background) };
    Look { text, background, is_bold: has(Modifier::BOLD), is_underlined: has(Modifier::UNDERLINED) }
}

fn colour(colour: Color) -> Option<&'static str> {
    Some(match colour {
        Color::Red => "#ff7b72",
        Color::Green => "#7ee787",
        Color::Yellow => "#e3b341",
        Color::Blue => "#1f4f9c",
        Color::White => "#ffffff",
        _ => return None,
    })
}

/// Cells that look alike.
fn run(svg: &mut String, (column, line, length): (usize, usize, usize), look: &Look, text: &str) {
    let (x, top) = (MARGIN + column * CELL.0, MARGIN + line * CELL.1);
    let width = length * CELL.0;
    if let Some(background) = look.background {
        let _ = writeln!(
            svg,
            "<rect x=\"{x}\" y=\"{top}\" width=\"{width}\" height=\"{}\" fill=\"{background}\"/>",
            CELL.1
        );
    }
    if look.is_underlined {
        let y = top + CELL.1 - 2;
        let _ = writeln!(svg, "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"1\" fill=\"{}\"/>", look.text);
    }
    if text.trim().is_empty() {
        return;
    }
    let weight = if look.is_bold { " font-weight=\"bold\"" } else { "" };
    let y = top + CELL.2;
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace(' ', "\u{a0}");
    // Any monospace font gets the same columns.
    let _ =
        writeln!(svg, "<text x=\"{x}\" y=\"{y}\" textLength=\"{width}\" fill=\"{}\"{weight}>{text}</text>", look.text);
}
