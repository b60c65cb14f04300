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
mod server;
mod subject;
mod upstream;

use std::{io, path::Path};

use rustls::{
    Error as TlsError, InvalidMessage,
    pki_types::{CertificateDer, pem::PemObject},
};

use crate::Error;
pub use server::{ServerIdentity, ServerTls};
pub use upstream::{ServerCheck, UpstreamTls};

/// A failed handshake's reason. Says in plain words that the peer does not speak TLS, as when two ports are mixed up.
pub(crate) fn explain(error: io::Error) -> io::Error {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>());
    match inner {
        Some(TlsError::InvalidMessage(InvalidMessage::InvalidContentType)) => {
            io::Error::new(error.kind(), "expected TLS, found something else")
        }
        _ => error,
    }
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
