//! What the committed captures show, as programs: each boots a QEMU, plays its part and hands back the recording.

mod by_hand;
mod sessions;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
};

use super::{Client, Peer, Pki, SaslUser, Sniffer, Vm, free_port, sniffer::to_pcapng, trim::trim};
use crate::captures::{Link, MAX_FILE, Manifest, PASSWORD, USER};

/// A recording above this is trimmed: room is left for pcapng, which takes more bytes for the same.
const TRIM_ABOVE: usize = MAX_FILE - 5_000;

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
    /// Its plain port, where the scenario has one.
    pub port: Option<u16>,
    /// Its TLS port, where the scenario has one.
    pub tls_port: Option<u16>,
    /// The certificates of the TLS port.
    pub pki: Option<Pki>,
    /// The links made by hand so far.
    pub links: Vec<Link>,
    /// The secrets of its TLS connections, as a key log, if the scenario collects them.
    pub key_log: Option<Vec<u8>>,
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
    /// The secrets of the TLS connections, as a key log, if they are not in the capture file.
    pub key_log: Option<Vec<u8>>,
    /// What the capture shows.
    pub manifest: Manifest,
}

/// The scenarios that are also recorded with QEMU 11.1, by their names. Each of these captures is called [`newer_name`].
pub const WITH_NEWER_QEMU: &[&str] = &["ticket", "refused", "sasl-by-hand", "kick-by-hand"];

/// The name of the capture of a scenario with QEMU 11.1.
pub fn newer_name(scenario: &str) -> String {
    format!("{scenario}-qemu-11.1")
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
        if self.name.ends_with("keylog") {
            peers.push(Peer::Socat);
        }
        peers
    }

    /// Boots, plays, records.
    pub fn run(&self) -> io::Result<Recording> {
        let port = |name: &str| self.spice.contains(name).then(free_port).transpose();
        let (port, tls_port) = (port("{port}")?, port("{tls-port}")?);
        let pki = tls_port.map(|_| Pki::new()).transpose()?;
        let mut spice = self.spice.to_owned();
        for (name, value) in [
            ("{port}", port.map(|port| port.to_string())),
            ("{tls-port}", tls_port.map(|port| port.to_string())),
            ("{pki}", pki.as_ref().map(|pki| pki.dir().display().to_string())),
        ] {
            spice = spice.replace(name, &value.unwrap_or_default());
        }
        let sasl = (self.auth == "sasl").then(|| SaslUser::new(USER, PASSWORD, "digest-md5")).transpose()?;

        let ports: Vec<_> = port.into_iter().chain(tls_port).collect();
        let sniffer = Sniffer::start_with(&ports, self.form.tcpdump())?;
        let vm = Vm::boot_with(&spice, |qemu| {
            if let Some(sasl) = &sasl {
                sasl.configure(qemu);
            }
        })?;
        let peers = vm.versions()?;
        let mut stage = Stage { vm, port, tls_port, pki, links: Vec::new(), key_log: None };
        (self.play)(&mut stage)
            .map_err(|error| io::Error::new(error.kind(), format!("{error}\nqemu's log:\n{}", stage.vm.log())))?;
        let (capture, trimmed) = trim(&sniffer.stop()?, TRIM_ABOVE)?;
        // pcapng has room for secrets; beside a pcap file they are a file of their own.
        let decrypts = stage.key_log.is_some();
        let (inside, key_log) = match self.form {
            Form::Pcapng => (stage.key_log, None),
            _ => (None, stage.key_log),
        };
        Ok(Recording {
            capture: if self.form == Form::Pcapng { to_pcapng(&capture, inside.as_deref())? } else { capture },
            key_log,
            extension: if self.form == Form::Pcapng { "pcapng" } else { "pcap" },
            qmp: stage.vm.events().raw(),
            manifest: Manifest {
                about: self.about.to_owned(),
                spice: self.spice.to_owned(),
                peers,
                auth: self.auth.to_owned(),
                ports: port.into_iter().collect(),
                tls_ports: tls_port.into_iter().collect(),
                trimmed,
                decrypts,
                quits: stage.vm.events().count("SHUTDOWN") > 0,
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
    /// A spice-gtk session to whichever ports the server has, with more arguments.
    pub fn client(&self, more: &[&str]) -> io::Result<Client> {
        let (port, tls_port) = (self.port.map(|port| port.to_string()), self.tls_port.map(|port| port.to_string()));
        let ca = self.pki.as_ref().map(|pki| pki.ca().display().to_string());
        let mut args = Vec::new();
        for (name, value) in [("--port", &port), ("--tls-port", &tls_port), ("--ca", &ca)] {
            args.extend(value.iter().flat_map(|value| [name, value.as_str()]));
        }
        args.extend(more);
        Client::start(&args)
    }

    /// The plain port, for links by hand.
    pub fn plain(&self) -> io::Result<SocketAddr> {
        let port = self.port.ok_or_else(|| io::Error::other("this server has no plain port"))?;
        Ok((Ipv4Addr::LOCALHOST, port).into())
    }
}
