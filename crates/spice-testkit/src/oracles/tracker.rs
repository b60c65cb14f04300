//! The tracker: pairing and order of events, bounds and determinism, under any operations on a few connections.

use std::collections::HashMap;

use arbitrary::{Result, Unstructured};
use spice_events::{Address, AnomalyKind, Auth, Config, EventKind, FlowId, Input, Output, Side, Timestamp, Tracker};

use crate::generate::{Arbitrary, Conversation, Delivery, Frames, rarely};

/// One thing that happens to a connection.
#[derive(Clone, Debug)]
pub enum Op {
    /// It is accepted.
    Open {
        /// Which.
        flow: u64,
        /// Inside TLS, and whether that can be read.
        tls: bool,
        /// Whether its bytes can be read.
        readable: bool,
    },
    /// Bytes come.
    Bytes(u64, Side, Vec<u8>),
    /// Bytes are lost.
    Gap(u64, Side, u64),
    /// It ends.
    Close(u64, Option<Side>),
}

/// Choices of operations on up to four connections at once. Per connection: CONNECTED first, INITIALIZED at most once and after
/// it, DISCONNECTED last unless the socket leaked; `channels` lists just what is up; the same operations say the same again.
pub fn tracker_ops(choices: &[u8]) {
    let mut u = Unstructured::new(choices);
    let Ok((config, ops)) = draw(&mut u) else { return };
    let said = run(&config, &ops);
    assert_eq!(said, run(&config, &ops), "the same operations, another story");
}

/// A name for the kinds of anomaly that these choices of [`tracker_ops`] come to; for seeds.
pub fn outcome(choices: &[u8]) -> Option<String> {
    let (config, ops) = draw(&mut Unstructured::new(choices)).ok()?;
    let said = run(&config, &ops);
    let mut kinds = Vec::new();
    for line in &said {
        let kind =
            line.split_once("kind: ").map_or("", |(_, rest)| rest.split([' ', '(', '{', '}']).next().unwrap_or(""));
        if !["Connected", "Disconnected"].contains(&kind) && !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    kinds.sort_unstable();
    kinds.truncate(2);
    Some(if kinds.is_empty() { "silence".to_owned() } else { kinds.join("-").to_ascii_lowercase() })
}

fn draw(u: &mut Unstructured<'_>) -> Result<(Config, Vec<Op>)> {
    let mut config = Config::new();
    if u.arbitrary()? {
        config = config.auth(*u.choose(&[Auth::Spice, Auth::None, Auth::Sasl])?);
    }
    if rarely(u, 8)? {
        config.max_backlog = u.int_in_range(0..=300)?;
    }
    // Some connections tell a whole story, in pieces; what is drawn by itself comes between them.
    let mut stories = Vec::new();
    for flow in 0..u.int_in_range(1..=4)? {
        let mut story = tell(u, flow)?;
        story.reverse();
        stories.push(story);
    }
    let mut ops = Vec::new();
    while ops.len() < 400 && stories.iter().any(|story| !story.is_empty()) {
        let which = u.choose_index(stories.len())?;
        match stories[which].pop() {
            Some(op) => ops.push(op),
            None => {
                stories.swap_remove(which);
            }
        }
        if rarely(u, 16)? {
            ops.push(stray(u)?);
        }
    }
    Ok((config, ops))
}

fn tell(u: &mut Unstructured<'_>, flow: u64) -> Result<Vec<Op>> {
    let mut ops = vec![Op::Open { flow, tls: u.arbitrary()?, readable: !rarely(u, 8)? }];
    let story = Conversation::arbitrary(u)?;
    let mut streams = [Side::Client, Side::Server].map(|side| story.stream(side));
    if rarely(u, 8)? {
        let (client, server) = (Frames::carry(u, &streams[0], true)?, Frames::carry(u, &streams[1], false)?);
        let request = b"GET / HTTP/1.1\r\nSec-WebSocket-Key: x\r\n\r\n";
        let response = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";
        streams = [[&request[..], &client.bytes()].concat(), [&response[..], &server.bytes()].concat()];
    }
    let delivery = Delivery::of(u, [streams[0].len(), streams[1].len()])?;
    for (from, bytes) in delivery.play(&streams[0], &streams[1]).take(200) {
        if rarely(u, 32)? {
            ops.push(Op::Gap(flow, from, bytes.len() as u64));
        } else {
            ops.push(Op::Bytes(flow, from, bytes.to_vec()));
        }
    }
    ops.push(Op::Close(flow, *u.choose(&[Some(Side::Client), Some(Side::Server), None])?));
    Ok(ops)
}

fn stray(u: &mut Unstructured<'_>) -> Result<Op> {
    let flow = u.int_in_range(0..=5)?;
    let side = if u.arbitrary()? { Side::Client } else { Side::Server };
    Ok(match u.int_in_range(0..=3)? {
        0 => Op::Open { flow, tls: false, readable: true },
        1 => Op::Bytes(flow, side, u.arbitrary::<[u8; 8]>()?.to_vec()),
        2 => Op::Gap(flow, side, *u.choose(&[0, 1, 128, u64::MAX])?),
        _ => Op::Close(flow, None),
    })
}

/// What a connection's events have said so far.
#[derive(Debug, Default)]
struct Life {
    initialized: bool,
    leaked: bool,
}

fn run(config: &Config, ops: &[Op]) -> Vec<String> {
    let mut tracker = Tracker::new(config.clone());
    let mut lives: HashMap<u64, Life> = HashMap::new();
    let mut said = Vec::new();
    for (index, op) in ops.iter().enumerate() {
        let at = Timestamp { seconds: i64::try_from(index).unwrap_or(i64::MAX), microseconds: 0 };
        let (flow, input) = match op {
            Op::Open { flow, tls, readable } => {
                let end = |port: u64| Address { port: port.to_string().into(), ..Address::unix("") };
                (*flow, Input::Opened { server: end(5900), client: end(*flow), tls: *tls, readable: *readable })
            }
            Op::Bytes(flow, from, data) => (*flow, Input::Bytes { from: *from, data }),
            Op::Gap(flow, from, len) => (*flow, Input::Gap { from: *from, len: *len }),
            Op::Close(flow, by) => (*flow, Input::Closed { by: *by }),
        };
        let closing = matches!(op, Op::Close(..)) && lives.contains_key(&flow);
        tracker.handle(at, FlowId(flow), input);
        while let Some(output) = tracker.poll() {
            said.push(format!("{output:?}"));
            hear(&mut lives, &output);
        }
        if closing && lives.get(&flow).is_some_and(|life| life.leaked) {
            lives.remove(&flow);
        }
        assert!(!(closing && lives.contains_key(&flow)), "closed, and no word of it: {op:?}");
        let up = lives.values().filter(|life| life.initialized).count();
        assert_eq!(tracker.channels().len(), up, "the list of channels and the events differ");
        assert_eq!(tracker.len(), lives.len(), "connections are forgotten, or kept for ever");
    }
    said
}

fn hear(lives: &mut HashMap<u64, Life>, output: &Output) {
    match output {
        Output::Event(event) => {
            let flow = event.flow.0;
            match event.kind {
                EventKind::Connected => {
                    // A leaked socket's end is never said; its id may be used again all the same.
                    let before = lives.insert(flow, Life::default());
                    assert!(before.is_none_or(|life| life.leaked), "connected twice");
                }
                EventKind::Initialized(_) => {
                    let Some(life) = lives.get_mut(&flow) else { panic!("initialized before it was connected") };
                    assert!(!life.initialized, "initialized twice");
                    life.initialized = true;
                }
                EventKind::Disconnected => {
                    let Some(life) = lives.remove(&flow) else { panic!("disconnected before it was connected") };
                    assert!(!life.leaked, "a leaked socket has no end");
                }
            }
            let mut line = Vec::new();
            event.write_to(&mut line);
            assert!(line.is_ascii() && line.ends_with(b"}"), "{}", line.escape_ascii());
        }
        Output::Anomaly(anomaly) => {
            let life = lives.get_mut(&anomaly.flow.0);
            match (anomaly.kind, life) {
                (AnomalyKind::Leaked, Some(life)) => life.leaked = true,
                (_, Some(_)) => {}
                (kind, None) => panic!("{kind:?} of no connection"),
            }
        }
    }
}
