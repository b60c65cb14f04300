//! The log: to stderr, as text for people or JSON for machines.

use std::io;

use tracing_subscriber::{EnvFilter, util::SubscriberInitExt};

use super::config::LogFormat;

/// Starts the log with this filter: a level, or tracing's directives.
pub(super) fn start(filter: &str, format: LogFormat) -> Result<(), String> {
    let filter = EnvFilter::try_new(filter).map_err(|error| format!("--log {filter}: {error}"))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_target(false);
    let started = match format {
        LogFormat::Text => builder.with_ansi(io::IsTerminal::is_terminal(&io::stderr())).finish().try_init(),
        LogFormat::Json => builder.json().flatten_event(true).finish().try_init(),
    };
    started.map_err(|error| error.to_string())
}
