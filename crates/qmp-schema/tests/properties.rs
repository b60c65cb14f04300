//! Properties of any event, any JSON and any stream.

#![allow(clippy::unwrap_used, reason = "a helper's panic fails the test, too")]

use std::{borrow::Cow, collections::BTreeSet};

use arbitrary::{Arbitrary as _, Unstructured};
use proptest::prelude::*;
use qmp_schema::{
    Command, Encode as _, Error, Event, EventInfo, EventMessage, FullEvent, Message, Object, RawJson, SpiceInfo,
    Timestamp, Value, Version, from_slice, stream::StreamDecoder,
};

const FACTS: &str = include_str!("../facts/qmp.json");

/// Choices for a generator.
fn choices() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..300)
}

/// An event of this name in an envelope, generated from the choices.
fn message<'a>(name: &str, choices: &[u8]) -> EventMessage<'a> {
    let mut u = Unstructured::new(choices);
    let timestamp = Option::<Timestamp>::arbitrary(&mut u).unwrap();
    EventMessage { timestamp, event: Event::arbitrary_named(name, &mut u).unwrap() }
}

/// As [`message`], with any name.
fn any_message<'a>(choices: &[u8]) -> EventMessage<'a> {
    EventMessage::arbitrary(&mut Unstructured::new(choices)).unwrap()
}

fn check_round_trip(message: &EventMessage<'_>) {
    let text = message.to_vec();
    assert!(text.is_ascii() && !text.iter().any(u8::is_ascii_control));
    let again: EventMessage<'_> = from_slice(&text).unwrap_or_else(|error| panic!("{message:?}: {error}"));
    match (&again.event, &message.event) {
        // The reason has an offset, which differs for a generated event.
        (Event::Other(again), Event::Other(event)) => {
            assert_eq!((&again.name, &again.data), (&event.name, &event.data));
        }
        _ => assert_eq!(again.event, message.event),
    }
    assert_eq!(again.timestamp, message.timestamp);
    assert_eq!(again.to_vec(), text);
    assert_eq!(again.clone().into_owned(), again);
    let full: FullEvent<'_> = from_slice(&text).unwrap();
    assert!(full.unknown.is_empty(), "{full:?}");
}

#[test]
fn any_event_round_trips() {
    let facts: Object<'_> = from_slice(FACTS.as_bytes()).unwrap();
    let Some(Value::Array(events)) = facts.get("events") else { panic!("the facts list events") };
    let names: Vec<&str> =
        events.iter().map(|event| event.as_object().unwrap().get("name").unwrap().as_str().unwrap()).collect();
    let known: BTreeSet<&str> = EventInfo::all().iter().map(|info| info.name).collect();
    assert_eq!(names.iter().copied().collect::<BTreeSet<_>>(), known);
    for name in names.into_iter().chain(["NO_SUCH_EVENT"]) {
        proptest!(|(choices in choices())| {
            let message = message(name, &choices);
            match &message.event {
                Event::Other(_) => assert_eq!(name, "NO_SUCH_EVENT"),
                event => assert_eq!(event.name(), name),
            }
            check_round_trip(&message);
        });
    }
}

proptest! {
    #[test]
    fn any_other_message_round_trips(choices in choices()) {
        let mut u = Unstructured::new(&choices);
        let command = Command::arbitrary(&mut u).unwrap();
        let text = command.to_vec();
        prop_assert_eq!(&from_slice::<Command<'_>>(&text).unwrap(), &command);
        prop_assert_eq!(command.clone().into_owned(), command);
        let info = SpiceInfo::arbitrary(&mut u).unwrap();
        let text = info.to_vec();
        prop_assert_eq!(&from_slice::<SpiceInfo<'_>>(&text).unwrap(), &info);
        let version = Version::arbitrary(&mut u).unwrap();
        let text = version.to_vec();
        prop_assert_eq!(&from_slice::<Version<'_>>(&text).unwrap(), &version);
        let value = Value::arbitrary(&mut u).unwrap();
        let text = value.to_vec();
        prop_assert_eq!(&from_slice::<Value<'_>>(&text).unwrap(), &value);
        let raw: RawJson<'_> = from_slice(&text).unwrap();
        prop_assert_eq!(raw.as_str().as_bytes(), &text[..]);
    }

    /// An object is an event if and only if it has a string `event`. It is never lost.
    #[test]
    fn any_json_object_is_read_as_a_message(members in proptest::collection::vec((key(), json(4)), 0..6)) {
        let members: Vec<String> = members.into_iter().map(|(key, value)| format!("{}:{value}", quoted(key))).collect();
        let text = format!("{{{}}}", members.join(" , "));
        let object: Object<'_> = from_slice(text.as_bytes()).unwrap();
        let message: Message<'_> = from_slice(text.as_bytes()).unwrap();
        let event = from_slice::<EventMessage<'_>>(text.as_bytes());
        match object.get("event") {
            Some(Value::Str(name)) => prop_assert_eq!(event.as_ref().unwrap().event.name(), &**name),
            _ => prop_assert!(!event.as_ref().unwrap_err().is_syntax()),
        }
        if let Message::Event(message) = &message {
            prop_assert_eq!(message, event.as_ref().unwrap());
        }
        let full = from_slice::<FullEvent<'_>>(text.as_bytes());
        prop_assert_eq!(full.map(|full| full.message), event);
    }

    /// The bytes of an event with a byte changed, or cut off.
    #[test]
    fn damaged_json_is_read_or_refused_at_an_offset(choices in choices(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        let mut text = any_message(&choices).to_vec();
        let at = at.index(text.len());
        if cut { text.truncate(at) } else { text[at] = byte }
        match from_slice::<EventMessage<'_>>(&text) {
            Ok(message) => drop(message.to_vec()),
            Err(error) => prop_assert!(error.offset <= text.len() as u64),
        }
        let _ = from_slice::<Message<'_>>(&text);
    }

    /// Chunks of any size give the same messages and the same errors at the same offsets, and no more than the limit is kept.
    #[test]
    fn chunk_sizes_do_not_change_the_messages_of_a_stream(pieces in proptest::collection::vec(piece(), 0..8), cuts in proptest::collection::vec(1_usize..40, 1..20), limit in prop_oneof![Just(80_usize), Just(1 << 20)]) {
        let stream: Vec<u8> = pieces.concat();
        let whole = read(&stream, &[stream.len().max(1)], limit);
        prop_assert_eq!(&read(&stream, &cuts, limit), &whole);
        prop_assert_eq!(&read(&stream, &[1], limit), &whole);
    }

    /// The messages of a prefix are the first messages of the whole stream.
    #[test]
    fn prefix_of_a_stream_gives_a_prefix_of_its_messages(pieces in proptest::collection::vec(piece(), 0..5)) {
        let stream: Vec<u8> = pieces.concat();
        let whole = unfinished(&stream);
        for end in 0..=stream.len() {
            let found = unfinished(&stream[..end]);
            prop_assert_eq!(&found[..], &whole[..found.len()], "{} bytes", end);
        }
    }
}

/// Each message as text, and each error.
fn read(stream: &[u8], cuts: &[usize], limit: usize) -> Vec<Result<String, Error>> {
    let mut decoder = StreamDecoder::with_limit(limit);
    let (mut found, mut rest, mut cuts) = (Vec::new(), stream, cuts.iter().cycle());
    while !rest.is_empty() {
        let (chunk, behind) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
        decoder.push(chunk);
        drain(&mut decoder, &mut found);
        assert!(decoder.buffered() <= limit + chunk.len());
        rest = behind;
    }
    decoder.finish();
    drain(&mut decoder, &mut found);
    found
}

fn unfinished(stream: &[u8]) -> Vec<Result<String, Error>> {
    let (mut decoder, mut found) = (StreamDecoder::new(), Vec::new());
    decoder.push(stream);
    drain(&mut decoder, &mut found);
    found
}

fn drain(decoder: &mut StreamDecoder, found: &mut Vec<Result<String, Error>>) {
    while let Some(message) = decoder.next_message() {
        found.push(message.map(|message| format!("{message:?}")));
    }
    let offsets: Vec<u64> =
        found.iter().filter_map(|message| message.as_ref().err()).map(|error| error.offset).collect();
    assert!(offsets.is_sorted(), "errors in the stream's order: {offsets:?}");
}

/// A message of a QMP server, or garbage.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let event = choices().prop_map(|choices| any_message(&choices).to_vec());
    let pretty = choices().prop_map(|choices| spread(&any_message(&choices)));
    let reply = json(3).prop_map(|value| format!("{{\"return\": {value}, \"id\": 1}}").into_bytes());
    let fixed = prop::sample::select(vec![
        &b"{\"return\": {}, \"id\": inf}"[..],
        b"{\"error\": {\"class\": \"GenericError\", \"desc\": \"JSON parse error\"}}",
        b"{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 0, \"minor\": 2, \"major\": 10}, \"package\": \"\"}, \"capabilities\": []}}",
        b"{\"event\": \"ST",
        b"{\"event\": \"STOP\"",
        b"}]",
        b"\"{\"",
        b"warning: ",
        b"\xff\\",
        b"",
    ]);
    let fixed = fixed.prop_map(<[u8]>::to_vec);
    let end = prop::sample::select(vec![&b"\r\n"[..], b"\n", b"", b" "]);
    (prop_oneof![3 => event, 2 => pretty, 2 => reply, 3 => fixed], end)
        .prop_map(|(text, end)| [&text[..], end].concat())
}

/// The form of `pretty=on`: each member and element on its own line, indented by four spaces.
fn spread(message: &EventMessage<'_>) -> Vec<u8> {
    let text = String::from_utf8(message.to_vec()).unwrap();
    let (mut out, mut level, mut string, mut escape) = (String::new(), 0, false, false);
    for char in text.chars() {
        match char {
            _ if string => {
                string = escape || char != '"';
                escape = !escape && char == '\\';
                out.push(char);
            }
            '{' | '[' => {
                level += 1;
                out.extend([&*char.to_string(), "\r\n", &" ".repeat(level * 4)]);
            }
            '}' | ']' => {
                level -= 1;
                out.extend(["\r\n", &" ".repeat(level * 4), &*char.to_string()]);
            }
            ',' => out.extend([",\r\n", &" ".repeat(level * 4)]),
            // The line end replaces the space after a comma.
            ' ' if out.ends_with(' ') => {}
            _ => {
                string = char == '"';
                out.push(char);
            }
        }
    }
    out.into_bytes()
}

/// Keys with a meaning in QMP, and others.
fn key() -> impl Strategy<Value = Cow<'static, str>> {
    let known =
        ["event", "data", "timestamp", "return", "error", "QMP", "id", "seconds", "server", "guest", "type", "class"];
    prop_oneof![
        3 => prop::sample::select(known.to_vec()).prop_map(Cow::Borrowed),
        1 => any::<String>().prop_map(Cow::Owned),
    ]
}

/// JSON text of at most `levels` levels, with white space in it.
fn json(levels: u32) -> impl Strategy<Value = String> {
    let names: Vec<&str> = EventInfo::all().iter().map(|info| info.name).collect();
    let scalar = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        any::<i64>().prop_map(|value| value.to_string()),
        any::<u64>().prop_map(|value| value.to_string()),
        "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,4})?([eE][+-]?[0-9]{1,4})?",
        any::<String>().prop_map(|text| quoted(text.into())),
        prop::sample::select(names).prop_map(|name| quoted(name.into())),
    ];
    scalar.prop_recursive(levels, 24, 4, |inner| {
        let members = proptest::collection::vec((key(), inner.clone()), 0..4);
        let object = members.prop_map(|members| {
            let members: Vec<String> =
                members.into_iter().map(|(key, value)| format!("{} :\n{value}", quoted(key))).collect();
            format!("{{{}}}", members.join(","))
        });
        let array = proptest::collection::vec(inner, 0..4).prop_map(|values| format!("[{}\t]", values.join(", ")));
        prop_oneof![object, array]
    })
}

fn quoted(text: Cow<'_, str>) -> String {
    String::from_utf8(Value::Str(text).to_vec()).unwrap()
}
