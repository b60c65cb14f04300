//! A WebSocket client over TCP, just enough of it to carry SPICE: a byte stream in binary frames.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
};

use super::PATIENCE;

/// A byte stream in WebSocket frames: each write is one masked binary frame.
#[derive(Debug)]
pub struct WebSocket {
    stream: TcpStream,
    /// Payload bytes left in the server's current frame.
    left: u64,
    masked: bool,
}

impl WebSocket {
    /// Connects and upgrades in one write, as spice-server needs it. Unmasked frames, which RFC 6455 forbids to clients,
    /// spice-server takes too.
    pub fn connect(server: impl Into<SocketAddr>, masked: bool) -> io::Result<Self> {
        let mut stream = TcpStream::connect(server.into())?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(
            b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
              Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: binary\r\n\
              Sec-WebSocket-Version: 13\r\n\r\n",
        )?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        if !head.starts_with(b"HTTP/1.1 101") {
            return Err(io::Error::other(format!("no upgrade: {}", String::from_utf8_lossy(&head))));
        }
        Ok(Self { stream, left: 0, masked })
    }

    /// The connection below.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Sends one frame: 1 text, 2 binary, 8 close, 9 ping; `last` false leaves the message open for continuation frames.
    pub fn frame(&mut self, opcode: u8, last: bool, payload: &[u8]) -> io::Result<()> {
        let mut frame = vec![opcode | if last { 0x80 } else { 0 }];
        let mask_bit = if self.masked { 0x80 } else { 0 };
        match payload.len() {
            len @ 0..=125 => frame.push(mask_bit | u8::try_from(len).unwrap_or(0)),
            len => {
                let len = u16::try_from(len).map_err(|_| io::Error::other("frame too long for this client"))?;
                frame.push(mask_bit | 0x7e);
                frame.extend(len.to_be_bytes());
            }
        }
        if self.masked {
            let mask = [0x37, 0xfa, 0x21, 0x3d];
            frame.extend(mask);
            frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        } else {
            frame.extend(payload);
        }
        self.stream.write_all(&frame)
    }

    fn next_frame(&mut self) -> io::Result<()> {
        let mut head = [0; 2];
        self.stream.read_exact(&mut head)?;
        self.left = match head[1] & 0x7f {
            126 => {
                let mut len = [0; 2];
                self.stream.read_exact(&mut len)?;
                u64::from(u16::from_be_bytes(len))
            }
            127 => {
                let mut len = [0; 8];
                self.stream.read_exact(&mut len)?;
                u64::from_be_bytes(len)
            }
            len => u64::from(len),
        };
        Ok(())
    }
}

impl Read for WebSocket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.left == 0 {
            self.next_frame()?;
        }
        let want = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let read = self.stream.read(&mut buffer[..want])?;
        self.left -= read as u64;
        Ok(read)
    }
}

impl Write for WebSocket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.frame(2, true, bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
