//! HTTP: routes, limits, metrics, events.

#![cfg(feature = "http")]
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod relay_lab;

use std::{
    collections::BTreeMap,
    fs,
    io::{Read as _, Write as _},
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
};

use relay_lab::{
    Lines, Relay,
    by_hand::{Server, connect, link},
    eventually,
    http::Site,
};
use serde_json::Value;
use spice_testkit::lab::{self, Peer, Scratch};

/// A relay with a history, and HTTP on a unix socket.
struct Lab {
    server: Server,
    relay: Relay,
    site: Site,
    folder: Scratch,
}

impl Lab {
    fn new(name: &str) -> Self {
        let (server, folder) = (Server::new(), Scratch::new().unwrap());
        let socket = folder.join("http.sock");
        let history = format!("sqlite:{}", folder.join("history.db").display());
        let http = format!("unix:{}", socket.display());
        let relay = server.relay(&["--name", name, "--http", &http, "--history", &history]);
        Self { server, relay, site: Site::Unix(socket), folder }
    }

    /// A link that the relay reports as refused.
    fn refused_link(&self) {
        let client = connect(&self.relay);
        let mut inside = self.server.accept();
        (&client).write_all(b"SSH-2.0-client\r\n\r\n").unwrap();
        inside.read_exact(&mut [0; 18]).unwrap();
    }

    fn metric(&self, name: &str) -> Option<f64> {
        let text = self.site.get("/metrics").body;
        text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
    }
}

#[test]
fn sessions_history_and_metrics_tell_of_a_session() {
    let lab = Lab::new("desk");
    let site = &lab.site;
    assert_eq!(site.get("/healthz").body, "ok\n");
    assert_eq!(site.get("/v1/sessions").json(), serde_json::json!({"sessions": [], "linking": 0}));
    let session = link(lab.relay.address(), &lab.server.0, 7);
    eventually("the session", || site.get("/v1/sessions").json()["sessions"][0]["session"]["id"].is_string());
    let record = site.get("/v1/sessions?vm=desk&client=127.0.0.1").json()["sessions"][0].clone();
    assert_eq!(record["vm"]["name"], "desk");
    assert_eq!(record["client"]["bytes"], 132 + 38, "{record:#}");
    let id = record["session"]["id"].as_str().unwrap();
    for id in [id, &id[id.len() - 8..]] {
        assert_eq!(site.get(&format!("/v1/sessions/{id}")).json()["session"]["id"], record["session"]["id"]);
    }
    assert_eq!(site.get("/v1/sessions?client=10.0.0.1").json()["sessions"], serde_json::json!([]));
    for (metric, expected) in [
        ("spicewatch_sessions{vm=\"desk\"}", 1.0),
        ("spicewatch_sessions_started_total{vm=\"desk\"}", 1.0),
        ("spicewatch_connections{vm=\"desk\",state=\"linked\"}", 1.0),
        ("spicewatch_connections{vm=\"desk\",state=\"linking\"}", 0.0),
        ("spicewatch_channels{vm=\"desk\",type=\"inputs\"}", 1.0),
        ("spicewatch_bytes_total{vm=\"desk\",direction=\"to_server\"}", 170.0),
        ("spicewatch_link_duration_seconds_count", 1.0),
        ("spicewatch_session_duration_seconds_count", 0.0),
    ] {
        assert_eq!(lab.metric(metric), Some(expected), "{metric}");
    }
    let to_client = lab.metric("spicewatch_bytes_total{vm=\"desk\",direction=\"to_client\"}").unwrap();
    assert!(to_client > 200.0, "{to_client}");

    drop(session);
    lab.refused_link();
    eventually("the end and the refusal", || {
        lab.metric("spicewatch_sessions_ended_total{vm=\"desk\",reason=\"client_left\"}") == Some(1.0)
            && lab.metric("spicewatch_links_refused_total{vm=\"desk\",reason=\"not_spice\"}") == Some(1.0)
    });
    // Bytes of connections that have ended still count.
    assert_eq!(lab.metric("spicewatch_bytes_total{vm=\"desk\",direction=\"to_server\"}"), Some(170.0 + 18.0));
    assert_eq!(lab.metric("spicewatch_session_duration_seconds_count"), Some(1.0));
    assert_eq!(lab.metric("spicewatch_channels{vm=\"desk\",type=\"inputs\"}"), None);
    eventually("the history", || {
        let ended = site.get("/v1/history?vm=desk").json();
        let failed = site.get("/v1/history?failed=true&since=-1h").json();
        ended["entries"][0]["record"]["event"]["reason"] == "client_left"
            && failed["entries"][0]["record"]["event"]["reason"] == "not_spice"
    });
    eventually("nothing pending", || lab.metric("spicewatch_sink_pending{sink=\"history\"}") == Some(0.0));
    assert_eq!(lab.metric("spicewatch_sink_lost_total{sink=\"history\"}"), Some(0.0));
    assert_eq!(site.get("/v1/status").json()["ended"], 1);
}

#[test]
fn pages_of_sessions_and_of_the_history_have_each_entry_once() {
    let lab = Lab::new("desk");
    let sessions: Vec<_> = (1..=5).map(|id| link(lab.relay.address(), &lab.server.0, id)).collect();
    eventually("the sessions", || lab.site.get("/v1/sessions").json()["sessions"].as_array().unwrap().len() == 5);
    let ids = |path: &str, cursor: &str, list: &str, record: &str| {
        let (mut ids, mut next) = (Vec::new(), String::new());
        loop {
            let page = lab.site.get(&format!("{path}?limit=2{next}")).json();
            let entries = page[list].as_array().unwrap();
            assert!(entries.len() <= 2);
            for entry in entries {
                ids.push(entry.pointer(record).unwrap().as_str().unwrap().to_owned());
            }
            match &page["next"] {
                Value::Null => break ids,
                Value::String(place) => next = format!("&{cursor}={place}"),
                place => next = format!("&{cursor}={place}"),
            }
        }
    };
    let live = ids("/v1/sessions", "after", "sessions", "/session/id");
    assert_eq!(live.len(), 5);
    drop(sessions);
    eventually("the history", || lab.site.get("/v1/history").status == 200);
    let history = || ids("/v1/history", "before", "entries", "/record/session/id");
    eventually("the history", || history().len() == 5);
    assert_eq!(history(), live.into_iter().rev().collect::<Vec<_>>());
}

/// What a request is answered: its path or whole head, the status, and the code of the error.
const REQUESTS: &[(&str, u16, &str)] = &[
    ("/", 200, ""),
    ("/nothing", 404, "not-found"),
    ("/v1", 404, "not-found"),
    ("/v1/sessions/0190", 404, "no-session"),
    ("/v1/sessions?vm=dsk", 404, "unknown-vm"),
    ("/v1/sessions?limit=0", 400, "bad-request"),
    ("/v1/sessions?limit=1001", 400, "bad-request"),
    ("/v1/sessions?limit=x", 400, "bad-request"),
    ("/v1/sessions?after=-1", 400, "bad-request"),
    ("/v1/sessions?vms=desk", 400, "bad-request"),
    ("/v1/sessions?vm=desk&vm=desk", 400, "bad-request"),
    ("/v1/sessions?vm=%ff", 404, "unknown-vm"),
    ("/v1/history?since=soon", 400, "bad-request"),
    ("/v1/history?limit=5000", 400, "bad-request"),
    ("/v1/history?before=1", 400, "bad-request"),
    ("/v1/history?to=now", 400, "bad-request"),
    ("/v1/history?client=%27%3B%20DROP%20TABLE%20entries%3B--", 200, ""),
    ("POST /v1/sessions HTTP/1.0\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", 405, "method"),
    ("DELETE /v1/sessions HTTP/1.0\r\nHost: localhost\r\n\r\n", 405, "method"),
    ("HEAD /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n", 200, ""),
    // Over a unix socket, the host may be that of a reverse proxy.
    ("GET /healthz HTTP/1.0\r\nHost: watch.example\r\n\r\n", 200, ""),
];

#[test]
fn each_request_has_its_answer_and_every_answer_its_headers() {
    let lab = Lab::new("desk");
    // The database is there once the relay has written its first heartbeat.
    eventually("the history", || lab.site.get("/v1/history").status == 200);
    for (request, status, code) in REQUESTS {
        let answer = if request.starts_with('/') { lab.site.get(request) } else { lab.site.raw(request) };
        assert_eq!(answer.status, *status, "{request}: {answer:?}");
        if !code.is_empty() {
            assert_eq!(answer.code(), *code, "{request}");
        }
        for header in [
            "x-content-type-options: nosniff",
            "content-security-policy: default-src 'none';",
            "frame-ancestors 'none'",
            "cache-control: no-store",
            "cross-origin-resource-policy: same-origin",
        ] {
            assert!(answer.head.contains(header), "{request}: {header} is missing in {}", answer.head);
        }
        assert!(!answer.head.contains("access-control-allow"), "{request}");
    }
    assert_eq!(lab.site.raw(&format!("GET /{} HTTP/1.0\r\n\r\n", "x".repeat(20_000))).status, 431);
    assert_eq!(lab.site.raw(&format!("GET / HTTP/1.0\r\n{}\r\n", "A: b\r\n".repeat(100))).status, 431);
    assert_eq!(lab.site.raw("\x16\x03\x01\x02\x00").body, "");
}

#[test]
fn over_tcp_only_this_machine_is_a_host() {
    let server = Server::new();
    let relay = server.relay(&["--http", "127.0.0.1:0"]);
    let address = relay.log.wait("HTTP", |lines| {
        let line = lines.iter().find(|line| line.contains("serving HTTP"))?;
        Some(serde_json::from_str::<Value>(line).ok()?["address"].as_str()?.to_owned())
    });
    let site = Site::Tcp(address.clone());
    let with_host = |host: &str| site.raw(&format!("GET /v1/sessions HTTP/1.0\r\n{host}\r\n"));
    for host in ["Host: localhost:1\r\n".to_owned(), format!("Host: {address}\r\n"), "Host: [::1]\r\n".to_owned()] {
        assert_eq!(with_host(&host).status, 200, "{host}");
    }
    for host in
        ["", "Host: evil.example\r\n", "Host: evil.example:9180\r\n", "Host: localhost\r\nHost: evil.example\r\n"]
    {
        let answer = with_host(host);
        assert_eq!((answer.status, answer.code().as_str()), (421, "wrong-host"), "{host}");
    }
}

#[test]
fn socket_has_its_permissions_and_wrong_addresses_are_refused() {
    let lab = Lab::new("desk");
    let Site::Unix(socket) = &lab.site else { panic!() };
    assert_eq!(fs::metadata(socket).unwrap().permissions().mode() & 0o777, 0o600);
    let failure = |http: &str| {
        let output = Relay::command()
            .args(["--listen", "127.0.0.1:0", "--upstream", "127.0.0.1:1", "--http", http])
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, line) = failure(&format!("unix:{}", socket.display()));
    assert_eq!(code, Some(3));
    assert!(line.trim_end().ends_with("another process listens there"), "{line}");
    let (code, line) = failure("0.0.0.0:9180");
    assert_eq!(code, Some(2), "{line}");
    assert!(line.contains("expected a loopback address or unix:PATH"), "{line}");
    let socket = socket.clone();
    lab.relay.signal("-TERM");
    assert!(lab.relay.wait().success());
    assert!(!socket.exists(), "the socket's file is removed");
}

#[test]
fn idle_and_excess_clients_make_room_for_others() {
    let lab = Lab::new("desk");
    let clients: Vec<_> = (0..64).map(|_| lab.site.connect()).collect();
    eventually("the limit", || lab.site.get("/healthz").status == 503);
    assert_eq!(lab.site.get("/healthz").code(), "too-many-clients");
    // One of them sends half a head, and then nothing.
    let mut clients = clients.into_iter();
    let mut slow = clients.next().unwrap();
    slow.write_all(b"GET /healthz HT").unwrap();
    // All of them have some seconds for the head of a request.
    let mut rest = Vec::new();
    let _ = slow.read_to_end(&mut rest);
    for mut client in clients {
        let _ = client.read_to_end(&mut rest);
    }
    eventually("room", || lab.site.get("/healthz").status == 200);
}

#[test]
fn events_tell_of_each_record_and_of_what_a_client_has_missed() {
    let lab = Lab::new("desk");
    let events = lab.site.events(None);
    events.wait_for("event: ready", 1);
    let session = link(lab.relay.address(), &lab.server.0, 7);
    let of = |lines: &Lines, name: &str| {
        lines.wait(name, |lines| {
            let at = lines.iter().position(|line| *line == format!("event: {name}"))?;
            let block: Vec<_> = lines[at..].iter().take_while(|line| !line.is_empty()).collect();
            let field = |field: &str| block.iter().find_map(|line| line.strip_prefix(field)).map(str::to_owned);
            (lines.len() > at + block.len())
                .then(|| (field("id: "), serde_json::from_str::<Value>(&field("data: ").unwrap()).unwrap()))
        })
    };
    let (first, started) = of(&events, "started");
    assert_eq!((&started["event"]["action"], &started["vm"]["name"]), (&"session-started".into(), &"desk".into()));
    // The relay has seen all bytes by now, or soon.
    let (none, updated) = of(&events, "updated");
    assert_eq!((none, &updated["session"]["id"]), (None, &started["session"]["id"]));
    drop(session);
    let (_, ended) = of(&events, "ended");
    assert_eq!(
        (&ended["event"]["reason"], &ended["session"]["id"]),
        (&"client_left".into(), &started["session"]["id"])
    );
    lab.refused_link();
    assert_eq!(of(&events, "refused").1["event"]["reason"], "not_spice");

    // It comes back, and gets what it has missed, but not what it had.
    let again = lab.site.events(first.as_deref());
    assert_eq!(of(&again, "refused").1["event"]["reason"], "not_spice");
    assert_eq!((again.count("event: started"), again.count("event: ended"), again.count("event: lost")), (0, 1, 0));
    // It had events of another process.
    let other = lab.site.events(Some("123-4"));
    assert_eq!(of(&other, "lost").1, serde_json::json!({"events_lost": null}));
}

#[test]
fn prometheus_accepts_the_metrics_with_any_name_of_a_vm() {
    if !lab::have(&[Peer::Promtool]) {
        return;
    }
    let lab = Lab::new("a\"b\\c {x=\"y\"} ü");
    let session = link(lab.relay.address(), &lab.server.0, 7);
    drop(session);
    lab.refused_link();
    let name = r#"spicewatch_links_refused_total{vm="a\"b\\c {x=\"y\"} ü",reason="not_spice"}"#;
    eventually("the metrics", || lab.metric(name) == Some(1.0));
    let text = lab.site.get("/metrics");
    assert!(text.head.contains("content-type: text/plain; version=0.0.4"), "{}", text.head);
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    promtool.stdin.take().unwrap().write_all(text.body.as_bytes()).unwrap();
    let checked = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&checked.stdout) + String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success() && said.is_empty(), "{said}\n{}", text.body);
    let wanted =
        "GET /metrics HTTP/1.0\r\nHost: localhost\r\nAccept: application/openmetrics-text;version=1.0.0\r\n\r\n";
    let open = lab.site.raw(wanted);
    assert!(open.head.contains("content-type: application/openmetrics-text"), "{}", open.head);
    assert!(open.body.ends_with("# EOF\n"));
    assert!(!text.body.contains("127.0.0.1"), "no label names a client");
}

/// The members of all objects, and the types of their values. Of an array, those of its first element.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let shapes: BTreeMap<_, _> = members.iter().map(|(name, value)| (name.clone(), shape(value))).collect();
            serde_json::to_value(shapes).unwrap()
        }
        Value::Array(values) => values.iter().take(1).map(shape).collect(),
        Value::String(_) => "text".into(),
        Value::Number(_) => 0.into(),
        value => value.clone(),
    }
}

/// Each number as `#`, so that what depends on the run is left out.
fn without_numbers(text: &str) -> String {
    let mut out = String::new();
    for char in text.chars() {
        match char {
            '0'..='9' if out.ends_with('#') => {}
            '0'..='9' => out.push('#'),
            char => out.push(char),
        }
    }
    out
}

#[test]
fn the_commands_of_the_manual_print_what_it_shows() {
    if !lab::have(&[Peer::Curl]) {
        return;
    }
    let manual = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/HTTP.md")).unwrap();
    let lab = Lab::new("desk");
    let _session = link(lab.relay.address(), &lab.server.0, 7);
    lab.refused_link();
    eventually("the history", || {
        let has_entry = |path: &str| !lab.site.get(path).json()["entries"][0].is_null();
        has_entry("/v1/history") && has_entry("/v1/history?failed=true")
    });
    let socket = lab.folder.join("http.sock").display().to_string();
    let mut blocks = manual.split("```").skip(1).step_by(2);
    let mut examples = 0;
    while let Some(block) = blocks.next() {
        let Some(command) = block.strip_prefix("sh\n").filter(|command| command.starts_with("curl ")) else { continue };
        let shown = blocks.next().unwrap();
        let run = command.replace("/run/spicewatch/http.sock", &socket);
        let output = Command::new("sh").args(["-c", &run]).output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        if let Some(shown) = shown.strip_prefix("json\n") {
            let parse = |text: &str| {
                shape(&serde_json::from_str(text).unwrap_or_else(|error| panic!("{command}: {error}: {text}")))
            };
            assert_eq!(parse(&printed), parse(shown), "{command}{printed}");
        } else {
            let shown = shown.strip_prefix("text\n").unwrap();
            assert_eq!(without_numbers(&printed), without_numbers(shown), "{command}");
        }
        examples += 1;
    }
    assert!(examples >= 4, "{examples}");
    for path in ["/healthz", "/metrics", "/v1/status", "/v1/sessions", "/v1/sessions/ID", "/v1/history", "/v1/events"] {
        assert!(manual.contains(&format!("`{path}`")), "{path}");
    }
    // Each metric is in the manual's table, and each of the table is there or needs what this relay lacks.
    let text = lab.site.get("/metrics").body;
    let names: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    for name in &names {
        assert!(manual.contains(&format!("| `{name}` |")), "docs/HTTP.md lacks {name}");
    }
    let table = manual.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    for name in table.filter(|name| name.starts_with("spicewatch_") || name.starts_with("process_")) {
        let needs_more = ["spicewatch_certificate_expiry_timestamp_seconds", "spicewatch_sessions_ended_total"];
        assert!(names.contains(&name) || needs_more.contains(&name), "there is no {name}");
    }
}

#[test]
fn alert_rules_and_dashboard_are_valid_and_name_metrics_that_exist() {
    let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/");
    let read = |name: &str| fs::read_to_string(format!("{docs}{name}")).unwrap();
    let (manual, alerts, dashboard) = (read("HTTP.md"), read("prometheus-alerts.yml"), read("grafana-dashboard.json"));
    let parsed: Value = serde_json::from_str(&dashboard).unwrap();
    let panels = parsed["panels"].as_array().unwrap();
    assert!(panels.len() >= 10);
    for panel in panels {
        let expressions = panel["targets"].as_array().unwrap().iter().map(|target| target["expr"].as_str());
        assert!(expressions.into_iter().all(|text| text.is_some_and(|text| text.contains("spicewatch_"))), "{panel}");
    }
    let is_name = |char: char| char.is_ascii_lowercase() || char == '_';
    let mut names = 0;
    for text in [&alerts, &dashboard] {
        for (at, _) in text.match_indices("spicewatch_") {
            let name = text[at..].split(|char| !is_name(char)).next().unwrap();
            let name = name.strip_suffix("_bucket").unwrap_or(name);
            assert!(manual.contains(&format!("| `{name}` |")), "there is no {name}");
            names += 1;
        }
    }
    assert!(names >= 20, "{names}");
    if lab::have(&[Peer::Promtool]) {
        let checked =
            Command::new("promtool").args(["check", "rules"]).arg(format!("{docs}prometheus-alerts.yml")).output();
        let checked = checked.unwrap();
        assert!(checked.status.success(), "{checked:?}");
    }
}

#[test]
fn picture_of_the_history_shows_each_session_and_hostile_names_as_text() {
    let lab = Lab::new("<script>desk & \"co\"");
    let live = link(lab.relay.address(), &lab.server.0, 7);
    drop(link(lab.relay.address(), &lab.server.0, 8));
    lab.refused_link();
    let history = format!("sqlite:{}", lab.folder.join("history.db").display());
    let draw = || {
        let spicewatch = env!("CARGO_BIN_EXE_spicewatch");
        let output = Command::new(spicewatch).args(["last", "--svg", "--history", &history]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let count = |svg: &str, class: &str| svg.matches(&format!("class=\"{class}\"")).count();
    // The legend has one of each.
    eventually("the picture", || {
        let svg = draw();
        (count(&svg, "live"), count(&svg, "bar"), count(&svg, "refused")) == (2, 2, 2)
    });
    let svg = draw();
    assert!(svg.contains("&lt;script&gt;desk &amp; &quot;co&quot;"), "{svg}");
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n") && !svg.contains("<script"), "{svg}");
    drop(live);
}
