//! TLS whose secrets are logged: socat takes plain connections, and an `openssl s_client` for each carries it over TLS to the server.

use std::{
    fs, io,
    path::PathBuf,
    process::{Command, Stdio},
};

use super::{
    free_port,
    process::{Process, Scratch, eventually, output},
};

const KEY_LOG: &str = "keylog";
const SESSION: &str = "session";

/// A running tunnel to a TLS port on 127.0.0.1.
///
/// spice-gtk does not log its secrets, so it speaks plain SPICE to the tunnel. The server sees TLS connections of the tunnel's own.
#[derive(Debug)]
pub struct TlsTunnel {
    _process: Process,
    port: u16,
    scratch: Scratch,
}

impl TlsTunnel {
    /// Listens for connections to carry to `tls_port`, with more arguments for `openssl s_client`, such as `-tls1_2`.
    pub fn start(tls_port: u16, args: &str) -> io::Result<Self> {
        let scratch = Scratch::new()?;
        Self::over(tls_port, args, scratch)
    }

    /// The same, with connections that resume a TLS session. One more connection makes that session first and leaves at once.
    pub fn resuming(tls_port: u16, args: &str) -> io::Result<Self> {
        let scratch = Scratch::new()?;
        let session = scratch.join(SESSION);
        let line = format!("{} {args} -sess_out {}", s_client(tls_port, &scratch), session.display());
        output(Command::new("openssl").args(line.split(' ')).stdin(Stdio::null()))?;
        if !session.exists() {
            return Err(io::Error::other("the server gave no TLS session"));
        }
        Self::over(tls_port, &format!("{args} -sess_in {}", session.display()), scratch)
    }

    fn over(tls_port: u16, args: &str, scratch: Scratch) -> io::Result<Self> {
        let (port, log) = (free_port()?, scratch.join("log"));
        let mut command = Command::new("socat");
        command.args(["-d", "-d", "-lf"]).arg(&log);
        command.arg(format!("TCP4-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork"));
        command.arg(format!("EXEC:openssl {} {args}", s_client(tls_port, &scratch)));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = Process::spawn(&mut command)?;
        eventually("socat does not listen", || match process.ended()? {
            None => Ok(fs::read_to_string(&log).unwrap_or_default().contains("listening on").then_some(())),
            Some(status) => Err(io::Error::other(format!("socat ended with {status}"))),
        })?;
        Ok(Self { _process: process, port, scratch })
    }

    /// The port on 127.0.0.1 for plain connections.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where the secrets are logged.
    pub fn key_log(&self) -> PathBuf {
        self.scratch.join(KEY_LOG)
    }
}

/// The arguments of a client that carries stdin and stdout, ends with stdin, and takes no byte of it for a command.
fn s_client(tls_port: u16, scratch: &Scratch) -> String {
    let key_log = scratch.join(KEY_LOG);
    format!(
        "s_client -quiet -no_ign_eof -nocommands -host 127.0.0.1 -port {tls_port} -keylogfile {}",
        key_log.display()
    )
}
