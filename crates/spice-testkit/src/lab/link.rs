//! A SPICE client's half of the link stage, made by hand: bytes laid out here and nowhere else, so that it checks the
//! project's own encoder and parser instead of repeating them.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
};

use super::{
    PATIENCE,
    process::{Scratch, output},
};
use crate::captures::{Ender, Link};

/// `SpiceLinkMess` with its header, every field free to be wrong.
#[derive(Clone, Debug)]
pub struct Mess {
    /// `REDQ`, unless it shall be refused.
    pub magic: [u8; 4],
    /// 2.
    pub major: u32,
    /// 2.
    pub minor: u32,
    /// What the header says; `None`: the length of what follows.
    pub size: Option<u32>,
    /// 0 for a new session.
    pub connection_id: u32,
    /// 1 main, 2 display, 3 inputs, 4 cursor, 5 playback, 6 record, 9 usbredir, 11 webdav.
    pub channel_type: u8,
    /// 0 for the first of its type.
    pub channel_id: u8,
    /// Common capability words.
    pub common: Vec<u32>,
    /// The channel's capability words.
    pub channel: Vec<u32>,
    /// What the message says about their number; `None`: the truth.
    pub counts: Option<[u32; 2]>,
    /// Where they start, from the start of `SpiceLinkMess`; `None`: 18, right after it.
    pub caps_offset: Option<u32>,
    /// Bytes after everything else.
    pub tail: Vec<u8>,
}

/// Common capability bits.
pub mod cap {
    /// The client chooses the authentication mechanism.
    pub const AUTH_SELECTION: u32 = 1;
    /// Tickets.
    pub const AUTH_SPICE: u32 = 2;
    /// SASL.
    pub const AUTH_SASL: u32 = 4;
    /// 6-byte data headers.
    pub const MINI_HEADER: u32 = 8;
}

impl Mess {
    /// A message for this channel as spice-gtk sends it: mechanism selection and mini headers, no channel capabilities.
    pub fn new(connection_id: u32, channel_type: u8, channel_id: u8) -> Self {
        Self {
            magic: *b"REDQ",
            major: 2,
            minor: 2,
            size: None,
            connection_id,
            channel_type,
            channel_id,
            common: vec![cap::AUTH_SELECTION | cap::MINI_HEADER],
            channel: Vec::new(),
            counts: None,
            caps_offset: None,
            tail: Vec::new(),
        }
    }

    /// The bytes as they go on the wire.
    pub fn bytes(&self) -> Vec<u8> {
        let counts = self.counts.unwrap_or_else(|| [self.common.len(), self.channel.len()].map(word));
        let caps_offset = self.caps_offset.unwrap_or(18);
        let mut body = self.connection_id.to_le_bytes().to_vec();
        body.extend([self.channel_type, self.channel_id]);
        body.extend([counts[0], counts[1], caps_offset].map(u32::to_le_bytes).concat());
        // Room up to the offset, where the offset is a plausible one.
        if (19..4096).contains(&caps_offset) && self.counts.is_none() && !self.common.is_empty() {
            body.resize(caps_offset as usize, 0);
        }
        body.extend(self.common.iter().chain(&self.channel).flat_map(|word| word.to_le_bytes()));
        body.extend(&self.tail);
        let size = self.size.unwrap_or_else(|| word(body.len()));
        [&self.magic[..], &self.major.to_le_bytes(), &self.minor.to_le_bytes(), &size.to_le_bytes(), &body].concat()
    }
}

fn word(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// The server's answer to a link message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// 0, or why the link is refused.
    pub error: u32,
    /// The key to seal the ticket with, DER; zeros on error and under SASL.
    pub pub_key: [u8; 162],
    /// Common capability words.
    pub common: Vec<u32>,
    /// The channel's capability words.
    pub channel: Vec<u32>,
}

/// A connection to a SPICE server with everything counted that passes.
#[derive(Debug)]
pub struct Wire<S = TcpStream> {
    stream: S,
    seen: Link,
}

impl Wire {
    /// Connects.
    pub fn connect(server: impl Into<SocketAddr>) -> io::Result<Self> {
        let stream = TcpStream::connect(server.into())?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let ports = [stream.local_addr()?.port(), stream.peer_addr()?.port()];
        Ok(Self::over(stream, ports))
    }

    /// No more bytes from our side.
    pub fn finish(&self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }
}

impl<S: Read + Write> Wire<S> {
    /// Over any byte stream, a WebSocket for example, whose connection has these ports: the client's and the server's.
    pub fn over(stream: S, [client_port, server_port]: [u16; 2]) -> Self {
        Self { stream, seen: Link { client_port, server_port, ..Link::default() } }
    }

    /// Reads until the server ends the connection.
    pub fn until_end(&mut self) -> io::Result<()> {
        let mut rest = Vec::new();
        let end = self.stream.read_to_end(&mut rest);
        self.seen.received += rest.len() as u64;
        self.seen.ended_by = match end {
            Ok(_) => Ender::Server,
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ender::Reset,
            Err(error) => return Err(error),
        };
        Ok(())
    }

    /// What was seen so far, under a name.
    pub fn seen(&self, case: &str) -> Link {
        Link { case: case.to_owned(), ..self.seen.clone() }
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()?;
        self.seen.sent += bytes.len() as u64;
        Ok(())
    }

    /// Reads exactly this many bytes.
    pub fn read<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.stream.read_exact(&mut bytes)?;
        self.seen.received += N as u64;
        Ok(bytes)
    }

    /// Reads this many bytes and forgets them.
    pub fn skip(&mut self, len: usize) -> io::Result<()> {
        for _ in 0..len {
            self.read::<1>()?;
        }
        Ok(())
    }

    /// Reads a little-endian number.
    pub fn read_u32(&mut self) -> io::Result<u32> {
        self.read().map(u32::from_le_bytes)
    }

    /// Reads the server's header and link reply.
    pub fn read_reply(&mut self) -> io::Result<Reply> {
        let magic = self.read::<4>()?;
        if magic != *b"REDQ" {
            return Err(io::Error::other(format!("expected REDQ, the server sent {magic:02x?}")));
        }
        let _version = self.read::<8>()?;
        let size = self.read_u32()? as usize;
        let error = self.read_u32()?;
        let pub_key = self.read()?;
        let counts = [self.read_u32()? as usize, self.read_u32()? as usize];
        let caps_offset = self.read_u32()? as usize;
        let mut words = Vec::new();
        if counts != [0, 0] {
            self.skip(caps_offset - 178)?;
            for _ in 0..(size - caps_offset) / 4 {
                words.push(self.read_u32()?);
            }
        }
        self.seen.replies.push(error);
        let channel = words.split_off(counts[0].min(words.len()));
        Ok(Reply { error, pub_key, common: words, channel })
    }

    /// Reads the link result.
    pub fn read_result(&mut self) -> io::Result<u32> {
        let result = self.read_u32()?;
        self.seen.result = Some(result);
        Ok(result)
    }

    /// The link stage with a ticket; returns the result.
    pub fn link(&mut self, mess: &Mess, password: &str) -> io::Result<u32> {
        self.send(&mess.bytes())?;
        let reply = self.read_reply()?;
        if reply.error != 0 {
            return Err(io::Error::other(format!("expected a link, the server refused with {}", reply.error)));
        }
        if mess.common.first().is_some_and(|word| word & cap::AUTH_SELECTION != 0) {
            self.send(&1u32.to_le_bytes())?;
        }
        let ticket = seal(&reply.pub_key, password.as_bytes())?;
        self.send(&ticket)?;
        self.read_result()
    }

    /// Reads `MAIN_INIT`, which has to come next, and returns its session id.
    pub fn read_session_id(&mut self, mini: bool) -> io::Result<u32> {
        let (kind, size) = if mini {
            let header: [u8; 6] = self.read()?;
            (u16::from_le_bytes([header[0], header[1]]), header[2])
        } else {
            let header: [u8; 18] = self.read()?;
            (u16::from_le_bytes([header[8], header[9]]), header[10])
        };
        if (kind, size) != (103, 32) {
            return Err(io::Error::other(format!("expected MAIN_INIT (103, 32 bytes), saw type {kind}, {size} bytes")));
        }
        let id = self.read_u32()?;
        self.read::<28>()?;
        Ok(id)
    }
}

/// The ticket: the password and a NUL, sealed with the server's key (RSAES-OAEP with SHA-1) by the `openssl` program.
pub fn seal(pub_key: &[u8; 162], password: &[u8]) -> io::Result<Vec<u8>> {
    let scratch = Scratch::new()?;
    let (key, plain) = (scratch.join("key.der"), scratch.join("plain"));
    std::fs::write(&key, pub_key)?;
    std::fs::write(&plain, [password, b"\0"].concat())?;
    let mut openssl = std::process::Command::new("openssl");
    openssl.args(["pkeyutl", "-encrypt", "-pubin", "-keyform", "DER", "-pkeyopt", "rsa_padding_mode:oaep", "-inkey"]);
    output(openssl.arg(key).arg("-in").arg(plain))
}
