//! Reading and writing: what the machine runs.

#![allow(clippy::format_push_string, clippy::format_collect, reason = "text made of text reads best so")]

use std::fmt::Write as _;

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
         use alloc::{borrow::Cow, vec::Vec};\n\n\
         use crate::{Encode, Error, ErrorKind, Event, Reader, record::{Members, Record, Take}};\n\n",
    );
    for module in modules {
        writeln!(out, "mod {module};").unwrap_or_default();
    }
    let without: Vec<&Event> = facts.events.iter().filter(|event| event.members.is_empty()).collect();
    let mut arms = Arms::default();
    for event in &facts.events {
        arms.event(facts, event);
    }
    let bare: String =
        without.iter().map(|event| format!("{:?} => Self::{},\n", event.name, pascal(&event.name))).collect();
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
                let event = match name {{ {read} _ => return Err(Error::new(ErrorKind::UnknownEvent, reader.offset())), }};
                reader.take_failure().map_or(Ok(event), Err)
            }}

            /// The event of this name, which came without data.
            pub(crate) fn without_data(name: &Cow<'a, str>, offset: usize) -> Self {{
                match &**name {{
                    {bare}
                    _ => Self::other_without_data(name, offset),
                }}
            }}

            /// Writes the event from its name to its end.
            #[expect(clippy::too_many_lines, reason = \"an arm for each event\")]
            pub(crate) fn write_rest(&self, out: &mut Vec<u8>) {{
                match self {{ {write} Self::Other(event) => return event.write_rest(out), }}
                out.push(b'}}');
            }}
        }}

        /// The data of an event that has none: an empty object, if there is one at all.
        struct NoData;

        impl<'a> Record<'a> for NoData {{
            fn build(_: &mut Members<'_, 'a>) -> Self {{
                Self
            }}
        }}
        ",
        names = arms.names,
        owned = arms.owned,
        read = arms.read,
        write = arms.write,
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
    write: String,
}

impl Arms {
    fn event(&mut self, facts: &Facts, event: &Event) {
        let (qemu, rust) = (&event.name, pascal(&event.name));
        if event.members.is_empty() {
            self.names += &format!("Self::{rust} => {qemu:?},\n");
            self.owned += &format!("Self::{rust} => Event::{rust},\n");
            self.read += &format!("{qemu:?} => {{ NoData::take(reader); Self::{rust} }}\n");
            self.write += &format!("Self::{rust} => out.extend_from_slice(b\"\\\"{qemu}\\\"\"),\n");
            return;
        }
        let borrows = event.members.iter().any(|member| facts.borrows(&member.ty));
        let owned = if borrows { "event.into_owned()" } else { "event" };
        self.names += &format!("Self::{rust}(_) => {qemu:?},\n");
        self.owned += &format!("Self::{rust}(event) => Event::{rust}({owned}),\n");
        self.read += &format!("{qemu:?} => Self::{rust}(Take::take(reader)),\n");
        self.write += &format!(
            "Self::{rust}(event) => {{ out.extend_from_slice(b\"\\\"{qemu}\\\", \\\"data\\\": \"); \
             event.write_to(out); }}\n"
        );
    }
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
    let crate_wide = ["Decode", "Encode", "Error", "Event", "Object", "Reader", "open_enum"].map(str::to_owned);
    let mut uses: Vec<String> = crate_wide.into_iter().chain(events).chain(types).collect();
    uses.retain(|name| mentions(&body, name));
    uses.sort_unstable();
    let record = match (body.contains("record::read"), body.contains("Take<'a>")) {
        (true, true) => ", record::{self, Members, Record, Take}",
        (true, false) => ", record::{self, Members, Record}",
        (false, true) => ", record::Take",
        (false, false) => "",
    };
    let own = if mentions(&body, "own") { ", value::own" } else { "" };
    let wire = if body.contains("write_text(") { ", wire::write_text" } else { "" };
    let alloc = if body.contains("Vec<") { "use alloc::vec::Vec;\n\n" } else { "" };
    Ok(format!(
        "//! Reading and writing the types of `{module}`.\n\n{alloc}use crate::{{{}{record}{own}{wire}}};\n\n{body}",
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
         record::read(reader)\n}}\n}}\n\n\
         impl<'a> Record<'a> for {name}{life} {{\n\
         fn build(members: &mut Members<'_, 'a>) -> Self {{\nSelf {{"
    )?;
    for member in &order {
        let call = if is_option(facts, member) { "optional" } else { "required" };
        writeln!(out, "{}: members.{call}({}),", field(&member.name), key(&member.name))?;
    }
    out.push_str("}\n}\n}\n\n");
    writeln!(out, "impl Encode for {name}{any} {{\nfn write_to(&self, out: &mut Vec<u8>) {{")?;
    out.push_str(&write_members(facts, &order, "self", None));
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
            age: super::facts::Age { since: None, seen: None },
            doc: String::new(),
        };
        let all: Vec<&Member> = std::iter::once(&tag).chain(&members).collect();
        let body = write_members(facts, &sorted(all), "case", Some((&tag.name, &variant.name)));
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

        impl Encode for {name}<'_> {{
            fn write_to(&self, out: &mut Vec<u8>) {{
                match self {{ {write} Self::Other(members) => members.write_to(out), }}
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
fn write_members(facts: &Facts, order: &[&Member], holder: &str, tag: Option<(&str, &str)>) -> String {
    let mut out = String::new();
    // Fixed text that is due before the next value.
    let mut due = String::from("{");
    let mut first = true;
    let mut separator = false;
    for member in order {
        let (key, name) = (&member.name, field(&member.name));
        if tag.is_some_and(|(tag, _)| tag == key) {
            let value = tag.map_or("", |(_, value)| value);
            due += &format!("{}\\\"{key}\\\": \\\"{value}\\\"", if first { "" } else { ", " });
            first = false;
            continue;
        }
        if !is_option(facts, member) {
            if separator {
                out += "out.extend_from_slice(separator);\n";
                separator = false;
            } else if !first {
                due += ", ";
            }
            let (before, write, behind) = write_value(member, &format!("&{holder}.{name}"));
            out += &format!("out.extend_from_slice(b\"{due}\\\"{key}\\\": {before}\");\n{write}");
            behind.clone_into(&mut due);
            first = false;
            continue;
        }
        if !due.is_empty() {
            out += &format!("out.extend_from_slice(b\"{due}\");\n");
            due.clear();
        }
        if first && !separator {
            // Whether a comma is due is known only at run time, until the first member that is always there.
            out += "let mut separator: &[u8] = b\"\";\n";
            separator = true;
        }
        out += &format!("if let Some({name}) = &{holder}.{name} {{\n");
        let (before, mut write, behind) = write_value(member, &name);
        if !behind.is_empty() {
            write += "out.push(b'\"');\n";
        }
        if separator {
            let last = order.iter().skip_while(|other| other.name != *key).nth(1).is_none();
            out += "out.extend_from_slice(separator);\n";
            out += &format!("out.extend_from_slice(b\"\\\"{key}\\\": {before}\");\n{write}");
            if !last {
                out += "separator = b\", \";\n";
            }
        } else {
            out += &format!("out.extend_from_slice(b\", \\\"{key}\\\": {before}\");\n{write}");
        }
        out += "}\n";
    }
    if due.is_empty() { out + "out.push(b'}');\n" } else { out + &format!("out.extend_from_slice(b\"{due}}}\");\n") }
}

/// Fixed text before a value, the statement that writes it, and fixed text behind it: a string's quotes are that.
fn write_value(member: &Member, place: &str) -> (&'static str, String, &'static str) {
    if member.ty == "str" {
        ("\\\"", format!("write_text(out, {place});\n"), "\\\"")
    } else {
        ("", format!("{}.write_to(out);\n", place.trim_start_matches('&')), "")
    }
}

fn is_option(facts: &Facts, member: &Member) -> bool {
    member.optional || facts.is_new(&member.age)
}

/// An expression for a member's owned copy.
fn owned(facts: &Facts, member: &Member) -> String {
    let place = format!("self.{}", field(&member.name));
    if !facts.borrows(&member.ty) {
        return place;
    }
    let option = is_option(facts, member);
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
