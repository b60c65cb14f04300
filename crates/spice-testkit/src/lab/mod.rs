//! Real peers to hold the project against: a QEMU with eleven SPICE channels, spice-gtk, tcpdump, and links made by hand.
//!
//! Everything here runs other programs and talks to them over loopback; nothing needs a fixed port. Each value owns what
//! it started: dropping it ends that process, by its id, and removes its files. The same is done for all of them when this
//! process itself is killed.
//!
//! ```no_run
//! use spice_testkit::lab::{self, Client, Peer, Vm};
//!
//! # fn main() -> std::io::Result<()> {
//! if !lab::have(&[Peer::Qemu, Peer::SpiceGtk]) {
//!     return Ok(()); // The reason is on stderr. If CI is set, this is a panic.
//! }
//! let port = lab::free_port()?;
//! let vm = Vm::boot(&format!("port={port},addr=127.0.0.1,disable-ticketing=on"))?;
//! let client = Client::start(&["--port", &port.to_string()])?;
//! vm.events().wait_for("SPICE_INITIALIZED", 11)?;
//! client.leave()?;
//! vm.events().wait_for("SPICE_DISCONNECTED", 11)?;
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "battery")]
pub mod battery;
mod client;
mod events;
mod peer;
mod pki;
mod process;
mod python;
mod qemu;
mod reaper;
mod sasl;
#[cfg(feature = "battery")]
pub mod scenarios;
mod sniffer;
mod tls_tunnel;
#[cfg(feature = "battery")]
mod trim;
mod vm;
mod xspice;

pub use client::{CHANNELS, Client, MOMENT};
pub use events::EventLog;
pub use peer::{Peer, have};
pub use pki::Pki;
pub use process::{Process, Scratch};
pub use python::python_packages;
pub use qemu::Qemu;
pub use sasl::SaslUser;
pub use sniffer::Sniffer;
pub use tls_tunnel::TlsTunnel;
pub use vm::Vm;
pub use xspice::{XSPICE_CHANNELS, Xspice};

use std::{
    io,
    net::{Ipv4Addr, TcpListener},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

/// How long a peer may take for one step before a wait fails.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// A TCP port that was free a moment ago on every address, and that was not handed out before by this process.
///
/// It is below the range from which Linux takes the ports of outgoing connections (`ip_local_port_range`), because such a
/// connection could take the port before the server does.
pub fn free_port() -> io::Result<u16> {
    const FIRST: u32 = 20_000;
    const COUNT: u32 = 12_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    for _ in 0..COUNT {
        // Processes that run side by side start far apart.
        let n = std::process::id().wrapping_mul(997).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(FIRST + n % COUNT).unwrap_or_default();
        if TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok() {
            return Ok(port);
        }
    }
    Err(io::Error::new(io::ErrorKind::AddrInUse, "no free port"))
}
