//! The check on the check: with one bound taken out of a parser, the smoke test on stable finds it within a minute.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

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
        from: "if self.size < min ||",
        to: "if self.size + 1 < min ||",
        target: "link_mess",
    },
    Mutant {
        what: "a message may be one byte too large",
        file: "crates/spice-link/src/header.rs",
        from: "|| self.size > max {",
        to: "|| self.size > max + 1 {",
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
        what: "a length of a WebSocket frame is read in the wrong order",
        file: "crates/spice-link/src/websocket.rs",
        from: "126 => (rest.first_chunk().map(|b| u64::from(u16::from_be_bytes(*b))), 2),",
        to: "126 => (rest.first_chunk().map(|b| u64::from(u16::from_le_bytes(*b))), 2),",
        target: "websocket",
    },
    Mutant {
        what: "bytes that came before are passed on once more",
        file: "crates/spice-capture/src/tcp/stream.rs",
        from: "let data = piece.data.get(old as usize..).unwrap_or_default();",
        to: "let data = piece.data.get((old as usize).saturating_sub(1)..).unwrap_or_default();",
        target: "tcp_reassembly",
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

pub(crate) fn run() -> Result<()> {
    let copy = tempfile::tempdir()?;
    for part in ["Cargo.toml", "Cargo.lock", "LICENSE-MIT", "LICENSE-APACHE", "README.md"] {
        copy_file(part, copy.path())?;
    }
    for part in ["crates", "benches", "xtask", "fuzz"] {
        let mut cp = Command::new("cp");
        let status = cp.args(["-a", part]).arg(copy.path()).status().context("can't run `cp`")?;
        ensure!(status.success(), "can't copy {part}");
    }
    ensure!(
        smoke(copy.path(), MUTANTS[0].target, Duration::ZERO)?.is_none(),
        "the smoke test fails without any mutant"
    );
    let mut missed = Vec::new();
    for mutant in MUTANTS {
        let path = copy.path().join(mutant.file);
        let source = fs::read_to_string(&path)?;
        ensure!(source.matches(mutant.from).count() == 1, "{}: expected `{}` once", mutant.file, mutant.from);
        fs::write(&path, source.replace(mutant.from, mutant.to))?;
        let found = smoke(copy.path(), mutant.target, PATIENCE)?;
        fs::write(&path, source)?;
        if let Some(time) = found {
            println!("found in {:.1} s by {}: {}", time.as_secs_f64(), mutant.target, mutant.what);
        } else {
            println!("NOT FOUND in {} s by {}: {}", PATIENCE.as_secs(), mutant.target, mutant.what);
            missed.push(mutant.what);
        }
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
        command.env("SMOKE_SECONDS", patience.as_secs().to_string()).env("SMOKE_TARGET", target);
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
    use super::*;

    /// Whoever rewrites a bound finds here that its mutant has to follow, and not after a build of everything.
    #[test]
    fn every_bound_is_where_its_mutant_looks_for_it() {
        for Mutant { file, from, .. } in MUTANTS {
            let source = fs::read_to_string(shell::root().join(file)).unwrap_or_default();
            assert_eq!(source.matches(from).count(), 1, "{file}: `{from}`");
        }
    }
}
