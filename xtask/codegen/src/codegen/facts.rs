//! The facts file: what QEMU says over QMP.

use anyhow::{Context as _, bail};
use serde_derive::Deserialize;

/// `crates/qmp-schema/facts/qmp.json`.
#[derive(Deserialize)]
pub(crate) struct Facts {
    pub(crate) supported: Supported,
    pub(crate) events: Vec<Event>,
    types: serde_json::Map<String, serde_json::Value>,
}

/// The range of versions whose every event has a type.
#[derive(Deserialize)]
pub(crate) struct Supported {
    pub(crate) oldest: String,
    pub(crate) newest: String,
}

#[derive(Deserialize)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) module: String,
    pub(crate) since: String,
    pub(crate) until: Option<String>,
    #[serde(default)]
    pub(crate) deprecated: bool,
    #[serde(default)]
    pub(crate) unstable: bool,
    pub(crate) rate_limit: Option<RateLimit>,
    pub(crate) doc: String,
    pub(crate) members: Vec<Member>,
}

/// QEMU sends at most one a second, the last one.
#[derive(Deserialize)]
pub(crate) struct RateLimit {
    /// One a second for each value of this member, instead of one in all.
    pub(crate) per: Option<String>,
    pub(crate) since: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Member {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) ty: String,
    #[serde(default)]
    pub(crate) optional: bool,
    /// Versions without it are read too, although they are older than the supported ones.
    #[serde(default)]
    pub(crate) lenient: bool,
    #[serde(flatten)]
    pub(crate) age: Age,
    pub(crate) doc: String,
}

/// A value of an enumeration, or a case of a union.
#[derive(Deserialize)]
pub(crate) struct Value {
    pub(crate) name: String,
    /// The members of a union's case.
    #[serde(rename = "type", default)]
    pub(crate) ty: String,
    #[serde(flatten)]
    pub(crate) age: Age,
    pub(crate) doc: String,
}

/// From which version on something is there.
#[derive(Deserialize)]
pub(crate) struct Age {
    pub(crate) since: Option<String>,
    pub(crate) seen: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Type {
    #[serde(skip)]
    pub(crate) name: String,
    pub(crate) module: String,
    rust: Option<String>,
    /// The command that returns it.
    pub(crate) command: Option<String>,
    pub(crate) doc: String,
    #[serde(flatten)]
    pub(crate) kind: Kind,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(crate) enum Kind {
    Enum { values: Vec<Value> },
    Struct { members: Vec<Member> },
    Union { tag: Tag, variants: Vec<Value> },
}

/// The member that tells a union's cases apart.
#[derive(Deserialize)]
pub(crate) struct Tag {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) ty: String,
}

impl Facts {
    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        let facts: Self = serde_json::from_str(text).context("the facts file")?;
        for name in facts.types.keys() {
            facts.ty(name)?;
        }
        Ok(facts)
    }

    /// The types, in the file's order.
    pub(crate) fn types(&self) -> impl Iterator<Item = Type> {
        self.types.keys().filter_map(|name| self.ty(name).ok())
    }

    pub(crate) fn ty(&self, name: &str) -> anyhow::Result<Type> {
        let Some(value) = self.types.get(name) else { bail!("the facts file has no type '{name}'") };
        let mut ty: Type = serde_json::from_value(value.clone()).with_context(|| format!("type '{name}'"))?;
        name.clone_into(&mut ty.name);
        Ok(ty)
    }

    /// Whether a member is missing in the oldest supported version, though not in the newest.
    pub(crate) fn is_new(&self, age: &Age) -> bool {
        age.first().is_some_and(|since| version(since) > version(&self.supported.oldest))
    }

    /// Whether the member's Rust type is an `Option`.
    pub(crate) fn is_option(&self, member: &Member) -> bool {
        member.optional || member.lenient || self.is_new(&member.age)
    }

    /// Whether the event is also read without data: all of its members are lenient.
    pub(crate) fn is_lenient(event: &Event) -> bool {
        !event.members.is_empty() && event.members.iter().all(|member| member.lenient)
    }

    /// Whether a value of this type holds text, so that its Rust type has a lifetime.
    pub(crate) fn borrows(&self, ty: &str) -> bool {
        let element = ty.trim_matches(['[', ']']);
        match self.ty(element).map(|ty| ty.kind) {
            Ok(Kind::Enum { .. } | Kind::Union { .. }) => true,
            Ok(Kind::Struct { members }) => members.iter().any(|member| self.borrows(&member.ty)),
            Err(_) => element == "str",
        }
    }
}

impl Event {
    /// Whether this version of QEMU has the event.
    pub(crate) fn is_in(&self, qemu: &str) -> bool {
        let gone = self.until.as_ref().is_some_and(|until| version(until) <= version(qemu));
        version(&self.since) <= version(qemu) && !gone
    }
}

impl Age {
    /// The first version that is known to have it; `None` where it is as old as what it belongs to.
    pub(crate) fn first(&self) -> Option<&str> {
        self.since.as_deref().or(self.seen.as_deref())
    }

    /// Whether this version of QEMU has it.
    pub(crate) fn is_in(&self, qemu: &str) -> bool {
        self.first().is_none_or(|since| version(since) <= version(qemu))
    }
}

impl Type {
    /// Its name in Rust.
    pub(crate) fn rust(&self) -> String {
        self.rust.clone().unwrap_or_else(|| pascal(&self.name))
    }
}

/// `10.2` is newer than `7.2`.
pub(crate) fn version(text: &str) -> Vec<u32> {
    text.split('.').map(|part| part.parse().unwrap_or(0)).collect()
}

/// `SPICE_CONNECTED`, `hyper-v`, `COLOMode` → `SpiceConnected`, `HyperV`, `ColoMode`.
pub(crate) fn pascal(name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    let mut out = String::new();
    let mut start = true;
    for (i, &char) in chars.iter().enumerate() {
        if !char.is_ascii_alphanumeric() {
            start = true;
            continue;
        }
        // Within a run of capitals only the first stays one, and the last where a small letter follows it.
        let small_before = i > 0 && chars[i - 1].is_ascii_lowercase();
        let small_after = chars.get(i + 1).is_some_and(char::is_ascii_lowercase);
        let keep = start || char.is_ascii_uppercase() && (small_before || small_after);
        out.push(if keep { char.to_ascii_uppercase() } else { char.to_ascii_lowercase() });
        start = false;
    }
    out
}

/// `connection-id`, `type` → `connection_id`, `r#type`.
pub(crate) fn field(name: &str) -> String {
    let name = name.replace('-', "_");
    if matches!(name.as_str(), "type" | "abstract") { format!("r#{name}") } else { name }
}
