//! Reading and writing: what the machine runs.

#![allow(clippy::format_push_string, clippy::format_collect, reason = "text made of text reads best so")]

use std::{cmp::Ordering, fmt::Write as _};

use anyhow::Context as _;

use super::{
    Facts, Kind, Member, Tag, Type, Value,
    facts::{Event, field},
    pascal,
    types::mentions,
};

/// `generated/codec/mod.rs`: from a name to an event and back.
pub(crate) fn root(facts: &Facts, modules: &[String]) -> String {
    let mut out = String::from(
        "//! Reading and writing events: from a name to its type and back.\n\n\
         use alloc::borrow::Cow;\n\n\
         use crate::{Error, ErrorKind, Event, Reader, fields::{Members, Fields, Take}, slice_writer::Put};\n\n",
    );
    for module in modules {
        writeln!(out, "mod {module};").unwrap_or_default();
    }
    let without: Vec<&Event> = facts.events.iter().filter(|event| event.members.is_empty()).collect();
    let mut arms = Arms::default();
    for event in &facts.events {
        arms.event(facts, event);
    }
    let mut bare: String =
        without.iter().map(|event| format!("{:?} => Self::{},\n", event.name, pascal(&event.name))).collect();
    for event in facts.events.iter().filter(|event| Facts::is_lenient(event)) {
        let name = pascal(&event.name);
        let members = none(&event.members);
        bare += &format!("{:?} => Self::{name}(crate::{name} {{ {members} }}),\n", event.name);
    }
    write!(
        out,
        "
        impl<'a> Event<'a> {{
            /// The event's name in QMP: `SPICE_CONNECTED`.
            #[must_use]
            pub fn name(&self) -> &str {{
                match self {{ {names} Self::Other(event) => &event.name, }}
            }}

            /// A copy that borrows nothing.
            #[inline]
            #[must_use]
            pub fn into_owned(self) -> Event<'static> {{
                match self {{ {owned} Self::Other(event) => Event::Other(event.into_owned()), }}
            }}

            /// Reads the data of the event of this name.
            pub(crate) fn read_data(name: &str, reader: &mut Reader<'a>) -> Result<Self, Error> {{
                let event = match name {{ {read} _ => return Err(Error::new(ErrorKind::UnknownEvent, reader.lexer.offset())), }};
                reader.take_failure().map_or(Ok(event), Err)
            }}

            /// The event of this name, without data.
            pub(crate) fn without_data(name: &Cow<'a, str>, offset: usize) -> Self {{
                match &**name {{
                    {bare}
                    _ => Self::other_without_data(name, offset),
                }}
            }}

            /// The event's data. `None`: it has none.
            pub(crate) fn data(&self) -> Option<&dyn Put> {{
                Some(match self {{
                    {empty} => return None,
                    {data}
                    Self::Other(event) => event.data.as_ref()?,
                    _ => return None,
                }})
            }}
        }}

        /// The data of an event without data: an empty object, if it is present.
        struct NoData;

        impl<'a> Fields<'a> for NoData {{
            fn build(_: &mut Members<'_, 'a>) -> Self {{
                Self
            }}
        }}
        ",
        names = arms.names,
        owned = arms.owned,
        read = arms.read,
        data = arms.data,
        empty = arms.empty.join(" | "),
    )
    .unwrap_or_default();
    out
}

/// The arms of the matches over all events.
#[derive(Default)]
struct Arms {
    names: String,
    owned: String,
    read: String,
    data: String,
    /// Patterns of events that old versions send without data.
    empty: Vec<String>,
}

impl Arms {
    fn event(&mut self, facts: &Facts, event: &Event) {
        let (qemu, rust) = (&event.name, pascal(&event.name));
        if event.members.is_empty() {
            self.names += &format!("Self::{rust} => {qemu:?},\n");
            self.owned += &format!("Self::{rust} => Event::{rust},\n");
            self.read += &format!("{qemu:?} => {{ NoData::take(reader); Self::{rust} }}\n");
            return;
        }
        let borrows = event.members.iter().any(|member| facts.borrows(&member.ty));
        let owned = if borrows { "event.into_owned()" } else { "event" };
        self.names += &format!("Self::{rust}(_) => {qemu:?},\n");
        self.owned += &format!("Self::{rust}(event) => Event::{rust}({owned}),\n");
        self.read += &format!("{qemu:?} => Self::{rust}(Take::take(reader)),\n");
        if Facts::is_lenient(event) {
            let members = none(&event.members);
            self.empty.push(format!("Self::{rust}(crate::{rust} {{ {members} }})"));
        }
        self.data += &format!("Self::{rust}(data) => data,\n");
    }
}

/// Fields that are all `None`.
fn none(members: &[Member]) -> String {
    members.iter().map(|member| format!("{}: None, ", field(&member.name))).collect()
}

/// `generated/codec/MODULE.rs`: one module's types.
pub(crate) fn module(facts: &Facts, module: &str) -> anyhow::Result<String> {
    let mut body = String::new();
    for event in facts.events.iter().filter(|event| event.module == module && !event.members.is_empty()) {
        body.push_str(&structure(facts, &pascal(&event.name), &event.members)?);
        let lifetime = if event.members.iter().any(|member| facts.borrows(&member.ty)) { "<'a>" } else { "" };
        let name = pascal(&event.name);
        let (generics, any) = if lifetime.is_empty() { ("", "<'_>") } else { ("<'a>", "<'a>") };
        writeln!(
            body,
            "impl{generics} From<{name}{lifetime}> for Event{any} {{ fn from(event: {name}{lifetime}) -> Self {{ \
             Self::{name}(event) }} }}\n"
        )?;
    }
    for ty in facts.types().filter(|ty| ty.module == module) {
        match &ty.kind {
            Kind::Enum { values } => body.push_str(&enumeration(&ty, values)),
            Kind::Struct { members } => body.push_str(&structure(facts, &ty.rust(), members)?),
            Kind::Union { tag, variants } => body.push_str(&union(facts, &ty, tag, variants)?),
        }
    }
    let with_data = facts.events.iter().filter(|event| !event.members.is_empty());
    let events = with_data.map(|event| pascal(&event.name));
    let types = facts.types().map(|ty| ty.rust());
    let crate_wide = ["Decode", "Error", "Event", "Object", "Reader", "open_enum"].map(str::to_owned);
    let mut uses: Vec<String> = crate_wide.into_iter().chain(events).chain(types).collect();
    uses.retain(|name| mentions(&body, name));
    uses.sort_unstable();
    let fields = match (body.contains("fields::read"), body.contains("Take<'a>")) {
        (true, true) => ", fields::{self, Members, Fields, Take}",
        (true, false) => ", fields::{self, Members, Fields}",
        (false, true) => ", fields::Take",
        (false, false) => "",
    };
    let own = if mentions(&body, "own") { ", value::own" } else { "" };
    let writer = if body.contains("impl Put") { ", slice_writer::{Put, SliceWriter}" } else { "" };
    Ok(format!(
        "//! Reading and writing the types of `{module}`.\n\nuse crate::{{{}{fields}{writer}{own}}};\n\n{body}",
        uses.join(", ")
    ))
}

fn enumeration(ty: &Type, values: &[Value]) -> String {
    let values: String = values.iter().map(|value| format!("{} = {:?},\n", pascal(&value.name), value.name)).collect();
    format!("open_enum! {{ {} {{ {values} }} }}\n\n", ty.rust())
}

fn structure(facts: &Facts, name: &str, members: &[Member]) -> anyhow::Result<String> {
    let borrows = members.iter().any(|member| facts.borrows(&member.ty));
    let (any, life) = if borrows { ("<'_>", "<'a>") } else { ("", "") };
    let mut out = String::new();
    if borrows {
        writeln!(
            out,
            "impl {name}<'_> {{\n/// A copy that borrows nothing.\n#[inline]\n#[must_use]\npub fn into_owned(self) -> {name}<'static> \
             {{\n{name} {{"
        )?;
        for member in members {
            writeln!(out, "{}: {},", field(&member.name), owned(facts, member))?;
        }
        out.push_str("}\n}\n}\n\n");
    }
    let order = in_qemu_order(members);
    writeln!(
        out,
        "impl<'a> Decode<'a> for {name}{life} {{\n#[inline]\nfn read(reader: &mut Reader<'a>) -> Result<Self, Error> {{\n\
         fields::read(reader)\n}}\n}}\n\n\
         impl<'a> Fields<'a> for {name}{life} {{\n\
         fn build(members: &mut Members<'_, 'a>) -> Self {{\nSelf {{"
    )?;
    for member in &order {
        let call = if facts.is_option(member) { "optional" } else { "required" };
        writeln!(out, "{}: members.{call}({}),", field(&member.name), key(&member.name))?;
    }
    out.push_str("}\n}\n}\n\n");
    writeln!(out, "impl Put for {name}{any} {{\nfn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {{")?;
    out.push_str(&put_members(facts, &order, "self", None)?);
    out.push_str("}\n}\n\n");
    Ok(out)
}

fn union(facts: &Facts, ty: &Type, tag: &Tag, variants: &[Value]) -> anyhow::Result<String> {
    let name = ty.rust();
    let (mut owned, mut read, mut write) = (String::new(), String::new(), String::new());
    for variant in variants {
        let case = pascal(&variant.name);
        let Kind::Struct { members } = facts.ty(&variant.ty)?.kind else { anyhow::bail!("a case is a struct") };
        let own = if facts.borrows(&variant.ty) { "case.into_owned()" } else { "case" };
        writeln!(owned, "Self::{case}(case) => {name}::{case}({own}),")?;
        writeln!(read, "{:?} => Self::{case}(reader.case({})),", variant.name, key(&tag.name))?;
        // The discriminator is a member of the same object, inserted before the case's own.
        let tag = Member {
            name: tag.name.clone(),
            ty: tag.ty.clone(),
            optional: false,
            lenient: false,
            age: super::facts::Age { since: None, seen: None },
            doc: String::new(),
        };
        let all: Vec<&Member> = std::iter::once(&tag).chain(&members).collect();
        let body = put_members(facts, &sorted(all), "case", Some((&tag.name, &variant.name)))?;
        writeln!(write, "Self::{case}(case) => {{ {body} }}")?;
    }
    let tag = key(&tag.name);
    Ok(format!(
        "
        impl {name}<'_> {{
            /// A copy that borrows nothing.
            #[inline]
            #[must_use]
            pub fn into_owned(self) -> {name}<'static> {{
                match self {{ {owned} Self::Other(members) => {name}::Other(members.into_owned()), }}
            }}
        }}

        impl<'a> Decode<'a> for {name}<'a> {{
            fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {{
                let value = Self::take(reader);
                reader.take_failure().map_or(Ok(value), Err)
            }}
        }}

        impl<'a> Take<'a> for {name}<'a> {{
            fn take(reader: &mut Reader<'a>) -> Self {{
                match &*reader.take_tag({tag}) {{ {read} _ => Self::Other(Object::take(reader)), }}
            }}
        }}

        impl Put for {name}<'_> {{
            fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {{
                match self {{ {write} Self::Other(members) => out.value(members), }}
            }}
        }}
        "
    ))
}

/// A key as the reader wants it, as QEMU writes it behind another.
fn key(name: &str) -> String {
    format!("r#\", \"{name}\": \"#")
}

/// The order in which QEMU emits what it inserted in the schema's order.
fn in_qemu_order(members: &[Member]) -> Vec<&Member> {
    sorted(members.iter().collect())
}

fn sorted(mut members: Vec<&Member>) -> Vec<&Member> {
    qmp_schema::wire::order(&mut members, |member| &member.name);
    members
}

/// Statements that write an object's members in this order, with as few pieces of fixed text as can be.
fn put_members(facts: &Facts, order: &[&Member], holder: &str, tag: Option<(&str, &str)>) -> anyhow::Result<String> {
    let is_fixed = |member: &Member| tag.is_some_and(|(tag, _)| tag == member.name) || !facts.is_option(member);
    // Members before the first required one have their comma after them, all others before them.
    let Some(first) = order.iter().position(|member| is_fixed(member)) else { return put_optional(order, holder) };
    let mut out = String::new();
    // Calls that are due, and fixed text that is due after them.
    let (mut calls, mut due) = (String::new(), String::from("{"));
    for (i, member) in order.iter().enumerate() {
        let (key, name) = (&member.name, field(&member.name));
        if let Some((_, value)) = tag.filter(|(tag, _)| tag == key) {
            due += &format!("{}\"{key}\": \"{value}\"", if i > first { ", " } else { "" });
            continue;
        }
        let quote = if member.ty == "str" { "\"" } else { "" };
        let (before, behind) = match i.cmp(&first) {
            Ordering::Less => ("", ", "),
            Ordering::Equal => ("", ""),
            Ordering::Greater => (", ", ""),
        };
        let (before, behind) = (format!("{before}\"{key}\": {quote}"), format!("{quote}{behind}"));
        if is_fixed(member) {
            calls += &fixed(&(due + &before));
            calls += &value(member, &format!("&{holder}.{name}"));
            due = behind;
        } else {
            calls += &fixed(&due);
            if out.is_empty() {
                out += &format!("let mut out = out{calls};\n");
            } else if !calls.is_empty() {
                out += &format!("out = out{calls};\n");
            }
            (calls, due) = (String::new(), String::new());
            let value = value(member, &name);
            out += &format!(
                "if let Some({name}) = &{holder}.{name} {{ out = out{}{value}{}; }}\n",
                fixed(&before),
                fixed(&behind)
            );
        }
    }
    Ok(out + "out" + &calls + &fixed(&(due + "}")))
}

/// As [`put_members`], for an object without a required member.
fn put_optional(order: &[&Member], holder: &str) -> anyhow::Result<String> {
    let last = order.len().checked_sub(1).context("an object without members")?;
    let mut out = String::from("let mut comma: &[u8] = b\"\";\nlet mut out = out.fixed(b\"{\");\n");
    for (i, member) in order.iter().enumerate() {
        let (key, name) = (&member.name, field(&member.name));
        let quote = if member.ty == "str" { "\"" } else { "" };
        let (before, value) = (fixed(&format!("\"{key}\": {quote}")), value(member, &name));
        out += &format!(
            "if let Some({name}) = &{holder}.{name} {{ out = out.bytes(comma){before}{value}{};",
            fixed(quote)
        );
        out += if i == last { " }\n" } else { " comma = b\", \"; }\n" };
    }
    Ok(out + "out.fixed(b\"}\")")
}

/// A call that writes fixed text, if there is any.
fn fixed(text: &str) -> String {
    match text {
        "" => String::new(),
        "\"" => ".fixed(b\"\\\"\")".to_owned(),
        _ if text.contains('"') => format!(".fixed(br#\"{text}\"#)"),
        _ => format!(".fixed(b\"{text}\")"),
    }
}

/// A call that writes a value; of a string, what stands between its quotes.
fn value(member: &Member, place: &str) -> String {
    format!(".{}({place})", if member.ty == "str" { "text" } else { "value" })
}

/// An expression for a member's owned copy.
fn owned(facts: &Facts, member: &Member) -> String {
    let place = format!("self.{}", field(&member.name));
    if !facts.borrows(&member.ty) {
        return place;
    }
    let option = facts.is_option(member);
    let element = member.ty.trim_matches(['[', ']']);
    let ty = facts.ty(element).map_or_else(|_| String::new(), |ty| ty.rust());
    match (member.ty.starts_with('['), ty.is_empty(), option) {
        (true, _, true) => format!("{place}.map(|items| items.into_iter().map({ty}::into_owned).collect())"),
        (true, _, false) => format!("{place}.into_iter().map({ty}::into_owned).collect()"),
        (false, true, true) => format!("{place}.map(own)"),
        (false, true, false) => format!("own({place})"),
        (false, false, true) => format!("{place}.map({ty}::into_owned)"),
        (false, false, false) => format!("{place}.into_owned()"),
    }
}
