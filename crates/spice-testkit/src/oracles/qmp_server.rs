//! The QMP server's session: whatever a client sends, in whatever pieces.

use std::sync::{Arc, Mutex};

use qmp_server::schema::{Struct, Type};
use qmp_server::{Command, Limits, Object, Reply, Responder, Service, Session, Version};

/// Bytes of a client: the session never panics, answers in lines that are JSON, and answers the same however the bytes are cut.
///
/// Commands that answer later are among what it can call; they answer when the session would read no further, and at the end.
///
/// # Panics
/// Where the session doesn't keep to that.
pub fn qmp_server_session(input: &[u8]) {
    let mut narrow = Limits::default();
    (narrow.token_bytes, narrow.tokens, narrow.nesting, narrow.queue) = (48, 12, 4, 2);
    for limits in [Limits::default(), narrow] {
        for before in
            ["", "{'execute':'qmp_capabilities'}", "{'execute':'qmp_capabilities','arguments':{'enable':['oob']}}"]
        {
            let bytes = [before.as_bytes(), input].concat();
            let whole = converse(&limits, &bytes, usize::MAX);
            check_lines(&whole);
            for size in [1, 2, 3, 11] {
                assert_eq!(converse(&limits, &bytes, size), whole, "in pieces of {size}");
            }
        }
    }
}

/// Everything that the session sends.
fn converse(limits: &Limits, bytes: &[u8], size: usize) -> Vec<u8> {
    let waiting: Arc<Mutex<Vec<Responder>>> = Arc::default();
    let mut session = Session::new(&service(limits, &waiting));
    let mut out = Vec::new();
    for mut piece in bytes.chunks(size.min(bytes.len().max(1))) {
        while !piece.is_empty() {
            let taken = session.receive(piece);
            assert!(taken > 0 || session.is_paused(), "stopped for no reason");
            piece = &piece[taken..];
            if session.is_paused() {
                answer(&mut session, &waiting);
            }
            out.extend(std::iter::from_fn(|| session.poll_output()).flatten());
            assert_eq!(session.output_len(), 0);
        }
    }
    answer(&mut session, &waiting);
    out.extend(std::iter::from_fn(|| session.poll_output()).flatten());
    out
}

/// Answers all that waits, and what begins to wait by that.
fn answer(session: &mut Session, waiting: &Mutex<Vec<Responder>>) {
    loop {
        let held = std::mem::take(&mut *waiting.lock().expect("nobody panicked"));
        if held.is_empty() {
            return;
        }
        for responder in held {
            responder.answer(Ok(Object::new().with("late", true).into()));
        }
        session.take_answers();
    }
}

fn service(limits: &Limits, waiting: &Arc<Mutex<Vec<Responder>>>) -> Service {
    let wait = |name: &'static str| {
        let waiting = Arc::clone(waiting);
        Command::later(name, move |_, responder| waiting.lock().expect("nobody panicked").push(responder))
    };
    let number = Struct::new().required("n", Type::UINT8).optional("of", Type::array(Type::of(["a", "b"])));
    Service::builder(Version::new(1, 2, 3, "fuzz"))
        .limits(limits.clone())
        .command(Command::new("e", |arguments| Ok(arguments.clone())).takes_anything().allow_oob())
        .command(Command::new("n", |_| Ok(())).takes(number))
        .command(Command::later("at-once", |_, responder| responder.answer(Ok(Reply::default()))))
        .command(wait("w"))
        .command(wait("wo").allow_oob())
        .build()
}

fn check_lines(out: &[u8]) {
    let text = str::from_utf8(out).expect("ASCII");
    assert!(text.is_ascii() && text.ends_with("\r\n"));
    for (i, line) in text.split_terminator("\r\n").enumerate() {
        assert!(is_json(line.as_bytes()), "not JSON: {line}");
        let kinds = ["{\"QMP\": ", "{\"return\": ", "{\"id\": ", "{\"error\": "];
        let kind = kinds.iter().position(|kind| line.starts_with(kind));
        assert!(kind.is_some_and(|kind| (kind == 0) == (i == 0)), "{line}");
    }
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
        rest = match rest {
            [b'"', rest @ ..] => return Some(rest),
            [b'\\', b'u', rest @ ..] if rest.len() >= 4 && rest[..4].iter().all(u8::is_ascii_hexdigit) => &rest[4..],
            [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', rest @ ..]
            | [0x20..=0x5B | 0x5D..=0x7E, rest @ ..] => rest,
            _ => return None,
        };
    }
}

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
