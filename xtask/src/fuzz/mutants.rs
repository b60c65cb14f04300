//! The check on the check: with one bound taken out of a parser, the smoke test on stable finds it within a minute.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

use crate::shell;

/// A bound, and the line without it.
struct Mutant {
    what: &'static str,
    file: &'static str,
    from: &'static str,
    to: &'static str,
    /// The target that has to find it.
    target: &'static str,
}

const MUTANTS: &[Mutant] = &[
    Mutant {
        what: "a capability list may start inside the fixed part",
        file: "crates/spice-link/src/mess.rs",
        from: "Some(lists) if offset >= fixed =>",
        to: "Some(lists) if offset >= fixed - 1 =>",
        target: "link_mess",
    },
    Mutant {
        what: "a message may be one byte too small",
        file: "crates/spice-link/src/header.rs",
        from: "header.size < min",
        to: "header.size + 1 < min",
        target: "link_mess",
    },
    Mutant {
        what: "a message may be one byte too large",
        file: "crates/spice-link/src/header.rs",
        from: "header.size > max",
        to: "header.size > max + 1",
        target: "acceptor",
    },
    Mutant {
        what: "a capability list may be one word too long",
        file: "crates/spice-link/src/mess.rs",
        from: "if common > MAX_CAPS_WORDS ||",
        to: "if common > MAX_CAPS_WORDS + 1 ||",
        target: "link_mess",
    },
    Mutant {
        what: "any magic will do",
        file: "crates/spice-link/src/header.rs",
        from: "if [m0, m1, m2, m3] != MAGIC {",
        to: "if [m0, m1, m2] != [MAGIC[0], MAGIC[1], MAGIC[2]] {",
        target: "link_mess",
    },
    Mutant {
        what: "a SASL name may have 101 bytes",
        file: "crates/spice-link/src/acceptor/sasl.rs",
        from: "match field(unread, 1, sasl::MAX_NAME) {",
        to: "match field(unread, 1, sasl::MAX_NAME + 1) {",
        target: "sasl",
    },
    Mutant {
        what: "a channel may be joined without its session",
        file: "crates/spice-link/src/acceptor/mod.rs",
        from: "Join::Refused(code) => State::Closed(Closing::Join(code)),",
        to: "Join::Refused(_) => State::Linked(Linked { asked, header, session_id: None }),",
        target: "acceptor_vs_connector",
    },
];

/// How long the smoke test may take to find one.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn run() -> Result<()> {
    let copy = shell::root().join("target/mutants");
    let _ = fs::remove_dir_all(&copy);
    for part in ["Cargo.toml", "Cargo.lock", "clippy.toml", "LICENSE-MIT", "LICENSE-APACHE", "README.md", "SECURITY.md"]
    {
        copy_file(part, &copy)?;
    }
    for part in ["crates", "benches", "xtask", "fuzz"] {
        let status = Command::new("cp").args(["-a", part]).arg(&copy).status()?;
        ensure!(status.success(), "can't copy {part}");
    }
    let mut missed = Vec::new();
    for mutant in MUTANTS {
        let path = copy.join(mutant.file);
        let source = fs::read_to_string(&path)?;
        ensure!(source.matches(mutant.from).count() == 1, "{}: expected `{}` once", mutant.file, mutant.from);
        fs::write(&path, source.replace(mutant.from, mutant.to))?;
        let found = smoke(&copy, mutant.target)?;
        fs::write(&path, source)?;
        if let Some(time) = found {
            println!("found in {:.1} s by {}: {}", time.as_secs_f64(), mutant.target, mutant.what);
        } else {
            println!("NOT FOUND in {} s by {}: {}", PATIENCE.as_secs(), mutant.target, mutant.what);
            missed.push(mutant.what);
        }
    }
    fs::remove_dir_all(&copy)?;
    if missed.is_empty() {
        Ok(())
    } else {
        bail!("{} of {} bounds are not missed by anyone", missed.len(), MUTANTS.len())
    }
}

fn copy_file(name: &str, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    if Path::new(name).exists() {
        fs::copy(name, to.join(name)).with_context(|| format!("can't copy {name}"))?;
    }
    Ok(())
}

/// How long the smoke test took to fail, if it did; the time to build it aside.
fn smoke(copy: &Path, target: &str) -> Result<Option<Duration>> {
    let cargo = |args: &[&str]| {
        let mut command = shell::cargo(&[
            "test",
            "--quiet",
            "-p",
            "spice-testkit",
            "--features",
            "capture,qmp",
            "--test",
            "fuzz_folder",
        ]);
        command.args(args).current_dir(copy).env("CARGO_TARGET_DIR", copy.join("target"));
        command.env("SMOKE_SECONDS", PATIENCE.as_secs().to_string()).env("SMOKE_TARGET", target);
        command
    };
    ensure!(cargo(&["--no-run"]).status()?.success(), "the mutant does not build");
    let start = Instant::now();
    let output = cargo(&["--", "a_while_of_mutated_seeds"]).output()?;
    Ok((!output.status.success()).then(|| start.elapsed()))
}
