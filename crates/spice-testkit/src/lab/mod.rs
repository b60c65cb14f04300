//! Real peers to hold the project against: a QEMU with eleven SPICE channels, spice-gtk, tcpdump, and links made by hand.
//!
//! Everything here runs other programs and talks to them over loopback; nothing needs a fixed port. Each value owns what
//! it started: dropping it ends that process, by its id, and removes its files.
//!
//! ```no_run
//! use spice_testkit::lab::{self, Client, Peer, Vm};
//!
//! # fn main() -> std::io::Result<()> {
//! if !lab::have(&[Peer::Qemu, Peer::SpiceGtk]) {
//!     return Ok(()); // said why on stderr; where CI is set, that was a panic instead
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

pub mod battery;
mod client;
mod digest_md5;
mod events;
pub mod link;
mod peer;
mod pki;
mod process;
mod sasl;
pub mod scenarios;
mod sniffer;
mod trim;
mod vm;
mod websocket;

pub use client::{CHANNELS, Client};
pub use events::EventLog;
pub use peer::{Peer, have};
pub use pki::Pki;
pub use process::Scratch;
pub use sasl::SaslUser;
pub use sniffer::Sniffer;
pub use vm::Vm;
pub use websocket::WebSocket;

use std::{
    io,
    net::{Ipv4Addr, TcpListener},
    time::Duration,
};

/// How long a peer may take for anything before a wait is given up as failed.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// A TCP port that was free a moment ago on IPv4 loopback.
pub fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
