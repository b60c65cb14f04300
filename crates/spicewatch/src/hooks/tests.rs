use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use serde_json::json;
use spice_sessions::{Record, Uuid};
use tempfile::TempDir;

use super::{HookCommand, HookCounts, HookSettings, HookTable, Hooks};

const PATIENCE: Duration = Duration::from_secs(60);

fn record(action: &str, vm: &str, client: &str) -> Record {
    serde_json::from_value(json!({
        "@timestamp": "2026-11-28T08:00:00Z",
        "event": {
            "kind": "event", "category": [], "type": [], "action": action, "outcome": "success", "start": "2026-11-28T07:00:00Z",
            "duration": 3_600_000_000_000_u64, "reason": "client_left",
        },
        "session": {"id": Uuid::from_u128(7)},
        "vm": {"name": vm},
        "client": {"address": client, "port": 4711, "bytes": 5},
        "server": {},
        "network": {"protocol": "spice"},
        "tls": {"established": false},
        "spice": {"stage": "channel", "source": "relay", "ended_by": "client"},
    }))
    .unwrap()
}

/// A folder with hooks that write into it.
struct Lab(TempDir);

impl Lab {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A hook that is a shell script. `$OUT` is this folder.
    fn script(&self, name: &str, body: &str) -> HookCommand {
        let path = self.path(&format!("{name}.sh"));
        fs::write(&path, format!("OUT={}\n{body}\n", self.0.path().display())).unwrap();
        // The file is not run itself: while another test starts a process, that one may have it open for writing.
        serde_json::to_string(&["/bin/sh", path.to_str().unwrap()]).unwrap().parse().unwrap()
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// Waits until a file has this many lines.
    #[track_caller]
    fn wait_for_lines(&self, name: &str, count: usize) -> String {
        eventually(&format!("{count} lines of {name}"), || self.read(name).lines().count() >= count);
        self.read(name)
    }
}

#[track_caller]
fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        thread::sleep(Duration::from_millis(5));
    }
}

fn hooks(settings: HookSettings) -> Hooks {
    settings.check().unwrap();
    Hooks::start(HookTable::new(settings)).unwrap()
}

fn is_running(process: &str) -> bool {
    Path::new("/proc").join(process.trim()).exists()
}

#[test]
fn hook_gets_the_record_on_stdin_and_its_members_in_a_clean_environment() {
    let lab = Lab::new();
    let end = lab.script("end", "cat > $OUT/input; env | sort > $OUT/unfinished; mv $OUT/unfinished $OUT/env");
    let hooks = hooks(HookSettings { on_session_end: Some(end), ..HookSettings::default() });
    let ended = record("session-ended", "desk", "10.0.0.1");
    hooks.take(&ended, || 2);
    eventually("the environment", || lab.path("env").exists());
    assert_eq!(serde_json::from_str::<Record>(&lab.read("input")).unwrap(), ended);
    let own = lab.read("env");
    // The shell adds these.
    let own: Vec<_> = own
        .lines()
        .filter(|line| !["PWD=", "_=", "OLDPWD=", "SHLVL="].iter().any(|own| line.starts_with(own)))
        .collect();
    assert_eq!(
        own,
        [
            "LANG=C.UTF-8",
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "SPICEWATCH_CLIENT=10.0.0.1",
            "SPICEWATCH_CLIENT_PORT=4711",
            "SPICEWATCH_ENDED_BY=client",
            "SPICEWATCH_HOOK=on-session-end",
            "SPICEWATCH_REASON=client_left",
            "SPICEWATCH_SECONDS=3600",
            "SPICEWATCH_SESSION=00000000-0000-0000-0000-000000000007",
            "SPICEWATCH_SESSIONS=2",
            "SPICEWATCH_TLS=0",
            "SPICEWATCH_VM=desk",
        ]
    );
    assert_eq!(hooks.counts(), HookCounts { run: 1, ..HookCounts::default() });
}

#[test]
fn hostile_bytes_of_a_peer_do_no_harm_in_the_environment() {
    let lab = Lab::new();
    // As careless as a script can be: no quotes, eval, and an option.
    let careless =
        "eval x=$SPICEWATCH_CLIENT; ls $SPICEWATCH_CLIENT; printf '%s\\n' \"$SPICEWATCH_CLIENT\" >> $OUT/clients";
    let hooks =
        hooks(HookSettings { on_link_refused: Some(lab.script("refused", careless)), ..HookSettings::default() });
    let harm = format!("touch {}", lab.path("harm").display());
    let hostile = [
        format!("$({harm})"),
        format!("`{harm}`"),
        format!("a; {harm}"),
        format!("a\n{harm}\n"),
        format!("a & {harm}"),
        format!("() {{ :; }}; {harm}"),
        format!("'; {harm} #"),
        "--help".to_owned(),
        "a\0b".to_owned(),
        "\u{1b}[2J\u{202e}".to_owned(),
        "/*/*".to_owned(),
        "x".repeat(100_000),
    ];
    for (number, client) in (1..).zip(&hostile) {
        hooks.take(&record("link-refused", "desk", client), || 0);
        lab.wait_for_lines("clients", number);
    }
    assert!(!lab.path("harm").exists());
    let seen = lab.read("clients");
    assert_eq!(seen.lines().count(), hostile.len(), "no value has a line end: {seen}");
    assert!(seen.lines().all(|line| line.len() <= 256 && !line.starts_with('-')), "{seen}");
    let signs = HashSet::from(['.', ':', '/', '_', '-', '@', '%', '+']);
    assert!(
        seen.lines().all(|line| line.chars().all(|char| char.is_alphanumeric() || signs.contains(&char))),
        "{seen}"
    );
}

#[test]
fn hook_that_hangs_is_ended_with_its_children_and_delays_no_other_vm() {
    let lab = Lab::new();
    // Neither the script nor its child ends at SIGTERM.
    let hang = "trap '' TERM; sleep 1000 & echo $! > $OUT/child; echo $$ > $OUT/parent; while :; do sleep 1000; done";
    let mut table = HookTable::new(HookSettings {
        on_session_start: Some(lab.script("start", "echo $SPICEWATCH_VM >> $OUT/started")),
        ..HookSettings::default()
    });
    let hanging = HookSettings {
        on_session_start: Some(lab.script("hang", hang)),
        hook_seconds: Some(1),
        ..HookSettings::default()
    };
    table.insert("stuck".to_owned(), hanging);
    let hooks = Hooks::start(table).unwrap();
    hooks.take(&record("session-started", "stuck", "10.0.0.1"), || 1);
    eventually("a hook that hangs", || !lab.read("parent").is_empty());
    let (parent, child) = (lab.read("parent"), lab.read("child"));
    hooks.take(&record("session-started", "desk", "10.0.0.1"), || 1);
    assert_eq!(lab.wait_for_lines("started", 1), "desk\n");
    eventually("its end", || hooks.counts().timed_out == 1);
    eventually("the end of both processes", || !is_running(&parent) && !is_running(&child));
}

#[test]
fn hook_that_floods_its_stderr_or_reads_nothing_ends() {
    let lab = Lab::new();
    let flood = "yes a line of a hook >&2; echo flooded >> $OUT/over; exit 3";
    let hooks = hooks(HookSettings { on_session_end: Some(lab.script("flood", flood)), ..HookSettings::default() });
    let mut large = record("session-ended", "desk", "10.0.0.1");
    // More than a pipe takes, and the hook reads none of it.
    large.spice.anomalies = vec!["x".repeat(1_000_000).into()];
    hooks.take(&large, || 0);
    assert_eq!(lab.wait_for_lines("over", 1), "flooded\n");
    eventually("its failure", || hooks.counts().failed == 1);
}

#[test]
fn hooks_of_a_vm_run_one_at_a_time_in_order_and_too_many_are_dropped_and_counted() {
    let lab = Lab::new();
    let slow = "test -e $OUT/busy && echo overlap >> $OUT/overlaps; touch $OUT/busy
        while ! test -e $OUT/go; do sleep 0.01; done; cat $OUT/x 2>/dev/null
        echo $SPICEWATCH_HOOK $SPICEWATCH_SESSIONS >> $OUT/order; rm $OUT/busy";
    let slow = Some(lab.script("slow", slow));
    let hooks = hooks(HookSettings { on_session_end: slow.clone(), on_link_refused: slow, ..HookSettings::default() });
    hooks.take(&record("session-ended", "desk", "a"), || 0);
    eventually("the first", || lab.path("busy").exists());
    for number in 0..100 {
        hooks.take(&record("link-refused", "desk", "a"), || number);
    }
    for number in 1..=100 {
        hooks.take(&record("session-ended", "desk", "a"), || number);
    }
    // 32 refused links and 32 sessions wait.
    eventually("what is dropped", || hooks.counts().dropped == 68 + 68);
    fs::write(lab.path("go"), "").unwrap();
    let order = lab.wait_for_lines("order", 65);
    let first = std::iter::once("on-session-end 0".to_owned());
    let refused = (0..32).map(|number| format!("on-link-refused {number}"));
    let expected: Vec<_> =
        first.chain(refused).chain((1..=32).map(|number| format!("on-session-end {number}"))).collect();
    assert_eq!(order.lines().collect::<Vec<_>>(), expected);
    assert_eq!(lab.read("overlaps"), "");
    eventually("the counter", || hooks.counts().run == 65);
}

#[test]
fn vm_is_empty_only_if_no_client_comes_back_in_time() {
    let lab = Lab::new();
    let empty = Some(lab.script("empty", "echo $SPICEWATCH_VM $SPICEWATCH_HOOK $SPICEWATCH_REASON >> $OUT/empty"));
    let mut table =
        HookTable::new(HookSettings { on_vm_empty: empty, vm_empty_seconds: Some(600), ..HookSettings::default() });
    for vm in ["left", "returned", "shared"] {
        table.insert(vm.to_owned(), HookSettings { vm_empty_seconds: Some(1), ..HookSettings::default() });
    }
    let hooks = Hooks::start(table).unwrap();
    // The one who left comes last, so that the others would have been reported before.
    for (vm, live) in [("returned", 0), ("shared", 1), ("patient", 0)] {
        hooks.take(&record("session-ended", vm, "a"), || live);
    }
    hooks.take(&record("session-started", "returned", "a"), || 1);
    hooks.take(&record("session-ended", "left", "a"), || 0);
    lab.wait_for_lines("empty", 1);
    hooks.finish(Duration::from_secs(5));
    assert_eq!(lab.read("empty"), "left on-vm-empty client_left\n");
}

#[test]
fn hooks_that_run_at_the_end_are_waited_for_and_then_ended() {
    let lab = Lab::new();
    let (quick, slow) = ("echo quick >> $OUT/over", "echo $$ > $OUT/slow; exec sleep 1000");
    let mut table =
        HookTable::new(HookSettings { on_session_end: Some(lab.script("quick", quick)), ..HookSettings::default() });
    table.insert(
        "slow".to_owned(),
        HookSettings { on_session_end: Some(lab.script("slow", slow)), ..HookSettings::default() },
    );
    let hooks = Hooks::start(table).unwrap();
    hooks.take(&record("session-ended", "slow", "a"), || 0);
    eventually("the slow one", || !lab.read("slow").is_empty());
    hooks.take(&record("session-ended", "desk", "a"), || 0);
    hooks.take(&record("session-ended", "desk", "a"), || 0);
    eventually("the quick ones", || lab.read("over") == "quick\nquick\n");
    hooks.finish(Duration::from_millis(200));
    assert!(!is_running(&lab.read("slow")));
}

#[test]
fn command_is_a_path_or_an_array_and_must_be_a_program() {
    let lab = Lab::new();
    let parts = |text: &str| {
        text.parse::<HookCommand>()
            .map(|command| command.parts().map(|(program, rest)| (program.to_owned(), rest.to_vec())))
    };
    assert_eq!(parts("/bin/a b").unwrap(), Some(("/bin/a b".to_owned(), vec![])));
    assert_eq!(parts("[\"/bin/a\", \"b c\"]").unwrap(), Some(("/bin/a".to_owned(), vec!["b c".to_owned()])));
    assert_eq!(parts("").unwrap(), None);
    for wrong in ["bin/a", "[\"a\"]", "[1]", "[", "/a\0"] {
        assert!(parts(wrong).is_err(), "{wrong}");
    }
    fs::write(lab.path("text"), "no program").unwrap();
    for wrong in [lab.path("absent"), lab.path("text"), lab.0.path().to_owned()] {
        let command = Some(wrong.to_str().unwrap().parse().unwrap());
        let error = HookSettings { on_vm_empty: command, ..HookSettings::default() }.check().unwrap_err();
        assert!(error.starts_with("on-vm-empty: /"), "{error}");
    }
    let error = HookSettings { hook_seconds: Some(0), ..HookSettings::default() }.check().unwrap_err();
    assert!(error.starts_with("expected hook-seconds to be from 1"), "{error}");
}
