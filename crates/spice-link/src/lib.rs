#![doc = include_str!("../README.md")]
#![no_std]

/// One end of a SPICE connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The SPICE client: it connects and speaks first.
    Client,
    /// The SPICE server (QEMU's spice-server): it accepts.
    Server,
}
