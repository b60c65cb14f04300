//! `cargo xtask fuzz run`: each target on so many cores for a while, its corpus kept from run to run, and what was seen added
//! to a record, from which the README's figures are written.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, bail, ensure};
use serde_derive::{Deserialize, Serialize};
use spice_testkit::oracles;

use crate::shell;

/// libFuzzer's limits for one input: bytes, and seconds before it counts as hanging.
const LIMITS: [&str; 2] = ["-max_len=8192", "-timeout=10"];

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Which targets; all of them where none is named.
    targets: Vec<String>,
    /// Seconds for each target.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// Fuzzers at work on a target at once, which share its corpus.
    #[arg(long, default_value_t = 1)]
    jobs: u32,
    /// Where the inputs that reach something new are kept, a folder a target; the next run goes on from there.
    #[arg(long, default_value = "fuzz/corpus")]
    corpus: PathBuf,
    /// What has been run so far, to which this run is added.
    #[arg(long, default_value = "fuzz/record.toml")]
    record: PathBuf,
}

/// What has been run, by target.
#[derive(Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Record(pub(super) BTreeMap<String, Runs>);

/// All runs of one target together.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Runs {
    /// Seconds of fuzzing, of all jobs together.
    pub(super) core_seconds: u64,
    /// Inputs that were run.
    pub(super) executions: u64,
    /// Inputs in the corpus after the last run, the seeds among them.
    pub(super) corpus: u64,
    /// Edges of the code that they reach together (libFuzzer's `cov`).
    pub(super) edges: u64,
    /// Inputs that broke a promise, hung or took too much memory.
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

    fn save(&self, path: &Path) -> Result<()> {
        let text = format!("# Written by `cargo xtask fuzz run`; not for editing.\n\n{}", toml::to_string(self)?);
        fs::write(path, text).with_context(|| format!("can't write {}", path.display()))
    }
}

pub(super) fn run(args: &Args) -> Result<()> {
    for target in &args.targets {
        ensure!(oracles::ALL.iter().any(|oracle| oracle.name == target), "no target is called `{target}`");
    }
    let wanted = |name: &str| args.targets.is_empty() || args.targets.iter().any(|target| target == name);
    let folder = build()?;
    let mut crashed = Vec::new();
    for name in oracles::ALL.iter().map(|oracle| oracle.name).filter(|name| wanted(name)) {
        let new = fuzz(&folder.join(name), name, args)?;
        // Read again each time: another run may have written it meanwhile.
        let mut record = Record::load(&args.record)?;
        let all = record.0.entry(name.to_owned()).or_default();
        *all = Runs {
            core_seconds: all.core_seconds + new.core_seconds,
            executions: all.executions + new.executions,
            crashes: all.crashes + new.crashes,
            ..new.clone()
        };
        let Runs { core_seconds, executions, corpus, edges, .. } = new;
        println!(
            "{name}: {executions} executions in {core_seconds} core-seconds, {corpus} in the corpus, {edges} edges"
        );
        record.save(&args.record)?;
        if new.crashes > 0 {
            crashed.push(name);
        }
    }
    ensure!(crashed.is_empty(), "something was found by {}: see fuzz/artifacts", crashed.join(", "));
    Ok(())
}

/// Builds every target; where the programs are then.
fn build() -> Result<PathBuf> {
    let folder = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| shell::root().join("fuzz/target"), PathBuf::from);
    let mut cargo = Command::new("cargo");
    shell::run(cargo.args(["+nightly", "fuzz", "build", "--target-dir"]).arg(&folder))?;
    let about = Command::new("rustc").args(["+nightly", "-vV"]).output()?;
    let about = String::from_utf8_lossy(&about.stdout);
    let host = about.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc does not say its host")?;
    Ok(folder.join(host).join("release"))
}

/// One target on all its jobs, and then once over the corpus that they have made.
fn fuzz(program: &Path, name: &str, args: &Args) -> Result<Runs> {
    let corpus = args.corpus.join(name);
    let artifacts = shell::root().join("fuzz/artifacts").join(name);
    let seeds = shell::root().join("fuzz/seeds").join(name);
    let dictionary = if name.starts_with("qmp") { "qmp" } else { "link" };
    for folder in [&corpus, &artifacts] {
        fs::create_dir_all(folder).with_context(|| format!("can't make {}", folder.display()))?;
    }
    // The first folder takes what is found; the seeds are only read.
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
            println!("{name}: {status}; {} has the story", log.display());
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

/// The number behind the last such word.
fn number_after(text: &str, word: &str) -> Option<u64> {
    text.rsplit_once(word)?.1.split_whitespace().next()?.parse().ok()
}

/// The day, as `date` writes it.
fn today() -> Result<String> {
    let output = Command::new("date").args(["-u", "+%F"]).output().context("can't run `date`")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
