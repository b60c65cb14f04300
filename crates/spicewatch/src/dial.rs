//! A connection to a SPICE server, as `conformance` and `probe` make them: plain, TLS or WebSocket, blocking, with a time limit.

use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use spice_link::websocket::{Deframer, MAX_HEAD, head_end, is_switching};
use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs},
    sync::Arc,
    time::Duration,
};

/// What the SPICE stream runs inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carrier {
    Plain,
    Tls,
    WebSocket,
}

impl Carrier {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Tls => "tls",
            Self::WebSocket => "websocket",
        }
    }
}

/// What both commands are told of their server.
#[derive(clap::Args)]
pub(crate) struct Reach {
    /// The server, HOST:PORT
    server: String,

    /// The port speaks TLS; its certificate is not checked
    #[arg(long, conflicts_with = "websocket")]
    tls: bool,

    /// Every link inside WebSocket
    #[arg(long)]
    websocket: bool,

    /// Send to a server that is not on this machine
    #[arg(long)]
    allow_remote: bool,

    /// How long to wait for an answer that has to come, in seconds
    #[arg(long, default_value_t = 5)]
    patience: u64,
}

impl Reach {
    /// Finds the server; only on loopback, unless another is allowed.
    pub(crate) fn target(&self) -> Result<Target, String> {
        let carrier = match (self.tls, self.websocket) {
            (true, _) => Carrier::Tls,
            (_, true) => Carrier::WebSocket,
            _ => Carrier::Plain,
        };
        let patience = Duration::from_secs(self.patience.clamp(1, 60));
        let address = first_that_answers(&resolve(&self.server, self.allow_remote)?, patience)
            .ok_or_else(|| format!("{}: no address", self.server))?;
        Ok(Target { address, carrier, patience })
    }
}

/// A server that both commands talk to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) carrier: Carrier,
    /// How long to wait for anything.
    pub(crate) patience: Duration,
}

/// Finds the addresses of `HOST:PORT`; only loopback, unless `remote` is allowed.
fn resolve(server: &str, remote: bool) -> Result<Vec<SocketAddr>, String> {
    let found = server.to_socket_addrs().map_err(|error| format!("{server}: {error}"))?;
    let (mut allowed, others): (Vec<_>, Vec<_>) =
        found.partition(|address| remote || address.ip().to_canonical().is_loopback());
    if let (true, Some(other)) = (allowed.is_empty(), others.first()) {
        return Err(format!(
            "{server}: {} is not on this machine; --allow-remote sends to it all the same",
            other.ip()
        ));
    }
    allowed.dedup();
    Ok(allowed)
}

/// `localhost` is `::1` and 127.0.0.1, and most servers listen on one of them. Where none answers, the first has to say why.
fn first_that_answers(addresses: &[SocketAddr], patience: Duration) -> Option<SocketAddr> {
    let answers = |address: &&SocketAddr| TcpStream::connect_timeout(address, patience).is_ok();
    match addresses {
        [] | [_] => addresses.first(),
        many => many.iter().find(answers).or(many.first()),
    }
    .copied()
}

/// A connection, whatever carries it.
pub(crate) struct Line {
    inner: Inner,
}

enum Inner {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
    WebSocket(Box<WebSocket>),
}

/// What TLS has to say of a server.
#[derive(Clone, Debug)]
pub(crate) struct TlsFacts {
    pub(crate) version: String,
    pub(crate) cipher: String,
    /// The server's certificate, DER.
    pub(crate) certificate: Option<Vec<u8>>,
}

impl Target {
    /// Connects, and shakes hands where the carrier has it.
    pub(crate) fn dial(&self) -> io::Result<Line> {
        let stream = self.tcp()?;
        let inner = match self.carrier {
            Carrier::Plain => Inner::Plain(stream),
            Carrier::Tls => Inner::Tls(Box::new(tls(stream, self.address)?)),
            Carrier::WebSocket => Inner::WebSocket(Box::new(WebSocket::upgrade(stream)?)),
        };
        Ok(Line { inner })
    }

    /// The TCP connection alone.
    pub(crate) fn tcp(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect_timeout(&self.address, self.patience)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(self.patience))?;
        stream.set_write_timeout(Some(self.patience))?;
        Ok(stream)
    }
}

impl Line {
    /// No more bytes from this side.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        match &mut self.inner {
            Inner::Plain(stream) => stream.shutdown(Shutdown::Write),
            Inner::Tls(stream) => {
                stream.conn.send_close_notify();
                stream.flush()?;
                stream.sock.shutdown(Shutdown::Write)
            }
            Inner::WebSocket(socket) => socket.stream.shutdown(Shutdown::Write),
        }
    }

    /// How long reads wait.
    pub(crate) fn wait(&self, time: Duration) -> io::Result<()> {
        let stream = match &self.inner {
            Inner::Plain(stream) => stream,
            Inner::Tls(stream) => &stream.sock,
            Inner::WebSocket(socket) => &socket.stream,
        };
        stream.set_read_timeout(Some(time))
    }

    /// What TLS says of the server, where there is TLS.
    pub(crate) fn tls(&self) -> Option<TlsFacts> {
        let Inner::Tls(stream) = &self.inner else { return None };
        let connection = &stream.conn;
        Some(TlsFacts {
            version: connection.protocol_version().map_or_else(String::new, |version| format!("{version:?}")),
            cipher: connection
                .negotiated_cipher_suite()
                .map_or_else(String::new, |suite| format!("{:?}", suite.suite())),
            certificate: connection.peer_certificates().and_then(|chain| chain.first()).map(|one| one.to_vec()),
        })
    }
}

impl Read for Line {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match &mut self.inner {
            Inner::Plain(stream) => stream.read(out),
            Inner::Tls(stream) => stream.read(out),
            Inner::WebSocket(socket) => socket.read(out),
        }
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.inner {
            Inner::Plain(stream) => stream.write(bytes),
            Inner::Tls(stream) => stream.write(bytes),
            Inner::WebSocket(socket) => socket.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.inner {
            Inner::Plain(stream) => stream.flush(),
            Inner::Tls(stream) => stream.flush(),
            Inner::WebSocket(socket) => socket.stream.flush(),
        }
    }
}

fn tls(mut stream: TcpStream, server: SocketAddr) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate))
        .with_no_client_auth();
    let mut connection =
        ClientConnection::new(Arc::new(config), ServerName::from(server.ip())).map_err(io::Error::other)?;
    connection.complete_io(&mut stream)?;
    Ok(StreamOwned::new(connection, stream))
}

/// Takes any certificate: what is looked at here is the server, not whether to trust it. Nothing secret is sent but a ticket,
/// which is encrypted for the server's own key.
#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let provider: CryptoProvider = ring::default_provider();
        provider.signature_verification_algorithms.supported_schemes()
    }
}

/// A byte stream in WebSocket frames.
struct WebSocket {
    stream: TcpStream,
    deframer: Deframer,
    ready: Vec<u8>,
}

/// An upgrade that spice-server accepts, which needs all of it in one read.
pub(crate) const UPGRADE: &[u8] =
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
      Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: binary\r\n\r\n";

impl WebSocket {
    fn upgrade(mut stream: TcpStream) -> io::Result<Self> {
        stream.write_all(UPGRADE)?;
        let head = read_head(&mut stream)?;
        if !is_switching(&head) {
            return Err(io::Error::other("the server does not upgrade to WebSocket"));
        }
        Ok(Self { stream, deframer: Deframer::new(), ready: Vec::new() })
    }
}

/// A response's head, or as many bytes as spice-server's link errors have where there is none.
pub(crate) fn read_head(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while head_end(&head, head.len().saturating_sub(1)).is_none() && head.len() < MAX_HEAD {
        let mut byte = [0];
        if stream.read(&mut byte)? == 0 {
            break;
        }
        head.extend(byte);
        if head.len() == 194 && head.starts_with(b"REDQ") {
            break;
        }
    }
    Ok(head)
}

/// A frame as clients send it; the mask of zeros hides nothing, which is as much as any mask does here.
pub(crate) fn frame(opcode: u8, fin: bool, mask: bool, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![u8::from(fin) << 7 | opcode, if mask { 0x80 } else { 0 } | 0x7e];
    out.extend(u16::try_from(payload.len()).unwrap_or(u16::MAX).to_be_bytes());
    if mask {
        out.extend([0; 4]);
    }
    out.extend(payload);
    out
}

impl Read for WebSocket {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.ready.is_empty() {
            let mut buffer = [0; 4096];
            let len = self.stream.read(&mut buffer)?;
            if len == 0 {
                return Ok(0);
            }
            let ready = &mut self.ready;
            self.deframer.read(&buffer[..len], |run| ready.extend(run));
        }
        let len = out.len().min(self.ready.len());
        out[..len].copy_from_slice(&self.ready[..len]);
        self.ready.drain(..len);
        Ok(len)
    }
}

impl Write for WebSocket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let bytes = &bytes[..bytes.len().min(usize::from(u16::MAX))];
        self.stream.write_all(&frame(2, true, true, bytes))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn the_address_is_one_that_answers() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let here = listener.local_addr().unwrap();
        let nobody = SocketAddr::from(([127, 0, 0, 1], 1));
        for (addresses, expected) in [
            (&[][..], None),
            (&[nobody], Some(nobody)),
            (&[nobody, here], Some(here)),
            (&[nobody, nobody], Some(nobody)),
        ] {
            assert_eq!(first_that_answers(addresses, Duration::from_secs(5)), expected);
        }
        assert!(resolve("192.0.2.1:5900", false).is_err() && resolve("192.0.2.1:5900", true).is_ok());
    }
}
