use std::{net::IpAddr, str::FromStr};

use super::address::decimal;
use crate::Error;

/// A set of source addresses: `ADDRESS`, `ADDRESS/BITS`, or `unix` for every client of a unix socket.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Network {
    /// Addresses whose first bits are those of this address.
    Ip(IpAddr, u8),
    /// Every client of a unix socket.
    Unix,
}

impl Network {
    /// Whether every source of an address family belongs to the network.
    pub fn is_all(&self) -> bool {
        matches!(self, Self::Ip(_, 0))
    }

    /// Whether a source belongs to the network. `None` is a client of a unix socket. An IPv4 client of a dual-stack socket, shown
    /// as `::ffff:a.b.c.d`, counts as its IPv4 address.
    pub fn contains(&self, source: Option<IpAddr>) -> bool {
        match (self, source.map(|ip| ip.to_canonical())) {
            (Self::Unix, None) => true,
            (Self::Ip(IpAddr::V4(network), bits), Some(IpAddr::V4(ip))) => {
                let shift = 32_u32.saturating_sub(u32::from(*bits));
                network.to_bits().checked_shr(shift) == ip.to_bits().checked_shr(shift)
            }
            (Self::Ip(IpAddr::V6(network), bits), Some(IpAddr::V6(ip))) => {
                let shift = 128_u32.saturating_sub(u32::from(*bits));
                network.to_bits().checked_shr(shift) == ip.to_bits().checked_shr(shift)
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text == "unix" {
            return Ok(Self::Unix);
        }
        let wrong = || Error::parse("an address, ADDRESS/BITS or `unix`", text);
        let (ip, bits) = text.split_once('/').map_or((text, None), |(ip, bits)| (ip, Some(bits)));
        let ip: IpAddr = ip.parse().map_err(|_| wrong())?;
        let most = if ip.is_ipv4() { 32 } else { 128 };
        let bits: u8 = bits.map_or(Ok(most), |bits| decimal(bits).ok_or_else(wrong))?;
        if bits > most {
            return Err(wrong());
        }
        // Events show an IPv4 client of a dual-stack socket as ::ffff:a.b.c.d. The first 96 bits of that form are fixed.
        match ip.to_canonical() {
            v4 @ IpAddr::V4(_) if ip.is_ipv6() && bits >= 96 => Ok(Self::Ip(v4, bits - 96)),
            _ => Ok(Self::Ip(ip, bits)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_contain_their_addresses() {
        let has = |network: &str, ip: &str| network.parse::<Network>().unwrap().contains(ip.parse().ok());
        assert!(has("10.0.0.0/8", "10.255.0.1") && !has("10.0.0.0/8", "11.0.0.1"));
        assert!(has("0.0.0.0/0", "11.0.0.1") && has("11.0.0.1", "::ffff:11.0.0.1") && !has("0.0.0.0/0", "::1"));
        assert!(has("2001:db8::/32", "2001:db8:1::") && has("unix", "") && !has("::/0", ""));
        assert!(has("::ffff:11.0.0.1", "11.0.0.1") && has("::ffff:11.0.0.1", "::ffff:11.0.0.1"));
        assert!(has("::ffff:10.0.0.0/104", "10.1.2.3") && !has("::ffff:10.0.0.0/104", "11.0.0.1"));
        let all = |network: &str| network.parse::<Network>().unwrap().is_all();
        assert!(all("0.0.0.0/0") && all("::/0") && all("::ffff:0.0.0.0/96") && !all("0.0.0.0/1") && !all("unix"));
        for text in ["", "10.0.0.0/33", "10.0.0.0/+8", "10.0.0.0/", "::/129", "host", "10.0.0.0/x"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }
}
