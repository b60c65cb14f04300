//! The `qapi` crate, blocking and on tokio: negotiates, runs commands, and gets typed events.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::StreamExt;
use qapi::qmp::{self, Event, NetworkAddressFamily};
use qmp_server::{Command, Listener, Object, Server, Service, Version};
use tempfile::TempDir;

/// As QEMU 7.2 sent it, with one of the ids that come out negative.
const INITIALIZED: &str = r#"{"timestamp": {"seconds": 1795370794, "microseconds": 708759}, "event": "SPICE_INITIALIZED", "data": {"server": {"auth": "spice", "port": "32777", "family": "ipv4", "host": "127.0.0.1"}, "client": {"port": "58500", "family": "ipv4", "channel-type": 3, "connection-id": -949380981, "host": "127.0.0.1", "channel-id": 0, "tls": false}}}"#;

/// A server whose `stop` sends the event.
fn serve() -> (Arc<OnceLock<Server>>, TempDir, PathBuf) {
    let server: Arc<OnceLock<Server>> = Arc::default();
    let stop = {
        let server = Arc::clone(&server);
        Command::new("stop", move |_| {
            server.get().unwrap().publish(INITIALIZED.as_bytes());
            Ok(())
        })
    };
    let spice = Command::new("query-spice", |_| {
        Ok(Object::new()
            .with("enabled", true)
            .with("migrated", false)
            .with("mouse-mode", "server")
            .with("channels", vec![]))
    });
    let service = Service::builder(Version::new(7, 2, 22, "a test")).command(stop).command(spice).build();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("qmp");
    server.get_or_init(|| Server::new(service)).listen(Listener::unix(&path).unwrap());
    (server, folder, path)
}

fn check(event: &Event) {
    let Event::SPICE_INITIALIZED { data, timestamp } = event else { panic!("{event:?}") };
    assert_eq!(data.client.connection_id, -949_380_981);
    assert_eq!((data.client.channel_type, data.client.tls), (3, false));
    assert_eq!(data.server.auth.as_deref(), Some("spice"));
    assert_eq!(data.server.base.family, NetworkAddressFamily::ipv4);
    // Its fields are private.
    let timestamp = format!("{timestamp:?}");
    assert!(timestamp.contains("1795370794") && timestamp.contains("708759"), "{timestamp}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blocking() {
    let (_server, _folder, path) = serve();
    let client = tokio::task::spawn_blocking(move || {
        let stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut qmp = qapi::Qmp::from_stream(&stream);
        let greeting = qmp.handshake().unwrap();
        assert_eq!((greeting.version.qemu.major, greeting.version.package.as_str()), (7, "a test"));
        assert_eq!(qmp.execute(&qmp::query_version {}).unwrap().qemu.micro, 22);
        assert!(qmp.execute(&qmp::query_commands {}).unwrap().iter().any(|command| command.name == "query-spice"));
        assert_eq!(qmp.execute(&qmp::query_spice {}).unwrap().channels.unwrap().len(), 0);
        let error = qmp.execute(&qmp::query_name {}).unwrap_err();
        assert!(error.to_string().contains("The command query-name has not been found"), "{error}");
        qmp.execute(&qmp::stop {}).unwrap();
        let mut events = Vec::new();
        while events.is_empty() {
            qmp.nop().unwrap();
            events.extend(qmp.events());
        }
        check(&events[0]);
    });
    client.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokio() {
    let (_server, _folder, path) = serve();
    let stream = qapi::futures::QmpStreamTokio::open_uds(&path).await.unwrap().negotiate().await.unwrap();
    let (service, events) = stream.into_parts();
    let (seen, mut event) = tokio::sync::mpsc::unbounded_channel();
    let reader = tokio::spawn(events.for_each(move |event| {
        _ = seen.send(event.unwrap());
        futures::future::ready(())
    }));
    assert_eq!(service.execute(qmp::query_version {}).await.unwrap().qemu.major, 7);
    service.execute(qmp::stop {}).await.unwrap();
    let event = tokio::time::timeout(Duration::from_secs(30), event.recv()).await.unwrap().unwrap();
    check(&event);
    reader.abort();
}
