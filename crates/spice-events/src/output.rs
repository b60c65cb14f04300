use crate::{Anomaly, ChannelEvent};

/// Output of the tracker, in the order in which it became known.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum Output {
    /// One of QEMU's events.
    Event(ChannelEvent),
    /// Something that QMP has no event for.
    Anomaly(Anomaly),
}
