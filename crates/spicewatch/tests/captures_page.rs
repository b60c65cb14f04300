//! The commands of docs/CAPTURES.md run as they stand, and print what the page shows.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::{
    env, fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use spice_testkit::{
    captures,
    lab::{self, Peer},
};

/// The files of the page, and where they come from.
const FILES: [(&str, &str); 15] = [
    ("session.pcap", "ticket.pcap"),
    ("ring-5.pcapng", "field/11-ring-5.pcapng"),
    ("ring-6.pcapng", "field/11-ring-6.pcapng"),
    ("ring-7.pcapng", "field/11-ring-7.pcapng"),
    ("ring-8.pcapng", "field/11-ring-8.pcapng"),
    ("ring-9.pcapng", "field/11-ring-9.pcapng"),
    ("session.pcap.zst", "../../spicewatch/tests/packed/capture.pcap.zst"),
    ("session.pcap.xz", "../../spicewatch/tests/packed/capture.pcap.xz"),
    ("tls.pcap", "tls12-keylog.pcap"),
    ("keys.log", "tls12-keylog.keylog"),
    ("secrets.pcapng", "tls13-keylog.pcapng"),
    ("proxmox.pcap", "field/03-http-connect-proxmox-tls.pcap"),
    ("balanced.pcap", "field/05-proxy-header-v1.pcap"),
    ("vxlan.pcap", "field/08-vxlan-real.pcap"),
    ("asleep.pcap", "field/06-client-asleep.pcap"),
];

/// Each block of commands, with what the page shows of their output.
fn examples(page: &str) -> Vec<(String, String)> {
    let mut examples = Vec::new();
    let mut blocks = page.split("```").skip(1).step_by(2).peekable();
    while let Some(block) = blocks.next() {
        if let Some(commands) = block.strip_prefix("sh\n") {
            let shown = blocks.next().and_then(|block| block.strip_prefix("text\n"));
            examples.push((commands.to_owned(), shown.expect(commands).to_owned()));
        }
    }
    examples
}

fn shell(folder: &Path, command: &str) -> Command {
    let program = Path::new(env!("CARGO_BIN_EXE_spicewatch")).parent().unwrap().to_owned();
    let paths = env::split_paths(&env::var_os("PATH").unwrap()).collect::<Vec<PathBuf>>();
    let paths = env::join_paths(std::iter::once(program).chain(paths)).unwrap();
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).current_dir(folder).env("PATH", paths).stdin(Stdio::null());
    shell
}

/// The first line of a command that ends only when it is stopped.
fn first_line(folder: &Path, command: &str) -> String {
    // The shell is replaced, so that the signal reaches the program.
    let mut child = shell(folder, &format!("exec {command} 2>&1")).stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    stop(&mut child);
    output.read_to_string(&mut String::new()).unwrap();
    line
}

fn stop(child: &mut Child) {
    let id = child.id().to_string();
    assert!(Command::new("sh").args(["-c", "kill -TERM $0", &id]).status().unwrap().success());
    child.wait().unwrap();
}

/// Whether a line is shown: whole, or up to where the page leaves something out.
fn is_printed(shown: &str, printed: &str) -> bool {
    match shown.strip_suffix('…') {
        Some(start) => printed.lines().any(|line| line.starts_with(start.trim_end())),
        None => printed.lines().any(|line| line == shown),
    }
}

#[test]
fn commands_of_the_captures_page_print_what_it_shows() {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/CAPTURES.md")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (name, from) in FILES {
        fs::copy(captures::folder().join(from), folder.path().join(name)).unwrap();
    }
    let examples = examples(&page);
    assert_eq!(examples.len(), page.matches("```sh\n").count());
    for (commands, shown) in examples {
        let mut printed = String::new();
        for command in commands.lines() {
            if command.starts_with("spicewatch tap ") {
                if !lab::have(&[Peer::Tcpdump]) {
                    printed.push_str(&shown);
                    continue;
                }
                printed.push_str(&first_line(folder.path(), command));
            } else if command.contains("--follow") {
                printed.push_str(&first_line(folder.path(), command));
            } else {
                let output = shell(folder.path(), &format!("{command} 2>&1")).output().unwrap();
                let text = String::from_utf8(output.stdout).unwrap();
                assert!(output.status.success(), "{command}: {text}");
                // Each command of a block prints all lines of the summary that are shown.
                for shown in shown.lines().filter(|line| line.contains(" packets, ")) {
                    assert!(is_events_of(shown, &text), "{command}: {shown}\n{text}");
                }
                printed.push_str(&text);
            }
        }
        for line in shown.lines() {
            assert!(is_printed(line, &printed), "{commands}\nnot printed: {line}\n{printed}");
        }
    }
}

/// Whether a summary has as many connections as the one that is shown.
fn is_events_of(shown: &str, printed: &str) -> bool {
    let connections = |line: &str| line.split(", ").nth(1).map(str::to_owned);
    printed.lines().filter(|line| line.contains(" packets, ")).any(|line| connections(line) == connections(shown))
}
