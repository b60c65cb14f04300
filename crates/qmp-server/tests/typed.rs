//! Arguments of a command as a type of its own, and what a handler may return.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io;

use qmp_server::schema::{Struct, Type};
use qmp_server::{Command, CommandError, Object, Service, Session, Version};
use serde_derive::Deserialize;

#[derive(Debug, Deserialize)]
#[allow(dead_code, reason = "shown through Debug")]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Arguments {
    id: String,
    node_name: Option<String>,
    #[serde(default)]
    force: bool,
    #[serde(default)]
    mode: Mode,
    #[serde(default)]
    sizes: Vec<u8>,
    #[serde(default)]
    weight: f64,
    #[serde(default)]
    wrapped: Wrapped,
    #[serde(default)]
    unit: (),
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    #[default]
    Keep,
    Size(u64),
}

#[derive(Debug, Default, PartialEq, Deserialize)]
struct Wrapped(i64);

fn answer(command: Command, input: &str) -> String {
    let service = Service::builder(Version::new(11, 1, 3, "")).command(command).build();
    let mut session = Session::new(&service);
    let mut input = [b"{'execute': 'qmp_capabilities'}", input.as_bytes()].concat();
    while !input.is_empty() {
        let read = session.receive(&input);
        input.drain(..read);
    }
    let output: Vec<u8> = std::iter::from_fn(|| session.poll_output()).flatten().collect();
    String::from_utf8(output).unwrap().lines().last().unwrap().to_owned()
}

fn show() -> Command {
    Command::typed("show", |arguments: Arguments| Ok(format!("{arguments:?}")))
}

#[test]
fn arguments_are_read_into_a_type() {
    let input = "{'execute': 'show', 'arguments': {'id': 'a', 'node-name': 'n', 'force': true, 'mode': {'size':                  18446744073709551615}, 'sizes': [1, 2], 'weight': 3, 'wrapped': -5, 'unit': null}}";
    let expected = r#"Arguments { id: \"a\", node_name: Some(\"n\"), force: true, mode: Size(18446744073709551615), sizes: [1, 2], weight: 3.0, wrapped: Wrapped(-5), unit: () }"#;
    assert_eq!(answer(show(), input), format!("{{\"return\": \"{expected}\"}}"));
    let input = "{'execute': 'show', 'arguments': {'id': 'a', 'node-name': null, 'mode': 'keep', 'weight': 0.5}}";
    let expected = r#"Arguments { id: \"a\", node_name: None, force: false, mode: Keep, sizes: [], weight: 0.5, wrapped: Wrapped(0), unit: () }"#;
    assert_eq!(answer(show(), input), format!("{{\"return\": \"{expected}\"}}"));
}

#[test]
fn arguments_of_another_type_are_an_error() {
    for (arguments, expected) in [
        ("{}", "missing field `id`"),
        ("{'id': 1}", "invalid type: integer `1`, expected a string"),
        ("{'id': 'a', 'more': 1}", "unknown field `more`, expected one of `id`, "),
        ("{'id': 'a', 'force': 'yes'}", "invalid type: string \\\"yes\\\", expected a boolean"),
        ("{'id': 'a', 'sizes': [256]}", "invalid value: integer `256`, expected u8"),
        ("{'id': 'a', 'mode': 'size'}", "invalid type: unit variant, expected newtype variant"),
        ("{'id': 'a', 'mode': {'size': 1, 'keep': 2}}", "expected an object with one member"),
        ("{'id': 'a', 'mode': 5}", "expected a string, found another value"),
    ] {
        let reply = answer(show(), &format!("{{'execute': 'show', 'arguments': {arguments}}}"));
        let start = format!("{{\"error\": {{\"class\": \"GenericError\", \"desc\": \"{expected}");
        assert!(reply.starts_with(&start), "{arguments}: {reply}");
    }
}

#[test]
fn declared_arguments_are_reported_in_qemu_s_words() {
    let command = show().takes(Struct::new().required("id", Type::Str));
    assert_eq!(
        answer(command, "{'execute': 'show'}"),
        r#"{"error": {"class": "GenericError", "desc": "Parameter 'id' is missing"}}"#
    );
}

#[test]
fn command_without_arguments_has_the_unit_type() {
    #[derive(Deserialize)]
    struct Nothing;

    let unit = || Command::typed("show", |(): ()| Ok(true));
    assert_eq!(answer(unit(), "{'execute': 'show'}"), "{\"return\": true}");
    assert!(answer(unit(), "{'execute': 'show', 'arguments': {'a': 1}}").contains("\"error\""));
    let nothing = Command::typed("show", |Nothing| Ok("text"));
    assert_eq!(answer(nothing, "{'execute': 'show'}"), "{\"return\": \"text\"}");
}

#[test]
fn common_results_and_errors_need_no_conversion() {
    let boxed = |_: &Object<'static>| -> Result<bool, CommandError> {
        Err(Box::<dyn std::error::Error + Send + Sync>::from("boxed"))?;
        Ok(true)
    };
    let number = |_: &Object<'static>| -> Result<i64, CommandError> { Ok("x".parse::<i64>()?) };
    let file = |_: &Object<'static>| -> Result<(), CommandError> { Err(io::Error::other("no disk"))? };
    let text = |_: &Object<'static>| -> Result<(), CommandError> { Err("why")? };
    for (command, expected) in [
        (Command::new("c", |_| Ok("text")), "{\"return\": \"text\"}"),
        (Command::new("c", |_| Ok(true)), "{\"return\": true}"),
        (Command::new("c", |_| Ok(5_u64)), "{\"return\": 5}"),
        (Command::new("c", |_| Ok(vec![1_i64, 2])), "{\"return\": [1, 2]}"),
        (Command::new("c", |_| Ok(String::from("text"))), "{\"return\": \"text\"}"),
        (Command::new("c", boxed), "boxed"),
        (Command::new("c", number), "invalid digit found in string"),
        (Command::new("c", file), "no disk"),
        (Command::new("c", text), "why"),
    ] {
        let reply = answer(command, "{'execute': 'c'}");
        let error = format!("{{\"error\": {{\"class\": \"GenericError\", \"desc\": \"{expected}\"}}}}");
        assert!(reply == expected || reply == error, "{reply}");
    }
}
