use std::{
    io::{self, Read, Write},
    net::SocketAddr,
    time::Duration,
};

use spice_link::{DataHeader, HeaderKind, LinkErrorCode, LinkReply, Parsed, ticket};

use crate::{Error, Received, stream::ClientStream, target::Target};

/// One connection to a server, with a record of all that was received.
///
/// Each `read_…` waits for one answer, up to the target's time limit, and appends what came to [`received`](Self::received): that
/// answer, or what came in its place. So a conversation is a few calls without a branch, and its record is compared at the end.
#[derive(Debug)]
pub struct Wire {
    stream: ClientStream,
    /// Asked at the start, because a socket that was reset no longer tells its peer.
    addresses: Option<[SocketAddr; 2]>,
    time_limit: Duration,
    /// Bytes that came and were not read.
    unread: Vec<u8>,
    received: Vec<Received>,
    reply: Vec<u8>,
    main_init: Option<(u32, DataHeader)>,
    bytes: [u64; 2],
    is_reset: bool,
}

/// How long a server that should send nothing is given to send something.
pub const QUIET: Duration = Duration::from_millis(250);

/// The most messages that are read in search of one.
const MAX_MESSAGES: usize = 64;
/// The largest message that is read, in bytes.
const MAX_MESSAGE: usize = 1 << 20;

impl Wire {
    /// Connects to a server.
    ///
    /// # Errors
    /// Those of [`Target::connect`].
    pub fn connect(target: &Target) -> Result<Self, Error> {
        Ok(Self::over(target.connect()?, target.time_limit))
    }

    /// Uses a connection that exists.
    pub fn over(stream: ClientStream, time_limit: Duration) -> Self {
        Self {
            addresses: stream.addresses(),
            stream,
            time_limit,
            unread: Vec::new(),
            received: Vec::new(),
            reply: Vec::new(),
            main_init: None,
            bytes: [0, 0],
            is_reset: false,
        }
    }

    /// The addresses of both ends, the client's first; `None` for a unix socket.
    pub fn addresses(&self) -> Option<[SocketAddr; 2]> {
        self.addresses
    }

    /// What was received so far, in order.
    pub fn received(&self) -> &[Received] {
        &self.received
    }

    /// The bytes of the last link reply, header included; empty before the first.
    pub fn reply(&self) -> &[u8] {
        &self.reply
    }

    /// The session's id and the message's header from `MAIN_INIT`, where it was read.
    pub fn main_init(&self) -> Option<(u32, DataHeader)> {
        self.main_init
    }

    /// How many bytes of the SPICE stream were sent, and how many were read.
    pub fn byte_counts(&self) -> [u64; 2] {
        self.bytes
    }

    /// Whether the server ended the connection by RST.
    pub fn is_reset(&self) -> bool {
        self.is_reset
    }

    /// The connection.
    pub fn stream(&self) -> &ClientStream {
        &self.stream
    }

    /// Sends bytes as they are. If the server has ended the connection already, that is no error: a read shows it.
    ///
    /// # Errors
    /// Any other error of the socket.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes[0] += bytes.len() as u64;
        match self.stream.write_all(bytes).and_then(|()| self.stream.flush()) {
            Err(error) if is_end(&error) => Ok(()),
            other => other,
        }
    }

    /// Tells the server that no more bytes follow.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn finish(&mut self) -> io::Result<()> {
        match self.stream.finish() {
            Err(error) if is_end(&error) || error.kind() == io::ErrorKind::NotConnected => Ok(()),
            other => other,
        }
    }

    /// Reads a link reply.
    ///
    /// # Errors
    /// Those of the socket, here and in all other reads; a time limit that has passed and the end of the connection are none.
    pub fn read_reply(&mut self) -> io::Result<()> {
        let mut want = 16;
        loop {
            if !self.wait_for(want, self.time_limit)? {
                return Ok(());
            }
            match LinkReply::parse(&self.unread) {
                Ok(Parsed::Need(n)) => want = n,
                Ok(Parsed::Complete(reply, len)) => {
                    self.received.push(Received::Reply(reply.error));
                    self.reply = self.take(len);
                    return Ok(());
                }
                Err(error) => {
                    self.received.push(Received::Other(format!("no reply: {error}")));
                    return Ok(());
                }
            }
        }
    }

    /// Reads a link result, or a second link reply in its place.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn read_result(&mut self) -> io::Result<()> {
        if !self.wait_for(4, self.time_limit)? {
            return Ok(());
        }
        if self.unread.starts_with(b"REDQ") {
            return self.read_reply();
        }
        let code = self.take_word();
        self.received.push(Received::Result(LinkErrorCode(code)));
        Ok(())
    }

    /// Reads `MAIN_INIT` behind a header of this kind.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn read_main_init(&mut self, kind: HeaderKind) -> io::Result<()> {
        let len = kind.byte_len();
        if !self.wait_for(len + 4, self.time_limit)? {
            return Ok(());
        }
        let Parsed::Complete(header, _) = DataHeader::parse(kind, &self.unread) else { return Ok(()) };
        let id = word(&self.unread, len);
        let is_main_init = header.message_type == MAIN_INIT && header.size == 32;
        if is_main_init && !self.wait_for(len + 32, self.time_limit)? {
            return Ok(());
        }
        if is_main_init {
            self.take(len + 32);
            self.main_init = Some((id, header));
            self.received.push(Received::MainInit);
        } else {
            let what = format!("message type {}, {} bytes", header.message_type, header.size);
            self.received.push(Received::Other(what));
        }
        Ok(())
    }

    /// Reads the server's list of SASL mechanisms, or a second link reply in its place. Returns the list.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn read_mechanism_list(&mut self) -> io::Result<Vec<u8>> {
        if !self.wait_for(4, self.time_limit)? {
            return Ok(Vec::new());
        }
        if self.unread.starts_with(b"REDQ") {
            self.read_reply()?;
            return Ok(Vec::new());
        }
        let len = word(&self.unread, 0).min(MAX_LIST) as usize;
        if !self.wait_for(4 + len, self.time_limit)? {
            return Ok(Vec::new());
        }
        self.received.push(Received::MechanismList);
        Ok(self.take(4 + len).split_off(4))
    }

    /// Reads a SASL answer, and the words behind it where it completes the exchange. Returns the answer's data.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn read_sasl_answer(&mut self) -> io::Result<Vec<u8>> {
        if !self.wait_for(4, self.time_limit)? {
            return Ok(Vec::new());
        }
        let len = word(&self.unread, 0).min(spice_link::sasl::MAX_DATA) as usize;
        if !self.wait_for(4 + len + 1, self.time_limit)? {
            return Ok(Vec::new());
        }
        if self.unread.get(4 + len) == Some(&0) {
            self.received.push(Received::SaslContinue);
        } else {
            if !self.wait_for(4 + len + 5, self.time_limit)? {
                return Ok(Vec::new());
            }
            let code = word(&self.unread, 4 + len + 1);
            let answer = self.take(4 + len + 5);
            if code == 0 {
                self.received.push(Received::SaslAccepted);
            } else {
                if self.wait_for(4, self.time_limit)? {
                    let text = 4 + word(&self.unread, 0).min(MAX_LIST) as usize;
                    if self.wait_for(text, self.time_limit)? {
                        self.take(text);
                    }
                }
                self.received.push(Received::SaslRefused);
            }
            return Ok(answer[4..4 + len].to_vec());
        }
        Ok(self.take(4 + len + 1)[4..4 + len].to_vec())
    }

    /// Reads one frame of the SASL security layer.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn read_layer_frame(&mut self) -> io::Result<()> {
        if self.wait_for(4, self.time_limit)? {
            let len = word(&self.unread, 0).swap_bytes().min(spice_link::sasl::MAX_LAYER_FRAME) as usize;
            if self.wait_for(4 + len, self.time_limit)? {
                self.take(4 + len);
                self.received.push(Received::LayerFrame);
            }
        }
        Ok(())
    }

    /// Reads the end of the connection. Bytes before it are recorded as such.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn read_end(&mut self) -> io::Result<()> {
        if self.received.last() != Some(&Received::End) && self.wait_for(1, self.time_limit)? {
            self.received.push(Received::Other(format!("{} bytes more", self.unread.len())));
        }
        Ok(())
    }

    /// Reads up to the end of the connection and ignores all bytes before it.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn skip_to_end(&mut self) -> io::Result<()> {
        if self.received.last() == Some(&Received::End) {
            return Ok(());
        }
        for _ in 0..10_000 {
            self.take(self.unread.len());
            if !self.wait_for(1, self.time_limit)? {
                break;
            }
        }
        Ok(())
    }

    /// Checks for a while that the server sends nothing and keeps the connection open.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn read_silence(&mut self) -> io::Result<()> {
        if self.wait_for(1, QUIET)? {
            self.received.push(Received::Other(format!("{} bytes", self.unread.len())));
        }
        Ok(())
    }

    /// Reads data messages with short headers up to the first of this type, and returns its body. `None`: it is not among the next
    /// 64 messages, or one of them is longer than 1 MiB, or the connection has ended.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn read_message(&mut self, message_type: u16) -> io::Result<Option<Vec<u8>>> {
        for _ in 0..MAX_MESSAGES {
            if self.fill(6, self.time_limit)?.is_some() {
                return Ok(None);
            }
            let Parsed::Complete(header, start) = DataHeader::parse(HeaderKind::Mini, &self.unread) else {
                return Ok(None);
            };
            let size = header.size as usize;
            if size > MAX_MESSAGE || self.fill(start + size, self.time_limit)?.is_some() {
                return Ok(None);
            }
            let body = self.take(start + size).split_off(start);
            if header.message_type == message_type {
                return Ok(Some(body));
            }
        }
        Ok(None)
    }

    /// Encrypts a ticket of these bytes with the key of the last reply, or zeros without a reply.
    pub fn seal(&self, plain: &[u8]) -> [u8; 128] {
        let key = self.reply.get(20..182).and_then(|key| <&[u8; 162]>::try_from(key).ok());
        key.and_then(|key| ticket::seal_bytes(key, plain).ok()).unwrap_or([0; 128])
    }

    /// Waits for bytes. If the connection ends or the time has passed before that, it records what came and returns false.
    fn wait_for(&mut self, len: usize, time: Duration) -> io::Result<bool> {
        let Some(instead) = self.fill(len, time)? else { return Ok(true) };
        if !self.unread.is_empty() {
            self.received.push(Received::Other(format!("{} bytes", self.unread.len())));
            self.take(self.unread.len());
        }
        self.received.push(instead);
        Ok(false)
    }

    /// Reads until this many bytes are unread. `Some`: what came in place of them.
    fn fill(&mut self, len: usize, time: Duration) -> io::Result<Option<Received>> {
        self.stream.set_read_timeout(time)?;
        let mut buffer = [0; 4096];
        while self.unread.len() < len {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Ok(Some(Received::End)),
                Ok(read) => self.unread.extend(&buffer[..read]),
                Err(error) if is_end(&error) => {
                    self.is_reset |= error.kind() == io::ErrorKind::ConnectionReset;
                    return Ok(Some(Received::End));
                }
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    return Ok(Some(Received::Silence));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Removes bytes from the start of those that are unread.
    fn take(&mut self, len: usize) -> Vec<u8> {
        self.bytes[1] += len as u64;
        self.unread.drain(..len).collect()
    }

    fn take_word(&mut self) -> u32 {
        word(&self.take(4), 0)
    }
}

/// `SPICE_MSG_MAIN_INIT` of spice-protocol's enums.h.
const MAIN_INIT: u16 = 103;
/// The longest list or text that is waited for, in bytes.
const MAX_LIST: u32 = 65_536;

/// The little-endian word at this offset; 0 if it is not there.
pub(crate) fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).map_or(0, |four| u32::from_le_bytes([four[0], four[1], four[2], four[3]]))
}

/// A SASL field: its length and its bytes.
pub(crate) fn field(bytes: &[u8]) -> Vec<u8> {
    [&crate::message::word(bytes.len()).to_le_bytes(), bytes].concat()
}

/// Whether this is how a connection ends that the other side has closed.
fn is_end(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}
