//! Hooks: programs that `spicewatch relay` and `spicewatch follow` run when something happens to a session.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod relay_lab;

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    os::unix::{fs::PermissionsExt, net::UnixListener},
    path::Path,
    process::{Command, Output, Stdio},
    thread,
};

use relay_lab::{Lines, Relay, eventually};
use serde_json::{Value, json};
use spice_testkit::{
    captures::PASSWORD,
    lab::{self, CHANNELS, Client, Peer, Process, Scratch, Vm},
};

const MANUAL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/HOOKS.md");

/// Writes a program. It is whole and closed before any process is started.
fn script(folder: &Scratch, name: &str, text: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

/// The recipe of the manual with this name.
fn recipe(name: &str) -> Option<String> {
    // A package does not contain the manual.
    let manual = fs::read_to_string(MANUAL).ok()?;
    let comment = format!("# /etc/spicewatch/hooks/{name}");
    let mut blocks = manual.split("```sh\n").skip(1).filter_map(|block| block.split("```").next());
    let found =
        blocks.find(|block| block.lines().nth(1).is_some_and(|line| line.split(" COMMAND").next() == Some(&comment)));
    Some(found.unwrap_or_else(|| panic!("no recipe {name}")).to_owned())
}

/// Runs a recipe as a hook is run.
fn run(program: &str, arguments: &[&str], record: &str) -> Output {
    let mut command = Command::new("/bin/sh");
    let variables = [
        ("PATH", "/usr/bin:/bin"),
        ("SPICEWATCH_VM", "desk"),
        ("SPICEWATCH_CLIENT", "10.0.0.1"),
        ("SPICEWATCH_REASON", "permission_denied"),
    ];
    command.arg(program).args(arguments).env_clear().envs(variables);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A hook need not read its input, and may have ended.
    let _ = child.stdin.take().unwrap().write_all(record.as_bytes());
    child.wait_with_output().unwrap()
}

#[test]
fn hooks_run_for_what_real_clients_do_and_the_recipe_suspends_a_real_vm() {
    if !lab::have(&[Peer::Qemu, Peer::SpiceGtk]) || !Path::new("/usr/bin/socat").exists() {
        return;
    }
    let (port, folder) = (lab::free_port().unwrap(), Scratch::new().unwrap());
    let vm = Vm::boot(&format!("port={port},addr=127.0.0.1,password-secret=password")).unwrap();
    let qmp =
        recipe("qmp").unwrap_or_default().replace("/run/qemu/$SPICEWATCH_VM.qmp", vm.qmp_socket().to_str().unwrap());
    let qmp = script(&folder, "qmp", &qmp);
    let (seen, control) = (folder.join("seen"), folder.join("control.sock"));
    let note = "#!/bin/sh\ncat >> $1; echo \"$SPICEWATCH_HOOK $SPICEWATCH_VM $SPICEWATCH_REASON\" >&2; exit 7\n";
    let note = script(&folder, "note", note);
    let config = json!({
        "control": control, "log-format": "json", "vm-empty-seconds": 1,
        "on-session-start": [note, seen], "on-session-end": [note, seen], "on-link-refused": [note, seen],
        "vm": [{
            "name": "desk", "listen": "127.0.0.1:0", "upstream": format!("127.0.0.1:{port}"), "on-session-end": "",
            "on-vm-empty": [qmp, "stop"],
        }],
    });
    let file = folder.join("relay.toml");
    // JSON's strings and arrays are TOML's.
    let table = |value: &Value| {
        let keys = value.as_object().unwrap().iter().filter(|(key, _)| *key != "vm");
        keys.map(|(key, value)| [key, " = ", &value.to_string(), "\n"].concat()).collect::<String>()
    };
    let text = [&table(&config), "[[vm]]\n", &table(&config["vm"][0])].concat();
    fs::write(&file, text).unwrap();
    let relay = Relay::start_with(&file);
    let through = relay.address().port().to_string();
    let client = |password: &str| Client::start(&["--port", &through, "--password", password]).unwrap();
    let status = || vm.events().execute("{\"execute\": \"query-status\"}").unwrap();

    let wrong = client("wrong");
    relay.log.wait_for("on-link-refused desk permission_denied", 1);
    drop(wrong);
    let first = client(PASSWORD);
    relay.log.wait_for("on-session-start desk", 1);
    vm.events().wait_for("SPICE_INITIALIZED", CHANNELS).unwrap();
    // The lab's machines wait before their first instruction.
    vm.events().execute("{\"execute\": \"cont\"}").unwrap();
    assert!(status().contains("\"running\": true"), "{}", status());
    first.leave().unwrap();
    eventually("a suspended VM", || status().contains("paused"));
    let records = fs::read_to_string(&seen).unwrap();
    let actions: Vec<Value> = records.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let actions: Vec<_> = actions.iter().map(|record| record["event"]["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["link-refused", "session-started"], "on-session-end is turned off for this VM");
    let output = Command::new(env!("CARGO_BIN_EXE_spicewatch"))
        .args(["status", "--json", "--control", control.to_str().unwrap()])
        .output()
        .unwrap();
    let status: Value = serde_json::from_slice(&output.stdout).unwrap();
    eventually("the end of the hooks", || relay.log.count("the hook has failed") == 2);
    assert_eq!(status["hooks"]["run"], 3, "{status}");
}

#[test]
fn follow_runs_hooks_for_what_qemu_reports_and_none_for_its_own_end() {
    if !lab::have(&[Peer::Qemu, Peer::SpiceGtk]) {
        return;
    }
    let (port, folder) = (lab::free_port().unwrap().to_string(), Scratch::new().unwrap());
    let vm = Vm::boot(&format!("port={port},addr=127.0.0.1,disable-ticketing=on")).unwrap();
    let seen = folder.join("seen");
    let note =
        script(&folder, "note", &format!("#!/bin/sh\necho $SPICEWATCH_HOOK $SPICEWATCH_VM >> {}\n", seen.display()));
    let address = format!("desk={}", vm.qmp_socket().display());
    let hooks =
        ["--on-session-start", &note, "--on-session-end", &note, "--on-vm-empty", &note, "--vm-empty-seconds", "1"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_spicewatch"));
    command.args(["follow", &address]).args(hooks).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut follow = Process::spawn(&mut command).unwrap();
    let records = Lines::follow(follow.child().stdout.take().unwrap());
    let log = Lines::follow(follow.child().stderr.take().unwrap());
    log.wait_for("connected to QEMU", 1);
    let seen = || fs::read_to_string(&seen).unwrap_or_default();
    let first = Client::start(&["--port", &port]).unwrap();
    vm.events().wait_for("SPICE_INITIALIZED", CHANNELS).unwrap();
    first.leave().unwrap();
    eventually("three hooks", || seen().lines().count() == 3);
    let second = Client::start(&["--port", &port]).unwrap();
    eventually("the fourth", || seen().lines().count() == 4);
    relay_lab::signal(follow.id(), "-TERM");
    assert!(follow.wait().unwrap().success());
    drop(second);
    records.wait_for("session-ended", 2);
    let expected =
        ["on-session-start", "on-session-end", "on-vm-empty", "on-session-start"].map(|hook| format!("{hook} desk"));
    assert_eq!(seen().lines().collect::<Vec<_>>(), expected);
}

#[test]
fn recipes_lock_the_guest_through_its_agent_or_libvirt() {
    let Some(lock) = recipe("lock") else { return };
    let folder = Scratch::new().unwrap();
    let wanted = json!({"execute": "guest-exec", "arguments": {"path": "loginctl", "arg": ["lock-sessions"]}});
    if Path::new("/usr/bin/socat").exists() {
        let socket = folder.join("desk.qga");
        let agent = UnixListener::bind(&socket).unwrap();
        let answering = thread::spawn(move || {
            let mut stream = BufReader::new(agent.accept().unwrap().0);
            let mut line = String::new();
            stream.read_line(&mut line).unwrap();
            stream.get_mut().write_all(b"{\"return\": {\"pid\": 1234}}\n").unwrap();
            line
        });
        let lock = lock.replace("/run/qemu/$SPICEWATCH_VM.qga", socket.to_str().unwrap());
        let output = run(&script(&folder, "lock", &lock), &[], "{}\n");
        assert!(output.status.success(), "{output:?}");
        assert_eq!(serde_json::from_str::<Value>(&answering.join().unwrap()).unwrap(), wanted);
    }
    let arguments = folder.join("arguments");
    let virsh = script(&folder, "virsh", &format!("#!/bin/sh\nprintf '%s\\n' \"$@\" > {}\n", arguments.display()));
    let lock = recipe("lock-libvirt").unwrap().replace("virsh", &format!("/bin/sh {virsh}"));
    let output = run(&script(&folder, "lock-libvirt", &lock), &[], "{}\n");
    assert!(output.status.success(), "{output:?}");
    let seen = fs::read_to_string(arguments).unwrap();
    let seen: Vec<_> = seen.lines().collect();
    assert_eq!(seen[..6], ["--connect", "qemu:///system", "qemu-agent-command", "desk", "--timeout", "5"]);
    assert_eq!(serde_json::from_str::<Value>(seen[6]).unwrap(), wanted);
}

#[test]
fn recipes_send_a_mail_and_call_a_webhook() {
    let Some(mail) = recipe("mail") else { return };
    let (folder, record) = (Scratch::new().unwrap(), "{\"event\": {\"action\": \"link-refused\"}}\n");
    let sent = folder.join("sent");
    let sendmail = script(&folder, "sendmail", &format!("#!/bin/sh\necho \"$@\" > {0}\ncat >> {0}\n", sent.display()));
    let mail = mail.replace("/usr/sbin/sendmail", &format!("/bin/sh {sendmail}"));
    let output = run(&script(&folder, "mail", &mail), &[], record);
    assert!(output.status.success(), "{output:?}");
    let expected =
        format!("-t -i\nTo: root\nSubject: SPICE: permission_denied on desk\n\nClient: 10.0.0.1\n\n{record}");
    assert_eq!(fs::read_to_string(sent).unwrap(), expected);

    if !Path::new("/usr/bin/curl").exists() {
        return;
    }
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hooks/spice", server.local_addr().unwrap());
    let answering = thread::spawn(move || {
        let mut stream = BufReader::new(server.accept().unwrap().0);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(stream.read_line(&mut head).unwrap() > 0, "{head}");
        }
        let length = head.to_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.unwrap()];
        stream.read_exact(&mut body).unwrap();
        stream.get_mut().write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").unwrap();
        (head, String::from_utf8(body).unwrap())
    });
    let webhook = recipe("webhook").unwrap().replace("https://example.org/hooks/spice", &url);
    let output = run(&script(&folder, "webhook", &webhook), &[], record);
    assert!(output.status.success(), "{output:?}");
    let (head, body) = answering.join().unwrap();
    assert!(
        head.starts_with("POST /hooks/spice HTTP/1.1\r\n") && head.contains("Content-Type: application/json"),
        "{head}"
    );
    assert_eq!(body, record);
}

#[test]
fn hook_that_is_no_program_is_one_line() {
    for (hook, error) in [
        ("/no/such/program", "on-vm-empty: /no/such/program: No such file or directory"),
        ("/etc/passwd", "on-vm-empty: /etc/passwd: expected a program, found a file that can't be executed"),
        ("relative", "expected the absolute path of a program, found `relative`"),
    ] {
        let relay = Relay::command()
            .args(["--listen", "127.0.0.1:0", "--upstream", "127.0.0.1:1", "--on-vm-empty", hook])
            .output()
            .unwrap();
        let line = String::from_utf8(relay.stderr).unwrap();
        assert_eq!(relay.status.code(), Some(2));
        assert!(line.contains(error) && line.lines().count() == 1, "{line}");
    }
}
