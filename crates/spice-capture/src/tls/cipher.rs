//! The keys of one direction, and how they open a record.

use super::{
    key_log::Secret,
    record::HEADER,
    suite::{Aead, Algorithms, Hash},
};
use ring::{
    aead::{self, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hkdf::{KeyType, Prk},
    hmac,
};
use spice_events::Side;
use std::{fmt, ops::Range};
use zeroize::{Zeroize, Zeroizing};

/// The length of GCM's fixed nonce part in TLS 1.2, and of the explicit part that each record begins with: RFC 5288 §3.
const SALT: usize = 4;
const EXPLICIT: usize = NONCE_LEN - SALT;
/// ring's AEADs all have a tag of 16 bytes.
const TAG: usize = 16;

/// Opens the records of one direction.
pub(super) struct Cipher {
    key: LessSafeKey,
    iv: [u8; NONCE_LEN],
    /// How many records it has opened.
    opened: u64,
    form: Form,
}

/// How a record's nonce and additional data are made.
#[derive(Clone, Copy, Debug)]
enum Form {
    /// RFC 8446 §5.3: the number of the record in the nonce; the header as it is.
    Tls13,
    /// RFC 5288: half of the nonce before the ciphertext.
    Tls12Explicit,
    /// RFC 7905: as in TLS 1.3; the additional data of TLS 1.2.
    Tls12,
}

/// A record does not open.
#[derive(Debug)]
pub(super) struct Failed;

impl Cipher {
    /// From a traffic secret: RFC 8446 §7.3. `None` where the secret has not the length of the suite's hash.
    pub(super) fn tls13(algorithms: Algorithms, secret: &[u8]) -> Option<Self> {
        let prk = prk(algorithms.hash, secret)?;
        let aead = algorithms.aead.ring();
        let key = UnboundKey::from(prk.expand(&label(b"key", aead.key_len()).pieces(), aead).ok()?);
        let mut iv = [0; NONCE_LEN];
        prk.expand(&label(b"iv", NONCE_LEN).pieces(), Length(NONCE_LEN)).ok()?.fill(&mut iv).ok()?;
        Some(Self { key: LessSafeKey::new(key), iv, opened: 0, form: Form::Tls13 })
    }

    /// From the master secret: RFC 5246 §6.3.
    pub(super) fn tls12(
        algorithms: Algorithms,
        master: &[u8],
        client_random: &[u8],
        server_random: &[u8],
        side: Side,
    ) -> Option<Self> {
        let aead = algorithms.aead.ring();
        let (iv_len, form) = match algorithms.aead {
            Aead::Aes128 | Aead::Aes256 => (SALT, Form::Tls12Explicit),
            Aead::ChaCha20 => (NONCE_LEN, Form::Tls12),
        };
        // The client's key, the server's key, the client's nonce, the server's nonce.
        let mut block = Zeroizing::new([0; 2 * (32 + NONCE_LEN)]);
        let len = 2 * (aead.key_len() + iv_len);
        expand_master(algorithms.hash, master, &[b"key expansion", server_random, client_random], &mut block[..len]);
        let (keys, ivs) = block[..len].split_at(2 * aead.key_len());
        let own = usize::from(side == Side::Server);
        let mut iv = [0; NONCE_LEN];
        iv[..iv_len].copy_from_slice(ivs.chunks(iv_len).nth(own)?);
        let key = UnboundKey::new(aead, keys.chunks(aead.key_len()).nth(own)?).ok()?;
        Some(Self { key: LessSafeKey::new(key), iv, opened: 0, form })
    }

    /// How many records were opened.
    pub(super) fn opened(&self) -> u64 {
        self.opened
    }

    /// Opens a record in place, and returns where in it the plaintext is. After a failure the same cipher still expects the same record.
    pub(super) fn open(&mut self, header: [u8; HEADER], body: &mut [u8]) -> Result<Range<usize>, Failed> {
        let number = self.opened.to_be_bytes();
        let mut nonce = self.iv;
        let start = if matches!(self.form, Form::Tls12Explicit) {
            nonce[SALT..].copy_from_slice(body.get(..EXPLICIT).ok_or(Failed)?);
            EXPLICIT
        } else {
            nonce[SALT..].iter_mut().zip(number).for_each(|(to, by)| *to ^= by);
            0
        };
        let body = &mut body[start..];
        let len = u16::try_from(body.len().checked_sub(TAG).ok_or(Failed)?).map_err(|_| Failed)?;
        let nonce = Nonce::assume_unique_for_key(nonce);
        let plain = if matches!(self.form, Form::Tls13) {
            self.key.open_in_place(nonce, Aad::from(header), body)
        } else {
            let [content, major, minor, ..] = header;
            let mut data = [0; 13];
            data[..8].copy_from_slice(&number);
            data[8..11].copy_from_slice(&[content, major, minor]);
            data[11..].copy_from_slice(&len.to_be_bytes());
            self.key.open_in_place(nonce, Aad::from(data), body)
        };
        let len = plain.map_err(|_| Failed)?.len();
        self.opened += 1;
        Ok(start..start + len)
    }
}

impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cipher").field("opened", &self.opened).field("form", &self.form).finish_non_exhaustive()
    }
}

impl Drop for Cipher {
    fn drop(&mut self) {
        self.iv.zeroize();
    }
}

/// The next traffic secret, after a key update: RFC 8446 §7.2.
pub(super) fn next_secret(hash: Hash, secret: &[u8]) -> Option<Secret> {
    let mut next = Zeroizing::new(vec![0; hash.len()]);
    let prk = prk(hash, secret)?;
    prk.expand(&label(b"traffic upd", hash.len()).pieces(), Length(hash.len())).ok()?.fill(&mut next).ok()?;
    Some(next)
}

fn prk(hash: Hash, secret: &[u8]) -> Option<Prk> {
    (secret.len() == hash.len()).then(|| Prk::new_less_safe(hash.hkdf(), secret))
}

/// How many bytes to derive.
struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// `HkdfLabel`, with an empty context: RFC 8446 §7.1. Length 2, label length 1 and label, context length 1.
struct HkdfLabel<'a> {
    start: [u8; 3],
    label: &'a [u8],
}

fn label(label: &[u8], len: usize) -> HkdfLabel<'_> {
    // Labels and lengths are constants of this file, and small.
    let [high, low] = u16::try_from(len).unwrap_or_default().to_be_bytes();
    let length = u8::try_from(HkdfLabel::PREFIX.len() + label.len()).unwrap_or_default();
    HkdfLabel { start: [high, low, length], label }
}

impl HkdfLabel<'_> {
    const PREFIX: &'static [u8] = b"tls13 ";

    fn pieces(&self) -> [&[u8]; 4] {
        [&self.start, Self::PREFIX, self.label, &[0]]
    }
}

/// TLS 1.2's PRF: RFC 5246 §5.
fn expand_master(hash: Hash, master: &[u8], seed: &[&[u8]], out: &mut [u8]) {
    let key = hmac::Key::new(hash.hmac(), master);
    let sign = |pieces: &[&[u8]]| {
        let mut context = hmac::Context::with_key(&key);
        for piece in pieces {
            context.update(piece);
        }
        context.sign()
    };
    let mut a = sign(seed);
    for out in out.chunks_mut(hash.len()) {
        let block = sign(&[&[a.as_ref()], seed].concat());
        out.copy_from_slice(&block.as_ref()[..out.len()]);
        a = sign(&[a.as_ref()]);
    }
}

/// ring's AEADs fit what this file assumes.
const _: () = assert!(aead::MAX_TAG_LEN == TAG && EXPLICIT == 8);
