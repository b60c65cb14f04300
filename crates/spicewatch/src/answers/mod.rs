//! Commands that answer questions: who is connected now, and who was.

mod drain;
#[cfg(feature = "history")]
mod last;
#[cfg(feature = "history")]
mod parse_time;
mod reload;
mod session;
mod status;
#[cfg(feature = "history")]
mod svg;
mod table;
mod text;
pub(crate) mod time;
#[cfg(feature = "watch")]
mod watch;
mod who;

use std::{path::PathBuf, process::ExitCode};

pub(crate) use drain::{Args as DrainArgs, run as drain};
#[cfg(feature = "history")]
pub(crate) use last::{Args as LastArgs, run as last};
#[cfg(all(feature = "history", feature = "http"))]
pub(crate) use parse_time::parse_time;
pub(crate) use reload::{Args as ReloadArgs, run as reload};
pub(crate) use session::{EndArgs, ShowArgs, end, show};
pub(crate) use status::{Args as StatusArgs, run as status};
pub(crate) use text::escaped;
#[cfg(feature = "watch")]
pub(crate) use watch::{Args as WatchArgs, run as watch};
pub(crate) use who::{Args as WhoArgs, run as who};

use crate::{control, print_error, write_stdout};

// Where to ask. A doc comment would replace the command's own help.
#[derive(clap::Args)]
struct Relay {
    /// The control socket of the relay
    #[arg(long, value_name = "PATH", default_value = control::DEFAULT_PATH)]
    control: PathBuf,
}

/// Prints the whole answer.
fn print(command: &str, answer: &str) -> ExitCode {
    match write_stdout(answer) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(command, &format!("standard output: {error}")),
    }
}

/// Reports why there is no answer.
fn failed(command: &str, message: &str) -> ExitCode {
    print_error(format_args!("spicewatch {command}: {}", text::shown(message)));
    ExitCode::from(2)
}
