//! The certificate that clients are shown.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{
        PrivateKeyDer, UnixTime,
        pem::{self, PemObject},
    },
    server::{ClientHello, NoServerSessionStorage, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio_rustls::TlsAcceptor;

use super::{certificate, certificates};

/// A certificate and its key, which can be read again while they are in use.
#[derive(Debug)]
pub(crate) struct Identity {
    cert: PathBuf,
    key: PathBuf,
    current: RwLock<Arc<CertifiedKey>>,
}

impl Identity {
    /// Reads both.
    pub(crate) fn load(cert: PathBuf, key: PathBuf) -> Result<Arc<Self>, String> {
        let current = RwLock::new(Arc::new(load(&cert, &key)?));
        Ok(Arc::new(Self { cert, key, current }))
    }

    /// Reads both again. What can't be used is left aside, and the old ones stay.
    pub(crate) fn reload(&self) -> Result<(), String> {
        let new = Arc::new(load(&self.cert, &self.key)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }

    /// The certificate's file.
    pub(crate) fn cert(&self) -> &Path {
        &self.cert
    }

    /// What ends TLS with it, whatever is loaded by then.
    pub(crate) fn acceptor(self: &Arc<Self>) -> Result<TlsAcceptor, String> {
        let mut config = ServerConfig::builder_with_provider(ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(self) as _);
        // A SPICE client opens each channel with a context of its own and resumes nothing.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

impl ResolvesServerCert for Identity {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

fn load(cert: &Path, key: &Path) -> Result<CertifiedKey, String> {
    let chain = certificates(cert)?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| match error {
        pem::Error::NoItemsFound => {
            format!("{}: expected a private key in PEM, without a password, found none", key.display())
        }
        error => format!("{}: {error}", key.display()),
    })?;
    let signer = ring::sign::any_supported_type(&private).map_err(|_| {
        format!("{}: expected a key of RSA (2048 bits or more), ECDSA (P-256, P-384) or Ed25519", key.display())
    })?;
    let in_cert = |error: rustls::Error| format!("{}: {error}", cert.display());
    let leaf = certificate::parse(&chain[0]).map_err(in_cert)?;
    certificate::belongs(&leaf, signer.public_key().as_deref())
        .map_err(|_| format!("{}: the key is not that of the certificate {}", key.display(), cert.display()))?;
    if let Err(error) = certificate::valid_at(&leaf, UnixTime::now()) {
        tracing::warn!(file = %cert.display(), %error, from = %leaf.validity().not_before, to = %leaf.validity().not_after, "the certificate is not valid now: most clients will refuse it");
    }
    if certificate::is_v1(&leaf) {
        tracing::warn!(file = %cert.display(), "the certificate is X.509 version 1; it is shown to clients as it is");
    }
    Ok(CertifiedKey::new(chain, signer))
}
