//! Completions in real shells, and man pages in man.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_spicewatch");

/// What the program prints. It must succeed, and print nothing to stderr.
#[track_caller]
fn output(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.is_empty(), "{command:?}: {}\n{stderr}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// Whether the program is installed. If not, it says so, and panics where `CI` is set.
fn have(program: &str) -> bool {
    if Command::new(program).arg("--version").stdin(Stdio::null()).output().is_ok() {
        return true;
    }
    let message = format!("no {program} here; as root: apt-get install -y --no-install-recommends fish man-db zsh");
    assert!(std::env::var_os("CI").is_none_or(|value| value.is_empty()), "{message}");
    // Not `eprintln!`: the test harness would swallow it in a test that passes.
    let _ = writeln!(std::io::stderr(), "skipped: {message}");
    false
}

fn completions(shell: &str, folder: &Path, name: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, output(Command::new(PROGRAM).args(["completions", shell]))).unwrap();
    path.display().to_string()
}

#[test]
fn bash_completes_commands_and_flags() {
    let folder = tempfile::tempdir().unwrap();
    let script = completions("bash", folder.path(), "spicewatch.bash");
    let complete = |words: &[&str]| {
        let last = words.last().unwrap();
        let code = format!(
            "source {script}; COMP_WORDS=({}); COMP_CWORD={}; _spicewatch spicewatch '{last}' ''; echo ${{COMPREPLY[@]}}",
            words.join(" "),
            words.len() - 1
        );
        output(Command::new("bash").args(["--norc", "-c", &code])).trim().to_owned()
    };
    assert_eq!(complete(&["spicewatch", "rel"]), "relay reload");
    assert_eq!(complete(&["spicewatch", "relay", "--upstream-t"]), "--upstream-tls");
}

#[test]
fn fish_completes_commands_and_flags() {
    if !have("fish") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let script = completions("fish", folder.path(), "spicewatch.fish");
    let complete = |line: &str| {
        let code = format!("source {script}; complete -C '{line}'");
        let output = output(Command::new("fish").args(["--no-config", "-c", &code]).env("HOME", folder.path()));
        let words = output.lines().filter_map(|line| Some(line.split('\t').next()?.to_owned()));
        words.collect::<Vec<_>>()
    };
    assert_eq!(complete("spicewatch rel"), ["relay", "reload"]);
    assert_eq!(complete("spicewatch relay --upstream-t"), ["--upstream-tls"]);
}

#[test]
fn zsh_knows_the_completions() {
    if !have("zsh") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    completions("zsh", folder.path(), "_spicewatch");
    let code = "fpath=($1 $fpath); autoload -U compinit; compinit -u -D; print ${_comps[spicewatch]}; autoload +X _spicewatch && print loaded";
    let mut zsh = Command::new("zsh");
    zsh.args(["-f", "-c", code, "zsh"]).arg(folder.path()).env("HOME", folder.path());
    assert_eq!(output(&mut zsh), "_spicewatch\nloaded\n");
}

#[test]
fn man_shows_a_page_for_each_command_without_a_warning() {
    if !have("man") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(output(Command::new(PROGRAM).arg("man").arg(folder.path())), "");
    let help = output(Command::new(PROGRAM).arg("--help"));
    let commands = help.split_once("Commands:").unwrap().1.split_once("Options:").unwrap().0;
    let names = commands.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names: Vec<_> =
        names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").collect();
    assert!(names.contains(&"relay") && names.contains(&"who"), "{names:?}");
    for name in &names {
        let page = folder.path().join(format!("spicewatch-{name}.1"));
        let text =
            output(Command::new("man").args(["--warnings", "-E", "UTF-8", "-l"]).arg(page).env("MANWIDTH", "100"));
        assert!(text.contains(&format!("spicewatch {name}")) || text.contains(&format!("spicewatch-{name}")), "{text}");
        assert!(text.contains("OPTIONS"), "{text}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), names.len() + 1);
}

#[test]
fn folder_that_is_missing_is_one_line_with_its_name() {
    let output = Command::new(PROGRAM).args(["man", "/nowhere"]).stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said, "spicewatch: can't write /nowhere/spicewatch.1: No such file or directory (os error 2)\n");
}
