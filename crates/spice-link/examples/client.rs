//! Links to a real SPICE server: opens a new session's main channel over TCP or WebSocket.
//!
//! ```sh
//! cargo run --features ticket --example client -- 127.0.0.1:5930 sekrit
//! cargo run --features ticket --example client -- 127.0.0.1:5930 sekrit --websocket
//! ```
//!
//! [`link`] takes any stream. For TLS, give it a `rustls::StreamOwned`.

use std::{
    env,
    io::{self, Read, Write},
    net::TcpStream,
    time::Duration,
};

use spice_link::{
    CapsBuf, ChannelType, CommonCap, ConnectStatus, LinkConnector, LinkMess, LinkReply, LinkUser, MainCap, MainInit,
    ticket,
    websocket::{Deframer, head_end, is_switching},
};

fn main() -> io::Result<()> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [server, password, rest @ ..] = &args[..] else {
        return Err(io::Error::other("expected: ADDRESS:PORT PASSWORD [--websocket]"));
    };
    let stream = TcpStream::connect(server)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let id = match rest {
        [] => link(password, stream)?,
        [flag] if flag == "--websocket" => link(password, WebSocket::upgrade(stream)?)?,
        other => return Err(io::Error::other(format!("expected --websocket, found {other:?}"))),
    };
    println!("linked: session {}", id.cast_signed());
    Ok(())
}

/// What this client knows: a password.
struct User<'a>(&'a str);

impl LinkUser for User<'_> {
    fn received(&mut self, reply: &LinkReply<'_>) {
        let common: Vec<_> = reply.common_caps.iter().map(|cap| cap.to_string()).collect();
        println!("the server supports {}", common.join(", "));
        let main: Vec<_> = reply.channel_caps.named(ChannelType::MAIN).map(|cap| cap.to_string()).collect();
        println!("its main channel supports {}", main.join(", "));
    }

    fn ticket(&mut self, pub_key: &[u8; LinkReply::PUB_KEY_LEN], ticket: &mut [u8; 128]) -> bool {
        match ticket::seal(pub_key, self.0.as_bytes()) {
            Ok(sealed) => {
                *ticket = sealed;
                true
            }
            Err(error) => {
                println!("{error}");
                false
            }
        }
    }
}

/// Opens the main channel of a new session and returns the session's id.
pub fn link(password: &str, mut stream: impl Read + Write) -> io::Result<u32> {
    let common = CapsBuf::<_, 1>::new().with(CommonCap::AUTH_SELECTION).with(CommonCap::MINI_HEADER);
    let channel = CapsBuf::<_, 1>::new().with(MainCap::NAME_AND_UUID);
    let mess = LinkMess {
        connection_id: 0,
        channel_type: ChannelType::MAIN,
        channel_id: 0,
        common_caps: common.as_caps(),
        channel_caps: channel.as_caps(),
    };
    let mut user = User(password);
    let (mut link, mut unread, mut out) = (LinkConnector::new(), Vec::new(), [0; LinkConnector::ROOM]);
    let len = link.start(&mess, &mut out).map_err(io::Error::other)?;
    stream.write_all(&out[..len])?;
    stream.flush()?;
    loop {
        let turn = link.read(&mut user, &unread, &mut out);
        unread.drain(..turn.consumed);
        stream.write_all(&out[..turn.written])?;
        stream.flush()?;
        match turn.outcome {
            ConnectStatus::Need(_) => {
                let mut buffer = [0; 4096];
                match stream.read(&mut buffer)? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    len => unread.extend(&buffer[..len]),
                }
            }
            ConnectStatus::Linked { main_init: Some(MainInit { session_id, .. }), .. } => return Ok(session_id),
            other => return Err(io::Error::other(format!("not linked: {other:?}"))),
        }
    }
}

/// A byte stream in WebSocket frames.
struct WebSocket {
    stream: TcpStream,
    deframer: Deframer,
    ready: Vec<u8>,
}

impl WebSocket {
    /// spice-server wants the whole request in one read.
    fn upgrade(mut stream: TcpStream) -> io::Result<Self> {
        stream.write_all(
            b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
              Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: binary\r\n\r\n",
        )?;
        let mut head = Vec::new();
        while head_end(&head, 0).is_none() {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        if !is_switching(&head) {
            return Err(io::Error::other(format!("no upgrade: {}", head.escape_ascii())));
        }
        Ok(Self { stream, deframer: Deframer::new(), ready: Vec::new() })
    }
}

impl Read for WebSocket {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.ready.is_empty() {
            let mut buffer = [0; 4096];
            let len = self.stream.read(&mut buffer)?;
            if len == 0 {
                return Ok(0);
            }
            self.deframer.read(&buffer[..len], |run| self.ready.extend(run));
        }
        let len = out.len().min(self.ready.len());
        for (slot, byte) in out.iter_mut().zip(self.ready.drain(..len)) {
            *slot = byte;
        }
        Ok(len)
    }
}

impl Write for WebSocket {
    /// One masked binary frame; a mask of zeros hides nothing, which is as much as any mask does here.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Ok(len @ 1..) = u16::try_from(bytes.len()) else { return Ok(0) };
        let mut frame = vec![0x82, 0x80 | 0x7e];
        frame.extend(len.to_be_bytes());
        frame.extend([0; 4]);
        frame.extend(bytes);
        self.stream.write_all(&frame)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
