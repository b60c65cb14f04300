//! Peers that are packages of the Python package index.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, PoisonError},
};

/// The folder with the programs of these packages (`NAME==VERSION`), in a virtual environment below `folder` that is made at the
/// first call. `None`: it could not be made, and the reason is on stderr.
///
/// # Panics
/// If it can't be made and `CI` is set: a build machine must not skip a test silently.
#[must_use]
pub fn python_packages(packages: &[&str], folder: &Path) -> Option<PathBuf> {
    // Tests of one program run side by side, and may want the same packages.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = folder.join(packages.join("-").replace("==", "-"));
    let programs = folder.join("bin");
    // Written last, so that an installation that was interrupted is repeated.
    let complete = folder.join("complete");
    let run = |command: &mut Command| command.stdin(Stdio::null()).status().is_ok_and(|status| status.success());
    let is_made = complete.exists()
        || (run(Command::new("python3").args(["-m", "venv"]).arg(&folder))
            && run(Command::new(programs.join("pip"))
                .args(["install", "--quiet", "--disable-pip-version-check"])
                .args(packages))
            && std::fs::write(&complete, "").is_ok());
    if is_made {
        return Some(programs);
    }
    let message = format!("can't install {packages:?} from the Python package index");
    assert!(std::env::var_os("CI").is_none_or(|value| value.is_empty()), "{message}");
    // Not `eprintln!`: the test harness would swallow it in a test that passes.
    let _ = writeln!(io::stderr(), "skipped: {message}");
    None
}
