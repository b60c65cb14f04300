//! The arguments of `cargo xtask load`.

use std::path::PathBuf;

/// What to measure, and how often.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Turns of each peer
    #[arg(long, default_value_t = 3)]
    pub(super) turns: usize,
    /// Seconds of each stream
    #[arg(long, default_value_t = 0.5)]
    pub(super) seconds: f64,
    /// Channels set up in a turn
    #[arg(long, default_value_t = 1000)]
    pub(super) setups: usize,
    /// Maximum number of channels that are open at the same time
    #[arg(long, default_value_t = 10_000)]
    pub(super) channels: usize,
    /// Round trips of each ping-pong
    #[arg(long, default_value_t = 5000)]
    pub(super) pings: usize,
    /// Measure only these peers, named like in the table
    #[arg(long, value_delimiter = ';')]
    pub(super) only: Vec<String>,
    /// Also measure this other build of spicewatch; may be given more than once
    #[arg(long, value_name = "FILE")]
    pub(super) beside: Vec<PathBuf>,
    /// Measure only these kinds of work
    #[arg(long, value_delimiter = ',')]
    pub(super) work: Vec<Work>,
    /// Message sizes of a single stream, in bytes
    #[arg(long, value_delimiter = ',', default_values_t = SIZES)]
    pub(super) sizes: Vec<usize>,
    /// Print the figures as JSON, one on each line
    #[arg(long)]
    pub(super) json: bool,
    /// Measure the existing release build, without building it again
    #[arg(long)]
    pub(super) built: bool,
}

/// A kind of work, with its own table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Work {
    /// Set up channels
    SetUp,
    /// One stream, by message size
    Stream,
    /// Several concurrent streams
    Together,
    /// A ping-pong beside idle channels
    Idle,
    /// A ping-pong beside a stream
    Beside,
    /// A ping-pong at one VM, beside a flood of connections at another VM of the same relay
    Flood,
}

/// Message sizes of the streams, in bytes.
const SIZES: [usize; 3] = [64, 1024, 64 * 1024];

impl Args {
    /// The arguments of a measurement for the bench record.
    pub(crate) fn for_the_record() -> Self {
        let (turns, seconds, setups, channels, pings) = (3, 0.5, 1000, 10_000, 5000);
        let (only, beside, work, sizes) = (Vec::new(), Vec::new(), Vec::new(), SIZES.to_vec());
        Self { turns, seconds, setups, channels, pings, only, beside, work, sizes, json: false, built: false }
    }

    pub(super) fn wants(&self, work: Work) -> bool {
        self.work.is_empty() || self.work.contains(&work)
    }
}
