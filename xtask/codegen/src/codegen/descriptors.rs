//! Descriptors: the types as data, which introspection is answered from.

use std::fmt::Write as _;

use super::{Facts, Kind, Member, Tag, Value, pascal};

/// `generated/descriptors.rs`: a constant for each type and for the data of each event.
pub(crate) fn root(facts: &Facts) -> anyhow::Result<String> {
    let mut out = String::from(
        "//! The types as data.\n\n\
         use crate::qapi::{Member, Type, Variant};\n\n",
    );
    for event in facts.events.iter().filter(|event| !event.members.is_empty()) {
        let borrows = event.members.iter().any(|member| facts.borrows(&member.ty));
        out += &constant(&pascal(&event.name), borrows, &structure(facts, &event.members)?)?;
    }
    for ty in facts.types() {
        let value = match &ty.kind {
            Kind::Enum { values } => enumeration(values),
            Kind::Struct { members } => structure(facts, members)?,
            Kind::Union { tag, variants } => union(facts, tag, variants)?,
        };
        out += &constant(&ty.rust(), facts.borrows(&ty.name), &value)?;
    }
    Ok(out)
}

fn constant(name: &str, borrows: bool, value: &str) -> anyhow::Result<String> {
    let lifetime = if borrows { "<'_>" } else { "" };
    let mut out = String::new();
    write!(
        out,
        "impl crate::{name}{lifetime} {{\n/// The type as QAPI declares it.\npub const TYPE: Type = {value};\n}}\n\n"
    )?;
    Ok(out)
}

fn enumeration(values: &[Value]) -> String {
    let values: Vec<String> = values.iter().map(|value| format!("{:?}", value.name)).collect();
    format!("Type::Enum(&[{}])", values.join(", "))
}

fn structure(facts: &Facts, members: &[Member]) -> anyhow::Result<String> {
    let mut out = String::from("Type::Struct(&[");
    for Member { name, ty, optional, .. } in members {
        let call = if *optional { "optional" } else { "required" };
        write!(out, "Member::{call}({name:?}, {}),", descriptor(facts, ty)?)?;
    }
    Ok(out + "])")
}

fn union(facts: &Facts, tag: &Tag, variants: &[Value]) -> anyhow::Result<String> {
    let mut out = format!("Type::Union {{ tag: {:?}, variants: &[", tag.name);
    for Value { name, ty, .. } in variants {
        write!(out, "Variant::new({name:?}, {}),", descriptor(facts, ty)?)?;
    }
    Ok(out + "] }")
}

/// An expression for the type of a member.
fn descriptor(facts: &Facts, ty: &str) -> anyhow::Result<String> {
    if let Some(element) = ty.strip_prefix('[').and_then(|ty| ty.strip_suffix(']')) {
        return Ok(format!("Type::Array(&{})", descriptor(facts, element)?));
    }
    Ok(match ty {
        "str" => "Type::Str".to_owned(),
        "bool" => "Type::Bool".to_owned(),
        "int" => "Type::Int".to_owned(),
        "size" | "uint64" => "Type::Uint64".to_owned(),
        "uint32" => "Type::Uint32".to_owned(),
        "uint16" => "Type::Uint16".to_owned(),
        name => format!("crate::{}::TYPE", facts.ty(name)?.rust()),
    })
}
