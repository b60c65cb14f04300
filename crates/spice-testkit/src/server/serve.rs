//! One connection of a server, from its first byte to its end.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
};

use spice_link::{
    AcceptStatus, ChannelType, CloseReason, DataHeader, Error, HeaderKind, LinkAcceptor, LinkErrorCode, LinkMess,
    LinkReply, Linked, Parsed, Upgrade, websocket::Deframer,
};

use super::{
    flaw::Flaw,
    host::Host,
    shared::{CHANNELS, Shared},
    tamper,
};

/// One connection, plain or in WebSocket frames.
struct ServerStream<'a> {
    stream: &'a TcpStream,
    deframer: Option<Deframer>,
}

impl ServerStream<'_> {
    /// Reads up to the end of the connection, and sends nothing.
    fn never_answer(&mut self) -> io::Result<()> {
        while self.receive(&mut Vec::new())? {}
        Ok(())
    }

    /// Reads once. Returns false at the end of the connection.
    fn receive(&mut self, unread: &mut Vec<u8>) -> io::Result<bool> {
        let mut buffer = [0; 4096];
        let len = self.stream.read(&mut buffer)?;
        match &mut self.deframer {
            Some(deframer) => deframer.read(&buffer[..len], |run| unread.extend(run)),
            None => unread.extend(&buffer[..len]),
        }
        Ok(len > 0)
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() || self.deframer.is_none() {
            return self.stream.write_all(bytes);
        }
        let len = u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes();
        self.stream.write_all(&[&[0x82, 126], &len[..], bytes].concat())
    }
}

pub(super) fn serve(shared: &Shared, stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut host = Host::new(shared, stream);
    let mut line = ServerStream { stream, deframer: None };
    let (mut acceptor, mut unread, mut out) = (LinkAcceptor::new(), Vec::new(), [0; LinkAcceptor::ROOM]);
    shared.wait_while_hung();
    while unread.len() < 4 {
        if !line.receive(&mut unread)? {
            return Ok(());
        }
    }
    while shared.has(Flaw::Upgrade) && unread.starts_with(b"GET ") && !unread.ends_with(b"\r\n\r\n") {
        if !line.receive(&mut unread)? {
            return Ok(());
        }
    }
    if let Some(upgrade) = Upgrade::parse(&unread) {
        let mut response = [0; Upgrade::ROOM];
        let (len, request_len) = (upgrade.respond(&mut response).unwrap_or(0), upgrade.request_len());
        let mut response = response[..len].to_vec();
        if shared.has(Flaw::WebSocketKey) {
            tamper::accept_key(&mut response);
        }
        line.send(&response)?;
        let (mut deframer, behind) = (Deframer::new(), unread.split_off(request_len));
        unread.clear();
        deframer.read(&behind, |run| unread.extend(run));
        line.deframer = Some(deframer);
    }
    let mut mechanism = None;
    loop {
        let is_answered = host.selects.is_some();
        let is_held = shared.flaw.is_some_and(|flaw| tamper::patch(flaw, is_answered, &mut unread));
        // The message by itself, so that the bytes after it can be patched too.
        let mess = LinkMess::parse(&unread)
            .ok()
            .and_then(|parsed| if let Parsed::Complete(_, len) = parsed { Some(len) } else { None });
        let end = mess.filter(|_| !is_answered).unwrap_or(unread.len());
        if host.selects == Some(true) && mechanism.is_none() && unread.len() >= 4 {
            mechanism = unread.first_chunk::<4>().copied();
            if shared.has(Flaw::Mechanism) {
                unread[..4].copy_from_slice(&[1, 0, 0, 0]);
            }
        }
        let turn = acceptor.read(&mut host, if is_held { &[] } else { &unread[..end] }, &mut out);
        unread.drain(..turn.consumed);
        let mut answer = out[..turn.written].to_vec();
        if let Some(flaw) = shared.flaw {
            if let AcceptStatus::Close(reason) = turn.outcome
                && let Some(end) = Misdeed::of(flaw, reason)
            {
                return end.happen(shared, &mut line);
            }
            tamper::answer(flaw, !is_answered, turn.outcome, &mut answer);
            if flaw == Flaw::Silent && !is_answered && turn.written > 0 && answer.is_empty() {
                return Ok(());
            }
        }
        line.send(&answer)?;
        match turn.outcome {
            AcceptStatus::Need(_) if turn.consumed > 0 && !unread.is_empty() => {}
            AcceptStatus::Need(_) => {
                if !line.receive(&mut unread)? {
                    return Ok(());
                }
            }
            AcceptStatus::Linked(linked) => return stay(&host, &mut line, linked, unread),
            AcceptStatus::Close(CloseReason::Unreadable(Error::Version { major: 0 }))
                if shared.has(Flaw::VersionZero) =>
            {
                return line.send(&LinkReply::refusal(LinkErrorCode::VERSION_MISMATCH));
            }
            AcceptStatus::Close(_) if shared.has(Flaw::Close) => return line.never_answer(),
            AcceptStatus::Close(_) | AcceptStatus::Room(_) => return Ok(()),
        }
    }
}

/// What a server does in place of refusing.
#[derive(Clone, Copy)]
enum Misdeed {
    Crash,
    Hang,
    SendForever,
}

impl Misdeed {
    fn of(flaw: Flaw, reason: CloseReason) -> Option<Self> {
        match (flaw, reason) {
            (Flaw::Crash, CloseReason::Unreadable(Error::CapsRange { .. }))
            | (Flaw::CrashTicket, CloseReason::Ticket) => Some(Self::Crash),
            (Flaw::Hang, CloseReason::Unreadable(Error::Size { seen, max, .. })) if seen > max => Some(Self::Hang),
            (Flaw::HangSasl, CloseReason::SaslField) => Some(Self::Hang),
            (Flaw::Endless, CloseReason::Unreadable(Error::Size { seen, min, .. })) if seen < min => {
                Some(Self::SendForever)
            }
            _ => None,
        }
    }

    fn happen(self, shared: &Shared, line: &mut ServerStream<'_>) -> io::Result<()> {
        match self {
            Self::Crash => {
                shared.crash();
                Ok(())
            }
            Self::Hang => {
                shared.hang();
                shared.wait_while_hung();
                Ok(())
            }
            Self::SendForever => loop {
                line.send(&[0; 4096])?;
            },
        }
    }
}

/// Answers the request for the list of channels until the client leaves. A main channel ends its session then.
fn stay(host: &Host<'_>, line: &mut ServerStream<'_>, linked: Linked, mut unread: Vec<u8>) -> io::Result<()> {
    let done = answer(line, linked, &mut unread);
    let mut session = host.shared.session();
    let own = linked.session_id.unwrap_or(linked.request.connection_id);
    let is_live = session.id == Some(own) && session.channels.iter().any(|joined| joined.link == host.link);
    if is_live && linked.request.channel_type == ChannelType::MAIN {
        if host.shared.has(Flaw::MainLeaves) {
            (session.id, session.channels) = (None, Vec::new());
        } else {
            session.end();
        }
    }
    session.channels.retain(|joined| joined.link != host.link);
    done
}

fn answer(line: &mut ServerStream<'_>, linked: Linked, unread: &mut Vec<u8>) -> io::Result<()> {
    const ATTACH_CHANNELS: u16 = 104;
    loop {
        while let Parsed::Complete(header, start) = DataHeader::parse(linked.header, unread) {
            let end = start.saturating_add(header.size as usize);
            if unread.len() < end {
                break;
            }
            unread.drain(..end);
            if header.message_type == ATTACH_CHANNELS && linked.request.channel_type == ChannelType::MAIN {
                let full = (linked.header == HeaderKind::Full).then_some((2, 0));
                let mut body = 3u32.to_le_bytes().to_vec();
                body.extend(CHANNELS.iter().flat_map(|(kind, id)| [*kind, *id]));
                let header = DataHeader { message_type: 104, size: 10, full };
                line.send(&[header.encode(&mut [0; 18]), &body].concat())?;
            }
        }
        if unread.len() > 1 << 16 || !line.receive(unread)? {
            return Ok(());
        }
    }
}
