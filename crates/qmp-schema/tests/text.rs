//! `Display` and `FromStr`, and objects that are built member by member.

use qmp_schema::{Command, Event, EventMessage, Message, Object, Timestamp, Value, from_str};

#[test]
fn a_timestamp_is_shown_in_seconds() {
    for (seconds, microseconds, shown) in [
        (1_795_370_794, 708_759, "1795370794.708759"),
        (0, 5, "0.000005"),
        (-2, 500_000, "-1.500000"),
        (-1, -1, "-1.000001"),
        (i64::MAX, 0, "9223372036854775807.000000"),
    ] {
        assert_eq!(Timestamp { seconds, microseconds }.to_string(), shown);
    }
}

#[test]
fn an_event_is_shown_by_its_name_and_data() {
    for (line, shown) in [
        (r#"{"event": "STOP"}"#, "STOP"),
        (r#"{"event": "MIGRATION_PASS", "data": {"pass": 2}}"#, r#"MIGRATION_PASS {"pass": 2}"#),
        (r#"{"event": "NEW", "data": {"x": [1]}}"#, r#"NEW {"x": [1]}"#),
    ] {
        let message: EventMessage<'static> = line.parse().unwrap();
        assert_eq!(message.event.to_string(), shown);
        assert_eq!(message.to_string(), line);
    }
}

#[test]
fn messages_and_commands_are_shown_as_json() {
    let line = r#"{"return": {}, "id": 7}"#;
    assert_eq!(from_str::<Message<'_>>(line).unwrap().to_string(), line);
    let command = Command { arguments: Some(Object::new().with("id", "x")), ..Command::new("device_del") };
    assert_eq!(command.to_string(), r#"{"execute": "device_del", "arguments": {"id": "x"}}"#);
}

#[test]
fn an_event_is_parsed_from_text() {
    assert_eq!(r#"{"event": "RESUME"}"#.parse::<EventMessage<'_>>().unwrap().event, Event::Resume);
    assert_eq!(r#"{"event": }"#.parse::<EventMessage<'_>>().unwrap_err().offset, 10);
}

#[test]
fn members_are_inserted_in_the_order_of_the_hash_table() {
    let mut object = Object::from([("host", "::1"), ("port", "5900"), ("family", "ipv6"), ("auth", "spice")]);
    assert_eq!(object.to_string(), r#"{"auth": "spice", "port": "5900", "family": "ipv6", "host": "::1"}"#);
    object.insert("port", 1);
    assert_eq!(object.remove("auth"), Some(Value::from("spice")));
    assert_eq!(object.to_string(), r#"{"port": 1, "family": "ipv6", "host": "::1"}"#);
    // Two keys of one bucket: the last inserted comes first.
    assert_eq!(Object::from([("ab", 1), ("ar", 2)]).to_string(), r#"{"ar": 2, "ab": 1}"#);
}

#[test]
fn numbers_keep_their_kind() {
    for (value, text) in [
        (Value::from(u64::MAX), "18446744073709551615"),
        (Value::from(i64::MIN), "-9223372036854775808"),
        (Value::from(7_u64), "7"),
        (Value::from(0.1), "0.10000000000000001"),
        (Value::from(f64::INFINITY), "1e+999"),
        (Value::from(f64::NEG_INFINITY), "-1e+999"),
    ] {
        assert_eq!(value.to_string(), text);
        assert_eq!(from_str::<Value<'_>>(text).unwrap(), value);
    }
    assert_eq!(Value::Float(f64::NAN).to_string(), "null");
}
