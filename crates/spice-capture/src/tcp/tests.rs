//! Conversations as tables: what is captured on the left, what the handler hears on the right.

use super::*;
use crate::packet::Flags;
use Side::{Client, Server};
use std::fmt::Write;

const CLIENT_ISN: u32 = 1000;
const SERVER_ISN: u32 = 5000;

/// Writes down what it hears.
struct Scribe {
    heard: String,
    interest: Interest,
    ports: Vec<u16>,
    volume: Option<Volume>,
    /// Whether it writes down what is open at the end.
    tells_open: bool,
}

impl Handler for Scribe {
    type State = u32;

    fn listens(&self, port: u16) -> bool {
        self.ports.contains(&port)
    }

    fn opened(&mut self, _: &mut u32, c: &Connection) -> Interest {
        let how = if c.from_start { "opened" } else { "joined" };
        write!(self.heard, "{how} {}>{} @{}; ", c.endpoints.client.port(), c.endpoints.server.port(), tick(c.at))
            .unwrap();
        self.interest
    }

    fn bytes(&mut self, _: &mut u32, at: Timestamp, from: Side, data: &[u8]) -> Interest {
        write!(self.heard, "{} {} @{}; ", side(from), String::from_utf8_lossy(data), tick(at)).unwrap();
        self.interest
    }

    fn gap(&mut self, _: &mut u32, at: Timestamp, from: Side, len: u64) -> Interest {
        write!(self.heard, "{} [{len}] @{}; ", side(from), tick(at)).unwrap();
        self.interest
    }

    fn volume(&mut self, _: &mut u32, volume: Volume) {
        self.volume = Some(volume);
    }

    fn closed(&mut self, _: &mut u32, at: Timestamp, by: Option<Side>) {
        write!(self.heard, "closed by {} @{}; ", by.map_or("?", side), tick(at)).unwrap();
    }

    fn evicted(&mut self, _: &mut u32) {
        self.heard.push_str("evicted; ");
    }

    fn vanished(&mut self, _: &u32, _: &Gone, reason: VanishedReason) {
        write!(self.heard, "vanished {reason:?}; ").unwrap();
    }

    fn still_open(&mut self, _: &u32, _: Endpoints<Endpoint>, last: Timestamp, silence: Duration) {
        if self.tells_open {
            write!(self.heard, "silent since @{}, for {} s; ", tick(last), silence.as_secs()).unwrap();
        }
    }
}

fn side(side: Side) -> &'static str {
    match side {
        Client => "C",
        Server => "S",
    }
}

fn tick(at: Timestamp) -> i64 {
    at.seconds * 10 + at.microseconds / 100_000
}

/// A capture in the making. Sequence numbers are given relative to the initial ones; each packet comes a
/// tenth of a second after the one before, and `@` counts those.
struct Wire {
    tcp: Reassembler<u32>,
    scribe: Scribe,
    now: i64,
    client: Endpoint,
    server: Endpoint,
    isn: [u32; 2],
}

impl Wire {
    fn new() -> Self {
        Self {
            tcp: Reassembler::default(),
            scribe: Scribe {
                heard: String::new(),
                interest: Interest::Bytes,
                ports: Vec::new(),
                volume: None,
                tells_open: false,
            },
            now: 0,
            client: end("10.0.0.1:40000"),
            server: end("10.0.0.2:5930"),
            isn: [CLIENT_ISN, SERVER_ISN],
        }
    }

    fn packet(&mut self, from: Side, flags: Flags, seq: u32, ack: u32, payload: &str, missing: u32) -> &mut Self {
        let (from, to, isn) = match from {
            Client => (self.client, self.server, self.isn),
            Server => (self.server, self.client, [self.isn[1], self.isn[0]]),
        };
        let segment = Segment {
            at: Timestamp { seconds: self.now / 10, microseconds: self.now % 10 * 100_000 },
            from,
            to,
            seq: seq.wrapping_add(isn[0]),
            ack: ack.wrapping_add(isn[1]),
            flags,
            payload: payload.as_bytes(),
            missing,
        };
        self.now += 1;
        self.tcp.segment(&segment, &mut self.scribe);
        self
    }

    fn handshake(&mut self) -> &mut Self {
        self.packet(Client, Flags::SYN, 0, 0, "", 0);
        self.packet(Server, Flags::SYN.and(Flags::ACK), 0, 1, "", 0);
        self.packet(Client, Flags::ACK, 1, 1, "", 0)
    }

    fn client(&mut self, seq: u32, ack: u32, payload: &str) -> &mut Self {
        self.packet(Client, Flags::ACK, seq, ack, payload, 0)
    }

    fn server(&mut self, seq: u32, ack: u32, payload: &str) -> &mut Self {
        self.packet(Server, Flags::ACK, seq, ack, payload, 0)
    }

    fn fin(&mut self, from: Side, seq: u32, ack: u32) -> &mut Self {
        self.packet(from, Flags::FIN.and(Flags::ACK), seq, ack, "", 0)
    }

    fn rst(&mut self, from: Side, seq: u32) -> &mut Self {
        self.packet(from, Flags::RST, seq, 0, "", 0)
    }

    /// `n` seconds without a packet of this connection, then one of another.
    fn idle(&mut self, n: i64) -> &mut Self {
        self.now += 10 * n;
        let (client, isn) = (self.client, self.isn);
        self.client = end("10.9.9.9:9");
        self.packet(Client, Flags::RST, 0, 0, "", 0);
        (self.client, self.isn) = (client, isn);
        self
    }

    #[track_caller]
    fn hears(&mut self, expected: &str) -> &mut Self {
        assert_eq!(self.scribe.heard.trim_end_matches("; "), expected);
        self.scribe.heard.clear();
        self
    }

    #[track_caller]
    fn ends_with(&mut self, expected: &str) {
        self.tcp.finish(&mut self.scribe);
        self.hears(expected);
    }
}

fn end(address: &str) -> Endpoint {
    address.parse::<std::net::SocketAddr>().unwrap().into()
}

#[test]
fn a_connection_opens_with_the_handshake_and_closes_with_the_servers_fin() {
    let mut wire = Wire::new();
    wire.handshake().hears("opened 40000>5930 @2");
    wire.client(1, 1, "hello").server(1, 6, "hi").hears("C hello @3; S hi @4");
    wire.fin(Client, 6, 3).hears("");
    wire.fin(Server, 3, 7).hears("closed by C @6");
    wire.client(7, 4, "").ends_with("");
}

#[test]
fn the_first_data_opens_where_the_ack_was_lost() {
    let mut wire = Wire::new();
    wire.packet(Client, Flags::SYN, 0, 0, "", 0);
    wire.packet(Server, Flags::SYN.and(Flags::ACK), 0, 1, "", 0);
    wire.client(1, 1, "a").hears("opened 40000>5930 @2; C a @2");
    let mut wire = Wire::new();
    wire.packet(Client, Flags::SYN, 0, 0, "", 0).client(1, 1, "a").server(1, 2, "b");
    wire.hears("opened 40000>5930 @1; C a @1").ends_with("S b @2");
}

#[test]
fn the_syn_ack_shows_which_end_is_the_client() {
    let mut wire = Wire::new();
    wire.packet(Server, Flags::SYN.and(Flags::ACK), 0, 1, "", 0).client(1, 1, "");
    wire.hears("opened 40000>5930 @1");
}

#[test]
fn refused_or_unanswered_syn_opens_nothing() {
    let mut wire = Wire::new();
    wire.packet(Client, Flags::SYN, 0, 0, "", 0);
    wire.packet(Client, Flags::SYN, 0, 0, "", 0);
    wire.packet(Server, Flags::RST.and(Flags::ACK), 0, 1, "", 0).hears("");
    assert_eq!(wire.tcp.flows(), 0);
    wire.packet(Client, Flags::SYN, 0, 0, "", 0);
    wire.packet(Server, Flags::SYN.and(Flags::ACK), 0, 1, "", 0);
    wire.rst(Client, 1).ends_with("");
    assert_eq!(wire.tcp.flows(), 0);
}

#[test]
fn retransmissions_and_overlaps_are_passed_on_once() {
    let mut wire = Wire::new();
    wire.handshake().client(1, 1, "abc").client(1, 1, "abc").client(2, 1, "bcde").client(6, 1, "f").client(3, 1, "cd");
    wire.hears("opened 40000>5930 @2; C abc @3; C de @5; C f @6");
}

#[test]
fn early_bytes_wait_for_missing_ones() {
    let mut wire = Wire::new();
    wire.handshake().hears("opened 40000>5930 @2");
    wire.client(4, 1, "d").client(6, 1, "fg").client(5, 1, "ef").hears("");
    wire.client(1, 1, "abc").hears("C abc @6; C d @6; C ef @6; C g @6");
    assert_eq!(wire.tcp.kept(), 0);
}

#[test]
fn acknowledged_bytes_that_never_come_are_lost() {
    let mut wire = Wire::new();
    wire.handshake().hears("opened 40000>5930 @2");
    wire.client(4, 1, "d").hears("");
    wire.server(1, 5, "").hears("");
    wire.idle(1).hears("C [3] @3; C d @3");
}

#[test]
fn unacknowledged_bytes_are_awaited() {
    let mut wire = Wire::new();
    wire.handshake().client(4, 1, "d").idle(60).hears("opened 40000>5930 @2");
    wire.client(1, 1, "abc").hears("C abc @605; C d @605");
}

#[test]
fn missing_bytes_are_lost_at_the_end_of_the_capture() {
    let mut wire = Wire::new();
    wire.handshake()
        .client(4, 1, "d")
        .client(9, 1, "i")
        .ends_with("opened 40000>5930 @2; C [3] @3; C d @3; C [4] @4; C i @4");
}

#[test]
fn the_first_hole_is_lost_when_too_many_bytes_wait() {
    let mut wire = Wire::new();
    wire.handshake();
    for i in 0..=u32::try_from(MAX_CHUNKS).unwrap() {
        wire.client(4 + 2 * i, 1, "x");
    }
    wire.hears("opened 40000>5930 @2; C [3] @3; C x @3");
    assert!(wire.tcp.kept() < MAX_BYTES);
}

#[test]
fn a_cut_packet_leaves_a_gap_of_known_length() {
    let mut wire = Wire::new();
    wire.handshake().packet(Client, Flags::ACK, 1, 1, "ab", 98).client(101, 1, "z");
    wire.hears("opened 40000>5930 @2; C ab @3; C [98] @3; C z @4");
}

#[test]
fn sequence_numbers_wrap() {
    let mut wire = Wire::new();
    wire.isn = [u32::MAX - 2, u32::MAX];
    wire.handshake().client(5, 1, "ef").client(1, 1, "abcd").server(1, 7, "xy");
    wire.hears("opened 40000>5930 @2; C abcd @4; C ef @4; S xy @5");
    wire.fin(Server, 3, 7).hears("closed by S @6");
}

#[test]
fn keepalives_and_zero_window_probes_add_nothing() {
    let mut wire = Wire::new();
    wire.handshake().client(1, 1, "ab").hears("opened 40000>5930 @2; C ab @3");
    wire.client(2, 1, "").client(2, 1, "\0").server(0, 3, "").server(0, 3, "\0").hears("");
    wire.client(3, 1, "c").client(3, 1, "cd").hears("C c @8; C d @9");
}

#[test]
fn a_fin_waits_for_the_bytes_before_it() {
    let mut wire = Wire::new();
    wire.handshake().fin(Server, 4, 1).hears("opened 40000>5930 @2");
    wire.server(1, 1, "abc").hears("S abc @4; closed by S @4");
}

#[test]
fn a_close_waits_for_bytes_of_the_client_that_the_server_has() {
    let mut wire = Wire::new();
    wire.handshake().server(1, 4, "no").fin(Server, 3, 4).hears("opened 40000>5930 @2; S no @3");
    wire.client(1, 1, "abc").hears("C abc @5; closed by S @5");
    let mut wire = Wire::new();
    wire.handshake().fin(Server, 1, 4).idle(1).hears("opened 40000>5930 @2; C [3] @2; closed by S @3");
}

#[test]
fn a_valid_reset_closes() {
    let mut wire = Wire::new();
    wire.handshake().client(1, 1, "ab").rst(Client, 3).hears("opened 40000>5930 @2; C ab @3; closed by C @4");
    let mut wire = Wire::new();
    wire.handshake().client(1, 1, "ab").rst(Server, 1).hears("opened 40000>5930 @2; C ab @3; closed by S @4");
}

#[test]
fn a_reset_outside_the_window_is_ignored() {
    let mut wire = Wire::new();
    wire.handshake().client(1, 1, "ab").server(1, 3, "").hears("opened 40000>5930 @2; C ab @3");
    wire.rst(Client, 1).rst(Client, 3_000_000).rst(Server, 0).rst(Server, 0u32.wrapping_sub(9)).idle(9).hears("");
    wire.client(3, 1, "c").hears("C c @100");
}

#[test]
fn a_reset_slightly_ahead_waits_to_be_confirmed_or_contradicted() {
    let mut wire = Wire::new();
    wire.handshake().rst(Client, 3).hears("opened 40000>5930 @2");
    wire.client(1, 1, "ab").hears("C ab @4; closed by C @4");
    let mut wire = Wire::new();
    wire.handshake().rst(Client, 3).idle(1).hears("opened 40000>5930 @2; closed by C @3");
    let mut wire = Wire::new();
    wire.handshake().rst(Client, 50).client(1, 1, "ab").idle(5).hears("opened 40000>5930 @2; C ab @4");
    let mut wire = Wire::new();
    wire.handshake().rst(Client, 3).ends_with("opened 40000>5930 @2; closed by C @3");
}

#[test]
fn late_packets_of_a_closed_connection_open_nothing() {
    let mut wire = Wire::new();
    wire.handshake().client(1, 1, "a").fin(Server, 1, 2).hears("opened 40000>5930 @2; C a @3; closed by S @4");
    wire.packet(Client, Flags::SYN, 0, 0, "", 0).client(1, 1, "a").fin(Client, 2, 2).fin(Server, 1, 2).rst(Client, 3);
    wire.idle(200).ends_with("");
    assert_eq!(wire.tcp.flows(), 0);
}

#[test]
fn a_four_tuple_can_be_used_again() {
    let mut wire = Wire::new();
    wire.handshake().fin(Server, 1, 1).hears("opened 40000>5930 @2; closed by S @3");
    wire.isn = [77_000, 99_000];
    wire.handshake().client(1, 1, "b").hears("opened 40000>5930 @6; C b @7");
}

#[test]
fn a_four_tuple_is_used_again_although_its_end_was_not_captured() {
    let mut wire = Wire::new();
    wire.handshake().client(1, 1, "a").hears("opened 40000>5930 @2; C a @3");
    wire.isn = [77_000, 99_000];
    wire.handshake().client(1, 1, "b").hears("closed by ? @5; opened 40000>5930 @6; C b @7");
    wire.isn = [88_000, 11_000];
    wire.packet(Client, Flags::SYN, 0, 0, "", 0).client(1, 1, "c");
    wire.hears("closed by ? @9; opened 40000>5930 @9; C c @9");
}

#[test]
fn a_syn_alone_does_not_end_a_live_connection() {
    let mut wire = Wire::new();
    wire.handshake().client(1, 1, "a");
    wire.isn = [77_000, SERVER_ISN];
    wire.packet(Client, Flags::SYN, 0, 0, "", 0);
    wire.isn = [CLIENT_ISN, SERVER_ISN];
    wire.client(2, 1, "b").hears("opened 40000>5930 @2; C a @3; C b @5");
}

#[test]
fn packets_captured_twice_count_once() {
    let mut wire = Wire::new();
    for _ in 0..2 {
        wire.packet(Client, Flags::SYN, 0, 0, "", 0);
    }
    for _ in 0..2 {
        wire.packet(Server, Flags::SYN.and(Flags::ACK), 0, 1, "", 0);
    }
    wire.client(1, 1, "").client(1, 1, "").client(1, 1, "ab").client(1, 1, "ab");
    wire.fin(Client, 3, 1).fin(Client, 3, 1).fin(Server, 1, 4).fin(Server, 1, 4);
    wire.ends_with("opened 40000>5930 @4; C ab @6; closed by C @10");
}

#[test]
fn data_before_its_handshake_waits_for_it() {
    let mut wire = Wire::new();
    wire.client(1, 1, "abc").hears("");
    wire.packet(Client, Flags::SYN, 0, 0, "", 0).hears("opened 40000>5930 @1; C abc @1");
    wire.packet(Server, Flags::SYN.and(Flags::ACK), 0, 1, "", 0).server(1, 4, "x").hears("S x @3");
}

#[test]
fn a_connection_that_began_before_the_capture_is_joined() {
    let mut wire = Wire::new();
    wire.client(500, 900, "ab").idle(2).hears("joined 40000>5930 @0; C ab @0");
    wire.server(900, 502, "yz").fin(Server, 902, 502).hears("S yz @22; closed by S @23");
    let mut wire = Wire::new();
    wire.scribe.ports = vec![5930];
    wire.server(900, 500, "ab").idle(2).hears("joined 40000>5930 @0; S ab @0");
}

#[test]
fn the_end_of_an_unseen_connection_opens_nothing() {
    let mut wire = Wire::new();
    wire.fin(Server, 900, 500).client(500, 901, "").idle(5).idle(200).ends_with("");
    assert_eq!(wire.tcp.flows(), 0);
}

#[test]
fn without_interest_nothing_is_kept_but_the_end_is_seen() {
    let mut wire = Wire::new();
    wire.scribe.interest = Interest::End;
    wire.handshake().client(1, 1, "ab").client(50, 1, "cd").server(1, 52, "x").hears("opened 40000>5930 @2");
    assert_eq!(wire.tcp.kept(), 0);
    wire.fin(Client, 52, 2).fin(Server, 2, 53).hears("closed by C @7");
}

#[test]
fn a_fin_after_loss_is_seen_without_interest() {
    let mut wire = Wire::new();
    wire.scribe.interest = Interest::End;
    wire.handshake().fin(Server, 100_000, 1).hears("opened 40000>5930 @2; closed by S @3");
}

#[test]
fn an_ignored_connection_stays_so_until_its_four_tuple_is_used_again() {
    let mut wire = Wire::new();
    wire.scribe.interest = Interest::Nothing;
    wire.handshake().client(1, 1, "ab").fin(Client, 3, 1).fin(Server, 1, 4).hears("opened 40000>5930 @2");
    wire.isn = [77_000, 99_000];
    wire.handshake().ends_with("opened 40000>5930 @8");
}

#[test]
fn the_number_of_connections_is_bounded() {
    let mut wire = Wire::new();
    wire.tcp = Reassembler::new(10);
    for port in 1..100 {
        wire.client = end(&format!("10.0.0.1:{port}"));
        wire.handshake();
        assert!(wire.tcp.flows() <= 10);
    }
    assert_eq!(wire.scribe.heard.matches("evicted").count(), 89);
}

#[test]
fn closed_connections_are_evicted_before_live_ones() {
    let mut wire = Wire::new();
    wire.tcp = Reassembler::new(10);
    wire.handshake();
    for port in 1..50 {
        wire.client = end(&format!("10.0.0.1:{port}"));
        wire.handshake().fin(Server, 1, 1);
    }
    assert!(!wire.scribe.heard.contains("evicted"));
}

#[test]
fn closed_connection_has_its_volume() {
    /// A name, the packets, and: bytes from the client, from the server, when the client's last came, whether it was reset.
    type Case = (&'static str, fn(&mut Wire), (u64, u64, Option<i64>, bool));
    let cases: [Case; 9] = [
        ("nothing sent", |wire| _ = wire.fin(Client, 1, 1).fin(Server, 1, 2), (0, 0, None, false)),
        (
            "both ways",
            |wire| _ = wire.client(1, 1, "abc").server(1, 4, "defgh").fin(Client, 4, 6).fin(Server, 6, 5),
            (3, 5, Some(3), false),
        ),
        (
            "sent twice, and out of order",
            |wire| {
                _ = wire
                    .client(4, 1, "def")
                    .client(1, 1, "abc")
                    .client(1, 1, "abc")
                    .fin(Client, 7, 1)
                    .fin(Server, 1, 8);
            },
            (6, 0, Some(3), false),
        ),
        (
            "not captured",
            |wire| _ = wire.client(1, 1, "ab").server(1, 103, "x").client(103, 2, "c").fin(Server, 2, 104),
            (103, 1, Some(5), false),
        ),
        (
            "cut by the snaplen",
            |wire| _ = wire.packet(Client, Flags::ACK, 1, 1, "ab", 1000).fin(Server, 1, 1003),
            (1002, 0, Some(3), false),
        ),
        (
            "data with the FIN",
            |wire| {
                wire.packet(Client, Flags::FIN.and(Flags::ACK), 1, 1, "bye", 0).fin(Server, 1, 5);
            },
            (3, 0, Some(3), false),
        ),
        ("reset by the client", |wire| _ = wire.client(1, 1, "abc").rst(Client, 4), (3, 0, Some(3), true)),
        ("reset after the client's FIN", |wire| _ = wire.fin(Client, 1, 1).rst(Server, 1), (0, 0, None, false)),
        (
            "more than sequence numbers count",
            |wire| {
                wire.client(1, 1, "a");
                for turn in 1..=10_u32 {
                    wire.packet(
                        Client,
                        Flags::ACK,
                        2_u32.wrapping_add((turn - 1).wrapping_mul(1 << 29)),
                        1,
                        "",
                        1 << 29,
                    );
                    wire.server(1, 2_u32.wrapping_add(turn.wrapping_mul(1 << 29)), "");
                }
                wire.fin(Server, 1, 2_u32.wrapping_add(10_u32.wrapping_mul(1 << 29)));
            },
            (1 + 10 * (1 << 29), 0, Some(22), false),
        ),
    ];
    for interest in [Interest::Bytes, Interest::End] {
        for (name, steps, (from_client, from_server, last, was_reset)) in cases {
            let mut wire = Wire::new();
            wire.scribe.interest = interest;
            steps(wire.handshake());
            wire.tcp.finish(&mut wire.scribe);
            let volume = wire.scribe.volume.unwrap();
            let seen = (volume.from_client, volume.from_server, volume.last_from_client.map(tick), volume.was_reset);
            assert_eq!(seen, (from_client, from_server, last, was_reset), "{name}, {interest:?}");
        }
    }
}

#[test]
fn one_absurd_timestamp_does_not_stop_the_timers() {
    let mut wire = Wire::new();
    wire.handshake().fin(Server, 1, 1);
    wire.now += 1 << 40;
    wire.idle(0);
    wire.now = 4;
    wire.idle(0);
    wire.isn = [77_000, 99_000];
    wire.handshake().fin(Server, 1, 1).idle(121);
    assert_eq!(wire.tcp.flows(), 0);
}

/// The server sends three bytes, and again with growing waits. The last attempt comes at @18, and the next one would be due at @34.
fn unanswered() -> Wire {
    let mut wire = Wire::new();
    wire.scribe.interest = Interest::End;
    wire.handshake().hears("opened 40000>5930 @2");
    for at in [3, 4, 6, 10, 18] {
        wire.now = at;
        wire.server(1, 1, "abc").hears("");
    }
    wire
}

#[test]
fn a_server_that_stops_sending_again_has_given_up() {
    unanswered().idle(4).idle(1).hears("vanished Unanswered; closed by ? @34").ends_with("");
    // It may still send again.
    unanswered().idle(1).idle(1).hears("");
    // Other packets of the capture show that there was none for long enough.
    unanswered().idle(3600).hears("").client(1, 1, "").idle(4).idle(1).ends_with("");
}

#[test]
fn a_client_that_answers_has_not_vanished() {
    unanswered().client(1, 1, "").idle(4).idle(4).ends_with("");
    unanswered().client(1, 4, "").idle(4).idle(4).ends_with("");
    // New bytes of the server: it has not given up.
    unanswered().server(4, 1, "d").idle(4).idle(4).ends_with("");
    // What a client sends again without an answer tells nothing of the server.
    let mut wire = Wire::new();
    wire.handshake().hears("opened 40000>5930 @2");
    for at in [3, 4, 6, 10, 18] {
        wire.now = at;
        wire.client(1, 1, "abc");
    }
    wire.hears("C abc @3").idle(4).idle(4).ends_with("");
}

#[test]
fn open_connections_are_told_at_the_end() {
    let mut wire = Wire::new();
    wire.scribe.tells_open = true;
    wire.handshake().client(1, 1, "a").hears("opened 40000>5930 @2; C a @3");
    wire.idle(7).ends_with("silent since @3, for 7 s");
    let mut wire = Wire::new();
    wire.scribe.tells_open = true;
    wire.handshake().fin(Server, 1, 1).idle(7).ends_with("opened 40000>5930 @2; closed by S @3");
}
