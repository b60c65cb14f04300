//! `cargo xtask fuzz run`: fuzzes one target after another. The corpus is kept from run to run. With `--record`, the figures of the
//! run are added to a record, from which `cargo xtask fuzz readme` writes the README's table.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, bail, ensure};
use serde_derive::{Deserialize, Serialize};

/// libFuzzer's limits for one input: its length in bytes, and the seconds after which it counts as a hang.
const LIMITS: [&str; 2] = ["-max_len=8192", "-timeout=10"];

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Targets to run; all of them if none is named.
    targets: Vec<String>,
    /// Seconds for each target.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// Processes that fuzz a target at the same time. They share its corpus.
    #[arg(long, default_value_t = 1)]
    jobs: u32,
    /// Folder of the corpus, with one folder for each target. It keeps inputs that reach new code; the next run starts from them.
    #[arg(long, default_value = "fuzz/corpus")]
    corpus: PathBuf,
    /// Add the figures of this run to this file. fuzz/record.toml is the record that fuzz/README.md shows.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
}

/// The record of all runs, by target.
#[derive(Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Record(pub(super) BTreeMap<String, Runs>);

/// The figures of all runs of one target together.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Runs {
    /// Seconds of fuzzing, of all jobs together.
    pub(super) core_seconds: u64,
    /// Number of inputs that were executed.
    pub(super) executions: u64,
    /// Number of inputs in the corpus after the last run, including the seeds.
    pub(super) corpus: u64,
    /// Number of code edges that the corpus covers (libFuzzer's `cov`).
    pub(super) edges: u64,
    /// Number of processes that ended with a crash, a hang or too much memory.
    pub(super) crashes: u64,
    /// The day of the last run.
    pub(super) last: String,
}

impl Record {
    pub(super) fn load(path: &Path) -> Result<Self> {
        if !path.exists() {
            return Ok(Self::default());
        }
        let text = fs::read_to_string(path).with_context(|| format!("can't read {}", path.display()))?;
        toml::from_str(&text).with_context(|| path.display().to_string())
    }

    /// Adds a run of this target.
    fn add(&mut self, target: &str, new: Runs) {
        let all = self.0.entry(target.to_owned()).or_default();
        *all = Runs {
            core_seconds: all.core_seconds + new.core_seconds,
            executions: all.executions + new.executions,
            crashes: all.crashes + new.crashes,
            ..new
        };
    }

    fn save(&self, path: &Path) -> Result<()> {
        let text = format!("# Written by `cargo xtask fuzz run --record`; do not edit.\n\n{}", toml::to_string(self)?);
        fs::write(path, text).with_context(|| format!("can't write {}", path.display()))
    }
}

pub(super) fn run(args: &Args) -> Result<()> {
    let all = targets()?;
    if let Some(unknown) = args.targets.iter().find(|target| !all.contains(target)) {
        bail!("no target is called `{unknown}`; fuzz/fuzz_targets has {}", all.join(", "));
    }
    let targets = if args.targets.is_empty() { &all } else { &args.targets };
    let folder = build(&args.targets)?;
    let mut crashed = Vec::new();
    for name in targets {
        let new = fuzz(&folder.join(name), name, args)?;
        let Runs { core_seconds, executions, corpus, edges, crashes, .. } = new;
        println!(
            "{name}: {executions} executions in {core_seconds} core-seconds, {corpus} in the corpus, {edges} edges"
        );
        if crashes > 0 {
            crashed.push(name.as_str());
        }
        if let Some(path) = &args.record {
            // Read before each update: another run may have written it meanwhile.
            let mut record = Record::load(path)?;
            record.add(name, new);
            record.save(path)?;
        }
    }
    ensure!(crashed.is_empty(), "crashes of {}: see fuzz/artifacts", crashed.join(", "));
    Ok(())
}

/// The names of all targets: the files of `fuzz/fuzz_targets`.
fn targets() -> Result<Vec<String>> {
    let mut found = Vec::new();
    for file in fs::read_dir(shell::root().join("fuzz/fuzz_targets"))? {
        let path = file?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            found.extend(path.file_stem().and_then(|name| name.to_str()).map(str::to_owned));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Builds the named targets, or all of them where none is named. Returns the folder of the programs.
fn build(targets: &[String]) -> Result<PathBuf> {
    let folder = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| shell::root().join("fuzz/target"), PathBuf::from);
    let build = |target: Option<&String>| {
        let mut cargo = Command::new("cargo");
        cargo.args(["+nightly", "fuzz", "build", "--target-dir"]).arg(&folder).args(target);
        shell::run(&mut cargo)
    };
    if targets.is_empty() {
        build(None)?;
    }
    targets.iter().try_for_each(|target| build(Some(target)))?;
    let about = Command::new("rustc").args(["+nightly", "-vV"]).output()?;
    let about = String::from_utf8_lossy(&about.stdout);
    let host = about.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc does not print its host")?;
    Ok(folder.join(host).join("release"))
}

/// Fuzzes one target with all jobs, then runs it once over the resulting corpus to measure the coverage.
fn fuzz(program: &Path, name: &str, args: &Args) -> Result<Runs> {
    let corpus = args.corpus.join(name);
    let artifacts = shell::root().join("fuzz/artifacts").join(name);
    let seeds = shell::root().join("fuzz/seeds").join(name);
    let dictionary = if name.starts_with("qmp") { "qmp" } else { "link" };
    for folder in [&corpus, &artifacts] {
        fs::create_dir_all(folder).with_context(|| format!("can't make {}", folder.display()))?;
    }
    // libFuzzer adds new inputs to the first folder, and only reads the others.
    let fuzzer = || {
        let mut fuzzer = Command::new(program);
        fuzzer.args([&corpus, &seeds]).args(LIMITS).stdin(Stdio::null()).stdout(Stdio::null());
        fuzzer.arg(format!("-artifact_prefix={}/", artifacts.display()));
        fuzzer
    };
    let start = Instant::now();
    let mut running = Vec::new();
    for job in 0..args.jobs.max(1) {
        let log = artifacts.join(format!("job-{job}.log"));
        let mut fuzzer = fuzzer();
        fuzzer.arg(format!("-max_total_time={}", args.seconds)).args(["-print_final_stats=1", "-reload=1"]);
        fuzzer.arg(format!("-dict={}", shell::root().join(format!("fuzz/dictionaries/{dictionary}.dict")).display()));
        running.push((fuzzer.stderr(File::create(&log)?).spawn().with_context(|| program.display().to_string())?, log));
    }
    let mut runs = Runs { last: today()?, ..Runs::default() };
    for (mut fuzzer, log) in running {
        let status = fuzzer.wait()?;
        runs.core_seconds += start.elapsed().as_secs();
        let said = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
        runs.executions += number_after(&said, "stat::number_of_executed_units:").unwrap_or_default();
        if status.success() {
            fs::remove_file(log)?;
        } else {
            runs.crashes += 1;
            println!("{name}: {status}; see {}", log.display());
        }
    }
    let all = fuzzer().arg("-runs=0").output()?;
    let said = String::from_utf8_lossy(&all.stderr);
    let Some(line) = said.lines().rev().find(|line| line.contains(" cov: ")) else {
        if runs.crashes > 0 {
            return Ok(runs);
        }
        bail!("{name}: the corpus can't be run: {}", all.status);
    };
    runs.edges = number_after(line, " cov:").unwrap_or_default();
    runs.corpus =
        [&corpus, &seeds].iter().filter_map(|folder| fs::read_dir(folder).ok()).map(|it| it.count() as u64).sum();
    Ok(runs)
}

/// The number after the last occurrence of a word.
fn number_after(text: &str, word: &str) -> Option<u64> {
    text.rsplit_once(word)?.1.split_whitespace().next()?.parse().ok()
}

/// The date in UTC, like `2026-11-22`.
fn today() -> Result<String> {
    let output = Command::new("date").args(["-u", "+%F"]).output().context("can't run `date`")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
