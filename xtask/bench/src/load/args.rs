//! The arguments of `cargo xtask load`.

use std::path::PathBuf;

/// How much is measured.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Turns that each peer gets
    #[arg(long, default_value_t = 3)]
    pub(super) turns: usize,
    /// Seconds of each stream
    #[arg(long, default_value_t = 0.5)]
    pub(super) seconds: f64,
    /// Channels set up in a turn
    #[arg(long, default_value_t = 1000)]
    pub(super) setups: usize,
    /// Channels that are up at the same time, at most
    #[arg(long, default_value_t = 10_000)]
    pub(super) channels: usize,
    /// Round trips of a ping-pong
    #[arg(long, default_value_t = 5000)]
    pub(super) pings: usize,
    /// Only these peers, by their names in the table
    #[arg(long, value_delimiter = ';')]
    pub(super) only: Vec<String>,
    /// Another build of spicewatch, to be measured beside this one; may be given more than once
    #[arg(long, value_name = "FILE")]
    pub(super) beside: Vec<PathBuf>,
    /// Only these parts of the work
    #[arg(long, value_delimiter = ',')]
    pub(super) work: Vec<Work>,
    /// Sizes of the messages of a single stream, in bytes
    #[arg(long, value_delimiter = ',', default_values_t = SIZES)]
    pub(super) sizes: Vec<usize>,
    /// Print the figures as JSON, one a line
    #[arg(long)]
    pub(super) json: bool,
    /// Measure the release build that is there
    #[arg(long)]
    pub(super) built: bool,
}

/// A part of the work, with a table of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Work {
    /// Channels that are set up
    SetUp,
    /// One stream, by the size of its messages
    Stream,
    /// Several streams at the same time
    Together,
    /// Idle channels, and a ping-pong beside them
    Idle,
    /// A ping-pong beside a stream
    Beside,
}

/// Message sizes of the streams, in bytes.
const SIZES: [usize; 3] = [64, 1024, 64 * 1024];

impl Args {
    /// What goes on record.
    pub(crate) fn for_the_record() -> Self {
        let (turns, seconds, setups, channels, pings) = (3, 0.5, 1000, 10_000, 5000);
        let (only, beside, work, sizes) = (Vec::new(), Vec::new(), Vec::new(), SIZES.to_vec());
        Self { turns, seconds, setups, channels, pings, only, beside, work, sizes, json: false, built: false }
    }

    pub(super) fn wants(&self, work: Work) -> bool {
        self.work.is_empty() || self.work.contains(&work)
    }
}
