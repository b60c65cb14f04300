//! The `qapi` crate on tokio hears of a real session from `spicewatch relay`: QEMU behind it, spice-gtk in front of it.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use futures::StreamExt;
use qapi::futures::QmpStreamTokio;
use qapi::qmp::{self, Event, NetworkAddressFamily};
use spice_testkit::lab::{self, CHANNELS, Client, Peer, Process, Scratch, Vm};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{sleep, timeout};

const PATIENCE: Duration = Duration::from_secs(60);

/// The program, built by the cargo that built this test, for the same profile.
fn program() -> PathBuf {
    let here = std::env::current_exe().unwrap();
    let profile = here.parent().and_then(Path::parent).unwrap();
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--package", "spicewatch", "--target-dir"]).arg(profile.parent().unwrap());
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    assert!(build.status().unwrap().success());
    profile.join("spicewatch")
}

/// The connection ids of the next `count` events of this kind; skips other events.
async fn ids(events: &mut UnboundedReceiver<Event>, count: usize) -> Vec<i64> {
    let mut ids = Vec::new();
    while ids.len() < count {
        let event = timeout(PATIENCE, events.recv()).await.expect("an event in time").expect("more events");
        if let Event::SPICE_INITIALIZED { data, .. } = event {
            assert_eq!(data.server.auth.as_deref(), Some("none"));
            assert_eq!(data.server.base.family, NetworkAddressFamily::ipv4);
            assert!(!data.client.tls);
            ids.push(data.client.connection_id);
        }
    }
    ids.sort_unstable();
    ids
}

/// The same, as QEMU's own lines have them.
fn qemu_s_ids(vm: &Vm) -> Vec<i64> {
    let lines = vm.events().lines();
    let initialized = lines.iter().filter(|line| line.contains("SPICE_INITIALIZED"));
    let id = |line: &String| -> Option<i64> {
        line.split_once("\"connection-id\": ")?.1.split([',', '}']).next()?.parse().ok()
    };
    let mut ids: Vec<_> = initialized.map(|line| id(line).unwrap()).collect();
    ids.sort_unstable();
    ids
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn qapi_hears_of_a_session_through_the_relay() {
    if !lab::have(&[Peer::Qemu, Peer::SpiceGtk]) {
        return;
    }
    let (port, listen, scratch) = (lab::free_port().unwrap(), lab::free_port().unwrap(), Scratch::new().unwrap());
    let vm = Vm::boot(&format!("port={port},addr=127.0.0.1,disable-ticketing=on")).unwrap();
    let socket = scratch.join("vm.qmp");
    let mut command = Command::new(program());
    command.args(["relay", "--auth", "none", "--listen", &format!("127.0.0.1:{listen}")]);
    command.args(["--upstream", &format!("127.0.0.1:{port}"), "--qmp", &format!("unix:{}", socket.display())]);
    let _relay = Process::spawn(command.stdin(Stdio::null()).stderr(Stdio::null())).unwrap();

    let opened = timeout(PATIENCE, async {
        loop {
            match QmpStreamTokio::open_uds(&socket).await {
                Ok(stream) => return stream,
                Err(_) => sleep(Duration::from_millis(10)).await,
            }
        }
    });
    let (service, events) = opened.await.expect("a relay that listens").negotiate().await.unwrap().into_parts();
    let (seen, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let reader = tokio::spawn(events.for_each(move |event| {
        _ = seen.send(event.unwrap());
        futures::future::ready(())
    }));

    let client = Client::start(&["--port", &listen.to_string()]).unwrap();
    let initialized = ids(&mut heard, CHANNELS).await;
    vm.events().wait_for("SPICE_INITIALIZED", CHANNELS).unwrap();
    assert_eq!(initialized, qemu_s_ids(&vm));
    let up = service.execute(qmp::query_spice {}).await.unwrap().channels.unwrap();
    let mut listed: Vec<_> = up.iter().map(|channel| channel.connection_id).collect();
    listed.sort_unstable();
    assert_eq!(listed, initialized);

    assert!(client.leave().unwrap().success());
    let mut over = 0;
    while over < CHANNELS {
        let event = timeout(PATIENCE, heard.recv()).await.expect("an event in time").expect("more events");
        over += usize::from(matches!(event, Event::SPICE_DISCONNECTED { .. }));
    }
    assert_eq!(service.execute(qmp::query_spice {}).await.unwrap().channels.unwrap().len(), 0);
    reader.abort();
}
