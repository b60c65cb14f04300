//! A server on a unix socket, its clients, and its warnings.
#![allow(dead_code, reason = "not every test uses everything")]

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use qmp_server::{Command, Listener, Object, Server, Service, Version};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

/// Longer than anything here takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn service() -> Service {
    let builder = Service::builder(Version::new(0, 0, 1, "test"));
    builder.command(Command::new("query-name", |_| Ok(Object::new().with("name", "vm")))).build()
}

/// A server on a unix socket in a folder of its own.
pub(crate) struct Lab {
    pub(crate) server: Server,
    pub(crate) folder: TempDir,
}

impl Lab {
    pub(crate) fn new(server: Server) -> Self {
        let folder = tempfile::tempdir().unwrap();
        server.listen(Listener::unix(folder.path().join("qmp")).unwrap());
        Self { server, folder }
    }

    pub(crate) async fn connect(&self) -> Client<UnixStream> {
        Client::new(UnixStream::connect(self.folder.path().join("qmp")).await.unwrap()).await
    }

    pub(crate) async fn negotiated(&self) -> Client<UnixStream> {
        let mut client = self.connect().await;
        client.negotiate().await;
        client
    }

    /// Waits until `number` clients are connected.
    pub(crate) async fn clients(&self, number: usize) {
        let all = async {
            while self.server.clients() != number {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, all).await.expect("clients come and go");
    }
}

pub(crate) struct Client<S> {
    pub(crate) stream: BufReader<S>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub(crate) async fn new(stream: S) -> Self {
        let mut client = Self { stream: BufReader::new(stream) };
        assert!(client.line().await.starts_with("{\"QMP\": "));
        client
    }

    pub(crate) async fn negotiate(&mut self) {
        self.send("{'execute': 'qmp_capabilities'}").await;
        assert_eq!(self.line().await, "{\"return\": {}}");
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// The next line; empty at the end.
    pub(crate) async fn line(&mut self) -> String {
        let mut line = String::new();
        let read = tokio::time::timeout(PATIENCE, self.stream.read_line(&mut line)).await;
        read.expect("a line in time").unwrap();
        line.trim_end().to_owned()
    }

    pub(crate) async fn lines(&mut self, number: usize) -> Vec<String> {
        let mut lines = Vec::new();
        for _ in 0..number {
            lines.push(self.line().await);
        }
        lines
    }
}

/// Keeps what is warned of on this thread.
#[derive(Clone, Default)]
pub(crate) struct Warnings(pub(crate) Arc<Mutex<Vec<String>>>);

impl tracing::Subscriber for Warnings {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN
    }

    fn event(&self, event: &tracing::Event<'_>) {
        let mut text = String::new();
        event.record(&mut |field: &tracing::field::Field, value: &dyn std::fmt::Debug| {
            _ = write!(text, "{field}={value:?} ");
        });
        self.0.lock().unwrap().push(text);
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}
