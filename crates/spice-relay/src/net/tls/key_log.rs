use std::{
    fmt,
    fs::{File, OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

/// A file that gets the secrets of TLS connections, one line each, in NSS's format (`SSLKEYLOGFILE`).
///
/// A reader of the file can decrypt a capture of these connections. So only the file's owner can read it, also if it was there before. Lines are added at its
/// end, each with one write, so that several processes can write to one file.
pub struct KeyLogFile {
    path: PathBuf,
    file: Mutex<Option<File>>,
    /// A failure is logged once.
    has_failed: AtomicBool,
}

impl KeyLogFile {
    /// Nothing is opened before [`open`](Self::open), or before the first connection.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), file: Mutex::new(None), has_failed: AtomicBool::new(false) }
    }

    /// Opens the file, or creates it. Does nothing if it is open.
    ///
    /// # Errors
    /// Those of the system, for example if the folder does not exist.
    pub fn open(&self) -> io::Result<()> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if file.is_none() {
            *file = Some(open(&self.path)?);
        }
        Ok(())
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn write(&self, line: &str) -> io::Result<()> {
        self.open()?;
        match &mut *self.file.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(file) => file.write_all(line.as_bytes()),
            None => Ok(()),
        }
    }
}

impl rustls::KeyLog for KeyLogFile {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let line = format!("{label} {} {}\n", Hex(client_random), Hex(secret));
        match self.write(&line) {
            Err(error) if !self.has_failed.swap(true, Ordering::Relaxed) => {
                tracing::error!(file = %self.path.display(), %error, "can't write TLS secrets: they are missing in the key log");
            }
            _ => {}
        }
    }
}

/// Shows no secret.
impl fmt::Debug for KeyLogFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyLogFile").field("path", &self.path).finish_non_exhaustive()
    }
}

/// The permissions of the file: its owner reads and writes.
const MODE: u32 = 0o600;

fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().append(true).create(true).mode(MODE).open(path)?;
    if file.metadata()?.permissions().mode() & 0o777 != MODE {
        file.set_permissions(Permissions::from_mode(MODE))?;
    }
    Ok(file)
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rustls::KeyLog;

    use super::*;

    #[test]
    fn lines_are_added_and_only_the_owner_can_read_them() {
        let path = std::env::temp_dir().join(format!("spice-relay-keys-{}", std::process::id()));
        fs::write(&path, "# a line\n").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let log = KeyLogFile::new(&path);
        log.log("CLIENT_RANDOM", &[0x0a, 0xff], &[1, 2, 3]);
        log.log("EXPORTER_SECRET", &[0], &[0x10]);
        assert_eq!(fs::read_to_string(&path).unwrap(), "# a line\nCLIENT_RANDOM 0aff 010203\nEXPORTER_SECRET 00 10\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::remove_file(&path).unwrap();
        assert_eq!(format!("{log:?}"), format!("KeyLogFile {{ path: {path:?}, .. }}"));
    }

    #[test]
    fn folder_that_is_missing_is_an_error_before_any_connection() {
        let log = KeyLogFile::new("/does/not/exist/keys");
        assert_eq!(log.open().unwrap_err().kind(), io::ErrorKind::NotFound);
        log.log("CLIENT_RANDOM", &[0], &[0]);
    }
}
