//! Recognises SPICE by the first bytes of a direction.

use crate::{
    MAGIC, Side,
    websocket::{REQUEST_MAGIC, RESPONSE_MAGIC},
};

/// What the first bytes of one direction belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FirstBytes {
    /// A plain link message: the direction starts with `REDQ`.
    Link,
    /// HTTP, and possibly a WebSocket upgrade: `GET ` from a client, `HTTP` from a server.
    WebSocket,
    /// Neither of them.
    Other,
    /// Fewer than four bytes, all of which fit one of the two.
    Incomplete,
}

/// Recognises what one direction carries by its first four bytes. Bytes after the fourth are not looked at.
///
/// No other protocol's client starts with `REDQ`, so the magic alone is enough. spice-server makes the same decision
/// after the same four bytes (`reds.cpp`, `reds_handle_read_magic_done`).
///
/// ```
/// use spice_link::{FirstBytes, Side, recognise};
/// assert_eq!(recognise(Side::Client, b"REDQ\x02\0"), FirstBytes::Link);
/// assert_eq!(recognise(Side::Client, b"GET /spice HTTP/1.1"), FirstBytes::WebSocket);
/// assert_eq!(recognise(Side::Client, b"SSH-2.0"), FirstBytes::Other);
/// assert_eq!(recognise(Side::Client, b"RE"), FirstBytes::Incomplete);
/// ```
#[inline]
pub fn recognise(side: Side, start: &[u8]) -> FirstBytes {
    let http = match side {
        Side::Client => REQUEST_MAGIC,
        Side::Server => RESPONSE_MAGIC,
    };
    match start.first_chunk() {
        Some(&MAGIC) => FirstBytes::Link,
        Some(first) if *first == http => FirstBytes::WebSocket,
        None if MAGIC.starts_with(start) || http.starts_with(start) => FirstBytes::Incomplete,
        Some(_) | None => FirstBytes::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_bytes_decide_for_each_side() {
        for (side, start, expected) in [
            (Side::Client, &b""[..], FirstBytes::Incomplete),
            (Side::Client, b"RED", FirstBytes::Incomplete),
            (Side::Client, b"GET", FirstBytes::Incomplete),
            (Side::Client, b"HTT", FirstBytes::Other),
            (Side::Client, b"X", FirstBytes::Other),
            (Side::Client, b"REDX", FirstBytes::Other),
            (Side::Client, b"GETX", FirstBytes::Other),
            (Side::Client, b"HTTP", FirstBytes::Other),
            (Side::Client, b"REDQ", FirstBytes::Link),
            (Side::Client, b"GET / HTTP/1.1\r\n", FirstBytes::WebSocket),
            (Side::Server, b"HTT", FirstBytes::Incomplete),
            (Side::Server, b"GET ", FirstBytes::Other),
            (Side::Server, b"HTTP/1.1 101 ", FirstBytes::WebSocket),
            (Side::Server, b"REDQ\x02", FirstBytes::Link),
        ] {
            assert_eq!(recognise(side, start), expected, "{side} {start:?}");
        }
    }
}
