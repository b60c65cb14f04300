//! What the tracker says of whole connections, byte for byte as QEMU would.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::fmt::Write as _;

use spice_events::{Address, Auth, Config, Endpoints, EventKind, FlowId, Input, Output, Side, Timestamp, Tracker};
use spice_link::{
    AuthMechanism, CapsBuf, ChannelType, CommonCap, DataHeader, LinkErrorCode, LinkMess, LinkReply, MainInit,
};

const TICKET: [u8; 128] = [0xaa; 128];

/// A client's message for a channel, with capability words as spice-gtk sends them.
fn mess(connection_id: u32, channel_type: ChannelType, channel_id: u8, common: u32) -> Vec<u8> {
    let (common, channel) = (CapsBuf::from_words([common]), CapsBuf::from_words([0]));
    let (common_caps, channel_caps) = (common.as_caps(), channel.as_caps());
    let mut out = vec![0; 64];
    let len = LinkMess { connection_id, channel_type, channel_id, common_caps, channel_caps }.encode(&mut out).unwrap();
    out.truncate(len);
    out
}

/// A server's reply that accepts.
fn reply(common: u32) -> Vec<u8> {
    let (common, channel) = (CapsBuf::from_words([common]), CapsBuf::from_words([0]));
    let reply = LinkReply {
        error: LinkErrorCode::OK,
        pub_key: &[0x30; 162],
        common_caps: common.as_caps(),
        channel_caps: channel.as_caps(),
    };
    let mut out = vec![0; 256];
    let len = reply.encode(&mut out).unwrap();
    out.truncate(len);
    out
}

fn main_init(session_id: u32, full: Option<(u64, u32)>) -> Vec<u8> {
    let header = DataHeader { message_type: MainInit::MESSAGE_TYPE, size: MainInit::SIZE, full };
    let mut out = header.encode(&mut [0; 18]).to_vec();
    out.extend(session_id.to_le_bytes());
    out.extend([0; 28]);
    out
}

const AUTH_SELECTION: u32 = 1 << CommonCap::AUTH_SELECTION.0;
const SASL: u32 = 1 << CommonCap::AUTH_SASL.0;
const MINI: u32 = 1 << CommonCap::MINI_HEADER.0;
const GTK: u32 = AUTH_SELECTION | MINI;
const QEMU: u32 = GTK | 1 << CommonCap::AUTH_SPICE.0;
const QEMU_SASL: u32 = GTK | SASL;

/// A tracker, a clock that advances by a microsecond for each input, and the outputs so far.
struct Lab {
    tracker: Tracker,
    now: i64,
    /// The port of the server that the next connection goes to.
    port: u16,
    said: Vec<String>,
}

impl Lab {
    fn new(config: Config) -> Self {
        Self { tracker: Tracker::new(config), now: 0, port: 5900, said: Vec::new() }
    }

    fn input(&mut self, flow: u64, input: Input<'_>) -> &mut Self {
        self.now += 1;
        self.tracker.handle(Timestamp { seconds: 0, microseconds: self.now }, FlowId(flow), input);
        while let Some(output) = self.tracker.poll() {
            self.said.push(match output {
                Output::Event(event) => event.to_string(),
                Output::Anomaly(anomaly) => format!("{} {}", anomaly.flow.0, anomaly.kind.name()),
            });
        }
        self
    }

    /// A connection from the client port that equals its id.
    fn open(&mut self, flow: u64) -> &mut Self {
        let end = |port: u16| Address::from(([127, 0, 0, 1].into(), port));
        let client = end(u16::try_from(flow).unwrap());
        self.input(
            flow,
            Input::Opened { endpoints: Endpoints { server: end(self.port), client }, tls: false, readable: true },
        )
    }

    fn client(&mut self, flow: u64, data: &[u8]) -> &mut Self {
        self.input(flow, Input::Bytes { from: Side::Client, data })
    }

    fn server(&mut self, flow: u64, data: &[u8]) -> &mut Self {
        self.input(flow, Input::Bytes { from: Side::Server, data })
    }

    fn close(&mut self, flow: u64, by: Side) -> &mut Self {
        self.input(flow, Input::Closed { by: Some(by) })
    }

    /// All outputs since the last call, as `flow EVENT` or `flow EVENT id type/id auth`.
    fn said(&mut self) -> Vec<String> {
        std::mem::take(&mut self.said).iter().map(|line| short(line)).collect()
    }
}

fn short(line: &str) -> String {
    if !line.starts_with('{') {
        return line.to_owned();
    }
    let value: serde_json::Value = serde_json::from_str(line).unwrap();
    let (client, server) = (&value["data"]["client"], &value["data"]["server"]);
    let mut out = format!("{} {}", client["port"].as_str().unwrap(), value["event"].as_str().unwrap());
    if let Some(id) = client["connection-id"].as_i64() {
        let (channel, auth) = (&client["channel-type"], server["auth"].as_str().unwrap());
        write!(out, " {id} {channel}/{} {auth}", client["channel-id"]).unwrap();
    }
    out.replace("SPICE_", "")
}

#[test]
fn lines_equal_qemus() {
    let mut lab = Lab::new(Config::new().auth(Auth::None));
    lab.open(1).client(1, &mess(0x8000_0001, ChannelType::INPUTS, 0, GTK)).server(1, &reply(QEMU));
    lab.client(1, &AuthMechanism::SPICE.0.to_le_bytes()).client(1, &TICKET).server(1, &[0; 4]).close(1, Side::Client);
    assert_eq!(
        lab.said,
        [
            r#"{"timestamp": {"seconds": 0, "microseconds": 1}, "event": "SPICE_CONNECTED", "data": {"server": {"port": "5900", "family": "ipv4", "host": "127.0.0.1"}, "client": {"port": "1", "family": "ipv4", "host": "127.0.0.1"}}}"#,
            r#"{"timestamp": {"seconds": 0, "microseconds": 6}, "event": "SPICE_INITIALIZED", "data": {"server": {"auth": "none", "port": "5900", "family": "ipv4", "host": "127.0.0.1"}, "client": {"port": "1", "family": "ipv4", "channel-type": 3, "connection-id": -2147483647, "host": "127.0.0.1", "channel-id": 0, "tls": false}}}"#,
            r#"{"timestamp": {"seconds": 0, "microseconds": 7}, "event": "SPICE_DISCONNECTED", "data": {"server": {"port": "5900", "family": "ipv4", "host": "127.0.0.1"}, "client": {"port": "1", "family": "ipv4", "host": "127.0.0.1"}}}"#,
        ]
    );
}

/// The link stage of one channel with a ticket, up to the result.
fn link(lab: &mut Lab, flow: u64, id: u32, channel_type: ChannelType, channel_id: u8, result: LinkErrorCode) {
    lab.open(flow).client(flow, &mess(id, channel_type, channel_id, GTK)).server(flow, &reply(QEMU));
    lab.client(flow, &AuthMechanism::SPICE.0.to_le_bytes()).client(flow, &TICKET);
    lab.server(flow, &result.0.to_le_bytes());
}

#[test]
fn new_main_channel_waits_for_its_id() {
    for (common, full) in [(GTK, None), (AUTH_SELECTION, Some((1, 0))), (MINI, None), (0, Some((1, 0)))] {
        let mut lab = Lab::new(Config::new());
        lab.open(1).client(1, &mess(0, ChannelType::MAIN, 0, common)).server(1, &reply(QEMU));
        if common & AUTH_SELECTION != 0 {
            lab.client(1, &AuthMechanism::SPICE.0.to_le_bytes());
        }
        lab.client(1, &TICKET).server(1, &[0; 4]);
        assert_eq!(lab.said(), ["1 CONNECTED"]);
        assert!(lab.tracker.wants(FlowId(1)));
        lab.server(1, &main_init(0xc769_5ccb, full));
        assert_eq!(lab.said(), ["1 INITIALIZED -949396277 1/0 spice"], "{common:#x}");
        assert!(!lab.tracker.wants(FlowId(1)));
    }
}

#[test]
fn main_channel_that_closes_before_main_init_has_id_0() {
    let mut lab = Lab::new(Config::new());
    link(&mut lab, 1, 0, ChannelType::MAIN, 0, LinkErrorCode::OK);
    lab.server(1, &[103]).close(1, Side::Client);
    assert_eq!(lab.said(), ["1 CONNECTED", "1 id-unknown", "1 INITIALIZED 0 1/0 spice", "1 DISCONNECTED"]);
}

#[test]
fn migration_target_has_the_id_of_its_message() {
    let mut lab = Lab::new(Config::new());
    link(&mut lab, 1, 7, ChannelType::MAIN, 0, LinkErrorCode::OK);
    assert_eq!(lab.said(), ["1 CONNECTED", "1 migration-target", "1 INITIALIZED 7 1/0 spice"]);
}

#[test]
fn refused_links_are_reported_and_disconnected() {
    let mut lab = Lab::new(Config::new());
    link(&mut lab, 1, 0, ChannelType::MAIN, 0, LinkErrorCode::PERMISSION_DENIED);
    lab.close(1, Side::Server);
    assert_eq!(lab.said(), ["1 CONNECTED", "1 refused", "1 DISCONNECTED"]);
    lab.open(2).client(2, b"GEX / HTTP/1.1\r\n\r\n").server(2, &LinkReply::refusal(LinkErrorCode::INVALID_MAGIC));
    lab.close(2, Side::Server);
    assert_eq!(lab.said(), ["2 CONNECTED", "2 unreadable", "2 refused", "2 DISCONNECTED"]);
    lab.open(3).close(3, Side::Client);
    assert_eq!(lab.said(), ["3 CONNECTED", "3 unlinked", "3 DISCONNECTED"]);
}

/// The server's reply decides that no mechanism word comes. The client sends nothing after it.
#[test]
fn refusal_after_a_reply_without_selection_is_reported() {
    let mut lab = Lab::new(Config::new());
    lab.open(1).client(1, &mess(0, ChannelType::INPUTS, 0, AUTH_SELECTION)).server(1, &reply(0));
    lab.server(1, &LinkReply::refusal(LinkErrorCode::INVALID_DATA)).close(1, Side::Server);
    assert_eq!(lab.said(), ["1 CONNECTED", "1 refused", "1 DISCONNECTED"]);
}

#[test]
fn leaked_socket_is_never_disconnected() {
    let mut lab = Lab::new(Config::new());
    let second = LinkReply::refusal(LinkErrorCode::VERSION_MISMATCH);
    lab.open(1).client(1, &mess(0, ChannelType::MAIN, 0, MINI)).server(1, &reply(QEMU_SASL)).server(1, &second);
    assert_eq!(lab.said(), ["1 CONNECTED", "1 refused", "1 leaked"]);
    lab.close(1, Side::Client);
    assert_eq!(lab.said(), [""; 0]);
    assert!(lab.tracker.is_empty());
}

/// The SASL exchange of spice-gtk and QEMU with DIGEST-MD5, up to its success.
fn sasl(lab: &mut Lab, flow: u64, id: u32, channel_type: ChannelType) {
    let block = |data: &[u8]| [&u32::try_from(data.len()).unwrap().to_le_bytes(), data].concat();
    lab.open(flow).client(flow, &mess(id, channel_type, 0, GTK | SASL)).server(flow, &reply(QEMU_SASL));
    lab.client(flow, &AuthMechanism::SASL.0.to_le_bytes()).server(flow, &block(b",DIGEST-MD5,"));
    lab.client(flow, &block(b"DIGEST-MD5")).client(flow, &block(b""));
    lab.server(flow, &[block(&[1; 150]), vec![0]].concat()).client(flow, &block(&[2; 258]));
    lab.server(flow, &[block(&[3; 41]), vec![1]].concat()).server(flow, &[0; 4]);
}

/// A frame of the security layer.
fn frame(len: u32) -> Vec<u8> {
    [&len.to_be_bytes()[..], &vec![0xee; len as usize]].concat()
}

#[test]
fn success_inside_a_security_layer_is_inferred_and_the_id_learned() {
    let mut lab = Lab::new(Config::new());
    sasl(&mut lab, 1, 0, ChannelType::MAIN);
    lab.server(1, &frame(20));
    assert_eq!(lab.said(), ["1 CONNECTED"]);
    lab.server(1, &frame(54));
    assert_eq!(lab.said(), ["1 inferred"]);
    sasl(&mut lab, 2, 0xffff_fff0, ChannelType::INPUTS);
    lab.server(2, &frame(20)).client(2, &frame(24));
    assert_eq!(
        lab.said(),
        ["2 CONNECTED", "2 inferred", "1 id-learned", "1 INITIALIZED -16 1/0 sasl", "2 INITIALIZED -16 3/0 sasl"]
    );
    let order: Vec<_> = lab.tracker.channels().iter().map(|live| live.info().channel_type).collect();
    assert_eq!(order, [1, 3]);
    lab.close(2, Side::Client).close(1, Side::Client);
    assert_eq!(lab.said(), ["2 DISCONNECTED", "1 DISCONNECTED"]);
}

#[test]
fn learned_id_goes_to_the_newest_waiting_main_channel() {
    let mut lab = Lab::new(Config::new());
    for flow in 1..=4 {
        sasl(&mut lab, flow, 0, ChannelType::MAIN);
        lab.server(flow, &frame(20)).server(flow, &frame(54));
    }
    // Connections 1 and 3 still wait. The packets do not tell which of them has the id 7, so the pairing is ambiguous.
    lab.close(4, Side::Client).close(2, Side::Client).said();
    sasl(&mut lab, 5, 7, ChannelType::INPUTS);
    lab.server(5, &frame(20)).client(5, &frame(24));
    assert_eq!(
        lab.said(),
        ["5 CONNECTED", "5 inferred", "3 id-ambiguous", "3 INITIALIZED 7 1/0 sasl", "5 INITIALIZED 7 3/0 sasl"]
    );
    // Only connection 1 waits now. Its id is ambiguous all the same: it may have swapped ids with connection 3.
    sasl(&mut lab, 6, 8, ChannelType::INPUTS);
    lab.server(6, &frame(20)).client(6, &frame(24));
    assert_eq!(
        lab.said(),
        ["6 CONNECTED", "6 inferred", "1 id-ambiguous", "1 INITIALIZED 8 1/0 sasl", "6 INITIALIZED 8 3/0 sasl"]
    );
}

/// A capture notices lost bytes late, when the other channels are already up.
#[test]
fn lost_id_is_learned_from_channels_that_are_already_up() {
    let mut lab = Lab::new(Config::new());
    // Of a session whose main channel was never seen.
    link(&mut lab, 1, 6, ChannelType::CURSOR, 0, LinkErrorCode::OK);
    link(&mut lab, 2, 0, ChannelType::MAIN, 0, LinkErrorCode::OK);
    link(&mut lab, 3, 7, ChannelType::INPUTS, 0, LinkErrorCode::OK);
    link(&mut lab, 4, 7, ChannelType::CURSOR, 0, LinkErrorCode::OK);
    lab.said();
    lab.input(2, Input::Gap { from: Side::Server, len: 38 });
    assert_eq!(lab.said(), ["2 lost", "2 id-learned", "2 INITIALIZED 7 1/0 spice"]);

    // The channels of that session are not there for the next one, nor are those that are gone.
    link(&mut lab, 5, 0, ChannelType::MAIN, 0, LinkErrorCode::OK);
    link(&mut lab, 6, 8, ChannelType::INPUTS, 0, LinkErrorCode::OK);
    lab.close(6, Side::Server).said();
    lab.input(5, Input::Gap { from: Side::Server, len: 38 });
    assert_eq!(lab.said(), ["5 lost"]);
    lab.close(5, Side::Client);
    assert_eq!(lab.said(), ["5 id-unknown", "5 INITIALIZED 0 1/0 spice", "5 DISCONNECTED"]);
}

/// Up to 0.15.0, spice-server makes the id with an unseeded `rand`: the first session of every VM has the same id.
#[test]
fn two_servers_may_have_sessions_of_the_same_id() {
    let mut lab = Lab::new(Config::new());
    // Twice, because the first time must leave nothing behind.
    for _ in 0..2 {
        for (port, main, inputs) in [(5900, 1, 2), (5910, 3, 4), (5920, 5, 6)] {
            lab.port = port;
            sasl(&mut lab, main, 0, ChannelType::MAIN);
            lab.server(main, &frame(20)).server(main, &frame(54)).said();
            sasl(&mut lab, inputs, 1_804_289_383, ChannelType::INPUTS);
            lab.server(inputs, &frame(20)).client(inputs, &frame(24));
            let learned = format!("{main} INITIALIZED 1804289383 1/0 sasl");
            assert!(lab.said().contains(&learned), "{learned}");
        }
        // A channel of a session that is known gives its id to no other one of its server.
        for (port, main, cursor) in [(5900, 7, 8), (5910, 9, 10)] {
            lab.port = port;
            sasl(&mut lab, main, 0, ChannelType::MAIN);
            lab.server(main, &frame(20)).server(main, &frame(54)).said();
            sasl(&mut lab, cursor, 1_804_289_383, ChannelType::CURSOR);
            lab.server(cursor, &frame(20)).client(cursor, &frame(24));
            let cursor = cursor.to_string();
            assert!(lab.said().iter().all(|line| line.starts_with(&cursor)));
        }
        for flow in 1..=10 {
            lab.close(flow, Side::Client);
        }
        lab.said();
    }
}

#[test]
fn hidden_result_counts_as_success_if_the_client_closes() {
    let mut lab = Lab::new(Config::new());
    sasl(&mut lab, 1, 5, ChannelType::RECORD);
    lab.server(1, &frame(20)).close(1, Side::Server);
    assert_eq!(lab.said(), ["1 CONNECTED", "1 unlinked", "1 DISCONNECTED"]);
    sasl(&mut lab, 2, 5, ChannelType::RECORD);
    lab.server(2, &frame(20)).close(2, Side::Client);
    assert_eq!(lab.said(), ["2 CONNECTED", "2 inferred", "2 INITIALIZED 5 6/0 sasl", "2 DISCONNECTED"]);
}

#[test]
fn lost_bytes_matter_only_where_they_are_read() {
    let mut lab = Lab::new(Config::new());
    lab.open(1).client(1, &mess(9, ChannelType::CURSOR, 1, GTK)).server(1, &reply(QEMU));
    lab.client(1, &AuthMechanism::SPICE.0.to_le_bytes()).client(1, &TICKET[..50]);
    lab.input(1, Input::Gap { from: Side::Client, len: 78 }).server(1, &[0; 4]);
    assert_eq!(lab.said(), ["1 CONNECTED", "1 INITIALIZED 9 4/1 spice"]);

    lab.open(2).client(2, &mess(9, ChannelType::CURSOR, 1, GTK)).input(2, Input::Gap { from: Side::Server, len: 202 });
    lab.server(2, &[0; 4]).close(2, Side::Server);
    assert_eq!(lab.said(), ["2 CONNECTED", "2 lost", "2 DISCONNECTED"]);
}

/// A packet of which only the first `kept` bytes were captured.
fn cut(lab: &mut Lab, flow: u64, from: Side, packet: &[u8], kept: usize) {
    let kept = kept.min(packet.len());
    lab.input(flow, Input::Bytes { from, data: &packet[..kept] });
    if kept < packet.len() {
        lab.input(flow, Input::Gap { from, len: (packet.len() - kept) as u64 });
    }
}

/// Links whose packets were cut to their first `kept` bytes: a fresh main channel, then a cursor channel.
fn cut_links(kept: usize, common: u32) -> Vec<String> {
    let mut lab = Lab::new(Config::new());
    let full = if common & MINI == 0 { Some((1, 0)) } else { None };
    for (flow, id, channel) in [(1, 0, ChannelType::MAIN), (2, 77, ChannelType::CURSOR)] {
        lab.open(flow);
        cut(&mut lab, flow, Side::Client, &mess(id, channel, 0, common), kept);
        cut(&mut lab, flow, Side::Server, &reply(common), kept);
        cut(&mut lab, flow, Side::Client, &AuthMechanism::SPICE.0.to_le_bytes(), kept);
        cut(&mut lab, flow, Side::Client, &TICKET, kept);
        cut(&mut lab, flow, Side::Server, &[0; 4], kept);
        cut(&mut lab, flow, Side::Server, &main_init(77, full), kept);
    }
    lab.said()
}

#[test]
fn packets_cut_behind_type_and_id_give_initialized() {
    let whole = ["1 CONNECTED", "1 INITIALIZED 77 1/0 spice", "2 CONNECTED", "2 INITIALIZED 77 4/0 spice"];
    for common in [GTK, AUTH_SELECTION] {
        for kept in 22..64 {
            let said = cut_links(kept, common);
            assert_eq!(said.iter().filter(|line| !line.ends_with(" cut")).collect::<Vec<_>>(), whole, "{kept}");
            assert_eq!(said.len() == whole.len(), kept >= 42, "{kept}: {said:?}");
        }
        assert!(cut_links(21, common).iter().all(|line| !line.contains("INITIALIZED")));
    }
}

#[test]
fn a_lost_reply_or_result_is_inferred_from_what_follows() {
    // (bytes of the server that are lost, what follows, the expected outputs)
    let pong = [3, 0, 12, 0, 0, 0];
    let tail = |main_init: &[u8]| [&reply(QEMU)[reply(QEMU).len() - 8..], &[0; 4], main_init].concat();
    for (lost, server, client, expected) in [
        (reply(QEMU).len(), [&[0; 4], &main_init(77, None)[..]].concat(), &b""[..], "INITIALIZED 77 1/0 spice"),
        (reply(QEMU).len() + 4, main_init(77, None), b"", "inferred|INITIALIZED 77 1/0 spice"),
        (reply(QEMU).len(), vec![7, 0, 0, 0], b"", "refused"),
        // The reply's first packet was lost, and its capabilities came in another one.
        (reply(QEMU).len() - 8, tail(&main_init(77, None)), b"", "inferred|INITIALIZED 77 1/0 spice"),
        (reply(QEMU).len() - 8, tail(&main_init(77, Some((1, 0)))), b"", "inferred|INITIALIZED 77 1/0 spice"),
        (reply(QEMU).len() + 60, vec![3, 0, 12, 0, 0, 0], &pong, "inferred|id-unknown|INITIALIZED 0 1/0 spice"),
        (reply(QEMU).len(), vec![], b"", ""),
    ] {
        let mut lab = Lab::new(Config::new());
        lab.open(1).client(1, &mess(0, ChannelType::MAIN, 0, GTK));
        lab.input(1, Input::Gap { from: Side::Server, len: lost as u64 });
        lab.client(1, &AuthMechanism::SPICE.0.to_le_bytes()).client(1, &TICKET).server(1, &server).client(1, client);
        lab.close(1, Side::Client);
        let said = lab.said();
        let said = said.iter().map(|line| &line[2..]).filter(|line| !line.ends_with("CONNECTED") && *line != "lost");
        assert_eq!(said.collect::<Vec<_>>().join("|"), expected, "{lost} lost");
    }
}

#[test]
fn reused_id_closes_the_older_connection() {
    let mut lab = Lab::new(Config::new());
    lab.open(1).open(1).close(1, Side::Client);
    assert_eq!(
        lab.said(),
        ["1 CONNECTED", "1 reopened", "1 unlinked", "1 DISCONNECTED", "1 CONNECTED", "1 unlinked", "1 DISCONNECTED"]
    );
}

#[test]
fn forgotten_connection_is_never_disconnected() {
    let mut lab = Lab::new(Config::new());
    sasl(&mut lab, 1, 0, ChannelType::MAIN);
    lab.server(1, &frame(20)).server(1, &frame(54));
    lab.tracker.forget(FlowId(1));
    assert!(lab.tracker.is_empty());
    // The next channel does not find the main channel any more.
    sasl(&mut lab, 2, 7, ChannelType::INPUTS);
    lab.server(2, &frame(20)).server(2, &frame(24)).close(1, Side::Client);
    let said = lab.said();
    assert_eq!(said, ["1 CONNECTED", "1 inferred", "2 CONNECTED", "2 inferred", "2 INITIALIZED 7 3/0 sasl"]);
}

/// Whole conversations of one connection, each direction in one chunk, and the outputs for chunks of any size and order.
fn conversations() -> Vec<(Vec<u8>, Vec<u8>, &'static [&'static str])> {
    let ticket = [&AuthMechanism::SPICE.0.to_le_bytes()[..], &TICKET].concat();
    let block = |data: &[u8]| [&u32::try_from(data.len()).unwrap().to_le_bytes(), data].concat();
    let websocket = |stream: &[u8]| -> Vec<u8> {
        stream.chunks(7).flat_map(|run| [&[0x82, u8::try_from(run.len()).unwrap()], run].concat()).collect()
    };
    let inputs = [mess(9, ChannelType::INPUTS, 0, GTK), ticket.clone()].concat();
    let inputs_answer = [reply(QEMU), vec![0; 4], vec![0x55; 64]].concat();
    vec![
        (inputs.clone(), inputs_answer.clone(), &["1 CONNECTED", "1 INITIALIZED 9 3/0 spice", "1 DISCONNECTED"]),
        (
            [&b"GET / HTTP/1.1\r\nSec-WebSocket-Key: x\r\n\r\n"[..], &websocket(&inputs)].concat(),
            [&b"HTTP/1.1 101 Switching Protocols\r\n\r\n"[..], &websocket(&inputs_answer)].concat(),
            &["1 CONNECTED", "1 INITIALIZED 9 3/0 spice", "1 DISCONNECTED"],
        ),
        (
            [mess(0, ChannelType::MAIN, 0, GTK), ticket].concat(),
            [reply(QEMU), vec![0; 4], main_init(3, None), vec![0; 99]].concat(),
            &["1 CONNECTED", "1 INITIALIZED 3 1/0 spice", "1 DISCONNECTED"],
        ),
        (
            [
                mess(4, ChannelType::DISPLAY, 0, GTK | SASL),
                AuthMechanism::SASL.0.to_le_bytes().to_vec(),
                block(b"DIGEST-MD5"),
                block(b""),
                block(&[2; 258]),
                frame(36),
            ]
            .concat(),
            [
                reply(QEMU_SASL),
                block(b",DIGEST-MD5,"),
                block(&[1; 150]),
                vec![0],
                block(&[3; 41]),
                vec![1, 0, 0, 0, 0],
                frame(20),
                frame(30),
            ]
            .concat(),
            &["1 CONNECTED", "1 inferred", "1 INITIALIZED 4 2/0 sasl", "1 DISCONNECTED"],
        ),
        (
            [mess(0, ChannelType::MAIN, 0, 0), TICKET.to_vec()].concat(),
            [reply(QEMU), LinkErrorCode::PERMISSION_DENIED.0.to_le_bytes().to_vec()].concat(),
            &["1 CONNECTED", "1 refused", "1 DISCONNECTED"],
        ),
    ]
}

#[test]
fn chunks_and_interleavings_change_nothing() {
    for (client, server, expected) in conversations() {
        for (cut, server_first) in [(1, false), (1, true), (3, false), (19, true), (4096, false), (4096, true)] {
            // All of one direction before the other, then turn by turn.
            let mut lab = Lab::new(Config::new());
            lab.open(1);
            let (mut c, mut s) = (client.chunks(cut), server.chunks(cut));
            if server_first {
                s.by_ref().for_each(|chunk| {
                    let _ = lab.server(1, chunk);
                });
            }
            c.by_ref().for_each(|chunk| {
                let _ = lab.client(1, chunk);
            });
            s.for_each(|chunk| {
                let _ = lab.server(1, chunk);
            });
            lab.close(1, Side::Client);
            assert_eq!(lab.said(), expected, "cut {cut}, server first: {server_first}");

            lab.open(1);
            let (mut c, mut s) = (client.chunks(cut), server.chunks(cut * 2));
            loop {
                let (from_client, from_server) = (c.next(), s.next());
                from_client.map(|chunk| lab.client(1, chunk));
                from_server.map(|chunk| lab.server(1, chunk));
                if from_client.or(from_server).is_none() {
                    break;
                }
            }
            lab.close(1, Side::Client);
            assert_eq!(lab.said(), expected, "cut {cut}, in turns");
        }
    }
}

#[test]
fn held_bytes_of_a_direction_are_bounded() {
    let mut lab = Lab::new(Config::new());
    lab.open(1).server(1, &reply(QEMU));
    for _ in 0..1000 {
        lab.server(1, &[0; 4096]);
    }
    // The result was among the bytes that were held.
    lab.client(1, &mess(9, ChannelType::INPUTS, 0, GTK)).client(1, &AuthMechanism::SPICE.0.to_le_bytes());
    assert_eq!(lab.said(), ["1 CONNECTED", "1 INITIALIZED 9 3/0 spice"]);
}

#[test]
fn changed_auth_applies_to_later_channels() {
    let mut lab = Lab::new(Config::new());
    link(&mut lab, 1, 7, ChannelType::INPUTS, 0, LinkErrorCode::OK);
    lab.tracker.set_auth(Some(Auth::None));
    link(&mut lab, 2, 7, ChannelType::CURSOR, 0, LinkErrorCode::OK);
    assert_eq!(lab.said(), ["1 CONNECTED", "1 INITIALIZED 7 3/0 spice", "2 CONNECTED", "2 INITIALIZED 7 4/0 none"]);
}

/// Many clients that begin a message and do not go on.
#[test]
fn bytes_that_all_link_stages_hold_are_limited() {
    let message = mess(0, ChannelType::MAIN, 0, GTK);
    let (start, rest) = message.split_at(30);
    let held = start.len();
    let mut tracker = Tracker::new(Config::new().max_held(10 * held));
    let at = Timestamp { seconds: 0, microseconds: 0 };
    let ends = |port: u16| Endpoints {
        server: Address::from(([127, 0, 0, 1].into(), 5900)),
        client: Address::from(([127, 0, 0, 1].into(), port)),
    };
    for port in 0..20 {
        let flow = FlowId(port.into());
        tracker.handle(at, flow, Input::Opened { endpoints: ends(port), tls: false, readable: true });
        tracker.handle(at, flow, Input::Bytes { from: Side::Client, data: start });
        assert!(tracker.held() <= 10 * held, "{}", tracker.held());
        assert_eq!(tracker.wants(flow), port < 10, "{port}");
    }
    assert_eq!(tracker.held(), 10 * held);
    // A connection that ends, that is forgotten, that can't be read, or that goes on, gives its bytes back.
    tracker.handle(at, FlowId(0), Input::Closed { by: None });
    tracker.forget(FlowId(1));
    tracker.handle(at, FlowId(2), Input::Opaque);
    assert_eq!(tracker.held(), 7 * held);
    tracker.handle(at, FlowId(3), Input::Bytes { from: Side::Client, data: rest });
    assert_eq!(tracker.held(), 6 * held);
    for port in 0..20 {
        tracker.handle(at, FlowId(port), Input::Closed { by: None });
    }
    assert_eq!(tracker.held(), 0);
    let said: Vec<_> = std::iter::from_fn(|| tracker.poll()).collect();
    let count = |wanted: fn(&Output) -> bool| said.iter().filter(|output| wanted(output)).count();
    assert_eq!(count(|output| matches!(output, Output::Event(event) if event.kind == EventKind::Connected)), 20);
    // One was forgotten.
    assert_eq!(count(|output| matches!(output, Output::Event(event) if event.kind == EventKind::Disconnected)), 19);
    let limited = |output: &Output| matches!(output, Output::Anomaly(anomaly) if anomaly.kind.name() == "held-total");
    assert_eq!(count(limited), 10);
}
