//! `cargo xtask coverage`: measures the share of lines that the tests run, for each crate that reads bytes of peers.

use anyhow::{Context, Result, ensure};
use clap::Parser;
use serde_json::Value;

/// The crates that must be covered.
const CRATES: &[&str] = &["spice-link", "spice-events", "qmp-schema"];
/// spice-testkit, whose oracles test those crates too, with the features that need no real peer.
const TESTKIT: (&str, &[&str]) = ("spice-testkit", &["capture", "captures", "generate", "qmp", "server"]);
/// Minimum share of lines that tests run, in per cent.
const MINIMUM: f64 = 95.0;

/// Measure the share of lines that the tests run, for each crate that reads bytes of peers.
#[derive(Parser)]
#[command(bin_name = "cargo xtask coverage")]
struct Args {
    /// Install cargo-tarpaulin where CI is set; elsewhere, without it, measure nothing and succeed.
    #[arg(long)]
    check: bool,
    /// Also list the lines of each file that no test runs.
    #[arg(long)]
    lines: bool,
}

fn main() -> Result<()> {
    shell::enter_workspace()?;
    let args = Args::parse();
    if args.check && !is_here() {
        if std::env::var_os("CI").is_none_or(|value| value.is_empty()) {
            eprintln!(
                "  coverage is not measured: cargo-tarpaulin is missing (`cargo install cargo-tarpaulin --locked`)"
            );
            return Ok(());
        }
        shell::run(&mut shell::cargo(&["install", "cargo-tarpaulin", "--locked"]))?;
    }
    run(&args)
}

fn run(args: &Args) -> Result<()> {
    ensure!(is_here(), "cargo-tarpaulin is missing: `cargo install cargo-tarpaulin --locked`");
    let folder = tempfile::tempdir()?;
    // A target folder of its own: tarpaulin builds with other flags, which would make cargo rebuild everything in the shared folder.
    // Engine ptrace: the other engine needs LLVM tools of exactly the compiler's version.
    // Timeout: one test builds its examples, which takes longer than the default of a minute on a busy machine.
    let mut cargo = shell::cargo(&["tarpaulin", "--engine", "ptrace", "--skip-clean", "--timeout", "900"]);
    cargo
        .args(["--out", "Json", "--output-dir"])
        .arg(folder.path())
        .arg("--target-dir")
        .arg(shell::target().join("coverage"));
    for name in CRATES {
        cargo.args(["-p", name, "--include-files", &format!("crates/{name}/src/*")]);
    }
    cargo.args(["-p", TESTKIT.0, "--features", &features()?.join(",")]);
    shell::run(cargo.stdout(std::io::stderr()))?;
    let report = std::fs::read(folder.path().join("tarpaulin-report.json")).context("tarpaulin writes no report")?;
    let report: Value = serde_json::from_slice(&report)?;
    let files = report["files"].as_array().context("tarpaulin's report has no files")?;
    if args.lines {
        files.iter().for_each(missed);
    }
    let mut short = Vec::new();
    for name in CRATES {
        let of_crate = files.iter().filter(|file| path(file).contains(&format!("crates/{name}/src/")));
        let count = |key: &str| of_crate.clone().filter_map(|file| file[key].as_u64()).sum::<u64>();
        let (covered, coverable) = (count("covered"), count("coverable"));
        ensure!(coverable > 0, "tarpaulin's report does not know {name}");
        #[allow(clippy::cast_precision_loss, reason = "a crate has fewer lines than 2⁵³")]
        let share = 100.0 * covered as f64 / coverable as f64;
        println!("coverage: {name} {share:.1} % ({covered} of {coverable} lines)");
        if share < MINIMUM {
            short.push(*name);
        }
    }
    ensure!(short.is_empty(), "tests run less than {MINIMUM} % of the lines of {}", short.join(", "));
    Ok(())
}

fn is_here() -> bool {
    let mut tarpaulin = shell::cargo(&["tarpaulin", "--version"]);
    tarpaulin.output().is_ok_and(|output| output.status.success())
}

/// All features of the crates, and the features of the testkit that need no peer, as `crate/feature`.
fn features() -> Result<Vec<String>> {
    let output = shell::cargo(&["metadata", "--no-deps", "--format-version", "1"]).output()?;
    let metadata: Value = serde_json::from_slice(&output.stdout).context("cargo's metadata can't be read")?;
    let mut found: Vec<_> = TESTKIT.1.iter().map(|feature| format!("{}/{feature}", TESTKIT.0)).collect();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let Some(name) = package["name"].as_str().filter(|name| CRATES.contains(name)) else { continue };
        let features = package["features"].as_object().into_iter().flatten();
        found.extend(features.map(|(feature, _)| format!("{name}/{feature}")));
    }
    Ok(found)
}

/// The path of a file in the report.
fn path(file: &Value) -> String {
    let parts = file["path"].as_array().into_iter().flatten().filter_map(Value::as_str);
    parts.collect::<Vec<_>>().join("/")
}

/// Prints the lines of a file that no test runs, if there are any.
fn missed(file: &Value) {
    let traces = file["traces"].as_array().into_iter().flatten();
    let lines: Vec<_> =
        traces.filter(|trace| trace["stats"]["Line"] == 0).map(|trace| trace["line"].to_string()).collect();
    let path = path(file);
    let short = path.rsplit_once("crates/").map_or(&*path, |(_, rest)| rest);
    if !lines.is_empty() {
        println!("{short}: {}", lines.join(" "));
    }
}
