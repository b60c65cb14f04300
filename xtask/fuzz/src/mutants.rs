//! `cargo xtask fuzz mutants`: checks the fuzzers' oracles. With one bound removed from the code, the smoke test on stable must fail
//! within a minute. With all bounds in place, it must pass for the same time.

mod table;

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use table::{HUNT_MUTANTS, MUTANTS};

/// Minimum time for which a target runs without a mutant.
const SHORTEST: Duration = Duration::from_secs(1);
/// Maximum time for the smoke test to find a mutant.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn run() -> Result<()> {
    let copy = tempfile::tempdir()?;
    for part in ["Cargo.toml", "Cargo.lock", "LICENSE-MIT", "LICENSE-APACHE", "README.md"] {
        copy_file(part, copy.path())?;
    }
    // Copy only the parts of fuzz/ that the smoke test reads. The folder may also hold a build and a corpus.
    let mut cp = Command::new("cp");
    cp.args(["-a", "--parents", "crates", "benches", "xtask", "fuzz/seeds", "fuzz/regressions"]).arg(copy.path());
    ensure!(cp.status().context("can't run `cp`")?.success(), "can't make a copy");
    let (mut missed, mut longest) = (Vec::new(), BTreeMap::new());
    for mutant in MUTANTS {
        let path = copy.path().join(mutant.file);
        let source = fs::read_to_string(&path)?;
        ensure!(source.matches(mutant.from).count() == 1, "{}: expected `{}` once", mutant.file, mutant.from);
        fs::write(&path, source.replace(mutant.from, mutant.to))?;
        let found = smoke(copy.path(), mutant.target, PATIENCE)?;
        fs::write(&path, source)?;
        if let Some(time) = found {
            println!("found in {:.1} s by {}: {}", time.as_secs_f64(), mutant.target, mutant.what);
            let longest = longest.entry(mutant.target).or_insert(SHORTEST);
            *longest = time.max(*longest);
        } else {
            println!("NOT FOUND in {} s by {}: {}", PATIENCE.as_secs(), mutant.target, mutant.what);
            missed.push(mutant.what);
        }
    }
    // The inputs have the same order each time. If they pass without a mutant, then the mutant was what made the test fail.
    for (target, time) in longest {
        let found = smoke(copy.path(), target, time)?;
        ensure!(found.is_none(), "{target} fails without any mutant within {} s", time.as_secs_f64());
    }
    for mutant in HUNT_MUTANTS {
        let path = copy.path().join(mutant.file);
        let source = fs::read_to_string(&path)?;
        ensure!(source.matches(mutant.from).count() == 1, "{}: expected `{}` once", mutant.file, mutant.from);
        ensure!(
            zoo(copy.path(), mutant.zoo, mutant.flaw)?,
            "{} fails for {} without a mutant",
            mutant.zoo,
            mutant.flaw
        );
        fs::write(&path, source.replace(mutant.from, mutant.to))?;
        let is_found = !zoo(copy.path(), mutant.zoo, mutant.flaw)?;
        fs::write(&path, source)?;
        println!("{} by {}: {}", if is_found { "found" } else { "NOT FOUND" }, mutant.zoo, mutant.what);
        if !is_found {
            missed.push(mutant.what);
        }
    }
    ensure!(
        missed.is_empty(),
        "no oracle notices that {} of the bounds are missing: {}",
        missed.len(),
        missed.join("; ")
    );
    Ok(())
}

fn copy_file(name: &str, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    if Path::new(name).exists() {
        fs::copy(name, to.join(name)).with_context(|| format!("can't copy {name}"))?;
    }
    Ok(())
}

/// Runs the smoke test. Returns how long it took to fail, without the time of the build, or `None` if it passed.
fn smoke(copy: &Path, target: &str, patience: Duration) -> Result<Option<Duration>> {
    // The copy shares the target folder of this workspace, so dependencies are built once.
    let folder = shell::target();
    let cargo = |args: &[&str]| {
        let mut command =
            shell::cargo(&["test", "--quiet", "--locked", "-p", "spice-testkit", "--features", "capture,qmp"]);
        command.args(["--test", "fuzz_folder"]).args(args).current_dir(copy).env("CARGO_TARGET_DIR", &folder);
        command.env("SMOKE_SECONDS", patience.as_secs_f64().to_string()).env("SMOKE_TARGET", target);
        command
    };
    ensure!(cargo(&["--no-run"]).status()?.success(), "the code with the mutant does not build");
    let start = Instant::now();
    let output = cargo(&["--", "mutated_seeds_keep_every_promise"]).output()?;
    let took = start.elapsed();
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(said.contains("running 1 test"), "the smoke test did not run: {said}");
    Ok((!output.status.success()).then_some(took))
}

/// Runs a zoo with one flaw. Returns whether the hunt finds and names it.
fn zoo(copy: &Path, test: &str, flaw: &str) -> Result<bool> {
    let folder = shell::target();
    let cargo = |args: &[&str]| {
        let mut command = shell::cargo(&["test", "--quiet", "--locked", "-p", "spice-testkit", "--all-features"]);
        command.args(["--test", test]).args(args).current_dir(copy).env("CARGO_TARGET_DIR", &folder);
        command.env("ZOO_FLAW", flaw);
        command
    };
    ensure!(cargo(&["--no-run"]).status()?.success(), "the code with the mutant does not build");
    let output = cargo(&["--", "is_found_and_named"]).output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(said.contains("running 1 test"), "the zoo did not run: {said}");
    Ok(output.status.success())
}

#[cfg(test)]
mod tests {
    use super::{
        table::{HuntMutant, Mutant},
        *,
    };
    use spice_testkit::oracles;

    #[test]
    fn every_oracle_has_a_mutant_to_find() {
        for oracle in oracles::ALL {
            assert!(
                MUTANTS.iter().any(|mutant| mutant.target == oracle.name),
                "no mutant is for the target {}",
                oracle.name
            );
        }
    }

    /// A change of a bound needs a change of its mutant. This test says so before a long run does.
    #[test]
    fn every_mutant_matches_one_line() {
        for Mutant { file, from, .. } in MUTANTS {
            let source = fs::read_to_string(shell::root().join(file)).unwrap_or_default();
            assert_eq!(source.matches(from).count(), 1, "{file}: `{from}`");
        }
        for HuntMutant { file, from, .. } in HUNT_MUTANTS {
            let source = fs::read_to_string(shell::root().join(file)).unwrap_or_default();
            assert_eq!(source.matches(from).count(), 1, "{file}: `{from}`");
        }
    }
}
