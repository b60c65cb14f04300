//! The SPICE events, against lines that QEMU 7.2 sent.

use std::borrow::Cow;

use qmp_schema::{Encode as _, Event, EventMessage, NetworkAddressFamily, SpiceInfo, from_slice};

const INITIALIZED: &[u8] = br#"{"timestamp": {"seconds": 1763838000, "microseconds": 123456}, "event": "SPICE_INITIALIZED", "data": {"server": {"auth": "spice", "port": "5931", "family": "ipv4", "host": "127.0.0.1"}, "client": {"port": "40772", "family": "ipv4", "channel-type": 1, "connection-id": -949380981, "host": "127.0.0.1", "channel-id": 0, "tls": false}}}"#;

#[test]
fn spice_lines_round_trip_byte_for_byte() {
    let message: EventMessage<'_> = from_slice(INITIALIZED).unwrap();
    let Event::SpiceInitialized(event) = &message.event else { panic!("{message:?}") };
    assert_eq!(event.client.connection_id, -949_380_981);
    assert_eq!(event.server.family, NetworkAddressFamily::Ipv4);
    assert!(matches!(event.server.host, Cow::Borrowed("127.0.0.1")));
    assert_eq!(message.to_vec(), INITIALIZED);
    assert_eq!(message.clone().into_owned(), message);
}

#[test]
fn query_spice_without_spice() {
    let reply = br#"{"migrated": false, "enabled": false, "mouse-mode": "client"}"#;
    let info: SpiceInfo<'_> = from_slice(reply).unwrap();
    assert!(info.channels.is_none());
    assert_eq!(info.to_vec(), reply);
}
