//! A SPICE server for tests: the acceptor behind a TCP port, a few channels that do nothing, and one flaw if the test asks for it.
//!
//! It uses a few RSA keys in turn, because making one takes long. A real server must make a key for each link.

mod flaw;
mod host;
mod serve;
mod shared;
mod tamper;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread,
};

pub use flaw::Flaw;
use shared::Shared;

/// The channels beside main.
pub const CHANNELS: [(u8, u8); 3] = shared::CHANNELS;

/// The type of the channel that requires TLS. The server has no TLS.
pub const SECURED: u8 = shared::SECURED;

/// The one user of a server with SASL.
pub const USER: &str = shared::USER;

/// A running server. It listens on IPv4 loopback until it is dropped.
#[derive(Debug)]
pub struct TestServer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl TestServer {
    /// Starts a server that takes tickets, on a free port.
    pub fn start(password: &str, flaw: Option<Flaw>) -> io::Result<Self> {
        Self::start_with(password, false, flaw)
    }

    /// Starts a server that requires SASL: the mechanism PLAIN, for [`USER`] and this password.
    pub fn start_sasl(password: &str, flaw: Option<Flaw>) -> io::Result<Self> {
        Self::start_with(password, true, flaw)
    }

    fn start_with(password: &str, sasl: bool, flaw: Option<Flaw>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::new(address, password.to_owned(), sasl, flaw));
        listen(&shared, listener);
        Ok(Self { address, shared })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts the server again at the same address, after a [`Flaw`] has ended it or made it hang.
    ///
    /// # Errors
    /// If the port can't be bound.
    pub fn restart(&self) -> io::Result<()> {
        if self.shared.revive() {
            listen(&self.shared, TcpListener::bind(self.address)?);
        }
        Ok(())
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.shared.stop();
        // The thread waits for a connection: one more wakes it.
        let _ = TcpStream::connect(self.address);
    }
}

/// Accepts connections, until the server stops.
fn listen(shared: &Arc<Shared>, listener: TcpListener) {
    let shared = Arc::clone(shared);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            if shared.is_stopped() {
                break;
            }
            let shared = Arc::clone(&shared);
            // A peer that resets its connection must not disturb the others.
            thread::spawn(move || serve::serve(&shared, &stream).unwrap_or_default());
        }
        drop(listener);
        shared.has_stopped();
    });
}
