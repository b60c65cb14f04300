use std::{
    error, io,
    path::{Path, PathBuf},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, OtherError, RootCertStore,
    SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor, verify_server_name,
    },
    crypto::{
        WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
        verify_tls13_signature_with_raw_key,
    },
    pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime},
    server::ParsedCertificate,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{certificate, certificates, explain_upstream, key_log::KeyLogFile, subject::Subject};
use crate::{Error, net::Transport};

/// How the upstream's certificate must identify the server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerCheck {
    /// The certificate has this host name or address.
    Name(String),
    /// The certificate has exactly this subject, whatever its host: SPICE's own way for servers that move.
    Subject {
        /// The subject in the form of SPICE's `host-subject`: `C=XX,O=Organization,CN=name`.
        subject: String,
        /// The host name that the TLS handshake asks for.
        server_name: String,
    },
}

/// The TLS client of a relay: shakes hands with the upstream. The CA's certificates can be read again while it is in use.
pub struct UpstreamTls {
    ca: PathBuf,
    name: ServerName<'static>,
    subject: Option<Subject>,
    key_log: Option<Arc<KeyLogFile>>,
    current: RwLock<TlsConnector>,
}

impl UpstreamTls {
    /// Trusts the certificates of the file `ca` (PEM), and no others.
    pub fn load(ca: impl Into<PathBuf>, check: &ServerCheck) -> Result<Arc<Self>, Error> {
        Self::load_with_key_log(ca, check, None)
    }

    /// The same, which writes the secrets of its connections to a file.
    pub fn load_with_key_log(
        ca: impl Into<PathBuf>,
        check: &ServerCheck,
        key_log: Option<Arc<KeyLogFile>>,
    ) -> Result<Arc<Self>, Error> {
        let ca = ca.into();
        let (name, subject) = match check {
            ServerCheck::Name(name) => (server_name(name)?, None),
            ServerCheck::Subject { subject, server_name: name } => (server_name(name)?, Some(Subject::parse(subject)?)),
        };
        let current = RwLock::new(load(&ca, subject.clone(), key_log.clone())?);
        Ok(Arc::new(Self { ca, name, subject, key_log, current }))
    }

    /// Reads the file again. After an error the earlier certificates stay in use.
    pub fn reload(&self) -> Result<(), Error> {
        self.set(load(&self.ca, self.subject.clone(), self.key_log.clone())?);
        Ok(())
    }

    /// Takes the certificates that another one has loaded. Both must check the server in the same way.
    pub fn replace(&self, newer: &Self) {
        self.set(newer.current.read().unwrap_or_else(PoisonError::into_inner).clone());
    }

    fn set(&self, new: TlsConnector) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = new;
    }

    /// The CA's file.
    pub fn ca(&self) -> &Path {
        &self.ca
    }

    pub(crate) async fn connect<T: Transport>(&self, transport: T) -> io::Result<TlsStream<T>> {
        let connector = self.current.read().unwrap_or_else(PoisonError::into_inner).clone();
        connector.connect(self.name.clone(), transport).await.map_err(explain_upstream)
    }
}

impl std::fmt::Debug for UpstreamTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UpstreamTls").field("ca", &self.ca).field("name", &self.name).finish_non_exhaustive()
    }
}

fn server_name(name: &str) -> Result<ServerName<'static>, Error> {
    ServerName::try_from(name.to_owned()).map_err(|_| Error::parse("a host's name or address", name))
}

fn load(ca: &Path, subject: Option<Subject>, key_log: Option<Arc<KeyLogFile>>) -> Result<TlsConnector, Error> {
    let authorities = certificates(ca)?;
    let mut roots = RootCertStore::empty();
    for authority in &authorities {
        roots.add(authority.clone()).map_err(|error| Error::certificate(ca, error))?;
    }
    let provider = Arc::new(ring::default_provider());
    let supported = provider.signature_verification_algorithms;
    let verifier = Verifier { roots, supported, authorities, subject, logged_v1: AtomicBool::new(false) };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::certificate(ca, error))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    // spice-server keeps no TLS sessions, so there is none to resume.
    config.resumption = Resumption::disabled();
    if let Some(key_log) = key_log {
        config.key_log = key_log;
    }
    Ok(TlsConnector::from(Arc::new(config)))
}

/// webpki's checks, and two that webpki lacks: certificates of version 1, and a subject instead of a name.
#[derive(Debug)]
struct Verifier {
    roots: RootCertStore,
    supported: WebPkiSupportedAlgorithms,
    authorities: Vec<CertificateDer<'static>>,
    subject: Option<Subject>,
    /// It is logged once, because each channel is a connection.
    logged_v1: AtomicBool,
}

impl Verifier {
    /// Verifies the signatures and the validity, not the name.
    fn verify_chain(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), TlsError> {
        let certificate = certificate::parse(leaf)?;
        if certificate::is_v1(&certificate) {
            certificate::verify_v1(&certificate, &self.authorities, now)?;
            if !self.logged_v1.swap(true, Ordering::Relaxed) {
                tracing::info!(subject = %certificate.subject(), "the upstream's certificate is X.509 version 1, signed by a configured CA");
            }
            return Ok(());
        }
        let leaf = ParsedCertificate::try_from(leaf)?;
        verify_server_cert_signed_by_trust_anchor(&leaf, &self.roots, intermediates, now, self.supported.all)
    }

    fn verify_name(&self, leaf: &CertificateDer<'_>, name: &ServerName<'_>) -> Result<(), TlsError> {
        let certificate = certificate::parse(leaf)?;
        let matches = match &self.subject {
            Some(subject) if subject.matches(certificate.subject()) => true,
            Some(subject) => {
                let wrong =
                    format!("expected the subject `{subject}` (host-subject), found `{}`", certificate.subject());
                let wrong: Box<dyn error::Error + Send + Sync> = wrong.into();
                return Err(CertificateError::Other(OtherError(wrong.into())).into());
            }
            // Version 1 has no names but the subject's. The common name must match exactly: wildcards have no meaning there.
            None if certificate::is_v1(&certificate) => certificate
                .subject()
                .iter_common_name()
                .filter_map(|attribute| attribute.as_str().ok())
                .any(|common| common.eq_ignore_ascii_case(&name.to_str())),
            None => return verify_server_name(&ParsedCertificate::try_from(leaf)?, name),
        };
        if matches { Ok(()) } else { Err(CertificateError::NotValidForName.into()) }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        self.verify_chain(leaf, intermediates, now)?;
        self.verify_name(leaf, name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let certificate = certificate::parse(leaf)?;
        if certificate::is_v1(&certificate) {
            return certificate::verify_tls12(message, &certificate, signed, &self.supported);
        }
        verify_tls12_signature(message, leaf, signed, &self.supported)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let certificate = certificate::parse(leaf)?;
        if certificate::is_v1(&certificate) {
            let key = SubjectPublicKeyInfoDer::from(certificate.public_key().raw);
            return verify_tls13_signature_with_raw_key(message, &key, signed, &self.supported);
        }
        verify_tls13_signature(message, leaf, signed, &self.supported)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.supported.supported_schemes()
    }
}
