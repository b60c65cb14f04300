//! What holds for any input, and for any interleaving of what is independent.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod trace;

use std::collections::HashMap;

use proptest::prelude::*;
use spice_sessions::{Action, Config, Record, Sessions, Source};
use trace::{Trace, check, millis};

/// What happens at one VM, with numbers of connections that no other VM has.
fn story(vm: u64, kind: u8) -> Vec<String> {
    let [a, b, c] = [1, 2, 3].map(|n| vm * 10 + n);
    let open = |n: u64, tls: &str| format!("{n} open vm{vm} 10.0.0.{vm}:{n} > h:5900 {tls}");
    let end = |n: u64, how: &str| vec![format!("{n} traffic 200 300"), format!("{n} end {how}"), format!("{n} close")];
    let link = |n: u64, channel: &str, id: i32| vec![open(n, ""), format!("{n} init {channel} {id}")];
    match kind {
        0 => [link(a, "main", 7), link(b, "inputs", 7), end(b, "client"), end(a, "client")].concat(),
        1 => [
            link(a, "main", 7),
            vec![open(c, "")],
            end(a, "server"),
            vec![format!("{c} init main 8")],
            end(c, "client-reset"),
        ]
        .concat(),
        2 => [vec![open(a, ""), format!("{a} anomaly result 7")], end(a, "server")].concat(),
        3 => [
            vec![open(a, ""), format!("{a} anomaly reply 5")],
            end(a, "server"),
            vec![open(b, "tls"), format!("{b} init main 9")],
            end(b, "client"),
        ]
        .concat(),
        _ => vec![open(a, ""), format!("{a} traffic 0 0"), format!("{a} end client"), format!("{a} close")],
    }
}

/// The records of each VM, without what depends on the others: times, sequence, and the numbers of sessions.
fn by_vm(records: &[Record]) -> HashMap<String, Vec<String>> {
    let mut lines = HashMap::<_, Vec<_>>::new();
    for record in records {
        let vm = record.vm.as_ref().unwrap().name.clone();
        let event = &record.event;
        let channels: Vec<_> = record.spice.channels.iter().map(|channel| channel.name.clone()).collect();
        let text = format!(
            "{:?} {:?} {:?} {:?} {:?} {:?} previous={} {:?}",
            event.action,
            event.outcome,
            event.reason,
            record.spice.connection_id,
            record.spice.ended_by,
            (record.client.bytes, record.server.bytes),
            record.session.as_ref().is_some_and(|session| session.previous_id.is_some()),
            channels,
        );
        lines.entry(vm).or_default().push(text);
    }
    lines
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn records_of_a_vm_do_not_depend_on_other_vms(
        kinds in prop::collection::vec(0_u8..5, 1..5),
        picks in prop::collection::vec(any::<prop::sample::Index>(), 64),
    ) {
        let stories: Vec<_> = (1..).zip(&kinds).map(|(vm, kind)| story(vm, *kind)).collect();
        let mut alone = Trace::new(Source::Relay);
        for story in &stories {
            alone.run(&story.join("\n"));
        }
        let mut left: Vec<_> = stories.iter().map(|story| story.iter()).collect();
        let mut mixed = Vec::new();
        for pick in picks.iter().cycle() {
            left.retain(|story| story.len() > 0);
            if left.is_empty() {
                break;
            }
            let story = pick.index(left.len());
            mixed.extend(left[story].next().cloned());
        }
        let mut together = Trace::new(Source::Relay);
        together.run(&mixed.join("\n"));
        prop_assert_eq!(by_vm(&together.records), by_vm(&alone.records));
    }

    #[test]
    fn every_started_session_has_one_end(steps in prop::collection::vec(any_step(), 0..200)) {
        let mut trace = Trace::new(Source::Relay);
        for n in 1..=8 {
            trace.run(&format!("{n} open vm{} a:{n} > h:5900", n % 3));
        }
        trace.run(&steps.join("\n"));
        let live = trace.sessions.len();
        let count = |trace: &Trace, action| {
            trace.records.iter().filter(|record| record.event.action == action).count()
        };
        prop_assert!(count(&trace, Action::SessionStarted) >= live + count(&trace, Action::SessionEnded));
        trace.run("end-all drained");
        let mut open = HashMap::new();
        for (sequence, record) in (0..).zip(&trace.records) {
            prop_assert_eq!(record.event.sequence, Some(sequence));
            let Some(session) = &record.session else { continue };
            match record.event.action {
                Action::SessionStarted => prop_assert!(open.insert(session.id, true).is_none()),
                Action::SessionEnded => prop_assert_eq!(open.insert(session.id, false), Some(true)),
                other => prop_assert!(false, "{:?}", other),
            }
            let json = serde_json::to_string(record).unwrap();
            prop_assert!(!json.contains('\n'), "a record is one line");
            prop_assert_eq!(&serde_json::from_str::<Record>(&json).unwrap(), record);
        }
        prop_assert!(open.values().all(|is_open| !is_open));
        prop_assert_eq!((trace.sessions.len(), trace.sessions.connections()), (0, 0));
        prop_assert_eq!(trace.sessions.next_timeout(), None);
        let counters = trace.sessions.counters();
        prop_assert_eq!(counters.started, counters.ended);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// At each step, the sessions may move to another process.
    #[test]
    fn sessions_that_move_make_the_same_records(
        steps in prop::collection::vec((any_step(), prop::bool::weighted(0.1)), 0..100),
    ) {
        let [mut stays, mut moves] = [(); 2].map(|()| Trace::new(Source::Relay));
        let opened = (1..=8).map(|n| (format!("{n} open vm{} a:{n} > h:5900", n % 3), false));
        for (step, is_moved) in opened.chain(steps) {
            stays.run(&step);
            if is_moved {
                let text = serde_json::to_string(&moves.sessions.state()).unwrap();
                let config = Config::new(Source::Relay, [0; 16]);
                moves.sessions = Sessions::restore(config, serde_json::from_str(&text).unwrap()).unwrap();
                prop_assert_eq!(serde_json::to_string(&moves.sessions.state()).unwrap(), text);
            }
            moves.run(&step);
            prop_assert_eq!(moves.sessions.next_timeout(), stays.sessions.next_timeout());
            prop_assert_eq!(
                (moves.sessions.len(), moves.sessions.linking(), moves.sessions.connections()),
                (stays.sessions.len(), stays.sessions.linking(), stays.sessions.connections())
            );
        }
        stays.run("end-all drained");
        moves.run("end-all drained");
        prop_assert_eq!(moves.records, stays.records);
    }
}

fn any_step() -> impl Strategy<Value = String> {
    let what = prop::sample::select(vec![
        "init main 7",
        "init main 8",
        "init main 0",
        "init inputs 7",
        "init inputs 9",
        "traffic 0 0",
        "traffic 500 600",
        "end client",
        "end server",
        "end none",
        "end drained",
        "close",
        "forget",
        "unreadable",
        "anomaly reply 5",
        "anomaly result 7",
        "anomaly migration-target",
        "anomaly leaked",
        "anomaly unlinked accept",
        "open vm1 a:1 > h:5900",
        "open - a:1 > h:5900",
        "open - b:1 > h:5901 tls",
    ]);
    prop_oneof![
        20 => (1_u8..=8, what).prop_map(|(flow, what)| format!("{flow} {what}")),
        1 => Just(millis(Config::TAKE_OVER_WAIT)),
        1 => Just("flush".to_owned()),
    ]
}

#[test]
fn same_input_makes_the_same_ids() {
    let steps = "1 open desk a:1 > b:5900\n1 init main 7\n1 end client\n1 close";
    let [first, second] = [(); 2].map(|()| {
        let mut trace = Trace::new(Source::Read);
        trace.run(steps);
        trace.records
    });
    assert_eq!(first, second);
    check(Source::Read, "flush", "");
}
