//! The sans-IO core: traces of conversations, and any bytes in any pieces.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;
use qmp_client::{Conversation, Error, Incoming, Options, qmp_schema::Command};

const GREETING: &str =
    r#"{"QMP": {"version": {"qemu": {"micro": 0, "minor": 2, "major": 7}, "package": ""}, "capabilities": ["oob"]}}"#;

/// Everything that is to be polled, a line for each.
fn drain(conversation: &mut Conversation) -> Vec<String> {
    let mut found = Vec::new();
    loop {
        match conversation.poll() {
            Ok(None) => return found,
            Ok(Some(incoming)) => found.push(match incoming {
                Incoming::Ready(greeting) => format!("ready {}", greeting.version),
                Incoming::Event(event) => format!("event {}", event.event),
                Incoming::Reply(_, Ok(value)) => format!("return {value}"),
                Incoming::Reply(_, Err(error)) => format!("error {error}"),
                Incoming::Stray(message) => format!("stray {message}"),
                other => format!("{other:?}"),
            }),
            Err(error) => {
                found.push(format!("failed: {error}"));
                return found;
            }
        }
    }
}

/// Leads a conversation through lines of the server (`S:`), and of expected output (`C:`) and messages (`M:`).
fn check(options: &Options, trace: &str) {
    let mut conversation = Conversation::new(options);
    let (mut output, mut messages) = (String::new(), std::collections::VecDeque::new());
    for line in trace.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match line.split_once(": ").unwrap() {
            ("S", text) => {
                conversation.receive(text.as_bytes());
                conversation.receive(b"\r\n");
            }
            ("X", name) => {
                conversation.execute(&Command::new(name.to_owned())).unwrap();
            }
            ("C", text) => {
                let (first, rest) = output.split_once('\n').unwrap_or_else(|| panic!("expected {text}, got nothing"));
                assert_eq!(first, text);
                output = rest.to_owned();
            }
            (_, text) => assert_eq!(messages.pop_front().as_deref(), Some(text)),
        }
        messages.extend(drain(&mut conversation));
        output += str::from_utf8(&conversation.take_output()).unwrap();
    }
    assert_eq!((output.as_str(), messages.len()), ("", 0), "nothing more");
}

#[test]
fn commands_wait_for_the_negotiation() {
    check(
        &Options::default(),
        &format!(
            r#"
            X: stop
            S: {GREETING}
            C: {{"execute": "qmp_capabilities", "id": 0}}
            S: {{"return": {{}}, "id": 0}}
            M: ready 7.2.0
            C: {{"execute": "stop", "id": 1}}
            X: cont
            C: {{"execute": "cont", "id": 2}}
            S: {{"id": 2, "error": {{"class": "GenericError", "desc": "no"}}}}
            M: error GenericError: no
            S: {{"return": {{}}, "id": 1}}
            M: return {{}}
        "#
        ),
    );
}

#[test]
fn events_are_accepted_at_any_time() {
    check(
        &Options::default().oob(true),
        &format!(
            r#"
            S: {{"event": "EARLY"}}
            M: event EARLY
            S: {GREETING}
            C: {{"execute": "qmp_capabilities", "arguments": {{"enable": ["oob"]}}, "id": 0}}
            S: {{"event": "RESUME"}}
            M: event RESUME
            S: {{"return": {{}}, "id": 0}}
            M: ready 7.2.0
            S: {{"event": "STOP"}}
            M: event STOP
        "#
        ),
    );
}

#[test]
fn replies_to_no_command_are_stray() {
    check(
        &Options::default(),
        &format!(
            r#"
            S: {GREETING}
            C: {{"execute": "qmp_capabilities", "id": 0}}
            S: {{"return": {{}}, "id": 0}}
            M: ready 7.2.0
            S: {{"return": {{}}, "id": 0}}
            M: stray {{"return": {{}}, "id": 0}}
            S: {{"return": {{}}, "id": "1"}}
            M: stray {{"return": {{}}, "id": "1"}}
            S: {{"error": {{"class": "GenericError", "desc": "JSON parse error, stray 'x'"}}}}
            M: stray {{"error": {{"class": "GenericError", "desc": "JSON parse error, stray 'x'"}}}}
        "#
        ),
    );
}

#[test]
fn reply_to_a_command_that_was_not_sent_is_stray() {
    check(
        &Options::default(),
        &format!(
            r#"
            X: stop
            S: {GREETING}
            C: {{"execute": "qmp_capabilities", "id": 0}}
            S: {{"return": {{}}, "id": 1}}
            M: stray {{"return": {{}}, "id": 1}}
            S: {{"return": {{}}, "id": 0}}
            M: ready 7.2.0
            C: {{"execute": "stop", "id": 1}}
            S: {{"return": {{}}, "id": 1}}
            M: return {{}}
        "#
        ),
    );
}

#[test]
fn peer_that_does_not_speak_qmp_is_an_error() {
    for (input, expected) in [
        ("HTTP/1.1 400 Bad Request\r\n", "expected a message, found 'H' at offset 0"),
        ("{\"return\": {}}\r\n", "expected a QMP greeting, found another message"),
        ("{\"event\": \"STOP\"", ""),
        (&"x".repeat(1 << 20), "expected a message, found 'x' at offset 0"),
        (
            &format!("{{\"a\": \"{}", "x".repeat(1 << 20)),
            "expected a message of at most 1000 bytes, found a longer one at offset 0",
        ),
    ] {
        let mut conversation = Conversation::new(&Options::default().max_message(1000));
        conversation.receive(input.as_bytes());
        let found = drain(&mut conversation);
        assert_eq!(found.first().map_or("", |found| found.trim_start_matches("failed: ")), expected);
    }
}

#[test]
fn pretty_output_is_read() {
    let mut conversation = Conversation::new(&Options::default());
    for line in [
        "{",
        "    \"QMP\": {",
        "        \"version\": {",
        "            \"qemu\": {\"micro\": 0,",
        "\"minor\": 0, \"major\": 9}, \"package\": \"\"",
        "        },",
        "        \"capabilities\": [",
        "        ]",
        "    }",
        "}",
    ] {
        assert_eq!(drain(&mut conversation), [""; 0]);
        conversation.receive(line.as_bytes());
        conversation.receive(b"\r\n");
    }
    assert_eq!(drain(&mut conversation), [""; 0]);
    assert!(conversation.has_output(), "the greeting was read");
}

#[test]
fn commands_without_a_reply_are_bounded() {
    let mut conversation = Conversation::new(&Options::default().max_commands(2));
    for _ in 0..2 {
        conversation.execute(&Command::new("stop")).unwrap();
    }
    assert!(matches!(conversation.execute(&Command::new("stop")), Err(Error::TooManyCommands(2))));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Any bytes after a greeting, in pieces of any size, give the same messages.
    #[test]
    fn pieces_do_not_change_the_messages(
        parts in prop::collection::vec(prop_oneof![
            Just(GREETING.to_owned()),
            Just("{\"return\": {}, \"id\": 0}\n".to_owned()),
            Just("{\"return\": [1], \"id\": 1}\n".to_owned()),
            Just("{\"event\": \"STOP\"}\n".to_owned()),
            "[ -~]{0,20}",
        ], 0..8),
        size in 1_usize..40,
    ) {
        let input = parts.concat();
        let read = |size: usize| {
            let mut conversation = Conversation::new(&Options::default());
            conversation.execute(&Command::new("stop")).unwrap();
            let (mut found, mut output) = (Vec::new(), Vec::new());
            for piece in input.as_bytes().chunks(size) {
                conversation.receive(piece);
                found.extend(drain(&mut conversation));
                output.extend(conversation.take_output());
                if found.last().is_some_and(|last: &String| last.starts_with("failed")) {
                    break;
                }
            }
            (found, output)
        };
        prop_assert_eq!(read(size), read(input.len().max(1)));
    }
}
