//! Draws the screen.

use std::{fmt::Write as _, time::Instant};

use ratatui::{
    Frame,
    layout::{Alignment, Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Cell, Paragraph, Row, Table, TableState},
};
use spice_sessions::Timestamp;

use super::model::{Column, Model, safe};
use crate::answers::{
    text::{duration, size},
    time::{local, now},
    who,
};

/// Seconds without keyboard and mouse after which a session is shown as idle.
const IDLE_SECONDS: u64 = 600;

pub(super) fn draw(frame: &mut Frame<'_>, model: &mut Model) {
    let [head, message, body, foot] =
        Layout::vertical([Constraint::Length(1), Constraint::Length(1), Constraint::Min(1), Constraint::Length(1)])
            .areas(frame.area());
    frame.render_widget(Paragraph::new(title(model)).style(Modifier::BOLD), head);
    frame.render_widget(state(model), message);
    if model.detail.is_some() {
        draw_detail(frame, model, body);
    } else {
        draw_table(frame, model, body);
    }
    frame.render_widget(Paragraph::new(keys(model)).style(dim(model)), foot);
}

/// Which process it is, and what it has.
fn title(model: &Model) -> String {
    let Some(status) = &model.status else { return "spicewatch".to_owned() };
    let linking = match model.linking {
        0 => String::new(),
        count => format!(", {count} connections without a session yet"),
    };
    let sessions = model.rows.len() + model.hidden();
    safe(&format!(
        "spicewatch {}, process {}: {sessions} sessions on {} VMs{linking}; {} ended, {} refused",
        status.source,
        status.pid,
        status.vms.len(),
        status.ended,
        status.refused,
    ))
}

/// What is wrong, or what has just happened, or how the rows are chosen.
fn state(model: &Model) -> Paragraph<'static> {
    let colour =
        |colour| if model.has_colours { Style::new().fg(colour) } else { Style::new().add_modifier(Modifier::BOLD) };
    if let Some(error) = &model.error {
        let text = format!("not connected, trying again; this is the last known state. {error}");
        return Paragraph::new(safe(&text)).style(colour(Color::Red));
    }
    if let Some(notice) = model.notice(Instant::now()) {
        return Paragraph::new(safe(notice)).style(colour(Color::Green));
    }
    let order = if model.is_reversed { ", reversed" } else { "" };
    let mut text = format!("sorted by {}{order}", model.sort.title());
    if !model.filter.is_empty() || model.is_typing {
        let cursor = if model.is_typing { "_" } else { "" };
        let _ = write!(text, "; only VM or client with: {}{cursor} ({} hidden)", model.filter, model.hidden());
    }
    Paragraph::new(safe(&text)).style(dim(model))
}

fn keys(model: &Model) -> &'static str {
    match (&model.detail, model.is_typing) {
        (Some(_), _) => "Esc back  up/down scroll  q quit",
        (None, true) => "type a part of a VM's name or of a client's address; Enter keeps it, Esc removes it",
        (None, false) => "q quit  up/down select  Enter look into  s/S sort  r reverse  / filter",
    }
}

fn draw_table(frame: &mut Frame<'_>, model: &mut Model, area: Rect) {
    let now = now();
    let selected = model.selected();
    model.page = usize::from(area.height.saturating_sub(1));
    if model.rows.is_empty() {
        let text = if model.hidden() > 0 { "no session passes the filter" } else { "no one is connected" };
        frame.render_widget(Paragraph::new(text), area);
        return;
    }
    let columns = columns(area.width);
    let titles = columns.iter().map(|column| {
        let mark = match (model.sort == *column, model.is_reversed) {
            (false, _) => "",
            (true, false) => "▼",
            (true, true) => "▲",
        };
        cell(*column, format!("{}{mark}", column.title()), Style::new())
    });
    let header = Row::new(titles).style(Modifier::BOLD | Modifier::UNDERLINED);
    // Only those that can be seen: there may be very many.
    let page = model.page.max(1);
    let first = selected.map_or(0, |index| index.saturating_sub(page - 1));
    let shown = model.rows.iter().skip(first).take(page);
    let rows = shown.map(|row| {
        let cells = columns.iter().map(|column| {
            let is_idle =
                *column == Column::Idle && row.record.idle(now).is_some_and(|idle| idle.as_secs() >= IDLE_SECONDS);
            let style = if is_idle && model.has_colours { Style::new().fg(Color::Yellow) } else { Style::new() };
            cell(*column, safe(&content(*column, row, now)), style)
        });
        Row::new(cells)
    });
    let widths = columns.iter().map(|column| width(*column));
    let highlight = if model.has_colours {
        Style::new().bg(Color::Blue).fg(Color::White)
    } else {
        Style::new().add_modifier(Modifier::REVERSED)
    };
    let table = Table::new(rows, widths).header(header).column_spacing(2).row_highlight_style(highlight);
    let mut state = TableState::new().with_selected(selected.map(|index| index - first));
    frame.render_stateful_widget(table, area, &mut state);
}

fn draw_detail(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    let Some(detail) = &model.detail else { return };
    let ended =
        detail.has_ended.then(|| Line::styled("the session has ended; this is its last known state", Modifier::BOLD));
    // The text is that of "spicewatch show", which escapes what a terminal acts on.
    let lines = detail.text.lines().map(|line| Line::from(Span::raw(line.to_owned())));
    let text: Vec<_> = ended.into_iter().chain(lines).collect();
    frame.render_widget(Paragraph::new(text).scroll((detail.scroll, 0)), area);
}

fn content(column: Column, row: &super::model::Row, now: Timestamp) -> String {
    let record = &row.record;
    let bytes = |bytes: Option<u64>| bytes.map_or_else(|| "-".into(), size);
    match column {
        Column::Vm => who::vm(record),
        Column::Client => who::client(record),
        Column::Since => local(record.event.start),
        Column::Idle => record.idle(now).map_or_else(|| "-".into(), duration),
        Column::Channels => who::open_channels(record).to_string(),
        Column::Tls => who::tls(record),
        Column::Rx => bytes(record.client.bytes),
        Column::Tx => bytes(record.server.bytes),
        Column::RxRate => bytes(record.client.bytes.and(row.rates).map(|rates| rates.0)),
        Column::TxRate => bytes(record.server.bytes.and(row.rates).map(|rates| rates.1)),
    }
}

/// The columns that a screen of this width has room for.
fn columns(width: u16) -> Vec<Column> {
    let left_out: &[Column] = match width {
        0..60 => {
            &[Column::Since, Column::Channels, Column::Tls, Column::Rx, Column::Tx, Column::RxRate, Column::TxRate]
        }
        60..80 => &[Column::Channels, Column::Tls, Column::RxRate, Column::TxRate],
        80..100 => &[Column::RxRate, Column::TxRate],
        _ => &[],
    };
    Column::ALL.into_iter().filter(|column| !left_out.contains(column)).collect()
}

fn width(column: Column) -> Constraint {
    match column {
        Column::Vm | Column::Client => Constraint::Fill(1),
        Column::Since => Constraint::Length(16),
        Column::Channels => Constraint::Length(9),
        Column::Tls => Constraint::Length(4),
        Column::Idle | Column::Rx | Column::Tx | Column::RxRate | Column::TxRate => Constraint::Length(6),
    }
}

fn cell(column: Column, text: String, style: Style) -> Cell<'static> {
    let is_number = !matches!(column, Column::Vm | Column::Client | Column::Since | Column::Tls);
    let alignment = if is_number { Alignment::Right } else { Alignment::Left };
    Cell::new(Line::from(text).alignment(alignment)).style(style)
}

fn dim(model: &Model) -> Style {
    if model.has_colours { Style::new().add_modifier(Modifier::DIM) } else { Style::new() }
}
