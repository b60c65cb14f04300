//! Packets inside other packets: every tunnel and tag that a capture can have around IP.
//!
//! Header layouts are those of the RFCs and of IEEE 802; `tests/encapsulations.rs` shows each file to tshark.

use super::{Packet, Packets};

/// One way to carry IP packets.
#[derive(Clone, Copy, Debug)]
pub struct Encapsulation {
    /// A name for it.
    pub name: &'static str,
    /// The link type of the file.
    pub link: u32,
    wrap: fn(&Carried<'_>) -> Vec<u8>,
}

/// An IP packet that is carried.
#[derive(Clone, Copy, Debug)]
struct Carried<'a> {
    ip: &'a [u8],
    /// Its length on the wire. Each function below adds a header to it.
    wire: usize,
    /// Its number in the file.
    number: usize,
}

const ETHERNET: u32 = 1;
const MAC: [u8; 12] = [0x02, 0, 0, 0, 0, 2, 0x02, 0, 0, 0, 0, 1];
const VXLAN: [u8; 8] = [0x08, 0, 0, 0, 0, 0, 42, 0];
/// access point to station, quality of service
const WIFI: [u8; 26] = [0x88, 2, 0, 0, 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 3, 0, 0, 0, 0];
const SNAP: [u8; 6] = [0xaa, 0xaa, 3, 0, 0, 0];

/// All of them.
pub const ENCAPSULATIONS: &[Encapsulation] = &[
    of("plain", |c| [c.ethernet()].concat()),
    of("qinq", |c| c.tagged(&[0x88a8, 42, 0x8100, 43], &[])),
    of("qinq-9100-9200", |c| c.tagged(&[0x9100, 42, 0x9200, 43, 0x8100, 44], &[])),
    of("vn-tag", |c| c.tagged(&[0x8926, 0x0001, 0x0002], &[])),
    of("e-tag", |c| c.tagged(&[0x893f, 0x0001, 0x0002, 0x0003], &[])),
    of("cisco-metadata", |c| c.tagged(&[0x8909, 0x0101, 0x0001, 42], &[])),
    of("e-tag-vlan-cisco-metadata", |c| c.tagged(&[0x893f, 1, 2, 3, 0x8100, 42, 0x8909, 0x0101, 0x0001, 42], &[])),
    of("backbone-802.1ah", |c| [&MAC[..], &[0x88, 0xe7, 0, 0, 0, 42], &c.ethernet()].concat()),
    of("802.3-llc-snap", |c| {
        // A larger packet was left to the network card to cut.
        let length = u16::try_from(c.wire + 8).unwrap_or(0).min(1500).to_be_bytes();
        [&MAC[..], &length, &SNAP, &c.ethertype(), c.ip].concat()
    }),
    of("hsr", |c| c.tagged(&[0x892f, 0x0020, 0x0001], &[])),
    of("marvell-switch-tag", |c| c.tagged(&[0xdada, 0, 0xc004, 0], &[])),
    of("fabricpath", |c| frame(0x8903, &[&[0, 0x5f], &c.ethernet()[..]].concat())),
    of("batman-unicast", |c| frame(0x4305, &[&[0x40, 15, 50, 0], &MAC[..6], &c.ethernet()[..]].concat())),
    of("batman-unicast-with-source", |c| {
        frame(0x4305, &[&[0x42, 15, 50, 0], &MAC[..], &[1, 0], &c.ethernet()].concat())
    }),
    of("pppoe-in-qinq", |c| {
        let pppoe = [&[0x88, 0x64, 0x11, 0, 0, 42], &c.length(2)[..], &c.ppp(), c.ip].concat();
        [&MAC[..], &[0x88, 0xa8, 0, 42, 0x81, 0, 0, 43], &pppoe].concat()
    }),
    of("pppoe", |c| frame(0x8864, &[&[0x11, 0, 0, 42], &c.length(2)[..], &c.ppp(), c.ip].concat())),
    of("macsec-integrity", |c| {
        frame(0x88e5, &[&[0x20, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 1, 0, 1], &c.ethertype()[..], c.ip, &[0; 16]].concat())
    }),
    of("mpls", |c| frame(0x8847, &[&label(1000, true), c.ip].concat())),
    of("mpls-stack", |c| frame(0x8847, &[&label(1000, false), &label(7, false), &label(42, true), c.ip].concat())),
    of("mpls-pseudowire-control-word", |c| {
        frame(0x8847, &[&label(1000, false), &label(42, true), &[0; 4], &c.ethernet()[..]].concat())
    }),
    of("mpls-pseudowire", |c| frame(0x8847, &[&label(1000, false), &label(42, true), &c.ethernet()[..]].concat())),
    of("mpls-pseudowire-address-4x-or-6x", |c| {
        let mut inner = c.ethernet();
        inner[0] = if c.number.is_multiple_of(2) { 0x44 } else { 0x64 };
        frame(0x8847, &[&label(42, true), &inner[..]].concat())
    }),
    of("nsh", |c| frame(0x894f, &[&[0x0f, 0xc2, 2, c.version_number(), 0, 0, 1, 0xff], c.ip].concat())),
    of("nsh-ethernet", |c| frame(0x894f, &[&[0x0f, 0xc6, 1, 3, 0, 0, 1, 0xff][..], &[0; 16], &c.ethernet()].concat())),
    of("4in4-or-6in4", |c| c.in_ipv4(c.ip_protocol(), &[], c.ip)),
    of("4in6-or-6in6", |c| c.in_ipv6(c.ip_protocol(), &[], c.ip)),
    of("ah", |c| {
        c.in_ipv4(51, &[c.ip_protocol(), 4, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], c.ip)
    }),
    of("etherip", |c| c.in_ipv4(97, &[0x30, 0], &c.ethernet())),
    of("mpls-in-ip", |c| c.in_ipv4(137, &label(42, true), c.ip)),
    of("gre", |c| c.in_ipv4(47, &[&[0, 0], &c.ethertype()[..]].concat(), c.ip)),
    of("gre-key-sequence-checksum", |c| {
        c.in_ipv4(47, &[&[0xb0, 0], &c.ethertype()[..], &[0, 0, 0, 0, 0, 0, 0, 42, 0, 0, 0, 1]].concat(), c.ip)
    }),
    of("gre-in-ipv6", |c| c.in_ipv6(47, &[&[0, 0], &c.ethertype()[..]].concat(), c.ip)),
    of("gre-transparent-ethernet", |c| c.in_ipv4(47, &[0x20, 0, 0x65, 0x58, 0, 0, 42, 0], &c.ethernet())),
    of("gre-mpls", |c| c.in_ipv4(47, &[&[0, 0, 0x88, 0x47], &label(42, true)[..]].concat(), c.ip)),
    of("gre-nsh", |c| c.in_ipv4(47, &[0, 0, 0x89, 0x4f, 0x0f, 0xc2, 2, c.version_number(), 0, 0, 1, 0xff], c.ip)),
    of("pptp", |c| {
        let length = c.length(4);
        c.in_ipv4(
            47,
            &[&[0x30, 0x81, 0x88, 0x0b], &length[..], &[0, 42, 0, 0, 0, 1, 0, 0, 0, 2, 0xff, 3], &c.ppp()].concat(),
            c.ip,
        )
    }),
    of("erspan-i", |c| c.in_ipv4(47, &[0, 0, 0x88, 0xbe], &c.ethernet())),
    of("erspan-ii", |c| c.in_ipv4(47, &[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 42, 0, 1, 0, 0, 0, 7], &c.ethernet())),
    of("erspan-iii", |c| {
        c.in_ipv4(47, &[0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 42, 0, 1, 0, 0, 0, 7, 0, 0, 0, 0], &c.ethernet())
    }),
    of("erspan-iii-subheader", |c| {
        let header = [0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 42, 0, 1, 0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        c.in_ipv4(47, &header, &c.ethernet())
    }),
    of("erspan-ii-without-sequence", |c| c.in_ipv4(47, &[0, 0, 0x88, 0xbe, 0x10, 42, 0, 1, 0, 0, 0, 7], &c.ethernet())),
    of("fou-ip", |c| c.in_udp(5555, &[], c.ip)),
    of("fou-gre", |c| c.in_udp(5555, &[&[0, 0], &c.ethertype()[..]].concat(), c.ip)),
    of("fou-gre-key-ethernet", |c| c.in_udp(7777, &[0x20, 0, 0x65, 0x58, 0, 0, 42, 0], &c.ethernet())),
    of("gue", |c| c.in_udp(6080, &[0, c.ip_protocol(), 0, 0], c.ip)),
    of("gue-fields", |c| c.in_udp(6080, &[2, c.ip_protocol(), 0, 1, 0, 0, 0, 0, 0, 0, 0, 0], c.ip)),
    of("gue-gre", |c| c.in_udp(6080, &[&[0, 47, 0, 0, 0, 0], &c.ethertype()[..]].concat(), c.ip)),
    of("gue-version-1", |c| c.in_udp(6080, &[], c.ip)),
    of("vxlan-reserved-bits", |c| c.in_udp(4789, &[0x08, 0, 0, 1, 0, 0, 42, 1], &c.ethernet())),
    of("geneve-16081", |c| c.in_udp(16081, &[0, 0, 0x65, 0x58, 0, 0, 42, 0], &c.ethernet())),
    of("vxlan", |c| c.in_udp(4789, &VXLAN, &c.ethernet())),
    of("vxlan-8472", |c| c.in_udp(8472, &VXLAN, &c.ethernet())),
    of("vxlan-in-ipv6-vlan", |c| {
        let inner = [&MAC[..], &[0x81, 0, 0, 42], &c.ethertype(), c.ip].concat();
        c.in_ipv6(17, &udp(4789, &VXLAN, inner.len() - c.ip.len() + c.wire), &inner)
    }),
    of("vxlan-gpe", |c| c.in_udp(4790, &[0x0c, 0, 0, c.version_number(), 0, 0, 42, 0], c.ip)),
    of("geneve", |c| c.in_udp(6081, &[0, 0, 0x65, 0x58, 0, 0, 42, 0], &c.ethernet())),
    of("geneve-options-ip", |c| {
        let header = [&[0x02, 0], &c.ethertype()[..], &[0, 0, 42, 0, 1, 2, 0x80, 1, 0, 0, 0, 1]].concat();
        c.in_udp(6081, &header, c.ip)
    }),
    of("geneve-vxlan-gre", |c| {
        let gre = c.in_ipv4(47, &[&[0, 0], &c.ethertype()[..]].concat(), c.ip);
        let inner = Carried { ip: &gre[14..], wire: gre.len() - 14 - c.ip.len() + c.wire, ..*c };
        let vxlan = inner.in_udp(4789, &VXLAN, &inner.ethernet());
        let inner = Carried { ip: &vxlan[14..], wire: vxlan.len() - 14 - c.ip.len() + c.wire, ..*c };
        inner.in_udp(6081, &[0, 0, 0x65, 0x58, 0, 0, 42, 0], &inner.ethernet())
    }),
    of("gtp-u", |c| c.in_udp(2152, &[&[0x30, 255], &c.length(0)[..], &[0, 0, 0, 42]].concat(), c.ip)),
    of("gtp-u-extension", |c| {
        let header = [&[0x34, 255], &c.length(8)[..], &[0, 0, 0, 42, 0, 0, 0, 0x85, 1, 0, 0, 0]].concat();
        c.in_udp(2152, &header, c.ip)
    }),
    of("l2tp-v2", |c| {
        c.in_udp(1701, &[&[0x40, 2], &c.length(12)[..], &[0, 1, 0, 2, 0xff, 3], &c.ppp()].concat(), c.ip)
    }),
    of("l2tp-v3-ip", |c| c.in_ipv4(115, &[0, 0, 0, 42], &c.ethernet())),
    of("l2tp-v3-udp-cookie-sublayer", |c| {
        c.in_udp(1701, &[0, 3, 0, 0, 0, 0, 0, 42, 1, 2, 3, 4, 5, 6, 7, 8, 0x40, 0, 0, 1], &c.ethernet())
    }),
    of("tzsp", |c| c.in_udp(37008, &[1, 0, 0, 1, 0x29, 2, 1, 0, 1], &c.ethernet())),
    Encapsulation { name: "raw", link: 101, wrap: |c| c.ip.to_vec() },
    Encapsulation {
        name: "null",
        link: 0,
        wrap: |c| [&u32::from(if c.is_v6() { 24u8 } else { 2 }).to_le_bytes(), c.ip].concat(),
    },
    Encapsulation {
        name: "loop",
        link: 108,
        wrap: |c| [&u32::from(if c.is_v6() { 24u8 } else { 2 }).to_be_bytes(), c.ip].concat(),
    },
    Encapsulation {
        name: "cooked-vlan",
        link: 113,
        wrap: |c| [&[0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 0x81, 0, 0, 42], &c.ethertype()[..], c.ip].concat(),
    },
    Encapsulation {
        name: "cooked-2-mpls",
        link: 276,
        wrap: |c| {
            [&[0x88, 0x47, 0, 0, 0, 0, 0, 2, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0], &label(42, true)[..], c.ip].concat()
        },
    },
    Encapsulation { name: "ppp", link: 9, wrap: |c| [&[0xff, 3], &c.ppp()[..], c.ip].concat() },
    Encapsulation { name: "ppp-hdlc-short", link: 50, wrap: |c| [&[0xff, 3, c.ppp()[1]], c.ip].concat() },
    Encapsulation { name: "cisco-hdlc", link: 104, wrap: |c| [&[0x0f, 0], &c.ethertype()[..], c.ip].concat() },
    Encapsulation { name: "nflog", link: 239, wrap: |c| c.nflog(false) },
    Encapsulation { name: "pktap", link: 258, wrap: |c| c.pktap() },
    Encapsulation { name: "wifi", link: 105, wrap: |c| [&WIFI[..], &SNAP, &c.ethertype(), c.ip].concat() },
    Encapsulation {
        name: "radiotap",
        link: 127,
        wrap: |c| [&[0, 0, 9, 0, 2, 0, 0, 0, 0], &WIFI[..], &SNAP, &c.ethertype(), c.ip].concat(),
    },
    Encapsulation {
        name: "radiotap-between-access-points",
        link: 127,
        wrap: |c| {
            let mut wifi = WIFI;
            wifi[1] = 3;
            let (start, qos) = wifi.split_at(24);
            let radiotap = [0, 0, 24, 0, 1 | 2 | 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x6c, 9, 0xc0, 0, 0, 0];
            [&radiotap[..], start, &[2, 0, 0, 0, 0, 4], qos, &SNAP, &c.ethertype(), c.ip].concat()
        },
    },
    Encapsulation {
        name: "radiotap-aggregate",
        link: 127,
        wrap: |c| {
            let mut wifi = WIFI;
            wifi[24] = 0x80;
            let length = u16::try_from(c.wire + 8).unwrap_or(0).to_be_bytes();
            [&[0, 0, 8, 0, 0, 0, 0, 0], &wifi[..], &MAC, &length, &SNAP, &c.ethertype(), c.ip].concat()
        },
    },
    Encapsulation {
        name: "radiotap-aggregate-of-two",
        link: 127,
        wrap: |c| {
            let mut wifi = WIFI;
            wifi[24] = 0x80;
            let length = u16::try_from(c.wire + 8).unwrap_or(0).to_be_bytes();
            // ARP, padded to 4 bytes
            let arp = [&MAC[..], &[0, 36], &SNAP, &[8, 6], &[0; 28], &[0, 0]].concat();
            [&[0, 0, 8, 0, 0, 0, 0, 0], &wifi[..], &arp, &MAC, &length, &SNAP, &c.ethertype(), c.ip].concat()
        },
    },
    Encapsulation {
        name: "radiotap-mesh",
        link: 127,
        wrap: |c| {
            let mut wifi = WIFI;
            wifi[1] = 3;
            let (start, _) = wifi.split_at(24);
            let mesh = [2, 0, 0, 0, 0, 4, 0, 1, 0, 31, 1, 0, 0, 0];
            [&[0, 0, 8, 0, 0, 0, 0, 0], start, &mesh, &SNAP, &c.ethertype(), c.ip].concat()
        },
    },
    Encapsulation {
        name: "radiotap-ethernet",
        link: 127,
        wrap: |c| [&[0, 0, 8, 0, 0, 0, 0, 0], &WIFI[..], &WIFI[4..16], &c.ethertype(), c.ip].concat(),
    },
    Encapsulation {
        name: "token-ring",
        link: 6,
        wrap: |c| {
            let mut source = MAC;
            source[6] |= 0x80;
            [&[0x10, 0x40], &source[..], &[4, 0, 0, 1], &SNAP, &c.ethertype(), c.ip].concat()
        },
    },
    Encapsulation {
        name: "frame-relay",
        link: 107,
        wrap: |c| [&[0x18, 0x41, 3, if c.is_v6() { 0x8e } else { 0xcc }], c.ip].concat(),
    },
    Encapsulation {
        name: "frame-relay-snap",
        link: 107,
        wrap: |c| [&[0x18, 0x41, 3, 0, 0x80, 0, 0, 0], &c.ethertype()[..], c.ip].concat(),
    },
    Encapsulation {
        name: "fibre-channel",
        link: 122,
        wrap: |c| [&[0, 0], &MAC[..6], &[0, 0], &MAC[6..], &SNAP, &c.ethertype(), c.ip].concat(),
    },
    Encapsulation {
        name: "erf",
        link: 197,
        wrap: |c| {
            let ethernet = c.ethernet();
            let wire = u16::try_from(c.wire + 14).unwrap_or(0).to_be_bytes();
            let length = u16::try_from(ethernet.len() + 26).unwrap_or(0).to_be_bytes();
            [&[0; 8], &[0x82, 0][..], &length, &[0, 0], &wire, &[0; 8], &[0, 0], &ethernet].concat()
        },
    },
    Encapsulation {
        name: "docsis",
        link: 143,
        wrap: |c| [&[0, 0], &c.length(14)[..], &[0, 0], &c.ethernet()].concat(),
    },
    Encapsulation { name: "juniper", link: 178, wrap: |c| [b"MGC\x80\0\x02\0\0", &c.ethernet()[..]].concat() },
    Encapsulation {
        name: "broadcom-switch-tag",
        link: 281,
        wrap: |c| [&MAC[..], &[0; 4], &c.ethertype(), c.ip].concat(),
    },
    Encapsulation {
        name: "ppi",
        link: 192,
        wrap: |c| [&[0, 0, 8, 0, 105, 0, 0, 0], &WIFI[..], &SNAP, &c.ethertype(), c.ip].concat(),
    },
];

/// Those that no reader knows.
pub const UNKNOWN: &[Encapsulation] = &[
    of("unknown-udp", |c| c.in_udp(5072, &[0x41, 0x52, 0x52, 0x29], c.ip)),
    of("unknown-ip-protocol", |c| c.in_ipv4(253, &[1, 2, 3, 4], c.ip)),
];

const fn of(name: &'static str, wrap: fn(&Carried<'_>) -> Vec<u8>) -> Encapsulation {
    Encapsulation { name, link: ETHERNET, wrap }
}

impl Packets {
    /// The packets as a pcap file, each inside such headers.
    pub fn encapsulate(&self, encapsulation: &Encapsulation) -> Vec<u8> {
        let packets = self.packets.iter().zip(0..).map(|(packet, number)| {
            let carried = packet.carried(number);
            let bytes = (encapsulation.wrap)(&carried);
            let wire = bytes.len() - carried.ip.len() + carried.wire;
            (packet.time, bytes, wire)
        });
        self.file(encapsulation.link, packets)
    }

    /// The packets as a pcap file with raw IP, those with more than `size` bytes of payload in fragments of that size.
    pub fn fragment(&self, size: usize) -> Vec<u8> {
        let packets = self.packets.iter().zip(0..).flat_map(|(packet, number)| {
            let carried = packet.carried(number);
            carried.fragments(size).into_iter().map(|(bytes, wire)| (packet.time, bytes, wire)).collect::<Vec<_>>()
        });
        self.file(101, packets)
    }

    fn file(&self, link: u32, packets: impl Iterator<Item = ([u8; 8], Vec<u8>, usize)>) -> Vec<u8> {
        let mut out = self.header.to_vec();
        out[20..24].copy_from_slice(&link.to_le_bytes());
        for (time, bytes, wire) in packets {
            out.extend(time);
            for length in [bytes.len(), wire] {
                out.extend(u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
            }
            out.extend(bytes);
        }
        out
    }
}

impl Packet {
    fn carried(&self, number: usize) -> Carried<'_> {
        Carried { ip: &self.bytes[self.ip..], wire: self.data + self.payload - self.ip, number }
    }
}

impl Carried<'_> {
    fn is_v6(&self) -> bool {
        self.ip[0] >> 4 == 6
    }

    fn ethertype(&self) -> [u8; 2] {
        if self.is_v6() { [0x86, 0xdd] } else { [0x08, 0x00] }
    }

    fn ppp(&self) -> [u8; 2] {
        if self.is_v6() { [0x00, 0x57] } else { [0x00, 0x21] }
    }

    fn ip_protocol(&self) -> u8 {
        if self.is_v6() { 41 } else { 4 }
    }

    /// The number of its version in NSH and VXLAN-GPE.
    fn version_number(&self) -> u8 {
        if self.is_v6() { 2 } else { 1 }
    }

    /// Its length and `more`, in 16 bits.
    fn length(&self, more: usize) -> [u8; 2] {
        u16::try_from(self.wire + more).unwrap_or(0).to_be_bytes()
    }

    fn ethernet(&self) -> Vec<u8> {
        [&MAC[..], &self.ethertype(), self.ip].concat()
    }

    /// Ethernet with these 16-bit words between its addresses and the ethertype.
    fn tagged(&self, words: &[u16], rest: &[u8]) -> Vec<u8> {
        let words: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        [&MAC[..], &words, rest, &self.ethertype(), self.ip].concat()
    }

    /// `inner` ends with the IP packet.
    fn in_ipv4(&self, protocol: u8, header: &[u8], inner: &[u8]) -> Vec<u8> {
        let wire = inner.len() - self.ip.len() + self.wire;
        let total = u16::try_from(20 + header.len() + wire).unwrap_or(0).to_be_bytes();
        let mut ip = [0x45, 0, total[0], total[1], 0, 0, 0, 0, 64, protocol, 0, 0, 198, 51, 100, 1, 198, 51, 100, 2];
        let sum = ip.chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1])).sum::<u32>();
        let sum = !u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap_or(0);
        ip[10..12].copy_from_slice(&sum.to_be_bytes());
        frame(0x0800, &[&ip, header, inner].concat())
    }

    fn in_ipv6(&self, protocol: u8, header: &[u8], inner: &[u8]) -> Vec<u8> {
        let wire = inner.len() - self.ip.len() + self.wire;
        let length = u16::try_from(header.len() + wire).unwrap_or(0).to_be_bytes();
        let mut ip = [0; 40];
        ip[..8].copy_from_slice(&[0x60, 0, 0, 0, length[0], length[1], protocol, 64]);
        for (at, last) in [(8, 1), (24, 2)] {
            ip[at..at + 4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
            ip[at + 15] = last;
        }
        frame(0x86dd, &[&ip, header, inner].concat())
    }

    fn in_udp(&self, port: u16, header: &[u8], inner: &[u8]) -> Vec<u8> {
        self.in_ipv4(17, &udp(port, header, inner.len() - self.ip.len() + self.wire), inner)
    }

    /// A packet header, a mark, and the packet: attributes as the kernel writes them.
    fn nflog(&self, big_endian: bool) -> Vec<u8> {
        let number = |n: usize| {
            let n = u16::try_from(n).unwrap_or(u16::MAX);
            if big_endian { n.to_be_bytes() } else { n.to_le_bytes() }
        };
        let family = if self.is_v6() { 10 } else { 2 };
        let mut out = vec![family, 0, 0, 0];
        for (kind, value) in [(1, &[0x08, 0, 1, 0][..]), (10, b"spice\0")] {
            out.extend([number(4 + value.len()), number(kind)].concat());
            out.extend(value);
            out.resize(out.len().next_multiple_of(4), 0);
        }
        out.extend([number(4 + self.wire), number(9)].concat());
        out.extend(self.ip);
        out
    }

    /// The version 1 header of 108 bytes, by turns before Ethernet and before raw IP.
    fn pktap(&self) -> Vec<u8> {
        let ethernet = self.number.is_multiple_of(2);
        let mut out = vec![0; 108];
        for (at, value) in [(0, 108u32), (4, 1), (8, if ethernet { 1 } else { 12 })] {
            out[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        out[12..15].copy_from_slice(b"en0");
        out.extend(if ethernet { self.ethernet() } else { self.ip.to_vec() });
        out
    }

    /// The packet as it is, or in fragments: each one's bytes and length on the wire.
    fn fragments(&self, size: usize) -> Vec<(Vec<u8>, usize)> {
        let head = if self.is_v6() { 40 } else { usize::from(self.ip[0] & 15) * 4 };
        let size = size.max(8) & !7;
        if self.wire - head <= size {
            return vec![(self.ip.to_vec(), self.wire)];
        }
        (head..self.wire)
            .step_by(size)
            .map(|start| {
                let end = self.wire.min(start + size);
                let piece = self.ip.get(start..end.min(self.ip.len())).unwrap_or_default();
                let header = self.fragment_header(head, start - head, end - start, end < self.wire);
                let wire = header.len() + end - start;
                ([header, piece.to_vec()].concat(), wire)
            })
            .collect()
    }

    fn fragment_header(&self, head: usize, offset: usize, length: usize, more: bool) -> Vec<u8> {
        let mut header = self.ip[..head].to_vec();
        let id = u16::try_from(self.number % 0x1_0000).unwrap_or(0).to_be_bytes();
        let offset = u16::try_from(offset).unwrap_or(0);
        if self.is_v6() {
            let length = u16::try_from(length + 8).unwrap_or(0).to_be_bytes();
            header[4..6].copy_from_slice(&length);
            header[6] = 44;
            header.extend([6, 0]);
            header.extend((offset | u16::from(more)).to_be_bytes());
            header.extend([0, 0, id[0], id[1]]);
        } else {
            let total = u16::try_from(head + length).unwrap_or(0).to_be_bytes();
            header[2..4].copy_from_slice(&total);
            header[4..6].copy_from_slice(&id);
            header[6..8].copy_from_slice(&((offset / 8) | (u16::from(more) << 13)).to_be_bytes());
        }
        header
    }
}

fn frame(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [&MAC[..], &ethertype.to_be_bytes(), payload].concat()
}

/// A label of MPLS, whether it is the last of its stack.
fn label(label: u32, last: bool) -> [u8; 4] {
    (label << 12 | u32::from(last) << 8 | 64).to_be_bytes()
}

/// A UDP header and what follows it, before `rest` more bytes.
fn udp(port: u16, header: &[u8], rest: usize) -> Vec<u8> {
    let length = u16::try_from(8 + header.len() + rest).unwrap_or(0).to_be_bytes();
    [&[0xc0, 0x01], &port.to_be_bytes()[..], &length, &[0, 0], header].concat()
}
