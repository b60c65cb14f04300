//! A tap: forwards connections, and keeps a copy of the bytes of each direction.

use std::{
    fs, io,
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    os::unix::net::{UnixListener, UnixStream},
    path::PathBuf,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

/// The bytes of one connection.
#[derive(Clone, Debug, Default)]
pub struct Talk {
    /// The client's port, and the local port of the tap's connection to the server. Empty for unix sockets.
    pub ports: (String, String),
    /// From the client to the server.
    pub up: Vec<u8>,
    /// From the server to the client.
    pub down: Vec<u8>,
    /// Both directions have ended.
    pub over: bool,
    /// A reset ended one of them. It may have overtaken bytes of the other.
    pub reset: bool,
}

/// Listens, connects to the server, and copies. Its threads end with their connections, and the listening one with the test.
#[derive(Debug)]
pub struct Tap {
    address: String,
    talks: Arc<Mutex<Vec<Arc<Mutex<Talk>>>>>,
}

impl Tap {
    /// Starts a tap between clients of `listen` and `to`, each in the form `HOST:PORT` or `unix:PATH`.
    pub fn start(listen: &str, to: &str) -> Self {
        let talks = Arc::new(Mutex::new(Vec::new()));
        let (kept, to) = (Arc::clone(&talks), to.to_owned());
        let take = move |client: Stream| {
            let Ok(server) = Stream::connect(&to) else { return };
            let ports = (client.port(true), server.port(false));
            let talk = Arc::new(Mutex::new(Talk { ports, ..Talk::default() }));
            kept.lock().unwrap().push(Arc::clone(&talk));
            thread::spawn(move || pass(&client, &server, &talk));
        };
        let address = if let Some(path) = listen.strip_prefix("unix:") {
            let _ = fs::remove_file(path);
            let listener = UnixListener::bind(path).unwrap();
            thread::spawn(move || listener.incoming().flatten().for_each(|client| take(Stream::Unix(client))));
            listen.to_owned()
        } else {
            let listener = TcpListener::bind(listen).unwrap();
            let address = listener.local_addr().unwrap().to_string();
            thread::spawn(move || listener.incoming().flatten().for_each(|client| take(Stream::Tcp(client))));
            address
        };
        Self { address, talks }
    }

    /// The address on which it listens.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The port of that address.
    pub fn port(&self) -> &str {
        self.address.rsplit_once(':').map_or("", |(_, port)| port)
    }

    /// Every connection so far, in order of arrival.
    pub fn talks(&self) -> Vec<Talk> {
        self.talks.lock().unwrap().iter().map(|talk| talk.lock().unwrap().clone()).collect()
    }
}

/// Copies both ways until both directions have ended.
fn pass(client: &Stream, server: &Stream, talk: &Mutex<Talk>) {
    thread::scope(|scope| {
        scope.spawn(|| copy(client, server, talk, |talk| &mut talk.up));
        copy(server, client, talk, |talk| &mut talk.down);
    });
    talk.lock().unwrap().over = true;
}

fn copy(from: &Stream, to: &Stream, talk: &Mutex<Talk>, kept: impl Fn(&mut Talk) -> &mut Vec<u8>) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => {
                to.shutdown(Shutdown::Write);
                return;
            }
            Ok(len) => {
                kept(&mut talk.lock().unwrap()).extend(&buffer[..len]);
                if to.write_all(&buffer[..len]).is_err() {
                    // A peer that takes no more bytes shows that when the other direction is read.
                    talk.lock().unwrap().reset = true;
                    return;
                }
            }
            Err(_) => {
                talk.lock().unwrap().reset = true;
                to.reset();
                return;
            }
        }
    }
}

#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    fn connect(to: &str) -> io::Result<Self> {
        match to.strip_prefix("unix:") {
            Some(path) => UnixStream::connect(PathBuf::from(path)).map(Self::Unix),
            None => TcpStream::connect(to).map(Self::Tcp),
        }
    }

    fn port(&self, of_the_peer: bool) -> String {
        let Self::Tcp(stream) = self else { return String::new() };
        let address = if of_the_peer { stream.peer_addr() } else { stream.local_addr() };
        let _ = stream.set_nodelay(true);
        address.map(|address| address.port().to_string()).unwrap_or_default()
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => (&*stream).read(buffer),
            Self::Unix(stream) => (&*stream).read(buffer),
        }
    }

    fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => (&*stream).write_all(bytes),
            Self::Unix(stream) => (&*stream).write_all(bytes),
        }
    }

    fn shutdown(&self, how: Shutdown) {
        let _ = match self {
            Self::Tcp(stream) => stream.shutdown(how),
            Self::Unix(stream) => stream.shutdown(how),
        };
    }

    /// Resets the connection at drop, because the other side was reset.
    fn reset(&self) {
        if let Self::Tcp(stream) = self {
            let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
        }
        self.shutdown(Shutdown::Read);
    }
}
