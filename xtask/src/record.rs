//! `cargo xtask record`: the committed captures, recorded again from real peers.

use anyhow::{Result, bail};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Which captures; all of them where none is named.
    names: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    bail!("not built yet: {:?}", args.names)
}
