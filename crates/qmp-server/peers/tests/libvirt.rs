//! libvirt starts a VM whose monitor is a proxy of qmp-server: libvirt ⇄ qmp-server ⇄ qmp-client ⇄ QEMU.
//!
//! It is the libvirt of the Debian 13 that `cargo xtask setup` makes, in the form of `virt-qemu-run`: libvirt's whole QEMU driver in
//! one process. libvirt hands the listening socket of the monitor to the emulator. A script in the emulator's place connects that
//! socket to the proxy, and gives the real QEMU another one.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command as Process, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use qmp_client::{Address, Client, Error, Options, qmp_schema};
use qmp_schema::Encode as _;
use qmp_server::{Command, Object, Reply, Request, Responder, Server, Service};
use tokio::{
    net::UnixListener,
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::{sleep, timeout},
};

/// Where `cargo xtask setup` puts Debian 13.
const ROOT: &str = "/var/cache/spicewatch/debian-13";

const PATIENCE: Duration = Duration::from_secs(120);

/// Runs a command in Debian 13, in a mount namespace of its own. `/tmp` is that of this machine.
const IN_DEBIAN_13: &str = r#"
set -e
root=$1; shift
mount --make-rprivate /
for folder in dev proc sys tmp; do mount --rbind "/$folder" "$root/$folder"; done
exec chroot "$root" "$@"
"#;

/// The emulator: QEMU, with the monitor's socket replaced by a connection to the proxy.
const EMULATOR: &str = r#"#!/usr/bin/perl
use strict;
use IO::Select;
use IO::Socket::UNIX;
my ($folder) = $0 =~ m{(.*)/};
my $monitor;
for (@ARGV) { $monitor = $1 if s{^socket,id=charmonitor,fd=(\d+)}{socket,id=charmonitor,path=$folder/qemu.qmp} }
if (defined $monitor && !fork) {
    open(my $listener, "+<&=$monitor") or die;
    accept(my $client, $listener) or die;
    my $proxy = IO::Socket::UNIX->new(Peer => "$folder/proxy.qmp") or die;
    my %other = ($client => $proxy, $proxy => $client);
    my $readers = IO::Select->new($client, $proxy);
    for (;;) {
        for my $from ($readers->can_read) {
            sysread($from, my $bytes, 65536) or exit;
            for (my $at = 0; $at < length $bytes;) { $at += syswrite($other{$from}, $bytes, length($bytes) - $at, $at) }
        }
    }
}
exec "/usr/bin/qemu-system-x86_64", @ARGV;
"#;

const DOMAIN: &str = r"
<domain type='qemu'>
  <name>vm1</name>
  <uuid>12345678-1234-1234-1234-123456789abc</uuid>
  <memory unit='MiB'>64</memory>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <devices>
    <emulator>FOLDER/emulator</emulator>
    <graphics type='spice' port='-1' autoport='yes' listen='127.0.0.1'/>
    <video><model type='qxl'/></video>
    <memballoon model='none'/>
    <controller type='usb' model='none'/>
  </devices>
</domain>
";

const CONFIGURATION: &str = "user = \"root\"\ngroup = \"root\"\nsecurity_driver = \"none\"\nnamespaces = []\n\
                             cgroup_controllers = []\nstdio_handler = \"file\"\nremember_owner = 0\nspice_tls = 0\n";

/// Whether libvirt is installed and this process may use it. If not, it says so, and panics where `CI` is set.
fn have_libvirt() -> bool {
    let is_root = fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    if is_root && Path::new(ROOT).join("usr/bin/virt-qemu-run").exists() {
        return true;
    }
    let message = "libvirt is missing, or this is not root; `cargo xtask setup` installs it as root";
    assert!(std::env::var_os("CI").is_none_or(|value| value.is_empty()), "{message}");
    eprintln!("skipped: {message}");
    false
}

/// A command of libvirt, or of the test.
type Job = (qmp_schema::Command<'static>, Done);

enum Done {
    Responder(Responder),
    Test(tokio::sync::oneshot::Sender<String>),
}

/// Runs commands at QEMU and publishes its events, until QEMU ends. A command's events are published before its reply.
async fn proxy(mut client: Client, mut jobs: UnboundedReceiver<Job>, server: Server) {
    loop {
        tokio::select! {
            job = jobs.recv() => {
                let Some((command, done)) = job else { return };
                let result = client.execute(command).await;
                while let Some(event) = client.take_event() {
                    server.publish(&event.to_vec());
                }
                match (done, result) {
                    (Done::Test(done), result) => _ = done.send(result.map_or_else(|error| error.to_string(), |reply| reply.to_string())),
                    (Done::Responder(responder), Ok(reply)) => responder.answer(Ok(Reply::json(reply.as_str().to_owned()))),
                    (Done::Responder(responder), Err(Error::Command(error))) => responder.answer(Err(error.into())),
                    (Done::Responder(responder), Err(error)) => responder.answer(Err(error.to_string().into())),
                }
            }
            event = client.next_event() => match event {
                Ok(event) => server.publish(&event.to_vec()),
                Err(_) => return,
            },
        }
    }
}

/// The service of a QEMU: it passes on everything but the negotiation.
fn service(client: &Client, jobs: &UnboundedSender<Job>, asked: &Arc<Mutex<Vec<String>>>) -> Service {
    let pass_on = {
        let (jobs, asked) = (jobs.clone(), Arc::clone(asked));
        move |name: String, arguments: Object<'static>, responder| {
            asked.lock().unwrap().push(name.clone());
            let mut command = qmp_schema::Command::new(name);
            command.arguments = (!arguments.is_empty()).then_some(arguments);
            _ = jobs.send((command, Done::Responder(responder)));
        }
    };
    let introspection = |name: &'static str| {
        let pass_on = pass_on.clone();
        Command::later(name, move |arguments, responder| pass_on(name.to_owned(), arguments, responder))
            .takes_anything()
    };
    Service::builder(client.greeting().version.clone())
        .command(introspection("query-commands"))
        .command(introspection("query-qmp-schema"))
        .fallback(move |Request { name, arguments, .. }, responder| pass_on(name, arguments, responder))
        .build()
}

struct Libvirt(Child);

impl Libvirt {
    fn start(folder: &Path) -> Self {
        fs::create_dir_all(folder.join("root/etc")).unwrap();
        fs::write(folder.join("root/etc/qemu.conf"), CONFIGURATION).unwrap();
        fs::write(folder.join("vm.xml"), DOMAIN.replace("FOLDER", &folder.display().to_string())).unwrap();
        let emulator = folder.join("emulator");
        fs::write(&emulator, EMULATOR).unwrap();
        fs::set_permissions(&emulator, fs::Permissions::from_mode(0o755)).unwrap();
        let mut run = Process::new("unshare");
        run.args(["-m", "sh", "-c", IN_DEBIAN_13, "sh", ROOT, "virt-qemu-run", "-v", "-r"]);
        run.arg(folder.join("root")).arg(folder.join("vm.xml"));
        Self(run.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap())
    }

    /// Its lines on stderr.
    fn lines(&mut self) -> UnboundedReceiver<String> {
        let stderr = self.0.stderr.take().unwrap();
        let (sender, receiver) = unbounded_channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                _ = sender.send(line);
            }
        });
        receiver
    }
}

impl Drop for Libvirt {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

async fn connect(path: PathBuf) -> Client {
    let options = || Options::default().timeout(PATIENCE);
    loop {
        match Client::connect(&Address::Unix(path.clone()), options()).await {
            Ok(client) => return client,
            Err(Error::Io(_)) => sleep(Duration::from_millis(10)).await,
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn libvirt_starts_a_vm_and_hears_of_its_end_through_a_proxy() {
    if !have_libvirt() {
        return;
    }
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    let listener = UnixListener::bind(folder.path().join("proxy.qmp")).unwrap();
    let mut libvirt = Libvirt::start(folder.path());
    let mut said = libvirt.lines();
    let mut all = Vec::new();

    let (stream, _) = timeout(PATIENCE, listener.accept()).await.expect("libvirt starts the emulator").unwrap();
    let client = timeout(PATIENCE, connect(folder.path().join("qemu.qmp"))).await.expect("QEMU listens");
    assert_eq!(client.greeting().version.qemu.major, 11);
    let (jobs, waiting) = unbounded_channel();
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let server = Server::new(service(&client, &jobs, &asked));
    let monitor = server.serve(stream, "libvirt");
    let proxy = tokio::spawn(proxy(client, waiting, server.clone()));

    let mut hear = async |part: &str| {
        while !all.last().is_some_and(|line: &String| line.contains(part)) {
            let line = timeout(PATIENCE, said.recv()).await.ok().flatten();
            all.push(line.unwrap_or_else(|| panic!("no {part} in {all:#?}")));
        }
    };
    hear("guest running").await;
    let (done, answer) = tokio::sync::oneshot::channel();
    jobs.send((qmp_schema::Command::new("query-status"), Done::Test(done))).ok().unwrap();
    assert_eq!(answer.await.unwrap(), r#"{"status": "running", "running": true}"#);
    let asked = asked.lock().unwrap().clone();
    assert!(asked.len() >= 5 && asked.iter().any(|name| name == "cont"), "{asked:?}");

    // The end of the guest: libvirt hears SHUTDOWN and the end of the connection.
    let (done, _) = tokio::sync::oneshot::channel();
    jobs.send((qmp_schema::Command::new("quit"), Done::Test(done))).ok().unwrap();
    timeout(PATIENCE, proxy).await.expect("QEMU ends").unwrap();
    server.shutdown(PATIENCE).await;
    monitor.closed().await;
    let log = folder.path().join("root/log/qemu/vm1.log");
    let ended = async {
        while !fs::read_to_string(&log).unwrap().contains("shutting down, reason=shutdown") {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, ended).await.expect("libvirt logs that the guest has shut down");
    println!("libvirt ran {} commands", asked.len());
}
