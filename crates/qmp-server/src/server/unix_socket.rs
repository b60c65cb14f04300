//! The file of a unix socket: bound, replaced when stale, removed at the end.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use tokio::net::{UnixListener, UnixSocket, UnixStream};

use super::bind_error::BindError;

/// As many may wait to be accepted; the system's own limit is often lower.
const BACKLOG: u32 = 1024;

/// Who may connect to a unix socket: the mode and the group of its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnixOptions {
    /// The mode of the file. 0600 by default: clients of the same user, and root.
    pub mode: u32,
    /// The number of the file's group. `None`, the default, leaves the group that the system gives it.
    pub group: Option<u32>,
}

impl Default for UnixOptions {
    fn default() -> Self {
        Self { mode: 0o600, group: None }
    }
}

impl UnixOptions {
    /// Sets [`mode`](Self::mode).
    #[must_use]
    pub fn mode(self, mode: u32) -> Self {
        Self { mode, ..self }
    }

    /// Sets [`group`](Self::group).
    #[must_use]
    pub fn group(self, group: u32) -> Self {
        Self { group: Some(group), ..self }
    }
}

#[derive(Debug)]
pub(super) struct Socket {
    listener: UnixListener,
    /// Empty for a socket without a path.
    path: PathBuf,
    /// Device and inode of the file, to know it again. `None`: the file is the caller's.
    file: Option<(u64, u64)>,
    /// The file stays: another process listens on the same socket.
    left: Arc<AtomicBool>,
}

impl Socket {
    pub(super) fn bind(path: &Path, options: UnixOptions) -> Result<Self, BindError> {
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
            if options.group.is_some() {
                chown(path, None, options.group)?;
            }
            fs::set_permissions(path, fs::Permissions::from_mode(options.mode))?;
            let file = Some(identity(path)?);
            Ok(Self { listener: socket.listen(BACKLOG)?, path: path.to_owned(), file, left: Arc::default() })
        };
        bind().map_err(failed)
    }

    /// Takes over a socket that listens already.
    pub(super) fn bound(listener: StdUnixListener) -> io::Result<Self> {
        let path = listener.local_addr()?.as_pathname().map(Path::to_owned).unwrap_or_default();
        listener.set_nonblocking(true)?;
        Ok(Self { listener: UnixListener::from_std(listener)?, path, file: None, left: Arc::default() })
    }

    pub(super) fn address(&self) -> String {
        format!("unix:{}", self.path.display())
    }

    /// Removes the file at the end.
    pub(super) fn own_file(&mut self) {
        self.file = identity(&self.path).ok();
    }

    /// A switch that leaves the file at the end, if it is not the caller's.
    pub(super) fn left(&self) -> Option<Arc<AtomicBool>> {
        self.file.is_some().then(|| Arc::clone(&self.left))
    }

    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
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
        if self.file.is_some() && !self.left.load(Ordering::Relaxed) && identity(&self.path).ok() == self.file {
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
