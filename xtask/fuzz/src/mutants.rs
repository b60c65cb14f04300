//! The check on the check: with one bound or promise taken out of the code, the smoke test on stable finds it within a minute; and
//! nothing in as long a time where all are there.

mod table;

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use table::MUTANTS;

/// How long a target is run without a mutant, at least.
const SHORTEST: Duration = Duration::from_secs(1);
/// How long the smoke test may take to find one.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn run() -> Result<()> {
    let copy = tempfile::tempdir()?;
    for part in ["Cargo.toml", "Cargo.lock", "LICENSE-MIT", "LICENSE-APACHE", "README.md"] {
        copy_file(part, copy.path())?;
    }
    // Of fuzz/ what the smoke test reads: a build and a corpus may lie there, too.
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
    // The inputs come in the same order each time: it was the mutant that was found if they do no harm without it.
    for (target, time) in longest {
        let found = smoke(copy.path(), target, time)?;
        ensure!(found.is_none(), "{target} finds something without any mutant in {} s", time.as_secs_f64());
    }
    ensure!(missed.is_empty(), "nobody misses {} of the bounds: {}", missed.len(), missed.join("; "));
    Ok(())
}

fn copy_file(name: &str, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    if Path::new(name).exists() {
        fs::copy(name, to.join(name)).with_context(|| format!("can't copy {name}"))?;
    }
    Ok(())
}

/// How long the smoke test took to fail, if it did; the time to build it aside.
fn smoke(copy: &Path, target: &str, patience: Duration) -> Result<Option<Duration>> {
    // What both workspaces depend on is built once: they share the folder.
    let folder = shell::target();
    let cargo = |args: &[&str]| {
        let mut command =
            shell::cargo(&["test", "--quiet", "--locked", "-p", "spice-testkit", "--features", "capture,qmp"]);
        command.args(["--test", "fuzz_folder"]).args(args).current_dir(copy).env("CARGO_TARGET_DIR", &folder);
        command.env("SMOKE_SECONDS", patience.as_secs_f64().to_string()).env("SMOKE_TARGET", target);
        command
    };
    ensure!(cargo(&["--no-run"]).status()?.success(), "the mutant does not build");
    let start = Instant::now();
    let output = cargo(&["--", "a_while_of_mutated_seeds"]).output()?;
    let took = start.elapsed();
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(said.contains("running 1 test"), "the smoke test did not run: {said}");
    Ok((!output.status.success()).then_some(took))
}

#[cfg(test)]
mod tests {
    use super::{table::Mutant, *};
    use spice_testkit::oracles;

    #[test]
    fn every_oracle_has_something_to_find() {
        for oracle in oracles::ALL {
            assert!(MUTANTS.iter().any(|mutant| mutant.target == oracle.name), "{} is never seen to fail", oracle.name);
        }
    }

    /// Whoever rewrites a bound finds here that its mutant has to follow, and not after a build of everything.
    #[test]
    fn every_bound_is_where_its_mutant_looks_for_it() {
        for Mutant { file, from, .. } in MUTANTS {
            let source = fs::read_to_string(shell::root().join(file)).unwrap_or_default();
            assert_eq!(source.matches(from).count(), 1, "{file}: `{from}`");
        }
    }
}
