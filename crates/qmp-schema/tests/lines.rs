//! Lines that a real QEMU sent, at least one for each kind of event: read into types and written again, byte for byte.
//!
//! `qemu-7.2.events` is made by `cargo xtask schema --record-events`; `spice.events` has one line of each form that is in
//! the captures of spice-testkit.

use std::{borrow::Cow, collections::BTreeSet};

use qmp_schema::{
    Encode as _, Event, EventMessage, FullEvent, Message, NetworkAddressFamily, Object, SpiceInfo, Value, from_slice,
    from_str, stream::StreamDecoder, wire,
};

const RECORDED: &str = include_str!("data/qemu-7.2.events");
const SPICE: &str = include_str!("data/spice.events");

fn lines() -> impl Iterator<Item = &'static str> {
    RECORDED.lines().chain(SPICE.lines())
}

#[test]
fn recorded_lines_are_typed_and_round_trip_byte_for_byte() {
    let mut kinds = BTreeSet::new();
    for line in lines() {
        let message: EventMessage<'_> = from_str(line).unwrap();
        assert!(!matches!(message.event, Event::Other(_)), "{line}\n{message:?}");
        assert!(message.timestamp.is_some(), "{line}");
        assert_eq!(String::from_utf8(message.to_vec()).unwrap(), line);
        kinds.insert(message.event.name().to_owned());
        let owned: EventMessage<'static> = message.clone().into_owned();
        assert_eq!(owned, message);
        let full: FullEvent<'_> = from_str(line).unwrap();
        assert!(full.unknown.is_empty(), "{full:?}");
        assert_eq!(full.message, message);
    }
    assert!(kinds.len() >= 39, "{} kinds of events", kinds.len());
}

#[test]
fn the_order_of_members_does_not_matter_when_reading() {
    for line in lines() {
        let mut object: Object<'_> = from_str(line).unwrap();
        reverse(&mut object);
        let turned = object.to_vec();
        assert_ne!(turned, line.as_bytes());
        let message: EventMessage<'_> = from_slice(&turned).unwrap();
        assert_eq!(message, from_str(line).unwrap());
    }
}

fn reverse(object: &mut Object<'_>) {
    object.0.reverse();
    for (_, value) in &mut object.0 {
        if let Value::Object(inner) = value {
            reverse(inner);
        }
    }
}

#[test]
fn recorded_members_are_in_the_order_of_the_hash_table() {
    for line in lines() {
        let object: Object<'_> = from_str(line).unwrap();
        check_order(&object, line);
    }
}

fn check_order(object: &Object<'_>, line: &str) {
    let buckets: Vec<u16> = object.0.iter().map(|(key, _)| wire::bucket(key)).collect();
    assert!(buckets.is_sorted(), "{line}");
    for (_, value) in &object.0 {
        if let Value::Object(inner) = value {
            check_order(inner, line);
        }
    }
}

#[test]
fn recorded_lines_decode_as_one_stream() {
    let mut stream = Vec::new();
    for line in lines() {
        stream.extend_from_slice(line.as_bytes());
        stream.extend_from_slice(b"\r\n");
    }
    let mut decoder = StreamDecoder::new();
    decoder.push(&stream);
    let mut written = Vec::new();
    while let Some(message) = decoder.next_message() {
        let Message::Event(message) = message.unwrap() else { panic!("an event") };
        message.write_to(&mut written);
        written.extend_from_slice(b"\r\n");
    }
    assert_eq!(written, stream);
}

#[test]
fn strings_without_escapes_are_borrowed() {
    let line = SPICE.lines().find(|line| line.contains("SPICE_INITIALIZED")).unwrap();
    let message: EventMessage<'_> = from_str(line).unwrap();
    let Event::SpiceInitialized(event) = &message.event else { panic!("{message:?}") };
    assert!(matches!(event.server.host, Cow::Borrowed(_)));
    assert!(matches!(event.client.port, Cow::Borrowed(_)));
    assert!(matches!(event.server.family, NetworkAddressFamily::Ipv4 | NetworkAddressFamily::Ipv6));
}

#[test]
fn query_spice_replies_round_trip() {
    for text in [
        r#"{"migrated": false, "enabled": false, "mouse-mode": "client"}"#,
        r#"{"migrated": false, "enabled": true, "auth": "spice", "port": 5931, "compiled-version": "0.15.1", "tls-port": 5932, "host": "127.0.0.1", "channels": [{"port": "40772", "family": "ipv4", "channel-type": 1, "connection-id": -949380981, "host": "127.0.0.1", "channel-id": 0, "tls": false}], "mouse-mode": "server"}"#,
    ] {
        let info: SpiceInfo<'_> = from_str(text).unwrap();
        assert_eq!(String::from_utf8(info.to_vec()).unwrap(), text);
        assert_eq!(info.clone().into_owned(), info);
    }
}
