//! The tokio front, over real sockets.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use qmp_server::{BindError, Command, Listener, Object, Responder, Server, Service, Version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

mod lab;

use lab::{Client, Lab, PATIENCE, Warnings, service};

#[tokio::test]
async fn every_negotiated_client_gets_every_event() {
    let lab = Lab::new(Server::new(service()));
    let (mut a, mut b, mut silent) = (lab.negotiated().await, lab.negotiated().await, lab.connect().await);
    for i in 0..3 {
        lab.server.publish(format!("{{\"event\": \"E{i}\"}}\r\n").as_bytes());
    }
    let events = ["{\"event\": \"E0\"}", "{\"event\": \"E1\"}", "{\"event\": \"E2\"}"];
    assert_eq!(a.lines(3).await, events);
    assert_eq!(b.lines(3).await, events);
    silent.negotiate().await;
    silent.send("{'execute': 'query-name'}").await;
    assert_eq!(silent.line().await, "{\"return\": {\"name\": \"vm\"}}", "what came before the negotiation is gone");
}

#[tokio::test]
async fn reply_includes_every_event_before_it() {
    let state = Arc::new(Mutex::new(0));
    let command = {
        let state = Arc::clone(&state);
        Command::new("query-state", move |_| Ok(Object::new().with("state", *state.lock().unwrap())))
    };
    let lab = Lab::new(Server::new(Service::builder(Version::new(0, 0, 1, "")).command(command).build()));
    let mut client = lab.negotiated().await;
    for i in 1..=100 {
        *state.lock().unwrap() = i;
        lab.server.publish(b"{}");
        client.send("{'execute': 'query-state'}").await;
        assert_eq!(client.lines(2).await, ["{}".to_owned(), format!("{{\"return\": {{\"state\": {i}}}}}")]);
    }
}

#[tokio::test]
async fn replies_go_to_the_client_that_asked() {
    let lab = Lab::new(Server::new(service()));
    let (mut a, mut b) = (lab.negotiated().await, lab.negotiated().await);
    for (client, id) in [(&mut a, 1), (&mut b, 2)] {
        client.send(&format!("{{'execute': 'query-name', 'id': {id}}}")).await;
    }
    assert_eq!(a.line().await, "{\"return\": {\"name\": \"vm\"}, \"id\": 1}");
    assert_eq!(b.line().await, "{\"return\": {\"name\": \"vm\"}, \"id\": 2}");
}

#[tokio::test]
async fn tcp_listens_on_both_address_families() {
    let server = Server::new(service());
    for host in [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()] {
        let listener = Listener::tcp(SocketAddr::new(host, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        assert_eq!(listener.address(), format!("tcp:{address}"));
        server.listen(listener);
        let mut client = Client::new(TcpStream::connect(address).await.unwrap()).await;
        client.negotiate().await;
        client.send("{'execute': 'query-name'}").await;
        assert_eq!(client.line().await, "{\"return\": {\"name\": \"vm\"}}");
    }
}

#[tokio::test]
async fn any_stream_is_served() {
    let server = Server::new(service());
    let (ours, theirs) = tokio::io::duplex(100);
    server.serve(theirs, "a pipe");
    Client::new(ours).await.negotiate().await;
}

#[tokio::test]
async fn half_closed_client_gets_all_replies() {
    let lab = Lab::new(Server::new(service()));
    let mut client = lab.connect().await;
    client.send(&format!("{{'execute': 'qmp_capabilities'}}{}", "{'execute': 'query-name'}".repeat(1000))).await;
    client.stream.shutdown().await.unwrap();
    let mut rest = String::new();
    client.stream.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest.matches("\"name\": \"vm\"").count(), 1000);
    lab.clients(0).await;
}

/// A command whose answer a test gives, and the answers that are due.
fn wait() -> (Command, Arc<Mutex<Vec<Responder>>>) {
    let waiting: Arc<Mutex<Vec<Responder>>> = Arc::default();
    let responders = Arc::clone(&waiting);
    (Command::later("wait", move |_, responder| responders.lock().unwrap().push(responder)), waiting)
}

async fn responder(waiting: &Mutex<Vec<Responder>>) -> Responder {
    let waits = async {
        loop {
            if let Some(responder) = waiting.lock().unwrap().pop() {
                return responder;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, waits).await.expect("the command runs")
}

#[tokio::test]
async fn half_closed_client_gets_the_reply_of_its_running_command() {
    let (command, waiting) = wait();
    let lab = Lab::new(Server::new(Service::builder(Version::new(0, 0, 1, "")).command(command).build()));
    for _ in 0..20 {
        let mut client = lab.connect().await;
        client
            .send("{'execute': 'qmp_capabilities'}{'execute': 'wait', 'id': 2}{'execute': 'query-version', 'id': 3}")
            .await;
        client.stream.shutdown().await.unwrap();
        let responder = responder(&waiting).await;
        assert_eq!(client.line().await, "{\"return\": {}}");
        responder.answer(Ok(().into()));
        assert_eq!(client.line().await, "{\"return\": {}, \"id\": 2}");
        assert!(client.line().await.ends_with("\"id\": 3}"));
        assert_eq!(client.line().await, "");
    }
    lab.clients(0).await;
}

/// Of two commands that each publish an event, one answers at once, the other from another thread after it has published.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn event_of_a_command_comes_before_its_reply() {
    let server: Arc<OnceLock<Server>> = Arc::default();
    let publish = |server: &OnceLock<Server>| server.get().unwrap().publish(b"{\"event\": \"STOP\"}");
    let now = {
        let server = Arc::clone(&server);
        Command::new("now", move |_| {
            publish(&server);
            Ok(())
        })
    };
    let later = {
        let server = Arc::clone(&server);
        Command::later("later", move |_, responder| {
            let server = Arc::clone(&server);
            std::thread::spawn(move || {
                publish(&server);
                responder.answer(Ok(().into()));
            });
        })
    };
    let service = Service::builder(Version::new(0, 0, 1, "")).command(now).command(later).build();
    let lab = Lab::new(server.get_or_init(|| Server::new(service)).clone());
    let mut client = lab.negotiated().await;
    for i in 0..3000 {
        let name = if i % 2 == 0 { "now" } else { "later" };
        client.send(&format!("{{'execute': '{name}', 'id': {i}}}")).await;
        let reply = format!("{{\"return\": {{}}, \"id\": {i}}}");
        assert_eq!(client.lines(2).await, ["{\"event\": \"STOP\"}", &reply]);
    }
}

/// Commands in one write: the reply before the event does not know of it, and comes first.
#[tokio::test]
async fn event_of_a_command_comes_after_the_replies_before_it() {
    let server: Arc<OnceLock<Server>> = Arc::default();
    let stop = {
        let server = Arc::clone(&server);
        Command::new("stop", move |_| {
            server.get().unwrap().publish(b"{\"event\": \"STOP\"}");
            Ok(())
        })
    };
    let service = Service::builder(Version::new(0, 0, 1, "")).command(stop).build();
    let lab = Lab::new(server.get_or_init(|| Server::new(service)).clone());
    let mut client = lab.negotiated().await;
    client.send("{'execute': 'query-commands', 'id': 1}{'execute': 'stop', 'id': 2}{'execute': 'stop', 'id': 3}").await;
    let kinds: Vec<String> =
        client.lines(5).await.iter().map(|line| line.rsplit_once("\": ").unwrap().1.to_owned()).collect();
    assert_eq!(kinds, ["1}", "\"STOP\"}", "2}", "\"STOP\"}", "3}"]);
}

#[tokio::test]
async fn late_answer_reaches_the_client() {
    let (command, waiting) = wait();
    let lab = Lab::new(Server::new(Service::builder(Version::new(0, 0, 1, "")).command(command).build()));
    let mut client = lab.negotiated().await;
    client.send("{'execute': 'wait', 'id': 1}{'execute': 'wait', 'id': 2}").await;
    for id in 1..=2 {
        let responder = responder(&waiting).await;
        std::thread::spawn(move || responder.answer(Ok(().into())));
        assert_eq!(client.line().await, format!("{{\"return\": {{}}, \"id\": {id}}}"));
    }
    client.send("{'execute': 'wait'}").await;
    drop(client);
    lab.clients(0).await;
}

#[tokio::test]
async fn client_that_never_reads_is_disconnected_and_slows_no_other() {
    let warnings = Warnings::default();
    let _logging = tracing::subscriber::set_default(warnings.clone());
    let event = format!("{{\"event\": \"{}\"}}", "x".repeat(1000));
    let lab = Lab::new(Server::builder(service()).max_behind(100_000).build());
    let (mut stuck, mut quick) = (lab.negotiated().await, lab.negotiated().await);
    let mut published = 0;
    while lab.server.clients() == 2 {
        lab.server.publish(event.as_bytes());
        published += 1;
        assert_eq!(quick.line().await, event);
        assert!(published < 10_000, "the one that doesn't read is still connected");
    }
    assert_eq!(lab.server.clients(), 1);
    {
        let warnings = warnings.0.lock().unwrap();
        let [warning] = warnings.as_slice() else { panic!("{warnings:?}") };
        let who = format!("client=\"unix:{}", lab.folder.path().join("qmp").display());
        assert!(warning.contains("fell too far behind") && warning.contains("max_behind=100000"), "{warning}");
        assert!(warning.contains(&who) && warning.contains(&format!("pid {}", std::process::id())), "{warning}");
    }
    for _ in 0..1000 {
        lab.server.publish(event.as_bytes());
        assert_eq!(quick.line().await, event);
    }
    let mut got = 0;
    while stuck.line().await == event {
        got += 1;
    }
    assert!((1..published).contains(&got), "{got} of {published}: whole lines up to the end, then the end");
}

#[tokio::test]
async fn commands_of_a_client_that_does_not_read_wait() {
    let lab = Lab::new(Server::new(service()));
    let mut client = lab.negotiated().await;
    let flood = "{'execute': 'query-qmp-schema'}".repeat(1000);
    let (_, mut writer) = tokio::io::split(&mut client.stream);
    let stuck = tokio::time::timeout(Duration::from_millis(500), async {
        loop {
            writer.write_all(flood.as_bytes()).await.unwrap();
        }
    });
    assert!(stuck.await.is_err());
    assert_eq!(lab.server.clients(), 1);
}

#[tokio::test]
async fn shutdown_flushes_events_and_closes() {
    let lab = Lab::new(Server::new(service()));
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(lab.negotiated().await);
    }
    let readers: Vec<_> = clients
        .into_iter()
        .map(|mut client| {
            tokio::spawn(async move {
                let mut rest = String::new();
                client.stream.read_to_string(&mut rest).await.map(|_| rest.lines().count())
            })
        })
        .collect();
    for _ in 0..5000 {
        lab.server
            .publish(b"{\"event\": \"SPICE_DISCONNECTED\", \"data\": \"some more text so that buffers are filled\"}");
    }
    let end = lab.server.shutdown(PATIENCE).await;
    assert_eq!((end.flushed, end.cut_off), (20, 0));
    for reader in readers {
        assert_eq!(reader.await.unwrap().unwrap(), 5000);
    }
    assert!(!lab.folder.path().join("qmp").exists(), "the socket's file is gone");
    assert!(UnixStream::connect(lab.folder.path().join("qmp")).await.is_err());
}

#[tokio::test]
async fn shutdown_cuts_off_clients_that_do_not_read() {
    let lab = Lab::new(Server::new(service()));
    let (_stuck, mut quick) = (lab.negotiated().await, lab.negotiated().await);
    let reader = tokio::spawn(async move {
        let mut rest = Vec::new();
        quick.stream.read_to_end(&mut rest).await.map(|_| rest.len())
    });
    let event = [b'x'; 998];
    for _ in 0..5000 {
        lab.server.publish(&event);
    }
    let end = lab.server.shutdown(Duration::from_secs(2)).await;
    assert_eq!((end.flushed, end.cut_off), (1, 1));
    assert_eq!(reader.await.unwrap().unwrap(), 5_000_000);
}

#[tokio::test]
async fn shutdown_without_clients_returns_at_once() {
    let lab = Lab::new(Server::new(service()));
    let end = tokio::time::timeout(PATIENCE, lab.server.shutdown(PATIENCE * 2)).await.unwrap();
    assert_eq!((end.flushed, end.cut_off), (0, 0));
}

#[tokio::test]
async fn client_over_the_limit_waits_for_a_place() {
    let warnings = Warnings::default();
    let _logging = tracing::subscriber::set_default(warnings.clone());
    let lab = Lab::new(Server::builder(service()).max_clients(2).build());
    let (a, _b) = (lab.connect().await, lab.connect().await);
    let mut third = UnixStream::connect(lab.folder.path().join("qmp")).await.unwrap();
    let mut byte = [0];
    assert!(tokio::time::timeout(Duration::from_millis(100), third.read(&mut byte)).await.is_err(), "no greeting");
    drop(a);
    tokio::time::timeout(PATIENCE, third.read_exact(&mut byte)).await.unwrap().unwrap();
    assert_eq!(byte, *b"{");
    let said = warnings.0.lock().unwrap().clone();
    assert!(matches!(&said[..], [one] if one.contains("as many clients as there may be")), "once: {said:?}");
}

#[tokio::test]
async fn panicking_command_disconnects_only_its_client() {
    let command = Command::new("bug", |_| -> Result<(), _> { panic!("a bug in a command") });
    let lab = Lab::new(Server::new(Service::builder(Version::new(0, 0, 1, "")).command(command).build()));
    let (mut a, mut b) = (lab.negotiated().await, lab.negotiated().await);
    a.send("{'execute': 'bug'}").await;
    assert_eq!(a.line().await, "");
    lab.clients(1).await;
    lab.server.publish(b"{}");
    assert_eq!(b.line().await, "{}");
}

fn bind(path: &Path) -> Result<Listener, BindError> {
    Listener::unix(path)
}

#[tokio::test]
async fn socket_file_has_mode_0600_and_is_removed_with_the_listener() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("qmp");
    let listener = bind(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(listener.address(), format!("unix:{}", path.display()));
    drop(listener);
    assert!(!path.exists());
}

#[tokio::test]
async fn stale_socket_file_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("qmp");
    drop(StdUnixListener::bind(&path).unwrap());
    assert!(path.exists(), "the standard library leaves the file behind");
    let server = Server::new(service());
    server.listen(bind(&path).unwrap());
    Client::new(UnixStream::connect(&path).await.unwrap()).await;
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left in the folder");
}

#[tokio::test]
async fn socket_file_in_use_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("qmp");
    let other = StdUnixListener::bind(&path).unwrap();
    assert!(matches!(bind(&path), Err(BindError::InUse { .. })));
    other.accept().unwrap();
    assert!(std::os::unix::net::UnixStream::connect(&path).is_ok());
}

#[tokio::test]
async fn file_of_another_kind_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("qmp");
    fs::write(&path, "precious").unwrap();
    let error = bind(&path).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("unix:{}: expected a socket or nothing, there is another file", path.display())
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
}

#[tokio::test]
async fn file_that_replaced_the_socket_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("qmp");
    let listener = bind(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let _other = StdUnixListener::bind(&path).unwrap();
    drop(listener);
    assert!(path.exists());
}

#[tokio::test]
async fn bind_errors_name_the_address() {
    let taken = Listener::tcp(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0)).unwrap();
    let error = Listener::tcp(taken.local_addr().unwrap()).unwrap_err();
    assert_eq!(error.to_string(), format!("{}: somebody else listens there", taken.address()));
    let error = bind(Path::new("/nonexistent/qmp")).unwrap_err();
    assert!(matches!(&error, BindError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound), "{error}");
    let error = bind(Path::new(&format!("/tmp/{}", "x".repeat(200)))).unwrap_err();
    assert!(error.to_string().starts_with("unix:/tmp/xxx"), "{error}");
}
