//! TLS to the upstream: who it has to be.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
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
use tokio_rustls::TlsConnector;

use super::{
    certificate::{self, Subject},
    certificates,
};

/// Whom the upstream's certificate has to name.
#[derive(Clone, Debug)]
pub(crate) enum Expected {
    /// A host's name or address.
    Name(ServerName<'static>),
    /// A whole subject, whatever the host; SPICE's own way for hosts that move.
    Subject(Box<str>, ServerName<'static>),
}

/// What connects to the upstream with TLS. The CA's certificates can be read again while it is in use.
pub(crate) struct Connector {
    ca: PathBuf,
    name: ServerName<'static>,
    subject: Option<Subject>,
    current: RwLock<TlsConnector>,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").field("ca", &self.ca).field("name", &self.name).finish_non_exhaustive()
    }
}

impl Connector {
    /// Trusts the certificates of this file, and nothing else.
    pub(crate) fn load(ca: PathBuf, expected: Expected) -> Result<Arc<Self>, String> {
        let (name, subject) = match expected {
            Expected::Name(name) => (name, None),
            Expected::Subject(text, name) => (name, Some(Subject::parse(&text)?)),
        };
        let current = RwLock::new(load(&ca, subject.clone())?);
        Ok(Arc::new(Self { ca, name, subject, current }))
    }

    /// Reads the file again. What can't be used is left aside, and what was read before stays.
    pub(crate) fn reload(&self) -> Result<(), String> {
        let new = load(&self.ca, self.subject.clone())?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }

    /// The file.
    pub(crate) fn ca(&self) -> &Path {
        &self.ca
    }

    pub(crate) fn connector(&self) -> (TlsConnector, ServerName<'static>) {
        (self.current.read().unwrap_or_else(PoisonError::into_inner).clone(), self.name.clone())
    }
}

fn load(ca: &Path, subject: Option<Subject>) -> Result<TlsConnector, String> {
    let authorities = certificates(ca)?;
    let mut roots = RootCertStore::empty();
    for authority in &authorities {
        roots.add(authority.clone()).map_err(|error| format!("{}: {error}", ca.display()))?;
    }
    let provider = Arc::new(ring::default_provider());
    let supported = provider.signature_verification_algorithms;
    let verifier = Verifier { roots, supported, authorities, subject, said_v1: AtomicBool::new(false) };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    // As spice-server keeps no sessions, there is nothing to resume.
    config.resumption = Resumption::disabled();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// webpki's checks, with a way for what it can't: version 1, and a subject in place of a name.
#[derive(Debug)]
struct Verifier {
    roots: RootCertStore,
    supported: WebPkiSupportedAlgorithms,
    authorities: Vec<CertificateDer<'static>>,
    subject: Option<Subject>,
    /// Once is enough: each channel is a connection.
    said_v1: AtomicBool,
}

impl Verifier {
    /// Who signed it, and when; not yet who it is.
    fn verify_chain(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        let certificate = certificate::parse(leaf)?;
        if certificate::is_v1(&certificate) {
            certificate::verify_v1(&certificate, &self.authorities, now)?;
            if !self.said_v1.swap(true, Ordering::Relaxed) {
                tracing::info!(subject = %certificate.subject(), "the upstream's certificate is X.509 version 1; a named CA signed it");
            }
            return Ok(());
        }
        let leaf = ParsedCertificate::try_from(leaf)?;
        verify_server_cert_signed_by_trust_anchor(&leaf, &self.roots, intermediates, now, self.supported.all)
    }

    fn verify_name(&self, leaf: &CertificateDer<'_>, name: &ServerName<'_>) -> Result<(), Error> {
        let certificate = certificate::parse(leaf)?;
        let is_it = match &self.subject {
            Some(subject) => subject.is(certificate.subject()),
            // No names but the subject's: an exact one, as there is no telling what a wildcard would mean there.
            None if certificate::is_v1(&certificate) => certificate
                .subject()
                .iter_common_name()
                .filter_map(|attribute| attribute.as_str().ok())
                .any(|common| common.eq_ignore_ascii_case(&name.to_str())),
            None => return verify_server_name(&ParsedCertificate::try_from(leaf)?, name),
        };
        if is_it { Ok(()) } else { Err(CertificateError::NotValidForName.into()) }
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
    ) -> Result<ServerCertVerified, Error> {
        self.verify_chain(leaf, intermediates, now)?;
        self.verify_name(leaf, name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
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
    ) -> Result<HandshakeSignatureValid, Error> {
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
