//! The real peers, live: each test says so and passes where they are missing, except where `CI` is set.

use std::{
    io::{self, BufRead, BufReader},
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use spice_testkit::{
    captures::{PASSWORD, USER},
    lab::{
        self, Client, Peer, Pki, SaslUser, Vm,
        battery::{ACCEPTED, Case, NO_SELECTION, REFUSED, SASL},
    },
};

/// Plays the cases one after another; each must be answered as expected, and QEMU must report its end.
fn check(vm: &Vm, port: u16, cases: &[Case]) -> io::Result<()> {
    for (n, case) in (1..).zip(cases) {
        let seen = case.play(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
        assert!(case.expected().is(&seen), "{}: expected {:?}, saw {seen:?}", case.name, case.expected());
        vm.events().wait_for("SPICE_DISCONNECTED", n)?;
    }
    Ok(())
}

/// `cargo xtask setup` installs 11.1. A machine without it skips this, unless `CI` is set.
#[test]
fn the_qemu_of_a_version_boots_with_that_version() {
    let qemu = Vm::qemu("11.1");
    if !qemu.is_here() {
        assert!(
            std::env::var_os("CI").is_none_or(|value| value.is_empty()),
            "QEMU 11.1 is missing: `cargo xtask setup`"
        );
        return;
    }
    let port = lab::free_port().unwrap();
    let vm = qemu.boot(&format!("port={port},addr=127.0.0.1,password-secret=password")).unwrap();
    let versions = vm.versions().unwrap();
    assert!(versions[0].starts_with("qemu 11.1."), "{versions:?}");
    assert_eq!(versions[1], "spice-server 0.15.2");
}

#[test]
fn a_real_server_refuses_and_accepts_as_the_battery_says() {
    if !lab::have(&[Peer::Qemu, Peer::Openssl]) {
        return;
    }
    let (port, tls_port, pki) = (lab::free_port().unwrap(), lab::free_port().unwrap(), Pki::new().unwrap());
    let dir = pki.dir().display();
    let spice = format!(
        "port={port},tls-port={tls_port},x509-dir={dir},addr=127.0.0.1,password-secret=password,tls-channel=record"
    );
    let vm = Vm::boot(&spice).unwrap();
    check(&vm, port, &[REFUSED, ACCEPTED].concat()).unwrap();
    assert_eq!(vm.events().count("SPICE_INITIALIZED"), ACCEPTED.len());
}

/// What `hunt` expects of anybody's server it finds in the real one.
#[cfg(feature = "generate")]
#[test]
fn a_hunt_finds_nothing_in_a_real_server() {
    if !lab::have(&[Peer::Qemu]) {
        return;
    }
    let port = lab::free_port().unwrap();
    let _vm = Vm::boot(&format!("port={port},addr=127.0.0.1,password-secret=password")).unwrap();
    let server = spice_testkit::hunt::OverTcp::new(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).unwrap();
    let report = spice_testkit::hunt::Hunt::new().cases(300).seed(2026).run(server).unwrap();
    assert_eq!(report.findings, []);
}

/// The rules of conversations are those of the real server.
#[cfg(feature = "generate")]
#[test]
fn conversations_find_nothing_in_a_real_server() {
    use spice_testkit::spice_conformance::{Subject, Target, spice_link::ChannelType};

    if !lab::have(&[Peer::Qemu, Peer::Openssl]) {
        return;
    }
    let (port, tls_port, pki) = (lab::free_port().unwrap(), lab::free_port().unwrap(), Pki::new().unwrap());
    let dir = pki.dir().display();
    let _vm = Vm::boot(&format!(
        "port={port},tls-port={tls_port},x509-dir={dir},addr=127.0.0.1,password-secret=password,tls-channel=record"
    ))
    .unwrap();
    let target = Target::new(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let subject = Subject::new(target).with_password(PASSWORD).with_secured(ChannelType::RECORD).survey().unwrap();
    assert!(subject.other.is_some(), "{subject:?}");
    let report = spice_testkit::hunt::Hunt::new().cases(300).seed(2026).run_conversations(subject).unwrap();
    assert_eq!(report.findings, []);
}

#[test]
fn a_real_sasl_server_answers_as_the_battery_says() {
    if !lab::have(&[Peer::Qemu, Peer::Openssl, Peer::Sasl]) {
        return;
    }
    let port = lab::free_port().unwrap();
    let user = SaslUser::new(USER, PASSWORD, "digest-md5").unwrap();
    let vm = Vm::boot_with(&format!("port={port},addr=127.0.0.1,sasl=on"), |qemu| user.configure(qemu)).unwrap();
    check(&vm, port, SASL).unwrap();
    assert_eq!(vm.events().count("SPICE_INITIALIZED"), 1);
    let seen = NO_SELECTION.play(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).unwrap();
    assert!(NO_SELECTION.expected().is(&seen), "saw {seen:?}");
}

#[test]
fn a_real_client_opens_every_channel() {
    if !lab::have(&[Peer::Qemu, Peer::SpiceGtk]) {
        return;
    }
    let port = lab::free_port().unwrap();
    let vm = Vm::boot(&format!("port={port},addr=127.0.0.1,disable-ticketing=on")).unwrap();
    let client = Client::start(&["--port", &port.to_string()]).unwrap();
    vm.events().wait_for("SPICE_INITIALIZED", lab::CHANNELS).unwrap();
    let channels = vm.events().execute(r#"{"execute": "query-spice"}"#).unwrap();
    assert_eq!(channels.matches("\"channel-type\"").count(), lab::CHANNELS, "{channels}");
    assert!(client.leave().unwrap().success());
    vm.events().wait_for_quiet().unwrap();
    assert_eq!(vm.events().count("SPICE_CONNECTED"), lab::CHANNELS);
}

/// Ctrl-C in the middle of a test or a demonstration leaves no QEMU behind, and no folder.
#[test]
fn killed_process_leaves_no_child_and_no_folder() {
    const CHILD: &str = "SPICE_LAB_CHILD";
    if !lab::have(&[Peer::Qemu]) {
        return;
    }
    if std::env::var_os(CHILD).is_some() {
        let vm = Vm::boot(&format!("port={},addr=127.0.0.1,disable-ticketing=on", lab::free_port().unwrap())).unwrap();
        println!("qemu {} {}", vm.id(), vm.qmp_socket().display());
        std::thread::park();
        return;
    }
    for signal in ["-TERM", "-KILL"] {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "killed_process_leaves_no_child_and_no_folder", "--nocapture"]).env(CHILD, "1");
        let mut child = lab::Process::spawn(command.stdin(Stdio::null()).stdout(Stdio::piped())).unwrap();
        let said = BufReader::new(child.child().stdout.take().unwrap()).lines();
        let line = said.map_while(Result::ok).find_map(|line| Some(line.split_once("qemu ")?.1.to_owned())).unwrap();
        let (qemu, socket) = line.split_once(' ').unwrap();
        let process = Path::new("/proc").join(qemu);
        assert!(process.exists() && Path::new(socket).exists());
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        child.wait().unwrap();
        let deadline = Instant::now() + lab::PATIENCE;
        let gone = || !process.exists() && !Path::new(socket).parent().unwrap().exists();
        while !gone() {
            assert!(Instant::now() < deadline, "{signal}: {qemu} or {socket} is left");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
