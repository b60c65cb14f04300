//! Clients that people have: the `qemu.qmp` library and its `qmp-shell`, and the package `qmp`. They negotiate, run commands and
//! receive events.
//!
//! They come from the Python package index into a virtual environment under the target folder, once. Without Python or
//! network the tests say that they were skipped; with `CI` set that is a failure.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "table/qemu.rs"]
mod qemu;
mod table;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Output, Stdio};
use std::sync::{Arc, OnceLock};

use qmp_server::schema::{Struct, Type};
use qmp_server::{Command, Dialer, Listener, Object, Server, Service, Value, Version};
use tempfile::TempDir;
use tokio::runtime::Runtime;

const PACKAGES: [&str; 2] = ["qemu.qmp==0.0.6", "qmp==1.1.0"];

/// Commands whose events must come before their replies.
const COMMANDS: &str = "3000";

/// A server that runs on a thread of its own while a client process is waited for.
struct Lab {
    runtime: Runtime,
    server: Server,
    folder: TempDir,
}

impl Lab {
    fn new() -> Self {
        let server: Arc<OnceLock<Server>> = Arc::default();
        let emit = {
            let server = Arc::clone(&server);
            Command::new("emit", move |arguments| {
                for i in 0..arguments.get("number").and_then(Value::as_i64).unwrap_or_default() {
                    server.get().unwrap().publish(event(i).as_bytes());
                }
                Ok(())
            })
            .takes(Struct::new().required("number", Type::Int))
        };
        let later = Command::later("later", |_, responder| {
            std::thread::spawn(move || responder.answer(Ok(Object::new().with("late", true).into())));
        });
        let publishing = |name: &'static str, event: &'static str| {
            let server = Arc::clone(&server);
            Command::new(name, move |_| {
                server.get().unwrap().publish(event.as_bytes());
                Ok(())
            })
        };
        let service = Service::builder(Version::new(7, 2, 22, "a test"))
            .command(emit)
            .command(publishing("stop", "{\"event\": \"STOP\"}"))
            .command(publishing("cont", "{\"event\": \"RESUME\"}"))
            .command(later)
            .command(Command::new("echo", |arguments| Ok(arguments.clone())).takes_anything())
            .event("SPICE_CONNECTED", Struct::new())
            .build();
        let (runtime, folder) = (Runtime::new().unwrap(), tempfile::tempdir().unwrap());
        let server = server.get_or_init(|| Server::new(service)).clone();
        {
            let _context = runtime.enter();
            server.listen(Listener::unix(folder.path().join("qmp")).unwrap());
        }
        Self { runtime, server, folder }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("qmp")
    }
}

fn event(i: i64) -> String {
    format!(
        r#"{{"timestamp": {{"seconds": 1795370794, "microseconds": {i}}}, "event": "SPICE_CONNECTED", "data": {{"server": {{"port": "32777", "family": "ipv4", "host": "127.0.0.1"}}, "client": {{"port": "58500", "family": "ipv4", "host": "127.0.0.1"}}}}}}"#
    )
}

/// The programs of the virtual environment.
fn programs() -> Option<PathBuf> {
    static PROGRAMS: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let programs = PROGRAMS.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(PACKAGES.join("-").replace("==", "-"));
        let programs = folder.join("bin");
        if !programs.join("qmp-shell").exists() {
            run("python3", &[OsStr::new("-m"), OsStr::new("venv"), folder.as_os_str()])?;
            let install = ["install", "--quiet", "--disable-pip-version-check", PACKAGES[0], PACKAGES[1]];
            run(programs.join("pip"), &install.map(OsStr::new))?;
        }
        Ok(programs)
    });
    match programs {
        Ok(programs) => Some(programs.clone()),
        Err(error) if std::env::var_os("CI").is_some() => panic!("{error}"),
        Err(error) => {
            eprintln!("skipped: {error}");
            None
        }
    }
}

fn run(program: impl AsRef<OsStr>, arguments: &[&OsStr]) -> Result<Output, String> {
    let name = program.as_ref().display().to_string();
    let output = Process::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{name}: {error}"))?;
    if output.status.success() {
        Ok(output)
    } else {
        Err(format!("{name}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr)))
    }
}

#[test]
fn qemu_qmp() {
    let Some(programs) = programs() else { return };
    let lab = Lab::new();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/qemu_qmp.py");
    let output = run(programs.join("python3"), &[script.as_os_str(), lab.socket().as_os_str()]).unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    let expected = r#"
greeting {"capabilities": ["oob"]}
version {"package": "a test", "qemu": {"major": 7, "micro": 22, "minor": 2}}
commands ["cont", "echo", "emit", "later", "qmp_capabilities", "query-commands", "query-qmp-schema", "query-version", "stop"]
schema true
later {"late": true}
error CommandNotFound | The command nope has not been found
error GenericError | Invalid parameter type for 'number', expected: integer
error GenericError | Parameter 'more' is unexpected
event {"data": {"client": {"family": "ipv4", "host": "127.0.0.1", "port": "58500"}, "server": {"family": "ipv4", "host": "127.0.0.1", "port": "32777"}}, "event": "SPICE_CONNECTED", "timestamp": {"microseconds": 0, "seconds": 1795370794}}
event {"data": {"client": {"family": "ipv4", "host": "127.0.0.1", "port": "58500"}, "server": {"family": "ipv4", "host": "127.0.0.1", "port": "32777"}}, "event": "SPICE_CONNECTED", "timestamp": {"microseconds": 1, "seconds": 1795370794}}
event {"data": {"client": {"family": "ipv4", "host": "127.0.0.1", "port": "58500"}, "server": {"family": "ipv4", "host": "127.0.0.1", "port": "32777"}}, "event": "SPICE_CONNECTED", "timestamp": {"microseconds": 2, "seconds": 1795370794}}
concurrent true
done
"#;
    assert_eq!(output.trim(), expected.trim());
}

#[test]
fn qmp_shell() {
    let Some(programs) = programs() else { return };
    let lab = Lab::new();
    let mut shell = Process::new(programs.join("qmp-shell"))
        .arg(lab.socket())
        .env("HOME", lab.folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // An empty line shows the events that have come.
    let typed = "query-version\nemit number=1\necho a=1 b.c=true\n\nnope\n";
    std::io::Write::write_all(&mut shell.stdin.take().unwrap(), typed.as_bytes()).unwrap();
    let output = shell.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    for expected in [
        "Connected to QEMU 7.2.22",
        r#"{"return": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": "a test"}}"#,
        "'event': 'SPICE_CONNECTED'",
        r#"{"return": {"a": 1, "b": {"c": true}}}"#,
        "The command nope has not been found",
    ] {
        assert!(text.contains(expected), "expected {expected} in\n{text}\n{errors}");
    }
}

/// What the package `qmp` prints, with a server at this socket.
fn qmp_package(programs: &Path, socket: &Path, how: &str) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/qmp_package.py");
    let arguments = [script.as_os_str(), socket.as_os_str(), OsStr::new(COMMANDS), OsStr::new(how)];
    String::from_utf8(run(programs.join("python3"), &arguments).unwrap().stdout).unwrap()
}

const QMP_PACKAGE: &str = "greeting ['oob']\nevent with its reply 3000 of 3000\nerror CommandNotFound\n";

#[test]
fn qmp_package_gets_each_event_with_the_reply_of_its_command() {
    let Some(programs) = programs() else { return };
    let lab = Lab::new();
    assert_eq!(qmp_package(&programs, &lab.socket(), "connect"), QMP_PACKAGE);
    for program in qemu::programs() {
        let folder = tempfile::tempdir().unwrap();
        match qemu::Qemu::start(&program, folder.path()).unwrap() {
            Some(qemu) => assert_eq!(qmp_package(&programs, qemu.socket(), "connect"), QMP_PACKAGE, "QEMU"),
            None if std::env::var_os("CI").is_some() => panic!("{} is not installed", program.display()),
            None => eprintln!("skipped: {} is not installed", program.display()),
        }
    }
}

#[test]
fn qmp_package_that_listens_is_connected_to() {
    let Some(programs) = programs() else { return };
    let lab = Lab::new();
    let path = lab.folder.path().join("listening");
    {
        let _context = lab.runtime.enter();
        lab.server.dial(Dialer::unix(&path).reconnect(std::time::Duration::from_millis(10)));
    }
    assert_eq!(qmp_package(&programs, &path, "accept"), QMP_PACKAGE);
}
