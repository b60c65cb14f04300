//! The QMP server's session: whatever a client sends, in whatever pieces.

use std::{
    iter,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use qmp_server::schema::{Struct, Type};
use qmp_server::{Command, Limits, Object, Reply, Responder, Service, Session, Version};

use crate::generate::Choices;

/// What is negotiated before the bytes come.
const BEFORE: [&[u8]; 3] =
    [b"", b"{'execute':'qmp_capabilities'}", b"{'execute':'qmp_capabilities','arguments':{'enable':['oob']}}"];

/// What comes behind them: an end to whatever they leave open, and two commands of few tokens, one out of band.
const BEHIND: &[u8] = b"\xff\n{'exec-oob':'wo','id':'aside'}{'execute':'e','id':'last'}";

/// As many bytes come one at a time, the rest together: what a boundary may fall into is shorter.
const SINGLE: usize = 512;

/// Bytes of a client: the session never panics, answers in lines that are JSON, answers the negotiation before them and the
/// commands behind them, and answers the same however the bytes are cut.
///
/// They come before a negotiation, after one, and after one for out-of-band commands: whole each time, and in one of the three
/// byte by byte and in random pieces, too. The server has QEMU's limits or narrow ones. Which of these, the bytes themselves
/// decide, so that the same bytes do the same again.
/// Commands that answer later are among what it can call; they answer when the session would read no further, and at the end.
///
/// # Panics
/// Where the session doesn't keep to that.
pub fn qmp_server_session(input: &[u8]) {
    thread_local!(static SERVERS: [Server; 2] = [Server::new(Limits::default()), Server::new(narrow())]);

    let mut choices = Choices::new(digest(input));
    let (limits, cut) = (choices.below(2), choices.below(BEFORE.len()));
    SERVERS.with(|servers| {
        let server = &servers[limits];
        for (way, before) in BEFORE.iter().enumerate() {
            let bytes = [before, input, BEHIND].concat();
            let whole = server.converse(iter::once(&*bytes));
            check_lines(&whole, way);
            if way == cut {
                let (single, rest) = bytes.split_at(bytes.len().min(SINGLE));
                let bytewise = single.chunks(1).chain(iter::once(rest));
                assert_eq!(server.converse(bytewise), whole, "one byte at a time");
                assert_eq!(server.converse(pieces(&bytes, &mut choices)), whole, "in pieces");
            }
        }
    });
}

/// FNV-1a.
fn digest(input: &[u8]) -> u64 {
    input.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Pieces of one to sixteen bytes; larger ones for a long input, to keep the number of pieces small.
fn pieces<'a>(mut rest: &'a [u8], choices: &'a mut Choices) -> impl Iterator<Item = &'a [u8]> {
    let most = rest.len() / 32 + 16;
    iter::from_fn(move || {
        let len = (1 + choices.below(most)).min(rest.len());
        rest.split_off(..len).filter(|piece| !piece.is_empty())
    })
}

/// Just wide enough for each negotiation of [`BEFORE`].
fn narrow() -> Limits {
    let mut narrow = Limits::default();
    (narrow.token_bytes, narrow.tokens, narrow.nesting, narrow.queue) = (64, 16, 4, 2);
    narrow
}

/// A service, made once, and what waits to be answered of its one session.
struct Server {
    service: Service,
    waiting: Arc<Mutex<Vec<Responder>>>,
}

impl Server {
    fn new(limits: Limits) -> Self {
        let waiting: Arc<Mutex<Vec<Responder>>> = Arc::default();
        let wait = |name: &'static str| {
            let waiting = Arc::clone(&waiting);
            Command::later(name, move |_, responder| lock(&waiting).push(responder))
        };
        let number = Struct::new().required("n", Type::UINT8).optional("of", Type::array(Type::of(["a", "b"])));
        let service = Service::builder(Version::new(1, 2, 3, "fuzz"))
            .limits(limits)
            .command(Command::new("e", |arguments| Ok(arguments.clone())).takes_anything().allow_oob())
            .command(Command::new("n", |_| Ok(())).takes(number))
            .command(Command::later("at-once", |_, responder| responder.answer(Ok(Reply::default()))))
            .command(wait("w"))
            .command(wait("wo").allow_oob())
            .build();
        Self { service, waiting }
    }

    /// Everything that a fresh session sends.
    fn converse<'a>(&self, pieces: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
        lock(&self.waiting).clear();
        let mut session = Session::new(&self.service);
        let mut out = Vec::new();
        for mut piece in pieces {
            while !piece.is_empty() {
                let taken = session.receive(piece);
                assert!(taken > 0 || session.is_paused(), "stopped for no reason");
                piece = &piece[taken..];
                if session.is_paused() {
                    self.answer(&mut session);
                }
                drain(&mut session, &mut out);
            }
        }
        self.answer(&mut session);
        drain(&mut session, &mut out);
        out
    }

    /// Answers all that waits, and what begins to wait by that.
    fn answer(&self, session: &mut Session) {
        loop {
            let held = std::mem::take(&mut *lock(&self.waiting));
            if held.is_empty() {
                return;
            }
            for responder in held {
                responder.answer(Ok(Object::new().with("late", true).into()));
            }
            session.take_answers(&mut ());
        }
    }
}

fn drain(session: &mut Session, out: &mut Vec<u8>) {
    while let Some(bytes) = session.poll_output() {
        out.extend_from_slice(&bytes);
    }
    assert_eq!(session.output_len(), 0);
}

/// The list, even after a panic that somebody caught: it is emptied before each use.
fn lock(waiting: &Mutex<Vec<Responder>>) -> MutexGuard<'_, Vec<Responder>> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

fn check_lines(out: &[u8], way: usize) {
    assert!(!out.is_empty(), "not even a greeting");
    let mut lines = Vec::new();
    for (i, line) in out.split_inclusive(|&byte| byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r\n").expect("a line ends in CRLF");
        assert!(is_json(line), "not JSON: {}", line.escape_ascii());
        let kinds: [&[u8]; 4] = [b"{\"QMP\": ", b"{\"return\": ", b"{\"id\": ", b"{\"error\": "];
        let kind = kinds.iter().position(|kind| line.starts_with(kind));
        assert!(kind.is_some_and(|kind| (kind == 0) == (i == 0)), "{}", line.escape_ascii());
        lines.push(line);
    }
    // Of what is negotiated by the bytes themselves nothing is known.
    let has = |start: &[u8]| lines.iter().any(|line| line.starts_with(start));
    let refused = way == 0 && has(b"{\"id\": \"last\", \"error\": {");
    assert!(refused || has(b"{\"return\": {}, \"id\": \"last\"}"), "no answer at the end: {}", out.escape_ascii());
    assert!(way == 0 || lines[1] == b"{\"return\": {}}", "not negotiated: {}", out.escape_ascii());
    let aside = b"{\"return\": {\"late\": true}, \"id\": \"aside\"}";
    assert!(way < 2 || has(aside), "no answer out of band: {}", out.escape_ascii());
}

/// RFC 8259, by hand and without recursion: what the session's own code can't be wrong about in the same way.
fn is_json(mut text: &[u8]) -> bool {
    let mut open = Vec::new();
    loop {
        // A value is due, or an end right after an opening bracket.
        text = text.trim_ascii_start();
        match text.first() {
            Some(b'[') if text[1..].trim_ascii_start().first() == Some(&b']') => {
                text = &text[1..].trim_ascii_start()[1..];
            }
            Some(b'{') if text[1..].trim_ascii_start().first() == Some(&b'}') => {
                text = &text[1..].trim_ascii_start()[1..];
            }
            Some(b'[') => {
                open.push(b']');
                text = &text[1..];
                continue;
            }
            Some(b'{') => {
                open.push(b'}');
                match key(&text[1..]) {
                    Some(rest) => text = rest,
                    None => return false,
                }
                continue;
            }
            _ => match scalar(text) {
                Some(rest) => text = rest,
                None => return false,
            },
        }
        // A value is over: so may be what it is in.
        loop {
            text = text.trim_ascii_start();
            let Some(&end) = open.last() else { return text.is_empty() };
            match text.first() {
                Some(&byte) if byte == end => {
                    open.pop();
                    text = &text[1..];
                }
                Some(b',') if end == b'}' => match key(&text[1..]) {
                    Some(rest) => {
                        text = rest;
                        break;
                    }
                    None => return false,
                },
                Some(b',') => {
                    text = &text[1..];
                    break;
                }
                _ => return false,
            }
        }
    }
}

/// What follows a key and its colon.
fn key(text: &[u8]) -> Option<&[u8]> {
    string(text.trim_ascii_start())?.trim_ascii_start().strip_prefix(b":")
}

fn scalar(text: &[u8]) -> Option<&[u8]> {
    match text.first()? {
        b'"' => string(text),
        b't' => text.strip_prefix(b"true"),
        b'f' => text.strip_prefix(b"false"),
        b'n' => text.strip_prefix(b"null"),
        _ => number(text),
    }
}

fn string(text: &[u8]) -> Option<&[u8]> {
    let mut rest = text.strip_prefix(b"\"")?;
    loop {
        while let [byte, after @ ..] = rest
            && PLAIN[usize::from(*byte)]
        {
            rest = after;
        }
        rest = match rest {
            [b'"', rest @ ..] => return Some(rest),
            [b'\\', b'u', rest @ ..] if rest.len() >= 4 && rest[..4].iter().all(u8::is_ascii_hexdigit) => &rest[4..],
            [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', rest @ ..] => rest,
            _ => return None,
        };
    }
}

/// ASCII characters that need no escape in a string. A table, because a fuzzer records every comparison.
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0x20;
    while byte < 0x7F {
        plain[byte] = byte != b'"' as usize && byte != b'\\' as usize;
        byte += 1;
    }
    plain
};

fn number(text: &[u8]) -> Option<&[u8]> {
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut rest = text.strip_prefix(b"-").unwrap_or(text);
    let whole = digits(rest);
    if whole == 0 || (whole > 1 && rest[0] == b'0') {
        return None;
    }
    rest = &rest[whole..];
    if let Some(fraction) = rest.strip_prefix(b".") {
        let len = digits(fraction);
        rest = fraction.get(len..).filter(|_| len > 0)?;
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        let exponent = exponent.strip_prefix(b"+").or(exponent.strip_prefix(b"-")).unwrap_or(exponent);
        let len = digits(exponent);
        rest = exponent.get(len..).filter(|_| len > 0)?;
    }
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::is_json;

    #[test]
    fn the_judge_knows_json() {
        for good in ["0", "-1.5e+3", "\"\\u00ff\"", "[]", "{}", "[[], {}]", "{\"a\": [1, {\"b\": null}], \"c\": true}"]
        {
            assert!(is_json(good.as_bytes()), "{good}");
        }
        for bad in
            ["", "01", "inf", "1.", "'a'", "[1", "[1,]", "{\"a\"}", "{\"a\": 1,}", "1 2", "\"a\nb\"", "{]", "nul"]
        {
            assert!(!is_json(bad.as_bytes()), "{bad}");
        }
    }
}
