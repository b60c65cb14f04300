//! One plain form for what QEMU, and what the facts file, say of events: types are written out where they are used.
//!
//! A struct is an object of its members (`?` behind the name of one that may be absent), an enumeration a sorted array,
//! a list `{"each": …}`, a union `{"tag": …, "cases": …}`. All integers are `int`, as in QEMU's own introspection.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use serde_json::{Map, Value, json};

use crate::codegen::{Facts, Kind, Member};

/// The commands whose results the crate has types for.
const COMMANDS: [&str; 2] = ["query-spice", "query-version"];

/// The form of a `query-qmp-schema` answer.
pub(crate) fn of_introspection(answer: &Value) -> anyhow::Result<Value> {
    let entries = answer.as_array().context("the answer is no array")?;
    let types: BTreeMap<&str, &Value> =
        entries.iter().filter_map(|entry| Some((entry["name"].as_str()?, entry))).collect();
    let (mut events, mut returns) = (Map::new(), Map::new());
    for entry in entries {
        let name = entry["name"].as_str().context("an entry without a name")?;
        match entry["meta-type"].as_str() {
            Some("event") => {
                events.insert(name.into(), introspected(&types, &entry["arg-type"])?);
            }
            Some("command") if COMMANDS.contains(&name) => {
                returns.insert(name.into(), introspected(&types, &entry["ret-type"])?);
            }
            _ => {}
        }
    }
    Ok(json!({ "events": events, "returns": returns }))
}

fn introspected(types: &BTreeMap<&str, &Value>, name: &Value) -> anyhow::Result<Value> {
    let name = name.as_str().context("a type without a name")?;
    let ty = types.get(name).with_context(|| format!("no type {name}"))?;
    Ok(match ty["meta-type"].as_str() {
        Some("builtin") => name.into(),
        Some("enum") => {
            let values = ty["values"].as_array().context("an enumeration without values")?;
            sorted(values.iter().filter_map(Value::as_str).map(str::to_owned).collect())
        }
        Some("array") => json!({ "each": introspected(types, &ty["element-type"])? }),
        Some("object") => {
            let mut members = Map::new();
            for member in ty["members"].as_array().context("an object without members")? {
                let name = member["name"].as_str().context("a member without a name")?;
                let optional = if member.get("default").is_some() { "?" } else { "" };
                members.insert(format!("{name}{optional}"), introspected(types, &member["type"])?);
            }
            let Some(tag) = ty["tag"].as_str() else { return Ok(members.into()) };
            members.remove(tag);
            let mut cases = Map::new();
            for variant in ty["variants"].as_array().context("a union without cases")? {
                let case = variant["case"].as_str().context("a case without a name")?;
                cases.insert(case.into(), introspected(types, &variant["type"])?);
            }
            if !members.is_empty() {
                bail!("a union with common members is new: {name}");
            }
            json!({ "tag": tag, "cases": cases })
        }
        other => bail!("a type of a new kind: {other:?}"),
    })
}

/// The form of what the facts say of one version.
pub(crate) fn of_facts(facts: &Facts, qemu: &str) -> anyhow::Result<Value> {
    let (mut events, mut returns) = (Map::new(), Map::new());
    for event in facts.events.iter().filter(|event| event.is_in(qemu)) {
        events.insert(event.name.clone(), members(facts, qemu, &event.members)?);
    }
    for ty in facts.types() {
        if let Some(command) = &ty.command {
            returns.insert(command.clone(), stated(facts, qemu, &ty.name)?);
        }
    }
    Ok(json!({ "events": events, "returns": returns }))
}

fn members(facts: &Facts, qemu: &str, members: &[Member]) -> anyhow::Result<Value> {
    let mut out = Map::new();
    for member in members.iter().filter(|member| member.age.is_in(qemu)) {
        let optional = if member.optional { "?" } else { "" };
        out.insert(format!("{}{optional}", member.name), stated(facts, qemu, &member.ty)?);
    }
    Ok(out.into())
}

fn stated(facts: &Facts, qemu: &str, ty: &str) -> anyhow::Result<Value> {
    if let Some(element) = ty.strip_prefix('[') {
        return Ok(json!({ "each": stated(facts, qemu, element.trim_end_matches(']'))? }));
    }
    match ty {
        "str" | "bool" => return Ok(ty.into()),
        "int" | "size" | "uint64" | "uint32" | "uint16" => return Ok("int".into()),
        _ => {}
    }
    Ok(match facts.ty(ty)?.kind {
        Kind::Enum { values } => {
            sorted(values.into_iter().filter(|value| value.age.is_in(qemu)).map(|value| value.name).collect())
        }
        Kind::Struct { members: inner } => members(facts, qemu, &inner)?,
        Kind::Union { tag, variants } => {
            let mut cases = Map::new();
            for variant in variants.iter().filter(|variant| variant.age.is_in(qemu)) {
                cases.insert(variant.name.clone(), stated(facts, qemu, &variant.ty)?);
            }
            let Value::Array(tags) = stated(facts, qemu, &tag.ty)? else { bail!("a tag is an enumeration") };
            if !tags.iter().filter_map(Value::as_str).eq(cases.keys().map(String::as_str)) {
                bail!("the cases of {ty} are not the values of {}", tag.ty);
            }
            json!({ "tag": tag.name, "cases": cases })
        }
    })
}

fn sorted(mut values: Vec<String>) -> Value {
    values.sort_unstable();
    values.into()
}

/// Where two forms differ, in both directions, a line each.
pub(crate) fn differences(name: &str, one: &Value, other_name: &str, other: &Value) -> Vec<String> {
    let mut out = Vec::new();
    for part in ["events", "returns"] {
        // The data of 11.1 hold events alone.
        if let (Some(one), Some(other)) = (one.get(part), other.get(part)) {
            walk(part, (name, one), (other_name, other), &mut out);
        }
    }
    out
}

fn walk(path: &str, one: (&str, &Value), other: (&str, &Value), out: &mut Vec<String>) {
    let (Value::Object(left), Value::Object(right)) = (one.1, other.1) else {
        if one.1 != other.1 {
            out.push(format!("{path}: {} has {}, {} has {}", one.0, one.1, other.0, other.1));
        }
        return;
    };
    for (key, value) in left {
        let path = format!("{path}.{key}");
        match right.get(key) {
            Some(theirs) => walk(&path, (one.0, value), (other.0, theirs), out),
            None => out.push(format!("{path}: {} has it, {} has not", one.0, other.0)),
        }
    }
    for key in right.keys().filter(|key| !left.contains_key(*key)) {
        out.push(format!("{path}.{key}: {} has it, {} has not", other.0, one.0));
    }
}

/// As it is committed: an event a line.
pub(crate) fn text(form: &Value) -> anyhow::Result<String> {
    let mut parts = Vec::new();
    for (part, entries) in form.as_object().context("a form is an object")? {
        let entries = entries.as_object().context("a part is an object")?.iter();
        let lines: Vec<String> = entries.map(|(name, value)| format!("{}: {value}", json!(name))).collect();
        parts.push(format!("{}: {{\n{}\n}}", json!(part), lines.join(",\n")));
    }
    Ok(format!("{{\n{}\n}}\n", parts.join(",\n")))
}
