use crate::Auth;

/// What a tracker can't read off the wire, and its limits.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The server's `auth` setting, as the operator knows it. Without it: `sasl` where the server's reply offers SASL, else
    /// `spice`. A server without ticketing looks just like one with it, so `none` must be said.
    pub auth: Option<Auth>,
    /// How many unread bytes of one direction are held while the other has to be read on first. The longest message of
    /// the link stage, a reply of 8386 bytes, must fit.
    pub max_backlog: usize,
}

impl Config {
    /// The default of [`max_backlog`](Self::max_backlog), in bytes: every link stage that a real peer speaks fits several times.
    pub const MAX_BACKLOG: usize = 16 * 1024;

    /// The defaults, for a server of which nothing is known.
    pub fn new() -> Self {
        Self { auth: None, max_backlog: Self::MAX_BACKLOG }
    }

    /// With the server's `auth` setting.
    #[must_use]
    pub fn auth(mut self, auth: Auth) -> Self {
        self.auth = Some(auth);
        self
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::new()
    }
}
