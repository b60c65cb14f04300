//! `spicewatch who`, `status`, `show` and `end`, which ask a running relay on its control socket.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod relay_lab;

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::Path,
    process::{Command, Output},
};

use relay_lab::{
    Relay,
    by_hand::{Server, connect},
    eventually,
};
use serde_json::Value;
use spice_testkit::{
    captures::PASSWORD,
    lab::{self, CHANNELS, Client, Peer, Scratch, Vm},
};

/// Runs the program, in UTC.
fn spicewatch(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_spicewatch")).env("TZ", "UTC").args(arguments).output().unwrap()
}

/// What it prints; it must succeed.
#[track_caller]
fn answer(arguments: &[&str]) -> String {
    let output = spicewatch(arguments);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    String::from_utf8(output.stdout).unwrap()
}

/// What it prints when it fails, on one line.
#[track_caller]
fn failure(arguments: &[&str]) -> String {
    let output = spicewatch(arguments);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{output:?}");
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!(line.lines().count(), 1, "{line}");
    line
}

/// The lines, with `#` for each word that depends on the run: numbers, times and ids.
fn masked(text: &str) -> Vec<String> {
    let mask = |word: &str| {
        let is_id = word.len() == 8 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_number = word.starts_with(|first: char| first.is_ascii_digit()) && !word.contains(".0.");
        if is_id || is_number { "#".to_owned() } else { word.to_owned() }
    };
    text.lines().map(|line| line.split_whitespace().map(mask).collect::<Vec<_>>().join(" ")).collect()
}

/// The block of the README that begins with this command's output.
fn of_readme(title: &str) -> String {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md")).unwrap();
    let blocks = readme.split("```text\n").skip(1).filter_map(|rest| rest.split("```").next());
    let block = blocks.into_iter().find(|block| block.starts_with(title));
    block.unwrap_or_else(|| panic!("README.md has no block that starts with {title}")).to_owned()
}

#[test]
fn who_show_and_end_tell_of_real_clients() {
    if !lab::have(&[Peer::Qemu, Peer::SpiceGtk]) {
        return;
    }
    let (port, folder) = (lab::free_port().unwrap(), Scratch::new().unwrap());
    let control = folder.join("control.sock").to_str().unwrap().to_owned();
    let vm = Vm::boot(&format!("port={port},addr=127.0.0.1,password-secret=password")).unwrap();
    let upstream = format!("127.0.0.1:{port}");
    let relay = Relay::start(&[
        "--listen",
        "127.0.0.1:0",
        "--upstream",
        &upstream,
        "--name",
        "desk",
        "--sessions",
        "--control",
        &control,
    ]);
    let ask = |command: &str, more: &[&str]| answer(&[&[command, "--control", &control], more].concat());
    assert_eq!(ask("who", &[]), "no one is connected\n");
    assert_eq!(spicewatch(&["who", "--control", &control, "--vm", "desk", "--quiet"]).status.code(), Some(1));

    let through = relay.address().port().to_string();
    let client = Client::start(&["--port", &through, "--password", PASSWORD]).unwrap();
    vm.events().wait_for("SPICE_INITIALIZED", CHANNELS).unwrap();
    let session = || serde_json::from_str::<Value>(&ask("who", &["--json", "--vm", "desk"])).unwrap();
    eventually("all channels", || session()["spice"]["channels"].as_array().unwrap().len() == CHANNELS);
    assert_eq!(spicewatch(&["who", "--control", &control, "--vm", "desk", "--quiet"]).status.code(), Some(0));

    let record = session();
    let id = record["session"]["id"].as_str().unwrap().to_owned();
    assert_eq!(record["event"]["action"], "session-updated");
    assert!(record["client"]["bytes"].as_u64() > Some(2000), "live counts, not those of the link stage: {record:#}");
    let table = ask("who", &[]);
    assert_eq!(masked(&table), masked(&of_readme("VM    CLIENT     SINCE")), "{table}");
    assert!(table.trim_end().ends_with(&id[id.len() - 8..]));
    let csv = ask("who", &["--csv"]);
    let [titles, line] = csv.split_terminator("\r\n").collect::<Vec<_>>()[..] else { panic!("{csv}") };
    assert_eq!(titles, "vm,client,port,since,idle_seconds,channels,tls,rx,tx,session");
    let cells: Vec<_> = line.split(',').collect();
    let count = CHANNELS.to_string();
    assert_eq!((cells[0], cells[1], cells[5], cells[6], cells[9]), ("desk", "127.0.0.1", &*count, "no", &*id));

    let shown = ask("show", &[&id]);
    assert!(shown.starts_with(&format!("session        {id}\nvm             desk\n")), "{shown}");
    assert_eq!(shown.lines().filter(|line| line.contains("  open   no  ")).count(), CHANNELS, "{shown}");
    let table = ask("show", &[&id, "--csv"]);
    let mut lines = table.split_terminator("\r\n");
    assert_eq!(lines.next(), Some("session,vm,client,channel,id,opened,closed,tls,rx,tx"));
    assert_eq!(lines.filter(|line| line.starts_with(&format!("{id},desk,127.0.0.1,"))).count(), CHANNELS, "{table}");
    assert_eq!(ask("status", &["--csv"]), "vm,sessions\r\ndesk,1\r\n");
    let status: Value = serde_json::from_str(&ask("status", &["--json"])).unwrap();
    assert_eq!(status["vms"], serde_json::json!([{"name": "desk", "sessions": 1}]));
    assert_eq!((&status["connections"], &status["started"]), (&CHANNELS.into(), &1.into()));
    assert!(ask("status", &[]).ends_with("     1 desk\n"));

    assert_eq!(ask("end", &[&id[id.len() - 8..]]), format!("ended {CHANNELS} connections of 127.0.0.1 on desk\n"));
    relay.events.wait_for("\"action\":\"session-ended\"", 1);
    let ended: Value = serde_json::from_str(relay.events.all().last().unwrap()).unwrap();
    assert_eq!(
        (&ended["event"]["reason"], &ended["spice"]["ended_by"], &ended["session"]["id"]),
        (&"terminated".into(), &"relay".into(), &id.into())
    );
    assert_eq!(ask("who", &[]), "no one is connected\n");
    drop(client);
    relay.signal("-TERM");
    assert!(relay.wait().success());
    assert!(!Path::new(&control).exists(), "the socket's file is removed");
}

#[test]
fn questions_without_an_answer_fail_with_one_line() {
    let (server, folder) = (Server::new(), Scratch::new().unwrap());
    let control = folder.join("control.sock").to_str().unwrap().to_owned();
    let line = failure(&["who", "--control", &control]);
    assert!(line.starts_with(&format!("spicewatch who: {control}: No such file")), "{line}");

    // The name would clear a terminal and be a formula in a spreadsheet.
    let relay = server.relay(&["--control", &control, "--name", "=\x1b[2Jdesk"]);
    for (arguments, expected) in [
        (&["who", "--vm", "dsk\x1b[2J"][..], "spicewatch who: there is no VM named `dsk\\u{1b}[2J`\n"),
        (&["who", "--quiet", "--vm", "dsk"], "spicewatch who: there is no VM named `dsk`\n"),
        (&["show", "0190"], "spicewatch show: no live session's id ends in `0190`\n"),
        (&["show", ""], "spicewatch show: no live session's id ends in ``\n"),
        (&["end", "0190"], "spicewatch end: no live session's id ends in `0190`\n"),
    ] {
        assert_eq!(failure(&[&arguments[..1], &["--control", &control], &arguments[1..]].concat()), expected);
    }
    let status = answer(&["status", "--control", &control]);
    assert!(status.ends_with("     0 =\\u{1b}[2Jdesk\n"), "{status}");
    assert!(answer(&["status", "--control", &control, "--json"]).contains("\"name\":\"=\\u001b[2Jdesk\""));

    // A connection in its link stage may become a session: the answer says so.
    let client = connect(&relay);
    let inside = server.accept();
    (&client).write_all(b"REDQ").unwrap();
    let linking = "no one is connected; 1 open connections belong to no session yet\n";
    eventually("the connection", || answer(&["who", "--control", &control]) == linking);
    drop((client, inside));

    let another = Relay::command()
        .args(["--listen", "127.0.0.1:0", "--upstream", "127.0.0.1:1", "--control", &control])
        .output()
        .unwrap();
    let line = String::from_utf8(another.stderr).unwrap();
    assert_eq!(another.status.code(), Some(3), "{line}");
    assert!(line.ends_with(&format!("can't serve the control socket {control}: another process listens there\n")));
}

#[test]
fn wrong_requests_are_refused_and_the_connection_stays() {
    let (server, folder) = (Server::new(), Scratch::new().unwrap());
    let control = folder.join("control.sock").to_str().unwrap().to_owned();
    let _relay = server.relay(&["--control", &control]);
    let stream = UnixStream::connect(&control).unwrap();
    let mut replies = BufReader::new(&stream).lines();
    for (request, expected) in [
        ("{\"version\": 1, \"command\": \"who\"}", r#"{"return":{"sessions":0,"linking":0}}"#),
        ("{\"version\": 2, \"command\": \"who\"}", r#"{"error":{"code":"bad-version","#),
        ("{\"command\": \"who\"}", r#"{"error":{"code":"bad-version","#),
        ("{\"version\": 1, \"command\": \"reboot\"}", r#"{"error":{"code":"bad-request","#),
        ("{\"version\": 1, \"command\": \"show\"}", r#"{"error":{"code":"bad-request","#),
        ("\u{0}", r#"{"error":{"code":"bad-request","#),
        ("{\"version\": 1, \"command\": \"who\", \"vm\": \"dsk\"}", r#"{"error":{"code":"unknown-vm","#),
        ("{\"version\": 1, \"command\": \"end\", \"session\": \"1\"}", r#"{"error":{"code":"no-session","#),
    ] {
        writeln!(&stream, "{request}").unwrap();
        let reply = replies.next().unwrap().unwrap();
        assert!(reply.starts_with(expected), "{request}: {reply}");
    }
    // One that is too long ends the connection.
    (&stream).write_all(&[b'x'; 4097]).unwrap();
    assert!(replies.next().unwrap().unwrap().starts_with(r#"{"error":{"code":"too-long","#));

    // Clients over the limit are told so, and have room once others leave.
    let mut clients: Vec<_> = (0..40).map(|_| UnixStream::connect(&control).unwrap()).collect();
    let mut last = String::new();
    clients[39].read_to_string(&mut last).unwrap();
    assert!(last.starts_with(r#"{"error":{"code":"too-many-clients","#), "{last}");
    clients.clear();
    eventually("room", || spicewatch(&["who", "--control", &control]).status.success());
}

#[test]
fn last_tells_of_sessions_crashes_and_refusals() {
    if !lab::have(&[Peer::Qemu, Peer::SpiceGtk]) {
        return;
    }
    let (port, folder) = (lab::free_port().unwrap(), Scratch::new().unwrap());
    let history = format!("sqlite:{}", folder.join("history.db").display());
    let vm = Vm::boot(&format!("port={port},addr=127.0.0.1,password-secret=password")).unwrap();
    let upstream = format!("127.0.0.1:{port}");
    let start = || {
        let listen = ["--listen", "127.0.0.1:0", "--upstream", &upstream, "--name", "desk"];
        Relay::start(&[&listen[..], &["--sessions", "--history", &history]].concat())
    };
    let client = |relay: &Relay, password: &str| {
        Client::start(&["--port", &relay.address().port().to_string(), "--password", password]).unwrap()
    };
    let last = |more: &[&str]| answer(&[&["last", "--history", &history], more].concat());
    let lines = |more: &[&str]| last(more).lines().count() - 1;

    // A session, a refused link, and a relay that is killed while a session is live.
    let mut relay = start();
    let first = client(&relay, PASSWORD);
    vm.events().wait_for("SPICE_INITIALIZED", CHANNELS).unwrap();
    first.leave().unwrap();
    relay.events.wait_for("\"action\":\"session-ended\"", 1);
    let wrong = client(&relay, "wrong");
    relay.events.wait_for("\"action\":\"link-refused\"", 1);
    drop(wrong);
    let killed = client(&relay, PASSWORD);
    vm.events().wait_for("SPICE_INITIALIZED", 2 * CHANNELS).unwrap();
    eventually("two sessions", || lines(&[]) == 2);
    assert_eq!(last(&[]).lines().nth(1).unwrap().matches("still connected").count(), 1);
    relay.kill();
    drop((killed, relay));

    let relay = start();
    let live = client(&relay, PASSWORD);
    vm.events().wait_for("SPICE_INITIALIZED", 3 * CHANNELS).unwrap();
    eventually("three sessions", || lines(&[]) == 3);
    let table = last(&[]);
    assert_eq!(masked(&table), masked(&of_readme("VM    CLIENT     START")), "{table}");
    let failed = last(&["--failed"]);
    assert_eq!(masked(&failed)[1..], ["desk 127.0.0.1 # # permission_denied auth"], "{failed}");

    for (conditions, count) in [
        (&["-n", "1"][..], 1),
        (&["-n", "0"], 3),
        (&["--vm", "desk"], 3),
        (&["--vm", "lab"], 0),
        (&["--client", "127.0.0.1"], 3),
        (&["--client", "127.0.0.2"], 0),
        (&["-s", "-1h"], 3),
        (&["-t", "1 hour ago"], 0),
        (&["-p", "now"], 1),
        (&["-p", "yesterday 12:00"], 0),
    ] {
        let output = spicewatch(&[&["last", "--history", &history], conditions].concat());
        let printed = String::from_utf8(output.stdout).unwrap();
        assert_eq!(printed.lines().count() - 1, count, "{conditions:?}: {printed}");
        let more =
            if conditions == ["-n", "1"] { "spicewatch last: there are more than 1; -n prints more\n" } else { "" };
        assert_eq!(String::from_utf8(output.stderr).unwrap(), more);
    }
    let records: Vec<Value> = last(&["--json"]).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let reasons: Vec<_> = records.iter().map(|record| record["event"]["reason"].as_str()).collect();
    assert_eq!(reasons, [None, Some("relay_died"), Some("client_left")]);
    assert_eq!(records[2]["spice"]["channels"].as_array().unwrap().len(), CHANNELS);
    assert!(last(&["--csv"]).contains(",live,,,channel,no,"), "{}", last(&["--csv"]));

    drop(live);
    relay.events.wait_for("\"action\":\"session-ended\"", 1);
    relay.signal("-TERM");
    assert!(relay.wait().success());
    assert!(!folder.join("history.db-wal").exists(), "a graceful shutdown leaves one file");
    assert_eq!(last(&[]).matches("still connected").count(), 0);
    let wrong = failure(&["last", "--history", &history, "-s", "soon"]);
    assert!(wrong.starts_with("spicewatch last: expected a time like 2026-11-24, "), "{wrong}");
    let none = failure(&["last", "--history", "sqlite:/nowhere/history.db"]);
    assert!(none.starts_with("spicewatch last: sqlite:/nowhere/history.db: unable to open database file"), "{none}");
    assert!(none.ends_with("A relay writes the history that its --history names; give the same here\n"), "{none}");
}

/// Kills the relay at several moments. What the history has shown stays, and the database is whole.
#[test]
fn killed_relay_loses_nothing_that_the_history_has_shown() {
    if !lab::have(&[Peer::Qemu, Peer::SpiceGtk]) {
        return;
    }
    let folder = Scratch::new().unwrap();
    let path = folder.join("history.db");
    let history = format!("sqlite:{}", path.display());
    let shown = || -> Vec<(String, bool)> {
        let all = answer(&["last", "-n", "0", "--json", "--history", &history]);
        let records = all.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let end = |record: &Value| record["event"]["action"] == "session-ended";
        records.map(|record| (record["session"]["id"].as_str().unwrap().to_owned(), end(&record))).collect()
    };
    for moment in ["started", "channels", "left", "ended"] {
        let port = lab::free_port().unwrap();
        let vm = Vm::boot(&format!("port={port},addr=127.0.0.1,disable-ticketing=on")).unwrap();
        let upstream = format!("127.0.0.1:{port}");
        let mut relay = Relay::start(&[
            "--listen",
            "127.0.0.1:0",
            "--upstream",
            &upstream,
            "--auth",
            "none",
            "--sessions",
            "--history",
            &history,
        ]);
        let through = relay.address().port().to_string();
        let client = Client::start(&["--port", &through]).unwrap();
        relay.events.wait_for("\"action\":\"session-started\"", 1);
        if moment != "started" {
            vm.events().wait_for("SPICE_INITIALIZED", CHANNELS).unwrap();
        }
        if matches!(moment, "left" | "ended") {
            client.leave().unwrap();
        }
        if moment == "ended" {
            relay.events.wait_for("\"action\":\"session-ended\"", 1);
        }
        let before = shown();
        relay.kill();
        drop(relay);
        let database = rusqlite::Connection::open(&path).unwrap();
        let whole: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(whole, "ok", "{moment}");
        drop(database);
        let after = shown();
        for (id, has_ended) in before {
            let kept = after.iter().find(|(other, _)| *other == id);
            assert!(kept.is_some_and(|(_, ended)| *ended >= has_ended), "{moment}: {id}");
        }
    }
    // The next start closes what was open.
    let relay = Relay::start(&["--listen", "127.0.0.1:0", "--upstream", "127.0.0.1:1", "--history", &history]);
    eventually("no open session", || shown().iter().all(|(_, ended)| *ended));
    assert!(shown().len() >= 3);
    drop(relay);
}

#[test]
fn history_that_cannot_be_written_is_one_line_and_the_relay_goes_on() {
    let (server, folder) = (Server::new(), Scratch::new().unwrap());
    let path = folder.join("history.db");
    fs::write(&path, "no database, but long enough to be looked at. ".repeat(100)).unwrap();
    let relay = server.relay(&["--sessions", "--history", &format!("sqlite:{}", path.display())]);
    relay.log.wait_for("can't write the history", 1);
    let client = connect(&relay);
    (&client).write_all(b"SSH-2.0-OpenSSH_9.2\r\n").unwrap();
    let inside = server.accept();
    inside.peek(&mut [0]).unwrap();
    drop(inside);
    relay.events.wait_for("\"action\":\"link-refused\"", 1);
    let log = relay.log.clone();
    relay.signal("-TERM");
    assert!(relay.wait().success());
    log.wait_for_end();
    assert_eq!(log.count("can't write the history"), 1);
    assert_eq!(log.count("file is not a database"), 1);
    assert_eq!(log.count("the last session records are not in the history"), 1);

    let wrong =
        Relay::command().args(["--listen", "127.0.0.1:0", "--upstream", "h:1", "--history", "mysql:x"]).output();
    let line = String::from_utf8(wrong.unwrap().stderr).unwrap();
    assert!(line.contains("expected sqlite:PATH, found `mysql:x`"), "{line}");
}

#[test]
fn reload_tells_what_has_changed_or_what_is_wrong() {
    let (server, folder) = (Server::new(), Scratch::new().unwrap());
    let control = folder.join("control.sock").to_str().unwrap().to_owned();
    let config = folder.join("relay.toml");
    let write = |names: &[&str], more: &str| {
        let upstream = server.address();
        let vm =
            |name: &&str| format!("[[vm]]\nname = \"{name}\"\nlisten = \"127.0.0.1:0\"\nupstream = \"{upstream}\"\n");
        let vms: String = names.iter().map(vm).collect();
        fs::write(&config, format!("control = \"{control}\"\n{more}{vms}")).unwrap();
    };
    write(&["a"], "log-format = \"json\"\n");
    let relay = Relay::start_with(&config);
    let reload = ["reload", "--control", &control];
    assert_eq!(answer(&reload), "no changes\n");
    write(&["a", "b"], "log-format = \"json\"\n");
    assert_eq!(answer(&reload), "added: b\n");
    write(&["a"], "log-format = \"json\"\nmax-conections = 1\n");
    let line = failure(&reload);
    let expected = format!("spicewatch reload: {}:3: unknown field `max-conections`", config.display());
    assert!(line.starts_with(&expected), "{line}");
    write(&["a", "b"], "");
    assert_eq!(answer(&reload), "after a restart: log-format\n");
    drop(relay);
}
