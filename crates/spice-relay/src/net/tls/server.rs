use std::{
    fs, io,
    os::unix::fs::MetadataExt,
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
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{certificate, certificates, key_log::KeyLogFile};
use crate::{Error, net::Transport};

/// The certificate that clients are shown, and its key. Both can be read again while they are in use.
#[derive(Debug)]
pub struct ServerIdentity {
    certificate: PathBuf,
    key: PathBuf,
    current: RwLock<Arc<CertifiedKey>>,
}

impl ServerIdentity {
    /// Reads the certificate, with its intermediates after it, and the private key (PEM, without a password).
    pub fn load(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Result<Arc<Self>, Error> {
        let (certificate, key) = (certificate.into(), key.into());
        let current = RwLock::new(Arc::new(load(&certificate, &key)?));
        Ok(Arc::new(Self { certificate, key, current }))
    }

    /// Reads both files again. After an error the earlier certificate stays in use.
    pub fn reload(&self) -> Result<(), Error> {
        self.set(Arc::new(load(&self.certificate, &self.key)?));
        Ok(())
    }

    /// Takes the certificate and the key that another identity has loaded.
    pub fn replace(&self, newer: &Self) {
        self.set(Arc::clone(&newer.current.read().unwrap_or_else(PoisonError::into_inner)));
    }

    fn set(&self, new: Arc<CertifiedKey>) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = new;
    }

    /// The certificate's file.
    pub fn certificate(&self) -> &Path {
        &self.certificate
    }

    /// Until when the certificate in use is valid, in seconds since 1970.
    pub fn not_after(&self) -> Option<i64> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        let leaf = certificate::parse(current.cert.first()?).ok()?;
        Some(leaf.validity().not_after.timestamp())
    }
}

impl ResolvesServerCert for ServerIdentity {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// The TLS server of a relay: shakes hands with clients.
#[derive(Clone)]
pub struct ServerTls(TlsAcceptor);

impl ServerTls {
    /// A TLS server with this identity, in whatever version is loaded at the time of a handshake.
    pub fn new(identity: &Arc<ServerIdentity>) -> Result<Self, Error> {
        Self::with_key_log(identity, None)
    }

    /// The same, which writes the secrets of its connections to a file.
    pub fn with_key_log(identity: &Arc<ServerIdentity>, key_log: Option<Arc<KeyLogFile>>) -> Result<Self, Error> {
        let mut config = ServerConfig::builder_with_provider(ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::certificate(identity.certificate(), error))?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(identity) as _);
        // A SPICE client opens each channel with a TLS context of its own, and resumes no session.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        if let Some(key_log) = key_log {
            config.key_log = key_log;
        }
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }

    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(self.0.config())
    }

    pub(crate) async fn accept<T: Transport>(&self, transport: T) -> io::Result<TlsStream<T>> {
        self.0.accept(transport).await
    }
}

impl std::fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerTls").finish_non_exhaustive()
    }
}

fn load(cert: &Path, key: &Path) -> Result<CertifiedKey, Error> {
    let chain = certificates(cert)?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| match error {
        pem::Error::NoItemsFound => {
            Error::Pem { path: key.into(), expected: "a private key in PEM, without a password" }
        }
        error => Error::certificate(key, error),
    })?;
    let signer = ring::sign::any_supported_type(&private).map_err(|_| Error::UnsupportedKey(key.into()))?;
    let in_certificate = |error: rustls::Error| Error::certificate(cert, error);
    let leaf = certificate::parse(&chain[0]).map_err(in_certificate)?;
    certificate::belongs(&leaf, signer.public_key().as_deref())
        .map_err(|_| Error::KeyMismatch { key: key.into(), certificate: cert.into() })?;
    if let Err(error) = certificate::valid_at(&leaf, UnixTime::now()) {
        tracing::warn!(file = %cert.display(), %error, from = %leaf.validity().not_before, to = %leaf.validity().not_after, "the certificate is not valid now: most clients will refuse it");
    }
    // Others may read it; a group often must.
    if fs::metadata(key).is_ok_and(|file| file.mode() & 0o004 != 0) {
        tracing::warn!(file = %key.display(), "every user of this machine can read the private key: chmod o-r");
    }
    if certificate::is_v1(&leaf) {
        tracing::warn!(file = %cert.display(), "the certificate is X.509 version 1; clients are shown it unchanged");
    }
    Ok(CertifiedKey::new(chain, signer))
}
