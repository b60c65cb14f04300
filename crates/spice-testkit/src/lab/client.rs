//! A real client: spice-gtk, driven by a small script for the system's Python.

use std::{
    fs, io,
    process::{Command, ExitStatus, Stdio},
    time::Duration,
};

use super::process::{Process, Scratch};

/// How many channels a [`Client`] opens on a [`Vm`](super::Vm).
pub const CHANNELS: usize = 11;

/// How long a session stays at least, so that its channels have been set up. QEMU 7.2 crashed in about one of three runs when a
/// client left in the same millisecond in which its last channel was initialized. [`Client::leave`] waits for this long.
pub const MOMENT: Duration = Duration::from_millis(300);

/// The Python that Debian's python3-gi belongs to; another one in the PATH has no `gi`.
pub(super) const PYTHON: &str = "/usr/bin/python3";

/// A spice-gtk session that stays connected until it is told to leave.
#[derive(Debug)]
pub struct Client {
    process: Process,
    _scratch: Scratch,
}

impl Client {
    /// Connects. Arguments: `--host H`, `--port P`, `--tls-port P`, `--unix PATH`, `--user U`, `--password W`,
    /// `--ca FILE`, `--secure-channels LIST`, `--proxy URL`.
    pub fn start(args: &[&str]) -> io::Result<Self> {
        let scratch = Scratch::new()?;
        let script = scratch.join("spice_client.py");
        fs::write(&script, include_str!("spice_client.py"))?;
        let mut command = Command::new(PYTHON);
        command
            .arg(script)
            .args(["--moment", &MOMENT.as_secs_f64().to_string()])
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Ok(Self { process: Process::spawn(&mut command)?, _scratch: scratch })
    }

    /// Disconnects gracefully, [`MOMENT`] after its last channel has opened or failed, and waits for the end. The status is success
    /// if every channel that the server offered has opened.
    pub fn leave(mut self) -> io::Result<ExitStatus> {
        drop(self.process.child().stdin.take());
        self.process.wait()
    }

    /// Kills it as `kill -9` does: the kernel closes its sockets.
    pub fn kill(mut self) -> io::Result<()> {
        self.process.kill()
    }

    /// Waits until it gives up by itself.
    pub fn wait(mut self) -> io::Result<ExitStatus> {
        self.process.wait()
    }
}
