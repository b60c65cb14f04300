//! The clients of a load.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    client::Resumption,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use socket2::SockRef;
use spice_testkit::{
    lab::Pki,
    spice_conformance::{Mess, spice_link::ChannelType},
};

use super::server::{Play, REPLY};

/// How long a client waits for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// How to reach the server.
#[derive(Clone)]
pub(super) struct Dial {
    pub(super) address: SocketAddr,
    pub(super) tls: Option<Arc<ClientConfig>>,
    /// The address of another VM, for a flood. A relay has one.
    pub(super) other: Option<SocketAddr>,
}

/// A flood of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flood {
    /// Each is reset at once.
    Reset,
    /// Each is closed at once.
    Close,
    /// Each sends a TLS ClientHello, and is closed.
    Hello,
}

pub(super) trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// A TLS configuration that trusts the lab's authority. Each connection makes a full handshake, like a SPICE client.
pub(super) fn tls(pki: &Pki) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(pki.ca())?)?;
    let mut config = ClientConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

impl Dial {
    fn connect(&self) -> Result<Box<dyn Stream>> {
        let stream = TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(match &self.tls {
            None => Box::new(stream),
            Some(config) => {
                let name = ServerName::try_from("127.0.0.1")?;
                Box::new(StreamOwned::new(ClientConnection::new(Arc::clone(config), name)?, stream))
            }
        })
    }
}

/// Connects and completes the link stage, one message at a time like a real client.
pub(super) fn link(dial: &Dial, play: Play) -> Result<Box<dyn Stream>> {
    let mut stream = dial.connect()?;
    stream.write_all(&Mess::channel(play.to_id(), ChannelType::INPUTS, 0).bytes())?;
    stream.flush()?;
    stream.read_exact(&mut [0; REPLY]).context("the link reply is missing")?;
    stream.write_all(&1u32.to_le_bytes())?;
    stream.write_all(&[7; 128])?;
    stream.flush()?;
    let mut result = [1; 4];
    stream.read_exact(&mut result).context("the link result is missing")?;
    ensure!(result == [0; 4], "expected the link result 0, found {result:?}");
    Ok(stream)
}

/// Sets up channels, several at the same time, and closes each one when its link stage is complete. Returns the seconds it took.
pub(super) fn set_up(dial: &Dial, count: usize, at_once: usize) -> Result<f64> {
    let start = Instant::now();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..at_once)
            .map(|_| scope.spawn(|| (0..count / at_once).try_for_each(|_| link(dial, Play::Idle).map(drop))))
            .collect();
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| anyhow!("a client panicked"))?)
    })?;
    Ok(start.elapsed().as_secs_f64())
}

/// Reads several streams at the same time. Returns the bytes and the seconds.
pub(super) fn streams(dial: &Dial, size: usize, count: usize, time: Duration) -> Result<(u64, f64)> {
    let streams = (0..count).map(|_| link(dial, Play::Stream(size))).collect::<Result<Vec<_>>>()?;
    let start = Instant::now();
    let bytes = thread::scope(|scope| {
        let take = |mut stream: Box<dyn Stream>| {
            let (mut buffer, mut bytes) = (vec![0; 256 * 1024], 0);
            while start.elapsed() < time {
                let read = stream.read(&mut buffer)?;
                ensure!(read > 0, "the stream ended");
                bytes += read as u64;
            }
            Ok(bytes)
        };
        let takers: Vec<_> = streams.into_iter().map(|stream| scope.spawn(move || take(stream))).collect();
        takers.into_iter().map(|taker| taker.join().map_err(|_| anyhow!("a client panicked"))?).sum::<Result<u64>>()
    })?;
    Ok((bytes, start.elapsed().as_secs_f64()))
}

/// The TLS version, cipher suite and key exchange group that a link negotiates.
pub(super) fn negotiated(dial: &Dial) -> Result<String> {
    let config = dial.tls.as_ref().context("no TLS")?;
    let mut stream = TcpStream::connect(dial.address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut tls = ClientConnection::new(Arc::clone(config), ServerName::try_from("127.0.0.1")?)?;
    while tls.is_handshaking() {
        tls.complete_io(&mut stream)?;
    }
    let suite = tls.negotiated_cipher_suite().context("no cipher suite")?.suite();
    let group = tls.negotiated_key_exchange_group().context("no key exchange")?.name();
    Ok(format!("{:?} {suite:?} {group:?}", tls.protocol_version().context("no version")?))
}

/// Measures round trips: sends 64 bytes and waits until they return.
pub(super) fn pings(dial: &Dial, count: usize) -> Result<Vec<Duration>> {
    let mut stream = link(dial, Play::Echo)?;
    let mut message = [9; 64];
    (0..count)
        .map(|_| {
            let start = Instant::now();
            stream.write_all(&message)?;
            stream.flush()?;
            stream.read_exact(&mut message)?;
            Ok(start.elapsed())
        })
        .collect()
}

/// Measures round trips while another channel carries a stream.
pub(super) fn pings_beside_stream(dial: &Dial, count: usize, size: usize) -> Result<Vec<Duration>> {
    let mut stream = link(dial, Play::Stream(size))?;
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let taker = scope.spawn(|| {
            let mut buffer = vec![0; 256 * 1024];
            while !over.load(Ordering::Relaxed) {
                ensure!(stream.read(&mut buffer)? > 0, "the stream ended");
            }
            Ok(())
        });
        let pings = pings(dial, count);
        over.store(true, Ordering::Relaxed);
        taker.join().map_err(|_| anyhow!("a client panicked"))??;
        pings
    })
}

/// How many threads flood.
const FLOODERS: usize = 2;

/// Measures round trips at one VM while another one is flooded with connections.
pub(super) fn pings_beside_flood(dial: &Dial, flood: Flood, time: Duration) -> Result<Vec<Duration>> {
    let other = dial.other.context("there is no other VM")?;
    let hello = client_hello()?;
    let mut stream = link(dial, Play::Echo)?;
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..FLOODERS {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    // Fails if the relay has no room in its backlog, which is a part of the flood.
                    let Ok(mut one) = TcpStream::connect(other) else { continue };
                    match flood {
                        Flood::Reset => drop(SockRef::from(&one).set_linger(Some(Duration::ZERO))),
                        Flood::Close => {}
                        Flood::Hello => drop(one.write_all(&hello)),
                    }
                }
            });
        }
        let (mut pings, mut message, start) = (Vec::new(), [9; 64], Instant::now());
        let mut measure = || {
            while start.elapsed() < time {
                let sent = Instant::now();
                stream.write_all(&message)?;
                stream.flush()?;
                stream.read_exact(&mut message)?;
                pings.push(sent.elapsed());
            }
            Ok(())
        };
        let measured = measure();
        over.store(true, Ordering::Relaxed);
        measured.map(|()| pings)
    })
}

/// The first message of a TLS client.
fn client_hello() -> Result<Vec<u8>> {
    let config = ClientConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let mut hello = Vec::new();
    ClientConnection::new(Arc::new(config), ServerName::try_from("127.0.0.1")?)?.write_tls(&mut hello)?;
    Ok(hello)
}
