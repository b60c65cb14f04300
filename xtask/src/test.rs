//! `cargo xtask test`: everything that must hold, the cheap checks first and cargo's own test results last.

use std::{
    env, fs,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Result, ensure};

use crate::{
    bench, coverage, differential, fuzz,
    shell::{self, cargo},
};

/// What is published; each must stand alone as a package.
const PUBLISHED: &[&str] =
    &["qmp-schema", "spice-link", "spice-events", "qmp-server", "spice-capture", "spice-testkit", "spicewatch"];

/// All of ours with all of their features. The benches are apart: their one feature builds the peers that they measure.
const OURS: &[&str] = &["--workspace", "--exclude", "spicewatch-benches", "--all-features"];

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only the tests: no format, lint, doc, feature, package or instruction checks.
    #[arg(long)]
    quick: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let mut failed = Vec::new();
    let steps: &[fn() -> Result<()>] = &[
        format,
        lint,
        docs,
        features,
        packages,
        fuzz::readme::check,
        fuzz::mutants::run,
        differential::check,
        coverage::check,
        bench::check,
    ];
    // One that fails hides no other.
    for step in steps.iter().filter(|_| !args.quick).chain([&(tests as fn() -> Result<()>)]) {
        failed.extend(step().err());
    }
    ensure!(failed.is_empty(), "{}", failed.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
    Ok(())
}

fn format() -> Result<()> {
    shell::run(&mut cargo(&["fmt", "--all", "--check"]))
}

fn lint() -> Result<()> {
    let deny_warnings = ["--", "-D", "warnings"];
    shell::run(cargo(&["clippy", "--all-targets"]).args(OURS).args(deny_warnings))?;
    shell::run(cargo(&["clippy", "--all-targets", "-p", "spicewatch-benches"]).args(deny_warnings))?;
    // Not on every machine, and slow to install: a licence or an advisory is checked where it is there.
    let deny = Command::new("cargo-deny").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if deny.is_ok_and(|status| status.success()) {
        shell::run(&mut cargo(&["deny", "check"]))?;
    } else {
        eprintln!("  no cargo-deny here: licences and advisories are not checked");
    }
    Ok(())
}

fn docs() -> Result<()> {
    shell::run(cargo(&["doc", "--no-deps"]).args(OURS).env("RUSTDOCFLAGS", "-D warnings"))
}

/// Every published crate builds without its features.
fn features() -> Result<()> {
    PUBLISHED.iter().try_for_each(|name| shell::run(&mut cargo(&["check", "--no-default-features", "-p", name])))
}

/// Every published crate makes a package that builds from nothing but what is in it.
///
/// cargo takes a package of one name and version for the same for ever, both where it unpacks and where it builds it: what an earlier
/// run has left goes first.
fn packages() -> Result<()> {
    let folder = shell::target().join("packages");
    for old in unpacked()?.into_iter().chain([folder.clone()]).filter(|old| old.exists()) {
        fs::remove_dir_all(old)?;
    }
    let packages = PUBLISHED.iter().flat_map(|name| ["-p", name]);
    shell::run(cargo(&["package", "--allow-dirty", "--target-dir"]).arg(folder).args(packages))
}

/// Where cargo may have unpacked ours: a registry that is a folder on this machine has no host in its name.
fn unpacked() -> Result<Vec<PathBuf>> {
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
            let package = |name: &&str| registry.path().join(format!("{name}-{}", env!("CARGO_PKG_VERSION")));
            found.extend(PUBLISHED.iter().map(package));
        }
    }
    Ok(found)
}

fn tests() -> Result<()> {
    shell::run(cargo(&["test", "--no-fail-fast"]).args(OURS))
}
