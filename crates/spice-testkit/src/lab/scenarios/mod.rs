//! What the committed captures show, as programs: each boots a QEMU, plays its part and hands back the recording.

mod by_hand;
mod sessions;

use std::io;

use super::{Client, Peer, Pki, SaslUser, Sniffer, Vm, free_port, trim::trim};
use crate::captures::{Link, MAX_FILE, Manifest};

/// One recorded situation.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// The capture's name.
    pub name: &'static str,
    /// What happens in it.
    pub about: &'static str,
    /// The options of `-spice`; `{port}`, `{tls-port}` and `{pki}` are filled in.
    pub spice: &'static str,
    /// What QEMU will report as `auth`.
    pub auth: &'static str,
    /// How it is written down.
    pub form: Form,
    play: fn(&mut Stage) -> io::Result<()>,
}

/// The forms of capture files; each is used by at least one scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// pcap, Ethernet headers, microseconds.
    Pcap,
    /// The same in nanoseconds.
    PcapNano,
    /// pcap from the `any` interface: Linux cooked headers, version 2.
    Cooked2,
    /// The same, version 1.
    Cooked1,
    /// pcapng, as Wireshark's `editcap` writes it.
    Pcapng,
}

/// All that a scenario can act with.
#[derive(Debug)]
pub struct Stage {
    /// The QEMU under test.
    pub vm: Vm,
    /// Its plain port.
    pub port: u16,
    /// Its TLS port, where the scenario has one.
    pub tls_port: u16,
    /// The certificates of the TLS port.
    pub pki: Option<Pki>,
    /// The links made by hand so far.
    pub links: Vec<Link>,
}

/// What a scenario leaves behind.
#[derive(Debug)]
pub struct Recording {
    /// The capture file.
    pub capture: Vec<u8>,
    /// `pcap` or `pcapng`.
    pub extension: &'static str,
    /// QEMU's event lines.
    pub qmp: Vec<u8>,
    /// What the capture shows.
    pub manifest: Manifest,
}

/// Every scenario, in the order of the manual.
pub fn all() -> impl Iterator<Item = &'static Scenario> {
    sessions::ALL.iter().chain(by_hand::ALL)
}

impl Scenario {
    /// The peers that it needs.
    pub fn peers(&self) -> Vec<Peer> {
        let mut peers = vec![Peer::Qemu, Peer::SpiceGtk, Peer::Tcpdump, Peer::Openssl];
        if self.auth == "sasl" {
            peers.push(Peer::Sasl);
        }
        if self.form == Form::Pcapng {
            peers.push(Peer::Tshark);
        }
        peers
    }

    /// Boots, plays, records.
    pub fn run(&self) -> io::Result<Recording> {
        let (port, tls_port) = (free_port()?, free_port()?);
        let with_tls = self.spice.contains("{tls-port}");
        let pki = with_tls.then(Pki::new).transpose()?;
        let dir = pki.as_ref().map(|pki| pki.dir().display().to_string()).unwrap_or_default();
        let spice = self
            .spice
            .replace("{port}", &port.to_string())
            .replace("{tls-port}", &tls_port.to_string())
            .replace("{pki}", &dir);
        let sasl = (self.auth == "sasl")
            .then(|| SaslUser::new(crate::captures::USER, crate::captures::PASSWORD, "digest-md5"));
        let sasl = sasl.transpose()?;

        let ports: &[u16] = if with_tls { &[port, tls_port] } else { &[port] };
        let sniffer = Sniffer::start_with(ports, self.form.tcpdump())?;
        let vm = Vm::boot_with(&spice, |qemu| {
            if let Some(sasl) = &sasl {
                sasl.configure(qemu);
            }
        })?;
        let mut stage = Stage { vm, port, tls_port, pki, links: Vec::new() };
        (self.play)(&mut stage)?;
        // Its answer also proves that QEMU is done with what it did right after the last event: closing that socket.
        let peers = stage.vm.versions()?;
        let (capture, trimmed) = trim(&sniffer.stop()?, MAX_FILE)?;
        Ok(Recording {
            capture: if self.form == Form::Pcapng { super::sniffer::to_pcapng(&capture)? } else { capture },
            extension: if self.form == Form::Pcapng { "pcapng" } else { "pcap" },
            qmp: stage.vm.events().raw(),
            manifest: Manifest {
                about: self.about.to_owned(),
                spice: self.spice.to_owned(),
                peers,
                auth: self.auth.to_owned(),
                ports: vec![port],
                tls_ports: if with_tls { vec![tls_port] } else { Vec::new() },
                trimmed,
                links: stage.links,
            },
        })
    }
}

impl Form {
    fn tcpdump(self) -> &'static [&'static str] {
        match self {
            Self::Pcap | Self::Pcapng => &["-i", "lo"],
            Self::PcapNano => &["-i", "lo", "--time-stamp-precision=nano"],
            Self::Cooked1 => &["-i", "any", "-y", "LINUX_SLL"],
            Self::Cooked2 => &["-i", "any", "-y", "LINUX_SLL2"],
        }
    }
}

impl Stage {
    /// A spice-gtk session to the plain port, with more arguments.
    pub fn client(&self, more: &[&str]) -> io::Result<Client> {
        let port = self.port.to_string();
        Client::start(&[&["--port", &port], more].concat())
    }
}
