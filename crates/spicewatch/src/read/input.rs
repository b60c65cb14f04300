//! Where a capture comes from, and how little of it is read.
//!
//! Of a large packet after its link stage only the headers are needed. In a file the rest is skipped by reading on behind it:
//! bytes that are not read are not copied. One read takes many small packets. A compressed file is unpacked while it is read.

use super::unpack;
use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

/// Bytes in a read at most. Larger reads save no time, and copy more of a large packet's payload.
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
    /// Bytes that were read or skipped.
    read: u64,
    /// To open a compressed file again.
    path: PathBuf,
}

enum Source {
    /// A regular file, and the offset of what is read next.
    File { file: File, at: u64, size: u64 },
    /// A compressed file, and how much of its content was read.
    Packed { content: Box<dyn Read>, at: u64 },
    /// A pipe or a terminal.
    Stream(Box<dyn Read>),
}

impl Input {
    /// The file, or standard input for `-`.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let source = if path.as_os_str() == "-" { Source::stream(Box::new(io::stdin()))? } else { Source::open(path)? };
        Ok(Self { source, buffer: vec![0; CHUNK], next: CHUNK, read: 0, path: path.to_owned() })
    }

    /// How long the file was when it was opened; `None` of a stream and of a compressed file.
    pub(super) fn size(&self) -> Option<u64> {
        match self.source {
            Source::File { size, .. } => Some(size),
            Source::Packed { .. } | Source::Stream(_) => None,
        }
    }

    /// The offset in the file's content of what is read next; `None` of a stream.
    pub(super) fn position(&self) -> Option<u64> {
        match self.source {
            Source::File { at, .. } | Source::Packed { at, .. } => Some(at),
            Source::Stream(_) => None,
        }
    }

    /// How many bytes were read or skipped.
    pub(super) fn read(&self) -> u64 {
        self.read
    }

    /// Back to the start of a file.
    pub(super) fn rewind(&mut self) -> io::Result<()> {
        match &mut self.source {
            Source::File { at, .. } => *at = 0,
            Source::Packed { .. } => self.source = Source::open(&self.path)?,
            Source::Stream(_) => {}
        }
        self.read = 0;
        Ok(())
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
                Source::Packed { content, at } => content.read(&mut self.buffer[..len]).inspect(|&n| *at += n as u64),
                Source::Stream(stream) => stream.read(&mut self.buffer[..len]),
            };
            match result {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => {
                    let n = result?;
                    self.read += n as u64;
                    return Ok(&self.buffer[..n]);
                }
            }
        }
    }

    /// Moves on by up to `n` bytes without reading them, where that is worth a system call. Returns how many.
    pub(super) fn skip(&mut self, n: u64) -> u64 {
        match &mut self.source {
            Source::File { at, size, .. } if n >= WORTH_SKIPPING => {
                let n = n.min(size.saturating_sub(*at));
                *at += n;
                self.read += n;
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

impl Source {
    fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Self::stream(Box::new(file));
        }
        let mut start = [0; unpack::MAGIC];
        let n = file.read_at(&mut start, 0)?;
        if !unpack::is_packed(&start[..n]) {
            return Ok(Self::File { file, at: 0, size: metadata.len() });
        }
        Ok(Self::Packed { content: unpack::unpack(&start[..n], Box::new(file))?, at: 0 })
    }

    /// Reads the first bytes, and puts them back.
    fn stream(mut stream: Box<dyn Read>) -> io::Result<Self> {
        let mut start = Vec::with_capacity(unpack::MAGIC);
        stream.by_ref().take(unpack::MAGIC as u64).read_to_end(&mut start)?;
        let whole: Box<dyn Read> = Box::new(io::Cursor::new(start.clone()).chain(stream));
        Ok(Self::Stream(if unpack::is_packed(&start) { unpack::unpack(&start, whole)? } else { whole }))
    }
}
