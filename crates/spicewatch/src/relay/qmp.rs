//! The QMP service of one VM: `query-spice`, answered from the live connections, and QEMU's built-in commands.
//!
//! What QEMU knows and a relay does not is left out or `unknown`, unless QEMU was asked (`--qemu-qmp`): `compiled-version`
//! is absent, `mouse-mode` is `unknown`, and the greeting has the version of `--qemu-version`, with `spicewatch` and the program's
//! version as its package. `migrated` is always false.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use qmp_schema::{Encode, EventInfo, SpiceInfo, SpiceQueryMouseMode};
use qmp_server::{Command, Limits, Reply, Service};
use spice_relay::{
    observe::SharedTracker,
    spice_events::{Auth, Channel, Connection, Timestamp, Tracker},
};

use super::{ask_qemu::Qemu, basics, details::ServerDetails, status::Status};

/// The largest message that is kept, in bytes and in tokens. QEMU's limit is 64 MiB. No command here needs a hundredth of it,
/// and over TCP any client may connect.
const MAX_MESSAGE: (usize, usize) = (64 << 10, 8 << 10);

/// The events that the relay publishes.
const SPICE_EVENTS: [&str; 3] = ["SPICE_CONNECTED", "SPICE_INITIALIZED", "SPICE_DISCONNECTED"];

/// Builds the service of one VM.
pub(super) fn service(
    tracker: &SharedTracker,
    details: &Arc<Mutex<ServerDetails>>,
    status: Status,
    qemu: Option<&Arc<Qemu>>,
) -> Service {
    let (version, name) = {
        let details = details.lock().unwrap_or_else(PoisonError::into_inner);
        (details.version.clone(), details.name.clone())
    };
    let query_spice = QuerySpice { tracker: tracker.clone(), details: Arc::clone(details), last: Mutex::default() };
    let mut limits = Limits::default();
    (limits.token_bytes, limits.tokens) = MAX_MESSAGE;
    basics::add(Service::builder(version), name.as_deref(), qemu)
        .limits(limits)
        .command(Command::new("query-spice", move |_| Ok(query_spice.reply())).returns(SpiceInfo::TYPE))
        .command(status.command())
        .events(SPICE_EVENTS.into_iter().filter_map(EventInfo::of))
        .build()
}

/// Answers `query-spice`. Clients that ask while nothing changes get the same bytes.
#[derive(Debug)]
struct QuerySpice {
    tracker: SharedTracker,
    details: Arc<Mutex<ServerDetails>>,
    /// The last reply, and what it was made of: the tracker's generation, and the details.
    last: Mutex<Option<(u64, ServerDetails, Reply)>>,
}

impl QuerySpice {
    fn reply(&self) -> Reply {
        let details = self.details.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let known = last.as_ref().filter(|(_, of, _)| *of == details).map(|(generation, ..)| *generation);
        let changed = self.tracker.look(|tracker| {
            let generation = tracker.generation();
            (known != Some(generation)).then(|| (generation, channels(tracker)))
        });
        match (&mut *last, changed) {
            (Some((.., reply)), None) => reply.clone(),
            (last, changed) => {
                let (generation, channels) = changed.unwrap_or_default();
                // Written without the tracker's lock, so that no connection waits for it.
                let reply = Reply::json(spice_info(&details, &channels).to_vec());
                last.insert((generation, details, reply)).2.clone()
            }
        }
    }
}

/// The channels that are up, the oldest first.
pub(super) fn channels(tracker: &Tracker) -> Vec<(Arc<Connection>, Channel)> {
    tracker.channels().iter().map(|live| (Arc::clone(live.connection), *live.channel)).collect()
}

/// The line that tells a reader of stdout how many of a VM's events it missed, in the form of an event. It lists the channels that are up.
pub(super) fn events_lost(vm: &str, lost: u64, tracker: &Tracker) -> Vec<u8> {
    let Timestamp { seconds, microseconds } = SystemTime::now().into();
    let channels = channels(tracker);
    let channels: Vec<_> = channels.iter().map(|(connection, channel)| channel.info(connection)).collect();
    let mut line = format!(
        "{{\"timestamp\": {{\"seconds\": {seconds}, \"microseconds\": {microseconds}}}, \"event\": \"__org.spicewatch_EVENTS_LOST\", \"data\": {{\"lost\": {lost}, \"vm\": "
    )
    .into_bytes();
    vm.write_to(&mut line);
    line.extend(b", \"channels\": ");
    channels.write_to(&mut line);
    line.extend(b"}}");
    line
}

fn spice_info<'a>(details: &'a ServerDetails, channels: &'a [(Arc<Connection>, Channel)]) -> SpiceInfo<'a> {
    SpiceInfo {
        enabled: true,
        migrated: false,
        host: details.host.as_deref().map(Into::into),
        port: details.port.map(Into::into),
        tls_port: details.tls_port.map(Into::into),
        auth: Some(details.auth.unwrap_or(Auth::Spice).name().into()),
        compiled_version: details.compiled_version.as_deref().map(Into::into),
        mouse_mode: details.mouse_mode.clone().unwrap_or(SpiceQueryMouseMode::Unknown),
        channels: Some(channels.iter().map(|(connection, channel)| channel.info(connection)).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use qmp_schema::Version;
    use spice_relay::spice_events::{Address, Config, Endpoints, FlowId, Input};

    /// `query-spice` of two clients at one state is written once, and shows each change.
    #[test]
    fn replies_are_shared_until_something_changes() {
        let tracker = SharedTracker::new(Config::new());
        let details = ServerDetails {
            name: None,
            host: None,
            port: None,
            tls_port: None,
            auth: None,
            version: Version::new(10, 2, 0, ""),
            compiled_version: None,
            mouse_mode: None,
        };
        let details = Arc::new(Mutex::new(details));
        let query = QuerySpice { tracker, details, last: Mutex::default() };
        let generation = || query.last.lock().unwrap().as_ref().map(|(generation, ..)| *generation);
        let first = query.reply();
        assert_eq!((generation(), query.reply() == first), (Some(0), true));
        query.details.lock().unwrap().mouse_mode = Some(SpiceQueryMouseMode::Client);
        let second = query.reply();
        assert_ne!(second, first);
        let mut tracker = Tracker::new(Config::new());
        let endpoints = Endpoints { server: Address::unix("a"), client: Address::unix("b") };
        let at = Timestamp { seconds: 0, microseconds: 0 };
        tracker.handle(at, FlowId(1), Input::Opened { endpoints, tls: false, readable: true });
        assert_eq!(tracker.generation(), 1);
        tracker.handle(at, FlowId(1), Input::Closed { by: None });
        assert_eq!(tracker.generation(), 2);
    }

    #[test]
    fn record_of_a_gap_has_the_form_of_an_event() {
        let line = events_lost("a \"b\"", 7, &Tracker::new(Config::new()));
        let line: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(line["event"], "__org.spicewatch_EVENTS_LOST");
        assert_eq!(line["data"], serde_json::json!({"lost": 7, "vm": "a \"b\"", "channels": []}));
    }
}
