//! TLS with a key log: encrypted bytes of both directions in, what they carry out.
//!
//! The secrets of a connection come from one of its ends, as lines of an NSS key log ([`KeyLog`]). With them this module follows the
//! handshake of TLS 1.2 and TLS 1.3 as far as the keys need it, and decrypts the records. It does not authenticate the peers, and it
//! does not check the handshake itself: the two ends did that.
//!
//! ```text
//!  one direction's bytes ──► records ──► handshake: versions, randoms, cipher suite ──► keys ──► plaintext
//!                                                        KeyLog ─────────────────────────┘
//! ```
//!
//! | | what is read |
//! | --- | --- |
//! | versions | TLS 1.2 (RFC 5246) and TLS 1.3 (RFC 8446) |
//! | cipher suites | those with AES-GCM or ChaCha20-Poly1305: [`CipherSuite::is_readable`] |
//! | handshakes | full, resumed, with `HelloRetryRequest`; TLS 1.3 key updates |
//! | not read | 0-RTT data, CBC and CCM suites, compression, renegotiation, Encrypted Client Hello |
//!
//! [`Decryptor`] is sans-IO: push the bytes of either direction, then call [`next`](Decryptor::next) until it returns
//! [`Next::Need`]. What it holds is bounded by [`MAX_HELD`] for each direction.
//!
//! Secrets are wiped when their owner is dropped, and no `Debug` output shows them. The keys that `ring` derives from them are not
//! wiped, because `ring` offers no way to do so.

mod cipher;
mod decryptor;
mod handshake;
mod key_log;
mod record;
mod suite;
mod unreadable;

pub use decryptor::{Decryptor, Need, Next, Plaintext};
pub use handshake::MAX_HELLO;
pub use key_log::{KeyLog, Label, MAX_CONNECTIONS, MAX_LINE, MAX_SECRET, Random};
pub use record::{MAX_HELD, MAX_RECORD};
pub use suite::{CipherSuite, Version};
pub use unreadable::Unreadable;
