use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::PathBuf,
    time::{Duration, Instant},
};

use super::answer::{Answered, ServerUnderTest};

/// A server on this machine, asked over TCP: each message on a connection of its own, then FIN.
#[derive(Clone, Copy, Debug)]
pub struct OverTcp {
    address: SocketAddr,
    time_limit: Duration,
}

/// The most bytes that are read of one answer.
const MAX_ANSWER: usize = 64 * 1024;

impl OverTcp {
    /// How long a server has for an answer unless it is told otherwise.
    pub const TIME_LIMIT: Duration = Duration::from_secs(3);

    /// A server at this address, which has to be of this machine's loopback.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] for any other address.
    pub fn new(address: SocketAddr) -> io::Result<Self> {
        if !address.ip().to_canonical().is_loopback() {
            let what = format!("expected an address of this machine's loopback, found {address}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        Ok(Self { address, time_limit: Self::TIME_LIMIT })
    }

    /// The same server with another time limit for each answer.
    #[must_use]
    pub const fn with_time_limit(self, time_limit: Duration) -> Self {
        Self { time_limit, ..self }
    }
}

/// A server on a unix socket: each message on a connection of its own, then FIN.
#[derive(Clone, Debug)]
pub struct OverUnix {
    path: PathBuf,
    time_limit: Duration,
}

impl OverUnix {
    /// A server at this path.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), time_limit: OverTcp::TIME_LIMIT }
    }

    /// The same server with another time limit for each answer.
    #[must_use]
    pub fn with_time_limit(self, time_limit: Duration) -> Self {
        Self { time_limit, ..self }
    }
}

impl ServerUnderTest for OverTcp {
    fn ask(&mut self, sent: &[u8]) -> io::Result<Answered> {
        let stream = TcpStream::connect_timeout(&self.address, self.time_limit)?;
        stream.set_write_timeout(Some(self.time_limit))?;
        let finish = |stream: &TcpStream| stream.shutdown(Shutdown::Write);
        ask(stream, sent, self.time_limit, finish, TcpStream::set_read_timeout)
    }

    fn another(&self) -> Option<Box<dyn ServerUnderTest + Send>> {
        Some(Box::new(*self))
    }
}

impl ServerUnderTest for OverUnix {
    fn ask(&mut self, sent: &[u8]) -> io::Result<Answered> {
        let stream = UnixStream::connect(&self.path)?;
        stream.set_write_timeout(Some(self.time_limit))?;
        let finish = |stream: &UnixStream| stream.shutdown(Shutdown::Write);
        ask(stream, sent, self.time_limit, finish, UnixStream::set_read_timeout)
    }

    fn another(&self) -> Option<Box<dyn ServerUnderTest + Send>> {
        Some(Box::new(self.clone()))
    }
}

fn ask<S: Read + Write>(
    mut stream: S,
    sent: &[u8],
    time_limit: Duration,
    finish: impl Fn(&S) -> io::Result<()>,
    set_read_timeout: impl Fn(&S, Option<Duration>) -> io::Result<()>,
) -> io::Result<Answered> {
    let deadline = Instant::now() + time_limit;
    // A server that refuses may close before all is sent.
    let _ = stream.write_all(sent).and_then(|()| finish(&stream));
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        // A server that never stops sending is bounded in bytes and in time.
        if left.is_zero() || bytes.len() >= MAX_ANSWER {
            return Ok(Answered { bytes, is_ended: false });
        }
        set_read_timeout(&stream, Some(left))?;
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(bytes.into()),
            Ok(len) => bytes.extend(&buffer[..len]),
            Err(error) => match error.kind() {
                io::ErrorKind::ConnectionReset => return Ok(bytes.into()),
                io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {}
                _ => return Err(error),
            },
        }
    }
}
