use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use ratatui::{
    Terminal,
    backend::TestBackend,
    buffer::Cell,
    crossterm::event::{KeyCode, KeyEvent, KeyModifiers},
};
use serde_json::json;
use spice_sessions::{Record, Uuid};

use super::{
    model::{Action, Model},
    picture,
    source::Update,
    view,
};
use crate::control::Status;

fn record(number: u128, vm: &str, client: &str, rx: u64) -> Record {
    serde_json::from_value(json!({
        "@timestamp": "2026-11-28T08:00:00Z",
        "event": {
            "kind": "event", "category": [], "type": [], "action": "session-updated", "outcome": "success",
            "start": format!("2026-11-28T07:00:0{}Z", number % 10),
        },
        "session": {"id": Uuid::from_u128(number)},
        "vm": {"name": vm},
        "client": {"address": client, "ip": client.parse::<IpAddr>().ok(), "bytes": rx},
        "server": {"bytes": 1000 - rx},
        "network": {"protocol": "spice"},
        "tls": {"established": false},
        "spice": {"stage": "channel", "source": "relay"},
    }))
    .unwrap()
}

fn sessions(pid: u32, records: Vec<Record>) -> Update {
    let status: Status = serde_json::from_value(json!({
        "version": "0", "source": "relay", "pid": pid, "since": "2026-11-28T07:00:00Z", "vms": [], "sessions": records.len(),
        "connections": 0, "started": 3, "ended": 0, "refused": 0, "health-checks": 0, "lost-records": 0,
    }))
    .unwrap();
    Update::Sessions { status: Box::new(status), records, linking: 0 }
}

fn three() -> Vec<Record> {
    vec![record(1, "lab", "10.0.0.9", 5), record(2, "desk", "10.0.0.10", 500), record(3, "ward", "10.0.0.1", 50)]
}

/// A model with three sessions.
fn model() -> Model {
    let mut model = Model::new(true);
    model.update(sessions(1, three()), Instant::now());
    model
}

fn press(model: &mut Model, keys: &str) -> Action {
    let mut action = Action::Continue;
    for char in keys.chars() {
        let code = match char {
            '\n' => KeyCode::Enter,
            '\x1b' => KeyCode::Esc,
            '\x08' => KeyCode::Backspace,
            char => KeyCode::Char(char),
        };
        action = model.key(KeyEvent::new(code, KeyModifiers::NONE));
    }
    action
}

fn vms(model: &Model) -> Vec<&str> {
    model.rows.iter().map(|row| &*row.record.vm.as_ref().unwrap().name).collect()
}

fn screen(model: &mut Model, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| view::draw(frame, model)).unwrap();
    let buffer = terminal.backend().buffer();
    buffer
        .content
        .chunks(usize::from(width))
        .map(|line| line.iter().map(Cell::symbol).collect::<String>() + "\n")
        .collect()
}

#[test]
fn keys_sort_filter_select_and_quit() {
    for (keys, expected) in [
        ("", &["desk", "lab", "ward"][..]),
        ("r", &["ward", "lab", "desk"]),
        // By address, not by text: 10.0.0.9 is less than 10.0.0.10.
        ("s", &["ward", "lab", "desk"]),
        ("ss", &["lab", "desk", "ward"]),
        // The most bytes from the client first.
        ("ssssss", &["desk", "ward", "lab"]),
        ("SSS", &["lab", "ward", "desk"]),
        ("ssssssssss", &["desk", "lab", "ward"]),
        ("/DES", &["desk"]),
        ("/10.0.0.1\n", &["desk", "ward"]),
        ("/10.0.0.1\x08", &["desk", "lab", "ward"]),
        // While a filter is typed, keys are its text.
        ("/q\x1b", &["desk", "lab", "ward"]),
        ("/ward\n\x1b", &["desk", "lab", "ward"]),
    ] {
        let mut model = model();
        assert_eq!(press(&mut model, keys), Action::Continue, "{keys:?}");
        assert_eq!(vms(&model), expected, "{keys:?}");
    }
    assert_eq!(press(&mut model(), "q"), Action::Quit);
    let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(model().key(interrupt), Action::Quit);
}

#[test]
fn selection_follows_its_session_through_sorting_and_updates() {
    let mut model = model();
    press(&mut model, "jj");
    assert_eq!(model.selected(), Some(1), "lab");
    press(&mut model, "r");
    assert_eq!(model.selected(), Some(1));
    press(&mut model, "j");
    assert_eq!(model.selected(), Some(2), "desk, and not further");
    press(&mut model, "jjj");
    assert_eq!(model.selected(), Some(2));
    model.update(sessions(1, vec![record(2, "desk", "10.0.0.10", 700)]), Instant::now());
    assert_eq!(model.selected(), Some(0));
    model.update(sessions(1, Vec::new()), Instant::now());
    assert_eq!(model.selected(), None);
    press(&mut model, "jk\n");
}

#[test]
fn session_that_is_looked_into_is_kept_after_its_end() {
    let mut model = model();
    press(&mut model, "j\n");
    assert!(screen(&mut model, 80, 20).contains("connection-id"));
    model.update(sessions(1, Vec::new()), Instant::now());
    let text = screen(&mut model, 80, 20);
    assert!(text.contains("the session has ended") && text.contains("10.0.0.10"), "{text}");
    press(&mut model, "\x1b");
    assert!(screen(&mut model, 80, 20).contains("no one is connected"));
}

#[test]
fn rates_are_bytes_a_second_since_the_look_before() {
    let (mut model, start) = (Model::new(true), Instant::now());
    model.update(sessions(1, vec![record(1, "desk", "a", 100)]), start);
    assert_eq!(model.rows[0].rates, None);
    model.update(sessions(1, vec![record(1, "desk", "a", 900)]), start + Duration::from_secs(2));
    assert_eq!(model.rows[0].rates, Some((400, 0)));
}

#[test]
fn lost_relay_and_a_restarted_one_are_told() {
    let (mut model, start) = (model(), Instant::now());
    model.update(Update::Failed("/run/x: Connection refused".into()), start);
    let text = screen(&mut model, 120, 8);
    assert!(text.contains("not connected, trying again") && text.contains("desk"), "{text}");
    model.update(sessions(1, three()), start);
    assert_eq!(model.notice(start), Some("connected again"));
    model.update(sessions(2, three()), start);
    assert_eq!(model.notice(start), Some("relay has restarted: process 2"));
    assert_eq!(model.notice(start + Duration::from_secs(11)), None);
}

#[test]
fn any_size_and_any_text_is_drawn_and_hostile_characters_are_escaped() {
    let hostile = "a\x1b[2J\u{202e}<script>&\"";
    let mut model = Model::new(true);
    let records = (1..2000).map(|number| record(number, hostile, &format!("{hostile}{number}"), 5)).collect();
    model.update(sessions(1, records), Instant::now());
    for (width, height) in [(1, 1), (1, 50), (20, 5), (59, 4), (79, 10), (500, 100)] {
        for keys in ["", "G", "\n", "\x1b"] {
            press(&mut model, keys);
            let text = screen(&mut model, width, height);
            assert!(!text.contains(['\x1b', '\u{202e}']), "{text:?}");
        }
    }
    let svg = picture(&mut model, 150, 20);
    assert!(svg.contains("&lt;script&gt;&amp;") && !svg.contains("<script"), "{svg}");
    assert!(!svg.contains(['\x1b', '\u{202e}']));
}
