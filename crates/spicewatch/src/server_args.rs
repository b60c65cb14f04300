//! The arguments of `probe` and `conformance` that say which server to connect to, and how.

use crate::password::Password;
use spice_conformance::{Carrier, Error, ServerAddress, Target};
use std::time::Duration;

#[derive(clap::Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct ServerArgs {
    /// The server: HOST:PORT or unix:PATH
    server: String,

    /// Connect with TLS; the server's certificate is not checked
    #[arg(long, conflicts_with = "websocket")]
    tls: bool,

    /// Connect with WebSocket
    #[arg(long)]
    websocket: bool,

    /// Allow a server that is not on this machine
    #[arg(long)]
    allow_remote: bool,

    /// How long to wait for an answer, in seconds (1 to 60)
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    patience: u64,

    #[command(flatten)]
    pub(crate) password: Password,

    /// Print JSON, the same as --format json
    #[arg(long, conflicts_with = "format")]
    pub(crate) json: bool,
}

impl ServerArgs {
    /// Finds the server's address.
    pub(crate) fn target(&self) -> Result<Target, String> {
        let carrier = match (self.tls, self.websocket) {
            (true, _) => Carrier::Tls,
            (_, true) => Carrier::WebSocket,
            _ => Carrier::Plain,
        };
        let time_limit = Duration::from_secs(self.patience.clamp(1, 60));
        let address = ServerAddress::resolve(&self.server, self.allow_remote, time_limit);
        let address = address.map_err(|error| match error {
            Error::NotLoopback(address) => {
                format!("{}: {address} is not on this machine; --allow-remote allows it", self.server)
            }
            other => format!("{}: {other}", self.server),
        })?;
        Ok(Target::new(address).with_carrier(carrier).with_time_limit(time_limit))
    }
}
