//! Comparisons: the relay's events with QEMU's, and the bytes on both sides of the relay.

use std::{
    io::{self, Write},
    thread,
    time::{Duration, Instant},
};

use spice_testkit::{
    events::{Connection, connections},
    lab::Vm,
};

use super::{Relay, eventually, tap::Talk};

/// How long the two event lists may take to agree.
const SETTLED: Duration = Duration::from_secs(10);

/// A connection's events without addresses and times, by its client's port.
pub type Said = (String, Vec<String>);

pub fn said(connection: &Connection<'_>) -> Said {
    (connection.client_port.to_owned(), connection.said())
}

/// Event lines by connection.
pub fn stories(lines: &[String]) -> Vec<Said> {
    connections(lines.iter().map(String::as_str)).iter().map(said).collect()
}

/// The names of each connection's events.
pub fn names(lines: &[String]) -> Vec<Vec<String>> {
    let found = connections(lines.iter().map(String::as_str));
    found
        .iter()
        .map(|one| one.events.iter().map(|event| event.name().trim_start_matches("SPICE_").to_owned()).collect())
        .collect()
}

fn all_over(lines: &[String]) -> bool {
    connections(lines.iter().map(String::as_str)).iter().all(Connection::is_over)
}

/// Writes to stderr which cell ran and its result, past the test harness that captures output.
pub fn report(line: &str) {
    let _ = writeln!(io::stderr(), "  {line}");
}

/// A comparison for the time when every connection has ended.
#[derive(Debug)]
pub struct Comparison<'a> {
    pub relay: &'a Relay,
    pub vm: &'a Vm,
    /// How many of QEMU's lines are older than the comparison.
    pub before: usize,
    /// The relay's client speaks TLS and QEMU's does not, so QEMU does not report TLS.
    pub tls_at_the_relay: bool,
    /// The tap between the relay and QEMU. QEMU reports its ports.
    pub behind: &'a [(String, String)],
}

impl Comparison<'_> {
    /// Waits until both have reported the end of every connection, and compares the events as bytes, except addresses and
    /// times. Returns how many connections and events there were.
    #[track_caller]
    pub fn check(&self, case: &str) -> (usize, usize) {
        self.vm.events().wait_for_quiet().unwrap();
        eventually(case, || all_over(&self.relay.events.all()));
        let mut ours = stories(&self.relay.events.all());
        let mut theirs = stories(&self.vm.events().lines()[self.before..]);
        if self.tls_at_the_relay {
            for said in theirs.iter_mut().flat_map(|story| &mut story.1) {
                *said = said.replace("\"tls\": false", "\"tls\": true");
            }
        }
        // A thread writes the log.
        eventually(&format!("{case}: the relay's log has the ports that QEMU names"), || {
            let seen: Vec<_> = self.relay.ports().iter().map(|(_, local)| self.seen_as(local)).collect();
            seen.is_empty() || theirs.iter().all(|story| seen.contains(&story.0))
        });
        let ports = self.relay.ports();
        if ports.is_empty() {
            // A client of a unix socket has no port: the events are compared without their ports.
            ours.iter_mut().chain(&mut theirs).for_each(|story| story.0.clear());
        } else {
            // QEMU reports the port of the peer that connected to it.
            let mut left: Vec<_> = ports.iter().map(|(client, local)| (client, self.seen_as(local))).collect();
            for story in &mut theirs {
                let place = left.iter().position(|(_, seen)| *seen == story.0);
                let place = place.unwrap_or_else(|| panic!("{case}: QEMU alone knows of {story:?}"));
                story.0.clone_from(left.remove(place).0);
            }
        }
        ours.sort();
        theirs.sort();
        assert!(!ours.is_empty(), "{case}: no event");
        assert_eq!(ours, theirs, "{case}: relay (left) and QEMU (right)");
        (ours.len(), ours.iter().map(|story| story.1.len()).sum())
    }

    /// The port that QEMU reports for a connection that the relay made from this port.
    fn seen_as(&self, local: &str) -> String {
        let behind = self.behind.iter().rev().find(|(from, _)| from == local);
        behind.map_or(local, |(_, to)| to).to_owned()
    }
}

/// Waits until the relay's connections have ended and both report them in the same way. The server may have had other clients.
#[track_caller]
pub fn same_of_ours(relay: &Relay, vm: &Vm, case: &str, hidden: fn(&str) -> String) {
    assert!(!relay.ports().is_empty());
    let theirs = || {
        let ports = relay.ports();
        let mut stories = stories(&vm.events().lines());
        stories.retain_mut(|story| {
            let client = ports.iter().find(|(_, local)| *local == story.0);
            story.1.iter_mut().for_each(|said| *said = hidden(said));
            client.map(|(client, _)| story.0.clone_from(client)).is_some()
        });
        stories.sort();
        stories
    };
    let ours = || {
        let mut stories = stories(&relay.events.all());
        stories.sort();
        stories
    };
    let deadline = Instant::now() + SETTLED;
    let (ours, theirs) = loop {
        // From the log, because a socket that the server leaks has no last event, and may stay for a while.
        let over = relay.ended() + relay.log.count("\"kind\":\"leaked\"") >= relay.ports().len();
        let both = (ours(), theirs());
        if over && both.0 == both.1 || Instant::now() > deadline {
            break both;
        }
        thread::sleep(Duration::from_millis(10));
    };
    let state = || format!("QEMU answers {:?} and has said {:?}", vm.settle(), vm.log());
    assert_eq!(ours, theirs, "{case}: relay (left) and QEMU (right); {}", state());
}

/// Compares the bytes on the client's side of the relay with those on the server's side, for each connection. Returns how many there
/// were, and how many of them a reset overtook: spice-gtk closes sockets with unread bytes.
#[track_caller]
pub fn same_bytes(outside: &[Talk], inside: &[Talk], case: &str) -> Passed {
    assert_eq!(outside.len(), inside.len(), "{case}: connections outside and inside");
    let mut left: Vec<&Talk> = inside.iter().collect();
    let mut passed = Passed::default();
    for outer in outside {
        // The first bytes identify a connection: tickets and handshakes have random bytes.
        let place =
            left.iter().position(|inner| outer.up.starts_with(&inner.up) && outer.up.is_empty() == inner.up.is_empty());
        let inner =
            left.remove(place.unwrap_or_else(|| panic!("{case}: a client's bytes do not arrive at the server")));
        assert!(inner.down.starts_with(&outer.down), "{case}: the client got other bytes than the server sent");
        let lost = (outer.up.len() - inner.up.len(), inner.down.len() - outer.down.len());
        let reset = outer.reset || inner.reset;
        assert!(reset || lost == (0, 0), "{case}: {lost:?} bytes were lost without a reset");
        passed.up += outer.up.len();
        passed.down += outer.down.len();
        passed.lost.0 += lost.0;
        passed.lost.1 += lost.1;
    }
    passed
}

/// What [`same_bytes`] counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Passed {
    pub up: usize,
    pub down: usize,
    /// How many bytes to the server and to the client a reset overtook.
    pub lost: (usize, usize),
}
