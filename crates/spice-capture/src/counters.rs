/// What was read, and what was not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Counters {
    /// Bytes of the file, or of live packets as far as they were captured.
    pub bytes: u64,
    /// Packets of any kind.
    pub packets: u64,
    /// SPICE connections that were opened.
    pub connections: u64,
    /// SPICE connections that are open.
    pub open: u64,
    /// Events.
    pub events: u64,
    /// Anomalies and notices.
    pub anomalies: u64,
    /// Connections whose first bytes are missing, so that they can't be recognised.
    pub unrecognised: u64,
    /// TLS connections that could not be read because their secrets were missing. Those without secrets are only counted where there is a
    /// key log, or a pcapng file with secrets.
    pub without_secrets: u64,
    /// Connections of other protocols.
    pub other: u64,
    /// Packets of TCP connections whose ports are none of those that [`Config`](crate::Config) names, where it names some.
    pub other_ports: u64,
    /// Packets that carry no TCP in anything that is read.
    pub without_tcp: u64,
    /// Packets of connections that are in their link stage, or not recognised, that were cut before [`MIN_PAYLOAD`](crate::MIN_PAYLOAD) bytes of their payload.
    pub short: u64,
    /// IP fragments whose packet never became complete.
    pub fragments: u64,
    /// Packets that the capture program lost, as pcapng's interface statistics count them.
    pub dropped: u64,
    /// Packets too short for a TCP header (snaplen).
    pub truncated: u64,
    /// Packets whose headers contradict each other.
    pub malformed: u64,
    /// Packets that could carry SPICE and can't be read: see [`Unread`](crate::decapsulate::Unread). Those of an unknown link type are not among them.
    pub unread: u64,
    /// Packets of a link type that is not read.
    pub unknown_link: u64,
}
