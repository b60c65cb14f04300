//! One process: its input, its time limit, and what it says on stderr.

use std::{io, process::ExitStatus, process::Stdio, time::Duration};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::{Child, ChildStderr, Command},
    sync::watch,
    time::{sleep, timeout},
};

use super::HookCommand;

/// How long a process may take to end after SIGTERM. Then its group gets SIGKILL.
pub(super) const GRACE: Duration = Duration::from_secs(2);

/// Bytes of stderr that the log may show.
const KEPT_STDERR: usize = 512;

/// Bytes of stderr after which it is closed.
const MAX_STDERR: usize = 64 << 10;

/// How a process ended.
#[derive(Debug)]
pub(super) enum Outcome {
    /// By itself, with the beginning of its stderr.
    Ended(ExitStatus, String),
    /// It ran too long, or the command ends: it was ended.
    TimedOut,
    /// It could not be started.
    NotStarted(io::Error),
}

/// Runs a program to its end, to its limit, or until it is cancelled.
pub(super) async fn run(
    command: &HookCommand,
    environment: Vec<(&'static str, String)>,
    input: Vec<u8>,
    limit: Duration,
    mut cancelled: watch::Receiver<bool>,
) -> Outcome {
    let Some((program, arguments)) = command.parts() else {
        return Outcome::NotStarted(io::ErrorKind::NotFound.into());
    };
    let spawned = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(environment)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        // Of its own, so that it can be ended as a whole, and does not get the terminal's SIGINT.
        .process_group(0)
        .kill_on_drop(true)
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => return Outcome::NotStarted(error),
    };
    let group = child.id();
    let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
    let feeding = async {
        if let Some(mut stdin) = stdin {
            // A program need not read it.
            let _ = stdin.write_all(&input).await;
        }
    };
    let mut said = Vec::new();
    let reading = read(stderr, &mut said);
    let ended = {
        let waiting = wait_and_serve(&mut child, feeding, reading);
        tokio::select! {
            ended = timeout(limit, waiting) => ended.ok(),
            _ = cancelled.wait_for(|is_cancelled| *is_cancelled) => None,
        }
    };
    match ended {
        Some(Ok(status)) => Outcome::Ended(status, first_line(&said)),
        Some(Err(error)) => Outcome::NotStarted(error),
        None => {
            signal_group(group, Signal::SIGTERM);
            let _ = timeout(GRACE, child.wait()).await;
            signal_group(group, Signal::SIGKILL);
            let _ = child.wait().await;
            Outcome::TimedOut
        }
    }
}

/// Waits for the end of the process, and serves its pipes until then. A child of it may keep them open.
async fn wait_and_serve(
    child: &mut Child,
    feeding: impl Future<Output = ()>,
    reading: impl Future<Output = ()>,
) -> io::Result<ExitStatus> {
    let pipes = async { tokio::join!(feeding, reading) };
    tokio::pin!(pipes);
    tokio::select! {
        status = child.wait() => {
            // What it wrote is in the pipe.
            let _ = timeout(Duration::from_millis(100), &mut pipes).await;
            status
        }
        _ = &mut pipes => child.wait().await,
    }
}

/// Reads stderr, keeps its beginning, and closes it when there is too much.
async fn read(stderr: Option<ChildStderr>, kept: &mut Vec<u8>) {
    let Some(mut stderr) = stderr else { return };
    let (mut all, mut buffer) = (0, [0; 4096]);
    while let Ok(read @ 1..) = stderr.read(&mut buffer).await {
        let room = KEPT_STDERR.saturating_sub(kept.len()).min(read);
        kept.extend_from_slice(&buffer[..room]);
        all += read;
        if all > MAX_STDERR {
            return;
        }
        if all > KEPT_STDERR {
            // A program that floods its stderr waits for us, and not the other way round.
            sleep(Duration::from_millis(1)).await;
        }
    }
}

fn first_line(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    text.lines().next().unwrap_or_default().escape_debug().to_string()
}

/// Signals the process's whole group. Its number is not used for another one as long as the process was not waited for, or a process of
/// the group lives.
fn signal_group(id: Option<u32>, signal: Signal) {
    if let Some(id) = id.and_then(|id| i32::try_from(id).ok()) {
        let _ = killpg(Pid::from_raw(id), signal);
    }
}
