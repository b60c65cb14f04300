//! A key log's file, which may grow while it is read.

use crate::print_error;
use spice_capture::tls::KeyLog;
use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};
use zeroize::Zeroizing;

/// Bytes in a read.
const CHUNK: usize = 1 << 16;

/// An open key log.
pub(crate) struct KeyLogFile {
    file: File,
    buffer: Zeroizing<Vec<u8>>,
}

impl KeyLogFile {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { file: File::open(path)?, buffer: Zeroizing::new(vec![0; CHUNK]) })
    }

    /// Hands over what has been written since the last call.
    pub(crate) fn read(&mut self, mut bytes: impl FnMut(&[u8])) -> io::Result<()> {
        loop {
            match self.file.read(&mut self.buffer) {
                Ok(0) => return Ok(()),
                Ok(n) => bytes(&self.buffer[..n]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Reads a whole file, and says on stderr what is wrong with its content.
pub(super) fn read(path: &Path) -> io::Result<KeyLog> {
    let mut keys = KeyLog::new();
    KeyLogFile::open(path)?.read(|bytes| keys.push(bytes))?;
    keys.end_line();
    let name = path.display();
    if keys.bad_lines() > 0 {
        print_error(format_args!("spicewatch: {name}: {} lines are not of a key log", keys.bad_lines()));
    }
    if keys.dropped() > 0 {
        print_error(format_args!("spicewatch: {name}: {} lines of too many connections were left out", keys.dropped()));
    }
    if keys.is_empty() {
        print_error(format_args!("spicewatch: {name}: no secrets of TLS connections are in it"));
    }
    Ok(keys)
}
