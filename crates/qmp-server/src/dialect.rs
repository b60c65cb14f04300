//! QEMU's dialects of JSON errors.

use crate::Version;

/// How a server answers input that is not JSON. QEMU changed it between 10.2 and 11.1.
///
/// A [`Service`](crate::Service) uses the dialect of the version that it announces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dialect {
    /// QEMU up to 10.2. An error is reported when the brackets of its message balance: after `{"id": [1}` the server waits.
    Qemu10,
    /// QEMU 11.1. An error is reported at once, after its line and column in the connection's input: `2:12: JSON parse error,
    /// expecting ':'`. The rest of the message is skipped silently.
    #[default]
    Qemu11,
}

impl Dialect {
    /// The dialect of a version: [`Qemu11`](Self::Qemu11) from 11.0 on. (The change came in 11.0 or 11.1.)
    #[must_use]
    pub const fn of(version: &Version<'_>) -> Self {
        if version.qemu.major >= 11 { Self::Qemu11 } else { Self::Qemu10 }
    }
}
