//! One conversation with the server under test, and what was seen of it.

use crate::dial::{Line, Target};
use spice_link::{DataHeader, HeaderKind, LinkReply, Parsed, ticket};
use std::{
    io::{self, Read, Write},
    time::Duration,
};

/// `SpiceLinkMess` behind its header, every field free to be wrong. Laid out by hand, so that the runner does not test a server
/// with the project's own idea of the wire.
#[derive(Clone, Debug)]
pub(super) struct Mess {
    pub(super) magic: [u8; 4],
    pub(super) major: u32,
    pub(super) minor: u32,
    pub(super) size: Option<u32>,
    pub(super) connection_id: u32,
    pub(super) channel: (u8, u8),
    pub(super) counts: Option<[u32; 2]>,
    pub(super) offset: Option<u32>,
    pub(super) gap: usize,
    pub(super) common: Vec<u32>,
    pub(super) own: Vec<u32>,
    pub(super) tail: usize,
}

impl Mess {
    /// A new session's main channel, mechanism selection and short data headers.
    pub(super) fn main() -> Self {
        Self {
            magic: *b"REDQ",
            major: 2,
            minor: 2,
            size: None,
            connection_id: 0,
            channel: (1, 0),
            counts: None,
            offset: None,
            gap: 0,
            common: vec![9],
            own: Vec::new(),
            tail: 0,
        }
    }

    /// A channel of a session.
    pub(super) fn channel(connection_id: u32, channel: (u8, u8)) -> Self {
        Self { connection_id, channel, ..Self::main() }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let word = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
        let mut body = self.connection_id.to_le_bytes().to_vec();
        body.extend([self.channel.0, self.channel.1]);
        let counts = self.counts.unwrap_or([word(self.common.len()), word(self.own.len())]);
        let offset = self.offset.unwrap_or(18 + word(self.gap));
        body.extend([counts[0], counts[1], offset].map(u32::to_le_bytes).concat());
        body.resize(body.len() + self.gap, 0);
        body.extend(self.common.iter().chain(&self.own).flat_map(|word| word.to_le_bytes()));
        body.resize(body.len() + self.tail, 0xee);
        let size = self.size.unwrap_or(word(body.len()));
        let mut out = self.magic.to_vec();
        out.extend([self.major, self.minor, size].map(u32::to_le_bytes).concat());
        out.extend(body);
        out
    }
}

/// What a server has answered, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// A link reply, and its error.
    Reply(u32),
    /// A link result.
    Result(u32),
    /// `MAIN_INIT`.
    Session,
    /// The connection is at its end.
    End,
    /// Nothing, for a while.
    Nothing,
    /// A list of SASL mechanisms.
    List,
    /// The end of a SASL exchange: complete, and accepted.
    Accepted,
    /// Bytes that are none of these.
    Other(String),
}

impl Answer {
    pub(super) fn show(list: &[Self]) -> String {
        let one = |answer: &Self| match answer {
            Self::Reply(error) => format!("reply {error}"),
            Self::Result(code) => format!("result {code}"),
            Self::Session => "session".to_owned(),
            Self::End => "end".to_owned(),
            Self::Nothing => "nothing".to_owned(),
            Self::List => "list of mechanisms".to_owned(),
            Self::Accepted => "accepted".to_owned(),
            Self::Other(what) => what.clone(),
        };
        list.iter().map(one).collect::<Vec<_>>().join(", ")
    }
}

/// One connection, with what has come in and was not read.
pub(super) struct Wire {
    line: Line,
    unread: Vec<u8>,
    pub(super) seen: Vec<Answer>,
    /// The last reply, whole.
    pub(super) reply: Vec<u8>,
    /// The session's id, and `MAIN_INIT`'s header.
    pub(super) session: Option<(u32, DataHeader)>,
    patience: Duration,
}

/// How long a server that should say nothing is given to say something.
pub(super) const QUIET: Duration = Duration::from_millis(250);

impl Wire {
    pub(super) fn dial(target: &Target) -> io::Result<Self> {
        Ok(Self::over(target.dial()?, target.patience))
    }

    fn over(line: Line, patience: Duration) -> Self {
        Self { line, unread: Vec::new(), seen: Vec::new(), reply: Vec::new(), session: None, patience }
    }

    /// A server that has gone is no error here: that it has shows in what it answered.
    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.line.write_all(bytes).and_then(|()| self.line.flush()) {
            Err(error) if is_end(&error) => Ok(()),
            other => other,
        }
    }

    pub(super) fn finish(&mut self) -> io::Result<()> {
        match self.line.finish() {
            Err(error) if is_end(&error) || error.kind() == io::ErrorKind::NotConnected => Ok(()),
            other => other,
        }
    }

    /// Waits until there are so many unread bytes; false at the end, or when the time is up.
    fn need(&mut self, len: usize, time: Duration) -> io::Result<Result<(), Answer>> {
        self.line.wait(time)?;
        while self.unread.len() < len {
            let mut buffer = [0; 4096];
            match self.line.read(&mut buffer) {
                Ok(0) => return Ok(Err(Answer::End)),
                Ok(read) => self.unread.extend(&buffer[..read]),
                Err(error) if is_end(&error) => return Ok(Err(Answer::End)),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    return Ok(Err(Answer::Nothing));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Ok(()))
    }

    /// The next link reply, or what is there instead.
    pub(super) fn read_reply(&mut self) -> io::Result<()> {
        let mut want = 16;
        loop {
            if let Err(instead) = self.need(want, self.patience)? {
                self.note_instead(instead);
                return Ok(());
            }
            match LinkReply::parse(&self.unread) {
                Ok(Parsed::Need(n)) => want = n,
                Ok(Parsed::Complete(reply, len)) => {
                    self.seen.push(Answer::Reply(reply.error.0));
                    self.reply = self.unread.drain(..len).collect();
                    return Ok(());
                }
                Err(error) => {
                    self.seen.push(Answer::Other(format!("no reply: {error}")));
                    return Ok(());
                }
            }
        }
    }

    /// The link result, or a second reply, or what is there instead.
    pub(super) fn read_result(&mut self) -> io::Result<()> {
        match self.need(4, self.patience)? {
            Err(instead) => {
                self.note_instead(instead);
                Ok(())
            }
            Ok(()) if self.unread.starts_with(b"REDQ") => self.read_reply(),
            Ok(()) => {
                let word: Vec<u8> = self.unread.drain(..4).collect();
                self.seen.push(Answer::Result(u32::from_le_bytes([word[0], word[1], word[2], word[3]])));
                Ok(())
            }
        }
    }

    /// `MAIN_INIT`, with the header that both sides agreed on.
    pub(super) fn read_session(&mut self, kind: HeaderKind) -> io::Result<()> {
        let len = kind.byte_len();
        if let Err(instead) = self.need(len + 4, self.patience)? {
            self.note_instead(instead);
            return Ok(());
        }
        let Parsed::Complete(header, _) = DataHeader::parse(kind, &self.unread) else { return Ok(()) };
        let id = self.unread[len..len + 4].iter().rev().fold(0, |id, byte| id << 8 | u32::from(*byte));
        if header.message_type == 103 && header.size == 32 && self.need(len + 32, self.patience)?.is_ok() {
            self.unread.drain(..len + 32);
            self.session = Some((id, header));
            self.seen.push(Answer::Session);
        } else {
            self.seen.push(Answer::Other(format!("message type {}, {} bytes", header.message_type, header.size)));
        }
        Ok(())
    }

    /// A list of SASL mechanisms, or a second reply.
    pub(super) fn read_list(&mut self) -> io::Result<Vec<u8>> {
        match self.need(4, self.patience)? {
            Err(instead) => self.note_instead(instead),
            Ok(()) if self.unread.starts_with(b"REDQ") => self.read_reply()?,
            Ok(()) => {
                let len = self.unread[..4].iter().rev().fold(0, |len, byte| len << 8 | usize::from(*byte)).min(65_536);
                if let Err(instead) = self.need(4 + len, self.patience)? {
                    self.note_instead(instead);
                    return Ok(Vec::new());
                }
                self.seen.push(Answer::List);
                return Ok(self.unread.drain(..4 + len).skip(4).collect());
            }
        }
        Ok(Vec::new())
    }

    /// A SASL answer without data that completes the exchange, and the word that accepts it; or what is there instead.
    pub(super) fn read_accepted(&mut self) -> io::Result<()> {
        match self.need(9, self.patience)? {
            Err(instead) => self.note_instead(instead),
            Ok(()) if self.unread.starts_with(&[0, 0, 0, 0, 1, 0, 0, 0, 0]) => {
                self.unread.drain(..9);
                self.seen.push(Answer::Accepted);
            }
            Ok(()) => self.seen.push(Answer::Other(format!("\"{}\"", self.unread[..9].escape_ascii()))),
        }
        Ok(())
    }

    /// The end: nothing more may come before it.
    pub(super) fn read_end(&mut self) -> io::Result<()> {
        if self.seen.last() == Some(&Answer::End) {
            return Ok(());
        }
        match self.need(1, self.patience)? {
            Err(instead) => self.seen.push(instead),
            Ok(()) => self.seen.push(Answer::Other(format!("{} bytes more", self.unread.len()))),
        }
        Ok(())
    }

    /// The end, whatever comes before it.
    pub(super) fn read_to_end(&mut self) -> io::Result<()> {
        for _ in 0..10_000 {
            self.unread.clear();
            if let Err(instead) = self.need(1, self.patience)? {
                self.seen.push(instead);
                break;
            }
        }
        Ok(())
    }

    /// That the server waits: no byte, no end.
    pub(super) fn read_nothing(&mut self) -> io::Result<()> {
        match self.need(1, QUIET)? {
            Err(instead) => self.seen.push(instead),
            Ok(()) => self.seen.push(Answer::Other(format!("{} bytes", self.unread.len()))),
        }
        Ok(())
    }

    /// The next data message's body of this type, within the next few messages.
    pub(super) fn read_message(&mut self, wanted: u16) -> io::Result<Option<Vec<u8>>> {
        for _ in 0..64 {
            if self.need(6, self.patience)?.is_err() {
                return Ok(None);
            }
            let Parsed::Complete(header, start) = DataHeader::parse(HeaderKind::Mini, &self.unread) else {
                return Ok(None);
            };
            let size = header.size as usize;
            if size > 1 << 20 || self.need(start + size, self.patience)?.is_err() {
                return Ok(None);
            }
            let body = self.unread.drain(..start + size).skip(start).collect();
            if header.message_type == wanted {
                return Ok(Some(body));
            }
        }
        Ok(None)
    }

    /// A ticket for the last reply's key, of these bytes.
    pub(super) fn seal(&self, plain: &[u8]) -> [u8; 128] {
        let key = self.reply.get(20..182).and_then(|key| <&[u8; 162]>::try_from(key).ok());
        key.and_then(|key| ticket::seal_bytes(key, plain).ok()).unwrap_or([0; 128])
    }

    fn note_instead(&mut self, instead: Answer) {
        if !self.unread.is_empty() {
            self.seen.push(Answer::Other(format!("{} bytes", self.unread.len())));
            self.unread.clear();
        }
        self.seen.push(instead);
    }
}

/// How connections end that the other side has closed, with or without its last words.
fn is_end(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}
