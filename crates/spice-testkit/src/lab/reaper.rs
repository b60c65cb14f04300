//! Ends child processes and removes folders when this process dies: by Ctrl-C, by a panic that aborts, by SIGKILL.
//!
//! Values own what they started and end it when they are dropped, but a signal drops nothing. So a shell waits for the end of a
//! pipe whose other end only this process has, and then ends what is left.

use std::{
    io::Write,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
};

/// Keeps a list: `+X` puts a process id or a folder on it, `-X` takes it off.
const SCRIPT: &str = r#"
trap '' HUP INT QUIT TERM
left=
while read -r line; do
    case $line in
    +*) left="$left ${line#+}" ;;
    -*)
        kept=
        for one in $left; do [ "$one" = "${line#-}" ] || kept="$kept $one"; done
        left=$kept
        ;;
    esac
done
for one in $left; do case $one in /*) ;; *) kill -KILL "$one" ;; esac; done
for one in $left; do case $one in /*) rm -rf "$one" ;; esac; done
"#;

static REAPER: Mutex<Option<Child>> = Mutex::new(None);

/// Lets the shell kill this process if we die before [`release_process`].
pub(super) fn register_process(id: u32) {
    tell(&format!("+{id}\n"));
}

/// Tells the shell that the process has ended.
pub(super) fn release_process(id: u32) {
    tell(&format!("-{id}\n"));
}

/// Lets the shell remove this folder if we die before [`release_folder`].
pub(super) fn register_folder(path: &Path) {
    tell_of_folder('+', path);
}

/// Tells the shell that the folder is removed.
pub(super) fn release_folder(path: &Path) {
    tell_of_folder('-', path);
}

fn tell_of_folder(sign: char, path: &Path) {
    // The shell splits words at white space, so it can't remove a folder with a space in its path. Its owner still does.
    if let Some(path) = path.to_str().filter(|path| path.starts_with('/') && !path.contains(char::is_whitespace)) {
        tell(&format!("{sign}{path}\n"));
    }
}

/// Without a shell, values still end what they started.
fn tell(line: &str) {
    let mut reaper = REAPER.lock().unwrap_or_else(PoisonError::into_inner);
    if reaper.is_none() {
        let mut shell = Command::new("sh");
        shell.args(["-c", SCRIPT]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        *reaper = shell.spawn().ok();
    }
    if let Some(stdin) = reaper.as_mut().and_then(|shell| shell.stdin.as_mut()) {
        let _ = stdin.write_all(line.as_bytes());
    }
}
