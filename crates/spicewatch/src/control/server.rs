//! Answers requests, with a thread for each client: there are few, and they must not slow the relay.

use std::{
    io::{self, BufRead as _, BufReader, BufWriter, Read as _, Write},
    os::unix::net::UnixStream,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use spice_sessions::{LiveKey, Record};

use super::{Answer, Command, ControlSocket, Failure, Reply, Request, Status, VERSION};

/// Clients at a time.
const MAX_CLIENTS: usize = 32;

/// Bytes of a request.
const MAX_REQUEST: u64 = 4096;

/// How long a client may take for a request, or to read a part of the answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often it is looked whether another process serves the socket.
const LOOK_EVERY: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// Sessions that are read from the table at once. The table is locked meanwhile.
const PAGE: usize = 256;

/// What the answers are made of.
pub(crate) trait Table: Send + Sync + 'static {
    /// The state of the process.
    fn status(&self) -> Status;

    /// Whether there is a VM with this name.
    fn has_vm(&self, name: &str) -> bool;

    /// The first sessions after this one.
    fn page(&self, after: Option<LiveKey>, max: usize) -> Vec<(LiveKey, Record)>;

    /// The sessions with this id, or with an id that ends in it.
    fn matching(&self, id: &str, max: usize) -> Vec<(LiveKey, Record)>;

    /// Open connections that belong to no session yet.
    fn linking(&self) -> usize;

    /// Ends the connections of a session. Returns how many.
    fn end(&self, session: LiveKey) -> usize;
}

/// What a relay does for a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Reads the configuration again.
    Reload,
    /// Says what that would change.
    Preview,
    /// Lets the VM of this name accept no more connections.
    Drain(String),
}

/// Does it, and returns the answer, or why nothing has changed.
pub(crate) type Operate = Arc<dyn Fn(Operation) -> Result<Answer, String> + Send + Sync>;

/// Lets the client at the other end of the stream take over.
pub(crate) type Upgrade = Arc<dyn Fn(UnixStream) + Send + Sync>;

/// What a client can make the process do.
#[derive(Clone)]
pub(crate) struct Actions {
    pub(crate) operate: Operate,
    /// `None`: no process can take over.
    pub(crate) upgrade: Option<Upgrade>,
}

/// Serves the socket until the process ends, or another one serves it.
pub(crate) fn start(socket: &ControlSocket, table: Arc<dyn Table>, actions: Actions) -> io::Result<()> {
    let listener = socket.listener.try_clone()?;
    // A process that takes over serves the same socket. Neither waits for a client that the other one has accepted.
    listener.set_nonblocking(true)?;
    let is_left = Arc::clone(&socket.is_left);
    let clients = Arc::new(AtomicUsize::new(0));
    thread::Builder::new().name("control-accept".into()).spawn(move || {
        while !is_left.load(Ordering::Relaxed) {
            let stream = match listener.accept() {
                Ok((stream, _)) if stream.set_nonblocking(false).is_ok() => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let mut wanted = [PollFd::new(&listener, PollFlags::IN)];
                    let _ = poll(&mut wanted, Some(&LOOK_EVERY));
                    continue;
                }
                // Mostly, the process has no descriptor left.
                Ok(_) | Err(_) => {
                    thread::sleep(Duration::from_millis(100));
                    continue;
                }
            };
            if clients.fetch_add(1, Ordering::AcqRel) >= MAX_CLIENTS {
                clients.fetch_sub(1, Ordering::AcqRel);
                let _ = refuse(&stream);
                continue;
            }
            let (table, actions, place) = (Arc::clone(&table), actions.clone(), Place(Arc::clone(&clients)));
            let client = thread::Builder::new().name("control".into()).spawn(move || {
                let _place = place;
                let _ = serve(&stream, &*table, &actions);
            });
            if let Err(error) = client {
                tracing::warn!(%error, "can't start a thread for a client of the control socket");
            }
        }
    })?;
    Ok(())
}

/// A client's place. Dropping it makes room for another one.
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

fn refuse(stream: &UnixStream) -> io::Result<()> {
    stream.set_write_timeout(Some(Duration::from_millis(100)))?;
    let message = format!("{MAX_CLIENTS} clients are connected to the control socket; try again later");
    write(&mut &*stream, &Reply::Error(Failure::new("too-many-clients", message)))
}

fn serve(stream: &UnixStream, table: &dyn Table, actions: &Actions) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut requests = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        (&mut requests).take(MAX_REQUEST + 1).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Ok(());
        }
        let mut out = BufWriter::new(stream);
        if line.len() as u64 > MAX_REQUEST {
            let message = format!("expected a request of at most {MAX_REQUEST} bytes, found a longer one");
            write(&mut out, &Reply::Error(Failure::new("too-long", message)))?;
            return out.flush();
        }
        match parse(&line) {
            Ok(Command::Upgrade) => {
                let reply = may_upgrade(stream, actions);
                let is_error = reply.is_err();
                write(&mut out, &reply.map_or_else(Reply::Error, |()| Reply::Return(Answer::default())))?;
                out.flush()?;
                if let Some(upgrade) = actions.upgrade.as_ref().filter(|_| !is_error) {
                    upgrade(stream.try_clone()?);
                    return Ok(());
                }
            }
            Ok(command) => answer(&command, table, &*actions.operate, &mut out)?,
            Err(failure) => write(&mut out, &Reply::Error(failure))?,
        }
        out.flush()?;
    }
}

/// Whether the client may take over: it is a process of the same user, or of root.
fn may_upgrade(stream: &UnixStream, actions: &Actions) -> Result<(), Failure> {
    if actions.upgrade.is_none() {
        return Err(Failure::new("no-upgrade", "this process is not a relay, and can't be taken over"));
    }
    let own = rustix::process::geteuid();
    match rustix::net::sockopt::socket_peercred(stream) {
        Ok(peer) if peer.uid == own || peer.uid.is_root() => Ok(()),
        Ok(peer) => {
            let message = format!(
                "the relay runs as user {}, and only that user and root can take over, not user {}",
                own.as_raw(),
                peer.uid.as_raw()
            );
            Err(Failure::new("not-permitted", message))
        }
        Err(error) => Err(Failure::new("not-permitted", format!("the client's user is not known: {error}"))),
    }
}

fn parse(line: &[u8]) -> Result<Command, Failure> {
    // The version decides how the rest is read.
    let version = serde_json::from_slice::<serde_json::Value>(line)
        .map_err(|error| Failure::new("bad-request", error.to_string()))?
        .get("version")
        .and_then(serde_json::Value::as_u64);
    if version != Some(u64::from(VERSION)) {
        return Err(Failure::new("bad-version", format!("expected a request with \"version\": {VERSION}")));
    }
    let request: Request =
        serde_json::from_slice(line).map_err(|error| Failure::new("bad-request", error.to_string()))?;
    Ok(request.command)
}

fn answer(
    command: &Command,
    table: &dyn Table,
    operate: &dyn Fn(Operation) -> Result<Answer, String>,
    out: &mut impl Write,
) -> io::Result<()> {
    let reply = match command {
        // It has an answer of its own.
        Command::Upgrade => return Ok(()),
        Command::Reload => done(operate(Operation::Reload), "reload-failed"),
        Command::Preview => done(operate(Operation::Preview), "reload-failed"),
        Command::Drain { vm } => done(operate(Operation::Drain(vm.clone())), "unknown-vm"),
        Command::Status => Reply::Return(Answer { status: Some(Box::new(table.status())), ..Answer::default() }),
        Command::Who { vm: Some(vm) } if !table.has_vm(vm) => {
            Reply::Error(Failure::new("unknown-vm", format!("there is no VM named `{vm}`")))
        }
        Command::Who { vm } => {
            let mut sessions = 0;
            let mut last = None;
            loop {
                let page = table.page(last, PAGE);
                let Some((key, _)) = page.last() else { break };
                last = Some(*key);
                for (_, record) in page {
                    let name = record.vm.as_ref().map(|vm| &vm.name);
                    if vm.is_none() || vm.as_ref() == name {
                        sessions += 1;
                        write(out, &Reply::Session(Box::new(record)))?;
                    }
                }
            }
            let linking = Some(table.linking());
            Reply::Return(Answer { sessions: Some(sessions), linking, ..Answer::default() })
        }
        Command::Show { session } => match one(table, session) {
            Err(failure) => Reply::Error(failure),
            Ok((_, record)) => {
                write(out, &Reply::Session(Box::new(record)))?;
                Reply::Return(Answer { sessions: Some(1), ..Answer::default() })
            }
        },
        Command::End { session } => match one(table, session) {
            Err(failure) => Reply::Error(failure),
            Ok((key, record)) => {
                let connections = table.end(key);
                if connections == 0 {
                    let message =
                        "the session's connections can't be ended: only a relay can do that, while they are open";
                    return write(out, &Reply::Error(Failure::new("not-ended", message)));
                }
                let id = record.session.as_ref().map(|session| session.id.to_string()).unwrap_or_default();
                tracing::info!(session = id, connections, "a client of the control socket ends a session");
                write(out, &Reply::Session(Box::new(record)))?;
                Reply::Return(Answer { ended_connections: Some(connections), ..Answer::default() })
            }
        },
    };
    write(out, &reply)
}

fn done(outcome: Result<Answer, String>, code: &str) -> Reply {
    match outcome {
        Ok(answer) => Reply::Return(answer),
        Err(error) => Reply::Error(Failure::new(code, error)),
    }
}

/// The one session with this id.
fn one(table: &dyn Table, id: &str) -> Result<(LiveKey, Record), Failure> {
    let mut found = table.matching(id, 2);
    let session =
        found.pop().ok_or_else(|| Failure::new("no-session", format!("no live session's id ends in `{id}`")))?;
    if found.is_empty() {
        Ok(session)
    } else {
        Err(Failure::new("ambiguous", format!("the ids of several live sessions end in `{id}`: give more digits")))
    }
}

fn write(out: &mut impl Write, reply: &Reply) -> io::Result<()> {
    let mut line = serde_json::to_vec(reply)?;
    line.push(b'\n');
    out.write_all(&line)
}
