//! A real QEMU whose SPICE server offers every channel that a client can open.

use std::{
    fs::{self, File},
    io,
    os::unix::net::UnixStream,
    path::PathBuf,
    process::{Command, Stdio},
};

use super::{
    events::{EventLog, IDLE},
    process::{Process, Scratch, eventually, output},
    qemu::Qemu,
};
use crate::captures::PASSWORD;

/// No disk, no screen, no KVM: only devices that carry SPICE channels. Two displays and cursors (qxl twice), inputs,
/// playback and record (one sound card), two USB redirections, webdav, and main.
const DEVICES: &[&str] = &[
    "-accel",
    "tcg",
    "-m",
    "64",
    "-display",
    "none",
    "-vga",
    "qxl",
    "-device",
    "qxl",
    "-audiodev",
    "spice,id=sound",
    "-device",
    "intel-hda",
    "-device",
    "hda-duplex,audiodev=sound",
    "-device",
    "virtio-serial",
    "-chardev",
    "spicevmc,id=agent,name=vdagent",
    "-device",
    "virtserialport,chardev=agent,name=com.redhat.spice.0",
    "-chardev",
    "spiceport,id=dav,name=org.spice-space.webdav.0",
    "-device",
    "virtserialport,chardev=dav,name=org.spice-space.webdav.0",
    "-device",
    "ich9-usb-ehci1,id=ehci",
    "-chardev",
    "spicevmc,id=usb-a,name=usbredir",
    "-device",
    "usb-redir,chardev=usb-a,bus=ehci.0",
    "-chardev",
    "spicevmc,id=usb-b,name=usbredir",
    "-device",
    "usb-redir,chardev=usb-b,bus=ehci.0",
];

const LOG: &str = "log";

/// A running QEMU and the events that it sends.
#[derive(Debug)]
pub struct Vm {
    qemu: Qemu,
    events: EventLog,
    process: Process,
    scratch: Scratch,
}

impl Vm {
    /// Boots [the chosen QEMU](Qemu::chosen) with these options of `-spice`, for example `port=5930,addr=127.0.0.1,disable-ticketing=on`.
    ///
    /// `password-secret=password` makes [`PASSWORD`] the password: the VM has a secret with that id.
    ///
    /// Returns when QEMU answers on QMP, and so listens for SPICE too.
    pub fn boot(spice: &str) -> io::Result<Self> {
        Qemu::chosen().boot(spice)
    }

    /// Boots [the chosen QEMU](Qemu::chosen) with more arguments or environment.
    pub fn boot_with(spice: &str, more: impl FnOnce(&mut Command)) -> io::Result<Self> {
        Qemu::chosen().boot_with(spice, more)
    }

    /// The QEMU of this version, to boot whatever the rest of the test run uses.
    pub fn qemu(version: &str) -> Qemu {
        Qemu::of_version(version)
    }

    pub(super) fn boot_qemu(qemu: &Qemu, spice: &str, more: impl FnOnce(&mut Command)) -> io::Result<Self> {
        let scratch = Scratch::new()?;
        let (qmp, monitor) = (scratch.join("events.qmp"), scratch.join("spare.qmp"));
        let log = scratch.join(LOG);
        let mut command = qemu.command();
        // QEMU 11 has no `password=` of `-spice` any more; every version has secrets.
        command.args(DEVICES).args(["-object", &format!("secret,id=password,data={PASSWORD}")]);
        command.args(["-name", "lab", "-spice", spice]);
        for socket in [&qmp, &monitor] {
            command.arg("-qmp").arg(format!("unix:{},server=on,wait=off", socket.display()));
        }
        more(&mut command);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log)?);
        let mut process = Process::spawn(&mut command)?;
        let stream = eventually("no QMP socket", || match UnixStream::connect(&qmp) {
            Ok(stream) => Ok(Some(stream)),
            Err(_) => match process.ended()? {
                None => Ok(None),
                Some(status) => {
                    let said = fs::read_to_string(&log)?;
                    Err(io::Error::other(format!("qemu ended with {status}: {}", said.trim_end())))
                }
            },
        })?;
        let events = EventLog::record(stream)?;
        Ok(Self { qemu: qemu.clone(), events, process, scratch })
    }

    /// What QEMU sent on its QMP socket since it booted.
    pub fn events(&self) -> &EventLog {
        &self.events
    }

    /// A second QMP socket that this value does not use, for tests that connect to QEMU directly.
    pub fn qmp_socket(&self) -> PathBuf {
        self.scratch.join("spare.qmp")
    }

    /// QEMU's version and that of the spice headers it was built with, each as `name version`.
    pub fn versions(&self) -> io::Result<Vec<String>> {
        let qemu = String::from_utf8_lossy(&output(self.qemu.command().arg("--version"))?).into_owned();
        let spice = self.events.execute(r#"{"execute": "query-spice"}"#)?;
        let spice =
            spice.split_once("\"compiled-version\": \"").map_or("", |(_, rest)| rest.split('"').next().unwrap_or(""));
        let qemu = qemu.lines().next().unwrap_or("").trim_start_matches("QEMU emulator version ");
        Ok(vec![format!("qemu {qemu}"), format!("spice-server {spice}")])
    }

    /// What QEMU and spice-server wrote to stderr so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.scratch.join(LOG)).unwrap_or_default()
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Returns when QEMU has finished its work after its last event, for example closing a socket.
    pub fn settle(&self) -> io::Result<()> {
        self.events.execute(IDLE).map(drop)
    }

    /// Tells QEMU to quit and waits until it has: live channels get no `SPICE_DISCONNECTED`.
    pub fn quit(&mut self) -> io::Result<()> {
        self.events.send(r#"{"execute": "quit"}"#)?;
        self.process.wait()?;
        self.events.wait_for_end()
    }

    /// Kills it as `kill -9` does, even if it is stopped. Its ports are closed when this returns.
    pub fn kill(&mut self) -> io::Result<()> {
        self.process.kill()
    }
}
