//! The tokio front, with a server of the crate qmp-server.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    path::Path,
    sync::{Arc, OnceLock},
    time::Duration,
};

use qmp_client::{Address, Client, Error, EventStream, Options, Update};
use qmp_server::{Command, Listener, Object, Server, Service, Version, qmp_schema};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server with a command that publishes an event, and one that never answers.
fn serve(path: &Path) -> Server {
    let server: Arc<OnceLock<Server>> = Arc::default();
    let stop = {
        let server = Arc::clone(&server);
        Command::new("stop", move |_| {
            server.get().unwrap().publish(b"{\"event\": \"STOP\"}");
            Ok(())
        })
    };
    let spice = Command::new("query-spice", |_| {
        Ok(Object::new().with("enabled", true).with("migrated", false).with("mouse-mode", "client"))
    });
    let held: Arc<std::sync::Mutex<Vec<qmp_server::Responder>>> = Arc::default();
    let never = Command::later("never", move |_, responder| held.lock().unwrap().push(responder));
    let service =
        Service::builder(Version::new(11, 1, 3, "a test")).command(stop).command(spice).command(never).build();
    let server = server.get_or_init(|| Server::new(service)).clone();
    server.listen(Listener::unix(path).unwrap());
    server
}

fn command(name: &'static str) -> qmp_schema::Command<'static> {
    qmp_schema::Command::new(name)
}

#[tokio::test]
async fn commands_and_events_are_kept_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("qmp");
    let _server = serve(&path);
    let options = Options::default().timeout(PATIENCE);
    let mut client = Client::connect(&Address::Unix(path), options).await.unwrap();
    assert_eq!(client.greeting().version, Version::new(11, 1, 3, "a test"));
    for _ in 0..100 {
        assert_eq!(client.execute(command("stop")).await.unwrap().as_str(), "{}");
        assert_eq!(client.next_event().await.unwrap().event, qmp_schema::Event::Stop);
    }
    let error = client.execute(command("nope")).await.unwrap_err();
    assert!(
        matches!(&error, Error::Command(reply) if reply.class == qmp_schema::ErrorClass::CommandNotFound),
        "{error}"
    );
    assert!(client.execute(command("query-version")).await.is_ok(), "a failed command does not end the connection");
}

#[tokio::test]
async fn command_without_an_answer_times_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("qmp");
    let _server = serve(&path);
    let mut client = Client::connect(&Address::Unix(path), Options::default().timeout(PATIENCE)).await.unwrap();
    let waited = timeout(Duration::from_millis(50), client.execute(command("never"))).await;
    assert!(waited.is_err(), "no answer comes");
    let (ours, _theirs) = tokio::io::duplex(100);
    let error = Client::over(ours, Options::default().timeout(Duration::from_millis(50))).await.unwrap_err();
    assert!(matches!(error, Error::Timeout(_)), "a server that never greets: {error}");
}

#[tokio::test]
async fn bad_peers_end_the_connection_with_an_error() {
    for (sent, expected) in [
        (&b"garbage\n"[..], "expected a message, found 'g' at offset 0"),
        (b"{\"return\": {}}\n", "expected a QMP greeting, found another message"),
        (b"", "the server closed the connection"),
    ] {
        let (ours, mut theirs) = tokio::io::duplex(1000);
        theirs.write_all(sent).await.unwrap();
        drop(theirs);
        let error = Client::over(ours, Options::default().timeout(PATIENCE)).await.unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}

#[tokio::test]
async fn flood_of_events_is_bounded() {
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let (mut read, mut write) = tokio::io::split(theirs);
    tokio::spawn(async move { while read.read(&mut [0; 1000]).await.is_ok_and(|read| read > 0) {} });
    let flood = tokio::spawn(async move {
        let greeting = br#"{"QMP": {"version": {"qemu": {"micro": 0, "minor": 0, "major": 9}, "package": ""}, "capabilities": []}}"#;
        write.write_all(greeting).await?;
        write.write_all(b"{\"return\": {}, \"id\": 0}").await?;
        loop {
            write.write_all(b"{\"event\": \"STOP\"}\r\n").await?;
        }
        #[allow(unreachable_code, reason = "tells the type")]
        Ok::<(), std::io::Error>(())
    });
    let options = Options::default().timeout(PATIENCE).max_events(1000);
    let mut client = Client::over(ours, options).await.unwrap();
    let error = client.execute(command("stop")).await.unwrap_err();
    assert!(matches!(error, Error::TooManyEvents(1000)), "{error}");
    drop(client);
    assert!(flood.await.unwrap().is_err(), "the flood ends with the connection");
}

#[tokio::test]
async fn event_stream_reconnects_and_resynchronises() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("qmp");
    let options = Options::default().timeout(PATIENCE).pauses(Duration::from_millis(1), Duration::from_millis(10));
    let mut events = EventStream::new(Address::Unix(path.clone()), options);
    for round in 0..3 {
        assert!(matches!(update(&mut events).await, Update::Disconnected { error: Error::Io(_), .. }));
        let server = serve(&path);
        loop {
            match update(&mut events).await {
                Update::Disconnected { error: Error::Io(_), .. } => {}
                Update::Connected { version, may_have_missed } => {
                    assert_eq!((version.qemu.major, may_have_missed), (11, round > 0));
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(matches!(update(&mut events).await, Update::Spice(Some(spice)) if spice.enabled));
        server.publish(b"{\"event\": \"RESUME\"}");
        assert!(matches!(update(&mut events).await, Update::Event(event) if event.event == qmp_schema::Event::Resume));
        server.shutdown(PATIENCE).await;
        assert!(matches!(update(&mut events).await, Update::Disconnected { error: Error::Closed, .. }));
    }
}

async fn update(events: &mut EventStream) -> Update {
    timeout(PATIENCE, events.next()).await.expect("an update in time")
}
