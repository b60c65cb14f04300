//! Xspice: spice-server inside an X server, without QEMU and without QMP.

use std::{
    fs, io,
    net::{Ipv4Addr, TcpStream},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::{
    PATIENCE, free_port,
    process::{Process, Scratch},
};

/// The channels that a client of [`Xspice`] opens: main, display, inputs and cursor.
pub const XSPICE_CHANNELS: usize = 4;

/// The X server. The sizes, in MiB, are the smallest of the driver's manual; without them, the driver does not start.
const CONFIGURATION: &str = r#"
Section "Device"
    Identifier "XSPICE"
    Driver "spiceqxl"
    Option "CommandBufferSize" "128"
    Option "FrameBufferSize" "16"
    Option "SurfaceBufferSize" "128"
EndSection
Section "InputDevice"
    Identifier "XSPICE POINTER"
    Driver "xspice pointer"
EndSection
Section "InputDevice"
    Identifier "XSPICE KEYBOARD"
    Driver "xspice keyboard"
EndSection
Section "Monitor"
    Identifier "Configured Monitor"
EndSection
Section "Screen"
    Identifier "XSPICE Screen"
    Monitor "Configured Monitor"
    Device "XSPICE"
    DefaultDepth 24
EndSection
Section "ServerLayout"
    Identifier "XSPICE Example"
    Screen "XSPICE Screen"
    InputDevice "XSPICE KEYBOARD"
    InputDevice "XSPICE POINTER"
EndSection
Section "ServerFlags"
    Option "AutoAddDevices" "False"
EndSection
"#;

/// A running Xspice with tickets.
#[derive(Debug)]
pub struct Xspice {
    process: Process,
    port: u16,
    _scratch: Scratch,
}

impl Xspice {
    /// Starts it, and waits until it listens.
    pub fn start(password: &str) -> io::Result<Self> {
        let scratch = Scratch::new()?;
        let configuration = scratch.join("xorg.conf");
        fs::write(&configuration, CONFIGURATION)?;
        let port = free_port()?;
        // Debian's wrapper script ends too early if it gets a session, and ignores SIGTERM. These variables are what it sets.
        let mut command = Command::new("/usr/lib/xorg/Xorg");
        command
            .env("XSPICE_PORT", port.to_string())
            .env("XSPICE_ADDR", "127.0.0.1")
            .env("XSPICE_PASSWORD", password)
            // The driver writes past its heap with its default of four.
            .env("QXL_NUM_HEADS", "1")
            .arg("-config")
            .arg(&configuration)
            // Without a lock file and a socket file, which would stay when it is killed.
            .args(["-noreset", "-nolock", "-nolisten", "unix", "-logfile"])
            .arg(scratch.join("log"))
            // A display number that no other X server has: SPICE's port is free, and so is this.
            .arg(format!(":{port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut process = Process::spawn(&mut command)?;
        let start = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if process.ended()?.is_some() || start.elapsed() > PATIENCE {
                let log = fs::read_to_string(scratch.join("log")).unwrap_or_default();
                return Err(io::Error::other(format!("Xspice does not listen: {log}")));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(Self { process, port, _scratch: scratch })
    }

    /// The port of its SPICE server.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }
}
