//! Bound sockets, unix and TCP.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::{Inner, Server};

/// How long a listener rests after an accept that failed, for want of descriptors for example.
const REST: Duration = Duration::from_millis(100);
/// The shortest time between two log lines about failed accepts, or about a full server.
const SAID_EVERY: Duration = Duration::from_secs(10);

/// A socket that is bound and doesn't serve yet: see [`Server::listen`].
#[derive(Debug)]
pub struct Listener {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(unix::Socket),
}

/// Why a listener couldn't be bound.
#[derive(Debug)]
#[non_exhaustive]
pub enum BindError {
    /// Somebody else listens there.
    InUse {
        /// `unix:PATH` or `tcp:ADDR`
        address: String,
    },
    /// There is a file of another kind at the path of a unix socket; it is left alone.
    NotASocket {
        /// `unix:PATH`
        address: String,
    },
    /// What the system said.
    Io {
        /// `unix:PATH` or `tcp:ADDR`
        address: String,
        /// The error of the system.
        source: io::Error,
    },
}

impl BindError {
    fn new(address: String, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::InUse { address },
            _ => Self::Io { address, source },
        }
    }
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse { address } => write!(f, "{address}: somebody else listens there"),
            Self::NotASocket { address } => write!(f, "{address}: expected a socket or nothing, there is another file"),
            Self::Io { address, source } => write!(f, "{address}: {source}"),
        }
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::InUse { .. } | Self::NotASocket { .. } => None,
        }
    }
}

impl Listener {
    /// Binds a TCP address; port 0 lets the system pick one. Anyone who can reach it can run every command.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn tcp(address: SocketAddr) -> Result<Self, BindError> {
        let bind = || {
            let listener = std::net::TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            TcpListener::from_std(listener)
        };
        let listener = bind().map_err(|source| BindError::new(format!("tcp:{address}"), source))?;
        Ok(Self { kind: Kind::Tcp(listener) })
    }

    /// Binds a unix socket of mode 0600. Replaces a socket file without a listener. Leaves any other file alone.
    /// The file is removed when the listener goes, if it is still this one's.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[cfg(unix)]
    pub fn unix(path: impl AsRef<std::path::Path>) -> Result<Self, BindError> {
        unix::Socket::bind(path.as_ref()).map(|socket| Self { kind: Kind::Unix(socket) })
    }

    /// Where clients connect: `unix:PATH` or `tcp:ADDR:PORT`.
    pub fn address(&self) -> String {
        match &self.kind {
            Kind::Tcp(listener) => match listener.local_addr() {
                Ok(address) => format!("tcp:{address}"),
                Err(error) => format!("tcp:({error})"),
            },
            #[cfg(unix)]
            Kind::Unix(socket) => socket.address(),
        }
    }

    /// The address of a TCP listener, with the port that the system picked.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match &self.kind {
            Kind::Tcp(listener) => listener.local_addr().ok(),
            #[cfg(unix)]
            Kind::Unix(_) => None,
        }
    }

    /// Accepts clients until the server shuts down. Nothing else ends it.
    pub(super) async fn run(self, server: &Server) {
        let address = self.address();
        tracing::info!(listener = address, "listening");
        server.inner.until_shutdown(self.accept_all(server, &address)).await;
        tracing::debug!(listener = address, "closed");
    }

    async fn accept_all(&self, server: &Server, address: &str) {
        let (mut said_failing, mut said_full) = (None, None);
        loop {
            let place = server.inner.place(address, &mut said_full).await;
            if let Err(error) = self.accept(server, place).await {
                if is_news(&mut said_failing) {
                    tracing::warn!(listener = address, "accept failed, trying on: {error}");
                }
                tokio::time::sleep(REST).await;
            }
        }
    }

    /// The place comes first: who finds none waits in the backlog.
    async fn accept(&self, server: &Server, place: Option<OwnedSemaphorePermit>) -> io::Result<()> {
        match &self.kind {
            Kind::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Writes are whole batches of lines already.
                _ = stream.set_nodelay(true);
                server.spawn(stream, format!("tcp:{peer}"), place);
            }
            #[cfg(unix)]
            Kind::Unix(socket) => {
                let (stream, name) = socket.accept().await?;
                server.spawn(stream, name, place);
            }
        }
        Ok(())
    }
}

/// Tells whether a line may be logged again, and notes the time if so.
fn is_news(said: &mut Option<Instant>) -> bool {
    let is_news = said.is_none_or(|said| said.elapsed() >= SAID_EVERY);
    if is_news {
        *said = Some(Instant::now());
    }
    is_news
}

impl Inner {
    /// Waits for a place for a client. Logs the wait, because a waiting client gets no greeting.
    async fn place(&self, address: &str, said: &mut Option<Instant>) -> Option<OwnedSemaphorePermit> {
        if let Ok(place) = self.places.clone().try_acquire_owned() {
            return Some(place);
        }
        if is_news(said) {
            let clients = self.connected.load(Ordering::Relaxed);
            tracing::warn!(
                listener = address,
                clients,
                "as many clients as there may be; others wait until one leaves"
            );
        }
        self.places.clone().acquire_owned().await.ok()
    }
}

#[cfg(unix)]
mod unix {
    use std::fs;
    use std::io;
    use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
    use std::path::{Path, PathBuf};
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use tokio::net::{UnixListener, UnixSocket, UnixStream};

    use super::BindError;

    /// As many may wait to be accepted; the system's own limit is often lower.
    const BACKLOG: u32 = 1024;

    #[derive(Debug)]
    pub(super) struct Socket {
        listener: UnixListener,
        path: PathBuf,
        /// Device and inode of the file, to know it again.
        file: (u64, u64),
    }

    impl Socket {
        pub(super) fn bind(path: &Path) -> Result<Self, BindError> {
            let address = || format!("unix:{}", path.display());
            let failed = |source| BindError::new(address(), source);
            match fs::symlink_metadata(path) {
                Ok(file) if !file.file_type().is_socket() => return Err(BindError::NotASocket { address: address() }),
                Ok(_) => make_way(path).map_err(failed)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(failed(error)),
            }
            let bind = || {
                let socket = UnixSocket::new_stream()?;
                socket.bind(path)?;
                // No client can connect before it listens, so the mode of the umask is never in force.
                fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
                let file = identity(path)?;
                Ok(Self { listener: socket.listen(BACKLOG)?, path: path.to_owned(), file })
            };
            bind().map_err(failed)
        }

        pub(super) fn address(&self) -> String {
            format!("unix:{}", self.path.display())
        }

        pub(super) async fn accept(&self) -> io::Result<(UnixStream, String)> {
            let (stream, _) = self.listener.accept().await?;
            let name = match stream.peer_cred() {
                Ok(peer) => {
                    format!("unix:{} (pid {}, uid {})", self.path.display(), peer.pid().unwrap_or(0), peer.uid())
                }
                Err(_) => self.address(),
            };
            Ok((stream, name))
        }
    }

    impl Drop for Socket {
        fn drop(&mut self) {
            if identity(&self.path).is_ok_and(|file| file == self.file) {
                _ = fs::remove_file(&self.path);
            }
        }
    }

    fn identity(path: &Path) -> io::Result<(u64, u64)> {
        fs::symlink_metadata(path).map(|file| (file.dev(), file.ino()))
    }

    /// Removes a socket file without a listener.
    ///
    /// It is moved aside first and asked again there: of two servers that start at once, neither can remove the other's.
    fn make_way(path: &Path) -> io::Result<()> {
        refuse_if_alive(path)?;
        let mut aside = path.as_os_str().to_owned();
        aside.push(format!(".{}.stale", std::process::id()));
        let aside = PathBuf::from(aside);
        match fs::rename(path, &aside) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            renamed => renamed?,
        }
        if let Err(error) = refuse_if_alive(&aside) {
            // Somebody began to listen in between: put it back, unless yet another has come meanwhile.
            _ = fs::hard_link(&aside, path);
            _ = fs::remove_file(&aside);
            return Err(error);
        }
        fs::remove_file(&aside)
    }

    fn refuse_if_alive(path: &Path) -> io::Result<()> {
        match connect(path).map_err(|error| error.kind()) {
            Err(io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound) => Ok(()),
            // A full backlog is somebody listening, too.
            Ok(()) | Err(io::ErrorKind::WouldBlock) => Err(io::ErrorKind::AddrInUse.into()),
            Err(kind) => Err(kind.into()),
        }
    }

    /// Connects without waiting: to a unix socket that is done or refused at once.
    fn connect(path: &Path) -> io::Result<()> {
        let mut connecting = pin!(UnixSocket::new_stream()?.connect(path));
        match connecting.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(connected) => connected.map(drop),
            Poll::Pending => Ok(()),
        }
    }
}
