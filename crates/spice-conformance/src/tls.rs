use std::{
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::ring,
    pki_types::{CertificateDer, ServerName, UnixTime},
};

/// What a TLS handshake shows of a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsInfo {
    /// The version, for example `TLSv1_3`.
    pub version: String,
    /// The cipher suite, for example `TLS13_AES_256_GCM_SHA384`.
    pub cipher: String,
    /// The server's certificate, in DER.
    pub certificate: Option<Vec<u8>>,
}

/// A connection inside TLS. It accepts any certificate: a check of the server's answers does not need to trust the server, and the
/// only secret that it sends is a ticket, which is encrypted with the server's own key.
#[derive(Debug)]
pub(crate) struct TlsStream<S: Read + Write>(Box<StreamOwned<ClientConnection, S>>);

impl<S: Read + Write> TlsStream<S> {
    /// Shakes hands. `address` is the server's, `None` for a unix socket.
    pub(crate) fn connect(mut stream: S, address: Option<IpAddr>) -> io::Result<Self> {
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate))
            .with_no_client_auth();
        let name = ServerName::from(address.unwrap_or(Ipv4Addr::LOCALHOST.into()));
        let mut connection = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
        connection.complete_io(&mut stream)?;
        Ok(Self(Box::new(StreamOwned::new(connection, stream))))
    }

    pub(crate) fn info(&self) -> TlsInfo {
        let connection = &self.0.conn;
        let version = connection.protocol_version().map_or_else(String::new, |version| format!("{version:?}"));
        let cipher =
            connection.negotiated_cipher_suite().map_or_else(String::new, |suite| format!("{:?}", suite.suite()));
        let certificate = connection.peer_certificates().and_then(|chain| chain.first()).map(|one| one.to_vec());
        TlsInfo { version, cipher, certificate }
    }

    /// Tells the server that no more bytes follow.
    pub(crate) fn close_notify(&mut self) -> io::Result<()> {
        self.0.conn.send_close_notify();
        self.0.flush()
    }

    pub(crate) fn get_ref(&self) -> &S {
        &self.0.sock
    }
}

impl<S: Read + Write> Read for TlsStream<S> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.0.read(out)
    }
}

impl<S: Read + Write> Write for TlsStream<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
