//! The reply to `query-qmp-schema` equals QEMU's for the same commands and events, after the numbers of types are resolved.

#[cfg(unix)]
#[path = "table/qemu.rs"]
mod qemu;
mod table;

use std::collections::HashMap;

use qmp_server::qmp_schema::SpiceInfo;
use qmp_server::schema::{Struct, Type};
use qmp_server::{Command, EventInfo, Object, Service, Session, Value, Version, parse_value};

/// The entries of QEMU 7.2 that [`table::NAMES`] lead to, one a line, as `cargo xtask record-qmp` keeps them.
const RECORDED: &str = include_str!("table/schema-7.2.txt");

/// `qapi/ui.json`, as far as it is about SPICE, and two commands of other forms.
fn service() -> Service {
    let link = Struct::new().required("name", Type::Str).required("up", Type::Bool);
    Service::builder(Version::new(7, 2, 22, ""))
        .command(Command::new("query-spice", |_| Ok(())).returns(SpiceInfo::TYPE))
        .command(Command::new("set_link", |_| Ok(())).takes(link))
        .command(Command::new("migrate-pause", |_| Ok(())).allow_oob())
        .events(EventInfo::all().iter().filter(|event| event.name.starts_with("SPICE_")))
        .build()
}

/// The entries of a schema by their names.
struct Schema(HashMap<String, Object<'static>>);

impl Schema {
    fn new(entries: impl IntoIterator<Item = Value<'static>>) -> Self {
        let entries = entries.into_iter().map(|entry| {
            let entry = entry.as_object().expect("an object").clone();
            (text(&entry, "name").to_owned(), entry)
        });
        Self(entries.collect())
    }

    /// Out of the line of a reply.
    fn from_reply(reply: &str) -> Self {
        let reply = parse_value(reply).expect("JSON");
        let entries = reply.as_object().and_then(|reply| reply.get("return")).and_then(Value::as_array);
        Self::new(entries.expect("an array").iter().cloned())
    }

    /// An entry with the types that it refers to put in place.
    fn resolve(&self, name: &str) -> String {
        let entry = self.0.get(name).unwrap_or_else(|| panic!("no entry {name}"));
        let at = |key: &str| self.resolve(text(entry, key));
        let list = |key: &str| entry.get(key).and_then(Value::as_array).expect("an array");
        match text(entry, "meta-type") {
            "builtin" => format!("{name}/{}", text(entry, "json-type")),
            "array" => format!("[{}]", at("element-type")),
            "enum" => {
                let members = list("members").iter().map(|member| text(member.as_object().expect("an object"), "name"));
                let values = list("values").iter().map(|value| value.as_str().expect("a string"));
                assert!(members.eq(values));
                format!("{:?}", list("values"))
            }
            "object" => {
                let members = list("members").iter().map(|member| {
                    let member = member.as_object().expect("an object");
                    let optional = if member.get("default") == Some(&Value::Null) { "?" } else { "" };
                    format!("{}{optional}: {}", text(member, "name"), self.resolve(text(member, "type")))
                });
                format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
            }
            "event" => format!("event {}", at("arg-type")),
            "command" => format!("command {} -> {} {:?}", at("arg-type"), at("ret-type"), entry.get("allow-oob")),
            other => panic!("{name} is a {other}"),
        }
    }
}

fn text<'a>(object: &'a Object<'_>, key: &str) -> &'a str {
    object.get(key).and_then(Value::as_str).unwrap_or_else(|| panic!("no string {key:?} in {object:?}"))
}

fn ours() -> Schema {
    let mut session = Session::new(&service());
    let input = b"{'execute':'qmp_capabilities'}{'execute':'query-qmp-schema'}";
    let taken = session.receive(input);
    assert_eq!(session.receive(&input[taken..]), input.len() - taken);
    let output: Vec<u8> = std::iter::from_fn(|| session.poll_output()).flatten().collect();
    let output = String::from_utf8(output).expect("ASCII");
    Schema::from_reply(output.lines().nth(2).expect("a third line"))
}

fn compare(theirs: &Schema) {
    let ours = ours();
    for name in table::NAMES {
        assert_eq!(ours.resolve(name), theirs.resolve(name), "{name}");
    }
}

#[test]
fn schema_equals_the_recorded_one() {
    compare(&Schema::new(RECORDED.lines().map(|line| parse_value(line).expect("JSON"))));
}

#[cfg(unix)]
#[test]
fn schema_equals_that_of_a_live_qemu() {
    for program in qemu::programs() {
        let folder = tempfile::tempdir().expect("a folder");
        match qemu::Qemu::start(&program, folder.path()).expect("QEMU starts") {
            Some(qemu) => compare(&Schema::from_reply(&qemu.schema().expect("QEMU answers"))),
            None if std::env::var_os("CI").is_some() => panic!("{} is not installed", program.display()),
            None => eprintln!("skipped: {} is not installed", program.display()),
        }
    }
}

#[test]
fn each_type_is_described_once() {
    let ours = ours();
    let numbers = ours.0.keys().filter(|name| name.parse::<u32>().is_ok()).count();
    // The empty object, arguments and answers of the commands, addresses, family, mouse mode: whatever is equal is one type.
    assert_eq!(numbers, 15, "{:?}", ours.0.keys());
    assert_eq!(ours.resolve("0"), "{}");
}
