//! The answer to `query-qmp-schema`, in the form that QEMU's generator gives it (`scripts/qapi/introspect.py`).
//!
//! Commands and events first, then the types that they use, in the order of first use. Types have numbers for names,
//! so that no client depends on them; `0` is the object without members. All integers are `int`.

use std::borrow::Cow;

use crate::command::Command;
use crate::schema::{Struct, Type, Union};
use crate::{Object, Value};

/// The schema as a value.
pub(crate) fn schema<'a>(
    commands: impl Iterator<Item = &'a Command>,
    events: impl Iterator<Item = (&'a str, &'a Struct)>,
) -> Value<'static> {
    let mut types = Types::default();
    types.name(&Struct::new().into());
    let mut entries = Vec::new();
    for command in commands {
        // What isn't checked can't be told either: QEMU too shows such a command with an object without members.
        let takes = command.arguments.clone().unwrap_or_default();
        let takes = types.name(&takes.into());
        let returns = types.name(&command.returns);
        let mut entry = entry(&command.name, "command").with("arg-type", takes).with("ret-type", returns);
        if command.allow_oob {
            entry.insert("allow-oob", true);
        }
        entries.push(entry.into());
    }
    for (name, data) in events {
        let data = types.name(&data.clone().into());
        entries.push(entry(name, "event").with("arg-type", data).into());
    }
    types.describe_into(&mut entries);
    Value::Array(entries)
}

fn entry(name: &str, meta_type: &str) -> Object<'static> {
    Object::new().with("name", name.to_owned()).with("meta-type", meta_type.to_owned())
}

/// The types met so far, by the order of first use.
#[derive(Default)]
struct Types {
    met: Vec<Met>,
    numbers: usize,
}

struct Met {
    name: String,
    kind: Type,
}

impl Types {
    /// The name of a type, a new one if it hasn't been met.
    fn name(&mut self, kind: &Type) -> String {
        let kind = widened(kind);
        if let Some(met) = self.met.iter().find(|met| met.kind == *kind) {
            return met.name.clone();
        }
        let name = match &*kind {
            Type::Str => "str".to_owned(),
            Type::Int | Type::Ranged { .. } | Type::Uint64 => "int".to_owned(),
            Type::Number => "number".to_owned(),
            Type::Bool => "bool".to_owned(),
            Type::Null => "null".to_owned(),
            Type::Any => "any".to_owned(),
            Type::Array(element) => format!("[{}]", self.name(element)),
            Type::Enum(_) | Type::Struct(_) | Type::Union(_) => {
                self.numbers += 1;
                (self.numbers - 1).to_string()
            }
        };
        self.met.push(Met { name: name.clone(), kind: kind.into_owned() });
        name
    }

    /// Describing a type may meet others, which come after it.
    fn describe_into(&mut self, entries: &mut Vec<Value<'static>>) {
        let mut at = 0;
        while let Some(Met { name, kind }) = self.met.get(at) {
            let (name, kind) = (name.clone(), kind.clone());
            entries.push(self.describe(&name, &kind).into());
            at += 1;
        }
    }

    fn describe(&mut self, name: &str, kind: &Type) -> Object<'static> {
        let builtin = |json_type: &str| entry(name, "builtin").with("json-type", json_type.to_owned());
        match kind {
            Type::Str => builtin("string"),
            Type::Int | Type::Ranged { .. } | Type::Uint64 => builtin("int"),
            Type::Number => builtin("number"),
            Type::Bool => builtin("boolean"),
            Type::Null => builtin("null"),
            Type::Any => builtin("value"),
            Type::Array(element) => entry(name, "array").with("element-type", self.name(element)),
            Type::Enum(kind) => {
                let values: Vec<Value<'static>> = kind.values.iter().map(|value| Value::from(value.clone())).collect();
                let members = values.iter().map(|value| Object::new().with("name", value.clone()).into()).collect();
                entry(name, "enum").with("members", Value::Array(members)).with("values", values)
            }
            Type::Struct(Struct { members }) => {
                let members = members.iter().map(|member| {
                    let mut object =
                        Object::new().with("name", member.name.clone()).with("type", self.name(&member.kind));
                    if member.optional {
                        object.insert("default", Value::Null);
                    }
                    object.into()
                });
                let members = members.collect();
                entry(name, "object").with("members", Value::Array(members))
            }
            Type::Union(Union { tag: (tag, cases), variants }) => {
                let base = Object::new().with("name", tag.clone()).with("type", self.name(&Type::Enum(cases.clone())));
                let cases = cases.values.iter().zip(variants).map(|(case, members)| {
                    let members = self.name(&Type::Struct(members.clone()));
                    Object::new().with("case", case.clone()).with("type", members).into()
                });
                let cases = cases.collect();
                entry(name, "object")
                    .with("members", vec![base.into()])
                    .with("tag", tag.clone())
                    .with("variants", Value::Array(cases))
            }
        }
    }
}

/// Integers of every width are one type to introspection.
fn widened(kind: &Type) -> Cow<'_, Type> {
    match kind {
        Type::Ranged { .. } | Type::Uint64 => Cow::Owned(Type::Int),
        kind => Cow::Borrowed(kind),
    }
}
