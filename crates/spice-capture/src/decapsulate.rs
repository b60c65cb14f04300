//! Finds the TCP segments in a packet, through tunnels, tags and fragments.
//!
//! [`Segment::parse`] reads what most captures have: one link header, one IP header. [`Decapsulator`] reads everything else, one header after the other
//! ([`MAX_LAYERS`] at most):
//!
//! | header | names what follows |
//! | --- | --- |
//! | Ethernet, Linux cooked (v1, v2), 802.3 with LLC and SNAP, Cisco HDLC, Frame Relay, token ring, Fibre Channel, FDDI, ATM | ethertype |
//! | 802.1Q, 802.1ad, 802.1ah, VN-Tag, E-Tag, Cisco metadata, MACsec without encryption, ISL, TRILL, FabricPath, HSR, batman-adv, tags of switch chips (DSA) | ethertype, or Ethernet again |
//! | PPP, PPPoE, L2TPv2, PPTP | PPP protocol |
//! | 802.11 (plain, with radiotap, PPI, Prism or AVS headers; aggregates), CAPWAP, TZSP | LLC |
//! | BSD loopback, raw IP, NFLOG, PKTAP, PFLOG, `enc(4)`, ERF, DOCSIS, Juniper | IP, Ethernet, or a link type |
//! | IPv4 and IPv6 in each other, AH, IPv6 extension headers | IP protocol |
//! | GRE (versions 0 and 1), ERSPAN (I, II, III), EtherIP | ethertype, or Ethernet |
//! | VXLAN, VXLAN-GPE, Geneve, GTP-U, LISP, Teredo, GRE and MPLS in UDP, FOU, GUE | by UDP port; VXLAN, Geneve, FOU and GUE at any port by their shape |
//! | MPLS | not named: IP by its version, else Ethernet with or without a control word |
//! | NSH, L2TPv3 | next protocol; L2TPv3 by what makes sense |
//!
//! Packets in a header that is not read are counted by kind: [`Unread`]. Packets of protocols that can't carry SPICE are not, except where a link message
//! is in their first bytes.

mod bytes;
mod ethernet;
mod fragments;
mod gre;
mod ip;
mod link;
mod ppp;
mod udp;
mod unread;
mod wifi;

use crate::{
    file::Packet,
    link::LinkType,
    packet::{Addresses, Segment, Skipped},
};
use bytes::Bytes;
pub use fragments::{FRAGMENT_PATIENCE, MAX_FRAGMENT_BYTES, MAX_FRAGMENTED, MAX_FRAGMENTS};
use fragments::{Fragment, Fragments, Whole};
use spice_events::Timestamp;
pub use unread::Unread;

/// Headers of one packet. The deepest real stack that is known, SRv6 with Geneve, QinQ and MPLS inside, has twelve.
pub const MAX_LAYERS: usize = 32;

/// A header, by what names it.
#[derive(Clone, Copy, Debug)]
enum Layer {
    Link(LinkType),
    Ethernet,
    Ethertype(u16),
    Llc,
    Mpls,
    Nsh,
    Pppoe,
    Ppp,
    Wifi,
    /// What is behind the header of an 802.11 data frame.
    WifiBody,
    /// 802.11 with padding behind its header.
    WifiPadded,
    Radiotap,
    Ip,
    /// What an IP header carries.
    Protocol(u8, Addresses),
    Gre,
    Udp(Addresses),
    L2tpV3,
}

/// What a header leads to.
#[derive(Debug)]
enum Next<'a> {
    Layer(Layer, Bytes<'a>),
    /// Several frames of 802.11.
    Aggregate(Bytes<'a>),
    Fragment(Fragment<'a>),
    Tcp(Addresses, Bytes<'a>),
}

/// Why there is no TCP segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// The packet can't carry SPICE.
    Other,
    /// UDP, the lower one of its ports, and nothing that is known inside.
    Udp(u16),
    /// The capture cut it.
    Truncated,
    /// Its headers contradict each other.
    Malformed,
    Unread(Unread),
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verdict {
    /// Its TCP segments were handed out, or it has none.
    Read,
    /// It is a fragment, and waits for others.
    Waits,
    /// The capture cut it within its headers.
    Truncated,
    /// Its headers contradict each other.
    Malformed,
    /// It could carry SPICE and can't be read.
    Unread(Unread),
}

/// Reads packets with any stack of headers, and puts fragments together.
///
/// ```
/// use spice_capture::{decapsulate::Decapsulator, file::Reader};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (mut reader, mut decapsulator, mut ports) = (Reader::new(), Decapsulator::new(), Vec::new());
/// reader.push(&std::fs::read("examples/main-channel.pcap")?, |packet| {
///     decapsulator.segments(&packet, &mut |segment| ports.push(segment.to.port()));
/// })?;
/// assert_eq!((ports.len(), ports[0]), (37, 36355));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
pub struct Decapsulator {
    fragments: Fragments,
    /// The latest time of a packet, in microseconds.
    now: u64,
    /// Fragments of packets that never became complete.
    incomplete: u64,
}

impl Decapsulator {
    /// Without fragments.
    pub fn new() -> Self {
        Self::default()
    }

    /// Hands out the TCP segments of a packet, and of older packets that become complete with it or have waited for [`FRAGMENT_PATIENCE`].
    pub fn segments(&mut self, packet: &Packet<'_>, segment: &mut dyn FnMut(&Segment<'_>)) -> Verdict {
        self.expire(packet.at, segment);
        let cut = (packet.wire_len as usize).saturating_sub(packet.data.len());
        let bytes = Bytes::new(packet.data, packet.data.len() + cut);
        match self.walk(packet.at, Layer::Link(packet.link), bytes, MAX_LAYERS, segment) {
            Ok(verdict) => verdict,
            Err(Stop::Udp(port)) if has_link_message(packet.data) => Verdict::Unread(Unread::Udp(port)),
            Err(Stop::Other) if has_link_message(packet.data) => Verdict::Unread(Unread::Unknown),
            Err(Stop::Other | Stop::Udp(_)) => Verdict::Read,
            Err(Stop::Truncated) => Verdict::Truncated,
            Err(Stop::Malformed) => Verdict::Malformed,
            Err(Stop::Unread(what)) => Verdict::Unread(what),
        }
    }

    /// Hands out what there is of incomplete packets that have waited for [`FRAGMENT_PATIENCE`].
    pub fn expire(&mut self, at: Timestamp, segment: &mut dyn FnMut(&Segment<'_>)) {
        let microseconds = at.seconds.saturating_mul(1_000_000).saturating_add(at.microseconds);
        self.now = self.now.max(u64::try_from(microseconds).unwrap_or(0));
        while let Some(whole) = self.fragments.expired(self.now) {
            self.join(at, &whole, MAX_LAYERS, segment);
        }
    }

    /// Hands out what there is of all incomplete packets.
    pub fn finish(&mut self, at: Timestamp, segment: &mut dyn FnMut(&Segment<'_>)) {
        while let Some(whole) = self.fragments.expired(u64::MAX) {
            self.join(at, &whole, MAX_LAYERS, segment);
        }
    }

    /// Whether fragments wait for others.
    pub fn is_waiting(&self) -> bool {
        !self.fragments.is_empty()
    }

    /// Number of fragments whose packets never became complete.
    pub fn incomplete(&self) -> u64 {
        self.incomplete
    }

    fn walk(
        &mut self,
        at: Timestamp,
        mut layer: Layer,
        mut bytes: Bytes<'_>,
        mut left: usize,
        segment: &mut dyn FnMut(&Segment<'_>),
    ) -> Result<Verdict, Stop> {
        loop {
            left = left.checked_sub(1).ok_or(Stop::Unread(Unread::Depth))?;
            match step(layer, bytes)? {
                Next::Layer(next, rest) => (layer, bytes) = (next, rest),
                Next::Aggregate(mut frames) => {
                    let mut verdict = Ok(Verdict::Read);
                    while frames.wire() > 0 {
                        let (frame, rest) = wifi::split_aggregate(frames)?;
                        frames = rest;
                        // A frame that is not read hides none of the others.
                        match self.walk(at, Layer::WifiBody, frame, left, segment) {
                            Err(Stop::Other | Stop::Udp(_)) => {}
                            other if verdict == Ok(Verdict::Read) => verdict = other,
                            _ => {}
                        }
                    }
                    return verdict;
                }
                Next::Fragment(fragment) => {
                    let Some(whole) = self.fragments.insert(self.now, &fragment) else { return Ok(Verdict::Waits) };
                    return self.walk_whole(at, &whole, left, segment);
                }
                Next::Tcp(addresses, bytes) => {
                    let parsed = Segment::in_ip(at, addresses, bytes.data(), bytes.wire());
                    segment(&parsed.map_err(|skipped| match skipped {
                        Skipped::Truncated => Stop::Truncated,
                        _ => Stop::Malformed,
                    })?);
                    return Ok(Verdict::Read);
                }
            }
        }
    }

    fn walk_whole(
        &mut self,
        at: Timestamp,
        whole: &Whole,
        left: usize,
        segment: &mut dyn FnMut(&Segment<'_>),
    ) -> Result<Verdict, Stop> {
        let layer = Layer::Protocol(whole.protocol, whole.addresses);
        self.walk(at, layer, Bytes::new(&whole.data, whole.wire), left, segment)
    }

    /// A packet with missing fragments. Its payload up to the first missing byte is handed out, without a notice.
    fn join(&mut self, at: Timestamp, whole: &Whole, left: usize, segment: &mut dyn FnMut(&Segment<'_>)) {
        self.incomplete += whole.incomplete.unwrap_or(0) as u64;
        let _ = self.walk_whole(at, whole, left, segment);
    }
}

/// Reads one header.
fn step(layer: Layer, bytes: Bytes<'_>) -> Result<Next<'_>, Stop> {
    match layer {
        Layer::Link(link) => link::header(link, bytes),
        Layer::Ethernet => ethernet::frame(bytes),
        Layer::Ethertype(kind) => ethernet::payload(kind, bytes),
        Layer::Llc => ethernet::llc(bytes),
        Layer::Mpls => ethernet::mpls(bytes),
        Layer::Nsh => ethernet::nsh(bytes),
        Layer::Pppoe => ppp::pppoe(bytes),
        Layer::Ppp => ppp::frame(bytes),
        Layer::Wifi => wifi::frame(bytes, false),
        Layer::WifiBody => wifi::body(bytes),
        Layer::WifiPadded => wifi::frame(bytes, true),
        Layer::Radiotap => wifi::radiotap(bytes),
        Layer::Ip => ip::header(bytes),
        Layer::Protocol(number, addresses) => ip::payload(number, addresses, bytes),
        Layer::Gre => gre::header(bytes),
        Layer::Udp(addresses) => udp::datagram(bytes, addresses),
        Layer::L2tpV3 => udp::l2tp_v3(bytes),
    }
}

/// The first bytes of a link message or reply of version 2: magic 4, major version 4.
const LINK_START: &[u8] = b"REDQ\x02\0\0\0";
/// First bytes of a packet in which a link message is searched: deeper than the headers of any known stack of tunnels.
const SEARCHED: usize = 256;

/// Whether a link message or reply begins somewhere in a packet that was not read: it is in a tunnel that is not known.
fn has_link_message(data: &[u8]) -> bool {
    data[..data.len().min(SEARCHED)].windows(LINK_START.len()).any(|bytes| bytes == LINK_START)
}

/// The TCP segment in a packet of which only the first bytes may be there. `None` if it has none, and an error if that can't be told from these.
pub(crate) fn peek<'a>(packet: &Packet<'a>) -> Result<Option<Segment<'a>>, NotEnough> {
    let mut bytes = Bytes::new(packet.data, packet.wire_len as usize);
    let mut layer = Layer::Link(packet.link);
    for _ in 0..MAX_LAYERS {
        match step(layer, bytes) {
            Ok(Next::Layer(next, rest)) => (layer, bytes) = (next, rest),
            Ok(Next::Tcp(addresses, bytes)) => {
                return match Segment::in_ip(packet.at, addresses, bytes.data(), bytes.wire()) {
                    Ok(segment) => Ok(Some(segment)),
                    Err(Skipped::Truncated) => Err(NotEnough),
                    Err(_) => Ok(None),
                };
            }
            Ok(Next::Aggregate(_) | Next::Fragment(_)) | Err(Stop::Truncated) => return Err(NotEnough),
            Err(_) => return Ok(None),
        }
    }
    Ok(None)
}

/// The whole packet is needed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NotEnough;
