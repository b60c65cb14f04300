//! Measures the nanoseconds of every row. We and the peers take turns, so that other load on the machine affects all of us.
//!
//! `cargo bench --bench time -- WORD` measures the rows whose names contain the word.
#![allow(clippy::cast_precision_loss, reason = "what is measured is far below 2⁵²")]

use std::time::Instant;

use spicewatch_benches::{Channels, Contender, Figure, Row, SIZES, long_stream, rows};

/// Measurements of each contender.
const ROUNDS: usize = 101;
/// Minimum duration of one measurement in nanoseconds, far above the cost of reading the clock.
const LEAST: u128 = 1_000_000;
const FULL: &str = "a tracker full of channels";
/// Number of channels that open and close in one measurement of a full tracker.
const REPLACED: u64 = 1_000;

/// Length of the long stream in bytes, and how often each contender reads it.
const LONG: f64 = 100e6;
const LONG_ROUNDS: usize = 5;

fn main() {
    let words: Vec<_> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let wanted = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word));
    rows().into_iter().filter(|row| wanted(row.name)).for_each(measure);
    let long = long_stream();
    if wanted(long.name) {
        throughput(long);
    }
    if wanted(FULL) {
        full_trackers();
    }
}

/// Measures the long stream in bytes a second. All contenders take turns. The first turn is not counted: its caches are cold.
fn throughput(mut row: Row) {
    let mut samples = vec![Vec::with_capacity(LONG_ROUNDS); row.contenders.len()];
    for round in 0..=LONG_ROUNDS {
        for (contender, samples) in row.contenders.iter_mut().zip(&mut samples) {
            let start = Instant::now();
            contender.run(1);
            if round > 0 {
                samples.push(LONG / start.elapsed().as_secs_f64());
            }
        }
    }
    say(&row, &samples, "throughput", "B/s");
}

fn measure(mut row: Row) {
    let times: Vec<u64> = row.contenders.iter_mut().map(times_for_a_measurement).collect();
    let mut samples = vec![Vec::with_capacity(ROUNDS); times.len()];
    for _ in 0..ROUNDS {
        for ((contender, times), samples) in row.contenders.iter_mut().zip(&times).zip(&mut samples) {
            let start = Instant::now();
            contender.run(*times);
            samples.push(start.elapsed().as_secs_f64() * 1e9 / *times as f64);
        }
    }
    say(&row, &samples, "time", "ns");
}

/// Computes the median of each contender's samples, their spread, and the median of their ratios to the first contender's sample
/// of the same turn.
fn say(row: &Row, samples: &[Vec<f64>], what: &'static str, unit: &'static str) {
    for (contender, theirs) in row.contenders.iter().zip(samples) {
        let ratios = theirs.iter().zip(&samples[0]).map(|(theirs, ours)| theirs / ours).collect();
        let (median, spread) = summary(theirs.clone());
        let figure = Figure::new(row.name, contender.name, what, unit, median);
        println!("{}", Figure { spread: Some(spread), ratio: Some(summary(ratios).0), ..figure });
    }
}

/// Measures the time for an event in a full tracker. Each measurement opens new channels and closes the oldest, which are no longer
/// in any cache. All sizes take turns.
fn full_trackers() {
    let mut lines = Vec::new();
    let mut trackers = SIZES.map(Channels::full);
    let mut samples = SIZES.map(|_| Vec::with_capacity(ROUNDS));
    for _ in 0..ROUNDS {
        for ((channels, size), samples) in trackers.iter_mut().zip(SIZES).zip(&mut samples) {
            let start = Instant::now();
            let events: usize = (0..REPLACED).map(|_| channels.replace(size, &mut lines)).sum();
            samples.push(start.elapsed().as_secs_f64() * 1e9 / events as f64);
        }
    }
    for (size, samples) in SIZES.iter().zip(samples) {
        let (median, spread) = summary(samples);
        let figure = Figure::new(FULL, "spice-events", "time for an event", "ns", median).at(*size);
        println!("{}", Figure { spread: Some(spread), ..figure });
    }
}

/// Doubles the number of runs until a measurement takes long enough. This also warms up the caches.
fn times_for_a_measurement(contender: &mut Contender) -> u64 {
    let mut times = 1;
    loop {
        let start = Instant::now();
        contender.run(times);
        if start.elapsed().as_nanos() >= LEAST {
            return times;
        }
        times *= 2;
    }
}

/// The median, and the spread without the lowest tenth and the highest tenth.
fn summary(mut numbers: Vec<f64>) -> (f64, [f64; 2]) {
    numbers.sort_unstable_by(f64::total_cmp);
    let (last, tenth) = (numbers.len() - 1, numbers.len() / 10);
    (numbers[numbers.len() / 2], [numbers[tenth], numbers[last - tenth]])
}
