//! A throw-away certificate authority and server certificate, in the layout of QEMU's `x509-dir`.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use super::process::{Scratch, output};

/// `ca-cert.pem`, `server-cert.pem` and `server-key.pem` for 127.0.0.1, `::1` and localhost.
#[derive(Debug)]
pub struct Pki(Scratch);

impl Pki {
    /// Makes them with the `openssl` program.
    pub fn new() -> io::Result<Self> {
        let scratch = Scratch::new()?;
        let openssl =
            |line: &str| output(Command::new("openssl").args(line.split(' ')).current_dir(scratch.path())).map(drop);
        fs::write(scratch.join("san"), "subjectAltName=IP:127.0.0.1,IP:::1,DNS:localhost\n")?;
        openssl("req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=lab-ca -keyout ca-key.pem -out ca-cert.pem")?;
        openssl("req -newkey rsa:2048 -nodes -subj /CN=127.0.0.1 -keyout server-key.pem -out request.pem")?;
        openssl(
            "x509 -req -days 30 -in request.pem -CA ca-cert.pem -CAkey ca-key.pem -CAcreateserial \
             -extfile san -out server-cert.pem",
        )?;
        Ok(Self(scratch))
    }

    /// The folder, for `x509-dir=`.
    pub fn dir(&self) -> &Path {
        self.0.path()
    }

    /// The certificate that a client has to trust.
    pub fn ca(&self) -> PathBuf {
        self.0.join("ca-cert.pem")
    }
}
