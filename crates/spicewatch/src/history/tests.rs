use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::json;
use spice_sessions::{Reason, Record, Timestamp, Uuid};
use tempfile::TempDir;

use super::{
    Entry, Filter, History, Location, Reader, Retention, from_micros,
    writer::{Database, HEARTBEAT},
};

/// Second 0 of these tests.
const START: i64 = 1_795_000_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp { seconds: START + seconds, microseconds: 0 }
}

fn text(at: Timestamp) -> String {
    jiff::Timestamp::new(at.seconds, 0).unwrap().to_string()
}

/// A session, or a refused link for number 0.
fn record(number: u128, vm: &str, client: &str, start: i64, end: Option<i64>) -> Box<Record> {
    let action = match (number, end) {
        (0, _) => "link-refused",
        (_, None) => "session-started",
        (_, Some(_)) => "session-ended",
    };
    let reason = end.map(|_| if number == 0 { "permission_denied" } else { "client_left" });
    let mut record = json!({
        "@timestamp": text(at(end.unwrap_or(start))),
        "event": {"kind": "event", "category": [], "type": [], "action": action, "outcome": "success", "start": text(at(start))},
        "vm": {"name": vm},
        "client": {"address": client, "bytes": 5},
        "server": {},
        "network": {"protocol": "spice"},
        "tls": {"established": false},
        "spice": {"stage": "channel", "source": "relay"},
    });
    if number > 0 {
        record["session"] = json!({"id": Uuid::from_u128(number)});
    }
    if let Some((end, reason)) = end.zip(reason) {
        record["event"]["end"] = text(at(end)).into();
        record["event"]["reason"] = reason.into();
    }
    serde_json::from_value(record).unwrap()
}

struct Lab {
    location: Location,
    _folder: TempDir,
}

impl Lab {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { location: Location(folder.path().join("history.db")), _folder: folder }
    }

    fn open(&self, now: i64) -> Database {
        Database::open(&self.location.0, "relay", at(now)).unwrap()
    }

    fn read(&self, filter: &Filter, now: i64) -> Vec<Entry> {
        Reader::open(&self.location).unwrap().entries(filter, at(now)).unwrap()
    }

    /// The numbers of the sessions, the newest first.
    fn numbers(&self, filter: &Filter) -> Vec<u128> {
        let number = |entry: &Entry| entry.record.session.as_ref().map_or(0, |session| session.id.as_u128());
        self.read(filter, 1000).iter().map(number).collect()
    }
}

#[test]
fn entries_are_found_by_each_condition() {
    let lab = Lab::new();
    let mut database = lab.open(0);
    let batch = [
        record(1, "desk", "10.0.0.1", 100, Some(200)),
        record(2, "desk", "10.0.0.2", 150, None),
        record(0, "desk", "10.0.0.1", 160, Some(161)),
        record(3, "lab", "10.0.0.1", 300, None),
        // The end of a session has the same row as its start.
        record(3, "lab", "10.0.0.1", 300, Some(300)),
    ];
    database.write(&batch, at(1000), false).unwrap();
    let all = Filter::default;
    for (filter, expected) in [
        (all(), &[3, 2, 1][..]),
        (Filter { limit: 2, ..all() }, &[3, 2]),
        (Filter { vm: Some("desk".into()), ..all() }, &[2, 1]),
        (Filter { vm: Some("des".into()), ..all() }, &[]),
        (Filter { client: Some("10.0.0.1".into()), ..all() }, &[3, 1]),
        (Filter { failed: true, ..all() }, &[0]),
        (Filter { failed: true, client: Some("10.0.0.2".into()), ..all() }, &[]),
        (Filter { since: Some(at(150)), ..all() }, &[3, 2]),
        (Filter { until: Some(at(150)), ..all() }, &[2, 1]),
        (Filter { since: Some(at(101)), until: Some(at(299)), ..all() }, &[2]),
        (Filter { present: Some(at(99)), ..all() }, &[]),
        (Filter { present: Some(at(100)), ..all() }, &[1]),
        (Filter { present: Some(at(160)), ..all() }, &[2, 1]),
        (Filter { present: Some(at(200)), ..all() }, &[2]),
        (Filter { present: Some(at(300)), ..all() }, &[2]),
        (Filter { present: Some(at(i64::from(u32::MAX))), ..all() }, &[2]),
        (Filter { present: Some(at(160)), failed: true, ..all() }, &[0]),
    ] {
        assert_eq!(lab.numbers(&filter), expected, "{filter:?}");
    }
    let seen = lab.read(&all(), 1000);
    assert_eq!(seen[0].record.event.reason, Some(Reason::ClientLeft));
    assert_eq!(seen.iter().map(|entry| entry.is_live).collect::<Vec<_>>(), [false, true, false]);
}

#[test]
fn sessions_of_a_killed_process_end_at_its_last_heartbeat() {
    let lab = Lab::new();
    let mut database = lab.open(0);
    database.write(&[record(1, "desk", "a", 10, None)], at(60), false).unwrap();
    assert!(Database::open(&lab.location.0, "relay", at(61)).is_err(), "one writer at a time");
    // Without a further heartbeat.
    drop(database);
    let check = |now: i64, reason: Option<Reason>| {
        let entry = lab.read(&Filter::default(), now).remove(0);
        assert_eq!((entry.is_live, entry.record.event.reason), (reason.is_none(), reason), "at {now}");
        if reason.is_some() {
            assert_eq!(entry.record.event.end, Some(at(60)));
            assert_eq!(entry.record.event.duration, Some(50_000_000_000));
        }
    };
    let silence = i64::try_from(3 * HEARTBEAT.as_secs()).unwrap();
    check(60 + silence, None);
    // A reader sees it before the next start, and that start writes it.
    check(61 + silence, Some(Reason::RelayDied));
    let next = lab.open(500);
    check(501, Some(Reason::RelayDied));
    assert!(lab.numbers(&Filter { present: Some(at(61)), ..Filter::default() }).is_empty());
    drop(next);
}

#[test]
fn old_entries_are_removed_and_live_ones_are_not() {
    const DAY: i64 = 24 * 3600;
    let lab = Lab::new();
    let mut database = lab.open(0);
    // A session each day for 800 days, seen on the last of them.
    let batch: Vec<_> = (0..800)
        .map(|day| record(u128::try_from(day).unwrap() + 1, "desk", "a", day * DAY, Some(day * DAY + 60)))
        .chain([record(1000, "desk", "a", 5, None), record(0, "desk", "a", 5, Some(6))])
        .collect();
    database.write(&batch, at(799 * DAY), false).unwrap();
    let oldest = super::micros(at(400 * DAY));
    assert_eq!(database.remove(oldest).unwrap(), 401);
    assert_eq!(database.remove(oldest).unwrap(), 0);
    let left = lab.numbers(&Filter::default());
    assert_eq!((left.len(), left[399], left[400]), (401, 401, 1000));
    assert!(lab.numbers(&Filter { failed: true, ..Filter::default() }).is_empty());
    assert_eq!(lab.numbers(&Filter { present: Some(at(10)), ..Filter::default() }), [1000]);
}

#[test]
fn oldest_entries_are_removed_until_the_rest_fits_and_live_ones_are_not() {
    let lab = Lab::new();
    let mut database = lab.open(0);
    let live = record(9000, "desk", "a", 0, None);
    let batch: Vec<_> =
        (1..=5000_u32).map(|n| record(n.into(), "desk", "a", n.into(), Some(n.into()))).chain([live]).collect();
    database.write(&batch, at(5000), false).unwrap();
    let full = database.bytes().unwrap();
    assert_eq!(database.shrink(full).unwrap(), 0);
    assert_eq!(database.shrink(full / 2).unwrap(), 1000);
    while database.shrink(full / 2).unwrap() > 0 {}
    assert!(database.bytes().unwrap() <= full / 2);
    let left = lab.numbers(&Filter::default());
    assert_eq!((left[0], *left.last().unwrap()), (5000, 9000));
    assert!(left.len() > 2000 && left[..left.len() - 1].windows(2).all(|pair| pair[0] == pair[1] + 1), "the newest");
    // What is written next uses the free pages.
    let size = || std::fs::metadata(&lab.location.0).unwrap().len();
    let before = size();
    for n in 5001..=6000_u32 {
        database.write(&[record(n.into(), "desk", "a", n.into(), Some(n.into()))], at(6000), false).unwrap();
    }
    assert!(size() <= before + before / 10, "{before} {}", size());
    // A limit that nothing fits in leaves what is live.
    while database.shrink(1).unwrap() > 0 {}
    assert_eq!(lab.numbers(&Filter::default()), [9000]);
}

/// The environment variable with the path of the database that the child of the next test writes.
const KILLED_WRITER: &str = "SPICEWATCH_TEST_KILLED_WRITER";

/// Not a test by itself: the process that `kill_loses_nothing_that_was_acknowledged` kills. It prints the number of each session that is committed.
#[test]
fn writer_that_is_killed() {
    let Some(path) = std::env::var_os(KILLED_WRITER) else { return };
    let mut database = Database::open(Path::new(&path), "relay", at(0)).unwrap();
    let start = u128::from(std::process::id()) * 10_000_000;
    for number in (start..).step_by(20) {
        let ended = |number| record(number, "desk", "a", 1, Some(2));
        let live = |number| record(number, "desk", "a", 1, None);
        let batch: Vec<_> = (number..number + 20).flat_map(|number| [live(number), ended(number)]).collect();
        database.write(&batch, at(3), false).unwrap();
        // Past the test harness, which would hold it back.
        let mut out = std::fs::File::options().write(true).open("/proc/self/fd/1").unwrap();
        writeln!(out, "acknowledged {}", number + 19).unwrap();
    }
}

#[test]
fn kill_loses_nothing_that_was_acknowledged() {
    let lab = Lab::new();
    let mut acknowledged = Vec::new();
    let mut random = 0x9e37_79b9_u32;
    for _ in 0..20 {
        let mut writer = Command::new(std::env::current_exe().unwrap());
        writer.args(["--exact", "history::tests::writer_that_is_killed", "--nocapture"]);
        let mut writer = writer.env(KILLED_WRITER, &lab.location.0).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(writer.stdout.take().unwrap()).lines().map_while(Result::ok);
        let number = |line: String| line.strip_prefix("acknowledged ")?.parse::<u128>().ok();
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let wanted = usize::try_from(random >> 29).unwrap() + 1;
        let seen: Vec<_> = lines.by_ref().filter_map(number).take(wanted).collect();
        assert_eq!(seen.len(), wanted);
        // Somewhere in one of the next transactions.
        for _ in 0..random % 500_000 {
            std::hint::spin_loop();
        }
        writer.kill().unwrap();
        writer.wait().unwrap();
        acknowledged.extend(seen);
        acknowledged.extend(lines.filter_map(number));
    }
    let database = rusqlite::Connection::open(&lab.location.0).unwrap();
    let check: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
    drop(database);
    let found: std::collections::HashSet<_> = lab.numbers(&Filter::default()).into_iter().collect();
    println!("{} transactions acknowledged, {} sessions found", acknowledged.len(), found.len());
    for last in acknowledged {
        assert!((last - 19..=last).all(|number| found.contains(&number)), "{last}");
    }
    // All of a transaction or nothing, and no session was left open.
    assert_eq!(found.len() % 20, 0);
    assert!(
        lab.read(&Filter::default(), 1000).iter().all(|entry| entry.record.event.reason == Some(Reason::ClientLeft))
    );
}

/// `SPICEWATCH_HISTORY_SESSIONS=1000000 cargo test --release -p spicewatch history::tests::who -- --nocapture` prints figures.
#[test]
fn who_was_there_is_found_among_many_sessions() {
    let count =
        std::env::var("SPICEWATCH_HISTORY_SESSIONS").ok().and_then(|count| count.parse().ok()).unwrap_or(2000_i64);
    let lab = Lab::new();
    let mut database = lab.open(0);
    // A session begins each 30 seconds, and lasts up to two hours: some 120 at a time.
    let span = |number: i64| (number * 30, number * 30 + number * 7919 % 7200);
    let start = Instant::now();
    let numbers: Vec<_> = (1..=count).collect();
    for part in numbers.chunks(1000) {
        let batch: Vec<_> = part
            .iter()
            .map(|number| {
                let (start, end) = span(*number);
                let (vm, client) =
                    (format!("vm{}", number % 500), format!("10.0.{}.{}", number / 256 % 256, number % 256));
                record(u128::try_from(*number).unwrap(), &vm, &client, start, Some(end))
            })
            .collect();
        database.write(&batch, at(count * 30), false).unwrap();
    }
    println!("{count} sessions written in {:?}", start.elapsed());
    let middle = count / 2 * 30 + 11;
    let expected = numbers.iter().rev().filter(|number| {
        let (start, end) = span(**number);
        start <= middle && middle < end
    });
    let expected: Vec<_> = expected.map(|number| u128::try_from(*number).unwrap()).collect();
    let filter = Filter { present: Some(at(middle)), ..Filter::default() };
    for (name, filter, expected) in [
        ("present", filter.clone(), expected),
        ("client", Filter { client: Some("10.0.1.7".into()), limit: 1, ..Filter::default() }, Vec::new()),
    ] {
        let start = Instant::now();
        let seen = lab.numbers(&filter);
        println!("{name}: {} sessions in {:?}", seen.len(), start.elapsed());
        if expected.is_empty() {
            assert_eq!(seen.len(), 1);
        } else {
            assert_eq!(seen, expected);
        }
    }
}

/// `SPICEWATCH_HISTORY_SECONDS=10 cargo test --release -p spicewatch history::tests::sessions_at -- --nocapture` records 5,000 sessions a second for
/// that time, and prints how long the sender was held up.
#[test]
fn sessions_at_a_high_rate_are_recorded_without_loss() {
    const EACH_SECOND: u32 = 5000;
    let seconds = std::env::var("SPICEWATCH_HISTORY_SECONDS").ok().and_then(|seconds| seconds.parse::<u32>().ok());
    // Without it: fewer records than the queue holds, so that no speed is assumed.
    let count = seconds.map_or(2000, |seconds| seconds * EACH_SECOND);
    let lab = Lab::new();
    let history = History::start(&lab.location, "relay", Retention::new(400, 0), None).unwrap();
    let (start, mut longest, mut total) = (Instant::now(), Duration::ZERO, Duration::ZERO);
    for number in 1..=count {
        if seconds.is_some() {
            let due = start + Duration::from_secs(1) / EACH_SECOND * number;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        let at = i64::from(number);
        for record in [record(number.into(), "desk", "a", at, None), record(number.into(), "desk", "a", at, Some(at))] {
            let before = Instant::now();
            assert!(history.send(&record), "a record was lost after {number} sessions");
            let took = before.elapsed();
            (longest, total) = (longest.max(took), total + took);
        }
    }
    let sent = start.elapsed();
    history.finish(Duration::from_secs(60));
    println!(
        "{count} sessions sent in {sent:?}, written in {:?}; a record held up the sender for {:?} on average, {longest:?} at most",
        start.elapsed(),
        total / (2 * count)
    );
    assert_eq!(history.lost(), 0);
    let found = lab.read(&Filter::default(), i64::from(count));
    assert_eq!(found.len(), usize::try_from(count).unwrap());
    assert!(found.iter().all(|entry| entry.record.event.reason == Some(Reason::ClientLeft)));
}

#[test]
fn files_that_are_no_history_are_left_alone() {
    let lab = Lab::new();
    let error = |location: &Location| Reader::open(location).unwrap_err().to_string();
    assert!(error(&lab.location).contains("unable to open database file"), "{}", error(&lab.location));
    std::fs::write(&lab.location.0, "no database, but long enough to be looked at".repeat(100)).unwrap();
    assert_eq!(error(&lab.location), "file is not a database");
    assert!(Database::open(&lab.location.0, "relay", at(0)).is_err());
    assert!(std::fs::read_to_string(&lab.location.0).unwrap().starts_with("no database"));
    // One of a newer program.
    let newer = Lab::new();
    drop(newer.open(0));
    let connection = rusqlite::Connection::open(&newer.location.0).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    let line = "the history has version 99, of a newer spicewatch; this one knows 1";
    assert_eq!(error(&newer.location), line);
    let opened = Database::open(&newer.location.0, "relay", at(0)).err().unwrap();
    assert_eq!(opened.to_string(), line);
    assert_eq!(from_micros(-1), Timestamp { seconds: -1, microseconds: 999_999 });
}

#[test]
fn pages_and_times_between_find_what_a_look_at_each_entry_finds() {
    let lab = Lab::new();
    let mut database = lab.open(0);
    let spans = [(0, Some(10)), (5, Some(50)), (5, None), (20, Some(20)), (30, Some(90)), (60, None), (60, Some(61))];
    let records: Vec<_> =
        (1..).zip(spans).map(|(number, (start, end))| record(number, "desk", "10.0.0.1", start, end)).collect();
    database.write(&records, at(100), false).unwrap();
    for (from, to) in [(0, 0), (10, 19), (11, 19), (20, 20), (51, 59), (61, 61), (0, 100), (91, 100)] {
        let was_there = |(start, end): &(i64, Option<i64>)| *start <= to && end.is_none_or(|end| end >= from);
        let mut expected: Vec<_> = (1..).zip(&spans).filter(|(_, span)| was_there(span)).map(|(id, _)| id).collect();
        expected.sort_by_key(|id: &u128| std::cmp::Reverse((spans[usize::try_from(*id).unwrap() - 1].0, *id)));
        let filter = Filter { during: Some((at(from), at(to))), ..Filter::default() };
        assert_eq!(lab.numbers(&filter), expected, "{from} to {to}");
        // The same, in pages of two.
        let (mut paged, mut before) = (Vec::new(), None);
        loop {
            let filter = Filter { before, limit: 2, ..filter.clone() };
            let page = lab.read(&filter, 100);
            let Some(last) = page.last() else { break };
            before = Some(last.place.to_string().parse().unwrap());
            paged.extend(lab.numbers(&filter));
        }
        assert_eq!(paged, expected, "{from} to {to}");
    }
}
