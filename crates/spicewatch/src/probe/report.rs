//! The report of a probe, as text and as JSON.

use serde_derive::Serialize;
use spice_conformance::TlsInfo;
use std::fmt::Write;
use x509_parser::prelude::{FromDer, X509Certificate};

#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    pub(super) address: String,
    pub(super) carrier: String,
    /// The common capabilities.
    pub(super) common: Vec<String>,
    pub(super) auth: Vec<String>,
    pub(super) channels: Vec<Channel>,
    pub(super) tls: Option<Tls>,
    /// Whether the port accepts WebSocket too. Not tried inside TLS.
    pub(super) websocket: Option<bool>,
    /// Milliseconds from the message to the reply: minimum, median.
    pub(super) latency: Option<[f64; 2]>,
    pub(super) session: Option<Session>,
}

/// A channel that the server answers for.
#[derive(Debug, Default, Serialize)]
pub(super) struct Channel {
    pub(super) name: String,
    pub(super) id: u8,
    pub(super) capabilities: Vec<String>,
    /// Why the server refuses it on this connection.
    pub(super) refused: Option<String>,
    /// The server answers for it only inside a session, so a link without one shows no capabilities.
    pub(super) needs_session: bool,
    pub(super) milliseconds: f64,
}

#[derive(Debug, Serialize)]
pub(super) struct Tls {
    version: String,
    cipher: String,
    subject: String,
    issuer: String,
    not_after: String,
}

/// What a session shows.
#[derive(Debug, Default, Serialize)]
pub(super) struct Session {
    pub(super) refused: Option<String>,
    /// As QMP shows it.
    pub(super) connection_id: Option<i32>,
    pub(super) name: Option<String>,
    pub(super) uuid: Option<String>,
    pub(super) channels: Vec<String>,
}

impl Tls {
    pub(super) fn of(info: &TlsInfo) -> Self {
        let certificate = info.certificate.as_deref().and_then(|der| X509Certificate::from_der(der).ok());
        let certificate = certificate.map(|(_, certificate)| certificate);
        let text = |of: fn(&X509Certificate<'_>) -> String| certificate.as_ref().map_or_else(String::new, of);
        Self {
            version: info.version.clone(),
            cipher: info.cipher.clone(),
            subject: text(|one| one.subject().to_string()),
            issuer: text(|one| one.issuer().to_string()),
            not_after: text(|one| one.validity().not_after.to_string()),
        }
    }
}

impl Report {
    pub(super) fn json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    pub(super) fn text(&self) -> String {
        let mut out = format!("{} ({})\n", self.address, self.carrier);
        let list = |words: &[String]| if words.is_empty() { "none".to_owned() } else { words.join(", ") };
        let _ = writeln!(out, "  link       {}", list(&self.common));
        let _ = writeln!(out, "  auth       {}", list(&self.auth));
        if let Some(Tls { version, cipher, subject, issuer, not_after }) = &self.tls {
            let _ = writeln!(out, "  tls        {version}, {cipher}");
            // The certificate's issuer picks the names: control characters are escaped for the terminal.
            let (subject, issuer) = (subject.escape_debug(), issuer.escape_debug());
            let _ = writeln!(out, "             {subject}, by {issuer}, until {not_after}");
        }
        if let Some(websocket) = self.websocket {
            let _ = writeln!(out, "  websocket  {}", if websocket { "yes" } else { "no" });
        }
        if let Some([least, middle]) = self.latency {
            let _ = writeln!(out, "  latency    {least:.1} ms minimum, {middle:.1} ms median to the link reply");
        }
        for Channel { name, id, capabilities, refused, needs_session, .. } in &self.channels {
            let what = match refused {
                Some(why) => format!("refused: {why}"),
                None if *needs_session => "in a session only".to_owned(),
                None => list(capabilities),
            };
            let _ = writeln!(out, "  channel    {name} {id}: {what}");
        }
        if let Some(session) = &self.session {
            session.text(&mut out);
        }
        out
    }
}

impl Session {
    fn text(&self, out: &mut String) {
        if let Some(why) = &self.refused {
            let _ = writeln!(out, "  session    refused: {why}");
        }
        if let Some(id) = self.connection_id {
            let _ = writeln!(out, "  session    connection-id {id}");
        }
        if let Some(name) = &self.name {
            let _ = writeln!(out, "  name       {}", name.escape_debug());
        }
        if let Some(uuid) = &self.uuid {
            let _ = writeln!(out, "  uuid       {uuid}");
        }
        if !self.channels.is_empty() {
            let _ = writeln!(out, "  listed     {}", self.channels.join(", "));
        }
    }
}

/// Sixteen bytes in the usual form.
pub(super) fn uuid(bytes: &[u8]) -> String {
    let mut out = String::new();
    for (index, byte) in bytes.iter().take(16).enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            out.push('-');
        }
        let _ = write!(out, "{byte:02x}");
    }
    out
}
