//! Runs other programs from the root of the workspace.

use std::{path::PathBuf, process::Command, time::Instant};

use anyhow::{Context, Result, ensure};

/// The root of the workspace.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The folder that cargo builds into.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Makes the root of the workspace the current folder.
pub fn enter_workspace() -> Result<()> {
    std::env::set_current_dir(root()).with_context(|| format!("can't enter {}", root().display()))
}

/// A command for the cargo that runs this program.
pub fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args);
    command
}

/// Prints a command, runs it, and prints how long it took. A failure of the command is an error.
pub fn run(command: &mut Command) -> Result<()> {
    let shown = show(command);
    eprintln!("+ {shown}");
    let start = Instant::now();
    let status = command.status().with_context(|| format!("can't run `{shown}`"))?;
    ensure!(status.success(), "`{shown}`: {status}");
    eprintln!("  {:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}

/// Formats a command like it would be typed in a shell.
pub fn show(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let environment = command.get_envs().filter_map(|(name, value)| {
        value.map(|value| format!("{}={}", name.to_string_lossy(), value.to_string_lossy()))
    });
    environment.chain(words.map(|word| word.to_string_lossy().into_owned())).collect::<Vec<_>>().join(" ")
}
