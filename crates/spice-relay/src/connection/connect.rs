use std::{fmt, io, time::Duration};

use tokio::time::{Instant, timeout, timeout_at};

use crate::net::Transport;

/// Connects to a SPICE server. [`Connector`](super::Connector) is the usual implementation. `Display` is the address that log lines show.
pub trait Connect: fmt::Display + Send + Sync + 'static {
    /// What it connects with.
    type Transport: Transport + 'static;

    /// Connects. `limit` is the time for it; the caller enforces it too.
    fn connect(&self, limit: Option<Duration>) -> impl Future<Output = io::Result<Self::Transport>> + Send;
}

pub(super) async fn within<T>(limit: Option<Duration>, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match limit {
        None => work.await,
        Some(limit) => timeout(limit, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())),
    }
}

pub(super) async fn before<T>(deadline: Option<Instant>, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match deadline {
        None => work.await,
        Some(deadline) => timeout_at(deadline, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())),
    }
}
