//! What is shown: sessions, their order, the filter, the selection, and what keys change.

use std::{
    cmp::Ordering,
    collections::HashMap,
    time::{Duration, Instant},
};

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use spice_sessions::{Record, Timestamp};

use super::source::Update;
use crate::{
    answers::{session, text::shown, time::now, who},
    control::Status,
};

/// How long a notice is shown.
const NOTICE: Duration = Duration::from_secs(10);

/// Characters of a filter.
const MAX_FILTER: usize = 100;

/// What a key asks of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Continue,
    Quit,
}

/// Columns, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    Vm,
    Client,
    Since,
    Idle,
    Channels,
    Tls,
    Rx,
    Tx,
    RxRate,
    TxRate,
}

impl Column {
    pub(super) const ALL: [Self; 10] = [
        Self::Vm,
        Self::Client,
        Self::Since,
        Self::Idle,
        Self::Channels,
        Self::Tls,
        Self::Rx,
        Self::Tx,
        Self::RxRate,
        Self::TxRate,
    ];

    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Vm => "VM",
            Self::Client => "CLIENT",
            Self::Since => "SINCE",
            Self::Idle => "IDLE",
            Self::Channels => "CHANNELS",
            Self::Tls => "TLS",
            Self::Rx => "RX",
            Self::Tx => "TX",
            Self::RxRate => "RX/s",
            Self::TxRate => "TX/s",
        }
    }

    fn after(self, steps: usize) -> Self {
        let position = Self::ALL.iter().position(|column| *column == self).unwrap_or(0);
        Self::ALL[(position + steps) % Self::ALL.len()]
    }
}

/// A session, and how fast its bytes go.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) id: String,
    pub(super) record: Record,
    /// Bytes a second from and to the client, since the look before. `None` at the first one.
    pub(super) rates: Option<(u64, u64)>,
}

/// The session that is looked into.
#[derive(Debug)]
pub(super) struct Detail {
    pub(super) id: String,
    /// The lines of "spicewatch show".
    pub(super) text: String,
    pub(super) has_ended: bool,
    pub(super) scroll: u16,
}

/// The state of the screen.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) has_colours: bool,
    pub(super) status: Option<Box<Status>>,
    pub(super) linking: usize,
    /// Why there is no newer state.
    pub(super) error: Option<String>,
    /// What has just happened, and until when to show it.
    notice: Option<(String, Instant)>,
    /// Sessions that pass the filter, in order.
    pub(super) rows: Vec<Row>,
    /// Those that do not.
    hidden: Vec<Row>,
    at: Option<Instant>,
    pub(super) sort: Column,
    pub(super) is_reversed: bool,
    pub(super) filter: String,
    /// The filter is being typed.
    pub(super) is_typing: bool,
    selected: Option<String>,
    pub(super) detail: Option<Detail>,
    /// Rows of the table that the last picture had.
    pub(super) page: usize,
}

impl Model {
    pub(super) fn new(has_colours: bool) -> Self {
        Self {
            has_colours,
            status: None,
            linking: 0,
            error: None,
            notice: None,
            rows: Vec::new(),
            hidden: Vec::new(),
            at: None,
            sort: Column::Vm,
            is_reversed: false,
            filter: String::new(),
            is_typing: false,
            selected: None,
            detail: None,
            page: 10,
        }
    }

    /// Takes what a look has shown.
    pub(super) fn update(&mut self, update: Update, at: Instant) {
        let (status, records, linking) = match update {
            Update::Failed(error) => {
                self.error = Some(error);
                return;
            }
            Update::Sessions { status, records, linking } => (status, records, linking),
        };
        let was_lost = self.error.take().is_some();
        if let Some(old) = &self.status {
            let is_other = (old.pid, &old.since) != (status.pid, &status.since);
            if is_other {
                self.notice = Some((format!("{} has restarted: process {}", status.source, status.pid), at + NOTICE));
            } else if was_lost {
                self.notice = Some(("connected again".to_owned(), at + NOTICE));
            }
        }
        let elapsed =
            self.at.map(|before| at.saturating_duration_since(before).as_secs_f64()).filter(|time| *time > 0.0);
        let old: HashMap<String, (u64, u64)> =
            self.rows.drain(..).chain(self.hidden.drain(..)).map(|row| (row.id, bytes(&row.record))).collect();
        self.hidden = records
            .into_iter()
            .map(|record| {
                let id = who::id(&record);
                let rates = elapsed.zip(old.get(&id)).map(|(time, before)| {
                    let after = bytes(&record);
                    (rate(before.0, after.0, time), rate(before.1, after.1, time))
                });
                Row { id, record, rates }
            })
            .collect();
        (self.status, self.linking, self.at) = (Some(status), linking, Some(at));
        self.arrange();
        self.refresh_detail();
    }

    /// What has just happened.
    pub(super) fn notice(&self, at: Instant) -> Option<&str> {
        self.notice.as_ref().filter(|(_, until)| at < *until).map(|(text, _)| text.as_str())
    }

    /// The index of the selected row.
    pub(super) fn selected(&self) -> Option<usize> {
        let selected = self.selected.as_ref()?;
        self.rows.iter().position(|row| row.id == *selected)
    }

    /// Sessions that the filter hides.
    pub(super) fn hidden(&self) -> usize {
        self.hidden.len()
    }

    /// The table as "spicewatch who" prints it.
    pub(super) fn table(&self) -> String {
        if self.rows.is_empty() {
            return "no one is connected\n".to_owned();
        }
        let records: Vec<_> = self.rows.iter().map(|row| row.record.clone()).collect();
        who::table(&records, now())
    }

    pub(super) fn key(&mut self, key: KeyEvent) -> Action {
        if key.kind == KeyEventKind::Release {
            return Action::Continue;
        }
        if key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL) {
            return Action::Quit;
        }
        if self.is_typing {
            self.type_filter(key.code);
            return Action::Continue;
        }
        if let Some(detail) = &mut self.detail {
            match key.code {
                KeyCode::Char('q') => return Action::Quit,
                KeyCode::Esc | KeyCode::Enter | KeyCode::Left | KeyCode::Backspace => self.detail = None,
                KeyCode::Up | KeyCode::Char('k') => detail.scroll = detail.scroll.saturating_sub(1),
                KeyCode::Down | KeyCode::Char('j') => {
                    let last = u16::try_from(detail.text.lines().count()).unwrap_or(u16::MAX).saturating_sub(1);
                    detail.scroll = detail.scroll.saturating_add(1).min(last);
                }
                _ => {}
            }
            return Action::Continue;
        }
        match key.code {
            KeyCode::Char('q') => return Action::Quit,
            KeyCode::Esc => {
                self.filter.clear();
                self.arrange();
            }
            KeyCode::Up | KeyCode::Char('k') => self.select_by(-1),
            KeyCode::Down | KeyCode::Char('j') => self.select_by(1),
            KeyCode::PageUp => self.select_by(-self.page_step()),
            KeyCode::PageDown => self.select_by(self.page_step()),
            KeyCode::Home => self.select(0),
            KeyCode::End => self.select(usize::MAX),
            KeyCode::Enter | KeyCode::Right => self.look_into(),
            KeyCode::Char('s') => self.sort_by(self.sort.after(1)),
            KeyCode::Char('S') => self.sort_by(self.sort.after(Column::ALL.len() - 1)),
            KeyCode::Char('r') => {
                self.is_reversed = !self.is_reversed;
                self.arrange();
            }
            KeyCode::Char('/') => self.is_typing = true,
            _ => {}
        }
        Action::Continue
    }

    fn type_filter(&mut self, code: KeyCode) {
        match code {
            KeyCode::Enter => self.is_typing = false,
            KeyCode::Esc => {
                self.is_typing = false;
                self.filter.clear();
            }
            KeyCode::Backspace => {
                self.filter.pop();
            }
            KeyCode::Char(char) if self.filter.chars().count() < MAX_FILTER => self.filter.push(char),
            _ => {}
        }
        self.arrange();
    }

    fn sort_by(&mut self, column: Column) {
        self.sort = column;
        self.arrange();
    }

    fn page_step(&self) -> isize {
        isize::try_from(self.page.max(1)).unwrap_or(isize::MAX)
    }

    fn select_by(&mut self, step: isize) {
        let next = self.selected().map_or(0, |index| index.saturating_add_signed(step));
        self.select(next);
    }

    fn select(&mut self, index: usize) {
        let last = self.rows.len().saturating_sub(1);
        self.selected = self.rows.get(index.min(last)).map(|row| row.id.clone());
    }

    fn look_into(&mut self) {
        let index = self.selected().or_else(|| (!self.rows.is_empty()).then_some(0));
        if let Some(row) = index.and_then(|index| self.rows.get(index)) {
            let (id, text) = (row.id.clone(), session::text(&row.record));
            self.selected = Some(id.clone());
            self.detail = Some(Detail { id, text, has_ended: false, scroll: 0 });
        }
    }

    fn refresh_detail(&mut self) {
        let Some(detail) = &mut self.detail else { return };
        match self.rows.iter().chain(&self.hidden).find(|row| row.id == detail.id) {
            Some(row) => detail.text = session::text(&row.record),
            None => detail.has_ended = true,
        }
    }

    /// Filters and sorts.
    fn arrange(&mut self) {
        let wanted = self.filter.to_lowercase();
        let all = self.rows.drain(..).chain(self.hidden.drain(..));
        let (mut rows, hidden): (Vec<_>, Vec<_>) = all.partition(|row| {
            let contains = |text: String| text.to_lowercase().contains(&wanted);
            wanted.is_empty() || contains(who::vm(&row.record)) || contains(who::client(&row.record))
        });
        let (sort, at) = (self.sort, now());
        rows.sort_by(|a, b| compare(sort, a, b, at).then_with(|| a.id.cmp(&b.id)));
        if self.is_reversed {
            rows.reverse();
        }
        (self.rows, self.hidden) = (rows, hidden);
    }
}

/// Numbers are sorted from the largest, and texts and times from the smallest.
fn compare(column: Column, a: &Row, b: &Row, now: Timestamp) -> Ordering {
    let (x, y) = (&a.record, &b.record);
    match column {
        Column::Vm => who::vm(x).cmp(&who::vm(y)).then_with(|| x.event.start.cmp(&y.event.start)),
        Column::Client => (x.client.ip, who::client(x)).cmp(&(y.client.ip, who::client(y))),
        Column::Since => x.event.start.cmp(&y.event.start),
        Column::Idle => y.idle(now).cmp(&x.idle(now)),
        Column::Channels => who::open_channels(y).cmp(&who::open_channels(x)),
        Column::Tls => who::tls(x).cmp(&who::tls(y)),
        Column::Rx => y.client.bytes.cmp(&x.client.bytes),
        Column::Tx => y.server.bytes.cmp(&x.server.bytes),
        Column::RxRate => b.rates.map(|rates| rates.0).cmp(&a.rates.map(|rates| rates.0)),
        Column::TxRate => b.rates.map(|rates| rates.1).cmp(&a.rates.map(|rates| rates.1)),
    }
}

fn bytes(record: &Record) -> (u64, u64) {
    (record.client.bytes.unwrap_or(0), record.server.bytes.unwrap_or(0))
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate for people"
)]
fn rate(before: u64, after: u64, seconds: f64) -> u64 {
    (after.saturating_sub(before) as f64 / seconds) as u64
}

/// A text that a terminal does not act on.
pub(super) fn safe(text: &str) -> String {
    shown(text).into_owned()
}
