//! Conversations: a few links to one server, one after the other, each with a few things that may be wrong.

use std::{fmt, str::FromStr};

use arbitrary::{Arbitrary, Result, Unstructured};

use crate::choices::rarely;

/// Up to four links to a server, one after the other. The connections stay open to the end of the conversation.
///
/// Its text is one line for each link: `link` and what is not plain in it, for example `link channel=other id=wrong websocket`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conversation {
    /// The links, in order.
    pub links: Vec<Link>,
}

/// One link of a conversation. The default is what a client does that opens a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[expect(clippy::struct_excessive_bools, reason = "facts that come in any combination")]
pub struct Link {
    /// What carries the link.
    pub carrier: LinkCarrier,
    /// The channel that it asks for.
    pub channel: LinkChannel,
    /// The connection id that it brings.
    pub id: LinkId,
    /// The client can't select a mechanism, and sends none.
    pub selects_nothing: bool,
    /// The client reads long data headers.
    pub long_headers: bool,
    /// The mechanism, if it is not the one that the server requires.
    pub mechanism: Option<u32>,
    /// The ticket, or the SASL exchange.
    pub credentials: Credentials,
    /// Every byte is sent by itself.
    pub byte_by_byte: bool,
    /// The client ends its main channel as soon as this channel is linked.
    pub leaves: bool,
}

/// What carries a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LinkCarrier {
    /// The stream of the server's target.
    #[default]
    Plain,
    /// WebSocket in that stream.
    WebSocket,
    /// The start of a WebSocket request, in a read by itself. spice-server takes it for a wrong magic.
    HalfRequest,
}

/// The channel of a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LinkChannel {
    /// The main channel.
    #[default]
    Main,
    /// A channel that the server has beside main.
    Other,
    /// A channel that requires TLS.
    Secured,
    /// A channel that the server does not have.
    Absent,
}

/// The connection id of a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LinkId {
    /// 0 for the main channel; for the others the id of the live session.
    #[default]
    Right,
    /// 0.
    Zero,
    /// One more than the right one.
    Wrong,
}

/// The credentials of a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Credentials {
    /// The password.
    #[default]
    Right,
    /// Another password.
    Wrong,
    /// The password and one character more.
    TooLong,
    /// An empty password.
    Empty,
    /// A ticket that was never encrypted, or a SASL mechanism that the server does not offer.
    Broken,
}

/// A value with a name in the text of a conversation.
trait Named: Copy + PartialEq + Default + 'static {
    const KEY: &'static str;
    /// All values, the plain one first.
    const ALL: &'static [(Self, &'static str)];
    /// How many of 32 choices each value has that is not plain.
    const WEIGHT: usize = 1;

    fn of(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, name)| *name == text).map(|(value, _)| *value)
    }

    fn put(self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self == Self::default() {
            return Ok(());
        }
        let name = Self::ALL.iter().find(|(value, _)| *value == self).map_or("", |(_, name)| name);
        write!(f, " {}={name}", Self::KEY)
    }

    fn choose(u: &mut Unstructured<'_>) -> Result<Self> {
        one_of(u, Self::WEIGHT, Self::ALL).map(|(value, _)| value)
    }
}

impl Named for LinkCarrier {
    const KEY: &'static str = "carrier";
    const ALL: &'static [(Self, &'static str)] =
        &[(Self::Plain, "plain"), (Self::WebSocket, "websocket"), (Self::HalfRequest, "half-request")];
}

impl Named for LinkChannel {
    const KEY: &'static str = "channel";
    const ALL: &'static [(Self, &'static str)] =
        &[(Self::Main, "main"), (Self::Other, "other"), (Self::Secured, "secured"), (Self::Absent, "absent")];
    const WEIGHT: usize = 6;
}

impl Named for LinkId {
    const KEY: &'static str = "id";
    const ALL: &'static [(Self, &'static str)] =
        &[(Self::Right, "right"), (Self::Zero, "zero"), (Self::Wrong, "wrong")];
}

impl Named for Credentials {
    const KEY: &'static str = "credentials";
    const ALL: &'static [(Self, &'static str)] = &[
        (Self::Right, "right"),
        (Self::Wrong, "wrong"),
        (Self::TooLong, "too-long"),
        (Self::Empty, "empty"),
        (Self::Broken, "broken"),
    ];
}

impl Conversation {
    /// The names of what is not plain in any of its links.
    pub(super) fn fields(&self) -> Vec<&'static str> {
        let mut names: Vec<_> = self.links.iter().flat_map(Link::fields).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

impl Link {
    /// The names of what is not plain.
    fn fields(&self) -> Vec<&'static str> {
        let plain = Self::default();
        let changed = [
            ("carrier", self.carrier != plain.carrier),
            ("channel", self.channel != plain.channel),
            ("id", self.id != plain.id),
            ("selects_nothing", self.selects_nothing),
            ("long_headers", self.long_headers),
            ("mechanism", self.mechanism.is_some()),
            ("credentials", self.credentials != plain.credentials),
            ("byte_by_byte", self.byte_by_byte),
            ("leaves", self.leaves),
        ];
        changed.into_iter().filter(|(_, is_changed)| *is_changed).map(|(name, _)| name).collect()
    }
}

impl Conversation {
    /// Bytes of choices for the longest conversation: one for the number of links, and one for each field of a link.
    pub(super) const CHOICES: usize = 1 + Self::LINKS * Link::FIELDS;
    /// The most links.
    const LINKS: usize = 4;

    /// Choices that make a plainer conversation: without one of the links, then with one field of a link plain.
    pub(super) fn plainer(choices: &[u8]) -> Vec<Vec<u8>> {
        let mut all = choices.to_vec();
        all.resize(Self::CHOICES, 0);
        let Ok(conversation) = Self::arbitrary(&mut Unstructured::new(&all)) else { return Vec::new() };
        let links = conversation.links.len();
        let fields = 1..1 + links * Link::FIELDS;
        all.truncate(fields.end);
        let mut out = Vec::new();
        if links > 1 {
            // The number of links is one more than its byte.
            let fewer = u8::try_from(links - 2).unwrap_or(0);
            for link in fields.clone().step_by(Link::FIELDS).rev() {
                out.push([&[fewer], &all[1..link], &all[link + Link::FIELDS..]].concat());
            }
        }
        for field in fields.filter(|field| all[*field] != 0) {
            let mut plain = all.clone();
            plain[field] = 0;
            out.push(plain);
        }
        out
    }
}

impl Link {
    /// How many fields it has.
    const FIELDS: usize = 9;
}

impl<'a> Arbitrary<'a> for Conversation {
    /// Links of which each has about one thing that is not plain. Every field has a byte of its own, so that a zero there makes it plain
    /// and changes no other field.
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let count = u.int_in_range(1..=Self::LINKS)?;
        Ok(Self { links: (0..count).map(|_| Link::arbitrary(u)).collect::<Result<_>>()? })
    }
}

impl<'a> Arbitrary<'a> for Link {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(Self {
            carrier: LinkCarrier::choose(u)?,
            channel: LinkChannel::choose(u)?,
            id: LinkId::choose(u)?,
            selects_nothing: rarely(u, 16)?,
            long_headers: rarely(u, 16)?,
            mechanism: one_of(u, 1, &[None, Some(0), Some(3), Some(0x0100_0000), Some(u32::MAX)])?,
            credentials: Credentials::choose(u)?,
            byte_by_byte: rarely(u, 16)?,
            leaves: rarely(u, 16)?,
        })
    }
}

/// The first value for most bytes, and each other value for `weight` of 32.
fn one_of<T: Copy>(u: &mut Unstructured<'_>, weight: usize, values: &[T]) -> Result<T> {
    let number = u.int_in_range(0..=31_usize)?;
    let others = (values.len() - 1) * weight;
    let at = number.checked_sub(32 - others).map_or(0, |at| 1 + at / weight);
    Ok(values[at])
}

impl fmt::Display for Conversation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, link) in self.links.iter().enumerate() {
            if number > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{link}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("link")?;
        self.carrier.put(f)?;
        self.channel.put(f)?;
        self.id.put(f)?;
        if let Some(word) = self.mechanism {
            write!(f, " mechanism={word}")?;
        }
        self.credentials.put(f)?;
        for (name, is_set) in [
            ("selects-nothing", self.selects_nothing),
            ("long-headers", self.long_headers),
            ("byte-by-byte", self.byte_by_byte),
            ("leaves", self.leaves),
        ] {
            if is_set {
                write!(f, " {name}")?;
            }
        }
        Ok(())
    }
}

/// A line that is no link of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotALink(String);

impl fmt::Display for NotALink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected a word that describes a link, found {:?}", self.0)
    }
}

impl std::error::Error for NotALink {}

impl FromStr for Link {
    type Err = NotALink;

    fn from_str(line: &str) -> std::result::Result<Self, NotALink> {
        let mut words = line.split_ascii_whitespace();
        if words.next() != Some("link") {
            return Err(NotALink(line.to_owned()));
        }
        let mut link = Self::default();
        for word in words {
            let is_known = match word.split_once('=') {
                Some((LinkCarrier::KEY, value)) => set(&mut link.carrier, LinkCarrier::of(value)),
                Some((LinkChannel::KEY, value)) => set(&mut link.channel, LinkChannel::of(value)),
                Some((LinkId::KEY, value)) => set(&mut link.id, LinkId::of(value)),
                Some((Credentials::KEY, value)) => set(&mut link.credentials, Credentials::of(value)),
                Some(("mechanism", value)) => set(&mut link.mechanism, value.parse().ok().map(Some)),
                Some(_) => false,
                None => {
                    let flag = match word {
                        "selects-nothing" => Some(&mut link.selects_nothing),
                        "long-headers" => Some(&mut link.long_headers),
                        "byte-by-byte" => Some(&mut link.byte_by_byte),
                        "leaves" => Some(&mut link.leaves),
                        _ => None,
                    };
                    flag.is_some_and(|flag| set(flag, Some(true)))
                }
            };
            if !is_known {
                return Err(NotALink(word.to_owned()));
            }
        }
        Ok(link)
    }
}

impl FromStr for Conversation {
    type Err = NotALink;

    fn from_str(text: &str) -> std::result::Result<Self, NotALink> {
        Ok(Self { links: text.lines().map(str::parse).collect::<std::result::Result<_, _>>()? })
    }
}

fn set<T>(place: &mut T, value: Option<T>) -> bool {
    value.map(|value| *place = value).is_some()
}
