#![doc = include_str!("../README.md")]

mod answers;
mod conformance;
mod control;
mod follow;
mod generate;
#[cfg(feature = "history")]
mod history;
mod hooks;
#[cfg(feature = "http")]
mod http;
mod hunt;
mod outputs;
mod password;
mod probe;
mod read;
mod relay;
mod server_args;
mod signals;
mod tap;

use clap::{CommandFactory as _, Parser, error::ErrorKind};
use std::{
    fmt::Display,
    io::{self, Write},
    process::ExitCode,
};

/// Who is connected to which virtual machine, and when.
///
/// SPICE is the remote desktop protocol of QEMU's virtual machines. QEMU reports each SPICE connection to its management software, with the events
/// SPICE_CONNECTED, SPICE_INITIALIZED and SPICE_DISCONNECTED. spicewatch makes the same events from the outside, without asking QEMU.
#[derive(Parser)]
#[command(name = "spicewatch", version, max_term_width = 100)]
enum Command {
    Read(read::Args),
    Tap(tap::Args),
    Relay(Box<relay::Args>),
    Follow(Box<follow::Args>),
    Who(answers::WhoArgs),
    #[cfg(feature = "watch")]
    Watch(answers::WatchArgs),
    #[cfg(feature = "history")]
    Last(answers::LastArgs),
    Status(answers::StatusArgs),
    Show(answers::ShowArgs),
    End(answers::EndArgs),
    Reload(answers::ReloadArgs),
    Drain(answers::DrainArgs),
    Conformance(conformance::Args),
    Hunt(hunt::Args),
    Probe(probe::Args),
    Completions(generate::CompletionsArgs),
    Man(generate::ManArgs),
}

fn main() -> ExitCode {
    let command = match Command::try_parse() {
        Ok(command) => command,
        Err(error) => return report_usage_error(&error),
    };
    match command {
        Command::Read(args) => read::run(args),
        Command::Tap(args) => tap::run(args),
        Command::Relay(args) => relay::run(*args),
        Command::Follow(args) => follow::run(&args),
        Command::Who(args) => answers::who(args),
        #[cfg(feature = "watch")]
        Command::Watch(args) => answers::watch(&args),
        #[cfg(feature = "history")]
        Command::Last(args) => answers::last(&args),
        Command::Status(args) => answers::status(&args),
        Command::Show(args) => answers::show(args),
        Command::End(args) => answers::end(args),
        Command::Reload(args) => answers::reload(&args),
        Command::Drain(args) => answers::drain(args),
        Command::Conformance(args) => conformance::run(&args),
        Command::Hunt(args) => hunt::run(&args),
        Command::Probe(args) => probe::run(&args),
        Command::Completions(args) => generate::completions(&args, Command::command()),
        Command::Man(args) => generate::man(&args, Command::command()),
    }
}

/// Reports an invalid value in one line, without usage. Other errors are reported with usage.
fn report_usage_error(error: &clap::Error) -> ExitCode {
    if matches!(error.kind(), ErrorKind::ValueValidation | ErrorKind::InvalidValue | ErrorKind::ArgumentConflict) {
        let message = error.to_string();
        let what = message.lines().take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"));
        let words: Vec<_> = what.flat_map(str::split_whitespace).collect();
        print_error(format_args!("spicewatch: {}", words.join(" ").trim_start_matches("error: ")));
        return ExitCode::from(2);
    }
    error.exit()
}

/// Writes a whole text to stdout.
fn write_stdout(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// Writes a line to stderr. If that fails, the exit code is the only report.
fn print_error(line: impl Display) {
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}
