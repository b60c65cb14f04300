use std::time::Duration;

/// How long the stages of a connection may take. `None` is without a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// From accept to the end of the link stage, TLS handshake and PROXY header included. Default: 120 seconds.
    ///
    /// spice-server has no such limit: a client that sends nothing holds its socket without end. A real link stage takes
    /// milliseconds, but QEMU's main loop is known to stall for 30 seconds.
    pub link: Option<Duration>,
    /// Without a byte in either direction, after the link stage. Default: `None`, because idle channels are ordinary: an inputs
    /// channel is silent while its user does not type.
    pub idle: Option<Duration>,
    /// Without a byte, after one side has ended. Default: 60 seconds.
    pub half_closed: Option<Duration>,
    /// To connect to the upstream, name look-up, TLS handshake and PROXY header included. Default: 10 seconds.
    pub connect: Option<Duration>,
}

impl Timeouts {
    /// The defaults.
    pub const fn new() -> Self {
        Self {
            link: Some(Duration::from_secs(120)),
            idle: None,
            half_closed: Some(Duration::from_secs(60)),
            connect: Some(Duration::from_secs(10)),
        }
    }

    /// Sets [`link`](Self::link).
    #[must_use]
    pub const fn link(mut self, limit: Option<Duration>) -> Self {
        self.link = limit;
        self
    }

    /// Sets [`idle`](Self::idle).
    #[must_use]
    pub const fn idle(mut self, limit: Option<Duration>) -> Self {
        self.idle = limit;
        self
    }

    /// Sets [`half_closed`](Self::half_closed).
    #[must_use]
    pub const fn half_closed(mut self, limit: Option<Duration>) -> Self {
        self.half_closed = limit;
        self
    }

    /// Sets [`connect`](Self::connect).
    #[must_use]
    pub const fn connect(mut self, limit: Option<Duration>) -> Self {
        self.connect = limit;
        self
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self::new()
    }
}
