//! The measurements of a peer, and the figures computed from them.

use std::{thread, time::Duration};

use anyhow::Result;

use super::{
    args::{Args, Work},
    client::{self, Flood},
    peers::Peer,
    server::Play,
};
use crate::figure::{Figure, short};

/// Numbers of concurrent streams.
const STREAMS: [usize; 3] = [1, 10, 100];
/// Message size of the concurrent streams, in bytes.
const LARGE: usize = 64 * 1024;
/// Message size of the stream beside the ping-pong, in bytes.
const SMALL: usize = 64;
/// Numbers of open channels beside the ping-pong. The last measurement uses the maximum.
const CHANNELS: [usize; 4] = [1, 10, 100, 1000];
/// Maximum number of channels for a peer that starts a process for each connection.
const MOST_PROCESSES: usize = 100;
/// Minimum number of idle channels to compute the memory of one.
const ENOUGH: usize = 100;
/// Number of channels that are set up concurrently.
const AT_ONCE: usize = 4;

/// How long a VM is flooded.
const FLOOD_TIME: Duration = Duration::from_secs(2);

const SET_UP: &str = "set up a channel through a relay";
const STREAM: &str = "a stream through a relay, by bytes a message";
const TOGETHER: &str = "streams of 64 KiB messages through a relay";
const PING: &str = "a ping-pong of 64 bytes, beside idle channels";
const BUSY: &str = "a ping-pong of 64 bytes, beside a stream of such messages";
const FLOOD: &str = "a ping-pong of 64 bytes, beside a flood of connections at another VM";
const IDLE: &str = "idle channels of a relay";

/// All measured values: for each figure (its value still unset), one value a turn.
#[derive(Default)]
pub(super) struct Samples(Vec<(Figure, Vec<f64>)>);

impl Samples {
    fn add(&mut self, row: &str, who: &str, what: &str, unit: &str, at: Option<usize>, value: f64) {
        let at = at.map(|at| at as u64);
        let is_it = |figure: &Figure| figure.row == row && figure.who == who && figure.what == what && figure.at == at;
        if let Some((_, values)) = self.0.iter_mut().find(|(figure, _)| is_it(figure)) {
            values.push(value);
            return;
        }
        let [row, who, what, unit] = [row, who, what, unit].map(str::to_owned);
        self.0.push((Figure { row, who, what, unit, at, value: 0.0, spread: None, ratio: None }, vec![value]));
    }

    /// Computes the median of each figure, and its ratio to ours: the median of the ratios of single turns.
    pub(super) fn figures(&self) -> Vec<Figure> {
        let same = |a: &Figure, b: &Figure| a.row == b.row && a.what == b.what && a.at == b.at;
        let figure = |(figure, values): &(Figure, Vec<f64>)| {
            let ours = self.0.iter().find(|(other, _)| same(figure, other) && other.who == ours(&figure.who));
            let ratios = ours.map(|(_, ours)| values.iter().zip(ours).map(|(theirs, ours)| theirs / ours).collect());
            let sorted = sorted(values.clone());
            Figure {
                value: short(sorted[sorted.len() / 2]),
                spread: Some([short(sorted[0]), short(sorted[sorted.len() - 1])]),
                ratio: ratios.map(|ratios: Vec<f64>| short(self::sorted(ratios)[values.len() / 2])),
                ..figure.clone()
            }
        };
        let mut figures: Vec<Figure> = self.0.iter().map(figure).collect();
        // The values are in the order of turns; the tables need the order of rows.
        figures.sort_by_key(|figure| (ROWS.iter().position(|row| *row == figure.row), figure.at));
        figures
    }
}

const ROWS: [&str; 7] = [SET_UP, STREAM, TOGETHER, PING, BUSY, FLOOD, IDLE];

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

/// Measures one turn of a peer. Memory is measured only in the first turn, because a process may keep memory that it once had. The
/// largest number of channels is also measured only then, because linking them takes long.
#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
pub(super) fn peer(peer: &Peer, args: &Args, channels: usize, is_first: bool, samples: &mut Samples) -> Result<()> {
    let who = &peer.name;
    let is_relay = peer.is_relay();
    // The first channels cause allocations that happen only once, so they don't count.
    client::set_up(&peer.dial, 40, AT_ONCE)?;
    at_rest(peer)?;
    if args.wants(Work::Idle) {
        idle_and_pings(peer, args, channels, is_first, samples)?;
        at_rest(peer)?;
    }
    if args.wants(Work::SetUp) {
        let cpu = peer.cpu()?;
        let seconds = client::set_up(&peer.dial, args.setups, AT_ONCE)?;
        at_rest(peer)?;
        samples.add(SET_UP, who, "a second", "", None, args.setups as f64 / seconds);
        if is_relay {
            samples.add(SET_UP, who, "CPU time of each", "ns", None, (peer.cpu()? - cpu) * 1e9 / args.setups as f64);
        }
    }
    if args.wants(Work::Beside) {
        let pings = client::pings_beside_stream(&peer.dial, args.pings / 5, SMALL)?;
        quantiles(BUSY, peer, None, &pings, samples);
        at_rest(peer)?;
    }
    if args.wants(Work::Flood) && peer.dial.other.is_some() {
        for (flood, what) in [
            (Flood::Reset, "maximum, connect and reset"),
            (Flood::Close, "maximum, connect and close"),
            (Flood::Hello, "maximum, TLS ClientHello"),
        ] {
            let pings = client::pings_beside_flood(&peer.dial, flood, FLOOD_TIME)?;
            let longest = pings.into_iter().max().unwrap_or_default();
            samples.add(FLOOD, who, what, "ns", None, longest.as_secs_f64() * 1e9);
            at_rest(peer)?;
        }
    }
    let sizes = args.sizes.iter().filter(|_| args.wants(Work::Stream)).map(|size| (STREAM, *size, 1, *size));
    let together = STREAMS.iter().filter(|_| args.wants(Work::Together)).map(|count| (TOGETHER, LARGE, *count, *count));
    for (row, size, count, at) in sizes.chain(together) {
        let cpu = peer.cpu()?;
        let (bytes, seconds) = client::streams(&peer.dial, size, count, Duration::from_secs_f64(args.seconds))?;
        let cpu = peer.cpu()? - cpu;
        samples.add(row, who, "throughput", "B/s", Some(at), bytes as f64 / seconds);
        if is_relay {
            samples.add(row, who, "CPU time of a gigabyte", "ns", Some(at), cpu * 1e18 / bytes as f64);
        }
    }
    Ok(())
}

/// Opens more and more idle channels, and measures a ping-pong on one more channel at each number.
#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn idle_and_pings(peer: &Peer, args: &Args, most: usize, is_first: bool, samples: &mut Samples) -> Result<()> {
    let before = peer.memory()?;
    let mut idle = Vec::new();
    let most = if is_first { most } else { most.min(CHANNELS[CHANNELS.len() - 1]) };
    let most = if peer.is_a_process_each { most.min(MOST_PROCESSES) } else { most };
    for channels in CHANNELS.into_iter().filter(|channels| *channels < most).chain([most]) {
        while idle.len() + 1 < channels {
            idle.push(client::link(&peer.dial, Play::Idle)?);
        }
        at_rest(peer)?;
        if is_first && peer.is_relay() && channels >= ENOUGH {
            let memory = peer.memory()?.saturating_sub(before) as f64 / idle.len() as f64;
            samples.add(IDLE, &peer.name, "memory of each", "B", Some(channels), memory);
        }
        quantiles(PING, peer, Some(channels), &client::pings(&peer.dial, args.pings)?, samples);
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn quantiles(row: &str, peer: &Peer, at: Option<usize>, pings: &[Duration], samples: &mut Samples) {
    let pings = sorted(pings.iter().map(|ping| ping.as_secs_f64() * 1e9).collect());
    for (what, share) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
        let place = ((pings.len() - 1) as f64 * share) as usize;
        samples.add(row, &peer.name, what, "ns", at, pings[place]);
    }
}

/// Waits until the peer is idle, for at most three seconds.
fn at_rest(peer: &Peer) -> Result<()> {
    const LOOK: Duration = Duration::from_millis(30);
    let mut before = peer.cpu()?;
    for _ in 0..100 {
        thread::sleep(LOOK);
        let now = peer.cpu()?;
        if now - before < 0.001 {
            break;
        }
        before = now;
    }
    Ok(())
}

/// The program of ours that the figures of a peer are compared with.
fn ours(who: &str) -> &'static str {
    if who.ends_with("TLS") { "spicewatch TLS" } else { "spicewatch" }
}
