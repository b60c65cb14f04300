//! The QMP socket of a real QEMU without a machine.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::table::{Answers, Case, END, END_REPLY};

/// How long QEMU may take to start, and to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where `cargo xtask setup` puts `qemu-VERSION`.
const FOLDER: &str = "/var/cache/spicewatch";

/// The programs to compare with. The environment variable `LAB_QEMU` chooses one that `cargo xtask setup` installs, by its
/// version. Without it, it is the QEMU of this machine, and the program that the variable `QEMU_10_0` names.
#[allow(dead_code, reason = "the recorder has one program")]
pub(crate) fn programs() -> Vec<OsString> {
    match env::var("LAB_QEMU") {
        Ok(version) if !version.is_empty() => vec![Path::new(FOLDER).join(format!("qemu-{version}")).into()],
        _ => std::iter::once("qemu-system-x86_64".into()).chain(env::var_os("QEMU_10_0")).collect(),
    }
}

/// A QEMU process, which ends when this value is dropped.
#[derive(Debug)]
pub(crate) struct Qemu {
    process: Child,
    socket: PathBuf,
}

impl Qemu {
    /// Starts this program, with its socket in `folder`. `None`: it is not installed.
    pub(crate) fn start(program: &OsStr, folder: &Path) -> io::Result<Option<Self>> {
        let socket = folder.join("qemu.qmp");
        let started = Command::new(program)
            .args(["-M", "none", "-display", "none", "-accel", "tcg", "-nodefaults", "-qmp"])
            .arg(format!("unix:{},server=on,wait=off", socket.display()))
            .stdin(Stdio::null())
            .spawn();
        let mut process = match started {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            started => started?,
        };
        let begun = Instant::now();
        while UnixStream::connect(&socket).is_err() {
            if let Some(status) = process.try_wait()? {
                return Err(io::Error::other(format!("QEMU ended at once: {status}")));
            }
            if begun.elapsed() > PATIENCE {
                _ = process.kill();
                return Err(io::Error::other(format!("no QMP socket after {PATIENCE:?}")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(Some(Self { process, socket }))
    }

    /// Sends each case on a connection of its own.
    pub(crate) fn answers(&self, cases: &[Case]) -> io::Result<Answers> {
        let mut answers = Answers::default();
        for case in cases {
            let stream = UnixStream::connect(&self.socket)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            let mut lines = BufReader::new(stream.try_clone()?);
            answers.greeting = line(&mut lines, case)?;
            if !case.before.is_empty() {
                (&stream).write_all(case.before)?;
                line(&mut lines, case)?;
            }
            (&stream).write_all(&[&case.input, END].concat())?;
            let mut replies = Vec::new();
            while replies.last().is_none_or(|last: &String| !last.contains(END_REPLY)) {
                replies.push(line(&mut lines, case)?);
            }
            answers.cases.push((case.name.clone(), replies));
        }
        Ok(answers)
    }
}

impl Qemu {
    /// The path of its QMP socket.
    #[allow(dead_code, reason = "not every test connects")]
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Its reply to `query-qmp-schema`.
    #[allow(dead_code, reason = "not every test asks")]
    pub(crate) fn schema(&self) -> io::Result<String> {
        let asked = Case {
            name: "query-qmp-schema".to_owned(),
            before: b"{\"execute\": \"qmp_capabilities\"}",
            input: b"{\"execute\": \"query-qmp-schema\"}".to_vec(),
            differs: None,
        };
        let answers = self.answers(std::slice::from_ref(&asked))?;
        let reply = answers.get(&asked.name).and_then(<[String]>::first).cloned();
        reply.ok_or_else(|| io::Error::other("expected a reply to query-qmp-schema, got none"))
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

/// Reads a line, which must end in CRLF.
fn line(lines: &mut impl BufRead, case: &Case) -> io::Result<String> {
    let mut line = String::new();
    lines.read_line(&mut line).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", case.name)))?;
    match line.strip_suffix("\r\n") {
        Some(line) => Ok(line.to_owned()),
        None => Err(io::Error::other(format!("{}: expected a line that ends in CRLF, got {line:?}", case.name))),
    }
}
