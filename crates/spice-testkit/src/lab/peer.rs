//! Which real peers this machine has, and which packages bring the missing ones.

use std::{
    io::{self, Write},
    path::Path,
    process::{Command, Stdio},
};

use super::{client::PYTHON, qemu::Qemu};

/// A program that tests are held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// QEMU with SPICE, for x86: the one that [`Qemu::chosen`] gives.
    Qemu,
    /// spice-gtk's session library with the system's Python.
    SpiceGtk,
    /// tcpdump, and the right to use it on `lo`.
    Tcpdump,
    /// Wireshark's dissectors, `editcap` and `dumpcap`.
    Tshark,
    /// The `openssl` program.
    Openssl,
    /// The SASL password tool and the DIGEST-MD5 plug-in.
    Sasl,
    /// `haproxy`.
    Haproxy,
    /// socat.
    Socat,
    /// `nc`, OpenBSD's netcat.
    Netcat,
    /// Xspice, and the X server that it runs in.
    Xspice,
    /// `curl`.
    Curl,
    /// Prometheus's `promtool`.
    Promtool,
    /// Chromium and its driver.
    Chromium,
}

impl Peer {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Qemu,
        Self::SpiceGtk,
        Self::Tcpdump,
        Self::Tshark,
        Self::Openssl,
        Self::Sasl,
        Self::Haproxy,
        Self::Socat,
        Self::Netcat,
        Self::Xspice,
        Self::Curl,
        Self::Promtool,
        Self::Chromium,
    ];

    /// The Debian packages that bring it.
    pub const fn packages(self) -> &'static [&'static str] {
        match self {
            Self::Qemu => &["qemu-system-x86"],
            Self::SpiceGtk => &["gir1.2-spiceclientglib-2.0", "python3-gi", "spice-client-gtk"],
            Self::Tcpdump => &["tcpdump"],
            Self::Tshark => &["tshark"],
            Self::Openssl => &["openssl"],
            Self::Sasl => &["sasl2-bin", "libsasl2-modules"],
            Self::Haproxy => &["haproxy"],
            Self::Socat => &["socat"],
            Self::Netcat => &["netcat-openbsd"],
            Self::Xspice => &["xserver-xspice"],
            Self::Curl => &["curl"],
            Self::Promtool => &["prometheus"],
            Self::Chromium => &["chromium", "chromium-driver"],
        }
    }

    /// Runs it to find out whether it is installed and works.
    pub fn is_here(self) -> bool {
        match self {
            Self::Qemu => Qemu::chosen().is_here(),
            Self::SpiceGtk => runs(PYTHON, &["-c", "import gi; gi.require_version('SpiceClientGLib', '2.0')"]),
            // Listing the link types needs permission to capture on `lo`.
            Self::Tcpdump => runs("tcpdump", &["-i", "lo", "-L"]),
            Self::Tshark => runs("tshark", &["--version"]),
            Self::Openssl => runs("openssl", &["version"]),
            // It prints its usage and fails. It is enough that it starts.
            Self::Sasl => quiet("saslpasswd2", &[]).status().is_ok(),
            Self::Haproxy => runs("haproxy", &["-v"]),
            Self::Socat => runs("socat", &["-V"]),
            Self::Netcat => runs("nc", &["-h"]),
            Self::Xspice => Path::new("/usr/lib/xorg/modules/drivers/spiceqxl_drv.so").exists(),
            Self::Curl => runs("curl", &["--version"]),
            Self::Promtool => runs("promtool", &["--version"]),
            Self::Chromium => runs("chromium", &["--version"]) && runs("chromedriver", &["--version"]),
        }
    }
}

/// Whether all of these peers are installed. If not, it prints to stderr which packages to install.
///
/// # Panics
/// If one is missing and `CI` is set: a build machine must not skip a test silently.
#[must_use]
pub fn have(peers: &[Peer]) -> bool {
    let missing: Vec<_> = peers.iter().filter(|peer| !peer.is_here()).collect();
    if missing.is_empty() {
        return true;
    }
    let packages: Vec<_> = missing.iter().flat_map(|peer| peer.packages()).copied().collect();
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let message = format!(
        "{test}: no {missing:?} here; as root: apt-get install -y --no-install-recommends {}",
        packages.join(" ")
    );
    assert!(std::env::var_os("CI").is_none_or(|value| value.is_empty()), "{message}");
    // Not `eprintln!`: the test harness would swallow it in a test that passes.
    let _ = writeln!(io::stderr(), "skipped: {message}");
    false
}

fn runs(program: &str, args: &[&str]) -> bool {
    quiet(program, args).status().is_ok_and(|status| status.success())
}

fn quiet(program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}
