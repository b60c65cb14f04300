//! QMP's other messages: the greeting, commands, and the two kinds of reply.

use alloc::{borrow::Cow, string::String, vec::Vec};

use crate::{
    Capability, Decode, Encode, Error, ErrorClass, EventMessage, VersionInfo,
    reader::{Members, Reader, required},
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
    /// A command's failure, or a complaint about input that was no command: `{"error": …}`.
    Error(ErrorReply<'a>),
    /// JSON that is none of these.
    Other(Value<'a>),
}

/// What a QMP server says first.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Greeting<'a> {
    /// QEMU's version.
    pub version: VersionInfo<'a>,
    /// What the client may switch on by `qmp_capabilities`.
    pub capabilities: Vec<Capability<'a>>,
}

/// A command, from client to server.
///
/// Clients have no one way to write it; this crate does it as QEMU's manual: `execute`, `arguments`, `id`.
#[derive(Clone, Debug, PartialEq)]
pub struct Command<'a> {
    /// Its name.
    pub execute: Cow<'a, str>,
    /// Its arguments by name.
    pub arguments: Option<Object<'a>>,
    /// Comes back in the reply. Any value.
    pub id: Option<Value<'a>>,
    /// Whether it may overtake others: `exec-oob` in place of `execute`.
    pub oob: bool,
}

/// A command's success.
///
/// `T` is what the command returns; without knowing that, [`RawJson`], to be decoded when it is known.
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
    /// What the command returned; `{}` where it returns nothing.
    pub value: T,
    /// The command's id, where it had one.
    pub id: Option<Value<'a>>,
}

/// A command's failure. QEMU sends it without an id too, for input that is no command or not even JSON.
#[derive(Clone, Debug, PartialEq)]
pub struct ErrorReply<'a> {
    /// The class, for programs.
    pub class: ErrorClass<'a>,
    /// The description, for people: its text may change.
    pub desc: Cow<'a, str>,
    /// The command's id, where it had one and could be read.
    pub id: Option<Value<'a>>,
}

/// JSON text that was checked but not taken apart.
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

    /// A value's text as QEMU writes it. Fails only for a [`Value`] with a number that is no JSON.
    pub fn of(value: &(impl Encode + ?Sized)) -> Result<RawJson<'static>, Error> {
        let text = value.to_vec();
        crate::from_slice::<RawJson<'_>>(&text).map(RawJson::into_owned)
    }

    /// A copy that borrows nothing.
    #[must_use]
    pub fn into_owned(self) -> RawJson<'static> {
        RawJson(Cow::Owned(self.0.into_owned()))
    }
}

impl Message<'_> {
    /// A copy that borrows nothing.
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

impl Greeting<'_> {
    /// A copy that borrows nothing.
    #[must_use]
    pub fn into_owned(self) -> Greeting<'static> {
        let capabilities = self.capabilities.into_iter().map(Capability::into_owned).collect();
        Greeting { version: self.version.into_owned(), capabilities }
    }
}

impl Command<'_> {
    /// A copy that borrows nothing.
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
    #[must_use]
    pub fn into_owned(self) -> Return<'static> {
        Return { value: self.value.into_owned(), id: self.id.map(Value::into_owned) }
    }
}

impl ErrorReply<'_> {
    /// A copy that borrows nothing.
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
        let start = (reader.offset(), reader.depth());
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

/// Looks at the members of the object that comes next until one tells what kind of message it is.
fn first_telling_member(reader: &mut Reader<'_>) -> Result<Option<usize>, Error> {
    if reader.peek() != Some(b'{') {
        return Ok(None);
    }
    let (start, depth) = (reader.offset(), reader.depth());
    let mut members = Members::open(
        reader,
        &[r#", "timestamp": "#, r#", "event": "#, r#", "return": "#, r#", "error": "#, r#", "QMP": "#],
    )?;
    let telling = members.next(reader)?;
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
        let mut outer = Members::open(reader, &[r#", "QMP": "#])?;
        let mut greeting = None;
        while outer.next(reader)?.is_some() {
            let mut members = Members::open(reader, &[r#", "version": "#, r#", "capabilities": "#])?;
            let (mut version, mut capabilities) = (None, None);
            while let Some(member) = members.next(reader)? {
                match member {
                    0 => version = Some(reader.value()?),
                    _ => capabilities = Some(reader.value()?),
                }
            }
            greeting = Some(Self {
                version: required(version, "version", reader)?,
                capabilities: required(capabilities, "capabilities", reader)?,
            });
        }
        required(greeting, "QMP", reader)
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
        let mut members =
            Members::open(reader, &[r#", "execute": "#, r#", "exec-oob": "#, r#", "arguments": "#, r#", "id": "#])?;
        let (mut execute, mut arguments, mut id, mut oob) = (None, None, None, false);
        while let Some(member) = members.next(reader)? {
            match member {
                0 | 1 => {
                    execute = Some(reader.value()?);
                    oob = member == 1;
                }
                2 => arguments = Some(reader.value()?),
                _ => id = Some(reader.value()?),
            }
        }
        Ok(Self { execute: required(execute, "execute", reader)?, arguments, id, oob })
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
        let mut members = Members::open(reader, &[r#", "return": "#, r#", "id": "#])?;
        let (mut value, mut id) = (None, None);
        while let Some(member) = members.next(reader)? {
            match member {
                0 => value = Some(reader.value()?),
                _ => id = Some(reader.value()?),
            }
        }
        Ok(Self { value: required(value, "return", reader)?, id })
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
        let mut outer = Members::open(reader, &[r#", "id": "#, r#", "error": "#])?;
        let (mut id, mut error) = (None, None);
        while let Some(member) = outer.next(reader)? {
            if member == 0 {
                id = Some(reader.value()?);
                continue;
            }
            let mut members = Members::open(reader, &[r#", "class": "#, r#", "desc": "#])?;
            let (mut class, mut desc) = (None, None);
            while let Some(member) = members.next(reader)? {
                match member {
                    0 => class = Some(reader.value()?),
                    _ => desc = Some(reader.value()?),
                }
            }
            error = Some((required(class, "class", reader)?, required(desc, "desc", reader)?));
        }
        let (class, desc) = required(error, "error", reader)?;
        Ok(Self { class, desc, id })
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

impl<'a> Decode<'a> for RawJson<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        // `peek` goes past the white space before the value.
        reader.peek();
        let start = reader.offset();
        reader.skip()?;
        Ok(Self(Cow::Borrowed(reader.since(start))))
    }
}

impl Encode for RawJson<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0.as_bytes());
    }
}

impl From<RawJson<'_>> for String {
    fn from(raw: RawJson<'_>) -> Self {
        raw.0.into_owned()
    }
}
