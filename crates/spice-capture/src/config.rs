use spice_events::Auth;
use std::net::IpAddr;

/// What a capture does not show by itself, and the limits.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Config {
    /// Server ports where every connection is SPICE, whatever is sent. Without such a port, connections are recognised by their first bytes:
    /// see [`recognise`](crate::recognise).
    pub ports: Vec<u16>,
    /// Server ports where every connection is SPICE inside TLS. The encrypted bytes are not read: such connections have a beginning and an end only.
    pub tls_ports: Vec<u16>,
    /// The server listens on IPv6's `::` and serves IPv4 clients there too: QEMU then shows `::ffff:127.0.0.1` for `127.0.0.1`. The packets of such a
    /// connection are plain IPv4, so the caller has to say it.
    pub dual_stack: bool,
    /// Single server ports that serve both families through one listener: see [`dual_stack_ports`](crate::dual_stack_ports).
    pub dual_stack_ports: Vec<u16>,
    /// Proxies and load balancers whose word counts: connections from or to them are shown with the client that a PROXY header names, and with the
    /// server that `CONNECT` or SOCKS asks for, if that is an address.
    pub trusted_proxies: Vec<IpAddr>,
    /// Settings of the [`Tracker`](spice_events::Tracker).
    pub tracker: spice_events::Config,
    /// The secrets with which TLS is decrypted. With `Some`, those that a pcapng file brings are used too; with `None`, TLS is not
    /// looked into. Where [`ports`](Self::ports) is empty, SPICE is then also recognised inside TLS, on any port.
    #[cfg(feature = "tls")]
    pub keys: Option<crate::tls::KeyLog>,
    /// Report what TCP shows about each SPICE connection too: [`Output::Ended`](crate::Output::Ended) and its neighbours.
    pub transport: bool,
    /// The largest number of TCP connections that are remembered; `None` means [`MAX_FLOWS`](crate::tcp::MAX_FLOWS).
    pub max_flows: Option<u32>,
}

impl Config {
    /// Recognises connections by their first bytes, and shows addresses as the packets have them.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a server port where every connection is SPICE.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.ports.push(port);
        self
    }

    /// Adds a server port where every connection is SPICE inside TLS.
    #[must_use]
    pub fn tls_port(mut self, port: u16) -> Self {
        self.tls_ports.push(port);
        self
    }

    /// Sets whether every server serves IPv4 clients through an IPv6 listener.
    #[must_use]
    pub fn dual_stack(mut self, dual_stack: bool) -> Self {
        self.dual_stack = dual_stack;
        self
    }

    /// Adds a server port that serves IPv4 clients through an IPv6 listener.
    #[must_use]
    pub fn dual_stack_port(mut self, port: u16) -> Self {
        self.dual_stack_ports.push(port);
        self
    }

    /// Adds a proxy or load balancer whose word counts.
    #[must_use]
    pub fn trust_proxy(mut self, address: IpAddr) -> Self {
        self.trusted_proxies.push(address);
        self
    }

    /// Sets the server's `auth` setting.
    #[must_use]
    pub fn auth(mut self, auth: Auth) -> Self {
        self.tracker = self.tracker.auth(auth);
        self
    }

    /// Replaces the tracker's settings.
    #[must_use]
    pub fn tracker(mut self, tracker: spice_events::Config) -> Self {
        self.tracker = tracker;
        self
    }

    /// Decrypts TLS with these secrets, and with those that a pcapng file brings.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn keys(mut self, keys: crate::tls::KeyLog) -> Self {
        self.keys = Some(keys);
        self
    }

    /// Sets whether to report what TCP shows about each SPICE connection.
    #[must_use]
    pub fn transport(mut self, transport: bool) -> Self {
        self.transport = transport;
        self
    }

    /// Sets the largest number of TCP connections that are remembered.
    #[must_use]
    pub fn max_flows(mut self, max: u32) -> Self {
        self.max_flows = Some(max);
        self
    }
}
