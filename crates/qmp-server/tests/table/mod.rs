//! The table of good and bad input: `cases.txt`, its reader, and how a connection is led through a case.
//!
//! Shared by the tests and by the recorder of `qemu-7.2.txt`.

#![allow(dead_code, reason = "the tests and the recorder use a part each")]

use std::fmt::Write as _;

/// Brings a reader of any state back to its start, then has a reply of its own: FF is in no token and no text.
pub(crate) const END: &[u8] = b"\xff\n{\"execute\": \"qmp_capabilities\", \"id\": \"end\"}\n";

/// The member of the reply to [`END`]; no other reply has it.
pub(crate) const END_REPLY: &str = "\"id\": \"end\"";

/// Whose entries in `query-qmp-schema` are compared and, with the types that they lead to, recorded. `query-qmp-schema` itself is
/// not among them: QEMU describes its answer in full, this server as `any`.
pub(crate) const NAMES: &[&str] = &[
    "qmp_capabilities",
    "query-version",
    "query-commands",
    "query-spice",
    "set_link",
    "migrate-pause",
    "SPICE_CONNECTED",
    "SPICE_INITIALIZED",
    "SPICE_DISCONNECTED",
    "SPICE_MIGRATE_COMPLETED",
];

/// The cases, as committed.
pub(crate) const CASES: &str = include_str!("cases.txt");

/// One case of the table.
#[derive(Debug, Default)]
pub(crate) struct Case {
    /// What it is about; unique.
    pub(crate) name: String,
    /// What is sent before the input.
    pub(crate) before: &'static [u8],
    /// What is sent.
    pub(crate) input: Vec<u8>,
    /// Why this server answers differently than QEMU, and what it answers.
    pub(crate) differs: Option<(String, Vec<String>)>,
}

/// Reads the cases.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for (number, line) in CASES.lines().enumerate() {
        let place = || format!("cases.txt, line {}", number + 1);
        if let Some(head) = line.strip_prefix("== ") {
            let (mode, name) =
                head.split_once(' ').unwrap_or_else(|| panic!("{}: expected a mode and a name", place()));
            let before: &[u8] = match mode {
                "new" => b"",
                "neg" => b"{\"execute\": \"qmp_capabilities\"}",
                "oob" => b"{\"execute\": \"qmp_capabilities\", \"arguments\": {\"enable\": [\"oob\"]}}",
                _ => panic!("{}: unknown mode {mode:?}", place()),
            };
            assert!(cases.iter().all(|case| case.name != name), "{}: a second {name:?}", place());
            cases.push(Case { name: name.to_owned(), before, ..Case::default() });
            continue;
        }
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let case = cases.last_mut().unwrap_or_else(|| panic!("{}: expected a case first", place()));
        if let Some(text) = line.strip_prefix('>') {
            unescape(text.strip_prefix(' ').unwrap_or(text), &mut case.input);
        } else if let Some(reason) = line.strip_prefix("! ") {
            case.differs = Some((reason.to_owned(), Vec::new()));
        } else if let (Some(reply), Some((_, replies))) = (line.strip_prefix("= "), &mut case.differs) {
            replies.push(reply.to_owned());
        } else {
            panic!("{}: can't read {line:?}", place());
        }
    }
    cases
}

fn unescape(text: &str, out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        rest = &rest[at + 1..];
        let taken = match rest.as_bytes()[0] {
            b'n' => (b'\n', 1),
            b'r' => (b'\r', 1),
            b't' => (b'\t', 1),
            b'\\' => (b'\\', 1),
            b'x' => (u8::from_str_radix(&rest[1..3], 16).expect("two hexadecimal digits after \\x"), 3),
            b'(' => {
                let (inner, tail) = rest[1..].split_once("){").expect("\\(TEXT){N}");
                let (times, tail) = tail.split_once('}').expect("\\(TEXT){N}");
                let mut piece = Vec::new();
                unescape(inner, &mut piece);
                out.extend(piece.repeat(times.parse().expect("a number in \\(TEXT){N}")));
                rest = tail;
                continue;
            }
            other => panic!("unknown escape \\{}", char::from(other)),
        };
        out.push(taken.0);
        rest = &rest[taken.1..];
    }
    out.extend_from_slice(rest.as_bytes());
}

/// The recorded greeting, and the replies to each case by name.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// The first line of each connection.
    pub(crate) greeting: String,
    /// Name and replies, the last of which is that to [`END`].
    pub(crate) cases: Vec<(String, Vec<String>)>,
}

impl Answers {
    /// Reads what [`Answers::text`] wrote.
    pub(crate) fn parse(text: &str) -> Self {
        let mut answers = Self::default();
        for line in text.lines() {
            if let Some(name) = line.strip_prefix("== ") {
                answers.cases.push((name.to_owned(), Vec::new()));
            } else if let Some(line) = line.strip_prefix("greeting ") {
                line.clone_into(&mut answers.greeting);
            } else if let Some((times, reply)) = line.split_once(' ')
                && let (Ok(times), Some((_, replies))) = (times.parse(), answers.cases.last_mut())
            {
                replies.extend(std::iter::repeat_n(reply.to_owned(), times));
            }
        }
        answers
    }

    /// The replies to a case.
    pub(crate) fn get(&self, name: &str) -> Option<&[String]> {
        self.cases.iter().find(|(other, _)| other == name).map(|(_, replies)| replies.as_slice())
    }

    /// As text: runs of equal replies are written once, with their number.
    pub(crate) fn text(&self, head: &str) -> String {
        let mut text = format!("{head}\ngreeting {}\n", self.greeting);
        for (name, replies) in &self.cases {
            _ = writeln!(text, "== {name}");
            for run in replies.chunk_by(|a, b| a == b) {
                _ = writeln!(text, "{} {}", run.len(), run[0]);
            }
        }
        text
    }
}
