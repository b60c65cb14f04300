//! What one client can make the server keep.

/// Limits on one session's input. The defaults are QEMU's (`qobject/json-lexer.c`, `qobject/json-streamer.c`, `monitor/qmp.c`).
///
/// QEMU's are generous: a client may make it hold 64 MiB of an unfinished message. A server that is open to many clients
/// will want less; its own commands seldom need more than a few kilobytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of one token, and of all tokens of one message together. QEMU: 64 MiB.
    pub token_bytes: usize,
    /// Tokens in one message. QEMU: 2 097 152.
    pub tokens: usize,
    /// Braces and brackets open at a time. QEMU: 1024. Values above [`Limits::MAX_NESTING`] count as that.
    pub nesting: usize,
    /// Commands that wait behind the one being answered, once `oob` is negotiated. QEMU: 8. Without `oob` none waits.
    pub queue: usize,
}

impl Limits {
    /// The deepest nesting that [`Limits::nesting`] can ask for: values are written and dropped by recursion.
    pub const MAX_NESTING: usize = 4096;
}

impl Default for Limits {
    fn default() -> Self {
        Self { token_bytes: 64 << 20, tokens: 2 << 20, nesting: 1 << 10, queue: 8 }
    }
}
