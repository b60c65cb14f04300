//! The event stream of qmp-client beside a real QEMU: 1,000 sessions, and restarts of QEMU in between.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod relay_lab;

use std::{
    collections::BTreeSet,
    fs,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use qmp_client::{Address, EventStream, Options, Update};
use qmp_schema::{Encode as _, Event, Return, SpiceBasicInfo, SpiceChannel, SpiceInfo};
use relay_lab::{compare::report, eventually};
use spice_testkit::{
    lab::{self, Peer, Scratch, Vm},
    spice_conformance::{Mess, Subject, Target, Wire, spice_link::ChannelType},
};

/// Sessions in all, and of each QEMU.
const SESSIONS: usize = 1000;
const PER_QEMU: usize = 250;
/// Sessions after which the table is compared.
const CHECK_EVERY: usize = 10;
/// What following may add to this process's memory after the first QEMU, in bytes. The lines of one QEMU, which the test keeps
/// twice, have 1 MiB.
const MEMORY: usize = 8 << 20;

/// What a follower knows.
#[derive(Debug, Default)]
struct Followed {
    /// Connections to QEMU, those in front of which events may be missing, and those that ended.
    connected: usize,
    after_a_loss: usize,
    disconnected: usize,
    /// The SPICE events of the last connection, in QEMU's bytes.
    events: Vec<String>,
    /// The channels that are open, as `query-spice` has them.
    channels: BTreeSet<String>,
}

impl Followed {
    fn apply(&mut self, update: Update) {
        match update {
            Update::Connected { may_have_missed, .. } => {
                self.connected += 1;
                self.after_a_loss += usize::from(may_have_missed);
                self.events.clear();
            }
            Update::Spice(spice) => self.channels = channels(spice.unwrap()),
            Update::Event(message) => {
                match &message.event {
                    Event::SpiceInitialized(data) => _ = self.channels.insert(text(&data.client)),
                    Event::SpiceDisconnected(data) => self.remove(&data.client),
                    _ => {}
                }
                self.events.push(String::from_utf8(message.to_vec()).unwrap());
            }
            Update::Disconnected { .. } => self.disconnected += 1,
            other => panic!("{other:?}"),
        }
    }

    fn remove(&mut self, client: &SpiceBasicInfo<'_>) {
        let address = format!("{{\"port\": \"{}\", ", client.port);
        self.channels.retain(|channel| !channel.starts_with(&address));
    }
}

fn channels(spice: SpiceInfo<'_>) -> BTreeSet<String> {
    spice.channels.unwrap().iter().map(text).collect()
}

fn text(channel: &SpiceChannel<'_>) -> String {
    String::from_utf8(channel.to_vec()).unwrap()
}

/// Follows QEMU at this address until the process ends.
fn follow(path: &Path) -> Arc<Mutex<Followed>> {
    let followed: Arc<Mutex<Followed>> = Arc::default();
    let shared = Arc::clone(&followed);
    let options = Options::default().pauses(Duration::from_millis(10), Duration::from_millis(100));
    let mut events = EventStream::new(Address::Unix(path.to_owned()), options);
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            loop {
                let update = events.next().await;
                shared.lock().unwrap().apply(update);
            }
        });
    });
    followed
}

/// One session: a main channel and an inputs channel. It replaces the session before.
fn session(server: SocketAddr) -> [Wire; 2] {
    let subject = Subject::new(Target::new(server).with_time_limit(lab::PATIENCE));
    let main = subject.link(&Mess::default()).unwrap();
    let id = main.main_init().unwrap().0;
    [main, subject.link(&Mess::channel(id, ChannelType::INPUTS, 0)).unwrap()]
}

/// The resident memory of this process, in bytes.
fn memory() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

#[test]
fn followed_sessions_equal_query_spice_across_restarts_of_qemu() {
    if !lab::have(&[Peer::Qemu]) {
        return;
    }
    let scratch = Scratch::new().unwrap();
    let path = scratch.join("followed.qmp");
    let followed = follow(&path);
    let (mut checks, mut events, mut before) = (0, 0, 0);
    for qemu in 1..=SESSIONS / PER_QEMU {
        let port = lab::free_port().unwrap();
        let mut vm = Vm::boot_with(&format!("port={port},addr=127.0.0.1,disable-ticketing=on"), |command| {
            command.arg("-qmp").arg(format!("unix:{},server=on,wait=off", path.display()));
        })
        .unwrap();
        eventually("the follower connects", || followed.lock().unwrap().connected == qemu);
        let server = SocketAddr::from(([127, 0, 0, 1], port));
        let mut open = None;
        for number in 1..=PER_QEMU {
            open = Some(session(server));
            if number % CHECK_EVERY == 0 {
                // QEMU has sent everything that it has to say about the session before.
                vm.events().wait_for("SPICE_DISCONNECTED", 2 * (number - 1)).unwrap();
                let reply = vm.events().execute(r#"{"execute": "query-spice"}"#).unwrap();
                let reply: Return<'_> = qmp_schema::from_str(reply.trim_end()).unwrap();
                let theirs = channels(reply.value.decode().unwrap());
                assert_eq!(theirs.len(), 2);
                eventually("the table equals query-spice", || followed.lock().unwrap().channels == theirs);
                checks += 1;
            }
        }
        drop(open);
        vm.events().wait_for("SPICE_DISCONNECTED", 2 * PER_QEMU).unwrap();
        let is_spice = |line: &String| line.contains("\"event\": \"SPICE_");
        let theirs: Vec<String> =
            vm.events().lines().into_iter().filter(is_spice).map(|line| line.trim_end().to_owned()).collect();
        eventually("all events", || {
            followed.lock().unwrap().events.iter().filter(|line| is_spice(line)).count() >= theirs.len()
        });
        let ours: Vec<String> = followed.lock().unwrap().events.iter().filter(|line| is_spice(line)).cloned().collect();
        assert_eq!(ours, theirs, "each event once, in QEMU's order and bytes");
        events += theirs.len();
        vm.kill().unwrap();
        if before == 0 {
            before = memory();
        }
    }
    let grown = memory().saturating_sub(before);
    assert!(grown < MEMORY, "{grown} bytes more after {SESSIONS} sessions");
    let followed = followed.lock().unwrap();
    assert_eq!(followed.after_a_loss, SESSIONS / PER_QEMU - 1, "the restarts are reported");
    assert_eq!(events, 6 * SESSIONS);
    report(&format!("{SESSIONS} sessions, {events} events, {checks} checks, {grown} bytes more"));
}
