//! The password for `probe` and `conformance`: on the command line, or in a file.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

/// The longest file that is read, in bytes. spice-server accepts passwords of at most 60 bytes; SASL has no such limit.
const MAX_LEN: u64 = 4096;

/// At most one of the two flags. An argument that needs a password requires the group `secret`.
#[derive(clap::Args)]
#[group(id = "secret", multiple = false)]
pub(crate) struct Password {
    /// The password. Every user who can list this machine's processes can read it
    #[arg(long)]
    password: Option<String>,

    /// A file that contains the password in one line; "-" is standard input
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

impl Password {
    /// Whether there is a flag.
    pub(crate) fn is_given(&self) -> bool {
        self.password.is_some() || self.password_file.is_some()
    }

    /// The password; `None` if there is no flag.
    pub(crate) fn read(&self) -> Result<Option<String>, String> {
        let Some(path) = &self.password_file else { return Ok(self.password.clone()) };
        from_file(path).map(Some).map_err(|error| format!("{}: {error}", path.display()))
    }
}

fn from_file(path: &Path) -> Result<String, String> {
    let read = |from: &mut dyn Read| {
        let mut bytes = Vec::new();
        from.take(MAX_LEN + 1).read_to_end(&mut bytes).map(|_| bytes)
    };
    let bytes = if path == Path::new("-") {
        read(&mut io::stdin().lock())
    } else {
        File::open(path).and_then(|mut file| read(&mut file))
    };
    parse(bytes.map_err(|error| error.to_string())?)
}

fn parse(bytes: Vec<u8>) -> Result<String, String> {
    if bytes.len() as u64 > MAX_LEN {
        return Err(format!("expected a password of at most {MAX_LEN} bytes, found more"));
    }
    // The message does not show what was found: it could be the password.
    let mut text = String::from_utf8(bytes).map_err(|_| "expected a password in UTF-8, found something else")?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    match text.bytes().find(|byte| matches!(byte, b'\n' | b'\0')) {
        Some(b'\n') => Err("expected a password in one line, found several".to_owned()),
        Some(_) => Err("expected a password, found a NUL in it".to_owned()),
        None if text.is_empty() => Err("expected a password, found nothing".to_owned()),
        None => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn password_is_one_line_without_its_end() {
        for (bytes, password) in [
            (&b"sekrit"[..], "sekrit"),
            (b"sekrit\n", "sekrit"),
            (b"sekrit\r\n", "sekrit"),
            (b" se krit\t\r", " se krit\t\r"),
        ] {
            assert_eq!(parse(bytes.to_vec()).as_deref(), Ok(password));
        }
        let long = [b'a'; 4097];
        assert_eq!(parse(long[1..].to_vec()).map(|password| password.len()), Ok(4096));
        for bytes in [&b""[..], b"\n", b"\r\n", b"a\nb\n", b"a\n\n", b"a\0", b"\xff", &long] {
            assert!(parse(bytes.to_vec()).is_err(), "{}", bytes.escape_ascii());
        }
    }
}
