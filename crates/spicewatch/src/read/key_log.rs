//! A key log's file.

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

/// Reads the file, and says on stderr what is wrong with its content.
pub(super) fn read(path: &Path) -> io::Result<KeyLog> {
    let mut file = File::open(path)?;
    let (mut keys, mut buffer) = (KeyLog::new(), Zeroizing::new(vec![0; CHUNK]));
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => keys.push(&buffer[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
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
