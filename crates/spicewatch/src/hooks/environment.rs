//! The environment of a hook: nothing of the program's own, and no byte of a peer that a shell acts on.

use spice_sessions::{EndedBy, Reason, Record};

use super::table::HookKind;

/// Where a hook finds programs.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Characters of a value that a peer chose.
const MAX_PEER_VALUE: usize = 256;

/// The whole environment of a hook. `live` is how many sessions the VM has.
pub(super) fn environment(kind: HookKind, record: &Record, live: usize) -> Vec<(&'static str, String)> {
    let event = &record.event;
    let session = record.session.as_ref();
    let mut environment = vec![
        ("PATH", PATH.to_owned()),
        ("LANG", "C.UTF-8".to_owned()),
        ("SPICEWATCH_HOOK", kind.name().to_owned()),
        ("SPICEWATCH_SESSIONS", live.to_string()),
        ("SPICEWATCH_TLS", u8::from(record.tls.established).to_string()),
    ];
    let mut add = |name, value: Option<String>| environment.extend(value.map(|value| (name, value)));
    add("SPICEWATCH_VM", record.vm.as_ref().map(|vm| own(&vm.name)));
    add("SPICEWATCH_CLIENT", record.client.address.as_deref().map(peers));
    add("SPICEWATCH_CLIENT_PORT", record.client.port.map(|port| port.to_string()));
    add("SPICEWATCH_SESSION", session.map(|session| session.id.to_string()));
    add("SPICEWATCH_PREVIOUS_SESSION", session.and_then(|session| session.previous_id).map(|id| id.to_string()));
    add("SPICEWATCH_REASON", event.reason.map(|reason| Reason::name(reason).to_owned()));
    add("SPICEWATCH_ENDED_BY", record.spice.ended_by.map(|side| EndedBy::name(side).to_owned()));
    add("SPICEWATCH_SECONDS", event.duration.map(|nanoseconds| (nanoseconds / 1_000_000_000).to_string()));
    environment
}

/// A name that the operator chose, without control characters.
fn own(name: &str) -> String {
    name.chars().map(|char| if char.is_control() { '?' } else { char }).collect()
}

/// A text that a peer may have chosen: only letters, digits and a few signs, so that a careless script comes to no harm. A peer behind
/// a PROXY header has an address of any bytes.
fn peers(text: &str) -> String {
    let safe = |char: char| char.is_alphanumeric() || matches!(char, '.' | ':' | '/' | '_' | '-' | '@' | '%' | '+');
    let mut value: String = text.chars().take(MAX_PEER_VALUE).map(|char| if safe(char) { char } else { '?' }).collect();
    if value.starts_with('-') {
        value.replace_range(..1, "?");
    }
    // A shell that does not quote a variable would look for files.
    value.replace('?', "_")
}
