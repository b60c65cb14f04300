//! Certificates of version 1, which webpki does not read, and the checks around the relay's own certificate.

use rustls::{
    CertificateError, DigitallySignedStruct, Error, InconsistentKeys, PeerIncompatible,
    client::danger::HandshakeSignatureValid,
    crypto::WebPkiSupportedAlgorithms,
    pki_types::{CertificateDer, UnixTime},
};
use x509_parser::{certificate::X509Certificate, prelude::FromDer, time::ASN1Time, x509::X509Version};

/// Reads a certificate that has no bytes after it.
pub(super) fn parse<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, Error> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(CertificateError::BadEncoding.into()),
    }
}

/// Whether the certificate has version 1, which has no extensions.
pub(super) fn is_v1(certificate: &X509Certificate<'_>) -> bool {
    certificate.version() == X509Version::V1
}

/// Verifies that one of `authorities` signed this certificate of version 1, and that both are valid now.
///
/// There are no intermediates; certificates of version 3 can have them. An authority of version 3 must say that it is one
/// (basic constraints, and key usage if it is given). An authority of version 1 is one because the operator configured it.
pub(super) fn verify_v1(
    certificate: &X509Certificate<'_>,
    authorities: &[CertificateDer<'_>],
    now: UnixTime,
) -> Result<(), Error> {
    valid_at(certificate, now)?;
    let mut error = CertificateError::UnknownIssuer.into();
    for authority in authorities {
        let authority = parse(authority)?;
        if authority.subject().as_raw() != certificate.issuer().as_raw() {
            continue;
        }
        match is_authority(&authority).and_then(|()| valid_at(&authority, now)) {
            Err(reason) => error = reason,
            Ok(()) if certificate.verify_signature(Some(authority.public_key())).is_ok() => return Ok(()),
            Ok(()) => error = CertificateError::BadSignature.into(),
        }
    }
    Err(error)
}

/// Whether a certificate is valid at this time.
pub(super) fn valid_at(certificate: &X509Certificate<'_>, now: UnixTime) -> Result<(), Error> {
    let now = i64::try_from(now.as_secs()).ok().and_then(|now| ASN1Time::from_timestamp(now).ok());
    let now = now.ok_or(CertificateError::BadEncoding)?;
    if now < certificate.validity().not_before {
        return Err(CertificateError::NotValidYet.into());
    }
    if now > certificate.validity().not_after {
        return Err(CertificateError::Expired.into());
    }
    Ok(())
}

fn is_authority(authority: &X509Certificate<'_>) -> Result<(), Error> {
    let may_sign = authority
        .key_usage()
        .map_err(|_| CertificateError::BadEncoding)?
        .is_none_or(|usage| usage.value.key_cert_sign());
    if may_sign && (is_v1(authority) || authority.is_ca()) {
        Ok(())
    } else {
        Err(CertificateError::InvalidPurpose.into())
    }
}

/// Verifies the signature in a TLS 1.2 handshake, with the key of a certificate that webpki can't read.
pub(super) fn verify_tls12(
    message: &[u8],
    certificate: &X509Certificate<'_>,
    signed: &DigitallySignedStruct,
    supported: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, Error> {
    let key = certificate.public_key();
    let algorithm = sequence(key.raw).and_then(|(inside, _)| sequence(inside)).ok_or(CertificateError::BadEncoding)?.0;
    let schemes = supported.mapping.iter().find(|(scheme, _)| *scheme == signed.scheme);
    let (_, candidates) = schemes.ok_or(PeerIncompatible::NoSignatureSchemesInCommon)?;
    for candidate in candidates.iter().filter(|candidate| candidate.public_key_alg_id().as_ref() == algorithm) {
        if candidate.verify_signature(&key.subject_public_key.data, message, signed.signature()).is_ok() {
            return Ok(HandshakeSignatureValid::assertion());
        }
    }
    Err(CertificateError::BadSignature.into())
}

/// The contents of a DER SEQUENCE, and the bytes after it.
fn sequence(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let [0x30, first, rest @ ..] = der else { return None };
    let (len, rest) = match *first {
        0x81 => (usize::from(*rest.first()?), rest.get(1..)?),
        0x82 => (usize::from(u16::from_be_bytes([*rest.first()?, *rest.get(1)?])), rest.get(2..)?),
        len if len < 0x80 => (usize::from(len), rest),
        _ => return None,
    };
    rest.split_at_checked(len)
}

/// Checks that the relay's key (its SubjectPublicKeyInfo) belongs to the certificate.
pub(super) fn belongs(certificate: &X509Certificate<'_>, public_key: Option<&[u8]>) -> Result<(), Error> {
    match public_key {
        Some(key) if key == certificate.public_key().raw => Ok(()),
        Some(_) => Err(InconsistentKeys::KeyMismatch.into()),
        None => Err(InconsistentKeys::Unknown.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn der_sequences_are_read() {
        assert_eq!(sequence(&[0x30, 2, 1, 2, 3]), Some((&[1, 2][..], &[3][..])));
        for der in
            [&[][..], &[0x30], &[0x30, 3, 1, 2], &[0x31, 0], &[0x30, 0x81], &[0x30, 0x82, 1], &[0x30, 0x83, 0, 0, 0]]
        {
            assert_eq!(sequence(der), None);
        }
    }
}
