use std::{fmt, io};

/// What a server sends to a client that sends its first message and then no more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answered {
    /// All bytes.
    pub bytes: Vec<u8>,
    /// Whether the server has ended the connection. `false`: it was still open at the time limit.
    pub is_ended: bool,
}

impl From<Vec<u8>> for Answered {
    /// These bytes and the end of the connection.
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes, is_ended: true }
    }
}

/// A server under test: it is asked about one first message at a time, each on a connection of its own.
///
/// A function from a message's bytes to an answer is one. [`OverTcp`](super::OverTcp) asks a server that is running.
pub trait ServerUnderTest {
    /// Sends these bytes and then no more, and collects the answer.
    ///
    /// # Errors
    /// If there is no connection: the server is gone.
    fn ask(&mut self, sent: &[u8]) -> io::Result<Answered>;

    /// Another handle to the same server, for [`Hunt::parallel`](super::Hunt::parallel). `None`: it is asked one message at a time.
    fn another(&self) -> Option<Box<dyn ServerUnderTest + Send>> {
        None
    }
}

impl ServerUnderTest for Box<dyn ServerUnderTest + Send> {
    fn ask(&mut self, sent: &[u8]) -> io::Result<Answered> {
        (**self).ask(sent)
    }

    fn another(&self) -> Option<Self> {
        (**self).another()
    }
}

impl<F: FnMut(&[u8]) -> io::Result<Answered>> ServerUnderTest for F {
    fn ask(&mut self, sent: &[u8]) -> io::Result<Answered> {
        self(sent)
    }
}

impl fmt::Display for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = &self.bytes;
        match code(bytes) {
            _ if bytes.is_empty() => f.write_str("nothing")?,
            Some(code) if *bytes == super::refusal(code) => write!(f, "a refusal with {code}")?,
            Some(code) => write!(f, "{} bytes with the code {code}: {}", bytes.len(), bytes[..20].escape_ascii())?,
            None => write!(f, "{} bytes: {}", bytes.len(), bytes.escape_ascii())?,
        }
        f.write_str(if self.is_ended { " and the end" } else { ", and no end" })
    }
}

/// The code of a reply; `None` if there are too few bytes for one.
pub(super) fn code(bytes: &[u8]) -> Option<u32> {
    bytes.get(16..20).and_then(|code| code.try_into().ok()).map(u32::from_le_bytes)
}
