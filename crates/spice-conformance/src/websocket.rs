use std::{
    hash::{BuildHasher, Hasher, RandomState},
    io::{self, Read, Write},
};

use spice_link::websocket::{Deframer, FrameHeader, MAX_HEAD, Opcode, UpgradeRequest, UpgradeResponse, mask};

use crate::Error;

/// The client's end of a WebSocket connection: a byte stream in binary frames.
#[derive(Debug)]
pub struct WebSocket<S> {
    stream: S,
    masked: bool,
    deframer: Deframer,
    /// Payload that came and was not read.
    ready: Vec<u8>,
}

impl<S: Read + Write> WebSocket<S> {
    /// Upgrades a connection. `host` is the value of the request's `Host` line.
    ///
    /// With `masked` false the client sends its frames without a mask. RFC 6455 forbids that; spice-server accepts it.
    ///
    /// # Errors
    /// [`Error::Upgrade`] if the server answers with anything but an upgrade.
    pub fn upgrade(mut stream: S, host: &str, masked: bool) -> Result<Self, Error> {
        let mut key = [0; 16];
        key[..8].copy_from_slice(&random());
        key[8..].copy_from_slice(&random());
        let request = UpgradeRequest { host, key };
        let mut out = vec![0; 256 + host.len()];
        let len = request.encode(&mut out).map_err(|_| Error::Upgrade(UpgradeResponse::Refused))?;
        stream.write_all(&out[..len])?;
        stream.flush()?;
        let head = read_head(&mut stream)?;
        match request.read_response(&head, 0) {
            UpgradeResponse::Switched { .. } => {
                Ok(Self { stream, masked, deframer: Deframer::new(), ready: Vec::new() })
            }
            other => Err(Error::Upgrade(other)),
        }
    }

    /// Sends one frame. `fin` false: continuation frames follow.
    ///
    /// # Errors
    /// Those of the stream.
    pub fn send_frame(&mut self, opcode: Opcode, fin: bool, payload: &[u8]) -> io::Result<()> {
        self.stream.write_all(&frame(opcode, fin, self.masked, payload))
    }

    /// The stream below.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }

    /// The stream below.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.stream
    }
}

/// The bytes of one frame from a client.
pub(crate) fn frame(opcode: Opcode, fin: bool, masked: bool, payload: &[u8]) -> Vec<u8> {
    let key = masked.then(|| {
        let [a, b, c, d, ..] = random();
        [a, b, c, d]
    });
    let header = FrameHeader { fin, opcode, mask: key, len: payload.len() as u64 };
    let mut out = header.encode(&mut [0; FrameHeader::MAX_LEN]).to_vec();
    let start = out.len();
    out.extend(payload);
    mask(&mut out[start..], key.unwrap_or_default());
    out
}

/// Reads a server's answer to an upgrade request, byte by byte so that nothing after it is lost: the head of a response, or a link
/// reply, or what comes before the end of the connection.
pub(crate) fn read_head(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < MAX_HEAD {
        let mut byte = [0];
        match stream.read(&mut byte) {
            Ok(0) => break,
            Ok(_) => head.extend(byte),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if head.len() == REFUSAL_LEN && head.starts_with(b"REDQ") {
            break;
        }
    }
    Ok(head)
}

/// The length of the reply with which spice-server refuses a link, in bytes.
const REFUSAL_LEN: usize = 194;

/// Eight bytes that a peer can't foresee, from the source of randomness that the standard library seeds its hash maps with.
fn random() -> [u8; 8] {
    RandomState::new().build_hasher().finish().to_le_bytes()
}

impl<S: Read> Read for WebSocket<S> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut buffer = [0; 4096];
        while self.ready.is_empty() {
            let len = self.stream.read(&mut buffer)?;
            if len == 0 {
                return Ok(0);
            }
            let ready = &mut self.ready;
            self.deframer.read(&buffer[..len], |payload| ready.extend(payload));
        }
        let len = out.len().min(self.ready.len());
        out[..len].copy_from_slice(&self.ready[..len]);
        self.ready.drain(..len);
        Ok(len)
    }
}

impl<S: Write> Write for WebSocket<S> {
    /// Sends the bytes as one frame, at most 65 535 of them.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let bytes = &bytes[..bytes.len().min(usize::from(u16::MAX))];
        self.stream.write_all(&frame(Opcode::BINARY, true, self.masked, bytes))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
