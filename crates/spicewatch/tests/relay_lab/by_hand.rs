//! Handmade clients and servers.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
};

use spice_testkit::spice_conformance::{Mess, spice_link::ChannelType};

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

/// A link reply that accepts, with mechanism selection, tickets and mini headers offered.
pub fn reply() -> Vec<u8> {
    let mut reply = b"REDQ\x02\0\0\0\x02\0\0\0".to_vec();
    reply.extend(186u32.to_le_bytes());
    reply.extend([0; 4]);
    reply.extend([0x30; 162]);
    reply.extend([1u32, 1, 178, 0xb, 0].map(u32::to_le_bytes).concat());
    reply
}

/// Links an inputs channel through the relay, with both ends handmade. They stay open.
pub fn link(relay: SocketAddr, server: &TcpListener, port_of_id: u32) -> (TcpStream, TcpStream) {
    let mut client = TcpStream::connect(relay).unwrap();
    let mess = Mess::channel(port_of_id, ChannelType::INPUTS, 0).bytes();
    client.write_all(&mess).unwrap();
    let mut inside = server.accept().unwrap().0;
    inside.set_read_timeout(Some(PATIENCE)).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    inside.read_exact(&mut vec![0; mess.len()]).unwrap();
    let reply = reply();
    inside.write_all(&reply).unwrap();
    client.read_exact(&mut vec![0; reply.len()]).unwrap();
    client.write_all(&[&[1, 0, 0, 0][..], &[7; 128]].concat()).unwrap();
    inside.read_exact(&mut [0; 132]).unwrap();
    inside.write_all(&[0; 4]).unwrap();
    client.read_exact(&mut [0; 4]).unwrap();
    (client, inside)
}
