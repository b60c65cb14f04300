//! QEMU's QMP socket, recorded byte for byte.

use std::{
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Instant,
};

use super::PATIENCE;

/// Everything that QEMU sent on one QMP socket after the negotiation: events, and the replies to commands.
///
/// A thread reads the socket until it ends, which is when QEMU does.
#[derive(Debug)]
pub struct EventLog {
    stream: UnixStream,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Whole lines with their CRLF, and after them the start of the next.
    bytes: Vec<u8>,
    ended: bool,
}

impl State {
    fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes.split_inclusive(|&byte| byte == b'\n').filter(|line| line.ends_with(b"\r\n"))
    }

    fn events(&self) -> impl Iterator<Item = &[u8]> {
        self.lines().filter(|line| line.starts_with(b"{\"timestamp\""))
    }

    fn replies(&self) -> impl Iterator<Item = &[u8]> {
        self.lines().filter(|line| line.starts_with(b"{\"return\"") || line.starts_with(b"{\"error\""))
    }
}

/// A command that changes nothing. When QEMU answers it, it has finished all earlier work.
pub(super) const IDLE: &str = r#"{"execute": "query-name"}"#;

impl EventLog {
    /// Negotiates on a fresh QMP connection and records from there.
    pub fn record(stream: UnixStream) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let log = Self { stream: stream.try_clone()?, shared: Arc::clone(&shared) };
        thread::Builder::new().name("qmp".into()).spawn(move || copy(stream, &shared))?;
        log.execute(r#"{"execute": "qmp_capabilities"}"#)?;
        Ok(log)
    }

    /// Every event line so far, as QEMU wrote it, CRLF included.
    pub fn raw(&self) -> Vec<u8> {
        self.state().events().flatten().copied().collect()
    }

    /// Every event line so far, without its CRLF.
    pub fn lines(&self) -> Vec<String> {
        self.state().events().map(|line| String::from_utf8_lossy(line.trim_ascii_end()).into_owned()).collect()
    }

    /// How many events of this name came so far.
    pub fn count(&self, name: &str) -> usize {
        count(&self.state(), name)
    }

    /// Waits until there are this many events of this name, counted from the start.
    pub fn wait_for(&self, name: &str, wanted: usize) -> io::Result<()> {
        self.wait_until(&format!("{wanted} {name}"), |state| (count(state, name) >= wanted).then_some(()))
    }

    /// Waits until every connection that was made so far has ended. It sends QEMU a command first, so that QEMU accepts connections
    /// that are waiting.
    pub fn wait_for_quiet(&self) -> io::Result<()> {
        self.execute(IDLE)?;
        self.wait_until("the last SPICE_DISCONNECTED", |state| {
            (count(state, "SPICE_CONNECTED") == count(state, "SPICE_DISCONNECTED")).then_some(())
        })
    }

    /// Waits until QEMU closed the socket.
    pub fn wait_for_end(&self) -> io::Result<()> {
        self.wait_until("the end of QMP", |state| state.ended.then_some(()))
    }

    /// Sends a command, a whole JSON object, and returns the reply's line. One command at a time.
    pub fn execute(&self, command: &str) -> io::Result<String> {
        let before = self.state().replies().count();
        self.send(command)?;
        self.wait_until(command, |state| {
            let reply = state.replies().nth(before)?;
            Some(String::from_utf8_lossy(reply.trim_ascii_end()).into_owned())
        })
    }

    /// Sends a command without waiting for its reply.
    pub(super) fn send(&self, command: &str) -> io::Result<()> {
        let mut stream = &self.stream;
        stream.write_all(format!("{command}\n").as_bytes())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_until<T>(&self, what: &str, mut done: impl FnMut(&State) -> Option<T>) -> io::Result<T> {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.state();
        loop {
            if let Some(answer) = done(&state) {
                return Ok(answer);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if state.ended || left.is_zero() {
                let seen = String::from_utf8_lossy(&state.bytes);
                let why = if state.ended { "QMP ended" } else { "out of patience" };
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("{why} while waiting for {what}; seen:\n{seen}"),
                ));
            }
            state = self.shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

fn count(state: &State, name: &str) -> usize {
    let member = format!("\"event\": \"{name}\"");
    state.events().filter(|line| line.windows(member.len()).any(|window| window == member.as_bytes())).count()
}

fn copy(mut stream: UnixStream, shared: &Shared) {
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer);
        let mut state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        match read {
            Ok(0) => state.ended = true,
            Ok(n) => state.bytes.extend_from_slice(&buffer[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => state.ended = true,
        }
        shared.changed.notify_all();
        if state.ended {
            return;
        }
    }
}
