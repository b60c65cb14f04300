//! Link types, and the quick way to the IP header behind the most frequent ones.

use std::fmt;

/// How a packet's first header is to be read: a `LINKTYPE_` number of the libpcap project.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkType(pub u32);

macro_rules! link_types {
    ($($(#[$doc:meta])* $name:ident = $number:literal;)*) => {
        impl LinkType {
            $($(#[$doc])* pub const $name: Self = Self($number);)*

            /// The name without `LINKTYPE_`, where it is one of those above.
            pub fn name(self) -> Option<&'static str> {
                match self {
                    $(Self::$name => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }
    };
}

link_types! {
    /// BSD loopback: an address family in the byte order of the capturing machine, 4 bytes.
    NULL = 0;
    /// Ethernet, 14 bytes, VLAN tags 4 each.
    ETHERNET = 1;
    /// PPP, with or without address and control.
    PPP = 9;
    /// Token ring.
    IEEE802_5 = 6;
    /// FDDI.
    FDDI = 10;
    /// ATM with LLC (RFC 1483).
    ATM_RFC1483 = 100;
    /// Raw IP as some BSDs number it (`DLT_RAW`).
    RAW_BSD = 12;
    /// Raw IP as OpenBSD numbers it.
    RAW_OPENBSD = 14;
    /// Raw IP, either version.
    RAW = 101;
    /// PPP on a serial line, or Cisco HDLC.
    PPP_HDLC = 50;
    /// PPP over Ethernet, without the Ethernet header.
    PPP_ETHER = 51;
    /// Cisco HDLC.
    C_HDLC = 104;
    /// 802.11 without a header before it.
    IEEE802_11 = 105;
    /// Frame Relay.
    FRELAY = 107;
    /// OpenBSD's `enc(4)`: decrypted IPsec.
    ENC = 109;
    /// OpenBSD's packet filter log, also of FreeBSD and pfSense.
    PFLOG = 117;
    /// 802.11 behind a Prism header.
    IEEE802_11_PRISM = 119;
    /// IP over Fibre Channel (RFC 2625).
    IP_OVER_FC = 122;
    /// Solaris's SunATM.
    SUNATM = 123;
    /// 802.11 behind a radiotap header.
    IEEE802_11_RADIOTAP = 127;
    /// DOCSIS cable modems.
    DOCSIS = 143;
    /// 802.11 behind an AVS header.
    IEEE802_11_AVS = 163;
    /// PPP with a direction in place of the address.
    PPP_PPPD = 166;
    /// Ethernet as Juniper's routers capture it.
    JUNIPER_ETHER = 178;
    /// Per-packet information.
    PPI = 192;
    /// Endace's extensible record format.
    ERF = 197;
    /// PPP behind a byte for the direction.
    PPP_WITH_DIR = 204;
    /// Solaris's IPNET.
    IPNET = 226;
    /// Linux's netfilter log.
    NFLOG = 239;
    /// Ethernet behind 4 bytes of a netANALYZER.
    NETANALYZER = 240;
    /// Apple's header with the link type of each packet.
    PKTAP = 258;
    /// OpenBSD loopback: an address family in network byte order, 4 bytes.
    LOOP = 108;
    /// Linux cooked capture (`tcpdump -i any` of old), 16 bytes.
    LINUX_SLL = 113;
    /// Raw IPv4.
    IPV4 = 228;
    /// Raw IPv6.
    IPV6 = 229;
    /// Linux cooked capture, version 2, 20 bytes.
    LINUX_SLL2 = 276;
    /// Ethernet with the tag of a Broadcom switch behind its addresses.
    DSA_TAG_BRCM = 281;
    /// Ethernet with the tag of a Broadcom switch before it.
    DSA_TAG_BRCM_PREPEND = 282;
    /// Ethernet with the tag of a Marvell switch behind its addresses.
    DSA_TAG_DSA = 284;
    /// The same, with an ethertype.
    DSA_TAG_EDSA = 285;
}

impl fmt::Debug for LinkType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name} ({})", self.0),
            None => write!(f, "{}", self.0),
        }
    }
}

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
/// 802.1Q, 802.1ad, and the number that stacked tags had before it.
const ETHERTYPE_VLAN: [u16; 3] = [0x8100, 0x88a8, 0x9100];
const ETHERTYPE_PPPOE: u16 = 0x8864;

const AF_INET: u32 = 2;
/// `AF_INET6` is 10 on Linux, 24 on NetBSD and OpenBSD, 28 on FreeBSD, 30 on macOS.
const AF_INET6: [u32; 4] = [10, 24, 28, 30];

impl LinkType {
    /// The IP packet behind the link header; `None` for anything else and for what is too short to tell.
    ///
    /// Packets of other link types than Ethernet, Linux cooked, loopback and raw IP have none here:
    /// [`Decapsulator`](crate::decapsulate::Decapsulator) reads those.
    #[inline]
    pub fn ip(self, frame: &[u8]) -> Option<&[u8]> {
        match self {
            Self::ETHERNET => {
                let (header, rest) = frame.split_first_chunk::<14>()?;
                // Mostly there is no tag.
                match u16::from_be_bytes([header[12], header[13]]) {
                    ETHERTYPE_IPV4 => Some(rest),
                    other => ethertype(other, rest),
                }
            }
            Self::LINUX_SLL => ethertype(be16(frame, 14)?, frame.get(16..)?),
            Self::LINUX_SLL2 => ethertype(be16(frame, 0)?, frame.get(20..)?),
            Self::NULL => {
                let family = *frame.first_chunk::<4>()?;
                [u32::from_le_bytes(family), u32::from_be_bytes(family)].into_iter().any(is_ip).then_some(&frame[4..])
            }
            Self::LOOP => is_ip(u32::from_be_bytes(*frame.first_chunk::<4>()?)).then_some(&frame[4..]),
            Self::RAW | Self::RAW_BSD | Self::RAW_OPENBSD | Self::IPV4 | Self::IPV6 => Some(frame),
            _ => None,
        }
    }
}

fn is_ip(family: u32) -> bool {
    family == AF_INET || AF_INET6.contains(&family)
}

/// Looks through VLAN tags and `PPPoE`.
fn ethertype(mut kind: u16, mut rest: &[u8]) -> Option<&[u8]> {
    loop {
        match kind {
            ETHERTYPE_IPV4 | ETHERTYPE_IPV6 => return Some(rest),
            // version and type, code (0: session data), session, length; then PPP's protocol
            ETHERTYPE_PPPOE => {
                let is_ip = rest.get(1) == Some(&0) && matches!(be16(rest, 6)?, 0x0021 | 0x0057);
                return is_ip.then(|| rest.get(8..))?;
            }
            tag if ETHERTYPE_VLAN.contains(&tag) => {
                kind = be16(rest, 2)?;
                rest = rest.get(4..)?;
            }
            _ => return None,
        }
    }
}

fn be16(data: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*data.get(at..)?.first_chunk()?))
}
