//! Several files in one call: their packets in the order of their times, whatever the order of the arguments.
//!
//! Files of a ring buffer follow each other and may overlap. A packet that two files have is read twice; for TCP that is a retransmission.

use super::{Stop, input::Input, report::Report};
use spice_capture::{
    Capture, DualStack, Notice,
    file::{Enough, Packet, Reader, SecretsType, Sink, Statistics},
    link::LinkType,
};
use spice_events::Timestamp;
use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
};

/// The files of a call, by the time of their first packets.
pub(super) struct Merge {
    /// Not opened yet, the last one first.
    waiting: Vec<(Timestamp, PathBuf)>,
    open: Vec<Part>,
    /// Bytes that were read of all files.
    pub(super) bytes: u64,
    /// A file could not be read, or not to its end.
    pub(super) failed: bool,
}

/// A file that is being read.
struct Part {
    path: PathBuf,
    input: Input,
    reader: Reader,
    ahead: Ahead,
    done: bool,
    /// Why nothing more can be read. The packets before it are still handed on.
    error: Option<String>,
}

/// What was read of a file and not handed on.
#[derive(Default)]
struct Ahead {
    packets: VecDeque<Owned>,
    secrets: Vec<(SecretsType, Vec<u8>)>,
    statistics: Vec<Statistics>,
}

/// A packet that waits for its turn.
struct Owned {
    at: Timestamp,
    interface: u32,
    link: LinkType,
    data: Vec<u8>,
    wire_len: u32,
}

impl Sink for Ahead {
    fn packet(&mut self, packet: Packet<'_>) -> Enough {
        if !packet.is_whole() {
            return Enough::No;
        }
        let Packet { at, interface, link, data, wire_len, .. } = packet;
        self.packets.push_back(Owned { at, interface, link, data: data.to_vec(), wire_len });
        Enough::Yes
    }

    fn secrets(&mut self, kind: SecretsType, data: &[u8]) {
        self.secrets.push((kind, data.to_vec()));
    }

    fn statistics(&mut self, statistics: Statistics) {
        self.statistics.push(statistics);
    }
}

impl Merge {
    /// Looks for the first packet of each file. Files that can't be read are reported.
    pub(super) fn open(files: &[PathBuf], report: &mut Report) -> Self {
        let mut merge = Self { waiting: Vec::new(), open: Vec::new(), bytes: 0, failed: false };
        for path in files {
            match Part::open(path) {
                Ok(part) if path.as_os_str() == "-" => merge.open.push(part),
                Ok(mut part) => {
                    part.fill(report);
                    match part.ahead.packets.front() {
                        Some(first) => merge.waiting.push((first.at, path.clone())),
                        None => merge.close(part, report),
                    }
                }
                Err(error) => merge.fail(path, &error, report),
            }
        }
        // The sort is stable: of two files with one time, the first argument comes first.
        merge.waiting.reverse();
        merge.waiting.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        merge
    }

    /// Whether no file has a packet.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.open.is_empty()
    }

    /// Server ports that answer over both IPv4 and IPv6 in the first bytes of the files.
    pub(super) fn dual_stack_ports(&self, head: u64) -> Vec<u16> {
        let mut search = DualStack::new();
        for (_, path) in &self.waiting {
            if let Ok(mut input) = Input::open(path) {
                super::search_dual_stack(&mut search, &mut input, head);
                search.next_file();
            }
        }
        search.ports()
    }

    /// Reads all files.
    pub(super) fn read(&mut self, capture: &mut Capture, report: &mut Report) -> Result<(), Stop> {
        loop {
            self.open_due(capture, report);
            let Some(index) = self.next() else {
                if self.open.is_empty() && self.waiting.is_empty() {
                    return Ok(());
                }
                self.fill(capture, report)?;
                continue;
            };
            let part = &mut self.open[index];
            if let Some(packet) = part.ahead.packets.pop_front() {
                capture.packet(&packet.borrow());
            }
            if part.ahead.packets.is_empty() {
                report.drain(capture).map_err(Stop::Output)?;
                self.fill(capture, report)?;
            }
        }
    }

    /// Opens the files whose first packets are not later than the next one of those that are open.
    fn open_due(&mut self, capture: &mut Capture, report: &mut Report) {
        while let Some((at, path)) = self.waiting.pop() {
            let next = self.next().and_then(|index| self.open[index].ahead.packets.front()).map(|packet| packet.at);
            let is_due = match next {
                Some(next) => at <= next,
                None => self.open.is_empty(),
            };
            if !is_due {
                self.waiting.push((at, path));
                return;
            }
            match Part::open(&path) {
                Ok(mut part) => {
                    part.fill(report);
                    part.hand_on(capture);
                    self.open.push(part);
                }
                Err(error) => self.fail(&path, &error, report),
            }
        }
    }

    /// The open file with the earliest packet; none while one of them has to be read first.
    fn next(&self) -> Option<usize> {
        if self.open.iter().any(|part| part.ahead.packets.is_empty()) {
            return None;
        }
        (0..self.open.len()).min_by_key(|&index| self.open[index].ahead.packets.front().map(|packet| packet.at))
    }

    /// Reads on in each file of which nothing is left, and closes those that have ended.
    fn fill(&mut self, capture: &mut Capture, report: &mut Report) -> Result<(), Stop> {
        let mut index = 0;
        while index < self.open.len() {
            let part = &mut self.open[index];
            if !part.ahead.packets.is_empty() {
                index += 1;
                continue;
            }
            report.flush().map_err(Stop::Output)?;
            part.fill(report);
            part.hand_on(capture);
            if part.ahead.packets.is_empty() {
                let part = self.open.remove(index);
                self.close(part, report);
            } else {
                index += 1;
            }
        }
        Ok(())
    }

    /// Reports how a file ended.
    fn close(&mut self, part: Part, report: &mut Report) {
        let Part { path, input, reader, error, .. } = part;
        self.bytes += input.read();
        match error.map_or_else(|| reader.finish().map_err(|error| error.to_string()), Err) {
            Ok(None) => {}
            Ok(Some(cut)) => report.note(format_args!("{}: {}", path.display(), Notice::Cut(cut))),
            Err(error) => self.fail(&path, &error, report),
        }
    }

    fn fail(&mut self, path: &Path, error: &str, report: &mut Report) {
        self.failed = true;
        report.error(path, error);
    }
}

impl Part {
    fn open(path: &Path) -> Result<Self, String> {
        let input = Input::open(path).map_err(|error| error.to_string())?;
        Ok(Self {
            path: path.to_owned(),
            input,
            reader: Reader::new(),
            ahead: Ahead::default(),
            done: false,
            error: None,
        })
    }

    /// Reads until there is a packet, or the file ends or fails.
    fn fill(&mut self, report: &mut Report) {
        while self.ahead.packets.is_empty() && !self.done {
            report.clear_progress();
            let read = self.input.read_up_to(u64::MAX).map_err(|error| error.to_string()).and_then(|bytes| {
                self.done = bytes.is_empty();
                self.reader.push_to(bytes, &mut self.ahead).map_err(|error| error.to_string())
            });
            if let Err(error) = read {
                self.done = true;
                self.error = Some(error);
            }
        }
    }

    /// Secrets and statistics need not wait for their turn.
    fn hand_on(&mut self, capture: &mut Capture) {
        for (kind, data) in self.ahead.secrets.drain(..) {
            capture.secrets(kind, &data);
        }
        for statistics in self.ahead.statistics.drain(..) {
            capture.statistics(statistics);
        }
    }
}

impl Owned {
    fn borrow(&self) -> Packet<'_> {
        let Self { at, interface, link, ref data, wire_len } = *self;
        let captured = u32::try_from(data.len()).unwrap_or(u32::MAX);
        Packet { at, interface, link, data, captured, wire_len }
    }
}
