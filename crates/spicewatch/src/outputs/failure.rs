//! Why a command ended, and how long its last lines may take.

use std::{fmt, process::ExitCode, time::Duration};

use tokio::signal::unix::SignalKind;

use crate::print_error;

/// How long QMP clients, the reader of stdout and the reader of the log may take for the last lines.
pub(crate) const FLUSH_PATIENCE: Duration = Duration::from_secs(2);

/// Why a command ended, other than by a graceful shutdown.
pub(crate) enum Failure {
    /// The configuration, or a file or path that it names, is wrong.
    Configuration(String),
    /// An address could not be bound.
    Listen(String),
    /// The system refused something else.
    System(String),
    /// A second signal ended open connections.
    Interrupted(SignalKind),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configuration(message) | Self::Listen(message) | Self::System(message) => f.write_str(message),
            Self::Interrupted(signal) => write!(f, "interrupted by signal {}", signal.as_raw_value()),
        }
    }
}

impl Failure {
    /// Reports it on stderr. Returns the exit code.
    pub(crate) fn report(&self, command: &str) -> ExitCode {
        let code = match self {
            Self::Interrupted(signal) => {
                return ExitCode::from(128 + u8::try_from(signal.as_raw_value()).unwrap_or(0));
            }
            Self::System(_) => 1,
            Self::Configuration(_) => 2,
            Self::Listen(_) => 3,
        };
        print_error(format_args!("spicewatch {command}: {self}"));
        ExitCode::from(code)
    }
}
