//! Listeners and who gets a place: bound sockets, modes, limits, timeouts, and clients that the server connects to.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixDatagram, UnixListener as StdUnixListener};
use std::time::Duration;

use qmp_server::{CloseReason, Dialer, Listener, Server, Service, UnixOptions, Version};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::time::timeout;

mod lab;

use lab::{Client, Lab, PATIENCE, Warnings, service};

/// A time after which a client that gets no greeting is taken to wait.
const MOMENT: Duration = Duration::from_millis(100);

fn localhost() -> SocketAddr {
    SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0)
}

#[tokio::test]
async fn socket_that_listens_already_is_served_and_its_file_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("qmp");
    let server = Server::new(service());
    let unix = |path| StdUnixListener::bind(path).unwrap();
    let listener = Listener::from_unix(unix(&path)).unwrap();
    assert_eq!(listener.address(), format!("unix:{}", path.display()));
    server.listen(listener);
    Client::new(UnixStream::connect(&path).await.unwrap()).await.negotiate().await;

    let other = folder.path().join("other");
    server.listen(Listener::from_descriptor(OwnedFd::from(unix(&other))).unwrap());
    Client::new(UnixStream::connect(&other).await.unwrap()).await.negotiate().await;

    let tcp = std::net::TcpListener::bind(localhost()).unwrap();
    let address = tcp.local_addr().unwrap();
    server.listen(Listener::from_descriptor(OwnedFd::from(tcp)).unwrap());
    Client::new(TcpStream::connect(address).await.unwrap()).await.negotiate().await;

    server.shutdown(PATIENCE).await;
    assert!(path.exists() && other.exists(), "the files are the caller's");
}

#[tokio::test]
async fn descriptor_that_is_no_stream_socket_is_refused() {
    let file = OwnedFd::from(fs::File::open("/dev/null").unwrap());
    let error = Listener::from_descriptor(file).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
    let unbound = OwnedFd::from(UnixDatagram::unbound().unwrap());
    // It is accepted at first, as any unix socket; no client can connect to it.
    assert!(Listener::from_descriptor(unbound).is_ok());
}

#[tokio::test]
async fn mode_and_group_of_the_socket_file_are_set() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("qmp");
    // Without root, a process can give a file only to its own groups.
    let own = fs::metadata(folder.path()).unwrap();
    let group = if own.uid() == 0 { 12_345 } else { own.gid() };
    let _listener = Listener::unix_with(&path, UnixOptions::default().mode(0o660).group(group)).unwrap();
    let file = fs::metadata(&path).unwrap();
    assert_eq!((file.permissions().mode() & 0o777, file.gid()), (0o660, group));
}

#[tokio::test]
async fn idle_tcp_clients_leave_places_for_unix_sockets() {
    let lab = Lab::new(Server::builder(service()).max_clients(3).reserved_for_unix(1).build());
    let listener = Listener::tcp(localhost()).unwrap();
    let address = listener.local_addr().unwrap();
    lab.server.listen(listener);
    let connect = || TcpStream::connect(address);
    let _idle = (Client::new(connect().await.unwrap()).await, Client::new(connect().await.unwrap()).await);
    let mut third = connect().await.unwrap();
    assert!(timeout(MOMENT, third.read_u8()).await.is_err(), "no place for a third TCP client");
    let last = lab.negotiated().await;
    assert_eq!(lab.server.clients(), 3);
    drop(last);
    assert!(timeout(MOMENT, third.read_u8()).await.is_err(), "the place of a unix client is not for TCP");
    lab.negotiated().await;
}

#[tokio::test]
async fn listener_has_places_of_its_own() {
    let lab = Lab::new(Server::new(service()));
    let path = lab.folder.path().join("one");
    lab.server.listen(Listener::unix(&path).unwrap().max_clients(1));
    let first = Client::new(UnixStream::connect(&path).await.unwrap()).await;
    let mut second = UnixStream::connect(&path).await.unwrap();
    assert!(timeout(MOMENT, second.read_u8()).await.is_err(), "as in QEMU, the second client gets no greeting");
    lab.negotiated().await;
    drop(first);
    assert_eq!(timeout(PATIENCE, second.read_u8()).await.unwrap().unwrap(), b'{');
}

#[tokio::test]
async fn listener_without_clients_takes_no_place() {
    let lab = Lab::new(Server::builder(service()).max_clients(1).build());
    for name in ["a", "b"] {
        lab.server.listen(Listener::unix(lab.folder.path().join(name)).unwrap());
    }
    for name in ["qmp", "a", "b"] {
        lab.clients(0).await;
        Client::new(UnixStream::connect(lab.folder.path().join(name)).await.unwrap()).await.negotiate().await;
    }
}

#[tokio::test]
async fn client_that_does_not_negotiate_is_disconnected() {
    let server = Server::builder(service()).negotiation_timeout(Some(MOMENT)).build();
    let (ours, theirs) = tokio::io::duplex(1000);
    let handle = server.serve(theirs, "a pipe");
    let mut silent = Client::new(ours).await;
    silent.send("garbage {'execute': 'query-version'}").await;
    assert_eq!(silent.lines(3).await.last().unwrap(), "", "two errors, then the end");
    assert!(matches!(handle.closed().await, CloseReason::NotNegotiated));

    let (ours, theirs) = tokio::io::duplex(1000);
    let handle = server.serve(theirs, "a pipe");
    let mut client = Client::new(ours).await;
    client.negotiate().await;
    assert!(timeout(MOMENT * 2, client.line()).await.is_err(), "a negotiated client may be silent");
    assert!(!handle.is_closed());
    drop(client);
    assert!(matches!(handle.closed().await, CloseReason::Left));
}

#[tokio::test]
async fn handle_of_a_served_stream_ends_with_the_connection() {
    let server = Server::builder(service()).max_behind(10).build();
    let (ours, theirs) = tokio::io::duplex(1000);
    let handle = server.serve(theirs, "a pipe");
    let mut client = Client::new(ours).await;
    client.negotiate().await;
    server.publish(b"{\"event\": \"LONGER_THAN_THE_LOG\"}");
    assert!(matches!(handle.closed().await, CloseReason::FellBehind));

    let (ours, theirs) = tokio::io::duplex(1000);
    let handle = server.serve(theirs, "another");
    Client::new(ours).await;
    let server = server.shutdown(PATIENCE);
    let (reason, end) = tokio::join!(handle.closed(), server);
    assert!(matches!(reason, CloseReason::Flushed | CloseReason::Left), "{reason:?}");
    assert_eq!(end.cut_off, 0);
}

/// As management that waits for QEMU to connect: over both kinds of sockets, and again after each end.
#[tokio::test]
async fn server_connects_to_a_client_that_listens_and_reconnects() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("management");
    let server = Server::new(service());
    let pause = Duration::from_millis(1);
    server.dial(Dialer::unix(&path).reconnect(pause));
    let unix = UnixListener::bind(&path).unwrap();
    let tcp = TcpListener::bind(localhost()).await.unwrap();
    server.dial(Dialer::tcp(tcp.local_addr().unwrap().to_string()).reconnect(pause));
    for round in 0..3 {
        let (one, _) = timeout(PATIENCE, unix.accept()).await.unwrap().unwrap();
        let (other, _) = timeout(PATIENCE, tcp.accept()).await.unwrap().unwrap();
        let (mut one, mut other) = (Client::new(one).await, Client::new(other).await);
        one.negotiate().await;
        other.negotiate().await;
        let event = format!("{{\"event\": \"E{round}\"}}");
        server.publish(event.as_bytes());
        assert_eq!((one.line().await, other.line().await), (event.clone(), event));
    }
    timeout(PATIENCE, server.shutdown(PATIENCE)).await.unwrap();
}

#[tokio::test]
async fn client_that_can_not_be_reached_is_warned_of_once() {
    let warnings = Warnings::default();
    let _logging = tracing::subscriber::set_default(warnings.clone());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("missing");
    let server = Server::new(service());
    server.dial(Dialer::unix(&path).reconnect(Duration::from_millis(1)));
    tokio::time::sleep(MOMENT).await;
    let said = warnings.0.lock().unwrap().clone();
    assert!(matches!(&said[..], [one] if one.contains("can't connect") && one.contains("missing")), "{said:?}");
}

#[tokio::test]
async fn tcp_beyond_this_machine_is_warned_of() {
    for (address, expected) in [("0.0.0.0:0", 1), ("[::]:0", 1), ("127.0.0.1:0", 0), ("[::1]:0", 0)] {
        let warnings = Warnings::default();
        let _logging = tracing::subscriber::set_default(warnings.clone());
        let server = Server::new(service());
        let listener = Listener::tcp(address.parse().unwrap()).unwrap();
        let port = listener.local_addr().unwrap().port();
        server.listen(listener);
        let here = if address.starts_with('[') { "[::1]" } else { "127.0.0.1" };
        Client::new(TcpStream::connect(format!("{here}:{port}")).await.unwrap()).await;
        let said = warnings.0.lock().unwrap().clone();
        assert_eq!(said.len(), expected, "{address}: {said:?}");
    }
}

#[tokio::test]
async fn later_clients_are_offered_the_new_service() {
    let lab = Lab::new(Server::new(service()));
    let mut before = lab.negotiated().await;
    lab.server.set_service(Service::builder(Version::new(11, 1, 3, "new")).build());
    let mut after = lab.negotiated().await;
    for (client, package) in [(&mut before, "test"), (&mut after, "new")] {
        client.send("{'execute': 'query-version'}").await;
        assert!(client.line().await.contains(package));
    }
}
