//! `cargo xtask bench`: every figure beside the peers', each part in one run; the record, and PERFORMANCE.md from it.
//!
//! A part is what one program measures in one go. Its figures replace the part's older ones in today's record, so that parts can
//! be measured one by one; a ratio is never taken across parts. `--check` measures nothing but instruction counts.

mod check;
mod figure;
mod machine;
mod page;
mod plot;
mod program;
mod read;
mod record;
mod table;
mod targets;

use std::process::Stdio;

use anyhow::{Context, Result, bail};

use crate::shell;
use figure::Figure;
use record::{Part, Record};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Count instructions under callgrind instead, and compare them with the committed counts.
    #[arg(long, conflicts_with_all = ["only", "page"])]
    check: bool,
    /// With --check: what is counted becomes what is committed.
    #[arg(long, requires = "check")]
    accept: bool,
    /// Measure nothing; make PERFORMANCE.md and its plots from the newest record.
    #[arg(long)]
    page: bool,
    /// Measure only this part; may be given more than once.
    #[arg(long, value_name = "PART")]
    only: Vec<Part>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    if args.check {
        return check::run(args.accept);
    }
    if args.page {
        return page::make(&Record::newest()?.context("there is no record yet")?);
    }
    let mut record = Record::today()?;
    for part in Part::ALL {
        if args.only.is_empty() || args.only.contains(&part) {
            record.set(part, measure(part)?)?;
        }
    }
    println!("{}", table::everything(&record));
    println!("{}", targets::table(&record));
    println!("{}", record.write()?.display());
    page::make(&record)
}

/// Compares instruction counts with the committed ones: a step of `cargo xtask test`.
pub(crate) fn check() -> Result<()> {
    check::run(false)
}

fn measure(part: Part) -> Result<record::Measured> {
    match part {
        Part::Time => bench("time"),
        Part::Memory => bench("memory"),
        Part::Fanout => bench("fanout"),
        Part::Read => read::measure(),
    }
}

/// Runs one of benches/, with the peers where they can be built.
fn bench(name: &str) -> Result<record::Measured> {
    let arguments = |more: &[&'static str]| {
        let mut command = shell::cargo(&["bench", "--quiet", "-p", "spicewatch-benches", "--bench", name]);
        command.args(more);
        command
    };
    let with_peers = ["--features", "peers"];
    let mut missing = Vec::new();
    let built = shell::run(arguments(&with_peers).arg("--no-run"));
    if let Err(error) = &built {
        eprintln!("bench: the crates that are measured beside ours could not be built: {error}");
        missing.extend(["qapi-qmp", "qmp", "shakenfist-spice-protocol"].map(str::to_owned));
    }
    let mut command = arguments(if built.is_ok() { &with_peers } else { &[] });
    eprintln!("+ {}", shell::show(&command));
    let output = command.stderr(Stdio::inherit()).output().with_context(|| format!("can't run the bench {name}"))?;
    if !output.status.success() {
        bail!("the bench {name}: {}", output.status);
    }
    let figures = String::from_utf8(output.stdout)?.lines().map(Figure::parse).collect::<Result<_>>()?;
    Ok(record::Measured { figures, missing })
}
