//! Versions and cipher suites: open code points of the TLS registry.

use ring::{aead, hkdf, hmac};
use std::fmt;

/// A protocol version as the wire has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Version(pub u16);

impl Version {
    /// TLS 1.2
    pub const TLS_1_2: Self = Self(0x0303);
    /// TLS 1.3
    pub const TLS_1_3: Self = Self(0x0304);
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0x0300 => f.write_str("SSL 3.0"),
            0x0301..=0x0304 => write!(f, "TLS 1.{}", self.0 - 0x0301),
            other => write!(f, "version {other:#06x}"),
        }
    }
}

/// A cipher suite's number in the IANA registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CipherSuite(pub u16);

macro_rules! suites {
    (readable: $($code:literal $name:ident $aead:ident $hash:ident)* unreadable: $($other:literal $other_name:ident)*) => {
        impl CipherSuite {
            /// The registry's name, where it is a suite that real SPICE servers offer.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($code => Some(stringify!($name)),)*
                    $($other => Some(stringify!($other_name)),)*
                    _ => None,
                }
            }

            pub(super) fn algorithms(self) -> Option<Algorithms> {
                match self.0 {
                    $($code => Some(Algorithms { aead: Aead::$aead, hash: Hash::$hash }),)*
                    _ => None,
                }
            }
        }
    };
}

suites! {
    readable:
    0x1301 TLS_AES_128_GCM_SHA256 Aes128 Sha256
    0x1302 TLS_AES_256_GCM_SHA384 Aes256 Sha384
    0x1303 TLS_CHACHA20_POLY1305_SHA256 ChaCha20 Sha256
    0x009c TLS_RSA_WITH_AES_128_GCM_SHA256 Aes128 Sha256
    0x009d TLS_RSA_WITH_AES_256_GCM_SHA384 Aes256 Sha384
    0x009e TLS_DHE_RSA_WITH_AES_128_GCM_SHA256 Aes128 Sha256
    0x009f TLS_DHE_RSA_WITH_AES_256_GCM_SHA384 Aes256 Sha384
    0x00a6 TLS_DH_anon_WITH_AES_128_GCM_SHA256 Aes128 Sha256
    0x00a7 TLS_DH_anon_WITH_AES_256_GCM_SHA384 Aes256 Sha384
    0x00a8 TLS_PSK_WITH_AES_128_GCM_SHA256 Aes128 Sha256
    0x00a9 TLS_PSK_WITH_AES_256_GCM_SHA384 Aes256 Sha384
    0x00aa TLS_DHE_PSK_WITH_AES_128_GCM_SHA256 Aes128 Sha256
    0x00ab TLS_DHE_PSK_WITH_AES_256_GCM_SHA384 Aes256 Sha384
    0xc02b TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 Aes128 Sha256
    0xc02c TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 Aes256 Sha384
    0xc02f TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 Aes128 Sha256
    0xc030 TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 Aes256 Sha384
    0xcca8 TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 ChaCha20 Sha256
    0xcca9 TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 ChaCha20 Sha256
    0xccaa TLS_DHE_RSA_WITH_CHACHA20_POLY1305_SHA256 ChaCha20 Sha256
    unreadable:
    0x000a TLS_RSA_WITH_3DES_EDE_CBC_SHA
    0x002f TLS_RSA_WITH_AES_128_CBC_SHA
    0x0033 TLS_DHE_RSA_WITH_AES_128_CBC_SHA
    0x0035 TLS_RSA_WITH_AES_256_CBC_SHA
    0x0039 TLS_DHE_RSA_WITH_AES_256_CBC_SHA
    0x003c TLS_RSA_WITH_AES_128_CBC_SHA256
    0x003d TLS_RSA_WITH_AES_256_CBC_SHA256
    0x0067 TLS_DHE_RSA_WITH_AES_128_CBC_SHA256
    0x006b TLS_DHE_RSA_WITH_AES_256_CBC_SHA256
    0x1304 TLS_AES_128_CCM_SHA256
    0x1305 TLS_AES_128_CCM_8_SHA256
    0xc009 TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA
    0xc00a TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA
    0xc013 TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA
    0xc014 TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA
    0xc023 TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256
    0xc024 TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384
    0xc027 TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256
    0xc028 TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384
    0xc09c TLS_RSA_WITH_AES_128_CCM
    0xc09d TLS_RSA_WITH_AES_256_CCM
    0xc09e TLS_DHE_RSA_WITH_AES_128_CCM
    0xc09f TLS_DHE_RSA_WITH_AES_256_CCM
    0xc0ac TLS_ECDHE_ECDSA_WITH_AES_128_CCM
    0xc0ad TLS_ECDHE_ECDSA_WITH_AES_256_CCM
}

impl CipherSuite {
    /// Whether records of this suite can be decrypted.
    pub fn is_readable(self) -> bool {
        self.algorithms().is_some()
    }
}

impl fmt::Display for CipherSuite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "{:#06x}", self.0),
        }
    }
}

/// What a suite is made of, as far as records need it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Algorithms {
    pub(super) aead: Aead,
    pub(super) hash: Hash,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aead {
    Aes128,
    Aes256,
    ChaCha20,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hash {
    Sha256,
    Sha384,
}

impl Aead {
    pub(super) fn ring(self) -> &'static aead::Algorithm {
        match self {
            Self::Aes128 => &aead::AES_128_GCM,
            Self::Aes256 => &aead::AES_256_GCM,
            Self::ChaCha20 => &aead::CHACHA20_POLY1305,
        }
    }
}

impl Hash {
    /// The length of its output, in bytes.
    pub(super) const fn len(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
        }
    }

    pub(super) fn hkdf(self) -> hkdf::Algorithm {
        match self {
            Self::Sha256 => hkdf::HKDF_SHA256,
            Self::Sha384 => hkdf::HKDF_SHA384,
        }
    }

    pub(super) fn hmac(self) -> hmac::Algorithm {
        match self {
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha384 => hmac::HMAC_SHA384,
        }
    }
}
