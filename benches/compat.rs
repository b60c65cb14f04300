//! Checks each cell of the table in qmp-schema's COMPATIBILITY.md: how we and the peers parse lines of QEMU.

use qmp_schema::{Event, EventMessage, Message, stream::StreamDecoder};

const PAGE: &str = include_str!("../crates/qmp-schema/COMPATIBILITY.md");

/// The inputs, with the names from the page.
fn inputs() -> Vec<(&'static str, String)> {
    let event = |rest: &str| format!("{{\"timestamp\": {{\"seconds\": 1, \"microseconds\": 2}}, {rest}}}");
    let pass = |digits: &str| event(&format!("\"event\": \"MIGRATION_PASS\", \"data\": {{\"pass\": {digits}}}"));
    vec![
        ("a known event", event(r#""event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-shutdown"}"#)),
        ("an unknown event", event(r#""event": "FROM_THE_FUTURE", "data": {"a": 1}"#)),
        ("an event of an older QEMU", event(r#""event": "MEM_UNPLUG_ERROR", "data": {"device": "d", "msg": "m"}"#)),
        ("an unknown value", event(r#""event": "SHUTDOWN", "data": {"guest": true, "reason": "moonlight"}"#)),
        (
            "an unknown member",
            event(r#""event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-shutdown", "by": "x"}"#),
        ),
        ("a wrong type", event(r#""event": "SHUTDOWN", "data": {"guest": 1, "reason": "guest-shutdown"}"#)),
        ("a member missing", event(r#""event": "VSERPORT_CHANGE", "data": {"id": "x"}"#)),
        ("a timestamp of −1/−1", r#"{"timestamp": {"seconds": -1, "microseconds": -1}, "event": "STOP"}"#.to_owned()),
        ("no timestamp", r#"{"event": "STOP"}"#.to_owned()),
        ("nineteen digits", pass("9223372036854775807")),
        ("twenty digits", pass("18446744073709551615")),
        ("a member twice", pass("1, \"pass\": 2")),
        (
            "escapes",
            event(r#""event": "BLOCK_JOB_PENDING", "data": {"type": "mirror", "id": "\u0000\uD83D\uDE00\u00E9"}"#),
        ),
        ("a lone surrogate", event(r#""event": "BLOCK_JOB_PENDING", "data": {"type": "mirror", "id": "\uD83D"}"#)),
        ("members in another order", r#"{"event": "STOP", "timestamp": {"microseconds": 2, "seconds": 1}}"#.to_owned()),
        ("a bare `inf`", r#"{"return": {}, "id": inf}"#.to_owned()),
        ("a reply of 200 kB", format!("{{\"return\": [\"{}\"], \"id\": 1}}", "x".repeat(200_000))),
        ("a reply without an id", r#"{"return": {}}"#.to_owned()),
        ("an error without an id", r#"{"error": {"class": "GenericError", "desc": "JSON parse error"}}"#.to_owned()),
        ("an unknown error class", r#"{"id": 1, "error": {"class": "NewError", "desc": "x"}}"#.to_owned()),
        ("the first line of `pretty=on`", "{\n".to_owned()),
    ]
}

fn ours(text: &str) -> &'static str {
    let mut decoder = StreamDecoder::new();
    decoder.push(text.as_bytes());
    match decoder.next_message() {
        None => "waits",
        Some(Err(_)) => "skipped",
        Some(Ok(Message::Other(_) | Message::Event(EventMessage { event: Event::Other(_), .. }))) => "untyped",
        Some(Ok(_)) => "typed",
    }
}

/// Both peers parse one line at a time with serde_json.
#[cfg(feature = "peers")]
fn qapi_qmp(text: &str) -> &'static str {
    if serde_json::from_str::<qapi_qmp::QmpMessageAny>(text).is_ok() { "typed" } else { "refused" }
}

#[cfg(feature = "peers")]
fn qmp(text: &str) -> &'static str {
    // qmp keeps the data of events as JSON, and recognises replies by their fields.
    if text.contains("\"event\"") {
        return if serde_json::from_str::<qmp::types::EventMessage>(text).is_ok() { "untyped" } else { "refused" };
    }
    if serde_json::from_str::<qmp::types::QmpResponse>(text).is_ok() { "typed" } else { "refused" }
}

#[test]
fn every_cell_of_the_page_is_true() {
    let mut rows = Vec::new();
    for (name, text) in inputs() {
        #[cfg(feature = "peers")]
        rows.push(format!("| {name} | {} | {} | {} |", ours(&text), qapi_qmp(&text), qmp(&text)));
        #[cfg(not(feature = "peers"))]
        rows.push(format!("| {name} | {} |", ours(&text)));
    }
    let page: Vec<&str> = PAGE
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| what comes") && !line.starts_with("| ---"))
        .collect();
    assert_eq!(page.len(), rows.len(), "{}", rows.join("\n"));
    for (row, line) in rows.iter().zip(page) {
        assert!(line.starts_with(row.as_str()), "seen:\n{}\nthe page says:\n{line}", rows.join("\n"));
    }
}
