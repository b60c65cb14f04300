//! TLS on both sides, towards clients and towards the upstream: TLS 1.2 and 1.3, with rustls and ring.
//!
//! Certificates of SPICE servers are often X.509 version 1: `openssl x509 -req` makes them without an extension file. webpki,
//! the verifier of rustls, refuses them. The relay accepts them on both sides, and logs each:
//!
//! - As the relay's own certificate it is only shown to clients. The relay checks that the key belongs to it.
//! - As the upstream's certificate it must be signed directly by one of the configured CA certificates, and both must be valid
//!   now. Its only name is its subject, so the common name is compared.
//!
//! RSA keys below 2048 bits and TLS below 1.2 are refused.

mod certificate;
mod key_log;
mod server;
mod subject;
mod upstream;

use std::{error, fmt, io, path::Path};

use rustls::{
    AlertDescription, CertificateError, Error as TlsError, InvalidMessage, PeerIncompatible,
    pki_types::{CertificateDer, pem::PemObject},
};

use crate::Error;
pub use key_log::KeyLogFile;
pub use server::{ServerIdentity, ServerTls};
pub use upstream::{ServerCheck, UpstreamTls};

/// A failed handshake's reason in plain words, and what to configure.
#[derive(Debug)]
struct Explained {
    text: String,
    hint: &'static str,
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl error::Error for Explained {}

/// What to configure, if an explained error knows it.
pub(crate) fn hint(error: &io::Error) -> Option<&'static str> {
    error.get_ref()?.downcast_ref().map(|Explained { hint, .. }| *hint)
}

const NOT_TLS: &str = "expected TLS, found something else";
const OLD_TLS: &str = "expected TLS 1.2 or 1.3, found an older version";

/// Says in plain words why a handshake with a client failed.
pub(crate) fn explain_client(error: io::Error) -> io::Error {
    let Some(inner) = tls_error(&error) else { return error };
    let (text, hint) = match inner {
        TlsError::InvalidMessage(InvalidMessage::InvalidContentType) => {
            (NOT_TLS.to_owned(), "clients without TLS need an address of `listen`")
        }
        TlsError::PeerIncompatible(PeerIncompatible::Tls12NotOffered | PeerIncompatible::Tls12NotOfferedOrEnabled) => {
            (OLD_TLS.to_owned(), "older versions are refused: the client must be updated")
        }
        TlsError::AlertReceived(
            AlertDescription::UnknownCA | AlertDescription::BadCertificate | AlertDescription::CertificateUnknown,
        ) => {
            let hint = "the client expects another CA or host-subject than that of `cert` or `x509-dir`";
            (format!("the client does not accept the certificate: {inner}"), hint)
        }
        _ => return error,
    };
    io::Error::new(error.kind(), Explained { text, hint })
}

/// Says in plain words why a handshake with the upstream failed.
fn explain_upstream(error: io::Error) -> io::Error {
    let Some(inner) = tls_error(&error) else { return error };
    let (text, hint) = match inner {
        TlsError::InvalidMessage(InvalidMessage::InvalidContentType) => {
            (NOT_TLS.to_owned(), "`upstream-tls` needs the server's TLS port")
        }
        TlsError::AlertReceived(AlertDescription::ProtocolVersion) => {
            (OLD_TLS.to_owned(), "older versions are refused: the server must be updated")
        }
        TlsError::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => (inner.to_string(), "`upstream-name` or `host-subject` can name the certificate's owner"),
        TlsError::InvalidCertificate(CertificateError::Other(_)) => {
            (inner.to_string(), "`host-subject` must have all entries of the subject, in the certificate's order")
        }
        TlsError::InvalidCertificate(CertificateError::UnknownIssuer) => {
            (inner.to_string(), "`ca` must have the CA that signed the certificate")
        }
        _ => return error,
    };
    io::Error::new(error.kind(), Explained { text, hint })
}

fn tls_error(error: &io::Error) -> Option<&TlsError> {
    error.get_ref()?.downcast_ref()
}

/// Reads every certificate of a PEM file. It must have at least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| Error::certificate(path, error))?;
    if certificates.is_empty() {
        return Err(Error::Pem { path: path.into(), expected: "a certificate in PEM" });
    }
    Ok(certificates)
}
