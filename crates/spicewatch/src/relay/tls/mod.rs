//! TLS on both sides: ended towards clients, and spoken to the upstream. TLS 1.2 and 1.3, with rustls and ring.
//!
//! Certificates of SPICE servers are often X.509 version 1: what `openssl x509 -req` makes without an extension file.
//! webpki, the verifier of rustls, refuses them unseen. Here they work on both sides, each time with a line in the log:
//!
//! - As our own certificate it is only shown to clients; all that is checked is that the key belongs to it.
//! - As the upstream's certificate it is verified by [`certificate::verify_v1`]: signed directly by one of the operator's
//!   CA certificates, within both validities. It has no names besides its subject, so that the common name counts.
//!
//! Keys of RSA below 2048 bits and TLS below 1.2 stay refused.

mod certificate;
mod server;
mod upstream;

use std::{io, path::Path};

use rustls::{
    Error, InvalidMessage,
    pki_types::{CertificateDer, pem::PemObject},
};

pub(super) use server::Identity;
pub(super) use upstream::{Connector, Expected};

/// What a handshake failed for, in words for whoever has mixed up two ports.
pub(super) fn plainly(error: io::Error) -> io::Error {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match inner {
        Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
            io::Error::new(error.kind(), "expected TLS, found something else")
        }
        _ => error,
    }
}

/// Every certificate of a PEM file; at least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| format!("{}: {error}", path.display()))?;
    if certificates.is_empty() {
        return Err(format!("{}: expected a certificate in PEM, found none", path.display()));
    }
    Ok(certificates)
}
