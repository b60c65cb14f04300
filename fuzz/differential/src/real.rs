//! Real servers, and the client's end of a connection to one.

use std::{
    ffi::CString,
    fs::File,
    io::{self, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::{
        fd::{AsRawFd, IntoRawFd, OwnedFd},
        unix::{ffi::OsStrExt, net::UnixStream},
    },
    ptr,
    sync::Arc,
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use spice_testkit::lab::Pki;

use crate::{
    event_loop::{self, CORE},
    ffi::{self, AudioInstance, BaseInstance, BaseInterface, SpiceServer},
    graphics::Device,
};

/// The password of all servers with a password.
pub(crate) const PASSWORD: &str = "sekrit";

/// The configuration of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// `password=sekrit`
    Ticket,
    /// `disable-ticketing=on`
    NoAuth,
    /// `sasl=on`
    Sasl,
    /// A password, and the channels display and cursor, which a thread of the library serves.
    Graphics,
    /// A password, the record channel only inside TLS, and the playback channel only outside TLS.
    Secured,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] = [Self::Ticket, Self::NoAuth, Self::Sasl, Self::Graphics, Self::Secured];

    /// Whether it also accepts connections inside TLS.
    pub(crate) fn has_tls(self) -> bool {
        matches!(self, Self::Sasl | Self::Graphics | Self::Secured)
    }
}

/// A spice-server with the channels main, inputs, playback and record; with graphics also display and cursor. It lives as long as
/// the process.
pub(crate) struct Server {
    server: *mut SpiceServer,
    pub(crate) graphics: Option<Device>,
    /// Listeners for connections that need an address: on a unix socket, the SASL library does not start, and spice-server
    /// closes without an answer. There is one for each of several loopback addresses, so that connections in TIME-WAIT don't
    /// use up the ports.
    listeners: Vec<TcpListener>,
    next: usize,
    /// The TLS configuration of its clients.
    trust: Arc<ClientConfig>,
}

/// Number of loopback addresses. It gives several times the pairs of address and port that a minute of connections takes.
const LISTENERS: u8 = 100;

static PLAYBACK: BaseInterface =
    BaseInterface { kind: c"playback".as_ptr(), description: c"playback".as_ptr(), major: 1, minor: 3 };
static RECORD: BaseInterface =
    BaseInterface { kind: c"record".as_ptr(), description: c"record".as_ptr(), major: 2, minor: 3 };

impl Server {
    pub(crate) fn new(kind: Kind, pki: &Pki) -> io::Result<Self> {
        let password = CString::new(PASSWORD)?;
        let file = |name: &str| CString::new(pki.dir().join(name).as_os_str().as_bytes());
        let [ca, certificate, key] = [file("ca-cert.pem")?, file("server-cert.pem")?, file("server-key.pem")?];
        // SAFETY: no other code uses this server. The library copies the strings. Interfaces and instances are never freed.
        unsafe {
            let server = ffi::spice_server_new();
            let done = match kind {
                Kind::Ticket | Kind::Graphics | Kind::Secured => {
                    ffi::spice_server_set_ticket(server, password.as_ptr(), 0, 0, 0)
                }
                Kind::NoAuth => ffi::spice_server_set_noauth(server),
                Kind::Sasl => {
                    ffi::spice_server_set_sasl_appname(server, c"spice".as_ptr());
                    ffi::spice_server_set_sasl(server, 1)
                }
            };
            if kind == Kind::Secured {
                ffi::spice_server_set_channel_security(server, c"record".as_ptr(), ffi::SECURITY_SSL);
                ffi::spice_server_set_channel_security(server, c"playback".as_ptr(), ffi::SECURITY_NONE);
            }
            if kind.has_tls() {
                // The library makes a TLS context only if it has a port to listen on. No client connects to that port.
                let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
                ffi::spice_server_set_addr(server, c"127.0.0.1".as_ptr(), 0);
                let [ca, certificate, key] = [ca.as_ptr(), certificate.as_ptr(), key.as_ptr()];
                let none = ptr::null();
                if ffi::spice_server_set_tls(server, port.into(), ca, certificate, key, none, none, none) != 0 {
                    return Err(io::Error::other("spice-server takes no certificate"));
                }
            }
            if done != 0 || ffi::spice_server_init(server, &CORE) != 0 {
                return Err(io::Error::other(format!("spice-server does not start with the configuration {kind:?}")));
            }
            for interface in [&PLAYBACK, &RECORD] {
                let instance = Box::new(AudioInstance { base: BaseInstance { interface }, state: ptr::null_mut() });
                ffi::spice_server_add_interface(server, &mut Box::leak(instance).base);
            }
            let graphics = (kind == Kind::Graphics).then(|| Device::add(server));
            let address = |last| Ipv4Addr::new(127, 0, 0, last);
            let listeners =
                (1..=LISTENERS).map(|last| TcpListener::bind((address(last), 0))).collect::<io::Result<_>>()?;
            Ok(Self { server, graphics, listeners, next: 0, trust: trust(pki)? })
        }
    }

    /// Connects over loopback TCP or a socket pair, inside TLS or not. The server sends CONNECTED at once.
    pub(crate) fn connect(&mut self, tcp: bool, tls: bool) -> io::Result<Connection> {
        let (ours, theirs) = self.pair(tcp)?;
        let fd = theirs.into_raw_fd();
        // SAFETY: the server is live, and owns the socket from here on.
        let taken = unsafe {
            match tls {
                true => ffi::spice_server_add_ssl_client(self.server, fd, 0),
                false => ffi::spice_server_add_client(self.server, fd, 0),
            }
        };
        if taken != 0 {
            return Err(io::Error::other("spice-server takes no client"));
        }
        let mut connection = Connection { socket: File::from(ours), fd, ended: false, tls: None };
        if tls {
            let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
            let client = ClientConnection::new(Arc::clone(&self.trust), name).map_err(io::Error::other)?;
            connection.tls = Some(Box::new(client));
            connection.pump()?;
            if connection.tls.as_ref().is_none_or(|tls| tls.is_handshaking()) {
                return Err(io::Error::other("the TLS handshake does not end"));
            }
        }
        Ok(connection)
    }

    /// The client's socket, which is non-blocking, and the server's.
    fn pair(&mut self, tcp: bool) -> io::Result<(OwnedFd, OwnedFd)> {
        self.next += 1;
        let listener = self.listeners.get(self.next % self.listeners.len().max(1));
        let Some(listener) = listener.filter(|_| tcp) else {
            let (ours, theirs) = UnixStream::pair()?;
            ours.set_nonblocking(true)?;
            return Ok((ours.into(), theirs.into()));
        };
        let ours = TcpStream::connect(listener.local_addr()?)?;
        ours.set_nonblocking(true)?;
        ours.set_nodelay(true)?;
        Ok((ours.into(), listener.accept()?.0.into()))
    }
}

/// The client's end of a connection.
pub(crate) struct Connection {
    socket: File,
    /// The descriptor of the server's end.
    fd: i32,
    ended: bool,
    tls: Option<Box<ClientConnection>>,
}

/// A TLS configuration that trusts only the server's certificate.
fn trust(pki: &Pki) -> io::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_file(pki.ca()).map_err(io::Error::other)?;
    roots.add(ca).map_err(io::Error::other)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Ok(Arc::new(config.map_err(io::Error::other)?.with_root_certificates(roots).with_no_client_auth()))
}

impl Connection {
    /// Sends bytes and lets the server process them. A closed connection is not an error.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            tls.writer().write_all(bytes)?;
            return self.pump();
        }
        match self.socket.write_all(bytes) {
            Err(error) if !matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => {
                return Err(error);
            }
            _ => {}
        }
        event_loop::run_until_idle();
        Ok(())
    }

    /// Lets TLS send and receive until both ends are idle.
    fn pump(&mut self) -> io::Result<()> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        loop {
            let mut moved = false;
            while tls.wants_write() {
                match tls.write_tls(&mut self.socket) {
                    Ok(_) => moved = true,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error)
                        if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) =>
                    {
                        break;
                    }
                    Err(error) => return Err(error),
                }
            }
            event_loop::run_until_idle();
            match tls.read_tls(&mut self.socket) {
                Ok(0) => self.ended = true,
                Ok(_) => moved = true,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => self.ended = true,
                // Received plaintext must be taken first.
                Err(error) if error.kind() == io::ErrorKind::Other => {}
                Err(error) => return Err(error),
            }
            // With an alert, the server ends the connection.
            self.ended |= tls.process_new_packets().is_err();
            if !moved || self.ended {
                return Ok(());
            }
        }
    }

    /// Shuts down this end for writing.
    pub(crate) fn finish(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            let _ = self.pump();
        }
        // SAFETY: the socket is open.
        unsafe { libc::shutdown(self.socket.as_raw_fd(), libc::SHUT_WR) };
        event_loop::run_until_idle();
    }

    /// Takes the bytes that the server has sent.
    pub(crate) fn receive(&mut self) -> io::Result<Vec<u8>> {
        let (mut out, mut buffer) = (Vec::new(), [0; 4096]);
        while self.tls.is_some() {
            self.pump()?;
            let before = out.len();
            self.take_plain(&mut out, &mut buffer)?;
            // TLS buffers a limited number of bytes. A session over TCP starts with 256,000 bytes that measure the bandwidth.
            if out.len() == before {
                return Ok(out);
            }
        }
        while !self.ended {
            match self.socket.read(&mut buffer) {
                Ok(0) => self.ended = true,
                Ok(n) => out.extend(&buffer[..n]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => self.ended = true,
                Err(error) => return Err(error),
            }
        }
        Ok(out)
    }

    /// Takes the plaintext that TLS has decrypted.
    fn take_plain(&mut self, out: &mut Vec<u8>, buffer: &mut [u8]) -> io::Result<()> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        loop {
            match tls.reader().read(buffer) {
                Ok(0) => self.ended = true,
                Ok(n) => {
                    out.extend(&buffer[..n]);
                    continue;
                }
                // The server closes without a close_notify.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => self.ended = true,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            return Ok(());
        }
    }

    /// Whether the server has closed the connection and all its bytes were received.
    pub(crate) fn ended(&self) -> bool {
        self.ended
    }

    /// Closes the server's own end, which it has leaked and will never use again.
    pub(crate) fn close_leaked(&self) {
        // SAFETY: the library owns the descriptor and has leaked it. No watch uses it any more.
        unsafe { libc::close(self.fd) };
    }
}
