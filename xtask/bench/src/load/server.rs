//! A minimal SPICE server for the load. It accepts every link, then does what the connection id of the link message asks for.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use anyhow::Result;

/// What the server does after the link stage. Encoded in the connection id: the kind in the top 4 bits, the size below.
#[derive(Clone, Copy, Debug)]
pub(super) enum Play {
    /// Send nothing.
    Idle,
    /// Send messages of this size in bytes, one write for each.
    Stream(usize),
    /// Send back all bytes that arrive.
    Echo,
}

impl Play {
    pub(super) fn to_id(self) -> u32 {
        match self {
            Self::Idle => 1 << 28,
            Self::Stream(size) => 2 << 28 | u32::try_from(size).unwrap_or(0),
            Self::Echo => 3 << 28,
        }
    }

    fn from_id(id: u32) -> Self {
        match id >> 28 {
            2 => Self::Stream((id & 0x0fff_ffff) as usize),
            3 => Self::Echo,
            _ => Self::Idle,
        }
    }
}

/// Accepts in one thread, and serves each busy connection in a thread of its own.
pub(super) struct Server {
    address: SocketAddr,
}

impl Server {
    pub(super) fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let idle = Arc::new(Mutex::new(Vec::new()));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let idle = Arc::clone(&idle);
                // The error of a client that closes its connection is expected.
                let work = move || drop(serve(stream, &idle));
                if thread::Builder::new().stack_size(512 * 1024).spawn(work).is_err() {
                    return;
                }
            }
        });
        Ok(Self { address })
    }

    pub(super) fn address(&self) -> String {
        self.address.to_string()
    }
}

fn serve(mut stream: TcpStream, idle: &Mutex<Vec<TcpStream>>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut mess = [0; 16 + 18 + 4];
    stream.read_exact(&mut mess)?;
    let play = Play::from_id(u32::from_le_bytes([mess[16], mess[17], mess[18], mess[19]]));
    stream.write_all(&reply())?;
    stream.read_exact(&mut [0; 4 + 128])?;
    stream.write_all(&[0; 4])?;
    match play {
        Play::Idle => {
            // An idle connection needs no thread. Now and then, connections that the client has closed are dropped.
            let mut idle = idle.lock().unwrap_or_else(PoisonError::into_inner);
            stream.set_nonblocking(true)?;
            if idle.len().is_multiple_of(512) {
                idle.retain(|stream: &TcpStream| !matches!(stream.peek(&mut [0]), Ok(0)));
            }
            idle.push(stream);
            Ok(())
        }
        Play::Stream(size) => {
            let message = vec![0x5a; size];
            loop {
                stream.write_all(&message)?;
            }
        }
        Play::Echo => {
            let mut message = [0; 4096];
            loop {
                match stream.read(&mut message)? {
                    0 => return Ok(()),
                    len => stream.write_all(&message[..len])?,
                }
            }
        }
    }
}

/// A link reply that accepts: mechanism selection, tickets and mini headers in the common capabilities, one word of channel capabilities.
fn reply() -> Vec<u8> {
    let mut reply = b"REDQ\x02\0\0\0\x02\0\0\0".to_vec();
    reply.extend(186u32.to_le_bytes());
    reply.extend([0; 4]);
    reply.extend([0x30; 162]);
    reply.extend([1u32, 1, 178, 0xb, 0].map(u32::to_le_bytes).concat());
    reply
}

/// The length of that reply in bytes.
pub(super) const REPLY: usize = 16 + 178 + 8;
