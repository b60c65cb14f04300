//! What flaws change: bytes of the client before the acceptor reads them, and bytes of the acceptor before they are sent.

use spice_link::{AcceptStatus, CloseReason, Linked};

use super::flaw::Flaw;

/// Changes bytes that a check would refuse so that they pass it. Returns true if the server has to wait for more bytes and never answers.
pub(super) fn patch(flaw: Flaw, answered: bool, unread: &mut [u8]) -> bool {
    if answered || unread.len() < 4 {
        return false;
    }
    if flaw == Flaw::Magic {
        unread[..4].copy_from_slice(b"REDQ");
    }
    let word = |at: usize| unread.get(at..at + 4).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    if unread.len() < 16 {
        return false;
    }
    let size = word(12);
    if (word(0), word(4)) != (u32::from_le_bytes(*b"REDQ"), 2) && !matches!(flaw, Flaw::Version | Flaw::Order) {
        return false;
    }
    if flaw == Flaw::SizeMin && size < 18 || flaw == Flaw::SizeMax && size > 4096 {
        return true;
    }
    if flaw == Flaw::Order && !(18..=4096).contains(&size) {
        unread[4..8].copy_from_slice(&2u32.to_le_bytes());
        return false;
    }
    let (common, channel, offset) = (word(22), word(26), word(30));
    let words = u64::from(common) + u64::from(channel);
    let whole = unread.len() >= 34;
    let wrong = match flaw {
        Flaw::CapsCount => common > 1024 || channel > 1024,
        Flaw::CapsEnd => common.max(channel) <= 1024 && u64::from(offset) + 4 * words > u64::from(size),
        Flaw::CapsStart => words > 0 && offset < 18,
        _ => false,
    };
    if whole && wrong {
        unread[22..30].fill(0);
    }
    if whole && flaw == Flaw::Selection && common > 0 && unread.len() >= 38 {
        unread[34] |= 1;
    }
    if flaw == Flaw::Version {
        unread[4..8].copy_from_slice(&2u32.to_le_bytes());
    }
    false
}

/// Changes what the acceptor sends. `is_first`: it answers the client's message.
pub(super) fn answer(flaw: Flaw, is_first: bool, status: AcceptStatus, answer: &mut Vec<u8>) {
    let code = answer.get(16..20).map(|code| u32::from_le_bytes([code[0], code[1], code[2], code[3]]));
    match (flaw, code.filter(|_| is_first)) {
        (Flaw::Silent, Some(0)) => answer.clear(),
        (Flaw::ReplyMagic, Some(0)) => answer[..4].copy_from_slice(b"XEDQ"),
        (Flaw::ReplyCut, Some(0)) => answer.truncate(20),
        (Flaw::ReplyMinor, Some(0)) => answer[8] = 9,
        (Flaw::ReplyOffset, Some(0)) => answer[190] += 4,
        (Flaw::ReplyKey, Some(0)) => answer[20..182].fill(0xff),
        (Flaw::SaslKey, Some(0)) if answer[20..182] == [0; 162] => answer[20..182].fill(1),
        (Flaw::Residue, Some(1..)) => answer[40..50].copy_from_slice(b"stack data"),
        (Flaw::MagicCode, Some(2)) => answer[16] = 3,
        (Flaw::InvalidCode, Some(3)) => answer[16] = 1,
        (Flaw::TlsCode, Some(5)) => answer[16] = 6,
        _ => {}
    }
    match (flaw, status) {
        (Flaw::TicketCode, AcceptStatus::Close(CloseReason::Ticket)) => answer[0] = 1,
        (Flaw::IdCode, AcceptStatus::Close(CloseReason::Join(_))) => answer[0] = 9,
        (_, AcceptStatus::Linked(linked)) => main_init(flaw, linked, answer),
        _ => {}
    }
}

/// Changes `MAIN_INIT`, which the link result precedes.
fn main_init(flaw: Flaw, linked: Linked, answer: &mut Vec<u8>) {
    let len = linked.header.byte_len() + 32;
    let Some(result) = answer.len().checked_sub(len).filter(|at| linked.session_id.is_some() && *at >= 4) else {
        return;
    };
    match flaw {
        Flaw::NoMainInit => answer.truncate(result),
        Flaw::InitFirst => answer[result - 4..].rotate_left(4),
        Flaw::ShortInit => {
            // The size is the last field of a short header, and precedes four bytes of a long one.
            let size = if len == 38 { result + 2 } else { result + 10 };
            answer[size] = 31;
            answer.pop();
        }
        _ => {}
    }
}

/// Changes the key with which a WebSocket request is confirmed.
pub(super) fn accept_key(response: &mut [u8]) {
    const NAME: &[u8] = b"Sec-WebSocket-Accept: ";
    let at = response.windows(NAME.len()).position(|part| part.eq_ignore_ascii_case(NAME));
    if let Some(byte) = at.and_then(|at| response.get_mut(at + NAME.len())) {
        *byte = if *byte == b'A' { b'B' } else { b'A' };
    }
}
