//! `cargo xtask test`: every check, the cheap ones first and cargo's own test results last.

use std::{
    env, fs,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum as _;
use shell::cargo;

use crate::{debian_13, differential};

/// The workspace without the benches, whose one feature builds the peers that they measure.
const WORKSPACE: &[&str] = &["--workspace", "--exclude", BENCHES];
const BENCHES: &str = "spicewatch-benches";

/// The test programs that boot a QEMU of the lab. A test of this file checks that none is missing.
const QEMU_TESTS: &[&str] = &[
    "answers",
    "captures",
    "clients",
    "conformance",
    "day",
    "examples",
    "follow",
    "hooks",
    "introspection",
    "lab",
    "link_examples",
    "qemu_table",
    "qmp_follow",
    "relay",
    "relay_clients",
    "relay_fleet",
    "relay_keylog",
    "relay_kill",
    "relay_matrix",
    "relay_others",
    "relay_qemu",
    "relay_qmp",
    "relay_reload",
    "relay_shared",
    "relay_scale",
    "relay_sessions",
    "tap",
    "tap_live",
    "watch",
];

const DENY_WARNINGS: [&str; 3] = ["--", "-D", "warnings"];

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run only the tests.
    #[arg(long, conflicts_with = "only")]
    quick: bool,
    /// Run only this step; may be given more than once.
    #[arg(long, value_name = "STEP")]
    only: Vec<Step>,
    /// Check only this crate, with the steps that look at single crates: lint, docs, features, package and tests.
    #[arg(long = "crate", value_name = "NAME")]
    name: Option<String>,
}

/// A step, in the order in which they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Step {
    /// The format of the code.
    Format,
    /// Clippy, and cargo-deny where it is installed.
    Lint,
    /// The documentation builds without a warning.
    Docs,
    /// Each published crate builds without its features.
    Features,
    /// Each published crate builds as a package.
    Packages,
    /// The fuzzers' oracles notice each missing bound.
    Mutants,
    /// Generated conversations against the real spice-server.
    Differential,
    /// The tests that boot a QEMU, again with QEMU 11.1.
    #[value(name = "qemu-11.1")]
    NewerQemu,
    /// Enough lines are run by tests.
    Coverage,
    /// No benchmark takes more instructions than committed.
    Instructions,
    /// The tests, with real peers where they are installed.
    Tests,
}

impl Step {
    /// Whether the step can look at a crate by itself.
    fn takes_a_crate(self) -> bool {
        matches!(self, Self::Lint | Self::Docs | Self::Features | Self::Packages | Self::Tests)
    }

    fn run(self, name: Option<&str>) -> Result<()> {
        match self {
            Self::Format => shell::run(&mut cargo(&["fmt", "--all", "--check"])),
            Self::Lint => lint(name),
            Self::Docs => docs(name),
            Self::Features => features(name),
            Self::Packages => packages(name),
            Self::Mutants => chore("xtask-fuzz", &["mutants"]),
            Self::Differential => differential::check(),
            Self::NewerQemu => newer_qemu(),
            Self::Coverage => chore("xtask-coverage", &["--check"]),
            Self::Instructions => chore("xtask-bench", &["bench", "--check"]),
            Self::Tests => shell::run(cargo(&["test", "--no-fail-fast"]).args(selected(name))),
        }
    }
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let name = args.name.as_deref();
    let wanted = |step: &Step| {
        let named = args.only.is_empty() || args.only.contains(step);
        named && (!args.quick || *step == Step::Tests) && (name.is_none() || step.takes_a_crate())
    };
    let steps: Vec<Step> = Step::value_variants().iter().copied().filter(wanted).collect();
    ensure!(!steps.is_empty(), "this step does not look at single crates: leave out --crate");
    // One failed step does not stop the others.
    let failed: Vec<String> = steps.iter().filter_map(|step| step.run(name).err()).map(|e| e.to_string()).collect();
    ensure!(failed.is_empty(), "{}", failed.join("\n"));
    Ok(())
}

/// The crate, or the workspace; with all features.
fn selected(name: Option<&str>) -> Vec<&str> {
    let packages = name.map_or_else(|| WORKSPACE.to_vec(), |name| vec!["--package", name]);
    packages.into_iter().chain(["--all-features"]).collect()
}

/// The published crates among the selected ones. All folders of `crates` are published, unless their manifest forbids it.
fn published(name: Option<&str>) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for folder in fs::read_dir("crates").context("crates")? {
        let folder = folder?;
        let manifest = fs::read_to_string(folder.path().join("Cargo.toml")).unwrap_or_default();
        let crate_name = folder.file_name().to_string_lossy().into_owned();
        let is_published = manifest.contains("[package]") && !manifest.contains("publish = false");
        if is_published && name.is_none_or(|name| name == crate_name) {
            found.push(crate_name);
        }
    }
    found.sort_unstable();
    Ok(found)
}

fn chore(package: &str, arguments: &[&str]) -> Result<()> {
    shell::run(cargo(&["run", "--quiet", "--package", package, "--"]).args(arguments))
}

fn lint(name: Option<&str>) -> Result<()> {
    shell::run(cargo(&["clippy", "--all-targets"]).args(selected(name)).args(DENY_WARNINGS))?;
    if name.is_some() {
        return Ok(());
    }
    shell::run(cargo(&["clippy", "--all-targets", "--package", BENCHES]).args(DENY_WARNINGS))?;
    // It takes minutes to install: licences and advisories are checked on machines that have it.
    let deny = Command::new("cargo-deny").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if deny.is_ok_and(|status| status.success()) {
        shell::run(&mut cargo(&["deny", "check"]))?;
    } else {
        eprintln!("  cargo-deny is missing: licences and advisories are not checked");
    }
    Ok(())
}

fn docs(name: Option<&str>) -> Result<()> {
    shell::run(cargo(&["doc", "--no-deps"]).args(selected(name)).env("RUSTDOCFLAGS", "-D warnings"))
}

fn features(name: Option<&str>) -> Result<()> {
    let names = published(name)?;
    names.iter().try_for_each(|name| shell::run(&mut cargo(&["check", "--no-default-features", "--package", name])))
}

/// Builds each published crate from nothing but what is in its package.
///
/// cargo takes a package of one name and version for the same forever, both where it unpacks and where it builds it. So this
/// first removes what an earlier run left.
fn packages(name: Option<&str>) -> Result<()> {
    let names = published(name)?;
    if names.is_empty() {
        return Ok(());
    }
    let folder = shell::target().join("packages");
    for old in unpacked(&names)?.into_iter().chain([folder.clone()]).filter(|old| old.exists()) {
        fs::remove_dir_all(old)?;
    }
    let packages = names.iter().flat_map(|name| ["--package", name.as_str()]);
    shell::run(cargo(&["package", "--allow-dirty", "--target-dir"]).arg(folder).args(packages))
}

/// The folders where cargo may have unpacked our packages. The folder of a registry on this machine has no host in its name.
fn unpacked(names: &[String]) -> Result<Vec<PathBuf>> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let Some(home) = home.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo"))) else {
        return Ok(Vec::new());
    };
    let registries = home.join("registry/src");
    if !registries.exists() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for registry in fs::read_dir(registries)? {
        let registry = registry?;
        if registry.file_name().to_string_lossy().starts_with('-') {
            let package = |name: &String| registry.path().join(format!("{name}-{}", env!("CARGO_PKG_VERSION")));
            found.extend(names.iter().map(package));
        }
    }
    Ok(found)
}

/// Runs the tests that boot a QEMU with the newer one. A missing QEMU is an error where `CI` is set, and a notice elsewhere.
fn newer_qemu() -> Result<()> {
    if !debian_13::is_here() {
        let message = "QEMU 11.1 is missing; `cargo xtask setup` installs it";
        ensure!(env::var_os("CI").is_none_or(|value| value.is_empty()), message);
        eprintln!("  {message}");
        return Ok(());
    }
    let tests = QEMU_TESTS.iter().flat_map(|name| ["--test", name]);
    shell::run(cargo(&["test", "--no-fail-fast"]).args(selected(None)).args(tests).env("LAB_QEMU", "11.1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_test_that_boots_a_qemu_also_runs_with_the_newer_one() {
        for folder in ["crates", "crates/qmp-server"] {
            for package in fs::read_dir(shell::root().join(folder)).unwrap() {
                for file in fs::read_dir(package.unwrap().path().join("tests")).into_iter().flatten() {
                    let path = file.unwrap().path();
                    let boots = fs::read_to_string(&path).is_ok_and(|text| text.contains("Peer::Qemu"));
                    let name = path.file_stem().unwrap().to_string_lossy();
                    assert!(!boots || QEMU_TESTS.contains(&&*name), "{} is not in QEMU_TESTS", path.display());
                }
            }
        }
    }
}
