//! What is inside packets and can't be read.

use crate::link::LinkType;
use std::fmt;

/// Why packets that could carry SPICE were not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Unread {
    /// IPsec ESP: IP protocol 50, or UDP port 4500.
    Esp,
    /// IP payload compression: IP protocol 108.
    IpComp,
    /// WireGuard's data messages.
    WireGuard,
    /// OpenVPN, UDP port 1194.
    OpenVpn,
    /// MACsec with encryption: ethertype 0x88e5.
    Macsec,
    /// 802.11 data frames with the protected bit.
    Wifi,
    /// Fragments of 802.11 frames.
    WifiFragment,
    /// CAPWAP inside DTLS, or in fragments.
    Capwap,
    /// PPP with compression or encryption.
    Ppp,
    /// Pieces of PPP multilink frames.
    PppMultilink,
    /// A link type that is not one of those in [`LinkType`].
    Link(LinkType),
    /// An ethertype whose payload is not known.
    Ethertype(u16),
    /// An IP protocol that carries other packets and is not read.
    Protocol(u8),
    /// A payload of GRE that is not read.
    Gre(u16),
    /// An L2TPv3 session whose layout could not be determined.
    L2tp,
    /// A tunnel that is not known, in UDP with this port: a link message is in its packets.
    Udp(u16),
    /// A header that is not known: a link message is in its packets.
    Unknown,
    /// More headers than [`MAX_LAYERS`](super::MAX_LAYERS).
    Depth,
}

impl Unread {
    /// What the operator can do to make the packets readable.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Esp | Self::WireGuard | Self::OpenVpn => {
                "encrypted; capture inside the tunnel, on one of its two ends"
            }
            Self::Macsec => "encrypted; capture on the MACsec interface of an end",
            Self::Wifi => "encrypted; decrypt the capture first, or capture behind the access point",
            Self::Capwap => "encrypted or fragmented; capture behind the wireless controller",
            Self::IpComp | Self::Ppp => "compressed or encrypted; capture on the inner interface of an end",
            Self::WifiFragment | Self::PppMultilink => "fragmented below IP; capture on the inner interface of an end",
            Self::Link(_) => "capture on another interface, or convert the capture to Ethernet or raw IP",
            Self::Ethertype(_)
            | Self::Protocol(_)
            | Self::Gre(_)
            | Self::L2tp
            | Self::Udp(_)
            | Self::Unknown
            | Self::Depth => "capture inside the tunnel, on one of its two ends",
        }
    }
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Esp => f.write_str("ESP (IPsec)"),
            Self::IpComp => f.write_str("IPComp"),
            Self::WireGuard => f.write_str("WireGuard"),
            Self::OpenVpn => f.write_str("OpenVPN"),
            Self::Macsec => f.write_str("MACsec"),
            Self::Wifi => f.write_str("protected 802.11 frames"),
            Self::WifiFragment => f.write_str("fragments of 802.11 frames"),
            Self::Capwap => f.write_str("CAPWAP"),
            Self::Ppp => f.write_str("compressed or encrypted PPP"),
            Self::PppMultilink => f.write_str("fragments of PPP multilink"),
            Self::Link(link) => write!(f, "link type {link:?}"),
            Self::Ethertype(kind) => write!(f, "ethertype {kind:#06x}"),
            Self::Protocol(number) => write!(f, "IP protocol {number}"),
            Self::Gre(kind) => write!(f, "GRE with protocol type {kind:#06x}"),
            Self::L2tp => f.write_str("an L2TPv3 session of unknown layout"),
            Self::Udp(port) => write!(f, "an unknown tunnel with a SPICE link message, UDP port {port},"),
            Self::Unknown => f.write_str("an unknown header with a SPICE link message"),
            Self::Depth => write!(f, "more than {} headers", super::MAX_LAYERS),
        }
    }
}
