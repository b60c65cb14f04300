//! TCP reassembly against what was really sent: two random streams, cut, doubled, shuffled and lost as a network and a capture do it.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use proptest::prelude::*;
use spice_capture::{
    packet::{Endpoint, Flags, Segment},
    tcp::{Connection, Handler, Interest, Reassembler, Side},
};
use spice_events::Timestamp;
use support::socket;

/// Puts both streams together again.
#[derive(Debug, Default, PartialEq, Eq)]
struct Heard {
    opened: u32,
    from_start: bool,
    closed: u32,
    /// Client, server: bytes, and `None` for each that was lost.
    streams: [Vec<Option<u8>>; 2],
    after_close: bool,
    last: Option<Timestamp>,
}

impl Heard {
    fn at(&mut self, at: Timestamp) {
        assert!(self.last.is_none_or(|last| last <= at), "time went backwards");
        self.last = Some(at);
        self.after_close |= self.closed > 0;
        assert_eq!(self.opened, 1, "nothing is told before the connection is opened");
    }

    fn stream(&mut self, from: Side) -> &mut Vec<Option<u8>> {
        &mut self.streams[usize::from(from == Side::Server)]
    }
}

impl Handler for Heard {
    type State = ();

    fn opened(&mut self, (): &mut (), connection: &Connection) -> Interest {
        self.opened += 1;
        self.from_start = connection.from_start;
        assert_eq!(connection.endpoints.client, client());
        self.last = Some(connection.at);
        Interest::Bytes
    }

    fn bytes(&mut self, (): &mut (), at: Timestamp, from: Side, data: &[u8]) -> Interest {
        self.at(at);
        assert!(!data.is_empty());
        self.stream(from).extend(data.iter().map(|&b| Some(b)));
        Interest::Bytes
    }

    fn gap(&mut self, (): &mut (), at: Timestamp, from: Side, len: u64) -> Interest {
        self.at(at);
        assert!(len > 0);
        self.stream(from).extend((0..len).map(|_| None));
        Interest::Bytes
    }

    fn closed(&mut self, (): &mut (), at: Timestamp, _: Option<Side>) {
        self.at(at);
        self.closed += 1;
    }
}

fn client() -> Endpoint {
    socket(support::CLIENT).into()
}

fn server() -> Endpoint {
    socket(support::SERVER).into()
}

/// A packet, with its payload as a range of its side's stream.
#[derive(Clone, Debug)]
struct Packet {
    from: Side,
    flags: Flags,
    seq: u32,
    ack: u32,
    payload: Vec<u8>,
    missing: u32,
}

/// A whole connection without loss: handshake, both streams cut at `cuts` and interleaved, FIN of both.
#[derive(Clone, Debug)]
struct Conversation {
    isn: [u32; 2],
    streams: [Vec<u8>; 2],
    packets: Vec<Packet>,
}

prop_compose! {
    fn conversation()(
        isn in prop::array::uniform2(prop_oneof![any::<u32>(), (u32::MAX - 300)..=u32::MAX]),
        streams in prop::array::uniform2(prop::collection::vec(any::<u8>(), 0..400)),
        sizes in prop::collection::vec((any::<bool>(), 1_usize..60), 40..80),
    ) -> Conversation {
        Conversation::new(isn, streams, &sizes)
    }
}

impl Conversation {
    fn new(isn: [u32; 2], streams: [Vec<u8>; 2], sizes: &[(bool, usize)]) -> Self {
        let mut sent = [0_usize, 0];
        let mut packets = vec![
            packet(Side::Client, Flags::SYN, isn[0], 0, &[]),
            packet(Side::Server, Flags::SYN.and(Flags::ACK), isn[1], isn[0].wrapping_add(1), &[]),
            packet(Side::Client, Flags::ACK, isn[0].wrapping_add(1), isn[1].wrapping_add(1), &[]),
        ];
        let seq = |side: usize, offset: usize| isn[side].wrapping_add(1 + u32::try_from(offset).unwrap());
        let rest = [(false, usize::MAX), (true, usize::MAX)];
        for &(by_server, size) in sizes.iter().chain(&rest) {
            let side = usize::from(by_server);
            let from = sent[side];
            let to = from.saturating_add(size).min(streams[side].len());
            if from < to {
                let (me, peer) = (seq(side, from), seq(1 - side, sent[1 - side]));
                packets.push(packet(SIDES[side], Flags::ACK, me, peer, &streams[side][from..to]));
                sent[side] = to;
            }
        }
        let fin = Flags::FIN.and(Flags::ACK);
        packets.push(packet(Side::Client, fin, seq(0, sent[0]), seq(1, sent[1]), &[]));
        packets.push(packet(Side::Server, fin, seq(1, sent[1]), seq(0, sent[0] + 1), &[]));
        packets.push(packet(Side::Client, Flags::ACK, seq(0, sent[0] + 1), seq(1, sent[1] + 1), &[]));
        Self { isn, streams, packets }
    }
}

const SIDES: [Side; 2] = [Side::Client, Side::Server];

fn packet(from: Side, flags: Flags, seq: u32, ack: u32, payload: &[u8]) -> Packet {
    Packet { from, flags, seq, ack, payload: payload.to_vec(), missing: 0 }
}

fn hear(packets: &[Packet]) -> Heard {
    let mut heard = Heard::default();
    let mut tcp = Reassembler::default();
    for (p, microseconds) in packets.iter().zip(0..) {
        let (from, to) = if p.from == Side::Client { (client(), server()) } else { (server(), client()) };
        let at = Timestamp { seconds: 1000, microseconds };
        let (seq, ack, flags, missing) = (p.seq, p.ack, p.flags, p.missing);
        tcp.segment(&Segment { at, from, to, seq, ack, flags, payload: &p.payload, missing }, &mut heard);
    }
    tcp.finish(&mut heard);
    assert_eq!(tcp.kept(), 0, "nothing is kept of a connection that is over");
    heard
}

fn whole(stream: &[u8]) -> Vec<Option<u8>> {
    stream.iter().map(|&b| Some(b)).collect()
}

fn check_complete(conversation: &Conversation, packets: &[Packet]) -> Result<(), TestCaseError> {
    let heard = hear(packets);
    prop_assert_eq!((heard.opened, heard.closed, heard.from_start, heard.after_close), (1, 1, true, false));
    for side in 0..2 {
        prop_assert_eq!(&heard.streams[side], &whole(&conversation.streams[side]));
    }
    Ok(())
}

/// Moves each packet by at most `reach` places, by a key for each.
fn shuffle(packets: &[Packet], keys: &[usize], reach: usize) -> Vec<Packet> {
    let keys = keys.iter().cycle().map(|key| key % (reach + 1));
    let mut keyed: Vec<_> = packets.iter().enumerate().zip(keys).map(|((i, p), key)| (i + key, i, p)).collect();
    keyed.sort_by_key(|&(key, i, _)| (key, i));
    keyed.into_iter().map(|(_, _, p)| p.clone()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_segmentation_gives_the_same_streams(conversation in conversation()) {
        check_complete(&conversation, &conversation.packets)?;
    }

    #[test]
    fn packets_captured_twice_change_nothing(conversation in conversation(), twice in prop::collection::vec(0_usize..6, 10)) {
        let mut packets = Vec::new();
        for (i, packet) in conversation.packets.iter().enumerate() {
            packets.push(packet.clone());
            // Now, or one that was captured a while ago.
            if let Some(late) = (i + 1).checked_sub(twice[i % 10]) {
                packets.extend(conversation.packets.get(late).filter(|_| late <= i).cloned());
            }
        }
        check_complete(&conversation, &packets)?;
    }

    #[test]
    fn packets_captured_out_of_order_change_nothing(
        conversation in conversation(),
        keys in prop::collection::vec(0_usize..12, 1..20),
    ) {
        check_complete(&conversation, &shuffle(&conversation.packets, &keys, 11))?;
    }

    #[test]
    fn retransmissions_that_overlap_change_nothing(
        conversation in conversation(),
        overlaps in prop::collection::vec((0_usize..2, 0_usize..400, 1_usize..100, 3_usize..40), 0..20),
        keys in prop::collection::vec(0_usize..6, 1..20),
    ) {
        let mut packets = conversation.packets.clone();
        let end = packets.len() - 3;
        for (side, from, length, place) in overlaps {
            let stream = &conversation.streams[side];
            let range = from.min(stream.len())..(from + length).min(stream.len());
            if !range.is_empty() {
                let seq = conversation.isn[side].wrapping_add(1 + u32::try_from(range.start).unwrap());
                let ack = conversation.isn[1 - side].wrapping_add(1);
                packets.insert(place.min(end), packet(SIDES[side], Flags::ACK, seq, ack, &stream[range]));
            }
        }
        check_complete(&conversation, &shuffle(&packets, &keys, 5))?;
    }

    #[test]
    fn lost_packets_leave_gaps_that_add_up(
        conversation in conversation(),
        lost in prop::collection::vec(any::<bool>(), 1..30),
        cut in prop::collection::vec(prop::option::of(0_usize..60), 1..30),
    ) {
        let last = conversation.packets.len() - 3;
        let mut expected = conversation.streams.each_ref().map(|stream| whole(stream));
        let mut packets = Vec::new();
        for (i, packet) in conversation.packets.iter().enumerate() {
            let mut packet = packet.clone();
            let side = usize::from(packet.from == Side::Server);
            let start = packet.seq.wrapping_sub(conversation.isn[side].wrapping_add(1)) as usize;
            // Of the handshake and the end nothing is lost: that is another test.
            if (3..last).contains(&i) {
                if lost[i % lost.len()] {
                    expected[side][start..start + packet.payload.len()].fill(None);
                    continue;
                }
                if let Some(length) = cut[i % cut.len()].filter(|&length| length < packet.payload.len()) {
                    packet.missing = u32::try_from(packet.payload.len() - length).unwrap();
                    expected[side][start + length..start + packet.payload.len()].fill(None);
                    packet.payload.truncate(length);
                }
            }
            packets.push(packet);
        }
        let heard = hear(&packets);
        prop_assert_eq!((heard.opened, heard.closed, heard.after_close), (1, 1, false));
        prop_assert_eq!(&heard.streams, &expected);
    }

    #[test]
    fn a_capture_that_begins_late_joins_at_what_it_sees(conversation in conversation(), from in any::<prop::sample::Index>()) {
        let sends = |p: &Packet| p.from == Side::Client && !p.payload.is_empty();
        let starts: Vec<_> = (0..conversation.packets.len()).filter(|&i| sends(&conversation.packets[i])).collect();
        prop_assume!(!starts.is_empty());
        let from = *from.get(&starts);
        let packets = &conversation.packets[from..];
        let heard = hear(packets);
        prop_assert_eq!((heard.opened, heard.closed, heard.from_start), (1, 1, false));
        for (side, stream) in conversation.streams.iter().enumerate() {
            let seen: usize = packets.iter().filter(|p| p.from == SIDES[side]).map(|p| p.payload.len()).sum();
            prop_assert_eq!(&heard.streams[side], &whole(&stream[stream.len() - seen..]));
        }
    }

    #[test]
    fn arbitrary_segments_do_no_harm(
        segments in prop::collection::vec((any::<bool>(), any::<u8>(), -300_i32..300, -300_i32..300, 0_usize..20, 0_u32..3), 0..200),
        base in prop::array::uniform2(any::<u32>()),
    ) {
        let mut heard = Anything::default();
        let mut tcp = Reassembler::new(4);
        for ((by_server, flags, seq, ack, length, missing), microseconds) in segments.into_iter().zip(0_i64..) {
            let side = usize::from(by_server);
            let ends = [client(), server()];
            tcp.segment(&Segment {
                at: Timestamp { seconds: microseconds / 3, microseconds },
                from: ends[side],
                to: ends[1 - side],
                seq: base[side].wrapping_add_signed(seq),
                ack: base[1 - side].wrapping_add_signed(ack),
                flags: Flags::from_bits(flags),
                payload: &[0; 20][..length],
                missing,
            }, &mut heard);
        }
        tcp.finish(&mut heard);
        prop_assert!(heard.opened >= heard.closed && heard.opened <= heard.closed + 1);
    }
}

/// Every order of `packets`.
fn orders(packets: &[Packet]) -> Vec<Vec<Packet>> {
    let Some((first, rest)) = packets.split_first() else { return vec![Vec::new()] };
    let with_first = |order: Vec<Packet>| {
        (0..=order.len()).map(move |place| [&order[..place], std::slice::from_ref(first), &order[place..]].concat())
    };
    orders(rest).into_iter().flat_map(with_first).collect()
}

#[test]
fn an_empty_connection_opens_and_closes_in_any_order_of_capture() {
    let conversation = Conversation::new([7, u32::MAX], [Vec::new(), Vec::new()], &[]);
    let orders = orders(&conversation.packets);
    assert_eq!(orders.len(), 720);
    for order in orders {
        let heard = hear(&order);
        assert_eq!((heard.opened, heard.closed, heard.from_start), (1, 1, true), "{order:?}");
    }
}

/// Checks that the calls of one connection make sense.
#[derive(Default)]
struct Anything {
    opened: u32,
    closed: u32,
}

impl Handler for Anything {
    type State = bool;

    fn opened(&mut self, open: &mut bool, _: &Connection) -> Interest {
        assert!(!*open);
        *open = true;
        self.opened += 1;
        Interest::Bytes
    }

    fn bytes(&mut self, open: &mut bool, _: Timestamp, _: Side, _: &[u8]) -> Interest {
        assert!(*open);
        Interest::Bytes
    }

    fn gap(&mut self, open: &mut bool, _: Timestamp, _: Side, _: u64) -> Interest {
        assert!(*open);
        Interest::Bytes
    }

    fn closed(&mut self, open: &mut bool, _: Timestamp, _: Option<Side>) {
        assert!(*open);
        self.closed += 1;
    }
}
