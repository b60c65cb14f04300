//! `cargo xtask bench`: measures everything beside the peers, writes the bench record, and generates PERFORMANCE.md from it.
//!
//! A part is what one program measures in one run. New figures of a part replace its older ones in today's record, so parts can be
//! measured one by one. A ratio never compares values of different parts. `--check` only counts instructions.

use std::process::Stdio;

use anyhow::{Context, Result, bail};

use crate::{
    bench_record::{Measured, Part, Record},
    figure::Figure,
    instructions, load, page, read_captures,
    table::everything,
    targets,
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Count instructions under callgrind instead, and compare them with the committed counts.
    #[arg(long, conflicts_with_all = ["only", "page"])]
    check: bool,
    /// With --check: write the counts to the file of committed counts.
    #[arg(long, requires = "check")]
    accept: bool,
    /// Measure nothing; generate PERFORMANCE.md and its plots from the newest record.
    #[arg(long)]
    page: bool,
    /// Measure only this part; may be given more than once.
    #[arg(long, value_name = "PART")]
    only: Vec<Part>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    if args.check {
        return instructions::run(args.accept);
    }
    if args.page {
        return page::make(&Record::newest()?.context("benches/records has no record")?);
    }
    let mut record = Record::today()?;
    for part in Part::ALL {
        if args.only.is_empty() || args.only.contains(&part) {
            record.set(part, measure(part)?)?;
        }
    }
    println!("{}", everything(&record));
    println!("{}", targets::table(&record));
    println!("{}", record.write()?.display());
    page::make(&record)
}

fn measure(part: Part) -> Result<Measured> {
    match part {
        Part::Time => bench("time"),
        Part::Memory => bench("memory"),
        Part::Fanout => bench("fanout"),
        Part::Read => read_captures::measure(),
        Part::Relay => load::measure(&load::Args::for_the_record()),
    }
}

/// Runs a bench of benches/, with the peers if they can be built.
fn bench(name: &str) -> Result<Measured> {
    let arguments = |more: &[&'static str]| {
        let mut command = shell::cargo(&["bench", "--quiet", "-p", "spicewatch-benches", "--bench", name]);
        command.args(more);
        command
    };
    let with_peers = ["--features", "peers"];
    let mut missing = Vec::new();
    let built = shell::run(arguments(&with_peers).arg("--no-run"));
    if let Err(error) = &built {
        eprintln!("bench: the crates of the peers can't be built, so they are not measured: {error}");
        missing.extend(CRATES.map(str::to_owned));
    }
    let mut command = arguments(if built.is_ok() { &with_peers } else { &[] });
    eprintln!("+ {}", shell::show(&command));
    let output = command.stderr(Stdio::inherit()).output().with_context(|| format!("can't run the bench {name}"))?;
    if !output.status.success() {
        bail!("the bench {name}: {}", output.status);
    }
    let figures = String::from_utf8(output.stdout)?.lines().map(Figure::parse).collect::<Result<_>>()?;
    let versions = if built.is_ok() { crate_versions()? } else { Vec::new() };
    Ok(Measured { figures, missing, versions })
}

const CRATES: [&str; 3] = ["qapi-qmp", "qmp", "shakenfist-spice-protocol"];

/// The versions of the crates of the peers, from the lock file.
fn crate_versions() -> Result<Vec<String>> {
    let lock: toml::Table = std::fs::read_to_string("Cargo.lock")?.parse()?;
    let packages = lock.get("package").and_then(toml::Value::as_array).context("no packages in Cargo.lock")?;
    let field =
        |package: &toml::Value, name| package.get(name).and_then(toml::Value::as_str).unwrap_or_default().to_owned();
    let named = packages.iter().map(|package| (field(package, "name"), field(package, "version")));
    Ok(named
        .filter(|(name, _)| CRATES.contains(&name.as_str()))
        .map(|(name, version)| format!("{name} {version}"))
        .collect())
}
