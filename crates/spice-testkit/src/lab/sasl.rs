//! A SASL user that only the QEMU it is given to knows: nothing under `/etc` is touched, and root is not needed.

use std::{
    fs,
    io::{self, Write},
    path::Path,
    process::{Command, Stdio},
};

use super::process::{Process, Scratch};

/// A password database and the configuration that names it.
#[derive(Debug)]
pub struct SaslUser(Scratch);

impl SaslUser {
    /// A user for one mechanism, `digest-md5` for example.
    pub fn new(user: &str, password: &str, mechanism: &str) -> io::Result<Self> {
        let scratch = Scratch::new()?;
        let database = scratch.join("users.db");
        // QEMU names itself "qemu" to the SASL library, which then reads qemu.conf.
        let configuration = format!("mech_list: {mechanism}\nsasldb_path: {}\n", database.display());
        fs::write(scratch.join("qemu.conf"), configuration)?;
        // The mechanism's realm is the host's name where the client is given none.
        let host = fs::read_to_string("/proc/sys/kernel/hostname")?;
        for realm in [host.trim_end(), "localhost", "127.0.0.1"] {
            add(&database, realm, user, password)?;
        }
        Ok(Self(scratch))
    }

    /// Makes a QEMU that is about to start use it.
    pub fn configure(&self, qemu: &mut Command) {
        qemu.env("SASL_CONF_PATH", self.0.path());
    }
}

fn add(database: &Path, realm: &str, user: &str, password: &str) -> io::Result<()> {
    let mut command = Command::new("saslpasswd2");
    command.arg("-f").arg(database).args(["-p", "-c", "-a", "qemu", "-u", realm, user]);
    let mut process = Process::spawn(command.stdin(Stdio::piped()))?;
    if let Some(mut stdin) = process.child().stdin.take() {
        stdin.write_all(password.as_bytes())?;
    }
    let status = process.wait()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("saslpasswd2: {status}"))) }
}
