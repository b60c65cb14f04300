//! Tickets: the password, encrypted with a server's RSA key. RSA-1024, OAEP with SHA-1 and MGF1-SHA-1, no label.
//!
//! This module is behind the feature `ticket` because it needs a big-number library; the rest of the crate has no dependencies.
//! Keys and padding use the operating system's randomness.
//!
//! Make a [`TicketKey`] for one link and drop it with the link, as spice-server does. An attacker who measures decryption times
//! over a network then has one sample for each key. The `rsa` crate computes with private keys in constant time since 0.10.

extern crate alloc;

use alloc::vec::Vec;
use getrandom::SysRng;
use rsa::{
    Oaep, PrivateKey, PublicKey,
    pkcs8::{DecodePublicKey, EncodePublicKey},
};
use sha1::Sha1;

use crate::{LinkReply, LinkUser, TICKET_LEN};

/// The longest password that a server can be given, in bytes (`SPICE_MAX_PASSWORD_LENGTH`).
pub const MAX_PASSWORD: usize = 60;

/// Why a ticket or a key could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TicketError {
    /// The reply's key is not an RSA key of 1024 bits.
    Key,
    /// The password is too long for one block: at most 85 bytes and the NUL that follows them.
    TooLong,
    /// The operating system gave no randomness, or no key could be made with it.
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

/// Encrypts a password for a server's key. As in spice-gtk, a NUL follows the password.
///
/// Passwords longer than [`MAX_PASSWORD`] are encrypted too, up to 85 bytes, although no server can have one.
pub fn seal(pub_key: &[u8; LinkReply::PUB_KEY_LEN], password: &[u8]) -> Result<[u8; TICKET_LEN], TicketError> {
    let mut plain = Vec::with_capacity(password.len() + 1);
    plain.extend_from_slice(password);
    plain.push(0);
    seal_bytes(pub_key, &plain)
}

/// Encrypts bytes for a server's key without adding a NUL. It makes tickets that no client sends, to test servers.
pub fn seal_bytes(pub_key: &[u8; LinkReply::PUB_KEY_LEN], plain: &[u8]) -> Result<[u8; TICKET_LEN], TicketError> {
    let key = PublicKey::from_public_key_der(pub_key).map_err(|_| TicketError::Key)?;
    let sealed = key.encrypt(&mut SysRng, Oaep::<Sha1>::new(), plain).map_err(|error| match error {
        rsa::Error::MessageTooLong => TicketError::TooLong,
        _ => TicketError::Random,
    })?;
    sealed.try_into().map_err(|_| TicketError::Key)
}

/// A [`LinkUser`] that authenticates with a password.
///
/// ```
/// use spice_link::{LinkConnector, ticket::Password};
/// let (mut link, mut user) = (LinkConnector::new(), Password::new("sekrit"));
/// let turn = link.read(&mut user, b"the server's bytes", &mut [0; LinkConnector::ROOM]);
/// # let _ = turn;
/// ```
#[derive(Clone, Copy)]
pub struct Password<'a>(&'a [u8]);

impl<'a> Password<'a> {
    /// A user with this password. A server without passwords accepts any.
    pub fn new<P: AsRef<[u8]> + ?Sized>(password: &'a P) -> Self {
        Self(password.as_ref())
    }
}

impl LinkUser for Password<'_> {
    fn ticket(&mut self, pub_key: &[u8; LinkReply::PUB_KEY_LEN], ticket: &mut [u8; TICKET_LEN]) -> bool {
        seal(pub_key, self.0).map(|sealed| *ticket = sealed).is_ok()
    }
}

impl core::fmt::Debug for Password<'_> {
    /// Without the password.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Password").finish_non_exhaustive()
    }
}

/// A server's RSA key for one link.
#[derive(Debug)]
pub struct TicketKey {
    key: PrivateKey,
    public: [u8; LinkReply::PUB_KEY_LEN],
}

impl TicketKey {
    /// Makes a key. This takes some milliseconds.
    pub fn generate() -> Result<Self, TicketError> {
        let key = PrivateKey::new(&mut SysRng, TICKET_LEN * 8).map_err(|_| TicketError::Random)?;
        let der = key.to_public_key().to_public_key_der().map_err(|_| TicketError::Random)?;
        let public = der.as_bytes().try_into().map_err(|_| TicketError::Random)?;
        Ok(Self { key, public })
    }

    /// The public half as it is sent in the reply: DER SubjectPublicKeyInfo.
    pub const fn public(&self) -> &[u8; LinkReply::PUB_KEY_LEN] {
        &self.public
    }

    /// Decrypts a ticket; `None` if it was not made for this key.
    pub fn open(&self, ticket: &[u8; TICKET_LEN]) -> Option<Vec<u8>> {
        self.key.decrypt_blinded(&mut SysRng, Oaep::<Sha1>::new(), ticket).ok()
    }

    /// Whether the ticket holds this password. Like spice-server, it compares up to the first NUL, and never accepts an empty
    /// password.
    pub fn matches(&self, ticket: &[u8; TICKET_LEN], password: &[u8]) -> bool {
        let Some(plain) = self.open(ticket) else { return false };
        let (seen, password) = (until_nul(&plain), until_nul(password));
        // The comparison's time depends on the lengths alone.
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

    #[test]
    fn ticket_opens_only_with_its_own_key() {
        let (key, other) = (TicketKey::generate().unwrap(), TicketKey::generate().unwrap());
        // The prefix and suffix of every SPICE key: SubjectPublicKeyInfo, rsaEncryption, 129-byte modulus; exponent 65537.
        assert_eq!(key.public()[..10], *b"\x30\x81\x9f\x30\x0d\x06\x09\x2a\x86\x48");
        assert_eq!(key.public()[157..], *b"\x02\x03\x01\x00\x01");
        let ticket = seal(key.public(), b"sekrit").unwrap();
        assert_eq!(key.open(&ticket).as_deref(), Some(&b"sekrit\0"[..]));
        assert_eq!(other.open(&ticket), None);
        assert_eq!(key.open(&[0; 128]), None);
    }

    #[test]
    fn passwords_are_compared_up_to_the_first_nul() {
        let key = TicketKey::generate().unwrap();
        for (plain, password, good) in [
            (&b"sekrit\0"[..], &b"sekrit"[..], true),
            (b"sekrit", b"sekrit", true),
            (b"sekrit\0and more", b"sekrit", true),
            (b"sekri\0", b"sekrit", false),
            (b"sekrits\0", b"sekrit", false),
            (b"", b"sekrit", false),
            (b"\0", b"", false),
        ] {
            let ticket = seal_bytes(key.public(), plain).unwrap();
            assert_eq!(key.matches(&ticket, password), good, "{}", plain.escape_ascii());
        }
        assert_eq!(seal_bytes(key.public(), &[1; 87]), Err(TicketError::TooLong));
        assert_eq!(seal(&[0; 162], b""), Err(TicketError::Key));
    }
}
