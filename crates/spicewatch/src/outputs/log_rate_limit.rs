//! A rate limit on log lines that peers cause. Without it, a client that connects and fails in a loop could fill a disk.
//!
//! Lines are counted by VM, kind and client, so that a client hides no other client's lines, and no other VM's.

use std::{
    collections::HashMap,
    fmt,
    net::{IpAddr, SocketAddr},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tracing::{
    Event,
    callsite::Identifier,
    field::{Field, Visit},
};

/// The tracing target of the program's lines that any client can cause as often as it likes.
pub(crate) const PEER_LOG_TARGET: &str = "spicewatch::peer";

/// How many lines of one VM, kind and client are written in each [`WINDOW`].
const CLIENT_LINES: u32 = 100;
/// How many lines of one VM and kind are written in each [`WINDOW`].
const VM_LINES: u32 = 400;
pub(crate) const WINDOW: Duration = Duration::from_secs(10);
/// The most characters of a name that are kept.
const MAX_NAME: usize = 100;

/// Counts lines.
#[derive(Debug, Default)]
pub(crate) struct LogRateLimit(Mutex<HashMap<Kind, Window>>);

/// A line of a peer: its kind, and the client that caused it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PeerLine {
    kind: Kind,
    client: String,
}

/// Lines that are counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Kind {
    /// The place in the program that writes the line.
    place: Identifier,
    /// Empty for lines without a VM.
    vm: String,
    name: String,
}

/// The lines of one kind since some time.
#[derive(Debug)]
struct Window {
    since: Instant,
    written: u32,
    left_out: u64,
    /// How many lines each client has caused that were written. There are no more clients than lines.
    clients: HashMap<String, u32>,
    /// Lines that were left out before `since`.
    unreported: u64,
}

/// What to do with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Written,
    /// Written, and no more lines like it for the rest of the window.
    WrittenLast,
    LeftOut,
}

/// How many lines of one kind were left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LeftOut {
    pub(crate) vm: String,
    pub(crate) kind: String,
    pub(crate) lines: u64,
}

impl LogRateLimit {
    /// Decides on a line.
    pub(crate) fn check(&self, line: &PeerLine, now: Instant) -> Verdict {
        let mut kinds = self.kinds();
        if !kinds.contains_key(&line.kind) {
            kinds.insert(line.kind.clone(), Window::new(now));
        }
        let Some(window) = kinds.get_mut(&line.kind) else { return Verdict::Written };
        if now.duration_since(window.since) >= WINDOW {
            *window = Window { unreported: window.unreported + window.left_out, ..Window::new(now) };
        }
        let by_client = window.clients.get(&line.client).copied().unwrap_or(0);
        if window.written == VM_LINES || by_client == CLIENT_LINES {
            window.left_out += 1;
            return Verdict::LeftOut;
        }
        window.written += 1;
        window.clients.insert(line.client.clone(), by_client + 1);
        let is_last = window.written == VM_LINES || by_client + 1 == CLIENT_LINES;
        if is_last { Verdict::WrittenLast } else { Verdict::Written }
    }

    /// The lines that were left out in windows that are over. Each is returned once.
    pub(crate) fn ended(&self, now: Instant) -> Vec<LeftOut> {
        let mut left_out = Vec::new();
        for (Kind { vm, name, .. }, window) in &mut *self.kinds() {
            let mut lines = std::mem::take(&mut window.unreported);
            if now.duration_since(window.since) >= WINDOW {
                lines += std::mem::take(&mut window.left_out);
            }
            if lines > 0 {
                left_out.push(LeftOut { vm: vm.clone(), kind: name.clone(), lines });
            }
        }
        left_out
    }

    /// When the first window is over that has left out lines.
    pub(crate) fn next_end(&self) -> Option<Instant> {
        let kinds = self.kinds();
        let ends = kinds.values().filter(|window| window.unreported + window.left_out > 0);
        ends.map(|window| if window.unreported > 0 { window.since } else { window.since + WINDOW }).min()
    }

    fn kinds(&self) -> MutexGuard<'_, HashMap<Kind, Window>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Window {
    fn new(since: Instant) -> Self {
        Self { since, written: 0, left_out: 0, clients: HashMap::new(), unreported: 0 }
    }
}

impl PeerLine {
    /// `None` for a line that no peer causes.
    pub(crate) fn of(event: &Event<'_>) -> Option<Self> {
        let metadata = event.metadata();
        let is_peer = [PEER_LOG_TARGET, spice_relay::PEER_LOG_TARGET].contains(&metadata.target());
        // Lines of the library `log` come with this target, and have their own as a field. rustls writes such lines.
        if !is_peer && metadata.target() != "log" && !is_rustls(metadata.target()) {
            return None;
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        if !is_peer {
            let target = if metadata.target() == "log" { &fields.target } else { metadata.target() };
            if !is_rustls(target) {
                return None;
            }
            "rustls".clone_into(&mut fields.kind);
        }
        let name = if fields.kind.is_empty() { fields.message } else { fields.kind };
        Some(Self { kind: Kind { place: metadata.callsite(), vm: fields.vm, name }, client: source(&fields.client) })
    }
}

fn is_rustls(target: &str) -> bool {
    target == "rustls" || target.starts_with("rustls::")
}

/// The host of a client's address. Of IPv6, the prefix that one host may have.
fn source(client: &str) -> String {
    match client.parse::<SocketAddr>().map(|address| address.ip().to_canonical()) {
        Ok(IpAddr::V4(ip)) => ip.to_string(),
        Ok(IpAddr::V6(ip)) => format!("{:x}", ip.to_bits() >> 64),
        Err(_) => client.to_owned(),
    }
}

/// The fields of a line that tell its kind.
#[derive(Debug, Default)]
struct Fields {
    vm: String,
    kind: String,
    client: String,
    message: String,
    target: String,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        let field = match field.name() {
            "vm" => &mut self.vm,
            "kind" => &mut self.kind,
            "client" | "source" => &mut self.client,
            "message" => &mut self.message,
            "log.target" => &mut self.target,
            _ => return,
        };
        *field = value.chars().take(MAX_NAME).collect();
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if ["vm", "kind", "client", "source", "message"].contains(&field.name()) {
            self.record_str(field, &format!("{value:?}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Callsite;

    fn line(vm: &str, name: &str, client: &str) -> PeerLine {
        let place = tracing::callsite!(name: "one", kind: tracing::metadata::Kind::EVENT, fields: );
        let kind = Kind { place: place.metadata().callsite(), vm: vm.to_owned(), name: name.to_owned() };
        PeerLine { kind, client: source(client) }
    }

    #[test]
    fn flood_is_reported_as_lines_and_a_count() {
        let (limit, start) = (LogRateLimit::default(), Instant::now());
        let flood = line("a", "refused", "192.0.2.1:1");
        let verdicts: Vec<_> = (0..1000).map(|_| limit.check(&flood, start)).collect();
        assert_eq!(verdicts.iter().filter(|verdict| **verdict != Verdict::LeftOut).count(), 100);
        assert_eq!(verdicts.iter().position(|verdict| *verdict == Verdict::WrittenLast), Some(99));
        assert_eq!((limit.next_end(), limit.ended(start + WINDOW / 2)), (Some(start + WINDOW), vec![]));
        let left_out = vec![LeftOut { vm: "a".into(), kind: "refused".into(), lines: 900 }];
        assert_eq!(limit.ended(start + WINDOW), left_out);
        assert_eq!((limit.next_end(), limit.ended(start + WINDOW)), (None, vec![]), "it is reported once");
        assert_eq!(limit.check(&flood, start + WINDOW), Verdict::Written);
    }

    #[test]
    fn flood_that_goes_on_is_reported_too() {
        let (limit, start) = (LogRateLimit::default(), Instant::now());
        let flood = line("a", "refused", "192.0.2.1:1");
        for seconds in 0..15 {
            for _ in 0..200 {
                limit.check(&flood, start + Duration::from_secs(seconds));
            }
        }
        assert_eq!(limit.ended(start + WINDOW).iter().map(|left_out| left_out.lines).sum::<u64>(), 1900);
    }

    /// A flood of one client at one VM hides only its own lines.
    #[test]
    fn lines_of_other_clients_kinds_and_vms_are_written() {
        let (limit, now) = (LogRateLimit::default(), Instant::now());
        for _ in 0..1000 {
            limit.check(&line("a", "unreadable", "192.0.2.1:1"), now);
        }
        assert_eq!(limit.check(&line("a", "unreadable", "192.0.2.1:2"), now), Verdict::LeftOut, "another port");
        for other in [
            line("a", "unreadable", "192.0.2.2:1"),
            line("a", "refused", "192.0.2.1:1"),
            line("b", "unreadable", "192.0.2.1:1"),
        ] {
            assert_eq!(limit.check(&other, now), Verdict::Written, "{other:?}");
        }
    }

    #[test]
    fn clients_of_one_vm_together_are_limited_and_so_is_what_is_kept() {
        let (limit, now) = (LogRateLimit::default(), Instant::now());
        let from = |number: u32| line("a", "refused", &format!("[2001:db8:0:{number:x}::1]:1"));
        let written = (0..5000).filter(|number| limit.check(&from(*number), now) != Verdict::LeftOut).count();
        assert_eq!(written, 400);
        assert_eq!(limit.kinds().values().map(|window| window.clients.len()).sum::<usize>(), 400);
        let one_prefix = [source("[2001:db8::1]:1"), source("[2001:db8::2:0:0:1]:9")];
        assert_eq!(one_prefix[0], one_prefix[1]);
    }
}
