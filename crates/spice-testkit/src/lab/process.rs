//! A child process and a folder that end with their values.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{self, Child, Command, ExitStatus},
    sync::atomic::{AtomicU32, Ordering},
    time::Instant,
};

use super::{PATIENCE, reaper};

/// A new folder in the system's temporary one, removed on drop.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes the folder.
    pub fn new() -> io::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        loop {
            let n = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = std::env::temp_dir().join(format!("spice-lab-{}-{n}", process::id()));
            match fs::create_dir(&path) {
                Ok(()) => {
                    reaper::register_folder(&path);
                    return Ok(Self(path));
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A path inside it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
        reaper::release_folder(&self.0);
    }
}

/// A child process, killed on drop, and also when we ourselves are killed.
#[derive(Debug)]
pub struct Process(Child);

impl Process {
    /// Starts it.
    pub fn spawn(command: &mut Command) -> io::Result<Self> {
        let program = command.get_program().to_string_lossy().into_owned();
        let child =
            command.spawn().map_err(|error| io::Error::new(error.kind(), format!("can't run {program}: {error}")))?;
        reaper::register_process(child.id());
        Ok(Self(child))
    }

    /// For its pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.0
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// `Some` once it has ended.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.0.try_wait()
    }

    /// SIGKILL, and its end awaited.
    pub fn kill(&mut self) -> io::Result<()> {
        self.0.kill()?;
        self.0.wait().map(drop)
    }

    /// SIGINT, and its end awaited.
    pub fn interrupt(&mut self) -> io::Result<ExitStatus> {
        let id = self.id().to_string();
        Command::new("sh").args(["-c", "kill -INT \"$0\"", &id]).status()?;
        self.wait()
    }

    /// Waits until it ends by itself.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        eventually("the process did not end", || self.ended())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.kill();
        reaper::release_process(self.id());
    }
}

/// Runs a program to its end and returns its stdout. If it fails, the error has its stderr.
pub(super) fn output(command: &mut Command) -> io::Result<Vec<u8>> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output =
        command.output().map_err(|error| io::Error::new(error.kind(), format!("can't run {program}: {error}")))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("{program}: {}: {}", output.status, said.trim_end())))
}

/// Asks every few milliseconds until there is an answer, for at most [`PATIENCE`].
pub(super) fn eventually<T>(otherwise: &str, mut ask: impl FnMut() -> io::Result<Option<T>>) -> io::Result<T> {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        if start.elapsed() > PATIENCE {
            return Err(io::Error::new(io::ErrorKind::TimedOut, format!("{otherwise} within {PATIENCE:?}")));
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}
