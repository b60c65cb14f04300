//! The envelope around an event, and events that have no type.

use alloc::{borrow::Cow, vec::Vec};
use core::{fmt, str::FromStr};

use crate::{
    Decode, Encode, Error, ErrorKind, Event, EventInfo, Timestamp,
    encode::display,
    fields::Index,
    reader::Reader,
    slice_writer::{EVENT, Put, SliceWriter, append},
    value::Value,
};

/// One event as it comes over QMP: `{"timestamp": …, "event": …, "data": …}`.
///
/// ```
/// use qmp_schema::{Event, EventMessage};
///
/// let line = br#"{"timestamp": {"seconds": 1763838000, "microseconds": 5}, "event": "RESUME"}"#;
/// let message: EventMessage = qmp_schema::from_slice(line)?;
/// assert_eq!(message.event, Event::Resume);
///
/// let mut out = Vec::new();
/// message.write_to(&mut out);
/// assert_eq!(out, line);
/// # Ok::<(), qmp_schema::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct EventMessage<'a> {
    /// When QEMU built the event. `None`: the event has no timestamp (QEMU 2.0 and older, if its clock failed), or one that
    /// does not fit the type, which [`FullEvent`](crate::FullEvent) keeps as an unknown member.
    pub timestamp: Option<Timestamp>,
    /// What happened.
    pub event: Event<'a>,
}

/// An event of an unknown name, or one whose data does not fit the type of its name.
///
/// Two of them are equal if name, data and kind of reason are; the offset of the reason depends on white space.
#[derive(Clone, Debug)]
pub struct OtherEvent<'a> {
    /// The event's name.
    pub name: Cow<'a, str>,
    /// Its data: any JSON value.
    pub data: Option<Value<'a>>,
    /// Why it is untyped: [`ErrorKind::UnknownEvent`], or what does not fit. The offset counts from the first byte of the
    /// message, also for a message of a stream.
    pub reason: Error,
}

impl EventMessage<'_> {
    /// Appends the event as QEMU writes it, without a line end.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        Encode::write_to(self, out);
    }

    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> EventMessage<'static> {
        EventMessage { timestamp: self.timestamp, event: self.event.into_owned() }
    }
}

impl Put for EventMessage<'_> {
    fn put<'r>(&self, out: SliceWriter<'r>) -> SliceWriter<'r> {
        let out = match &self.timestamp {
            Some(timestamp) => out.fixed(b"{\"timestamp\": ").value(timestamp).fixed(b", \"event\": \""),
            None => out.fixed(b"{\"event\": \""),
        };
        let out = match &self.event {
            Event::Other(event) => out.text(&event.name),
            event => out.bytes(event.name().as_bytes()),
        };
        match self.event.data() {
            Some(data) => out.fixed(b"\", \"data\": ").value(data).fixed(b"}"),
            None => out.fixed(b"\"}"),
        }
    }
}

impl<'a> Decode<'a> for EventMessage<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let (start, depth, kept) = (reader.lexer.offset(), reader.lexer.depth(), reader.kept());
        if let Some(message) = Self::read_as_written(reader)? {
            return Ok(message);
        }
        reader.rewind(start, depth);
        reader.forget_unknown(kept);
        Self::read_in_any_order(reader)
    }
}

impl<'a> EventMessage<'a> {
    /// Reads an envelope that is exactly as QEMU writes it. `None`: it is not.
    fn read_as_written(reader: &mut Reader<'a>) -> Result<Option<Self>, Error> {
        if !reader.lexer.eat_exactly(b"{\"timestamp\": {\"seconds\": ") {
            return Ok(None);
        }
        let Some(seconds) = reader.lexer.small_integer() else { return Ok(None) };
        if !reader.lexer.eat_exactly(b", \"microseconds\": ") {
            return Ok(None);
        }
        let Some(microseconds) = reader.lexer.small_integer() else { return Ok(None) };
        if !reader.lexer.eat_exactly(b"}, \"event\": ") {
            return Ok(None);
        }
        let timestamp = Some(Timestamp { seconds, microseconds });
        let name = reader.lexer.string()?;
        if reader.lexer.eat_exactly(b", \"data\": ") {
            reader.lexer.enter();
            reader.note("data");
            let event = read_event(&name, reader)?;
            let end = reader.lexer.eat_exactly(b"}");
            reader.lexer.leave();
            return Ok(end.then_some(Self { timestamp, event }));
        }
        let end = reader.lexer.eat_exactly(b"}");
        Ok(end.then(|| Self { timestamp, event: Event::without_data(&name, reader.lexer.offset()) }))
    }

    /// Reads an envelope whose members come in any order, possibly with unknown ones between them.
    #[inline(never)]
    fn read_in_any_order(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let start = (reader.lexer.offset(), reader.lexer.depth());
        let mut index = reader.index()?;
        let end = reader.lexer.offset();
        reader.rewind(start.0, start.1);
        reader.lexer.enter();
        let Some(at) = index.find("event") else {
            return Err(Error::new(ErrorKind::Missing { member: "event" }, end.saturating_sub(1)));
        };
        reader.lexer.go_to(at);
        let name = reader.lexer.string()?;
        let timestamp = read_timestamp(&mut index, reader);
        let event = match index.find("data") {
            Some(at) => {
                reader.lexer.go_to(at);
                reader.note("data");
                read_event(&name, reader)?
            }
            None => Event::without_data(&name, end),
        };
        reader.finish(index);
        Ok(Self { timestamp, event })
    }
}

/// Reads the timestamp. One that does not fit its type is an unknown member.
fn read_timestamp<'a>(index: &mut Index<'a>, reader: &mut Reader<'a>) -> Option<Timestamp> {
    let (depth, kept) = (reader.lexer.depth(), reader.kept());
    let at = index.find("timestamp")?;
    reader.lexer.go_to(at);
    reader.note("timestamp");
    if let Ok(timestamp) = Timestamp::read(reader) {
        return Some(timestamp);
    }
    reader.rewind(at, depth);
    reader.forget_unknown(kept);
    index.forget("timestamp");
    None
}

/// Reads the data of an event. Data that does not fit the event's type becomes a [`Value`].
fn read_event<'a>(name: &Cow<'a, str>, reader: &mut Reader<'a>) -> Result<Event<'a>, Error> {
    let (start, depth, kept) = (reader.lexer.offset(), reader.lexer.depth(), reader.kept());
    let reason = match Event::read_data(name, reader) {
        Ok(event) => return Ok(event),
        Err(error) if error.is_syntax() => return Err(error),
        Err(error) => error,
    };
    reader.rewind(start, depth);
    reader.forget_unknown(kept);
    if let Some(event) = read_wrapped_event(name, reader) {
        return Ok(event);
    }
    reader.rewind(start, depth);
    let data = Some(Value::read(reader)?);
    Ok(Event::Other(OtherEvent { name: name.clone(), data, reason }))
}

/// The data as the object in a string, which libvirt's `virt-qemu-qmp-proxy` sends instead of the object itself.
fn read_wrapped_event<'a>(name: &Cow<'a, str>, reader: &mut Reader<'a>) -> Option<Event<'a>> {
    if reader.lexer.peek() != Some(b'"') {
        return None;
    }
    let text = reader.lexer.string().ok()?;
    let mut inner = Reader::new(&text);
    if inner.lexer.peek() != Some(b'{') {
        return None;
    }
    let event = read_event(&Cow::Borrowed(name), &mut inner).ok()?;
    inner.lexer.end().ok()?;
    Some(event.into_owned())
}

impl<'a> Event<'a> {
    /// Reads an event from its name and the JSON text of its data, as libvirt's monitor-event API passes them.
    ///
    /// Fails only if `data` is not JSON. As in an [`EventMessage`], an event that is unknown or does not fit its type becomes
    /// [`Event::Other`].
    ///
    /// ```
    /// use qmp_schema::{Event, MigrationPass};
    ///
    /// let event = Event::from_name_and_data("MIGRATION_PASS", Some(r#"{"pass":2}"#))?;
    /// assert_eq!(event, Event::MigrationPass(MigrationPass { pass: 2 }));
    /// assert_eq!(Event::from_name_and_data("STOP", None)?, Event::Stop);
    /// # Ok::<(), qmp_schema::Error>(())
    /// ```
    pub fn from_name_and_data(name: impl Into<Cow<'a, str>>, data: Option<&'a str>) -> Result<Self, Error> {
        let name = name.into();
        let Some(data) = data else { return Ok(Self::without_data(&name, 0)) };
        let mut reader = Reader::new(data);
        let event = read_event(&name, &mut reader)?;
        reader.lexer.end()?;
        Ok(event)
    }

    /// An event of an unknown name, or one whose required data is missing.
    pub(crate) fn other_without_data(name: &Cow<'a, str>, offset: usize) -> Self {
        let kind =
            if EventInfo::of(name).is_some() { ErrorKind::Missing { member: "data" } } else { ErrorKind::UnknownEvent };
        let reason = Error::new(kind, offset.saturating_sub(1));
        Event::Other(OtherEvent { name: name.clone(), data: None, reason })
    }
}

impl PartialEq for OtherEvent<'_> {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, &self.data, self.reason.kind) == (&other.name, &other.data, other.reason.kind)
    }
}

impl OtherEvent<'_> {
    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> OtherEvent<'static> {
        OtherEvent {
            name: Cow::Owned(self.name.into_owned()),
            data: self.data.map(Value::into_owned),
            reason: self.reason,
        }
    }
}

/// Reads an event from JSON text. [`from_str`](crate::from_str) borrows from the text instead of copying it.
///
/// ```
/// let message: qmp_schema::EventMessage = r#"{"event": "RESUME"}"#.parse()?;
/// assert_eq!(message.event, qmp_schema::Event::Resume);
/// # Ok::<(), qmp_schema::Error>(())
/// ```
impl FromStr for EventMessage<'static> {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        crate::from_str::<EventMessage<'_>>(text).map(EventMessage::into_owned)
    }
}

/// Its name, then its data as JSON: `JOB_STATUS_CHANGE {"status": "running", "id": "job0"}`.
impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        let Some(data) = self.data() else { return Ok(()) };
        let mut text = Vec::new();
        append(&mut text, data, EVENT);
        write!(f, " {}", core::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

display! { EventMessage }
