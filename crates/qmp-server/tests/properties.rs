//! What holds for any value and any stream of commands.

use proptest::prelude::*;
use qmp_server::{Command, Encode as _, Object, Service, Session, Value, Version, parse_value};

/// Characters that QEMU's parser takes: no noncharacters.
fn text() -> impl Strategy<Value = String> {
    let common =
        prop::sample::select(vec!['a', 'b', '"', '\\', '/', '\'', '\0', '\n', '\u{7f}', 'é', '\u{fffd}', '😀']);
    let any = any::<char>().prop_filter("noncharacters", |char| {
        let code = u32::from(*char);
        code & 0xFFFE != 0xFFFE && !(0xFDD0..=0xFDEF).contains(&code)
    });
    prop::collection::vec(prop_oneof![common, any], 0..12).prop_map(|chars| chars.into_iter().collect())
}

/// Numbers as QEMU keeps them: a double that prints as an integer comes back as one.
fn number() -> impl Strategy<Value = Value<'static>> {
    prop_oneof![
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>()
            .prop_filter("finite, and not an integer in print", |number| {
                number.is_finite() && (number.fract() != 0.0 || number.abs() >= 1e17)
            })
            .prop_map(Value::from),
    ]
}

fn value() -> impl Strategy<Value = Value<'static>> {
    let leaf =
        prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), number(), text().prop_map(Value::from),];
    leaf.prop_recursive(5, 60, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((text(), inner), 0..6).prop_map(object),
        ]
    })
}

/// An object as it is read: each name once, in QEMU's order.
fn object(members: Vec<(String, Value<'static>)>) -> Value<'static> {
    members.into_iter().fold(Object::new(), |object, (name, value)| object.with(name, value)).into()
}

/// The same value with the members of its objects sorted by name.
fn by_name(value: Value<'static>) -> Value<'static> {
    match value {
        Value::Array(items) => items.into_iter().map(by_name).collect::<Vec<_>>().into(),
        Value::Object(Object(members)) => {
            let mut members: Vec<_> = members.into_iter().map(|(name, value)| (name, by_name(value))).collect();
            members.sort_by(|(one, _), (other, _)| one.cmp(other));
            Object(members).into()
        }
        other => other,
    }
}

fn session() -> Session {
    let service = Service::builder(Version::new(0, 0, 1, ""))
        .command(Command::new("echo", |arguments| Ok(arguments.clone())).takes_anything())
        .build();
    let mut session = Session::new(&service);
    _ = session.receive(b"{'execute': 'qmp_capabilities'}");
    while session.poll_output().is_some() {}
    session
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read_back(value in value()) {
        let text = value.to_vec();
        prop_assert!(text.iter().all(|byte| (0x20..0x7F).contains(byte)));
        let back = parse_value(str::from_utf8(&text).expect("ASCII")).expect("valid");
        prop_assert_eq!(by_name(back.clone()), by_name(value.clone()));
        // Of two names of one bucket the last inserted comes first, so that reading turns them round, and reading again back.
        let twice = parse_value(&back.to_string()).expect("valid");
        prop_assert_eq!(&twice, &value);
        prop_assert_eq!(twice.to_vec(), text);
    }

    #[test]
    fn each_command_has_its_reply_in_any_cut(
        commands in prop::collection::vec((value(), value()), 1..8),
        garbage in prop::collection::vec(any::<u8>(), 0..40),
        size in 1_usize..50,
    ) {
        let mut input = Vec::new();
        let mut expected = Vec::new();
        for (id, argument) in &commands {
            let arguments = Object::new().with("x", argument.clone());
            let command = Object::new().with("execute", "echo").with("arguments", arguments.clone()).with("id", id.clone());
            command.write_to(&mut input);
            let reply = Object::new().with("return", arguments).with("id", id.clone());
            // What was inserted last comes first in a shared bucket, and reading inserts in the order of writing.
            let reply = parse_value(&reply.to_string()).expect("valid");
            reply.write_to(&mut expected);
            expected.extend_from_slice(b"\r\n");
        }
        let mut session = session();
        let mut output = Vec::new();
        // Whatever came before, this brings the reader back to its start.
        let before = [&garbage[..], b"\xff\n"].concat();
        prop_assert_eq!(session.receive(&before), before.len());
        while session.poll_output().is_some() {}
        for piece in input.chunks(size) {
            prop_assert_eq!(session.receive(piece), piece.len());
            output.extend(std::iter::from_fn(|| session.poll_output()).flatten());
        }
        prop_assert_eq!(String::from_utf8(output), String::from_utf8(expected));
    }
}
