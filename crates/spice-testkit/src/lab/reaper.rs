//! What is done when this process dies, however it does: by Ctrl-C, by a panic that aborts, by SIGKILL.
//!
//! Values own what they started, and end it when they are dropped. A signal drops nothing. So a shell waits beside us for
//! the end of a pipe whose other end is ours alone, and then ends what is left.

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

/// To be killed, should we die before [`release_process`].
pub(super) fn register_process(id: u32) {
    tell(&format!("+{id}\n"));
}

/// It has ended.
pub(super) fn release_process(id: u32) {
    tell(&format!("-{id}\n"));
}

/// To be removed, should we die before [`release_folder`].
pub(super) fn register_folder(path: &Path) {
    tell_of_folder('+', path);
}

/// It is gone.
pub(super) fn release_folder(path: &Path) {
    tell_of_folder('-', path);
}

fn tell_of_folder(sign: char, path: &Path) {
    // The shell's words end at white space; such a folder is left to its owner alone.
    if let Some(path) = path.to_str().filter(|path| path.starts_with('/') && !path.contains(char::is_whitespace)) {
        tell(&format!("{sign}{path}\n"));
    }
}

/// Where there is no shell, values still end what they started.
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
