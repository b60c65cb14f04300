//! A SPICE client for tests: the connector over TCP, and one flaw if the test asks for it. It links a main channel and leaves.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
};

use spice_link::{
    CapsBuf, ChannelCaps, ChannelType, CommonCap, ConnectStatus, LinkConnector, LinkMess, LinkReply, TICKET_LEN,
    ticket::Password,
};

/// What a client does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientFlaw {
    /// Accepts any magic.
    Magic,
    /// Accepts any major version.
    Version,
    /// Accepts a size that is too small.
    SizeMin,
    /// Waits for more bytes when a size is too large.
    SizeMax,
    /// Treats lists of more than 1024 words as empty.
    CapsCount,
    /// Panics at lists that end after the reply.
    CapsEnd,
    /// Treats lists that start in the fixed part as empty.
    CapsStart,
    /// Goes on after a refusal in the reply.
    ReplyCode,
    /// Is linked whatever the link result is.
    ResultCode,
    /// Takes any message for `MAIN_INIT`.
    MessageType,
    /// Takes a message of any size for `MAIN_INIT`.
    MessageSize,
    /// Does not end when it is refused.
    Hang,
    /// Keeps the connection open when it is refused.
    Stays,
    /// Sends the password in clear.
    ClearPassword,
    /// Sends the mechanism in the other byte order.
    MechanismOrder,
    /// Selects a mechanism where the server can't.
    MechanismAlways,
    /// Selects no mechanism where the server can.
    MechanismNever,
    /// Sends the ticket before the reply.
    EarlyTicket,
    /// Reads the reply with one call, so that a reply in pieces is too short.
    OneRead,
}

impl ClientFlaw {
    /// All flaws.
    pub const ALL: [Self; 19] = [
        Self::Magic,
        Self::Version,
        Self::SizeMin,
        Self::SizeMax,
        Self::CapsCount,
        Self::CapsEnd,
        Self::CapsStart,
        Self::ReplyCode,
        Self::ResultCode,
        Self::MessageType,
        Self::MessageSize,
        Self::Hang,
        Self::Stays,
        Self::ClearPassword,
        Self::MechanismOrder,
        Self::MechanismAlways,
        Self::MechanismNever,
        Self::EarlyTicket,
        Self::OneRead,
    ];
}

/// Links a main channel with this password, and leaves.
///
/// # Errors
/// If the server can't be reached or does not link.
pub fn link(server: SocketAddr, password: &str, flaw: Option<ClientFlaw>) -> io::Result<()> {
    let mut stream = TcpStream::connect(server)?;
    stream.set_nodelay(true)?;
    let common = CapsBuf::<_, 1>::new().with(CommonCap::AUTH_SELECTION).with(CommonCap::MINI_HEADER);
    let mess = LinkMess {
        connection_id: 0,
        channel_type: ChannelType::MAIN,
        channel_id: 0,
        common_caps: common.as_caps(),
        channel_caps: ChannelCaps::EMPTY,
    };
    let (mut link, mut out) = (LinkConnector::new(), [0; LinkConnector::ROOM]);
    let len = link.start(&mess, &mut out).map_err(io::Error::other)?;
    let early = if flaw == Some(ClientFlaw::EarlyTicket) { &[1; TICKET_LEN][..] } else { &[] };
    stream.write_all(&[&out[..len], early].concat())?;
    let (mut unread, mut stage) = (Vec::new(), Stage::Reply);
    loop {
        let is_held = flaw.is_some_and(|flaw| tamper(flaw, stage, &mut unread));
        let turn = link.read(&mut Password::new(password), if is_held { &[] } else { &unread }, &mut out);
        unread.drain(..turn.consumed);
        if turn.written > 0 {
            let credentials = credentials(flaw, password, &out[..turn.written]);
            stream.write_all(&credentials)?;
            stage = Stage::Result;
            continue;
        }
        match turn.outcome {
            ConnectStatus::Need(_) => {
                let mut buffer = [0; 16 * 1024];
                match stream.read(&mut buffer)? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    len => unread.extend(&buffer[..len]),
                }
                if flaw == Some(ClientFlaw::OneRead)
                    && stage == Stage::Reply
                    && unread.len() < LinkReply::MIN_SIZE as usize
                {
                    return Err(io::Error::other("the reply is too short"));
                }
            }
            ConnectStatus::Linked { .. } => return Ok(()),
            other => {
                match flaw {
                    Some(ClientFlaw::Hang) => loop {
                        thread::park();
                    },
                    Some(ClientFlaw::Stays) => while stream.read(&mut [0; 64])? > 0 {},
                    _ => {}
                }
                return Err(io::Error::other(format!("not linked: {other:?}")));
            }
        }
    }
}

/// What the client reads next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Reply,
    Result,
}

/// Changes bytes that a check would refuse so that they pass it. True: the client waits for more bytes.
fn tamper(flaw: ClientFlaw, stage: Stage, unread: &mut [u8]) -> bool {
    let word = |at: usize| unread.get(at..at + 4).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    if stage == Stage::Result {
        // The result, then a short header: a type of two bytes, and a size.
        match flaw {
            ClientFlaw::ResultCode if unread.len() == 4 => {
                unread.fill(0);
            }
            ClientFlaw::MessageType if unread.len() >= 6 && word(0) == 0 => unread[4..6].copy_from_slice(&[103, 0]),
            ClientFlaw::MessageSize if unread.len() >= 10 && word(0) == 0 => {
                unread[6..10].copy_from_slice(&32u32.to_le_bytes());
            }
            _ => {}
        }
        return false;
    }
    if unread.len() < 20 {
        return false;
    }
    let (size, error, common, channel, offset) = (word(12), word(16), word(182), word(186), word(190));
    let is_whole = unread.len() >= 194;
    let end = u64::from(offset) + 4 * (u64::from(common) + u64::from(channel));
    let is_few = common <= 1024 && channel <= 1024;
    match flaw {
        ClientFlaw::Magic => unread[..4].copy_from_slice(b"REDQ"),
        ClientFlaw::Version => unread[4..8].copy_from_slice(&2u32.to_le_bytes()),
        ClientFlaw::SizeMin if size < 178 && is_whole => {
            unread[12..16].copy_from_slice(&178u32.to_le_bytes());
            unread[182..190].fill(0);
        }
        ClientFlaw::SizeMax => return size > 8370,
        ClientFlaw::CapsCount if is_whole && !is_few => unread[182..190].fill(0),
        ClientFlaw::CapsStart if is_whole && is_few && offset < 178 => unread[182..190].fill(0),
        ClientFlaw::CapsEnd => {
            let is_out = is_whole && is_few && error == 0 && common + channel > 0 && end > u64::from(size);
            assert!(!is_out, "index out of bounds");
        }
        ClientFlaw::ReplyCode if error != 0 => unread[16..20].fill(0),
        _ => {}
    }
    false
}

fn credentials(flaw: Option<ClientFlaw>, password: &str, sent: &[u8]) -> Vec<u8> {
    let mut sent = sent.to_vec();
    let selects = sent.len() > TICKET_LEN;
    match flaw {
        Some(ClientFlaw::ClearPassword) => {
            let at = sent.len() - TICKET_LEN;
            sent[at..].fill(0);
            sent[at..at + password.len()].copy_from_slice(password.as_bytes());
        }
        Some(ClientFlaw::MechanismOrder) if selects => sent[..4].reverse(),
        Some(ClientFlaw::MechanismNever) if selects => drop(sent.drain(..4)),
        Some(ClientFlaw::MechanismAlways) if !selects => drop(sent.splice(..0, [1, 0, 0, 0])),
        _ => {}
    }
    sent
}
