//! The relays between client and server, each in its own process.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use spice_testkit::lab::{self, Pki, Scratch};

use super::{
    args::Args,
    client::{self, Dial},
    process,
};

/// A relay to measure, one row of the tables.
pub(super) struct Peer {
    pub(super) name: String,
    pub(super) dial: Dial,
    /// Whether it starts a process for each connection.
    pub(super) is_a_process_each: bool,
    running: Option<Running>,
}

struct Running {
    child: Child,
    _files: Scratch,
}

impl Drop for Running {
    fn drop(&mut self) {
        // SIGTERM first: a master that is killed leaves its workers behind.
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let asked = Instant::now();
        while asked.elapsed() < Duration::from_secs(2) && matches!(self.child.try_wait(), Ok(None)) {
            thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Peer {
    /// Whether there is a relay at all; `direct` has none.
    pub(super) fn is_relay(&self) -> bool {
        self.running.is_some()
    }

    pub(super) fn cpu(&self) -> Result<f64> {
        self.running.as_ref().map_or(Ok(0.0), |running| process::cpu(running.child.id(), self.is_a_process_each))
    }

    pub(super) fn memory(&self) -> Result<u64> {
        self.running.as_ref().map_or(Ok(0), |running| process::memory(running.child.id()))
    }
}

/// Makes the command line of a peer from the ports of its two VMs, the server's address, a folder for its files, certificates, and our
/// program.
type Recipe = fn([u16; 2], &str, &Scratch, &Pki, &Path) -> Result<Command>;

const PEERS: &[(&str, &str, bool, Recipe)] = &[
    ("spicewatch", "spicewatch", false, PLAIN),
    ("haproxy", "haproxy", false, |port, server, files, _, _| haproxy(port, server, files, "", "")),
    ("haproxy splice", "haproxy", false, |port, server, files, _, _| {
        haproxy(port, server, files, "", "  option splice-request\n  option splice-response\n")
    }),
    ("nginx", "nginx", false, nginx),
    ("socat", "socat", true, |port, server, _, _, _| {
        let mut command = Command::new("socat");
        let listen = format!("TCP-LISTEN:{},bind=127.0.0.1,reuseaddr,fork,nodelay,backlog=1024", port[0]);
        command.args(["-b", "65536", &listen, &format!("TCP:{server},nodelay")]);
        Ok(command)
    }),
    ("spicewatch TLS", "spicewatch", false, WITH_TLS),
    ("haproxy TLS", "haproxy", false, |port, server, files, pki, _| {
        let both: Vec<u8> = ["server-cert.pem", "server-key.pem"]
            .iter()
            .map(|name| fs::read(pki.dir().join(name)))
            .collect::<Result<Vec<_>, _>>()?
            .concat();
        fs::write(files.join("both.pem"), both)?;
        haproxy(port, server, files, &format!(" ssl crt {} no-tls-tickets", files.join("both.pem").display()), "")
    }),
];

/// kerbside-proxy accepts a channel only with a token from its control service, so it can't be measured without that service.
const KERBSIDE: &str = "kerbside-proxy (needs its gRPC control service)";

/// Starts all peers, then the other builds of ours (`beside`). Also returns the names of peers that are not installed.
pub(super) fn start(server: &str, pki: &Pki, args: &Args) -> Result<(Vec<Peer>, Vec<String>)> {
    let wanted = |name: &str| args.only.is_empty() || args.only.iter().any(|only| only == name);
    let (mut peers, mut missing) = (Vec::new(), vec![KERBSIDE.to_owned()]);
    if wanted("direct") {
        let dial = Dial { address: server.parse()?, tls: None, other: None };
        peers.push(Peer { name: "direct".to_owned(), dial, is_a_process_each: false, running: None });
    }
    let ours = shell::target().join("release/spicewatch");
    for &(name, program, is_a_process_each, recipe) in PEERS.iter().filter(|peer| wanted(peer.0)) {
        if program != "spicewatch" && version(program).is_none() {
            missing.push(name.to_owned());
            continue;
        }
        peers.push(running(name.to_owned(), is_a_process_each, recipe, server, pki, &ours)?);
    }
    for other in &args.beside {
        for &(name, _, is_a_process_each, recipe) in
            PEERS.iter().filter(|peer| peer.1 == "spicewatch" && wanted(peer.0))
        {
            let kind = if is_tls(name) { "TLS" } else { "plain" };
            peers.push(running(format!("{} {kind}", other.display()), is_a_process_each, recipe, server, pki, other)?);
        }
    }
    Ok((peers, missing))
}

fn is_tls(name: &str) -> bool {
    name.ends_with("TLS")
}

/// Starts a relay and waits until it listens.
fn running(
    name: String,
    is_a_process_each: bool,
    recipe: Recipe,
    server: &str,
    pki: &Pki,
    program: &Path,
) -> Result<Peer> {
    let (ports, files) = ([lab::free_port()?, lab::free_port()?], Scratch::new()?);
    let mut command = recipe(ports, server, &files, pki, program)?;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let child = command.spawn().with_context(|| format!("can't run {name}"))?;
    let tls = is_tls(&name).then(|| client::tls(pki)).transpose()?;
    let [address, other] = ports.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    // socat has one listener.
    let other = (!is_a_process_each).then_some(other);
    let running = Some(Running { child, _files: files });
    let peer = Peer { name, dial: Dial { address, tls, other }, is_a_process_each, running };
    let start = Instant::now();
    while TcpStream::connect(address).is_err() {
        if start.elapsed() > Duration::from_secs(10) {
            bail!("{} does not listen", peer.name);
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(peer)
}

const PLAIN: Recipe = |ports, server, files, _, program| spicewatch(program, "listen", ports, server, files, "");

const WITH_TLS: Recipe = |ports, server, files, pki, program| {
    let dir = format!("x509-dir = \"{}\"\n", pki.dir().display());
    spicewatch(program, "tls-listen", ports, server, files, &dir)
};

/// Our relay, which also makes events and serves them on QMP sockets.
fn spicewatch(
    program: &Path,
    listen: &str,
    ports: [u16; 2],
    server: &str,
    files: &Scratch,
    more: &str,
) -> Result<Command> {
    let vm = |(number, port): (usize, u16)| {
        let qmp = files.join(&format!("{number}.qmp"));
        format!(
            "[[vm]]\nname = \"{number}\"\n{listen} = \"127.0.0.1:{port}\"\nupstream = \"{server}\"\nqmp = \"unix:{}\"\n{more}",
            qmp.display()
        )
    };
    let vms: Vec<String> = ports.into_iter().enumerate().map(vm).collect();
    let file = files.join("relay.toml");
    fs::write(&file, format!("log = \"error\"\n{}", vms.concat()))?;
    let mut command = Command::new(program);
    command.args(["relay", "--config"]).arg(file);
    Ok(command)
}

fn haproxy(ports: [u16; 2], server: &str, files: &Scratch, bind: &str, options: &str) -> Result<Command> {
    let file = files.join("haproxy.cfg");
    let most = process::raise_descriptor_limit()? + process::RESERVE / 2;
    let text = format!(
        "global\n  maxconn {most}\n  maxpipes 100\n\
         defaults\n  mode tcp\n  timeout connect 10s\n  timeout client 1h\n  timeout server 1h\n{options}\
         listen relay\n  bind 127.0.0.1:{}{bind}\n  server vm {server}\n\
         listen other\n  bind 127.0.0.1:{}{bind}\n  server vm {server}\n",
        ports[0], ports[1]
    );
    fs::write(&file, text)?;
    let mut command = Command::new("haproxy");
    command.arg("-db").arg("-f").arg(file);
    Ok(command)
}

/// One worker for each core, like the threads of the others. Debian packages the stream module separately.
fn nginx(ports: [u16; 2], server: &str, files: &Scratch, _: &Pki, _: &Path) -> Result<Command> {
    const MODULE: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";
    let (file, pid) = (files.join("nginx.conf"), files.join("pid"));
    let most = process::raise_descriptor_limit()? + process::RESERVE / 2;
    let module = if Path::new(MODULE).exists() { format!("load_module {MODULE};\n") } else { String::new() };
    let text = format!(
        "{module}daemon off;\npid {};\nerror_log /dev/null;\nworker_processes auto;\nworker_rlimit_nofile {};\n\
         events {{ worker_connections {}; }}\n\
         stream {{ server {{ listen 127.0.0.1:{} backlog=4096; proxy_pass {server}; tcp_nodelay on; }}\n\
         server {{ listen 127.0.0.1:{} backlog=4096; proxy_pass {server}; tcp_nodelay on; }} }}\n",
        pid.display(),
        2 * most,
        2 * most,
        ports[0],
        ports[1]
    );
    fs::write(&file, text)?;
    let mut command = Command::new("nginx");
    command.arg("-c").arg(file).arg("-p").arg(files.path());
    Ok(command)
}

fn version(program: &str) -> Option<String> {
    let flag = if program == "socat" { "-V" } else { "-v" };
    let output = Command::new(program).arg(flag).output().ok()?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    said.lines().find(|line| line.to_lowercase().contains("version")).map(str::to_owned)
}

/// The versions of the peers, for the record.
pub(super) fn versions() -> Vec<String> {
    ["haproxy", "nginx", "socat"].into_iter().filter_map(version).collect()
}
