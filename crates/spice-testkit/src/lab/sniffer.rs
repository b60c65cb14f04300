//! tcpdump on the loopback interface.

use std::{
    fs,
    io::{self, BufRead, BufReader},
    net::{Ipv4Addr, UdpSocket},
    path::{Path, PathBuf},
    process::{ChildStdout, Command, Stdio},
};

#[cfg(feature = "battery")]
use super::process::output;
use super::process::{Process, Scratch, eventually};

/// Sent last, so that its arrival in the file proves that all before it is there.
const MARKER: &[u8] = b"end of the recording";

/// A running tcpdump that writes what passes on some ports to a file.
#[derive(Debug)]
pub struct Sniffer {
    process: Process,
    port: u16,
    scratch: Scratch,
}

impl Sniffer {
    /// Records these ports on `lo`. Returns when tcpdump listens.
    pub fn start(ports: &[u16]) -> io::Result<Self> {
        Self::start_with(ports, &["-i", "lo"])
    }

    /// The same with tcpdump's own arguments, which must name the interface.
    pub fn start_with(ports: &[u16], args: &[&str]) -> io::Result<Self> {
        let Some(&port) = ports.first() else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "expected a port to record"));
        };
        let scratch = Scratch::new()?;
        let process = tcpdump(ports, args, &scratch.join("pcap"))?;
        Ok(Self { process, port, scratch })
    }

    /// Records these ports on `lo` into a pipe, as in `tcpdump -w - | …`. The recording goes on until the process is
    /// dropped.
    pub fn pipe(ports: &[u16]) -> io::Result<(impl Sized + use<>, ChildStdout)> {
        let mut process = tcpdump(ports, &["-i", "lo"], Path::new("-"))?;
        let stdout = process.child().stdout.take().ok_or_else(|| io::Error::other("tcpdump has no stdout"))?;
        Ok((process, stdout))
    }

    /// The file that is being written.
    pub fn path(&self) -> PathBuf {
        self.scratch.join("pcap")
    }

    /// Waits until everything that was sent before this call is in the file, ends tcpdump and returns the file's bytes.
    ///
    /// The last packet is a datagram of our own.
    pub fn stop(mut self) -> io::Result<Vec<u8>> {
        UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.send_to(MARKER, (Ipv4Addr::LOCALHOST, self.port))?;
        eventually("tcpdump did not write the last packet", || {
            let written = fs::read(self.path())?;
            Ok(written.ends_with(MARKER).then_some(()))
        })?;
        self.process.interrupt()?;
        fs::read(self.path())
    }
}

/// Starts tcpdump and waits until it listens.
fn tcpdump(ports: &[u16], args: &[&str], to: &Path) -> io::Result<Process> {
    let filter = ports.iter().map(|port| format!("port {port}")).collect::<Vec<_>>().join(" or ");
    let mut command = Command::new("tcpdump");
    // -B: in immediate mode the kernel's buffer holds whole snap lengths, eight of them unless it is made larger.
    // -Z root: tcpdump would otherwise become another user and could not write into our folder.
    command
        .args(args)
        .args(["-U", "-s", "0", "--immediate-mode", "-B", "65536", "-Z", "root", "-w"])
        .arg(to)
        .arg(filter);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = Process::spawn(&mut command)?;
    let stderr = process.child().stderr.take().ok_or_else(|| io::Error::other("tcpdump has no stderr"))?;
    let mut said = String::new();
    let mut stderr = BufReader::new(stderr);
    while !said.contains("listening on") {
        if stderr.read_line(&mut said)? == 0 {
            return Err(io::Error::other(format!("tcpdump: {}", said.trim_end())));
        }
    }
    Ok(process)
}

/// The same recording as pcapng, written by Wireshark's `editcap`, with the secrets of a key log in it.
#[cfg(feature = "battery")]
pub(super) fn to_pcapng(pcap: &[u8], key_log: Option<&[u8]>) -> io::Result<Vec<u8>> {
    let scratch = Scratch::new()?;
    let (from, to) = (scratch.join("pcap"), scratch.join("pcapng"));
    fs::write(&from, pcap)?;
    let mut command = Command::new("editcap");
    command.args(["-F", "pcapng"]);
    if let Some(key_log) = key_log {
        let secrets = scratch.join("keylog");
        fs::write(&secrets, key_log)?;
        command.arg("--inject-secrets").arg(format!("tls,{}", secrets.display()));
    }
    output(command.args([&from, &to]))?;
    fs::read(to)
}
