//! Connections that the server opens itself.

use std::fmt;
use std::io;
#[cfg(unix)]
use std::path::PathBuf;
use std::time::Duration;

use super::Server;

/// The pause before a [`Dialer`] connects again, unless [`Dialer::reconnect`] says otherwise.
pub const DEFAULT_RECONNECT: Duration = Duration::from_secs(5);

/// A QMP client that waits for its server to connect, as some management does with QEMU: see [`Server::dial`].
///
/// QEMU does so with a character device that is no server: `-chardev socket,id=m,path=PATH,reconnect=5 -mon chardev=m,mode=control`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialer {
    target: Target,
    reconnect: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    #[cfg(unix)]
    Unix(PathBuf),
    Tcp(String),
}

impl Dialer {
    /// A client that listens on a unix socket.
    #[cfg(unix)]
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Self { target: Target::Unix(path.into()), reconnect: DEFAULT_RECONNECT }
    }

    /// A client that listens on `HOST:PORT`.
    pub fn tcp(address: impl Into<String>) -> Self {
        Self { target: Target::Tcp(address.into()), reconnect: DEFAULT_RECONNECT }
    }

    /// The pause before the next attempt, after a failed one and after a connection has ended.
    #[must_use]
    pub fn reconnect(self, pause: Duration) -> Self {
        Self { reconnect: pause, ..self }
    }

    /// Connects and serves, again and again, until the server shuts down.
    pub(super) async fn run(self, server: &Server) {
        server.inner.until_shutdown(self.serve_all(server)).await;
    }

    async fn serve_all(&self, server: &Server) {
        let mut has_failed = false;
        loop {
            match self.serve(server).await {
                Ok(()) => has_failed = false,
                Err(error) if !has_failed => {
                    has_failed = true;
                    tracing::warn!(client = %self, pause = ?self.reconnect, "can't connect, trying on: {error}");
                }
                Err(_) => {}
            }
            tokio::time::sleep(self.reconnect).await;
        }
    }

    /// Connects, and serves the client until it leaves.
    async fn serve(&self, server: &Server) -> io::Result<()> {
        let client = match &self.target {
            #[cfg(unix)]
            Target::Unix(path) => {
                let stream = tokio::net::UnixStream::connect(path).await?;
                server.spawn(stream, self.to_string(), None)
            }
            Target::Tcp(address) => {
                let stream = tokio::net::TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                server.spawn(stream, self.to_string(), None)
            }
        };
        tracing::info!(client = %self, "connected to a client");
        client.closed().await;
        Ok(())
    }
}

impl fmt::Display for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.target {
            #[cfg(unix)]
            Target::Unix(path) => write!(f, "unix:{}", path.display()),
            Target::Tcp(address) => write!(f, "tcp:{address}"),
        }
    }
}
