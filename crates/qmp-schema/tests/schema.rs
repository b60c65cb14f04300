//! The schemas of two versions of QEMU, compared with the types. `qemu-7.2.json` is the answer of Debian's QEMU to
//! `query-qmp-schema`, `qemu-11.1.json` is that of QEMU 11.1.3.
//!
//! A struct is an object of its members (`?` marks the name of an optional one), an enumeration is an array of its values, a list
//! is `{"each": …}`, a union is `{"tag": …, "cases": …}`. `cargo xtask schema` records the data and compares them with the facts.
//! These tests compare them with the generated code.
#![allow(clippy::unwrap_used, reason = "a helper's panic fails the test, too")]

use std::collections::BTreeSet;

use qmp_schema::{
    Encode as _, ErrorKind, Event, EventInfo, EventMessage, FullEvent, Object, Value, from_slice, from_str,
};

const VERSIONS: [(&str, &str, usize); 2] =
    [("7.2", include_str!("data/qemu-7.2.json"), 52), ("11.1", include_str!("data/qemu-11.1.json"), 57)];

/// Required members that versions before 7.2 do not have: these versions are read too.
const LENIENT: [(&str, &str); 6] = [
    ("SHUTDOWN", "guest"),
    ("SHUTDOWN", "reason"),
    ("RESET", "guest"),
    ("RESET", "reason"),
    ("DEVICE_TRAY_MOVED", "id"),
    ("BLOCK_IO_ERROR", "reason"),
];

/// Each event's name and members.
fn events(data: &str) -> Vec<(String, Object<'_>)> {
    let data: Object<'_> = from_str(data).unwrap();
    let Some(Value::Object(events)) = data.get("events").cloned() else { panic!("no events") };
    let members = |value| if let Value::Object(members) = value { members } else { panic!("no members") };
    events.0.into_iter().map(|(name, value)| (name.into_owned(), members(value))).collect()
}

/// Values that cover a type: each value of an enumeration, each case of a union, with and without optional members. Objects are
/// in QEMU's order.
fn samples(ty: &Value<'_>) -> Vec<Value<'static>> {
    match ty {
        Value::Str(name) => match &**name {
            "str" => vec![Value::from("text".to_owned()), Value::from(String::new())],
            "int" => vec![Value::Int(0), Value::Int(60_000)],
            "bool" => vec![Value::Bool(false), Value::Bool(true)],
            other => panic!("{other}"),
        },
        Value::Array(values) => values.iter().map(|value| value.clone().into_owned()).collect(),
        Value::Object(ty) => {
            if let Some(each) = ty.get("each") {
                return vec![Value::Array(Vec::new()), Value::Array(samples(each))];
            }
            let (Some(tag), Some(Value::Object(cases))) = (ty.get("tag").and_then(Value::as_str), ty.get("cases"))
            else {
                return objects(ty, None);
            };
            cases
                .0
                .iter()
                .flat_map(|(case, members)| objects(members.as_object().unwrap(), Some((tag, case))))
                .collect()
        }
        other => panic!("{other:?}"),
    }
}

fn objects(members: &Object<'_>, tag: Option<(&str, &str)>) -> Vec<Value<'static>> {
    let members: Vec<(&str, bool, Vec<Value<'static>>)> =
        members.0.iter().map(|(name, ty)| (name.trim_end_matches('?'), name.ends_with('?'), samples(ty))).collect();
    let longest = members.iter().map(|(.., samples)| samples.len()).max().unwrap_or(1);
    let mut out = Vec::new();
    for turn in 0..=longest {
        // The last value is without optional members.
        let present = members.iter().filter(|(_, optional, _)| turn < longest || !optional);
        // QEMU inserts the discriminator first.
        let tag = tag.map(|(tag, case)| (tag.to_owned().into(), Value::from(case.to_owned())));
        let members =
            present.map(|(name, _, samples)| ((*name).to_owned().into(), samples[turn % samples.len()].clone()));
        out.push(Value::Object(Object::in_qemu_order(tag.into_iter().chain(members).collect())));
    }
    out
}

fn line(name: &str, data: Option<&Value<'_>>) -> Vec<u8> {
    let mut line =
        format!("{{\"timestamp\": {{\"seconds\": 1, \"microseconds\": 2}}, \"event\": \"{name}\"").into_bytes();
    if let Some(data) = data {
        line.extend_from_slice(b", \"data\": ");
        data.write_to(&mut line);
    }
    line.push(b'}');
    line
}

#[test]
fn every_form_of_the_schema_is_typed_and_round_trips() {
    for (version, data, count) in VERSIONS {
        let events = events(data);
        assert_eq!(events.len(), count, "QEMU {version}");
        for (name, members) in events {
            let info = EventInfo::of(&name).unwrap_or_else(|| panic!("{name} of QEMU {version} has no type"));
            assert_eq!(info.name, name);
            let all =
                if members.0.is_empty() { vec![None] } else { objects(&members, None).into_iter().map(Some).collect() };
            for data in all {
                let line = line(&name, data.as_ref());
                let full: FullEvent<'_> = from_slice(&line).unwrap();
                assert!(!matches!(full.message.event, Event::Other(_)), "{version}: {full:?}");
                assert!(full.unknown.is_empty(), "{version}: {full:?}");
                assert!(
                    !format!("{full:?}").contains("Other("),
                    "a value of an enumeration or a case is unknown: {full:?}"
                );
                assert_eq!(String::from_utf8(full.message.to_vec()).unwrap(), String::from_utf8(line).unwrap());
            }
        }
    }
}

#[test]
fn missing_required_members_and_wrong_types_are_reported() {
    for (version, data, _) in VERSIONS {
        for (name, members) in events(data) {
            let Some(Value::Object(whole)) =
                objects(&members, None).into_iter().next().filter(|_| !members.0.is_empty())
            else {
                continue;
            };
            for (member, _) in &members.0 {
                let (key, optional) = (member.trim_end_matches('?'), member.ends_with('?'));
                let mut without = whole.clone();
                without.0.retain(|(other, _)| other != key);
                let line_without = line(&name, Some(&Value::Object(without)));
                let message: EventMessage<'_> = from_slice(&line_without).unwrap();
                match &message.event {
                    Event::Other(other) => {
                        assert!(!optional, "{version} {name}: {key} may be absent");
                        assert!(
                            matches!(other.reason.kind, ErrorKind::Missing { member } if member == key),
                            "{other:?}"
                        );
                    }
                    // A member that an older version does not have is optional.
                    _ => assert!(
                        optional || is_new(&name, key) || LENIENT.contains(&(&*name, key)),
                        "{version} {name}: {key} is missing, and no error says so"
                    ),
                }
                let mut wrong = whole.clone();
                *wrong.get_mut(key).unwrap() = Value::Array(vec![Value::Array(Vec::new())]);
                let line_wrong = line(&name, Some(&Value::Object(wrong)));
                let message: EventMessage<'_> = from_slice(&line_wrong).unwrap();
                let Event::Other(other) = &message.event else { panic!("{name}: {key} took an array: {message:?}") };
                assert!(matches!(other.reason.kind, ErrorKind::Type { found: "an array", .. }), "{other:?}");
                assert_eq!(message.to_vec(), line_wrong);
            }
        }
    }
}

/// Whether QEMU 7.2 has the event without this member.
fn is_new(event: &str, member: &str) -> bool {
    let old = events(VERSIONS[0].1);
    old.iter()
        .find(|(name, _)| name == event)
        .is_some_and(|(_, members)| !members.0.iter().any(|(name, _)| name.trim_end_matches('?') == member))
}

/// Every typed event exists in one of the versions.
#[test]
fn every_type_is_an_event_of_a_schema() {
    let theirs: BTreeSet<String> =
        VERSIONS.iter().flat_map(|(_, data, _)| events(data)).map(|(name, _)| name).collect();
    let ours: BTreeSet<String> = EventInfo::all().iter().map(|info| info.name.to_owned()).collect();
    assert_eq!(ours, theirs);
}

/// Only members of a schema are written, for any value.
#[test]
#[cfg(feature = "arbitrary")]
fn no_member_is_made_up() {
    for info in EventInfo::all() {
        let named: BTreeSet<String> = VERSIONS
            .iter()
            .flat_map(|(_, data, _)| events(data))
            .filter(|(name, _)| name == info.name)
            .flat_map(|(_, members)| members.0)
            .map(|(name, _)| name.trim_end_matches('?').to_owned())
            .collect();
        for seed in 0..64_u8 {
            let choices: Vec<u8> =
                (0..200_u8).map(|i| i.wrapping_mul(37).wrapping_add(seed.wrapping_mul(101))).collect();
            let event = Event::arbitrary_named(info.name, &mut arbitrary::Unstructured::new(&choices)).unwrap();
            let text = EventMessage { timestamp: None, event }.to_vec();
            let object: Object<'_> = from_slice(&text).unwrap();
            let written: BTreeSet<String> = match object.get("data") {
                Some(Value::Object(members)) => members.0.iter().map(|(name, _)| name.clone().into_owned()).collect(),
                _ => BTreeSet::new(),
            };
            assert!(written.is_subset(&named), "{}: {written:?} and {named:?}", info.name);
        }
    }
}
