//! Asks a running relay.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use spice_sessions::Record;

use super::{Answer, Command, Reply, Request, VERSION};

/// How long a part of the answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Bytes of a line of the answer: a record has at most 256 channels, with less than 400 bytes each.
const MAX_LINE: u64 = 1 << 20;

/// Asks the relay to hand over, and returns the connection on which it does.
pub(crate) fn upgrade(path: &Path) -> Result<UnixStream, String> {
    let explain = |error: io::Error| explain(path, &error);
    let stream = UnixStream::connect(path).map_err(explain)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(explain)?;
    stream.set_write_timeout(Some(PATIENCE)).map_err(explain)?;
    let request = Request { version: VERSION, command: Command::Upgrade };
    let request = serde_json::to_string(&request).map_err(|error| error.to_string())?;
    (&stream).write_all(format!("{request}\n").as_bytes()).map_err(explain)?;
    // What follows the line is no text.
    let mut line = Vec::new();
    while line.last() != Some(&b'\n') && line.len() < 4096 {
        let mut byte = [0];
        (&stream).read_exact(&mut byte).map_err(explain)?;
        line.push(byte[0]);
    }
    match serde_json::from_slice(&line).map_err(|error| format!("{}: {error}", path.display()))? {
        Reply::Error(failure) => Err(failure.message),
        Reply::Return(_) | Reply::Session(_) => Ok(stream),
    }
}

/// Sends a command, and hands each session of the answer to `session`.
pub(crate) fn ask(path: &Path, command: Command, mut session: impl FnMut(Record)) -> Result<Answer, String> {
    let explain = |error: io::Error| explain(path, &error);
    let stream = UnixStream::connect(path).map_err(explain)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(explain)?;
    stream.set_write_timeout(Some(PATIENCE)).map_err(explain)?;
    let request = serde_json::to_string(&Request { version: VERSION, command }).map_err(|error| error.to_string())?;
    (&stream).write_all(format!("{request}\n").as_bytes()).map_err(explain)?;
    let mut replies = BufReader::new(&stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        (&mut replies).take(MAX_LINE).read_until(b'\n', &mut line).map_err(explain)?;
        if line.last() != Some(&b'\n') {
            return Err(format!("{}: the answer is cut off", path.display()));
        }
        match serde_json::from_slice(&line).map_err(|error| format!("{}: {error}", path.display()))? {
            Reply::Session(record) => session(*record),
            Reply::Return(answer) => return Ok(answer),
            Reply::Error(failure) => return Err(failure.message),
        }
    }
}

fn explain(path: &Path, error: &io::Error) -> String {
    let hint = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            ". No relay listens there: start one with --control PATH, and give the same PATH here"
        }
        io::ErrorKind::PermissionDenied => ". The relay's --control-group and --control-mode say who may ask",
        _ => "",
    };
    format!("{}: {error}{hint}", path.display())
}
