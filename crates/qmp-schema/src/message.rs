//! QMP's other messages: the greeting, commands, and the two kinds of reply.

use alloc::{borrow::Cow, string::String, vec::Vec};
use core::fmt;

use crate::{
    Capability, Decode, Encode, Error, ErrorClass, ErrorKind, EventMessage, Version,
    encode::display,
    fields::{self, Fields, Members},
    reader::Reader,
    value::{Object, Value},
};

/// Anything that a QMP server sends.
#[derive(Clone, Debug, PartialEq)]
pub enum Message<'a> {
    /// The first message of a connection: `{"QMP": …}`.
    Greeting(Greeting<'a>),
    /// An event.
    Event(EventMessage<'a>),
    /// A command's success: `{"return": …}`.
    Return(Return<'a>),
    /// A command's failure, or an error about input that is not a command: `{"error": …}`.
    Error(ErrorReply<'a>),
    /// Any other JSON.
    Other(Value<'a>),
}

/// The first message of a QMP server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Greeting<'a> {
    /// QEMU's version.
    pub version: Version<'a>,
    /// What the client may enable with `qmp_capabilities`.
    pub capabilities: Vec<Capability<'a>>,
}

/// A command, from client to server.
///
/// Clients write it in different ways. This crate uses the order of QEMU's manual: `execute`, `arguments`, `id`.
#[derive(Clone, Debug, PartialEq)]
pub struct Command<'a> {
    /// Its name.
    pub execute: Cow<'a, str>,
    /// Its arguments by name.
    pub arguments: Option<Object<'a>>,
    /// Any value. The reply repeats it.
    pub id: Option<Value<'a>>,
    /// Whether it runs out of band, before commands that wait: `exec-oob` instead of `execute`.
    pub oob: bool,
}

/// A command's success.
///
/// `T` is the type that the command returns. [`RawJson`] holds a result whose type is not known yet.
///
/// ```
/// use qmp_schema::{Encode, RawJson, Return, SpiceInfo};
///
/// let line = br#"{"return": {"migrated": false, "enabled": false, "mouse-mode": "client"}, "id": 7}"#;
/// let reply: Return = qmp_schema::from_slice(line)?;
/// let info: SpiceInfo = reply.value.decode()?;
/// assert!(!info.enabled);
/// assert_eq!(Return { value: info, id: reply.id.clone() }.to_vec(), line);
/// # Ok::<(), qmp_schema::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Return<'a, T = RawJson<'a>> {
    /// The result; `{}` for a command without one.
    pub value: T,
    /// The id of the command, if it had one.
    pub id: Option<Value<'a>>,
}

/// A command's failure. For input that is not a command or not JSON, QEMU sends it without an id.
#[derive(Clone, Debug, PartialEq)]
pub struct ErrorReply<'a> {
    /// The class, which programs evaluate.
    pub class: ErrorClass<'a>,
    /// The description, which people read. Its text may change.
    pub desc: Cow<'a, str>,
    /// The id of the command, if it had one that could be read.
    pub id: Option<Value<'a>>,
}

/// JSON text whose grammar is checked and which is not parsed further.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RawJson<'a>(Cow<'a, str>);

impl RawJson<'_> {
    /// The value's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads the value.
    pub fn decode<'s, T: Decode<'s>>(&'s self) -> Result<T, Error> {
        crate::from_str(&self.0)
    }

    /// Writes a value as QEMU does. Fails only if an [`Encode`] of another crate writes something that is not JSON.
    pub fn of(value: &(impl Encode + ?Sized)) -> Result<RawJson<'static>, Error> {
        let text = value.to_vec();
        crate::from_slice::<RawJson<'_>>(&text).map(RawJson::into_owned)
    }

    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> RawJson<'static> {
        RawJson(Cow::Owned(self.0.into_owned()))
    }
}

impl Message<'_> {
    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> Message<'static> {
        match self {
            Self::Greeting(message) => Message::Greeting(message.into_owned()),
            Self::Event(message) => Message::Event(message.into_owned()),
            Self::Return(message) => Message::Return(message.into_owned()),
            Self::Error(message) => Message::Error(message.into_owned()),
            Self::Other(value) => Message::Other(value.into_owned()),
        }
    }
}

impl<'a> Greeting<'a> {
    /// The greeting of this version.
    ///
    /// ```
    /// use qmp_schema::{Capability, Encode as _, Greeting, Version};
    ///
    /// let line = br#"{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": ""}, "capabilities": ["oob"]}}"#;
    /// let greeting = Greeting::new(Version::new(7, 2, 22, ""), [Capability::Oob]);
    /// assert_eq!(greeting.to_vec(), line);
    /// assert_eq!(qmp_schema::from_slice::<Greeting>(line)?, greeting);
    /// # Ok::<(), qmp_schema::Error>(())
    /// ```
    #[must_use]
    pub fn new(version: Version<'a>, capabilities: impl IntoIterator<Item = Capability<'a>>) -> Self {
        Self { version, capabilities: capabilities.into_iter().collect() }
    }

    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> Greeting<'static> {
        let capabilities = self.capabilities.into_iter().map(Capability::into_owned).collect();
        Greeting { version: self.version.into_owned(), capabilities }
    }
}

impl<'a> Command<'a> {
    /// A command without arguments and without an id. Set its fields for more:
    ///
    /// ```
    /// use qmp_schema::{Command, Encode as _};
    ///
    /// let command = Command { id: Some(7.into()), ..Command::new("query-spice") };
    /// assert_eq!(command.to_vec(), br#"{"execute": "query-spice", "id": 7}"#);
    /// ```
    #[must_use]
    pub fn new(execute: impl Into<Cow<'a, str>>) -> Self {
        Self { execute: execute.into(), arguments: None, id: None, oob: false }
    }

    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> Command<'static> {
        Command {
            execute: Cow::Owned(self.execute.into_owned()),
            arguments: self.arguments.map(Object::into_owned),
            id: self.id.map(Value::into_owned),
            oob: self.oob,
        }
    }
}

impl Return<'_> {
    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> Return<'static> {
        Return { value: self.value.into_owned(), id: self.id.map(Value::into_owned) }
    }
}

impl ErrorReply<'_> {
    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> ErrorReply<'static> {
        ErrorReply {
            class: self.class.into_owned(),
            desc: Cow::Owned(self.desc.into_owned()),
            id: self.id.map(Value::into_owned),
        }
    }
}

impl<'a> Decode<'a> for Message<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let start = (reader.lexer.offset(), reader.lexer.depth());
        let typed = match first_telling_member(reader)? {
            Some(0 | 1) => EventMessage::read(reader).map(Self::Event),
            Some(2) => Return::read(reader).map(Self::Return),
            Some(3) => ErrorReply::read(reader).map(Self::Error),
            Some(4) => Greeting::read(reader).map(Self::Greeting),
            _ => return Value::read(reader).map(Self::Other),
        };
        match typed {
            Err(error) if !error.is_syntax() => {
                reader.rewind(start.0, start.1);
                Value::read(reader).map(Self::Other)
            }
            typed => typed,
        }
    }
}

/// Looks for the first member of the next object that says which kind of message it is.
fn first_telling_member(reader: &mut Reader<'_>) -> Result<Option<usize>, Error> {
    if reader.lexer.peek() != Some(b'{') {
        return Ok(None);
    }
    let (start, depth) = (reader.lexer.offset(), reader.lexer.depth());
    reader.lexer.open(b'{', "an object")?;
    let (mut telling, mut first) = (None, true);
    while telling.is_none()
        && let Some(key) = reader.lexer.next_key(first)?
    {
        telling = ["timestamp", "event", "return", "error", "QMP"].iter().position(|known| *known == key);
        if telling.is_none() {
            reader.lexer.skip()?;
        }
        first = false;
    }
    reader.rewind(start, depth);
    Ok(telling)
}

impl Encode for Message<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        match self {
            Self::Greeting(message) => message.write_to(out),
            Self::Event(message) => message.write_to(out),
            Self::Return(message) => message.write_to(out),
            Self::Error(message) => message.write_to(out),
            Self::Other(value) => value.write_to(out),
        }
    }
}

impl<'a> Decode<'a> for Greeting<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        fields::read(reader).map(|Wrapped { greeting }| greeting)
    }
}

/// `{"QMP": …}`
struct Wrapped<'a> {
    greeting: Greeting<'a>,
}

impl<'a> Fields<'a> for Wrapped<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        let Unwrapped(greeting) = members.required(r#", "QMP": "#);
        Self { greeting }
    }
}

/// The content of `{"QMP": …}`.
struct Unwrapped<'a>(Greeting<'a>);

impl<'a> Fields<'a> for Unwrapped<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self(Greeting {
            version: members.required(r#", "version": "#),
            capabilities: members.required(r#", "capabilities": "#),
        })
    }
}

impl Encode for Greeting<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"QMP\": {\"version\": ");
        self.version.write_to(out);
        out.extend_from_slice(b", \"capabilities\": ");
        self.capabilities.write_to(out);
        out.extend_from_slice(b"}}");
    }
}

impl<'a> Decode<'a> for Command<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for Command<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        let oob = members.optional(r#", "exec-oob": "#);
        Self {
            oob: oob.is_some(),
            execute: oob.unwrap_or_else(|| members.required(r#", "execute": "#)),
            arguments: members.optional(r#", "arguments": "#),
            id: members.optional(r#", "id": "#),
        }
    }
}

impl Encode for Command<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if self.oob { b"{\"exec-oob\": " } else { b"{\"execute\": " });
        self.execute.write_to(out);
        if let Some(arguments) = &self.arguments {
            out.extend_from_slice(b", \"arguments\": ");
            arguments.write_to(out);
        }
        write_id(self.id.as_ref(), out);
        out.push(b'}');
    }
}

fn write_id(id: Option<&Value<'_>>, out: &mut Vec<u8>) {
    if let Some(id) = id {
        out.extend_from_slice(b", \"id\": ");
        id.write_to(out);
    }
}

impl<'a, T: Decode<'a>> Decode<'a> for Return<'a, T> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let end = reader.lexer.offset();
        let Success { value, id } = fields::read(reader)?;
        let value = value.ok_or_else(|| Error::new(ErrorKind::Missing { member: "return" }, end))?;
        Ok(Self { value, id })
    }
}

/// A [`Return`], or a failed attempt to read one.
struct Success<'a, T> {
    value: Option<T>,
    id: Option<Value<'a>>,
}

impl<'a, T: Decode<'a>> Fields<'a> for Success<'a, T> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { value: members.decoded(r#", "return": "#), id: members.optional(r#", "id": "#) }
    }
}

impl<T: Encode> Encode for Return<'_, T> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"return\": ");
        self.value.write_to(out);
        write_id(self.id.as_ref(), out);
        out.push(b'}');
    }
}

impl<'a> Decode<'a> for ErrorReply<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        fields::read(reader)
    }
}

impl<'a> Fields<'a> for ErrorReply<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        let id = members.optional(r#", "id": "#);
        let Failure { class, desc } = members.required(r#", "error": "#);
        Self { class, desc, id }
    }
}

/// The content of `"error": {…}`.
struct Failure<'a> {
    class: ErrorClass<'a>,
    desc: Cow<'a, str>,
}

impl<'a> Fields<'a> for Failure<'a> {
    fn build(members: &mut Members<'_, 'a>) -> Self {
        Self { class: members.required(r#", "class": "#), desc: members.required(r#", "desc": "#) }
    }
}

impl Encode for ErrorReply<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{");
        if let Some(id) = &self.id {
            out.extend_from_slice(b"\"id\": ");
            id.write_to(out);
            out.extend_from_slice(b", ");
        }
        out.extend_from_slice(b"\"error\": {\"class\": ");
        self.class.write_to(out);
        out.extend_from_slice(b", \"desc\": ");
        self.desc.write_to(out);
        out.extend_from_slice(b"}}");
    }
}

/// `CommandNotFound: The command query-spice has not been found`
impl fmt::Display for ErrorReply<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.class, self.desc)
    }
}

/// A failed command is an error to its sender.
impl core::error::Error for ErrorReply<'_> {}

impl<'a> Decode<'a> for RawJson<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        // `peek` skips the white space before the value.
        reader.lexer.peek();
        let start = reader.lexer.offset();
        reader.lexer.skip()?;
        Ok(Self(Cow::Borrowed(reader.lexer.since(start))))
    }
}

impl Encode for RawJson<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0.as_bytes());
    }
}

impl fmt::Display for RawJson<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<RawJson<'_>> for String {
    fn from(raw: RawJson<'_>) -> Self {
        raw.0.into_owned()
    }
}

display! { Message Greeting Command }
