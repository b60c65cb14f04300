//! libvirt's daemon starts a VM whose monitor is a proxy of qmp-server: libvirtd ⇄ qmp-server ⇄ qmp-client ⇄ QEMU.
//!
//! It is the daemon of the Debian 13 that `cargo xtask setup` makes, in a mount namespace with folders of its own. libvirt hands the
//! listening socket of the monitor to the emulator. A script in the emulator's place connects that socket to the proxy, and gives
//! the real QEMU another one.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use qmp_client::{Address, Error, Options, qmp_schema};
use qmp_schema::Encode as _;
use qmp_server::{Object, Reply, Request, Responder, Server, Service};
use spice_testkit::lab::{self, Client, Peer, Process};
use tokio::{
    net::UnixListener,
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::{sleep, timeout},
};

/// The channels that spice-gtk opens on the VM of [`DOMAIN`].
const SPICE_CHANNELS: usize = 4;

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

/// The same for the daemon, in a process namespace of its own, so that QEMU ends with it. What it writes is in memory, and its driver
/// has this configuration file.
const DAEMON_IN_DEBIAN_13: &str = r#"
set -e
root=$1 configuration=$2; shift 2
mount --make-rprivate /
mount -t proc proc "$root/proc"
for folder in dev sys tmp; do mount --rbind "/$folder" "$root/$folder"; done
for folder in run var/lib/libvirt var/log var/cache; do mount -t tmpfs tmpfs "$root/$folder"; done
mkdir "$root/var/log/libvirt" "$root/var/cache/libvirt"
mount --bind "$configuration" "$root/etc/libvirt/qemu.conf"
# Not `exec`: the first process of a namespace inherits processes, and must wait for them. libvirt does not.
chroot "$root" "$@" &
wait $!
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
    <graphics type='spice' port='PORT' autoport='no' listen='127.0.0.1'/>
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
    if is_root && ["usr/sbin/libvirtd", "usr/bin/virsh"].iter().all(|program| Path::new(ROOT).join(program).exists()) {
        return true;
    }
    let message = "libvirt is missing, or this is not root; `cargo xtask setup` installs it as root";
    assert!(std::env::var_os("CI").is_none_or(|value| value.is_empty()), "{message}");
    eprintln!("skipped: {message}");
    false
}

/// A command of libvirt.
type Job = (qmp_schema::Command<'static>, Responder);

/// Runs commands at QEMU and publishes its events, until QEMU ends. A command's events are published before its reply.
async fn proxy(mut client: qmp_client::Client, mut jobs: UnboundedReceiver<Job>, server: Server) {
    loop {
        tokio::select! {
            job = jobs.recv() => {
                let Some((command, responder)) = job else { return };
                let result = client.execute(command).await;
                while let Some(event) = client.take_event() {
                    server.publish(&event.to_vec());
                }
                responder.answer(match result {
                    Ok(reply) => Ok(Reply::json(reply.as_str().to_owned())),
                    Err(Error::Command(error)) => Err(error.into()),
                    Err(error) => Err(error.to_string().into()),
                });
            }
            event = client.next_event() => match event {
                Ok(event) => server.publish(&event.to_vec()),
                Err(_) => return,
            },
        }
    }
}

/// The service of a QEMU: it passes on everything but the negotiation.
fn service(client: &qmp_client::Client, jobs: &UnboundedSender<Job>, asked: &Arc<Mutex<Vec<String>>>) -> Service {
    let pass_on = {
        let (jobs, asked) = (jobs.clone(), Arc::clone(asked));
        move |name: String, arguments: Object<'static>, responder| {
            asked.lock().unwrap().push(name.clone());
            let mut command = qmp_schema::Command::new(name);
            command.arguments = (!arguments.is_empty()).then_some(arguments);
            _ = jobs.send((command, responder));
        }
    };
    let introspection = |name: &'static str| {
        let pass_on = pass_on.clone();
        qmp_server::Command::later(name, move |arguments, responder| pass_on(name.to_owned(), arguments, responder))
            .takes_anything()
    };
    Service::builder(client.greeting().version.clone())
        .command(introspection("query-commands"))
        .command(introspection("query-qmp-schema"))
        .fallback(move |Request { name, arguments, .. }, responder| pass_on(name, arguments, responder))
        .build()
}

/// A running libvirtd, in a folder below `/tmp`.
struct Libvirt {
    folder: PathBuf,
    daemon: Process,
}

impl Libvirt {
    fn start(folder: &Path, port: u16) -> Self {
        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let place = folder.display().to_string();
        write("vm.xml", &DOMAIN.replace("FOLDER", &place).replace("PORT", &port.to_string()));
        fs::set_permissions(write("emulator", EMULATOR), fs::Permissions::from_mode(0o755)).unwrap();
        let driver = write("qemu.conf", CONFIGURATION);
        let sockets = format!("unix_sock_dir = \"{place}\"\nauth_unix_ro = \"none\"\nauth_unix_rw = \"none\"\n");
        let daemon = write("libvirtd.conf", &sockets);
        let log = fs::File::create(folder.join("libvirtd.log")).unwrap();
        let mut run = Command::new("unshare");
        run.args(["-m", "-p", "-f", "--kill-child", "sh", "-c", DAEMON_IN_DEBIAN_13, "sh", ROOT])
            .arg(driver)
            .args(["libvirtd", "-f"])
            .arg(daemon);
        run.arg("-p").arg(folder.join("pid")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let mut libvirt = Self { folder: folder.to_owned(), daemon: Process::spawn(&mut run).unwrap() };
        let start = Instant::now();
        while !libvirt.virsh(&["version"]).stderr(Stdio::null()).status().unwrap().success() {
            assert!(libvirt.daemon.ended().unwrap().is_none() && start.elapsed() < PATIENCE, "{}", libvirt.log());
            std::thread::sleep(Duration::from_millis(100));
        }
        libvirt
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("libvirtd.log")).unwrap()
    }

    /// `virsh` with these arguments, whose lines are not buffered.
    fn virsh(&self, arguments: &[&str]) -> Command {
        let connection = format!("qemu+unix:///system?socket={}/libvirt-sock", self.folder.display());
        let mut run = Command::new("unshare");
        run.args(["-m", "sh", "-c", IN_DEBIAN_13, "sh", ROOT, "stdbuf", "-oL", "virsh", "-q", "-c", &connection]);
        run.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
        run
    }

    /// What `virsh` prints with these arguments.
    fn ask(&self, arguments: &[&str]) -> String {
        let output = self.virsh(arguments).stdout(Stdio::piped()).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}\n{}", self.log());
        String::from_utf8(output.stdout).unwrap()
    }

    /// The events of the VM, as `virsh` prints them. The process ends with its value.
    fn events(&self) -> (Process, UnboundedReceiver<String>) {
        let mut run = self.virsh(&["event", "--all", "--loop"]);
        let mut virsh = Process::spawn(run.stdout(Stdio::piped()).stderr(Stdio::null())).unwrap();
        let stdout = virsh.child().stdout.take().unwrap();
        let (sender, receiver) = unbounded_channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                _ = sender.send(line);
            }
        });
        (virsh, receiver)
    }
}

async fn connect(path: PathBuf) -> qmp_client::Client {
    let options = || Options::default().timeout(PATIENCE);
    loop {
        match qmp_client::Client::connect(&Address::Unix(path.clone()), options()).await {
            Ok(client) => return client,
            Err(Error::Io(_)) => sleep(Duration::from_millis(10)).await,
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn libvirt_hears_of_a_vms_life_and_of_its_spice_clients_through_a_proxy() {
    if !have_libvirt() || !lab::have(&[Peer::SpiceGtk]) {
        return;
    }
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    let listener = UnixListener::bind(folder.path().join("proxy.qmp")).unwrap();
    let port = lab::free_port().unwrap();
    let libvirt = Arc::new(Libvirt::start(folder.path(), port));
    let (_virsh, mut said) = libvirt.events();
    let create = {
        let (libvirt, vm) = (Arc::clone(&libvirt), folder.path().join("vm.xml").display().to_string());
        tokio::task::spawn_blocking(move || libvirt.ask(&["create", &vm]))
    };

    let accepted = timeout(PATIENCE, listener.accept()).await;
    let (stream, _) = accepted.unwrap_or_else(|_| panic!("libvirt starts no emulator: {}", libvirt.log())).unwrap();
    let client = timeout(PATIENCE, connect(folder.path().join("qemu.qmp"))).await.expect("QEMU listens");
    assert_eq!(client.greeting().version.qemu.major, 11);
    let (jobs, waiting) = unbounded_channel();
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let server = Server::new(service(&client, &jobs, &asked));
    let monitor = server.serve(stream, "libvirt");
    let proxy = tokio::spawn(proxy(client, waiting, server.clone()));
    timeout(PATIENCE, create).await.expect("virsh creates the VM").unwrap();
    assert_eq!(libvirt.ask(&["domstate", "vm1"]).trim(), "running");
    assert_eq!(libvirt.ask(&["domdisplay", "vm1"]).trim(), format!("spice://127.0.0.1:{port}"));
    let asked = asked.lock().unwrap().clone();
    assert!(asked.len() >= 5 && asked.iter().any(|name| name == "cont"), "{asked:?}");

    // Commands of virsh change the VM, and their events come back.
    let mut all = Vec::new();
    let mut hear = async |part: &str, count: usize| {
        while all.iter().filter(|line: &&String| line.contains(part)).count() < count {
            let line = timeout(PATIENCE, said.recv()).await.ok().flatten();
            all.push(line.unwrap_or_else(|| panic!("no {part} in {all:#?}")));
        }
    };
    libvirt.ask(&["suspend", "vm1"]);
    hear("event 'lifecycle' for domain 'vm1': Suspended", 1).await;
    libvirt.ask(&["resume", "vm1"]);
    hear("event 'lifecycle' for domain 'vm1': Resumed", 1).await;

    // A SPICE client: QEMU's events become libvirt's.
    let spice = Client::start(&["--port", &port.to_string()]).unwrap();
    hear("event 'graphics' for domain 'vm1': initialize", SPICE_CHANNELS).await;
    assert!(spice.leave().unwrap().success());
    hear("event 'graphics' for domain 'vm1': disconnect", SPICE_CHANNELS).await;

    libvirt.ask(&["destroy", "vm1"]);
    hear("event 'lifecycle' for domain 'vm1': Stopped", 1).await;
    timeout(PATIENCE, proxy).await.expect("QEMU ends").unwrap();
    server.shutdown(PATIENCE).await;
    monitor.closed().await;
    println!("libvirt ran {} commands, and had {} events", asked.len(), all.len());
}
