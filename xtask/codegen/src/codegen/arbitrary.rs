//! Generators: any value of any type, for property tests and fuzzing.

use std::fmt::Write as _;

use super::{Facts, Kind, Member, facts::field, pascal};

/// `generated/make.rs`: every struct, union and event. Enumerations make themselves, in `open_enum!`.
pub(crate) fn root(facts: &Facts) -> anyhow::Result<String> {
    let mut out = String::from(
        "//! Generates any value of every type.\n\n\
         use ::arbitrary::{Result, Unstructured};\n\n\
         use crate::arbitrary::{Generate, generate_structs, unknown_case, unknown_event};\n\n",
    );
    let mut structs = String::new();
    for event in facts.events.iter().filter(|event| !event.members.is_empty()) {
        structs += &structure(facts, &pascal(&event.name), &event.members);
    }
    for ty in facts.types() {
        match &ty.kind {
            Kind::Enum { .. } => {}
            Kind::Struct { members } => structs += &structure(facts, &ty.rust(), members),
            Kind::Union { tag, variants } => {
                let name = ty.rust();
                let last = variants.len();
                let mut arms = String::new();
                for (i, variant) in variants.iter().enumerate() {
                    writeln!(arms, "{i} => Self::{}(Generate::generate(u)?),", pascal(&variant.name))?;
                }
                write!(
                    out,
                    "impl Generate for crate::{name}<'_> {{ fn generate(u: &mut Unstructured<'_>) -> Result<Self> {{\n\
                     Ok(match u.int_in_range(0..={last})? {{ {arms} _ => Self::Other(unknown_case({:?}, u)?), }})\n}} }}\n\n",
                    tag.name
                )?;
            }
        }
    }
    write!(out, "generate_structs! {{\n{structs}}}\n\n")?;
    let mut arms = String::new();
    for event in &facts.events {
        let made = if event.members.is_empty() { "" } else { "(Generate::generate(u)?)" };
        writeln!(arms, "{:?} => Self::{}{made},", event.name, pascal(&event.name))?;
    }
    write!(
        out,
        "impl crate::Event<'_> {{\n\
         /// Generates an event of this name, or an untyped event if the name is unknown.\n\
         pub(crate) fn generate_named(name: &str, u: &mut Unstructured<'_>) -> Result<Self> {{\n\
         Ok(match name {{ {arms} _ => Self::Other(unknown_event(u)?), }})\n}}\n}}\n"
    )?;
    Ok(out)
}

/// A line of the macro `made`.
fn structure(facts: &Facts, name: &str, members: &[Member]) -> String {
    let any = if members.iter().any(|member| facts.borrows(&member.ty)) { "<'_>" } else { "" };
    let fields: Vec<String> = members.iter().map(|member| field(&member.name)).collect();
    format!("    {name}{any} {{ {} }}\n", fields.join(" "))
}
