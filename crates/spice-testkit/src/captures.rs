//! The committed captures: real sessions, each with the event lines that QEMU sent for them.
//!
//! Each is three files under `captures/`: `NAME.pcap` or `NAME.pcapng`, `NAME.qmp` with QEMU's lines as they came
//! (CRLF kept), and `NAME.toml`, which says what the capture shows. `cargo xtask record-captures NAME` records them again.
//!
//! A capture whose TLS can be decrypted has its secrets in the file, or in `NAME.keylog`. They are one-time session secrets of
//! throw-away servers.
//!
//! The tickets in them are encrypted with the server's throw-away RSA keys, and the passwords behind them are
//! [`PASSWORD`], which protects nothing.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde_derive::{Deserialize, Serialize};

use crate::events::EventLine;

/// The password of every recorded server that asks for one.
pub const PASSWORD: &str = "sekrit";

/// The user of the recorded SASL servers.
pub const USER: &str = "tester";

/// No committed capture is larger.
pub const MAX_FILE: usize = 300_000;

/// A committed capture, by its files.
#[derive(Clone, Debug)]
pub struct Capture {
    /// The name that its three files share.
    pub name: String,
    /// The capture file.
    pub path: PathBuf,
    /// What it shows.
    pub manifest: Manifest,
}

/// What a capture shows and how it was made: `NAME.toml`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Manifest {
    /// What happens in it.
    pub about: String,
    /// The options of QEMU's `-spice`, with the ports, files and folders left as `{port}`, `{tls-port}` and `{pki}`.
    pub spice: String,
    /// The versions of the peers that took part.
    pub peers: Vec<String>,
    /// What QEMU reports as `auth`: `none`, `spice` or `sasl`.
    pub auth: String,
    /// Ports where the server speaks plain SPICE.
    pub ports: Vec<u16>,
    /// Ports where the server speaks SPICE inside TLS.
    #[serde(default)]
    pub tls_ports: Vec<u16>,
    /// Payload was cut after each direction's first bytes, as with a snap length.
    #[serde(default)]
    pub trimmed: bool,
    /// Its TLS can be decrypted: with the key log `NAME.keylog`, or without one, with the secrets in the capture file.
    #[serde(default)]
    pub decrypts: bool,
    /// QEMU quits in it, and does not report the end of connections that were open then.
    #[serde(default)]
    pub quits: bool,
    /// The links that were made by hand, in order.
    #[serde(default, rename = "link", skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link>,
}

/// A link that was made by hand, and what the server put on the wire for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Link {
    /// What was sent, in a word or two.
    pub case: String,
    /// The client's port, unique within the capture.
    pub client_port: u16,
    /// The server's port.
    pub server_port: u16,
    /// The error fields of the link replies, in order. There are two if a refusal followed an accepting reply.
    #[serde(default)]
    pub replies: Vec<u32>,
    /// The link result, where the exchange got that far (never seen under SASL, which hides it).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<u32>,
    /// How many bytes the client had sent by the end of the link stage.
    pub sent: u64,
    /// How many bytes the server had sent by then, `MAIN_INIT` included if it was read.
    pub received: u64,
    /// Who ended the connection.
    pub ended_by: Ender,
}

/// Who ended a connection first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ender {
    /// The client, when it had read what it waited for.
    #[default]
    Client,
    /// The server, with FIN.
    Server,
    /// The server, with RST.
    Reset,
}

/// The folder with all captures.
pub fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/captures"))
}

/// Every committed capture, by name.
pub fn all() -> io::Result<Vec<Capture>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder())? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "toml")
            && let Some(stem) = path.file_stem()
        {
            names.push(stem.to_string_lossy().into_owned());
        }
    }
    names.sort();
    names.iter().map(|name| load(name)).collect()
}

/// One capture by its name.
pub fn load(name: &str) -> io::Result<Capture> {
    let text = fs::read_to_string(folder().join(format!("{name}.toml")))?;
    let manifest = toml::from_str(&text)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("{name}.toml: {error}")))?;
    let pcapng = folder().join(format!("{name}.pcapng"));
    let path = if pcapng.exists() { pcapng } else { folder().join(format!("{name}.pcap")) };
    Ok(Capture { name: name.to_owned(), path, manifest })
}

impl Capture {
    /// The capture file's bytes.
    pub fn bytes(&self) -> io::Result<Vec<u8>> {
        fs::read(&self.path)
    }

    /// QEMU's bytes: event lines, each with its CRLF.
    pub fn qmp(&self) -> io::Result<Vec<u8>> {
        fs::read(folder().join(format!("{}.qmp", self.name)))
    }

    /// The key log beside it, where there is one.
    pub fn key_log(&self) -> Option<PathBuf> {
        Some(self.path.with_extension("keylog")).filter(|path| path.exists())
    }

    /// QEMU's lines that speak of SPICE connections, in order, without line ends.
    pub fn spice_events(&self) -> io::Result<Vec<String>> {
        spice_events(&self.qmp()?)
    }
}

/// The lines that speak of SPICE connections, out of all that QEMU sent on QMP; without line ends.
pub fn spice_events(qmp: &[u8]) -> io::Result<Vec<String>> {
    let text = str::from_utf8(qmp).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    let is_ours = |line: &&str| {
        let name = EventLine::parse(line).map(|event| event.name());
        matches!(name, Some("SPICE_CONNECTED" | "SPICE_INITIALIZED" | "SPICE_DISCONNECTED"))
    };
    Ok(text.lines().filter(is_ours).map(str::to_owned).collect())
}
