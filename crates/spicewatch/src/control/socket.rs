//! The socket itself: who may connect, and what happens with the socket of a process that died.

use std::{
    fmt,
    fs::Permissions,
    io,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::{
            fs::{FileTypeExt as _, PermissionsExt as _},
            net::{UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use rustix::{
    fs::{Mode, fchmod},
    net::{AddressFamily, SocketAddrUnix, SocketType, bind, listen, socket_with},
};

/// Clients that may wait to be accepted.
const BACKLOG: i32 = 64;

/// The permissions of the socket. A client needs write permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SocketMode(u32);

impl SocketMode {
    /// Only the user of the process.
    const OWNER: Self = Self(0o600);
    /// The user and the group.
    const GROUP: Self = Self(0o660);
}

impl FromStr for SocketMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o777);
        mode.map(Self).ok_or_else(|| format!("expected permissions in octal, 660 for example, found `{text}`"))
    }
}

impl fmt::Display for SocketMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:o}", self.0)
    }
}

/// A bound socket. The file that this process created is removed on drop.
#[derive(Debug)]
pub(crate) struct ControlSocket {
    pub(super) listener: UnixListener,
    path: PathBuf,
    owns_file: bool,
    /// Set when another process serves the socket.
    pub(super) is_left: Arc<AtomicBool>,
}

impl ControlSocket {
    /// Binds the socket. A socket that no process listens on is replaced; any other file is left alone.
    ///
    /// `group` is a name or a number. The default mode is 660 with a group, and 600 without.
    pub(crate) fn bind(path: &Path, mode: Option<SocketMode>, group: Option<&str>) -> io::Result<Self> {
        let group = group.map(group_id).transpose()?;
        let mode = mode.unwrap_or(if group.is_some() { SocketMode::GROUP } else { SocketMode::OWNER });
        if let Ok(found) = path.symlink_metadata() {
            if !found.file_type().is_socket() {
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the path exists and is not a socket"));
            }
            match UnixStream::connect(path) {
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path)?,
                Ok(_) | Err(_) => {
                    return Err(io::Error::new(io::ErrorKind::AddrInUse, "another process listens there"));
                }
            }
        }
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, rustix::net::SocketFlags::CLOEXEC, None)?;
        // Linux gives the file the permissions of the socket (unix_bind_bsd), so that it never has wider ones.
        fchmod(&socket, Mode::from_raw_mode(0o600))?;
        bind(&socket, &SocketAddrUnix::new(path)?)?;
        let bound = Self {
            listener: UnixListener::from(socket),
            path: path.to_owned(),
            owns_file: true,
            is_left: Arc::default(),
        };
        if let Some(group) = group {
            std::os::unix::fs::chown(path, None, Some(group))?;
        }
        std::fs::set_permissions(path, Permissions::from_mode(mode.0))?;
        listen(&bound.listener, BACKLOG)?;
        Ok(bound)
    }

    /// A socket that a service manager or the process before this one has bound.
    pub(crate) fn from_listener(listener: UnixListener, path: &Path, owns_file: bool) -> Self {
        Self { listener, path: path.to_owned(), owns_file, is_left: Arc::default() }
    }

    /// Another process serves the socket from now on. Its file stays.
    pub(crate) fn leave(mut self) {
        self.is_left.store(true, Ordering::Relaxed);
        self.owns_file = false;
    }

    /// The socket.
    #[cfg(feature = "http")]
    pub(crate) fn listener(&self) -> &UnixListener {
        &self.listener
    }

    /// Whether its file goes at the end.
    pub(crate) fn owns_file(&self) -> bool {
        self.owns_file
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl AsFd for ControlSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        if self.owns_file {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn group_id(name: &str) -> io::Result<u32> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    let found = nix::unistd::Group::from_name(name)?;
    found
        .map(|group| group.gid.as_raw())
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("there is no group `{name}`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn socket_of_a_dead_process_is_replaced_and_that_of_a_live_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let first = ControlSocket::bind(&path, None, None).unwrap();
        assert_eq!(mode(&path), 0o600);
        assert_eq!(ControlSocket::bind(&path, None, None).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        // As a killed process leaves it.
        drop(first);
        drop(UnixListener::bind(&path).unwrap());
        let own_group = rustix::process::getgid().as_raw().to_string();
        let second = ControlSocket::bind(&path, None, Some(&own_group)).unwrap();
        assert_eq!(mode(&path), 0o660);
        drop(second);
        assert!(!path.exists());
        let third = ControlSocket::bind(&path, Some("666".parse().unwrap()), None).unwrap();
        assert_eq!(mode(third.path()), 0o666);
        drop(third);
        std::fs::write(&path, "a file").unwrap();
        assert_eq!(ControlSocket::bind(&path, None, None).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "a file");
        for wrong in ["", "9", "1000", "rw", "-1"] {
            assert!(wrong.parse::<SocketMode>().is_err(), "{wrong}");
        }
    }
}
