//! The fuzz folder on stable: its seeds and what it has found, through the oracles; and that it says what it has.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use spice_testkit::{
    generate::Choices,
    oracles::{self, Oracle, Takes},
};

/// None where the crate was taken out of the workspace.
fn folder() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
    folder.is_dir().then_some(folder)
}

/// The files of `seeds/NAME` and `regressions/NAME`.
fn inputs(folder: &Path, oracle: &Oracle) -> io::Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut found = Vec::new();
    for kind in ["seeds", "regressions"] {
        let folder = folder.join(kind).join(oracle.name);
        if folder.is_dir() {
            for entry in fs::read_dir(folder)? {
                let path = entry?.path();
                found.push((path.clone(), fs::read(path)?));
            }
        }
    }
    found.sort();
    Ok(found)
}

#[test]
fn seeds_and_regressions_keep_every_promise() -> io::Result<()> {
    let Some(folder) = folder() else { return Ok(()) };
    for oracle in oracles::ALL {
        let inputs = inputs(&folder, oracle)?;
        assert!(!inputs.is_empty(), "{}: no seeds", oracle.name);
        // They come into one folder where others fuzz (oss-fuzz/build.sh).
        let names: BTreeSet<_> = inputs.iter().filter_map(|(path, _)| path.file_name()).collect();
        assert_eq!(names.len(), inputs.len(), "{}: a seed and a regression of one name", oracle.name);
        for (path, input) in inputs {
            let whole = std::panic::catch_unwind(|| (oracle.run)(&input));
            assert!(whole.is_ok(), "{}", path.display());
        }
    }
    Ok(())
}

/// Every oracle on inputs near its seeds, for a second or as long as `SMOKE_SECONDS` says. With a bound taken out of a
/// parser this is what finds it: `cargo xtask fuzz mutants` tries that.
#[test]
fn mutated_seeds_keep_every_promise() -> io::Result<()> {
    let Some(folder) = folder() else { return Ok(()) };
    let seconds = std::env::var("SMOKE_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1.0);
    let only = std::env::var("SMOKE_TARGET").ok();
    for oracle in oracles::ALL.iter().filter(|oracle| only.as_deref().is_none_or(|only| only == oracle.name)) {
        let inputs = inputs(&folder, oracle)?;
        let (mut choices, start, mut input) = (Choices::new(2026), Instant::now(), Vec::new());
        while start.elapsed() < Duration::from_secs_f64(seconds) {
            mutate(&mut choices, &inputs, oracle, &mut input);
            let kept = std::panic::catch_unwind(|| (oracle.run)(&input));
            assert!(kept.is_ok(), "{}: {input:?}", oracle.name);
        }
    }
    Ok(())
}

/// A seed with some of its bytes changed, or choices of its own.
fn mutate(choices: &mut Choices, inputs: &[(PathBuf, Vec<u8>)], oracle: &Oracle, input: &mut Vec<u8>) {
    let mut below = |n| choices.below(n);
    let own = oracle.takes == Takes::Choices && below(2) == 0;
    if own || inputs.is_empty() {
        let len = below(600);
        choices.fill(input, len);
        return;
    }
    input.clone_from(&inputs[below(inputs.len())].1);
    for _ in 0..=below(4) {
        let at = below(input.len() + 1);
        match below(6) {
            0 if at < input.len() => input[at] = [0, 1, 2, 4, 16, 17, 18, 0x7f, 0x80, 0xff][below(10)],
            1 if at < input.len() => input[at] ^= 1 << below(8),
            2 if at < input.len() => input[at] = input[at].wrapping_add(if below(2) == 0 { 1 } else { 0xff }),
            3 => input.truncate(at),
            4 => {
                input.splice(at..at, (0..=below(8)).map(|_| 0));
            }
            _ if at + 4 <= input.len() => {
                let bounds = [0, 1, 17, 18, 1024, 1025, 4096, 4097, 1 << 30, 1 << 31, u32::MAX - 3, u32::MAX];
                input[at..at + 4].copy_from_slice(&u32::to_le_bytes(bounds[below(bounds.len())]));
            }
            _ => {}
        }
    }
}

/// The README's table has the folder's targets, each of which only calls the oracle of its name.
#[test]
fn the_readme_lists_the_targets() -> io::Result<()> {
    let Some(folder) = folder() else { return Ok(()) };
    let readme = fs::read_to_string(folder.join("README.md"))?;
    let manifest = fs::read_to_string(folder.join("Cargo.toml"))?;
    let rows = readme.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).map(str::to_owned);
    let mut rows: Vec<_> = rows.collect();
    rows.sort();
    let mut targets = Vec::new();
    for entry in fs::read_dir(folder.join("fuzz_targets"))? {
        let path = entry?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let source = fs::read_to_string(&path)?;
        assert!(source.lines().count() <= 3 && source.contains("spice_testkit::oracles::"), "{source}");
        assert!(source.contains(&format!("::{name}(data)")), "{source}");
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} is not in Cargo.toml");
        targets.push(name);
    }
    targets.sort();
    assert_eq!(rows, targets);
    for oracle in oracles::ALL {
        assert!(targets.iter().any(|target| target == oracle.name), "{} has no target", oracle.name);
    }
    Ok(())
}
