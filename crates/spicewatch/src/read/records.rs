//! The session records of a capture.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use super::OutputError;
use spice_capture::{Ended, Output, tcp::Volume};
use spice_events::Timestamp;
use spice_sessions::{Config, Ending, Input, Sessions, Source, Traffic, VmId};

/// Makes session records of what a capture shows.
pub(super) struct Records {
    sessions: Sessions,
    /// The time of what was seen last.
    now: Timestamp,
    /// Where they go; to standard output otherwise.
    file: Option<(PathBuf, BufWriter<File>)>,
}

impl Records {
    /// Records for standard output, or for a file, which is created anew.
    pub(super) fn new(path: Option<&Path>) -> io::Result<Self> {
        let create = |path: &Path| Ok::<_, io::Error>((path.to_owned(), BufWriter::new(File::create(path)?)));
        let file = path.map(create).transpose()?;
        // Without random bytes: to read a capture again gives the same ids.
        let sessions = Sessions::new(Config::new(Source::Read, [0; 16]));
        Ok(Self { sessions, now: Timestamp { seconds: 0, microseconds: 0 }, file })
    }

    /// Whether they go to standard output, in place of the events.
    pub(super) fn replace_events(&self) -> bool {
        self.file.is_none()
    }

    /// Takes what the capture shows, and writes the records that follow.
    pub(super) fn take(&mut self, output: &Output, stdout: &mut Vec<u8>) -> Result<(), OutputError> {
        match output {
            Output::Event(event) => self.handle(event.at, Input::Event(event)),
            Output::Anomaly(anomaly) => self.handle(anomaly.at, Input::Anomaly(anomaly)),
            Output::Unreadable(flow) => self.handle(self.now, Input::Unreadable { flow: *flow }),
            Output::Forgotten(flow) => self.handle(self.now, Input::Forgotten { flow: *flow }),
            Output::Ended(Ended { flow, at, by, volume, missed, .. }) => {
                let Volume { from_client, from_server, last_from_client, was_reset, .. } = *volume;
                let traffic =
                    Traffic { to_server: from_client, to_client: from_server, last_from_client, missed: *missed };
                self.handle(*at, Input::Traffic { flow: *flow, traffic });
                self.handle(*at, Input::Ending { flow: *flow, ending: Ending::closed(*by, was_reset) });
            }
            _ => {}
        }
        self.write(stdout)
    }

    /// Takes the end of the capture. Sessions that are live then have no further record.
    pub(super) fn finish(&mut self, stdout: &mut Vec<u8>) -> Result<(), OutputError> {
        self.sessions.flush();
        self.write(stdout)
    }

    /// Writes what is held for the file.
    pub(super) fn flush(&mut self) -> Result<(), OutputError> {
        let Some((path, file)) = &mut self.file else { return Ok(()) };
        file.flush().map_err(|error| OutputError { file: Some(path.clone()), error })
    }

    fn handle(&mut self, at: Timestamp, input: Input<'_>) {
        self.now = at;
        self.sessions.handle(at, VmId::default(), input);
    }

    fn write(&mut self, stdout: &mut Vec<u8>) -> Result<(), OutputError> {
        while let Some(record) = self.sessions.poll() {
            let start = stdout.len();
            serde_json::to_writer(&mut *stdout, &record).map_err(io::Error::from)?;
            stdout.push(b'\n');
            if let Some((path, file)) = &mut self.file {
                let line = stdout.split_off(start);
                file.write_all(&line).map_err(|error| OutputError { file: Some(path.clone()), error })?;
            }
        }
        Ok(())
    }
}
