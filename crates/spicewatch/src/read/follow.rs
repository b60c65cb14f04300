//! `--follow`: a file that still grows, or the folder of a ring buffer.

use super::{Stop, report::Report, unpack};
use nix::sys::signalfd::SignalFd;
use spice_capture::{Capture, Notice, file::Reader};
use std::{
    collections::{HashMap, HashSet},
    fs::{self, File, Metadata},
    io,
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

/// Bytes in a read.
const CHUNK: usize = 1 << 16;
/// How long to wait before looking for more.
const INTERVAL: Duration = Duration::from_millis(100);

/// Reads a file, or the files of a folder, and waits for more; returns only if something fails.
///
/// With `signals`, also when one of them comes.
pub(super) fn follow(
    path: &Path,
    capture: &mut Capture,
    report: &mut Report,
    signals: Option<&SignalFd>,
) -> Result<(), Stop> {
    let is_stopped = || signals.is_some_and(|signals| matches!(signals.read_signal(), Ok(Some(_))));
    let is_folder = fs::metadata(path).map_err(|error| Stop::Input(error.to_string()))?.is_dir();
    if !is_folder && is_packed(path) {
        return Err(Stop::Input(PACKED.to_owned()));
    }
    let mut ring = Ring { folder: path.to_owned(), read: HashMap::new(), packed: HashSet::new() };
    let mut next = if is_folder { ring.next(None) } else { Some(path.to_owned()) };
    let mut buffer = vec![0; CHUNK];
    loop {
        if is_folder {
            ring.report_packed(report);
        }
        let Some(path) = next.take() else {
            wait(capture, report)?;
            if is_stopped() {
                return Ok(());
            }
            next = ring.next(None);
            continue;
        };
        let mut tail = match Tail::open(&path) {
            Ok(tail) => tail,
            // A ring buffer deletes its oldest files.
            Err(error) if is_folder && error.kind() == io::ErrorKind::NotFound => {
                next = ring.next(None);
                continue;
            }
            Err(error) => return Err(Stop::Input(format!("{}: {error}", path.display()))),
        };
        next = loop {
            let more =
                tail.read(&mut buffer, capture).map_err(|error| Stop::Input(format!("{}: {error}", path.display())))?;
            report.drain(capture).map_err(Stop::Output)?;
            report.turn(capture);
            if is_stopped() {
                return Ok(());
            }
            if more {
                continue;
            }
            if tail.was_overwritten(&path) {
                break Some(path.clone());
            }
            if is_folder {
                ring.read.insert(path.clone(), tail.identity());
                if let Some(newer) = ring.next(Some(&path)) {
                    // What was written between the last read and the new file's beginning.
                    while tail.read(&mut buffer, capture).map_err(Stop::Input)? {}
                    break Some(newer);
                }
            }
            wait(capture, report)?;
        };
        if let Ok(Some(cut)) = tail.reader.finish() {
            report.note(format_args!("{}: {}", path.display(), Notice::Cut(cut)));
        }
        report.drain(capture).map_err(Stop::Output)?;
    }
}

/// Writes what is known, and waits.
fn wait(capture: &mut Capture, report: &mut Report) -> Result<(), Stop> {
    report.flush().map_err(Stop::Output)?;
    report.turn(capture);
    thread::sleep(INTERVAL);
    Ok(())
}

/// A capture program compresses a file when it has ended: there is nothing to wait for.
const PACKED: &str = "compressed files are not followed: read it without --follow, together with others if need be";

fn is_packed(path: &Path) -> bool {
    let mut start = [0; unpack::MAGIC];
    let read = File::open(path).and_then(|file| file.read_at(&mut start, 0));
    read.is_ok_and(|n| unpack::is_packed(&start[..n]))
}

/// A file that is read to its end, again and again.
struct Tail {
    file: File,
    reader: Reader,
    at: u64,
}

impl Tail {
    fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { file: File::open(path)?, reader: Reader::new(), at: 0 })
    }

    /// Reads on; whether there was anything.
    fn read(&mut self, buffer: &mut [u8], capture: &mut Capture) -> Result<bool, String> {
        let n = self.file.read_at(buffer, self.at).map_err(|error| error.to_string())?;
        self.at += n as u64;
        self.reader.push_to(&buffer[..n], capture).map_err(|error| error.to_string())?;
        Ok(n > 0)
    }

    /// Whether the path has another file now, or the same file begins anew: tcpdump's ring buffer uses its names again.
    fn was_overwritten(&self, path: &Path) -> bool {
        let (Ok(ours), Ok(now)) = (self.file.metadata(), fs::metadata(path)) else { return false };
        now.len() < self.at || (ours.dev(), ours.ino()) != (now.dev(), now.ino())
    }

    fn identity(&self) -> Seen {
        self.file
            .metadata()
            .map_or(Seen { inode: 0, at: self.at }, |metadata| Seen { inode: metadata.ino(), at: self.at })
    }
}

/// How far a file of the folder was read.
struct Seen {
    inode: u64,
    at: u64,
}

/// The files of a ring buffer.
struct Ring {
    folder: PathBuf,
    read: HashMap<PathBuf, Seen>,
    /// Compressed files that were reported.
    packed: HashSet<PathBuf>,
}

impl Ring {
    /// Reports compressed files, each once.
    fn report_packed(&mut self, report: &mut Report) {
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_file() && is_packed(&path) && self.packed.insert(path.clone()) {
                report.note(format_args!("{}: {PACKED}", path.display()));
            }
        }
    }

    /// The file that is to be read after `current`: of those that are newer and were not read, the oldest.
    fn next(&self, current: Option<&Path>) -> Option<PathBuf> {
        let age = |path: &Path, metadata: &Metadata| (metadata.mtime(), metadata.mtime_nsec(), path.to_owned());
        let since = current.and_then(|path| fs::metadata(path).ok().map(|metadata| age(path, &metadata)));
        let files = fs::read_dir(&self.folder).ok()?.flatten().filter_map(|entry| {
            let path = entry.path();
            let metadata = fs::metadata(&path).ok().filter(Metadata::is_file)?;
            let seen =
                self.read.get(&path).is_some_and(|seen| seen.inode == metadata.ino() && seen.at <= metadata.len());
            let is_newer = since.as_ref().is_none_or(|since| age(&path, &metadata) > *since);
            (!seen && is_newer && metadata.len() > 0 && !is_packed(&path)).then(|| age(&path, &metadata))
        });
        files.min().map(|(.., path)| path)
    }
}
