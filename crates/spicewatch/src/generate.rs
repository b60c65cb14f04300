//! `spicewatch completions` and `spicewatch man`: files that a package installs, made from the arguments themselves.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Command;
use clap_complete::Shell;

use crate::print_error;

/// Print the completions of a shell.
///
/// The shell then completes commands, flags and paths. For example, in bash:
///
///   spicewatch completions bash > /etc/bash_completion.d/spicewatch
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct CompletionsArgs {
    /// The shell.
    shell: Shell,
}

/// Write a man page for each command into a folder.
#[derive(clap::Args)]
pub(crate) struct ManArgs {
    /// The folder, which must exist. `man -l FOLDER/spicewatch-relay.1` shows a page of it.
    folder: PathBuf,
}

/// Prints completions.
pub(crate) fn completions(args: &CompletionsArgs, mut command: Command) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "spicewatch", &mut script);
    report(io::stdout().write_all(&script).map_err(|error| format!("can't write to stdout: {error}")))
}

/// Writes the man pages.
pub(crate) fn man(args: &ManArgs, mut command: Command) -> ExitCode {
    // So that each command knows its whole name.
    command.build();
    let commands = command.get_subcommands().filter(|command| !command.is_hide_set() && command.get_name() != "help");
    let pages = std::iter::once(&command).chain(commands);
    report(pages.into_iter().try_for_each(|command| write_page(&args.folder, command)))
}

fn write_page(folder: &Path, command: &Command) -> Result<(), String> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    let mut page = Vec::new();
    let source = concat!("spicewatch ", env!("CARGO_PKG_VERSION"));
    let man = clap_mangen::Man::new(command.clone().disable_help_subcommand(true)).source(source).manual("spicewatch");
    man.render(&mut page).map_err(|error| format!("{name}: {error}"))?;
    let path = folder.join(format!("{name}.1"));
    fs::write(&path, page).map_err(|error| format!("can't write {}: {error}", path.display()))
}

fn report(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print_error(format_args!("spicewatch: {error}"));
            ExitCode::FAILURE
        }
    }
}
