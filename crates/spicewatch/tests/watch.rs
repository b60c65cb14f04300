//! `spicewatch watch` in a real pseudo-terminal, with a real relay.

#![cfg(feature = "watch")]
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod relay_lab;

use std::{
    fs::File,
    io::{Read as _, Write as _},
    num::NonZero,
    os::fd::OwnedFd,
    path::Path,
    process::{Command, Output},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
    time::Instant,
};

use relay_lab::{PATIENCE, Relay};
use rustix::{
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};
use spice_testkit::{
    captures::PASSWORD,
    lab::{self, CHANNELS, Client, Peer, Process, Scratch, Vm},
};

/// `spicewatch watch` in a terminal of its own.
struct Screen {
    process: Process,
    keys: File,
    state: Arc<Mutex<State>>,
    reader: JoinHandle<()>,
}

struct State {
    parser: vt100::Parser,
    bytes: Vec<u8>,
}

impl Screen {
    fn start(control: &str, variables: &[(&str, &str)], size: (u16, u16)) -> Self {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&terminal).unwrap();
        unlockpt(&terminal).unwrap();
        let name = ptsname(&terminal, Vec::new()).unwrap();
        let inside = || File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        let keys = File::from(terminal);
        set_size(&keys, size);
        // With the terminal as its controlling one, the process gets SIGWINCH.
        let mut command = Command::new("setsid");
        command.args(["--ctty", env!("CARGO_BIN_EXE_spicewatch"), "watch", "--control", control]);
        command.env_remove("NO_COLOR").env("TERM", "xterm-256color").envs(variables.iter().copied());
        command.stdin(OwnedFd::from(inside())).stdout(OwnedFd::from(inside())).stderr(OwnedFd::from(inside()));
        let process = Process::spawn(&mut command).unwrap();
        drop(command);
        let state = State { parser: vt100::Parser::new(cells(size.1), cells(size.0), 0), bytes: Vec::new() };
        let state = Arc::new(Mutex::new(state));
        let (shared, mut output) = (Arc::clone(&state), keys.try_clone().unwrap());
        let reader = thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = output.read(&mut buffer) {
                let mut state = shared.lock().unwrap();
                state.parser.process(&buffer[..read]);
                state.bytes.extend_from_slice(&buffer[..read]);
            }
        });
        Self { process, keys, state, reader }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    fn resize(&self, size: (u16, u16)) {
        self.state.lock().unwrap().parser.screen_mut().set_size(cells(size.1), cells(size.0));
        set_size(&self.keys, size);
    }

    /// Waits until the screen shows what is wanted.
    #[track_caller]
    fn wait(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let text = self.state.lock().unwrap().parser.screen().contents();
            if wanted(&text) {
                return text;
            }
            assert!(Instant::now() < deadline, "no {what} on:\n{text}");
            thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    #[track_caller]
    fn wait_for(&self, part: &str) -> String {
        self.wait(part, |text| text.contains(part))
    }

    /// Waits for its end. Returns the exit code, and all that it has written.
    fn end(mut self) -> (Option<i32>, Vec<u8>) {
        let status = self.process.wait().unwrap();
        // Reading fails when no process has the terminal any more.
        self.reader.join().unwrap();
        let state = self.state.lock().unwrap();
        (status.code(), state.bytes.clone())
    }
}

fn cells(count: u16) -> NonZero<u16> {
    NonZero::new(count).unwrap()
}

fn set_size(terminal: &File, (columns, lines): (u16, u16)) {
    let size = Winsize { ws_row: lines, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(terminal, size).unwrap();
}

fn watch(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_spicewatch")).arg("watch").args(arguments).output().unwrap()
}

/// Whether the bytes set a colour (SGR 30 to 49 and 90 to 107).
fn has_colours(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let sequences = text.split("\x1b[").skip(1).filter_map(|rest| {
        let end = rest.find(|char: char| char.is_ascii_alphabetic())?;
        (rest.as_bytes()[end] == b'm').then(|| &rest[..end])
    });
    let is_colour = |code: &str| matches!(code.parse::<u8>(), Ok(30..=38 | 40..=48 | 90..=107));
    sequences.flat_map(|sequence| sequence.split(';')).any(is_colour)
}

fn relay(port: u16, control: &str) -> Relay {
    let upstream = format!("127.0.0.1:{port}");
    Relay::start(&["--listen", "127.0.0.1:0", "--upstream", &upstream, "--name", "desk", "--control", control])
}

#[test]
fn live_table_is_sorted_filtered_looked_into_resized_and_survives_a_restart_of_the_relay() {
    if !lab::have(&[Peer::Qemu, Peer::SpiceGtk]) || !Path::new("/usr/bin/setsid").exists() {
        return;
    }
    let (port, folder) = (lab::free_port().unwrap(), Scratch::new().unwrap());
    let control = folder.join("control.sock").to_str().unwrap().to_owned();
    let vm = Vm::boot(&format!("port={port},addr=127.0.0.1,password-secret=password")).unwrap();
    let mut first = relay(port, &control);
    let mut screen = Screen::start(&control, &[], (100, 30));
    screen.wait_for("no one is connected");
    let through = first.address().port().to_string();
    let client = Client::start(&["--port", &through, "--password", PASSWORD]).unwrap();
    vm.events().wait_for("SPICE_INITIALIZED", CHANNELS).unwrap();
    let text = screen.wait_for("desk");
    let line = text.lines().find(|line| line.starts_with("desk")).unwrap();
    assert!(line.contains("127.0.0.1") && text.contains("1 sessions on 1 VMs"), "{text}");

    screen.press("s");
    screen.wait_for("CLIENT▼");
    screen.press("r");
    screen.wait_for("CLIENT▲");
    screen.press("/other");
    screen.wait_for("no session passes the filter");
    screen.press("\x7f\x7f\x7f\x7f\x7fDES\r");
    screen.wait_for("only VM or client with: DES (0 hidden)");
    screen.press("\x1b");
    screen.wait("no filter", |text| !text.contains("only VM") && text.contains("desk"));
    screen.press("\r");
    let detail = screen.wait("all channels", |text| text.contains("connection-id") && text.contains("inputs"));
    assert!(detail.contains("main") && detail.contains("display"), "{detail}");
    screen.press("\x1b");
    screen.wait_for("CLIENT▲");
    screen.resize((70, 12));
    screen.wait("fewer columns", |text| text.contains("CLIENT▲") && !text.contains("CHANNELS"));
    screen.resize((120, 30));
    screen.wait_for("TX/s");

    screen.press("\r");
    screen.wait_for("connection-id");
    first.kill();
    screen.wait_for("not connected, trying again");
    let second = relay(port, &control);
    screen.wait_for(&format!("relay has restarted: process {}", second.id()));
    screen.wait_for("the session has ended");
    screen.press("\x1b");
    screen.wait_for("no one is connected");
    screen.press("q");
    let (code, bytes) = screen.end();
    assert_eq!(code, Some(0));
    assert!(has_colours(&bytes));
    let text = String::from_utf8_lossy(&bytes);
    // It leaves the alternate screen, and shows the cursor again.
    assert!(text.rfind("\x1b[?1049l") > text.rfind("\x1b[?1049h"), "{text:?}");
    assert!(text.rfind("\x1b[?25h") > text.rfind("\x1b[?25l"), "{text:?}");
    drop(client);
}

#[test]
fn colours_are_left_out_on_request_and_the_terminal_is_restored_at_a_signal() {
    if !Path::new("/usr/bin/setsid").exists() {
        return;
    }
    let folder = Scratch::new().unwrap();
    let control = folder.join("control.sock").to_str().unwrap().to_owned();
    let mut relay = relay(1, &control);
    let screen = Screen::start(&control, &[("NO_COLOR", "1")], (80, 10));
    screen.wait_for("no one is connected");
    relay.kill();
    screen.wait_for("not connected, trying again");
    relay_lab::signal(screen.process.id(), "-TERM");
    let (code, bytes) = screen.end();
    assert_eq!(code, Some(0));
    assert!(!has_colours(&bytes), "{:?}", String::from_utf8_lossy(&bytes));
    assert!(String::from_utf8_lossy(&bytes).contains("\x1b[?1049l"));
}

#[test]
fn without_a_terminal_it_prints_once_and_a_picture_is_svg() {
    let folder = Scratch::new().unwrap();
    let control = folder.join("control.sock").to_str().unwrap().to_owned();
    let absent = watch(&["--control", &control]);
    assert_eq!(absent.status.code(), Some(2));
    assert!(String::from_utf8(absent.stderr).unwrap().starts_with("spicewatch watch: "));
    let _relay = relay(1, &control);
    let plain = watch(&["--control", &control]);
    assert_eq!((plain.status.code(), plain.stdout.as_slice()), (Some(0), &b"no one is connected\n"[..]));
    let picture = String::from_utf8(watch(&["--control", &control, "--svg", "--width", "60"]).stdout).unwrap();
    assert!(picture.starts_with("<svg xmlns=") && picture.ends_with("</svg>\n"), "{picture}");
    assert!(picture.replace('\u{a0}', " ").contains("no one is connected"), "{picture}");
}
