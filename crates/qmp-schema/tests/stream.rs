//! Streams: in pieces, over several lines, with garbage between messages.
#![allow(clippy::unwrap_used, reason = "a helper's panic fails the test, too")]

use qmp_schema::{
    Encode as _, Error, ErrorKind, Event, Message,
    stream::{DEFAULT_LIMIT, StreamDecoder},
};

const GREETING: &str = r#"{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": "Debian 1:7.2+dfsg-7+deb12u18"}, "capabilities": ["oob"]}}"#;
const STOP: &str = r#"{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "STOP"}"#;

/// Describes the content of a stream: the kind of each message, or the error with its offset.
fn kinds(decoder: &mut StreamDecoder) -> Vec<String> {
    let mut kinds = Vec::new();
    while let Some(message) = decoder.next_message() {
        kinds.push(match message {
            Ok(Message::Greeting(greeting)) => format!("greeting of {}", greeting.version.qemu.major),
            Ok(Message::Event(message)) => message.event.name().to_owned(),
            Ok(Message::Return(reply)) => format!("return {}", id(reply.id.as_ref())),
            Ok(Message::Error(reply)) => format!("error {}: {}", id(reply.id.as_ref()), reply.class),
            Ok(Message::Other(value)) => format!("other {}", String::from_utf8(value.to_vec()).unwrap()),
            Err(error) => format!("{error}"),
        });
    }
    kinds
}

fn id(id: Option<&qmp_schema::Value<'_>>) -> String {
    id.map_or_else(|| "without id".to_owned(), |id| String::from_utf8(id.to_vec()).unwrap())
}

/// Decodes the input at once and byte by byte.
#[track_caller]
fn check(stream: &str, expected: &[&str]) {
    let mut decoder = StreamDecoder::new();
    decoder.push(stream.as_bytes());
    let mut at_once = kinds(&mut decoder);
    decoder.finish();
    at_once.extend(kinds(&mut decoder));
    assert_eq!(at_once, expected);
    let (mut decoder, mut by_bytes) = (StreamDecoder::new(), Vec::new());
    for byte in stream.bytes() {
        decoder.push(&[byte]);
        by_bytes.extend(kinds(&mut decoder));
    }
    decoder.finish();
    by_bytes.extend(kinds(&mut decoder));
    assert_eq!(by_bytes, expected, "byte by byte");
}

#[test]
fn greeting_replies_and_events_are_distinguished() {
    check(
        &format!(
            "{GREETING}\r\n{{\"return\": {{}}}}\r\n{STOP}\r\n{{\"return\": [], \"id\": [1, null]}}\r\n\
             {{\"id\": \"a\", \"error\": {{\"class\": \"CommandNotFound\", \"desc\": \"no\"}}}}\r\n{{\"new\": 1}}\r\n"
        ),
        &[
            "greeting of 7",
            "return without id",
            "STOP",
            "return [1, null]",
            "error \"a\": CommandNotFound",
            "other {\"new\": 1}",
        ],
    );
}

#[test]
fn error_without_an_id_is_a_reply() {
    // QEMU's reply to input that is not JSON. One bad byte can cause a thousand of them.
    let line = r#"{"error": {"class": "GenericError", "desc": "JSON parse error, expecting value"}}"#;
    check(&format!("{line}\r\n").repeat(3), &["error without id: GenericError"; 3]);
}

#[test]
fn messages_may_span_lines() {
    let pretty = "{\r\n    \"timestamp\": {\r\n        \"seconds\": 1,\r\n        \"microseconds\": 2\r\n    },\r\n    \
                  \"event\": \"RESET\",\r\n    \"data\": {\r\n        \"guest\": true,\r\n        \"reason\": \"guest-reset\"\r\n    }\r\n}\r\n";
    let reply = "{\r\n    \"return\": [\r\n        {\r\n            \"name\": \"}\"\r\n        }\r\n    ]\r\n}\r\n";
    check(&format!("{pretty}{reply}{pretty}"), &["RESET", "return without id", "RESET"]);
}

#[test]
fn messages_need_no_separator() {
    check(&format!("{STOP}{STOP}{{\"return\": {{}}}}\n\n  {STOP}"), &["STOP", "STOP", "return without id", "STOP"]);
}

#[test]
fn invalid_json_is_skipped_with_its_offset() {
    // QEMU's reply to an id of 1e400.
    check(
        &format!("{{\"return\": {{}}, \"id\": inf}}\r\n{STOP}\r\n"),
        &["expected a value, found 'i' at offset 21", "STOP"],
    );
    let second = STOP.len() + 2;
    check(
        &format!("{STOP}\r\n{{\"return\": nan}}\r\n{STOP}\r\n"),
        &["STOP", &format!("expected null, found 'n' at offset {}", second + 11), "STOP"],
    );
    check(&format!("warning: x\r\n{STOP}\r\n"), &["expected a message, found 'w' at offset 0", "STOP"]);
    check(
        &format!("{STOP}]}} x\r\n{STOP}"),
        &["STOP", &format!("expected a message, found ']' at offset {}", STOP.len()), "STOP"],
    );
    check(
        "5 \"text\"\n[1]\n",
        &["expected a message, found '5' at offset 0", "expected a message, found '[' at offset 9"],
    );
    check(
        &format!("{{\"event\": \"STOP\"]}}\r\n{STOP}"),
        &["expected ',' or '}', found ']' at offset 16", "expected a message, found '}' at offset 17", "STOP"],
    );
}

#[test]
fn incomplete_message_does_not_lose_the_next_one() {
    let cut = &STOP[..49];
    check(&format!("{cut}\r\n{STOP}\r\n"), &["expected the rest of a message, found none at offset 0", "STOP"]);
    // Cut off within a string.
    let cut = &STOP[..STOP.len() - 3];
    check(
        &format!("{cut}\r\n{STOP}\r\n"),
        &[&format!("expected a string's next character, found '\\n' at offset {}", cut.len() + 1), "STOP"],
    );
    check(
        &format!("{STOP}\r\n{cut}"),
        &["STOP", &format!("expected the rest of a message, found none at offset {}", STOP.len() + 2)],
    );
}

#[test]
fn invalid_utf_8_is_skipped() {
    let mut decoder = StreamDecoder::new();
    decoder.push(b"{\"return\": \"\xff\"}\r\n");
    decoder.push(STOP.as_bytes());
    let error = decoder.next_message().unwrap().unwrap_err();
    assert_eq!(error, Error { kind: ErrorKind::Utf8, offset: 12 });
    assert_eq!(kinds(&mut decoder), ["STOP"]);
}

#[test]
fn large_reply_is_read_and_its_memory_is_released() {
    // As large as the reply to `query-qmp-schema`, and larger.
    for len in [250_000, 2_000_000] {
        let reply = format!("{{\"return\": [\"{}\"], \"id\": 1}}\r\n{STOP}\r\n", "x".repeat(len));
        let mut decoder = StreamDecoder::new();
        let mut found = Vec::new();
        for chunk in reply.as_bytes().chunks(4096) {
            decoder.push(chunk);
            found.extend(kinds(&mut decoder));
        }
        assert_eq!(found, ["return 1", "STOP"]);
        decoder.push(b"");
        assert_eq!(decoder.buffered(), 0);
    }
}

#[test]
fn limit_is_exact_and_longer_messages_are_not_kept() {
    let reply = |len: usize| format!("{{\"return\": \"{}\"}}", "x".repeat(len - 14));
    for (len, expected) in
        [(100, "return without id"), (101, "expected a message of at most 100 bytes, found a longer one at offset 0")]
    {
        let stream = format!("{}\r\n{STOP}\r\n", reply(len));
        for size in [1, 7, 64, stream.len()] {
            let (mut decoder, mut found) = (StreamDecoder::with_limit(100), Vec::new());
            for chunk in stream.as_bytes().chunks(size) {
                decoder.push(chunk);
                found.extend(kinds(&mut decoder));
                assert!(decoder.buffered() <= 100 + size);
            }
            assert_eq!(found, [expected, "STOP"], "{len} bytes in pieces of {size}");
        }
    }
    assert_eq!(DEFAULT_LIMIT, 16 << 20);
    // Far over the limit, and without an end.
    let mut decoder = StreamDecoder::with_limit(1000);
    decoder.push(b"{\"return\": [");
    for _ in 0..1000 {
        decoder.push(&[b' '; 100]);
        while decoder.next_message().is_some() {}
        assert!(decoder.buffered() <= 1100);
    }
}

#[test]
fn frames_carry_bytes_and_offset() {
    let mut decoder = StreamDecoder::default();
    decoder.push(format!(" {STOP}\r\nx\n{{\"return\": inf}}").as_bytes());
    let frame = decoder.next_frame().unwrap().unwrap();
    assert_eq!((frame.offset, frame.bytes), (1, STOP.as_bytes()));
    assert!(matches!(decoder.next_frame(), Some(Err(Error { kind: ErrorKind::Syntax { found: Some(b'x'), .. }, .. }))));
    // A frame is found by its brackets alone.
    let frame = decoder.next_frame().unwrap().unwrap();
    assert_eq!((frame.offset, frame.bytes), (STOP.len() as u64 + 5, &b"{\"return\": inf}"[..]));
    assert!(decoder.next_frame().is_none());
    let owned = qmp_schema::from_str::<Message<'_>>(STOP).unwrap().into_owned();
    assert!(matches!(owned, Message::Event(message) if message.event == Event::Stop));
}

#[test]
#[cfg(feature = "std")]
fn messages_of_a_reader() {
    /// Returns one byte per read, is interrupted before each, and fails at the end.
    struct Slow(std::collections::VecDeque<u8>, bool);
    impl std::io::Read for Slow {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(std::io::ErrorKind::Interrupted.into());
            }
            let Some(byte) = self.0.pop_front() else { return Err(std::io::ErrorKind::ConnectionReset.into()) };
            buffer[0] = byte;
            Ok(1)
        }
    }
    let stream = format!("{STOP}\r\n{{\"return\": inf}}\r\n{}", &STOP[..10]);
    let mut messages = qmp_schema::io::Messages::new(Slow(stream.bytes().collect(), false));
    assert!(matches!(messages.next(), Some(Ok(Ok(Message::Event(_))))));
    assert!(matches!(messages.next(), Some(Ok(Err(error))) if error.offset == STOP.len() as u64 + 13));
    assert!(matches!(messages.next(), Some(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionReset));
    assert!(messages.next().is_none());
    // At a regular end, an incomplete message is an error.
    let mut messages = qmp_schema::io::Messages::with_decoder(stream.as_bytes(), StreamDecoder::with_limit(1000));
    assert_eq!(messages.by_ref().filter(|message| matches!(message, Ok(Err(_)))).count(), 2);
    assert!(messages.get_mut().is_empty());
}
