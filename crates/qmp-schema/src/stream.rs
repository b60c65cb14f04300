//! The inbound side of a QMP connection, without the connection: bytes in, messages out.

use alloc::vec::Vec;
use core::ops::Range;

use crate::{Decode as _, Error, ErrorKind, Message, reader::Reader, scan};

/// Bytes that one message may have unless said otherwise: 16 MiB.
///
/// QEMU's largest reply, that of `query-qmp-schema`, has some 200 kB in version 7.2.
pub const DEFAULT_LIMIT: usize = 16 << 20;

/// Cuts a QMP server's output into messages.
///
/// [`push`](Self::push) what was received, in any chunks; then drain [`next_message`](Self::next_message). Messages
/// may come one a line, as QEMU writes them, spread over lines (`pretty=on`), or with nothing between them.
///
/// What can't be read is skipped, with one error that tells where in the stream it was, and reading goes on behind it:
///
/// - a message that is not JSON, such as QEMU's bare `inf`: behind its last bracket;
/// - a message that breaks off: where a line begins with `{`, which within a message it never does, or after a line
///   end in the middle of a string;
/// - bytes between messages: at the next `{` or line end;
/// - a message longer than the limit: behind it. No more than the limit and what was pushed last is kept.
///
/// ```
/// use qmp_schema::{Event, Message, stream::StreamDecoder};
///
/// let mut decoder = StreamDecoder::new();
/// decoder.push(b"{\"return\": {}, \"id\": inf}\r\n{\"event\": \"ST");
/// assert_eq!(decoder.next_message().unwrap().unwrap_err().offset, 21);
/// assert!(decoder.next_message().is_none(), "the rest is still to come");
///
/// decoder.push(b"OP\"}\r\n");
/// let Some(Ok(Message::Event(message))) = decoder.next_message() else { panic!() };
/// assert_eq!(message.event, Event::Stop);
/// ```
#[derive(Clone, Debug)]
pub struct StreamDecoder {
    buffer: Vec<u8>,
    scanner: Scanner,
}

/// One message's bytes, not taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Frame<'a> {
    /// Where it begins: bytes from the start of the stream.
    pub offset: u64,
    /// From its first bracket to its last. Brackets are balanced; nothing else was checked.
    pub bytes: &'a [u8],
}

/// How far the buffer was read, and what that was in the middle of.
#[derive(Clone, Debug)]
struct Scanner {
    /// Bytes of the stream before the buffer.
    base: u64,
    /// Start of what is still needed.
    start: usize,
    /// Up to here the buffer was read.
    at: usize,
    /// No message that begins before this is a line of its own.
    line_from: usize,
    limit: usize,
    place: Place,
    ended: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Between messages.
    Between,
    /// In bytes that belong to no message.
    Garbage,
    /// In a message.
    Inside {
        /// Brackets that are open.
        depth: usize,
        string: InString,
        /// The last byte was a line end.
        line_start: bool,
        /// The message passed the limit, and its bytes are dropped.
        dropped: bool,
        /// Bytes of the message so far.
        len: usize,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InString {
    No,
    Yes,
    /// Behind a backslash.
    Escape,
}

impl Default for StreamDecoder {
    fn default() -> Self {
        Self::new()
    }
}

impl StreamDecoder {
    /// A decoder at the start of a stream, with the [default limit](DEFAULT_LIMIT).
    #[must_use]
    pub const fn new() -> Self {
        Self::with_limit(DEFAULT_LIMIT)
    }

    /// A decoder that skips messages longer than this many bytes.
    #[must_use]
    pub const fn with_limit(limit: usize) -> Self {
        let scanner = Scanner { base: 0, start: 0, at: 0, line_from: 0, limit, place: Place::Between, ended: false };
        Self { buffer: Vec::new(), scanner }
    }

    /// Takes what was received. Drain [`next_message`](Self::next_message) after each.
    pub fn push(&mut self, bytes: &[u8]) {
        self.scanner.drop_read(&mut self.buffer);
        self.buffer.extend_from_slice(bytes);
    }

    /// The stream has ended: a message that is not complete will never be.
    pub const fn finish(&mut self) {
        self.scanner.ended = true;
    }

    /// The next message, or the error for what is skipped; `None` until more is pushed.
    pub fn next_message(&mut self) -> Option<Result<Message<'_>, Error>> {
        let Self { buffer, scanner } = self;
        // Most messages are a line of their own: where it can be read, its end need not be looked for separately.
        if let Some((line, end)) = scanner.line(buffer) {
            if let Ok(message) = decode(&buffer[line.clone()], 0) {
                scanner.skip_to(end);
                return Some(Ok(message));
            }
            scanner.line_from = end;
        }
        let range = match scanner.next(buffer)? {
            Ok(range) => range,
            Err(error) => return Some(Err(error)),
        };
        Some(decode(&buffer[range.clone()], scanner.base + range.start as u64))
    }

    /// As [`next_message`](Self::next_message), but the bytes alone.
    pub fn next_frame(&mut self) -> Option<Result<Frame<'_>, Error>> {
        let Self { buffer, scanner } = self;
        Some(match scanner.next(buffer)? {
            Ok(range) => Ok(Frame { offset: scanner.base + range.start as u64, bytes: &buffer[range] }),
            Err(error) => Err(error),
        })
    }

    /// Bytes that are kept for a message which is not complete.
    #[must_use]
    pub const fn buffered(&self) -> usize {
        self.buffer.len() - self.scanner.start
    }
}

/// Reads a message whose first byte is at this offset of the stream.
fn decode(bytes: &[u8], offset: u64) -> Result<Message<'_>, Error> {
    let message = crate::utf8(bytes).and_then(|text| {
        let mut reader = Reader::new(text);
        let message = Message::read(&mut reader)?;
        reader.lexer.end()?;
        Ok(message)
    });
    message.map_err(|error| Error { offset: error.offset + offset, ..error })
}

impl Scanner {
    /// Forgets what is not needed any more, now and then.
    fn drop_read(&mut self, buffer: &mut Vec<u8>) {
        // Moving the rest costs no more than was read since the last time.
        if self.start >= buffer.len() - self.start {
            buffer.drain(..self.start);
            self.base += self.start as u64;
            self.at -= self.start;
            self.line_from = self.line_from.saturating_sub(self.start);
            self.start = 0;
        }
    }

    /// The line that comes next, if it is there, begins with a bracket, and is within the limit: without its end, and
    /// where its end is.
    fn line(&mut self, buffer: &[u8]) -> Option<(Range<usize>, usize)> {
        if self.place != Place::Between || self.at < self.line_from {
            return None;
        }
        let blank = buffer[self.at..].iter().take_while(|byte| is_white(**byte)).count();
        self.skip_to(self.at + blank);
        let start = self.at;
        let rest = buffer.get(start..).filter(|rest| rest.first() == Some(&b'{'))?;
        let Some(len) = scan::line_end(rest) else {
            self.line_from = buffer.len();
            return None;
        };
        let trimmed = rest[..len].iter().rposition(|byte| !is_white(*byte)).map_or(0, |last| last + 1);
        (trimmed <= self.limit).then_some((start..start + trimmed, start + len + 1))
    }

    /// The range of the next message.
    fn next(&mut self, buffer: &[u8]) -> Option<Result<Range<usize>, Error>> {
        while let Some(&byte) = buffer.get(self.at) {
            match self.place {
                Place::Between if is_white(byte) => self.skip_to(self.at + 1),
                Place::Between if byte == b'{' => self.begin(),
                Place::Between => {
                    self.place = Place::Garbage;
                    let kind = ErrorKind::Syntax { expected: "a message", found: Some(byte) };
                    return Some(Err(self.error(kind, self.at)));
                }
                Place::Garbage if byte == b'{' || byte == b'\n' => self.place = Place::Between,
                Place::Garbage => self.skip_to(self.at + 1),
                Place::Inside { .. } => {
                    if let Some(result) = self.inside(buffer, byte) {
                        return Some(result);
                    }
                }
            }
        }
        if self.ended && matches!(self.place, Place::Inside { dropped: false, .. }) {
            let error = self.error(ErrorKind::CutOff, self.start);
            self.place = Place::Between;
            self.start = self.at;
            return Some(Err(error));
        }
        None
    }

    fn begin(&mut self) {
        self.start = self.at;
        self.place = Place::Inside { depth: 0, string: InString::No, line_start: false, dropped: false, len: 0 };
    }

    /// Reads on within a message; something comes of it at the message's end, or where it turns out not to be one.
    fn inside(&mut self, buffer: &[u8], byte: u8) -> Option<Result<Range<usize>, Error>> {
        let Place::Inside { mut depth, mut string, line_start, mut dropped, mut len } = self.place else { return None };
        if line_start && byte == b'{' {
            let error = self.error(ErrorKind::CutOff, self.start);
            self.begin();
            // The first bracket of the new message is read with `line_start` off.
            return (!dropped).then_some(Err(error));
        }
        // Plain bytes are read in one go, up to the limit.
        let rest = &buffer[self.at..];
        let rest = if dropped { rest } else { &rest[..rest.len().min(self.limit.saturating_sub(len) + 1)] };
        let plain = match string {
            InString::No => rest.iter().position(|&byte| is_structure(byte)),
            InString::Yes => rest.iter().position(|&byte| matches!(byte, b'"' | b'\\' | b'\n')),
            InString::Escape => Some(0),
        };
        let plain = plain.unwrap_or(rest.len());
        let step = if let Some(&byte) = rest.get(plain) {
            match (string, byte) {
                (InString::Yes | InString::Escape, b'\n') => return self.line_end_in_string(plain, dropped),
                (InString::No, b'"') | (InString::Escape, _) => string = InString::Yes,
                (InString::No, b'{' | b'[') => depth += 1,
                (InString::No, b'}' | b']') => depth = depth.saturating_sub(1),
                (InString::Yes, b'"') => string = InString::No,
                (InString::Yes, b'\\') => string = InString::Escape,
                _ => {}
            }
            plain + 1
        } else {
            plain
        };
        let line_start = string == InString::No && rest.get(plain) == Some(&b'\n');
        len += step;
        self.at += step;
        let too_long = !dropped && len > self.limit;
        let error = too_long.then(|| self.error(ErrorKind::TooLong { limit: self.limit }, self.start));
        dropped |= too_long;
        let range = self.start..self.at;
        if dropped {
            self.start = self.at;
        }
        self.place = Place::Inside { depth, string, line_start, dropped, len };
        if depth == 0 {
            self.place = Place::Between;
            self.start = self.at;
        }
        match error {
            Some(error) => Some(Err(error)),
            None if depth == 0 && !dropped => Some(Ok(range)),
            None => None,
        }
    }

    /// A string that goes over the line's end: what follows is another message.
    fn line_end_in_string(&mut self, plain: usize, dropped: bool) -> Option<Result<Range<usize>, Error>> {
        let kind = ErrorKind::Syntax { expected: "a string's next character", found: Some(b'\n') };
        let error = self.error(kind, self.at + plain);
        self.place = Place::Between;
        self.skip_to(self.at + plain + 1);
        (!dropped).then_some(Err(error))
    }

    const fn skip_to(&mut self, at: usize) {
        self.at = at;
        self.start = at;
    }

    const fn error(&self, kind: ErrorKind, at: usize) -> Error {
        Error { kind, offset: self.base + at as u64 }
    }
}

const fn is_white(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// Bytes that mean something outside of strings.
const fn is_structure(byte: u8) -> bool {
    matches!(byte, b'"' | b'{' | b'}' | b'[' | b']' | b'\n')
}
