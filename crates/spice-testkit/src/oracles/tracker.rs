//! The tracker: pairing and order of events, bounds and determinism, under any operations on a few connections.

mod lifecycle;

use arbitrary::{Result, Unstructured};
use spice_events::{Address, Auth, Config, Endpoints, FlowId, Input, Side, Timestamp, Tracker};

use crate::generate::{Arbitrary, Conversation, Delivery, Frames, rarely};
use lifecycle::Lifecycles;

/// The port of the one server.
const SERVER_PORT: u64 = 5900;

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
/// it, DISCONNECTED last unless the socket leaked; each says whose it is, when it was, and what the bytes say; `channels` lists just
/// what is up; the same operations say the same again, and have the same events with the bytes in any pieces.
pub fn tracker_ops(choices: &[u8]) {
    let mut u = Unstructured::new(choices);
    let Ok((config, ops)) = draw(&mut u) else { return };
    let said = run(&config, &ops, usize::MAX);
    assert_eq!(said, run(&config, &ops, usize::MAX), "the same operations, another story");
    // What is held of a direction is counted; a bound that is smaller than a link stage is met in one cut and not in another.
    if config.max_backlog == Config::MAX_BACKLOG {
        let events = |said: Vec<String>| said.into_iter().filter(|line| line.starts_with("Event")).collect::<Vec<_>>();
        let said = events(said);
        for size in [1, 7] {
            assert_eq!(events(run(&config, &ops, size)), said, "in pieces of {size}, other events");
        }
    }
}

/// A name for the kinds of anomaly that these choices of [`tracker_ops`] come to; for seeds.
pub fn outcome(choices: &[u8]) -> Option<String> {
    let (config, ops) = draw(&mut Unstructured::new(choices)).ok()?;
    let said = run(&config, &ops, usize::MAX);
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

/// The outputs for these operations, with bytes in pieces of at most `size`.
fn run(config: &Config, ops: &[Op], size: usize) -> Vec<String> {
    let mut tracker = Tracker::new(config.clone());
    let mut lives = Lifecycles::new(config.auth);
    let mut said = Vec::new();
    for (index, op) in ops.iter().enumerate() {
        let at = Timestamp { seconds: i64::try_from(index).unwrap_or(i64::MAX), microseconds: 0 };
        lives.before(op);
        let mut handle = |flow: u64, input: Input<'_>| {
            tracker.handle(at, FlowId(flow), input);
            while let Some(output) = tracker.poll() {
                said.push(format!("{output:?}"));
                lives.hear(at, op, &output);
            }
        };
        match op {
            Op::Open { flow, tls, readable } => {
                let end = |port: u64| Address { port: port.to_string().into(), ..Address::unix("") };
                let (server, client) = (end(SERVER_PORT), end(*flow));
                handle(
                    *flow,
                    Input::Opened { endpoints: Endpoints { server, client }, tls: *tls, readable: *readable },
                );
            }
            Op::Bytes(flow, from, data) => {
                data.chunks(size).for_each(|data| handle(*flow, Input::Bytes { from: *from, data }));
            }
            Op::Gap(flow, from, len) => handle(*flow, Input::Gap { from: *from, len: *len }),
            Op::Close(flow, by) => handle(*flow, Input::Closed { by: *by }),
        }
        lives.after(op, &tracker);
    }
    said
}
