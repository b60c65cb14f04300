//! Clients under test.

use std::{
    io,
    net::SocketAddr,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

/// A client under test: it connects to a server and plays its link stage, once for each call.
///
/// A function is one: `Ok(())` says that it was linked, an error that it was not. [`ClientCommand`] runs a program.
pub trait ClientUnderTest: Send + Sync + 'static {
    /// Connects to this server, and returns when it has left.
    fn connect(&self, server: SocketAddr) -> ClientEnd;
}

/// How a client under test has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientEnd {
    /// It says that it was linked.
    Linked,
    /// It says that it was not linked.
    NotLinked,
    /// It has ended, and does not say how.
    Unknown,
    /// It crashed, described in words.
    Crashed(String),
    /// It had not ended when it was stopped.
    Hung,
}

impl<F: Fn(SocketAddr) -> io::Result<()> + Send + Sync + 'static> ClientUnderTest for F {
    fn connect(&self, server: SocketAddr) -> ClientEnd {
        if self(server).is_ok() { ClientEnd::Linked } else { ClientEnd::NotLinked }
    }
}

/// A client that is a program. In its arguments, `{host}` and `{port}` are replaced by the server's address.
///
/// ```no_run
/// use spice_conformance::hunt::{ClientCommand, Hunt};
///
/// let client = ClientCommand::new("spicy-screenshot").args(["-h", "{host}", "-p", "{port}", "-w", "sekrit"]);
/// let report = Hunt::new().cases(100).run_client(client, Some("sekrit"))?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ClientCommand {
    program: String,
    args: Vec<String>,
    time_limit: Duration,
    tells: bool,
}

impl ClientCommand {
    /// How long the program may run unless it is told otherwise.
    pub const TIME_LIMIT: Duration = Duration::from_secs(10);

    /// A program, which is looked up in `PATH`.
    pub fn new(program: impl Into<String>) -> Self {
        Self { program: program.into(), args: Vec::new(), time_limit: Self::TIME_LIMIT, tells: false }
    }

    /// More arguments.
    #[must_use]
    pub fn args<S: Into<String>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// How long the program may run. After that it hangs, and is killed.
    #[must_use]
    pub fn time_limit(self, time_limit: Duration) -> Self {
        Self { time_limit, ..self }
    }

    /// The exit code tells whether the client was linked: 0 if it was.
    #[must_use]
    pub fn exit_code_tells(self) -> Self {
        Self { tells: true, ..self }
    }

    fn start(&self, server: SocketAddr) -> io::Result<Child> {
        let (host, port) = (server.ip().to_string(), server.port().to_string());
        let args = self.args.iter().map(|arg| arg.replace("{host}", &host).replace("{port}", &port));
        let mut command = Command::new(&self.program);
        command.args(args);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
    }

    fn end(&self, status: ExitStatus) -> ClientEnd {
        match status.code() {
            // A signal has ended it.
            None => ClientEnd::Crashed(status.to_string()),
            Some(_) if !self.tells => ClientEnd::Unknown,
            Some(0) => ClientEnd::Linked,
            Some(_) => ClientEnd::NotLinked,
        }
    }
}

impl ClientUnderTest for ClientCommand {
    fn connect(&self, server: SocketAddr) -> ClientEnd {
        let mut child = match self.start(server) {
            Ok(child) => child,
            Err(error) => return ClientEnd::Crashed(format!("{}: {error}", self.program)),
        };
        let start = Instant::now();
        loop {
            match child.try_wait() {
                Ok(Some(status)) => return self.end(status),
                Ok(None) if start.elapsed() < self.time_limit => thread::sleep(POLL),
                _ => break,
            }
        }
        // It may have ended in this moment.
        let _ = child.kill();
        let _ = child.wait();
        ClientEnd::Hung
    }
}

/// How often a program is asked whether it has ended.
const POLL: Duration = Duration::from_millis(2);
