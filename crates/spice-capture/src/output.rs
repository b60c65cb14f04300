use crate::Notice;
use spice_events::{Anomaly, ChannelEvent};
use std::fmt;

/// What a capture shows, in the order in which it became known.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Output {
    /// One of QEMU's events.
    Event(ChannelEvent),
    /// What was unusual about a SPICE connection.
    Anomaly(Anomaly),
    /// What was unusual about the capture.
    Notice(Notice),
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event(event) => event.fmt(f),
            Self::Anomaly(anomaly) => anomaly.fmt(f),
            Self::Notice(notice) => notice.fmt(f),
        }
    }
}
