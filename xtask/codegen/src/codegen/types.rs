//! The public types: what people read.

use std::fmt::Write as _;

use super::{
    Facts, Kind, Member, Type, Value,
    facts::{Age, Event, field},
    pascal,
};

/// `generated/mod.rs`: the event and the table of what is known about each.
pub(crate) fn root(facts: &Facts, modules: &[String]) -> String {
    let mut out = String::from("//! Every event of QEMU, and facts about each.\n\n");
    out.push_str("use crate::{EventInfo, OtherEvent};\n\n#[cfg(feature = \"arbitrary\")]\nmod arbitrary;\nmod codec;\nmod descriptors;\n");
    for module in modules {
        writeln!(out, "mod {module};").unwrap_or_default();
    }
    for module in modules {
        writeln!(out, "pub use {module}::*;").unwrap_or_default();
    }
    let (oldest, newest) = (&facts.supported.oldest, &facts.supported.newest);
    write!(
        out,
        "\n/// An event: every one that a QEMU of version {oldest} … {newest} can send, and any other.\n\
         #[derive(Clone, Debug, PartialEq)]\n#[non_exhaustive]\npub enum Event<'a> {{\n"
    )
    .unwrap_or_default();
    for event in &facts.events {
        let name = pascal(&event.name);
        writeln!(out, "/// `{}`: {}", event.name, event.doc).unwrap_or_default();
        out.push_str(&notes(event));
        match (event.members.is_empty(), event.members.iter().any(|member| facts.borrows(&member.ty))) {
            (true, _) => writeln!(out, "{name},"),
            (false, true) => writeln!(out, "{name}({name}<'a>),"),
            (false, false) => writeln!(out, "{name}({name}),"),
        }
        .unwrap_or_default();
    }
    out.push_str(
        "/// An event of an unknown name, or one whose data does not fit the schema: its name and data, and the \
         reason.\nOther(OtherEvent<'a>),\n}\n\n",
    );
    out.push_str("/// All events that have a type.\npub(crate) static EVENTS: &[EventInfo] = &[\n");
    for event in &facts.events {
        out.push_str(&info(event));
    }
    out.push_str("];\n\n");
    out.push_str(&all_types(facts));
    out
}

/// A macro that hands the names of all types to another: those that borrow, then those that do not.
fn all_types(facts: &Facts) -> String {
    let with_data = facts.events.iter().filter(|event| !event.members.is_empty());
    let events = with_data.map(|event| (pascal(&event.name), event.members.iter().any(|m| facts.borrows(&m.ty))));
    let types = facts.types().map(|ty| (ty.rust(), facts.borrows(&ty.name)));
    let (borrowed, copied): (Vec<_>, Vec<_>) = events.chain(types).partition(|(_, borrows)| *borrows);
    let names = |types: Vec<(String, bool)>| types.into_iter().map(|(name, _)| name).collect::<Vec<_>>().join("\n");
    format!(
        "/// Passes the name of every type to a macro: first those with a lifetime, then those without.\n\
         macro_rules! with_all_types {{\n    ($then:ident) => {{\n        $then! {{\n\
         {};\n{}\n}}\n}};\n}}\npub(crate) use with_all_types;\n",
        names(borrowed),
        names(copied)
    )
}

/// `generated/MODULE.rs`: one module's types.
pub(crate) fn module(facts: &Facts, module: &str) -> anyhow::Result<String> {
    let (mut body, mut cow) = (String::new(), false);
    for event in facts.events.iter().filter(|event| event.module == module && !event.members.is_empty()) {
        let doc = format!("/// The data of `{}`: {}\n{}", event.name, lower_first(&event.doc), notes(event));
        cow |= event.members.iter().any(|member| member.ty == "str");
        body.push_str(&structure(facts, &pascal(&event.name), &doc, &event.members)?);
    }
    for ty in facts.types().filter(|ty| ty.module == module) {
        let mut doc = format!("/// {}\n", ty.doc);
        if let Some(command) = &ty.command {
            writeln!(doc, "///\n/// Returned by the command `{command}`.")?;
        }
        match &ty.kind {
            Kind::Enum { values } => {
                cow = true;
                body.push_str(&enumeration(&ty, &doc, values)?);
            }
            Kind::Struct { members } => {
                cow |= members.iter().any(|member| member.ty == "str");
                body.push_str(&structure(facts, &ty.rust(), &doc, members)?);
            }
            Kind::Union { variants, .. } => body.push_str(&union(facts, &ty, &doc, variants)?),
        }
    }
    let mut out = format!("//! {}\n\n", title(module));
    if cow {
        out.push_str("use alloc::borrow::Cow;\n");
    }
    if body.contains("Vec<") {
        out.push_str("use alloc::vec::Vec;\n");
    }
    let uses: Vec<String> = facts
        .types()
        .filter(|ty| ty.module != module && mentions(&body, &ty.rust()))
        .map(|ty| ty.rust())
        .chain(body.contains("Object<'a>").then(|| "Object".to_owned()))
        .collect();
    if !uses.is_empty() {
        writeln!(out, "\nuse crate::{{{}}};", uses.join(", "))?;
    }
    out.push('\n');
    out.push_str(&body);
    Ok(out)
}

fn title(module: &str) -> &'static str {
    match module {
        "run_state" => "The state of the guest: running, stopped, reset, panicked.",
        "block" => "Disks and the jobs that run on them.",
        "devices" => "Devices, memory, clocks and processors.",
        "net" => "Network cards and their back ends.",
        "display" => "Remote desktops: SPICE and VNC.",
        "migration" => "Migration, dumps of memory, fault tolerance.",
        "control" => "QMP's own types.",
        _ => "Other types.",
    }
}

fn structure(facts: &Facts, name: &str, doc: &str, members: &[Member]) -> anyhow::Result<String> {
    let borrows = members.iter().any(|member| facts.borrows(&member.ty));
    let copy = if borrows { "" } else { "Copy, " };
    let lifetime = if borrows { "<'a>" } else { "" };
    // A union's unknown cases may hold floating-point numbers.
    let union = |member: &Member| facts.ty(&member.ty).is_ok_and(|ty| matches!(ty.kind, Kind::Union { .. }));
    let eq = if members.iter().any(union) { "" } else { ", Eq, Hash" };
    let mut out = format!("{doc}#[derive(Clone, {copy}Debug, PartialEq{eq})]\npub struct {name}{lifetime} {{\n");
    for member in members {
        writeln!(out, "/// {}", member.doc)?;
        out.push_str(&since(&member.age));
        if member.lenient {
            out.push_str("/// Older versions, which have no such member, are read too.\n");
        }
        writeln!(out, "pub {}: {},", field(&member.name), field_type(facts, member)?)?;
    }
    out.push_str("}\n\n");
    Ok(out)
}

fn enumeration(ty: &Type, doc: &str, values: &[Value]) -> anyhow::Result<String> {
    let mut out = format!(
        "{doc}#[derive(Clone, Debug, PartialEq, Eq, Hash)]\n#[non_exhaustive]\npub enum {}<'a> {{\n",
        ty.rust()
    );
    for value in values {
        writeln!(out, "/// `{}`: {}", value.name, lower_first(&value.doc))?;
        out.push_str(&since(&value.age));
        writeln!(out, "{},", pascal(&value.name))?;
    }
    out.push_str("/// An unknown value.\nOther(Cow<'a, str>),\n}\n\n");
    Ok(out)
}

fn union(facts: &Facts, ty: &Type, doc: &str, variants: &[Value]) -> anyhow::Result<String> {
    let mut out =
        format!("{doc}#[derive(Clone, Debug, PartialEq)]\n#[non_exhaustive]\npub enum {}<'a> {{\n", ty.rust());
    for variant in variants {
        let lifetime = if facts.borrows(&variant.ty) { "<'a>" } else { "" };
        writeln!(out, "/// `{}`: {}", variant.name, lower_first(&variant.doc))?;
        out.push_str(&since(&variant.age));
        writeln!(out, "{}({}{lifetime}),", pascal(&variant.name), facts.ty(&variant.ty)?.rust())?;
    }
    out.push_str("/// An unknown case: all of its members.\nOther(Object<'a>),\n}\n\n");
    Ok(out)
}

/// A member's Rust type.
fn field_type(facts: &Facts, member: &Member) -> anyhow::Result<String> {
    let element = member.ty.trim_matches(['[', ']']);
    let mut ty = match element {
        "str" => "Cow<'a, str>".to_owned(),
        "bool" => "bool".to_owned(),
        "int" => "i64".to_owned(),
        "size" | "uint64" => "u64".to_owned(),
        "uint32" => "u32".to_owned(),
        "uint16" => "u16".to_owned(),
        name => format!("{}{}", facts.ty(name)?.rust(), if facts.borrows(name) { "<'a>" } else { "" }),
    };
    if member.ty.starts_with('[') {
        ty = format!("Vec<{ty}>");
    }
    Ok(if facts.is_option(member) { format!("Option<{ty}>") } else { ty })
}

/// Versions, rate and stability of an event, as lines of its doc.
fn notes(event: &Event) -> String {
    let mut out = format!("///\n/// Since QEMU {}", event.since);
    if let Some(until) = &event.until {
        write!(out, ", removed in {until}").unwrap_or_default();
    }
    out.push('.');
    if event.deprecated {
        out.push_str(" Deprecated.");
    }
    if event.unstable {
        out.push_str(" Unstable: QEMU may change it at any time.");
    }
    if let Some(limit) = &event.rate_limit {
        out.push_str("\n///\n/// QEMU sends at most one a second");
        if let Some(per) = &limit.per {
            write!(out, " for each `{per}`").unwrap_or_default();
        }
        if let Some(since) = &limit.since {
            write!(out, " (since {since})").unwrap_or_default();
        }
        out.push_str(": of several within a second it sends the last one.");
    }
    out.push('\n');
    out
}

fn since(age: &Age) -> String {
    match age {
        Age { since: Some(since), .. } => format!("///\n/// Since QEMU {since}.\n"),
        Age { seen: Some(seen), .. } => format!("///\n/// Seen in QEMU {seen}.\n"),
        Age { .. } => String::new(),
    }
}

fn info(event: &Event) -> String {
    let mut out = format!("EventInfo::new({:?}, {:?})", event.name, event.since);
    if !event.members.is_empty() {
        write!(out, ".data({}::TYPE)", pascal(&event.name)).unwrap_or_default();
    }
    if let Some(until) = &event.until {
        write!(out, ".until({until:?})").unwrap_or_default();
    }
    if event.deprecated {
        out.push_str(".deprecated()");
    }
    if event.unstable {
        out.push_str(".unstable()");
    }
    if let Some(limit) = &event.rate_limit {
        write!(out, ".limited({:?}, {:?})", limit.per, limit.since).unwrap_or_default();
    }
    out + ",\n"
}

/// The first letter small, unless the first word is all capitals (`JSON`) or a name (`Linux`).
fn lower_first(text: &str) -> String {
    let word = text.split([' ', '.', ':', '\'']).next().unwrap_or_default();
    let name = word.len() > 1 && word.chars().filter(char::is_ascii_uppercase).count() > 1 || word == "Hyper-V";
    let mut chars = text.chars();
    match chars.next() {
        Some(first) if !name => first.to_lowercase().chain(chars).collect(),
        _ => text.to_owned(),
    }
}

/// Whether a name occurs in this text as a word.
pub(crate) fn mentions(body: &str, name: &str) -> bool {
    body.match_indices(name).any(|(at, _)| {
        let before = body[..at].chars().next_back();
        let after = body[at + name.len()..].chars().next();
        let word = |char: Option<char>| char.is_some_and(|char| char.is_ascii_alphanumeric() || char == '_');
        !word(before) && !word(after)
    })
}
