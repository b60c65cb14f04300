//! The HTTP request CONNECT, with which a client asks a proxy for a connection to a host and a port.
//!
//! The form is that of RFC 9110, 9.3.6. spice-gtk sends it through GLib's `GHttpProxy` when a .vv file has `proxy`, or when `SPICE_PROXY` is
//! set. GLib reads the answer up to the empty line, and sends nothing before it.

use std::{io, time::Duration};

use tokio::io::{AsyncRead, AsyncReadExt};

use super::address::decimal;

/// The longest header, in bytes. GLib sends some 200; HAProxy and squid accept 16 and 64 KiB.
pub(crate) const MAX_HEADER: usize = 8192;
/// How long a client may take for the header, as in HAProxy's examples of `timeout http-request`.
pub(crate) const HEADER_PATIENCE: Duration = Duration::from_secs(10);
/// The longest method that is waited for. The longest registered one has 17 bytes (UPDATEREDIRECTREF).
const MAX_METHOD: usize = 17;

/// The answer to a request whose host and port belong to a VM. With HTTP/1.0, no client expects more headers.
pub(crate) const ESTABLISHED: &[u8] = b"HTTP/1.0 200 Connection established\r\n\r\n";

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConnectRequest {
    /// In lower case, and an IPv6 address without its brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// Why a request has no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The bytes are not a request.
    NotHttp,
    /// A request of another method.
    Method,
    /// A request that is not well-formed.
    Malformed,
    TooLong,
    TooSlow,
    /// No VM has the host and port.
    Unknown,
}

impl Refusal {
    /// For the log.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::NotHttp => "expected an HTTP CONNECT, found something else",
            Self::Method => "expected the method CONNECT, found another one",
            Self::Malformed => "expected `CONNECT HOST:PORT HTTP/1.x`",
            Self::TooLong => "expected a header of at most 8192 bytes",
            Self::TooSlow => "expected the whole header within 10 seconds",
            Self::Unknown => "no VM has this host and port",
        }
    }

    /// The answer. A client that does not speak HTTP gets none.
    pub(crate) fn answer(self) -> Option<String> {
        let status = match self {
            Self::NotHttp => return None,
            Self::Method => "405 Method Not Allowed\r\nAllow: CONNECT",
            Self::Malformed => "400 Bad Request",
            Self::TooLong => "431 Request Header Fields Too Large",
            Self::TooSlow => "408 Request Timeout",
            Self::Unknown => "404 Not Found",
        };
        Some(format!("HTTP/1.0 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"))
    }
}

/// Reads a request and nothing after it. `None`: the connection ends before its first byte, which is what a health check does.
///
/// Headers after the first line are skipped, whatever they are.
pub(crate) async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Option<Result<ConnectRequest, Refusal>>> {
    // Byte by byte: the bytes after the header belong to the connection.
    let mut header = Vec::new();
    let mut is_method = true;
    while !header.ends_with(b"\r\n\r\n") && !header.ends_with(b"\n\n") {
        if header.len() == MAX_HEADER {
            return Ok(Some(Err(Refusal::TooLong)));
        }
        let mut byte = [0];
        match stream.read(&mut byte).await? {
            0 if header.is_empty() => return Ok(None),
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ => {}
        }
        is_method = is_method && byte[0] != b' ';
        if is_method && (!byte[0].is_ascii_uppercase() || header.len() == MAX_METHOD) {
            return Ok(Some(Err(Refusal::NotHttp)));
        }
        header.push(byte[0]);
    }
    Ok(Some(parse(&header)))
}

fn parse(header: &[u8]) -> Result<ConnectRequest, Refusal> {
    let line = header.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = std::str::from_utf8(line.strip_suffix(b"\r").unwrap_or(line)).map_err(|_| Refusal::Malformed)?;
    let mut words = line.split(' ');
    if words.next() != Some("CONNECT") {
        return Err(Refusal::Method);
    }
    let (Some(target), Some("HTTP/1.0" | "HTTP/1.1"), None) = (words.next(), words.next(), words.next()) else {
        return Err(Refusal::Malformed);
    };
    // Proxmox's names have colons too.
    let (host, port) = target.rsplit_once(':').ok_or(Refusal::Malformed)?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let port = decimal(port).filter(|port| *port != 0).ok_or(Refusal::Malformed)?;
    if host.is_empty() || !host.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Refusal::Malformed);
    }
    Ok(ConnectRequest { host: host.to_ascii_lowercase(), port })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(text: &[u8]) -> (io::Result<Option<Result<ConnectRequest, Refusal>>>, Vec<u8>) {
        let mut rest = text;
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let read = runtime.block_on(read(&mut rest));
        (read, rest.to_vec())
    }

    #[test]
    fn request_is_read_and_nothing_after_it() {
        for (text, host, port) in [
            // As GLib 2.74 sends it.
            (
                "CONNECT desk:5900 HTTP/1.0\r\nHost: desk:5900\r\nProxy-Connection: keep-alive\r\nUser-Agent: GLib/2.74\r\n\r\n",
                "desk",
                5900,
            ),
            ("CONNECT Desk-1.Example:1 HTTP/1.1\r\n\r\n", "desk-1.example", 1),
            ("CONNECT [2001:DB8::1]:65535 HTTP/1.0\n\n", "2001:db8::1", 65535),
            // As Proxmox's .vv files have it.
            ("CONNECT pvespiceproxy:6a:100:node1::ab:61000 HTTP/1.0\r\n\r\n", "pvespiceproxy:6a:100:node1::ab", 61000),
        ] {
            let (read, rest) = read_all(&[text.as_bytes(), b"REDQ"].concat());
            assert_eq!(read.unwrap(), Some(Ok(ConnectRequest { host: host.into(), port })), "{text}");
            assert_eq!(rest, b"REDQ", "{text}");
        }
    }

    #[test]
    fn what_is_not_a_request_for_a_connection_is_refused() {
        let long = [&b"CONNECT desk:1 HTTP/1.0\r\nA: "[..], &[b'a'; MAX_HEADER]].concat();
        for (bytes, refusal) in [
            (&b"REDQ\x02\0\0\0"[..], Refusal::NotHttp),
            (b"\x16\x03\x01", Refusal::NotHttp),
            (b"AAAAAAAAAAAAAAAAAAAAAAAA", Refusal::NotHttp),
            (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::Method),
            (b"CONNECT desk HTTP/1.0\r\n\r\n", Refusal::Malformed),
            (b"CONNECT desk:0 HTTP/1.0\r\n\r\n", Refusal::Malformed),
            (b"CONNECT desk:+1 HTTP/1.0\r\n\r\n", Refusal::Malformed),
            (b"CONNECT desk:65536 HTTP/1.0\r\n\r\n", Refusal::Malformed),
            (b"CONNECT :1 HTTP/1.0\r\n\r\n", Refusal::Malformed),
            (b"CONNECT d\x1bk:1 HTTP/1.0\r\n\r\n", Refusal::Malformed),
            (b"CONNECT desk:1 HTTP/2.0\r\n\r\n", Refusal::Malformed),
            (b"CONNECT  desk:1 HTTP/1.0\r\n\r\n", Refusal::Malformed),
            (b"CONNECT desk:1\r\n\r\n", Refusal::Malformed),
            (b"CONNECT d\xff:1 HTTP/1.0\r\n\r\n", Refusal::Malformed),
            (&long, Refusal::TooLong),
        ] {
            assert_eq!(read_all(bytes).0.unwrap(), Some(Err(refusal)), "{}", bytes.escape_ascii());
        }
        assert_eq!(read_all(b"").0.unwrap(), None);
        assert_eq!(read_all(b"CONN").0.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn every_refusal_but_that_of_other_protocols_has_an_answer() {
        assert_eq!(Refusal::NotHttp.answer(), None);
        for (refusal, status) in [
            (Refusal::Method, "405 Method Not Allowed\r\nAllow: CONNECT\r\n"),
            (Refusal::Malformed, "400 "),
            (Refusal::TooLong, "431 "),
            (Refusal::TooSlow, "408 "),
            (Refusal::Unknown, "404 "),
        ] {
            let answer = refusal.answer().unwrap();
            assert!(answer.starts_with(&format!("HTTP/1.0 {status}")) && answer.ends_with("\r\n\r\n"), "{answer}");
        }
        assert!(Refusal::TooLong.reason().contains(&MAX_HEADER.to_string()));
        assert!(Refusal::TooSlow.reason().contains(&HEADER_PATIENCE.as_secs().to_string()));
    }
}
