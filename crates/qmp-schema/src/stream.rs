//! Decoding of a QMP server's output: bytes in, messages out.

use alloc::vec::Vec;
use core::ops::Range;

use crate::{Decode as _, Error, ErrorKind, Message, reader::Reader, scan};

/// The default limit on the size of a message: 16 MiB.
///
/// QEMU's largest reply, to `query-qmp-schema`, has about 200 kB in version 7.2.
pub const DEFAULT_LIMIT: usize = 16 << 20;

/// Splits a QMP server's output into messages.
///
/// [`push`](Self::push) the received bytes in chunks of any size, and drain [`next_message`](Self::next_message) after each.
/// Messages may come one per line, as QEMU writes them, spread over several lines (`pretty=on`), or without any separator.
///
/// Input that can't be read is skipped. One error says where in the stream it was, and reading continues after it:
///
/// - a message that is not JSON, such as one with QEMU's bare `inf`: after its last bracket;
/// - an incomplete message: at the next line that begins with `{` (no line within a message does), or after a line end within
///   a string;
/// - bytes between messages: at the next `{` or line end;
/// - a message longer than the limit: after it. The decoder keeps at most the limit plus the last chunk.
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

/// The bytes of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Frame<'a> {
    /// Its first byte, counted in bytes from the start of the stream.
    pub offset: u64,
    /// From its first to its last bracket. Only the balance of the brackets is checked.
    pub bytes: &'a [u8],
}

/// How far the buffer is scanned, and the state at that point.
#[derive(Clone, Debug)]
struct Scanner {
    /// Bytes of the stream before the buffer.
    base: u64,
    /// Index of the first byte that is still needed.
    start: usize,
    /// Index of the first byte that is not scanned yet.
    at: usize,
    /// A message that begins before this index is not a line of its own.
    line_from: usize,
    limit: usize,
    place: Place,
    ended: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Between messages.
    Between,
    /// Within bytes that belong to no message.
    Garbage,
    /// Within a message.
    Inside {
        /// The number of open brackets.
        depth: usize,
        string: InString,
        /// The last byte was a line end.
        line_start: bool,
        /// The message is longer than the limit, and its bytes are dropped.
        dropped: bool,
        /// Bytes of the message so far.
        len: usize,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InString {
    No,
    Yes,
    /// After a backslash.
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

    /// Takes received bytes. Drain [`next_message`](Self::next_message) after each.
    pub fn push(&mut self, bytes: &[u8]) {
        self.scanner.drop_read(&mut self.buffer);
        self.buffer.extend_from_slice(bytes);
    }

    /// Marks the end of the stream. An incomplete message becomes an error.
    pub const fn finish(&mut self) {
        self.scanner.ended = true;
    }

    /// The next message, or the error for skipped input. `None`: [`push`](Self::push) more bytes first.
    pub fn next_message(&mut self) -> Option<Result<Message<'_>, Error>> {
        let Self { buffer, scanner } = self;
        // Most messages are a line of their own. If the line can be read, there is no need to search for the message's end.
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

    /// As [`next_message`](Self::next_message), but returns the bytes of the message.
    pub fn next_frame(&mut self) -> Option<Result<Frame<'_>, Error>> {
        let Self { buffer, scanner } = self;
        Some(match scanner.next(buffer)? {
            Ok(range) => Ok(Frame { offset: scanner.base + range.start as u64, bytes: &buffer[range] }),
            Err(error) => Err(error),
        })
    }

    /// The number of bytes that are kept for an incomplete message.
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
    /// Drops bytes that are not needed any more, if that is cheap.
    fn drop_read(&mut self, buffer: &mut Vec<u8>) {
        // Moving the rest costs at most as much as scanning the dropped bytes did.
        if self.start >= buffer.len() - self.start {
            buffer.drain(..self.start);
            self.base += self.start as u64;
            self.at -= self.start;
            self.line_from = self.line_from.saturating_sub(self.start);
            self.start = 0;
        }
    }

    /// The next line, without its end, and the index after its end. `None`: it is incomplete, does not begin with a brace, or is
    /// longer than the limit.
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

    /// Scans within a message. Returns its range at its end, or an error if it is incomplete or too long.
    fn inside(&mut self, buffer: &[u8], byte: u8) -> Option<Result<Range<usize>, Error>> {
        let Place::Inside { mut depth, mut string, line_start, mut dropped, mut len } = self.place else { return None };
        if line_start && byte == b'{' {
            let error = self.error(ErrorKind::CutOff, self.start);
            self.begin();
            // The first brace of the new message is scanned with `line_start` off.
            return (!dropped).then_some(Err(error));
        }
        // Plain bytes are scanned in one step, up to the limit.
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

    /// Ends a message at a line end within a string. Another message follows.
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

/// Whether a byte is structure outside of strings.
const fn is_structure(byte: u8) -> bool {
    matches!(byte, b'"' | b'{' | b'}' | b'[' | b']' | b'\n')
}
