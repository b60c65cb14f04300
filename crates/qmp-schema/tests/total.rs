//! The reader accepts every JSON text and refuses everything else.

use qmp_schema::{
    Encode as _, ErrorKind, ErrorReply, Event, EventMessage, FullEvent, MAX_DEPTH, MAX_VALUE_DEPTH, Message,
    NetworkAddressFamily, Object, Timestamp, Value, from_str,
};

fn read(text: &str) -> EventMessage<'_> {
    from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn an_unknown_event_keeps_name_and_data() {
    let text =
        r#"{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "FROM_THE_FUTURE", "data": {"a": [1, null]}}"#;
    let message = read(text);
    let Event::Other(event) = &message.event else { panic!("{message:?}") };
    assert_eq!((&*event.name, event.reason.kind), ("FROM_THE_FUTURE", ErrorKind::UnknownEvent));
    assert_eq!(event.data.as_ref().unwrap().to_vec(), br#"{"a": [1, null]}"#);
    assert_eq!(message.to_vec(), text.as_bytes());
    assert_eq!(read(r#"{"event": "X"}"#).to_vec(), br#"{"event": "X"}"#);
}

#[test]
fn display_shows_the_written_json() {
    let text = r#"{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "\u00C4", "data": {"a": [1, "\u00FC"]}}"#;
    let message = read(text);
    assert_eq!(message.to_string(), text);
    let Event::Other(event) = &message.event else { panic!("{message:?}") };
    let data = event.data.as_ref().unwrap();
    assert_eq!(data.to_string(), r#"{"a": [1, "\u00FC"]}"#);
    let values = data.as_object().and_then(|data| data.get("a")?.as_array()).unwrap();
    assert_eq!((values[0].as_i64(), values[1].as_i64(), values[1].as_str()), (Some(1), None, Some("ü")));

    let reply: ErrorReply<'_> = from_str(r#"{"error": {"class": "DeviceNotActive", "desc": "no SPICE"}}"#).unwrap();
    let error: Box<dyn std::error::Error> = Box::new(reply.into_owned());
    assert_eq!(error.to_string(), "DeviceNotActive: no SPICE");
}

#[test]
fn unknown_enumeration_value_is_kept() {
    let text = r#"{"event": "SPICE_CONNECTED", "data": {"server": {"port": "1", "family": "quic", "host": "h"}, "client": {"port": "2", "family": "unknown", "host": ""}}}"#;
    let message = read(text);
    let Event::SpiceConnected(event) = &message.event else { panic!("{message:?}") };
    assert_eq!(event.server.family, NetworkAddressFamily::Other("quic".into()));
    assert_eq!(event.client.family, NetworkAddressFamily::Unknown);
    assert_eq!(message.to_vec(), text.as_bytes());
}

#[test]
fn an_unknown_case_of_a_union_is_kept() {
    let text = r#"{"event": "NETDEV_STREAM_CONNECTED", "data": {"addr": {"type": "carrier-pigeon", "name": "x"}, "netdev-id": "n"}}"#;
    let message = read(text);
    assert!(matches!(message.event, Event::NetdevStreamConnected(_)), "{message:?}");
    assert!(String::from_utf8(message.to_vec()).unwrap().contains("carrier-pigeon"));
}

#[test]
fn misfit_data_is_kept_with_the_reason() {
    for (data, kind) in [
        (r#""data": {"open": 1, "id": "x"}"#, ErrorKind::Type { expected: "a boolean", found: "a number" }),
        (r#""data": {"id": "x"}"#, ErrorKind::Missing { member: "open" }),
        (r#""data": {"open": true, "id": null}"#, ErrorKind::Type { expected: "a string", found: "null" }),
        (r#""data": []"#, ErrorKind::Type { expected: "an object", found: "an array" }),
        (r#""more": 1"#, ErrorKind::Missing { member: "data" }),
    ] {
        let text = format!(r#"{{"event": "VSERPORT_CHANGE", {data}}}"#);
        let message = read(&text);
        let Event::Other(event) = &message.event else { panic!("{message:?}") };
        assert_eq!((&*event.name, event.reason.kind), ("VSERPORT_CHANGE", kind), "{text}");
        assert!(event.reason.offset < text.len() as u64);
    }
    let text = r#"{"event": "MIGRATION_PASS", "data": {"pass": 9223372036854775808}}"#;
    let Event::Other(event) = read(text).event else { panic!("out of range") };
    assert_eq!(event.reason.kind, ErrorKind::Range { expected: "a 64-bit integer" });
    assert_eq!(event.data.unwrap().to_vec(), br#"{"pass": 9223372036854775808}"#);
}

#[test]
fn timestamps_of_old_versions_are_read() {
    let at = |text| read(text).timestamp;
    assert_eq!(at(r#"{"event": "STOP"}"#), None);
    let failed = r#"{"timestamp": {"seconds": -1, "microseconds": -1}, "event": "STOP"}"#;
    assert_eq!(at(failed), Some(Timestamp { seconds: -1, microseconds: -1 }));
    assert_eq!(read(failed).to_vec(), failed.as_bytes());
}

#[test]
fn misfit_timestamp_is_kept_and_leaves_the_event_typed() {
    for timestamp in [r#""noon""#, "null", r#"{"seconds": "1"}"#, r#"{"seconds": 1, "new": 2}"#] {
        let text =
            format!(r#"{{"timestamp": {timestamp}, "event": "MIGRATION_PASS", "data": {{"more": 3, "pass": 2}}}}"#);
        let full: FullEvent<'_> = from_str(&text).unwrap();
        assert_eq!(full.message.timestamp, None);
        assert!(matches!(full.message.event, Event::MigrationPass(_)), "{full:?}");
        assert_eq!(full.message, read(&text));
        assert_eq!(full.to_string(), text);
        assert_eq!(full.unknown.iter().len(), 2);
    }
}

#[test]
fn events_of_old_versions_are_typed_and_round_trip() {
    for line in [
        r#"{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "SHUTDOWN"}"#,
        r#"{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "RESET"}"#,
        r#"{"event": "SHUTDOWN", "data": {"guest": true}}"#,
        r#"{"event": "DEVICE_TRAY_MOVED", "data": {"device": "drive-ide0-1-0", "tray-open": true}}"#,
        r#"{"event": "BLOCK_IO_ERROR", "data": {"device": "drive0", "operation": "write", "action": "stop"}}"#,
    ] {
        let message = read(line);
        assert!(!matches!(message.event, Event::Other(_)), "{message:?}");
        assert_eq!(from_str::<Object<'_>>(&message.to_string()), from_str(line), "{line}");
    }
    // Red Hat's additions, before QEMU had a reason of its own.
    let text = r#"{"event": "BLOCK_IO_ERROR", "data": {"device": "d", "operation": "write", "action": "stop", "__com.redhat_reason": "enospc"}}"#;
    let full: FullEvent<'_> = from_str(text).unwrap();
    assert!(matches!(full.message.event, Event::BlockIoError(_)));
    assert_eq!(full.unknown.iter().map(|member| &*member.name).collect::<Vec<_>>(), ["__com.redhat_reason"]);
}

#[test]
fn data_in_a_string_is_read_like_the_object_in_it() {
    let plain = r#"{"event": "MIGRATION_PASS", "data": {"pass": 2}}"#;
    let wrapped = r#"{"event": "MIGRATION_PASS", "data": "{\"pass\":2}"}"#;
    assert_eq!(read(wrapped), read(plain));
    assert_eq!(read(wrapped).to_string(), plain);
    let Event::Other(event) = read(r#"{"event": "NEW", "data": "{\"x\":[1]}"}"#).event else {
        panic!("an unknown event")
    };
    assert_eq!(event.data.unwrap().to_string(), r#"{"x": [1]}"#);
    for data in [r#""text""#, r#""{""#, r#""{} {}""#, r#""[1]""#] {
        let text = format!(r#"{{"event": "MIGRATION_PASS", "data": {data}}}"#);
        let Event::Other(event) = read(&text).event else { panic!("{text}") };
        assert!(matches!(event.data, Some(Value::Str(_))), "{event:?}");
        assert_eq!(event.reason.kind, ErrorKind::Type { expected: "an object", found: "a string" });
    }
}

#[test]
fn untyped_events_are_equal_whatever_the_white_space() {
    let spaced = r#"{ "event": "NEW",  "data": {"x" : 1} }"#;
    assert_eq!(read(r#"{"event": "NEW", "data": {"x": 1}}"#), read(spaced));
    assert_ne!(read(r#"{"event": "NEW", "data": {"x": 2}}"#), read(spaced));
}

#[test]
fn events_are_read_from_a_name_and_data() {
    let event = |name: &'static str, data| Event::from_name_and_data(name, data);
    assert_eq!(event("SHUTDOWN", None).unwrap(), read(r#"{"event": "SHUTDOWN"}"#).event);
    assert_eq!(
        event("VSERPORT_CHANGE", Some(r#" {"open":true,"id":"x"} "#)).unwrap(),
        read(r#"{"event": "VSERPORT_CHANGE", "data": {"open": true, "id": "x"}}"#).event
    );
    assert!(matches!(event("NEW", Some("{}")).unwrap(), Event::Other(_)));
    assert!(event("STOP", Some("{")).unwrap_err().is_syntax());
    assert!(event("STOP", Some("{} x")).unwrap_err().is_syntax());
}

#[test]
fn members_are_read_in_any_order_with_any_white_space() {
    let message = read(
        " {\"data\" :\n{ \"reason\":\"guest-reset\" ,\t\"new\": {\"deep\": [1,2]}, \"guest\" : true},\r\n \"event\":\"SHUTDOWN\", \
         \"timestamp\":{\"microseconds\":5,\"seconds\":4}}  ",
    );
    assert_eq!(message.timestamp, Some(Timestamp { seconds: 4, microseconds: 5 }));
    assert!(matches!(message.event, Event::Shutdown(event) if event.guest == Some(true)));
}

#[test]
fn full_event_keeps_unknown_members() {
    let text = r#"{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "NETDEV_STREAM_CONNECTED", "data": {"addr": {"path": "p", "type": "unix", "mode": 7}, "netdev-id": "n", "speed": {"x": 1}}, "vendor": "v"}"#;
    let full: FullEvent<'_> = from_str(text).unwrap();
    let found: Vec<String> =
        full.unknown.iter().map(|member| format!("{}/{}", member.path.join("/"), member.name)).collect();
    assert_eq!(found, ["data/addr/mode", "data/speed", "/vendor"]);
    assert!(matches!(full.message.event, Event::NetdevStreamConnected(_)));
    let mut again: Object<'_> = from_str(text).unwrap();
    let written = full.to_vec();
    let mut theirs: Object<'_> = from_str(core::str::from_utf8(&written).unwrap()).unwrap();
    sort(&mut again);
    sort(&mut theirs);
    assert_eq!(again, theirs, "nothing is lost");
    assert_eq!(full.clone().into_owned(), full);
}

fn sort(object: &mut Object<'_>) {
    object.0.sort_by(|one, other| one.0.cmp(&other.0));
    for (_, value) in &mut object.0 {
        if let Value::Object(inner) = value {
            sort(inner);
        }
    }
}

#[test]
fn unexpected_data_of_an_event_is_kept() {
    let text =
        r#"{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "SUSPEND_DISK", "data": {"disk": {"id": 1}}}"#;
    let full: FullEvent<'_> = from_str(text).unwrap();
    assert_eq!(full.message.event, Event::SuspendDisk);
    assert_eq!(full.unknown.iter().len(), 1);
    assert_eq!(String::from_utf8(full.to_vec()).unwrap(), text);
}

#[test]
fn misfit_event_drops_unknown_members_noted_before() {
    let text = r#"{"event": "SHUTDOWN", "data": {"new": 1, "guest": "yes", "reason": "none"}}"#;
    let full: FullEvent<'_> = from_str(text).unwrap();
    assert!(full.unknown.is_empty(), "{full:?}");
    assert!(matches!(full.message.event, Event::Other(_)));
}

#[test]
fn unknown_member_is_kept_once_after_rereading() {
    let text = r#"{"event": "NETDEV_STREAM_CONNECTED", "data": {"addr": {"type": "unix", "path": "p", "x": 1}, "y": 2, "netdev-id": "n"}}"#;
    let full: FullEvent<'_> = from_str(text).unwrap();
    let found: Vec<&str> = full.unknown.iter().map(|member| &*member.name).collect();
    assert_eq!(found, ["x", "y"]);
}

#[test]
fn invalid_json_is_an_error_with_its_offset() {
    for (text, offset) in [
        (r#"{"event": inf}"#, 10),
        (r#"{"event": "STOP""#, 16),
        (r#"{"event": "STOP",}"#, 17),
        (r#"{"event": "STOP"} x"#, 18),
        (r#"{"event": "A", "data": [1,]}"#, 26),
        (r#"{"event": "A", "data": 01}"#, 24),
        (r#"{"event": "A", "data": nan}"#, 23),
        (r#"{"event": "A\q"}"#, 13),
        ("{\"event\": \"A\u{1}\"}", 12),
        ("", 0),
    ] {
        let error = from_str::<EventMessage<'_>>(text).unwrap_err();
        assert!(error.is_syntax(), "{text}: {error}");
        assert_eq!(error.offset, offset, "{text}: {error}");
    }
    assert_eq!(qmp_schema::from_slice::<EventMessage<'_>>(b"{\"event\": \"\xff\"}").unwrap_err().offset, 11);
}

/// Also in a debug build, on the small stack of a thread.
#[test]
fn depth_is_bounded() {
    let nested = |levels: usize| {
        // Objects and arrays alternate.
        let (mut before, mut behind) = (String::new(), String::new());
        for level in 0..levels {
            before += if level % 2 == 0 { "[" } else { "{\"a\": " };
            behind.insert(0, if level % 2 == 0 { ']' } else { '}' });
        }
        format!("{before}0{behind}")
    };
    let event = |levels| format!("{{\"event\": \"A\", \"data\": {}}}", nested(levels - 1));
    let deepest = event(MAX_VALUE_DEPTH);
    let message = read(&deepest);
    assert_eq!(message.to_vec(), deepest.as_bytes());
    assert_eq!(message.clone().into_owned(), message);
    assert!(format!("{message:?}").len() > deepest.len());
    let error = from_str::<EventMessage<'_>>(&event(MAX_VALUE_DEPTH + 1)).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Depth { limit: MAX_VALUE_DEPTH });
    let reply = |levels| format!("{{\"return\": {}}}", nested(levels - 1));
    assert!(matches!(from_str(&reply(MAX_DEPTH)), Ok(Message::Return(_))));
    let error = from_str::<Message<'_>>(&reply(MAX_DEPTH + 1)).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Depth { limit: MAX_DEPTH });
    // A member that the schema does not name.
    let beside = format!("{{\"event\": \"STOP\", \"new\": {}}}", nested(MAX_DEPTH - 1));
    assert_eq!(read(&beside).event, Event::Stop);
}

#[test]
fn other_messages_are_not_events() {
    assert!(from_str::<EventMessage<'_>>(r#"{"return": {}}"#).is_err());
    for (text, what) in [
        (r#"{"return": {}, "id": 1}"#, "return"),
        (r#"{"id": [1], "return": 5}"#, "return"),
        (r#"{"error": {"class": "GenericError", "desc": "no"}}"#, "error"),
        (r#"{"id": "x", "error": {"class": "Novel", "desc": "\u00e9"}}"#, "error"),
        (
            r#"{"QMP": {"version": {"qemu": {"micro": 0, "minor": 1, "major": 2}, "package": ""}, "capabilities": ["oob", "new"]}}"#,
            "greeting",
        ),
        (r#"{"event": "STOP", "timestamp": {"seconds": 1, "microseconds": 0}}"#, "event"),
        (r#"{"error": "no object"}"#, "other"),
        (r#"{"return": {}, "id": 1e400}"#, "return"),
        (r"{}", "other"),
        (r"[1]", "other"),
        (r"5", "other"),
    ] {
        let message: Message<'_> = from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let found = match &message {
            Message::Return(_) => "return",
            Message::Error(_) => "error",
            Message::Greeting(_) => "greeting",
            Message::Event(_) => "event",
            Message::Other(_) => "other",
        };
        assert_eq!(found, what, "{text}");
        assert_eq!(message.clone().into_owned(), message);
    }
}

#[test]
fn escapes_become_their_characters() {
    let text = r#"{"event": "X", "data": "\"\\\/\b\f\n\r\t\u0041\uD83D\uDE00\uD83Dx\uDE00"}"#;
    let Event::Other(event) = read(text).event else { panic!("unknown") };
    let read = event.data.unwrap();
    assert_eq!(read.as_str(), Some("\"\\/\u{8}\u{c}\n\r\tA😀\u{fffd}x\u{fffd}"));
}
