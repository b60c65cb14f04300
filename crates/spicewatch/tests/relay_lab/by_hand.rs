//! Handmade clients and servers.

use std::{
    io::Read,
    net::{TcpListener, TcpStream},
};

use super::{PATIENCE, Relay};

/// A server that the test plays.
#[derive(Debug)]
pub struct Server(pub TcpListener);

impl Server {
    pub fn new() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    pub fn address(&self) -> String {
        self.0.local_addr().unwrap().to_string()
    }

    pub fn accept(&self) -> TcpStream {
        let stream = self.0.accept().unwrap().0;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    pub fn relay(&self, more: &[&str]) -> Relay {
        let address = self.address();
        Relay::start(&[&["--listen", "127.0.0.1:0", "--upstream", &address], more].concat())
    }
}

pub fn connect(relay: &Relay) -> TcpStream {
    let stream = TcpStream::connect(relay.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Reads until the end of the stream.
pub fn read_all(mut stream: &TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}
