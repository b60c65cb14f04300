//! HTTP's `CONNECT` (RFC 9110 §9.3.6): a head with the target, and an answer of class 2 after which the connection is a tunnel.

use super::{Answer, Facts, Parsed, ProxyKind, State};
use crate::recognise::MAX_SERVER;
use spice_events::spice_link::websocket;

const METHOD: &[u8] = b"CONNECT ";
/// The longest head that is read, in bytes: spice-gtk sends some 250, a proxy's answer is as short.
const MAX_HEAD: usize = 4096;
/// The longest body of a `407` that is read past, in bytes: squid's error pages have some 4000.
const MAX_BODY: usize = MAX_SERVER - 2 * MAX_HEAD;
/// How Proxmox names a target: `pvespiceproxy:TIME:VM:NODE::SIGNATURE:PORT`. The signature lets anyone in for half a minute.
const PROXMOX: &str = "pvespiceproxy:";

/// A request.
pub(super) fn connect(client: &[u8], searched: &mut usize, facts: &mut Facts) -> Parsed {
    let n = client.len().min(METHOD.len());
    if client[..n] != METHOD[..n] {
        return Parsed::Not;
    }
    let Some(end) = websocket::head_end(client, *searched) else {
        *searched = client.len();
        return if client.len() > MAX_HEAD { Parsed::Not } else { Parsed::More };
    };
    let line = client.split(|&byte| byte == b'\r').next().unwrap_or_default();
    let mut words = line.get(METHOD.len()..).unwrap_or_default().split(|&byte| byte == b' ');
    let (Some(target), Some(version)) = (words.next(), words.next()) else { return Parsed::Not };
    if !version.starts_with(b"HTTP/1.") {
        return Parsed::Not;
    }
    facts.kind = Some(ProxyKind::Connect);
    facts.target = Some(redacted(&String::from_utf8_lossy(target)).into());
    Parsed::Next { client: end, server: 0, state: State::Answer(Answer::Http) }
}

/// Whether a target names a SPICE server.
pub(super) fn is_spice(target: &str) -> bool {
    target.starts_with(PROXMOX)
}

/// The target without the signature that Proxmox puts into it.
fn redacted(target: &str) -> String {
    let mut fields = target.strip_prefix(PROXMOX).unwrap_or_default().split(':');
    match (fields.next(), fields.next(), fields.next()) {
        (Some(time), Some(vm), Some(node)) if is_spice(target) => format!("{PROXMOX}{time}:{vm}:{node}"),
        _ if is_spice(target) => PROXMOX.to_owned(),
        _ => target.chars().take(255).collect(),
    }
}

/// The proxy's answer: 1xx comes before another one; 2xx opens the tunnel; 407 asks for credentials, and the client asks again.
pub(super) fn answer(server: &[u8], searched: &mut usize) -> Parsed {
    let Some(end) = websocket::head_end(server, *searched) else {
        *searched = server.len();
        return if server.len() > MAX_HEAD { Parsed::Not } else { Parsed::More };
    };
    let head = &server[..end];
    let status = head.strip_prefix(b"HTTP/1.").and_then(|rest| rest.get(2..5));
    match status {
        Some([b'2', _, _]) => Parsed::Next { client: 0, server: end, state: State::Start },
        Some([b'1', _, _]) => Parsed::Next { client: 0, server: end, state: State::Answer(Answer::Http) },
        Some(b"407") if is_chunked(head) => match chunks(&server[end..]) {
            Ok(Some(length)) => Parsed::Next { client: 0, server: end + length, state: State::Start },
            Ok(None) if server.len() <= end + MAX_BODY => Parsed::More,
            _ => Parsed::Not,
        },
        Some(b"407") => match content_length(head) {
            Some(length) if length <= MAX_BODY && server.len() >= end + length => {
                Parsed::Next { client: 0, server: end + length, state: State::Start }
            }
            Some(length) if length <= MAX_BODY => Parsed::More,
            _ => Parsed::Not,
        },
        _ => Parsed::Not,
    }
}

fn content_length(head: &[u8]) -> Option<usize> {
    field(head, b"content-length:")?.parse().ok()
}

fn is_chunked(head: &[u8]) -> bool {
    field(head, b"transfer-encoding:").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"))
}

/// The value of a field, by its name with the colon.
fn field<'a>(head: &'a [u8], name: &[u8]) -> Option<&'a str> {
    let mut lines = head.split(|&byte| byte == b'\n');
    let line = lines.find(|line| line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name)))?;
    Some(std::str::from_utf8(line.get(name.len()..)?).ok()?.trim())
}

/// The length of a body in chunks (RFC 9112 §7.1), without trailers; `None` if it is not complete.
fn chunks(body: &[u8]) -> Result<Option<usize>, NotChunked> {
    let mut at = 0;
    loop {
        let rest = body.get(at..).unwrap_or_default();
        let Some(line) = rest.iter().position(|&byte| byte == b'\n') else {
            return if rest.len() > MAX_SIZE_LINE { Err(NotChunked) } else { Ok(None) };
        };
        let size = std::str::from_utf8(&rest[..line]).ok().and_then(|line| line.split(';').next());
        let size = size.and_then(|size| usize::from_str_radix(size.trim(), 16).ok()).filter(|size| *size <= MAX_BODY);
        // Behind its bytes a chunk has CR and LF.
        at += line + 1 + size.ok_or(NotChunked)? + 2;
        if size == Some(0) {
            return Ok((body.len() >= at).then_some(at));
        }
    }
}

/// The longest line with the size of a chunk, and extensions of no use.
const MAX_SIZE_LINE: usize = 256;

struct NotChunked;
