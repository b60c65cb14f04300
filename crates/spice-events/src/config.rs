use crate::Auth;

/// Settings of a [`Tracker`](crate::Tracker): what it can't read from the connections, and its limits.
///
/// ```
/// use spice_events::{Auth, Config};
/// let config = Config::new().auth(Auth::None).max_backlog(32 * 1024);
/// assert_eq!((config.auth, config.max_backlog), (Some(Auth::None), 32 * 1024));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Config {
    /// The server's `auth` setting, from the operator. If it is not set, the tracker uses `sasl` if the server's reply offers
    /// SASL, else `spice`. On the wire, `none` looks like `spice`, so it must be set.
    pub auth: Option<Auth>,
    /// How many unread bytes of one direction are held while the other direction must be read first. The longest message of the
    /// link stage, a reply of 8386 bytes, must fit.
    pub max_backlog: usize,
    /// How many bytes are held in the link stages of all connections together. A connection that needs more is not read on.
    pub max_held: usize,
}

impl Config {
    /// The default of [`max_backlog`](Self::max_backlog), in bytes. It is several times the link stage of any real peer.
    pub const MAX_BACKLOG: usize = 16 * 1024;

    /// The default of [`max_held`](Self::max_held), in bytes: 64 MiB. Four thousand connections may each reach [`MAX_BACKLOG`](Self::MAX_BACKLOG); the link
    /// stage of a real peer holds some hundred bytes.
    pub const MAX_HELD: usize = 64 << 20;

    /// The defaults, for a server whose settings are not known.
    pub fn new() -> Self {
        Self { auth: None, max_backlog: Self::MAX_BACKLOG, max_held: Self::MAX_HELD }
    }

    /// Sets the server's [`auth`](Self#structfield.auth) setting.
    #[must_use]
    pub fn auth(mut self, auth: Auth) -> Self {
        self.auth = Some(auth);
        self
    }

    /// Sets how many unread bytes of one direction are [held](Self#structfield.max_backlog).
    #[must_use]
    pub fn max_backlog(mut self, bytes: usize) -> Self {
        self.max_backlog = bytes;
        self
    }

    /// Sets how many bytes are [held](Self#structfield.max_held) in all.
    #[must_use]
    pub fn max_held(mut self, bytes: usize) -> Self {
        self.max_held = bytes;
        self
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::new()
    }
}
