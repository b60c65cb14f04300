//! A SPICE server of one channel, with a password: what spice-gtk needs to open its main channel, and nothing behind it.
//!
//! ```sh
//! cargo run --features ticket --example server -- 5930 sekrit
//! spicy-screenshot -h 127.0.0.1 -p 5930 -w sekrit
//! ```
//!
//! It listens on loopback, on a port of its own choice where 0 is given, and says on stdout what QEMU would say over QMP.

use std::{
    env,
    hash::{BuildHasher, RandomState},
    io::{self, ErrorKind, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    thread,
};

use spice_link::{
    AcceptStatus, ChannelCaps, ChannelType, DataHeader, HeaderKind, Join, LinkAcceptor, LinkErrorCode, LinkHost,
    LinkReply, LinkRequest, Linked, MainInit, Parsed, ticket::TicketKey,
};

fn main() -> io::Result<()> {
    let mut args = env::args().skip(1);
    let (port, password) = (args.next(), args.next().unwrap_or_default());
    let port = port.and_then(|port| port.parse().ok()).unwrap_or(0);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    println!("listening on {}", listener.local_addr()?);
    for stream in listener.incoming() {
        let (stream, password) = (stream?, password.clone());
        thread::spawn(move || {
            let peer = stream.peer_addr().map_or_else(|error| error.to_string(), |peer| peer.to_string());
            println!("{peer} CONNECTED");
            match serve(stream, &peer, password) {
                // A client that leaves with messages unread resets the connection: its way of closing.
                Err(error) if error.kind() != ErrorKind::ConnectionReset => println!("{peer} {error}"),
                _ => {}
            }
            println!("{peer} DISCONNECTED");
        });
    }
    Ok(())
}

/// What this server decides for one link.
struct Host {
    password: String,
    /// Made when it is asked for, and gone with the link.
    key: Option<TicketKey>,
}

impl LinkHost for Host {
    /// No channel but main, which needs no mention.
    fn channel(&mut self, _: ChannelType, _: u8) -> Option<ChannelCaps<'_>> {
        None
    }

    fn pub_key(&mut self) -> [u8; LinkReply::PUB_KEY_LEN] {
        self.key = TicketKey::generate().ok();
        self.key.as_ref().map_or([0; LinkReply::PUB_KEY_LEN], |key| *key.public())
    }

    fn ticket(&mut self, ticket: &[u8; 128]) -> bool {
        self.key.take().is_some_and(|key| key.matches(ticket, self.password.as_bytes()))
    }

    fn join(&mut self, request: &LinkRequest) -> Join {
        if !request.is_new_session() {
            return Join::Refused(LinkErrorCode::BAD_CONNECTION_ID);
        }
        let id = fresh_id();
        // One display, the client's mouse mode, no agent.
        Join::Session(MainInit {
            session_id: id,
            display_channels_hint: 1,
            supported_mouse_modes: 2,
            current_mouse_mode: 2,
            agent_tokens: 10,
            ..MainInit::default()
        })
    }
}

/// A random session id. It is never 0, which asks for a new session.
fn fresh_id() -> u32 {
    let [.., a, b, c, d] = RandomState::new().hash_one(()).to_be_bytes();
    u32::from_be_bytes([a, b, c, d]).max(1)
}

fn serve(mut stream: TcpStream, peer: &str, password: String) -> io::Result<()> {
    let mut host = Host { password, key: None };
    let (mut link, mut unread, mut out) = (LinkAcceptor::new(), Vec::new(), [0; LinkAcceptor::ROOM]);
    loop {
        let turn = link.read(&mut host, &unread, &mut out);
        stream.write_all(&out[..turn.written])?;
        unread.drain(..turn.consumed);
        match turn.outcome {
            AcceptStatus::Need(_) => {
                if !receive(&mut stream, &mut unread)? {
                    return Ok(());
                }
            }
            AcceptStatus::Linked(linked) => {
                let (request, id) = (linked.request, linked.session_id.unwrap_or(linked.request.connection_id));
                // QMP shows the id as a signed number.
                println!(
                    "{peer} INITIALIZED {} {} of session {}",
                    request.channel_type,
                    request.channel_id,
                    id.cast_signed()
                );
                return session(stream, linked, unread);
            }
            AcceptStatus::Close(why) => return Err(io::Error::other(format!("refused: {why}"))),
            AcceptStatus::Room(n) => {
                return Err(io::Error::other(format!("expected an answer of at most 1 KiB, it has {n}")));
            }
        }
    }
}

/// Answers the one message that a client waits for an answer to: which other channels there are. None.
fn session(mut stream: TcpStream, linked: Linked, mut unread: Vec<u8>) -> io::Result<()> {
    const ATTACH_CHANNELS: u16 = 104;
    const CHANNELS_LIST: u16 = 104;
    let mut serial = 2;
    loop {
        while let Parsed::Complete(header, start) = DataHeader::parse(linked.header, &unread) {
            let end = start + header.size as usize;
            if header.size > 1 << 20 {
                return Err(io::Error::other(format!("expected messages of at most 1 MiB, found {}", header.size)));
            }
            if unread.len() < end {
                break;
            }
            unread.drain(..end);
            if header.message_type == ATTACH_CHANNELS {
                let full = (linked.header == HeaderKind::Full).then_some((serial, 0));
                let list = DataHeader { message_type: CHANNELS_LIST, size: 4, full };
                stream.write_all(&[list.encode(&mut [0; 18]), &[0; 4]].concat())?;
                serial += 1;
            }
        }
        if !receive(&mut stream, &mut unread)? {
            return Ok(());
        }
    }
}

/// Whether there was more.
fn receive(stream: &mut TcpStream, unread: &mut Vec<u8>) -> io::Result<bool> {
    let mut buffer = [0; 4096];
    let len = stream.read(&mut buffer)?;
    unread.extend(&buffer[..len]);
    Ok(len > 0)
}
