//! Tickets: the password, encrypted with a server's RSA key. RSA-1024, OAEP with SHA-1 and MGF1-SHA-1, no label.
//!
//! Behind the feature `ticket`, as it takes a big-number library: the rest of the crate has no dependencies.
//!
//! The `rsa` crate's private-key operations take a time that depends on the key (RUSTSEC-2023-0071). A [`TicketKey`] is meant to
//! be made for one link and dropped with it, as spice-server does: whoever measures one decryption over a network learns
//! little of a key that is never used again. Don't keep one for many clients.

extern crate alloc;

use alloc::vec::Vec;
use rsa::{
    Oaep, RsaPrivateKey, RsaPublicKey,
    pkcs8::{DecodePublicKey, EncodePublicKey},
    rand_core::CryptoRngCore,
};
use sha1::Sha1;

/// The randomness that keys and tickets are made of: `OsRng` is the system's.
pub use rsa::rand_core;

use crate::{LinkReply, TICKET_LEN};

/// The longest password that a server can be given, in bytes (`SPICE_MAX_PASSWORD_LENGTH`).
pub const MAX_PASSWORD: usize = 60;

/// Why there is no ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TicketError {
    /// The reply's key is no RSA key of 1024 bits.
    Key,
    /// The password is too long for one block: at most 85 bytes and the NUL behind them.
    TooLong,
    /// There was no randomness, or no key could be made.
    Random,
}

impl core::fmt::Display for TicketError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Key => "expected an rsa key of 1024 bits in the link reply",
            Self::TooLong => "expected a password of at most 85 bytes",
            Self::Random => "no rsa key could be made",
        })
    }
}

impl core::error::Error for TicketError {}

/// The ticket for this password: what spice-gtk sends, the password and a NUL, encrypted.
///
/// Passwords longer than [`MAX_PASSWORD`], which no server can have, are encrypted too, up to 85 bytes.
pub fn seal(
    rng: &mut impl CryptoRngCore,
    pub_key: &[u8; LinkReply::PUB_KEY_LEN],
    password: &[u8],
) -> Result<[u8; TICKET_LEN], TicketError> {
    let mut plain = Vec::with_capacity(password.len() + 1);
    plain.extend_from_slice(password);
    plain.push(0);
    seal_bytes(rng, pub_key, &plain)
}

/// The same for bytes as they are, without a NUL behind them: what a server makes of odd ones can be tried with it.
pub fn seal_bytes(
    rng: &mut impl CryptoRngCore,
    pub_key: &[u8; LinkReply::PUB_KEY_LEN],
    plain: &[u8],
) -> Result<[u8; TICKET_LEN], TicketError> {
    let key = RsaPublicKey::from_public_key_der(pub_key).map_err(|_| TicketError::Key)?;
    let sealed = key.encrypt(rng, Oaep::new::<Sha1>(), plain).map_err(|_| TicketError::TooLong)?;
    sealed.try_into().map_err(|_| TicketError::Key)
}

/// A server's key for one link.
#[derive(Debug)]
pub struct TicketKey {
    key: RsaPrivateKey,
    public: [u8; LinkReply::PUB_KEY_LEN],
}

impl TicketKey {
    /// Makes a key. Some milliseconds of work.
    pub fn generate(rng: &mut impl CryptoRngCore) -> Result<Self, TicketError> {
        let key = RsaPrivateKey::new(rng, TICKET_LEN * 8).map_err(|_| TicketError::Random)?;
        let der = key.to_public_key().to_public_key_der().map_err(|_| TicketError::Random)?;
        let public = der.as_bytes().try_into().map_err(|_| TicketError::Random)?;
        Ok(Self { key, public })
    }

    /// The public half, as it goes into the reply: DER SubjectPublicKeyInfo.
    pub const fn public(&self) -> &[u8; LinkReply::PUB_KEY_LEN] {
        &self.public
    }

    /// What is in a ticket; `None` where it was not made for this key.
    pub fn open(&self, rng: &mut impl CryptoRngCore, ticket: &[u8; TICKET_LEN]) -> Option<Vec<u8>> {
        self.key.decrypt_blinded(rng, Oaep::new::<Sha1>(), ticket).ok()
    }

    /// Whether the ticket holds this password. Compared as spice-server compares them, up to the first NUL; an empty password
    /// lets nobody in.
    pub fn matches(&self, rng: &mut impl CryptoRngCore, ticket: &[u8; TICKET_LEN], password: &[u8]) -> bool {
        let Some(plain) = self.open(rng, ticket) else { return false };
        let (seen, password) = (until_nul(&plain), until_nul(password));
        // In a time that hangs on the lengths alone.
        let differ =
            seen.iter().zip(password).fold(seen.len() ^ password.len(), |sum, (a, b)| sum | usize::from(a ^ b));
        differ == 0 && !password.is_empty()
    }
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rsa::rand_core::OsRng;

    #[test]
    fn a_ticket_opens_with_its_key_alone() {
        let (key, other) = (TicketKey::generate(&mut OsRng).unwrap(), TicketKey::generate(&mut OsRng).unwrap());
        // The prefix and suffix of every SPICE key: SubjectPublicKeyInfo, rsaEncryption, 129-byte modulus; exponent 65537.
        assert_eq!(key.public()[..10], *b"\x30\x81\x9f\x30\x0d\x06\x09\x2a\x86\x48");
        assert_eq!(key.public()[157..], *b"\x02\x03\x01\x00\x01");
        let ticket = seal(&mut OsRng, key.public(), b"sekrit").unwrap();
        assert_eq!(key.open(&mut OsRng, &ticket).as_deref(), Some(&b"sekrit\0"[..]));
        assert_eq!(other.open(&mut OsRng, &ticket), None);
        assert_eq!(key.open(&mut OsRng, &[0; 128]), None);
    }

    #[test]
    fn passwords_are_compared_up_to_the_first_nul() {
        let key = TicketKey::generate(&mut OsRng).unwrap();
        for (plain, password, good) in [
            (&b"sekrit\0"[..], &b"sekrit"[..], true),
            (b"sekrit", b"sekrit", true),
            (b"sekrit\0and more", b"sekrit", true),
            (b"sekri\0", b"sekrit", false),
            (b"sekrits\0", b"sekrit", false),
            (b"", b"sekrit", false),
            (b"\0", b"", false),
        ] {
            let ticket = seal_bytes(&mut OsRng, key.public(), plain).unwrap();
            assert_eq!(key.matches(&mut OsRng, &ticket, password), good, "{}", plain.escape_ascii());
        }
        assert_eq!(seal_bytes(&mut OsRng, key.public(), &[1; 87]), Err(TicketError::TooLong));
        assert_eq!(seal(&mut OsRng, &[0; 162], b""), Err(TicketError::Key));
    }
}
