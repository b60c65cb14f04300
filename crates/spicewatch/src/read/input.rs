//! Where a capture comes from, and how little of it is read.
//!
//! Of a large packet past its link stage only the headers are needed. In a file the rest is left out, by reading on behind it:
//! what is not read is not copied. Small packets come many in a read.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt,
    path::Path,
};

/// Bytes in a read at most. Larger ones make no fewer system calls that count, and copy more of a large packet's payload.
const CHUNK: usize = 1 << 15;
/// Bytes in the first read after a skip: enough for the headers of the next large packet, if one follows at once.
const FIRST_CHUNK: usize = 1 << 10;
/// A shorter run of unneeded bytes is read with the rest: copying it takes less time than a system call.
const WORTH_SKIPPING: u64 = 1 << 12;

/// A capture being read.
pub(super) struct Input {
    source: Source,
    buffer: Vec<u8>,
    /// Bytes in the next read.
    next: usize,
}

enum Source {
    /// A regular file, and the offset of what is read next.
    File { file: File, at: u64, size: u64 },
    /// A pipe or a terminal.
    Stream(Box<dyn Read>),
}

impl Input {
    /// The file, or standard input for `-`.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let source = if path.as_os_str() == "-" {
            Source::Stream(Box::new(io::stdin()))
        } else {
            let file = File::open(path)?;
            let metadata = file.metadata()?;
            if metadata.is_file() {
                Source::File { file, at: 0, size: metadata.len() }
            } else {
                Source::Stream(Box::new(file))
            }
        };
        Ok(Self { source, buffer: vec![0; CHUNK], next: CHUNK })
    }

    /// How long the file was when it was opened; `None` of a stream.
    pub(super) fn size(&self) -> Option<u64> {
        match self.source {
            Source::File { size, .. } => Some(size),
            Source::Stream(_) => None,
        }
    }

    /// The offset in the file of what is read next; `None` of a stream.
    pub(super) fn position(&self) -> Option<u64> {
        match self.source {
            Source::File { at, .. } => Some(at),
            Source::Stream(_) => None,
        }
    }

    /// Back to the start of a file.
    pub(super) fn rewind(&mut self) {
        if let Source::File { at, .. } = &mut self.source {
            *at = 0;
        }
    }

    /// The next bytes, `most` of them at most; none at the end.
    pub(super) fn read_up_to(&mut self, most: u64) -> io::Result<&[u8]> {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let len = self.next.min(most);
        self.next = self.buffer.len();
        loop {
            let result = match &mut self.source {
                Source::File { file, at, .. } => {
                    file.read_at(&mut self.buffer[..len], *at).inspect(|&n| *at += n as u64)
                }
                Source::Stream(stream) => stream.read(&mut self.buffer[..len]),
            };
            match result {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result.map(|n| &self.buffer[..n]),
            }
        }
    }

    /// Moves on by up to `n` bytes without reading them, where that is worth a system call. Returns how many.
    pub(super) fn skip(&mut self, n: u64) -> u64 {
        match &mut self.source {
            Source::File { at, size, .. } if n >= WORTH_SKIPPING => {
                let n = n.min(size.saturating_sub(*at));
                *at += n;
                // Another large packet is likely to follow.
                if n > 0 {
                    self.next = FIRST_CHUNK;
                }
                n
            }
            _ => 0,
        }
    }
}
