#![doc = include_str!("../README.md")]
#![no_std]

/// Wall-clock time of an event, as QMP carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp {
    /// Seconds since 1970-01-01 00:00 UTC; −1 where QEMU's clock failed.
    pub seconds: i64,
    /// Microseconds within the second, 0…999 999; −1 where QEMU's clock failed.
    pub microseconds: i64,
}
