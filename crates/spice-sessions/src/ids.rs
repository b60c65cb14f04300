//! Ids: UUIDs that sort by time, and the Community ID of a connection.

use std::net::IpAddr;

use serde_derive::{Deserialize, Serialize};
use sha1::{Digest as _, Sha1};
use spice_events::{Endpoints, Timestamp};
use uuid::{Builder, Uuid};

use crate::moment::micros;

/// Makes UUIDs of version 7 from a seed, a count and times.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Ids {
    seed: [u8; 16],
    count: u64,
}

impl Ids {
    pub(crate) fn new(seed: [u8; 16]) -> Self {
        Self { seed, count: 0 }
    }

    /// The same ids, with a limited count.
    pub(crate) fn limited(self, max: u64) -> Self {
        Self { count: self.count.min(max), ..self }
    }

    /// The next id. `content` tells apart what two makers with one seed make at the same time.
    pub(crate) fn next(&mut self, at: Timestamp, content: &[u8]) -> Uuid {
        self.count += 1;
        let digest = Sha1::new().chain_update(self.seed).chain_update(self.count.to_le_bytes()).chain_update(content);
        let mut random = [0; 10];
        random.copy_from_slice(&digest.finalize()[..10]);
        let millis = u64::try_from(micros(at) / 1000).unwrap_or(0);
        Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
    }
}

/// `network.community_id` of a TCP connection: Community ID version 1 with seed 0, by which Zeek, Suricata and Elastic name the same connection. `None` for
/// other sockets.
///
/// <https://github.com/corelight/community-id-spec>
pub(crate) fn community_id(endpoints: &Endpoints) -> Option<String> {
    let end = |address: &spice_events::Address| {
        Some((address.host.parse::<IpAddr>().ok()?.to_canonical(), address.port.parse::<u16>().ok()?))
    };
    let (mut low, mut high) = (end(&endpoints.server)?, end(&endpoints.client)?);
    if low > high {
        (low, high) = (high, low);
    }
    let mut hash = Sha1::new().chain_update(0_u16.to_be_bytes());
    for (ip, _) in [low, high] {
        match ip {
            IpAddr::V4(ip) => hash.update(ip.octets()),
            IpAddr::V6(ip) => hash.update(ip.octets()),
        }
    }
    // The protocol number of TCP, and a byte of padding.
    hash.update([6, 0]);
    hash.update(low.1.to_be_bytes());
    hash.update(high.1.to_be_bytes());
    Some(format!("1:{}", base64(&hash.finalize())))
}

/// Base64 with padding (RFC 4648, section 4).
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = (0..3).fold(0_usize, |word, index| word << 8 | usize::from(*chunk.get(index).unwrap_or(&0)));
        for index in 0..4 {
            let digit = ALPHABET[word >> (18 - 6 * index) & 63];
            text.push(if index <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use spice_events::Address;
    use std::net::SocketAddr;

    /// The examples of the specification's baseline (`baseline/baseline_deflt.json`), for TCP.
    #[test]
    fn community_ids_are_those_of_the_specification() {
        let id = |server: &str, client: &str| {
            let end = |text: &str| Address::from(text.parse::<SocketAddr>().unwrap());
            community_id(&Endpoints { server: end(server), client: end(client) })
        };
        let expected = Some("1:LQU9qZlK+B5F3KDmev6m5PMibrg=".to_owned());
        assert_eq!(id("66.35.250.204:80", "128.232.110.120:34855"), expected);
        assert_eq!(id("128.232.110.120:34855", "66.35.250.204:80"), expected);
        assert_eq!(id("[::ffff:66.35.250.204]:80", "[::ffff:128.232.110.120]:34855"), expected);
        assert_eq!(community_id(&Endpoints { server: Address::unix("/run/a"), client: Address::unix("") }), None);
    }

    #[test]
    fn base64_pads() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn ids_sort_by_time_and_differ() {
        let mut ids = Ids::new([7; 16]);
        let at = |seconds| Timestamp { seconds, microseconds: 0 };
        let [first, second, third] = [at(1), at(1), at(2)].map(|at| ids.next(at, b"a"));
        assert!(first != second && first < third && second < third);
        assert_eq!(first.get_version_num(), 7);
        let mut same = Ids::new([7; 16]);
        assert_eq!(same.next(at(1), b"a"), first);
        assert_ne!(Ids::new([7; 16]).next(at(1), b"b"), first);
    }
}
