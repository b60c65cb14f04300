//! Serde, with serde_json: it reads and writes the same as the crate itself.
#![allow(clippy::unwrap_used, reason = "a helper's panic fails the test, too")]

use qmp_schema::{
    Command, Encode as _, ErrorReply, Event, EventMessage, FullEvent, Greeting, Message, NetworkAddressFamily, Object,
    RawJson, Return, SpiceChannel, SpiceInfo, Timestamp, Value, from_str,
};

const LINES: &str = concat!(include_str!("data/qemu-7.2.events"), include_str!("data/spice.events"));

#[test]
fn serde_writes_and_reads_each_line_unchanged() {
    for line in LINES.lines() {
        let ours: EventMessage<'_> = from_str(line).unwrap();
        let theirs: EventMessage<'static> = serde_json::from_str(line).unwrap();
        assert_eq!(theirs, ours);
        let written = serde_json::to_string(&ours).unwrap();
        assert_eq!(written, line.replace("\": ", "\":").replace(", \"", ",\""), "members in QEMU's order");
        let value = serde_json::to_value(&ours).unwrap();
        assert_eq!(serde_json::from_value::<EventMessage<'_>>(value).unwrap(), ours);
    }
}

#[test]
fn messages_of_all_kinds() {
    for text in [
        r#"{"QMP":{"version":{"qemu":{"micro":0,"minor":2,"major":10},"package":""},"capabilities":["oob"]}}"#,
        r#"{"return":{"a":[1,-2,18446744073709551615,0.5,null,true,"\u00e9"]},"id":7}"#,
        r#"{"error":{"class":"GenericError","desc":"no"}}"#,
        r#"{"event":"NEW","data":{"x":1}}"#,
        r#"{"other":[]}"#,
    ] {
        let message: Message<'_> = serde_json::from_str(text).unwrap();
        let ours: Message<'_> = from_str(text).unwrap();
        assert_eq!(std::mem::discriminant(&message), std::mem::discriminant(&ours));
        assert_eq!(serde_json::to_value(&message).unwrap(), serde_json::from_str::<serde_json::Value>(text).unwrap());
    }
    let command: Command<'_> = serde_json::from_str(r#"{"execute":"x","arguments":{"a":1},"id":2}"#).unwrap();
    assert_eq!(serde_json::to_string(&command).unwrap(), r#"{"execute":"x","arguments":{"a":1},"id":2}"#);
    assert!(serde_json::from_str::<Greeting<'_>>("{}").is_err());
    assert!(serde_json::from_str::<ErrorReply<'_>>(r#"{"error":{"class":"GenericError","desc":1}}"#).is_err());
}

#[test]
fn types_serialize_without_an_envelope() {
    let channel =
        r#"{"port":"1","family":"quic","channel-type":1,"connection-id":-5,"host":"h","channel-id":0,"tls":true}"#;
    let read: SpiceChannel<'_> = serde_json::from_str(channel).unwrap();
    assert_eq!(read.family, NetworkAddressFamily::Other("quic".into()));
    assert_eq!(serde_json::to_string(&read).unwrap(), channel);
    let time: Timestamp = serde_json::from_str(r#"{"microseconds":-1,"seconds":-1}"#).unwrap();
    assert_eq!(serde_json::to_string(&time).unwrap(), r#"{"seconds":-1,"microseconds":-1}"#);
    let full: FullEvent<'_> = serde_json::from_str(r#"{"event":"STOP","new":1}"#).unwrap();
    assert_eq!((&full.message.event, full.unknown.iter().len()), (&Event::Stop, 1));
    let raw: RawJson<'_> = serde_json::from_str("[1, 2]").unwrap();
    assert_eq!(raw.as_str(), "[1, 2]");
    let reply: Return<'_> =
        serde_json::from_str(r#"{"return":{"enabled":false,"migrated":false,"mouse-mode":"client"}}"#).unwrap();
    let info: SpiceInfo<'_> = reply.value.decode().unwrap();
    assert_eq!(
        serde_json::to_string(&Return { value: info, id: Some(Value::Null) }).unwrap(),
        r#"{"return":{"migrated":false,"enabled":false,"mouse-mode":"client"},"id":null}"#
    );
    assert!(serde_json::from_str::<Object<'_>>("[]").is_err());
    let borrowed: Value<'_> = serde_json::from_str(r#""text""#).unwrap();
    assert!(matches!(borrowed, Value::Str(std::borrow::Cow::Borrowed("text"))));
}

#[test]
fn deserialization_errors_name_the_expected_type() {
    let error = serde_json::from_str::<SpiceChannel<'_>>(r#"{"port":1}"#).unwrap_err().to_string();
    assert!(error.starts_with("expected a string, found a number"), "{error}");
    // JSON has no infinity: this crate writes a number that reads as one, serde_json writes null.
    let infinity = Value::Float(f64::INFINITY);
    assert_eq!(infinity.to_vec(), b"1e+999");
    assert_eq!(serde_json::to_string(&Message::Other(Value::Array(vec![infinity]))).unwrap(), "[null]");
}
