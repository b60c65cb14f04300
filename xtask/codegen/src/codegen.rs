//! `cargo xtask codegen`: qmp-schema's Rust types, their codecs and the README's table, from the facts file.

mod arbitrary;
mod codec;
mod descriptors;
mod facts;
mod readme;
mod types;

use std::{
    collections::BTreeSet,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail, ensure};
pub(crate) use facts::{Facts, Kind, Member, Tag, Type, Value, pascal};

/// Options of `cargo xtask codegen`.
#[derive(Debug, Default, clap::Args)]
pub struct Args {
    /// Write nothing; fail if a committed file is not what would be written.
    #[arg(long)]
    check: bool,
}

const HEADER: &str = "// Made by `cargo xtask codegen` from facts/qmp.json. Change that, not this.\n\n";

/// Writes the generated files, or with `--check` compares them.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let root = shell::root();
    let stale = stale(&root.join("crates/qmp-schema"))?;
    if args.check {
        let paths: Vec<String> = stale.iter().map(|(path, _)| path.display().to_string()).collect();
        ensure!(stale.is_empty(), "not what `cargo xtask codegen` makes: {}", paths.join(", "));
        return Ok(());
    }
    for (path, text) in stale {
        fs::create_dir_all(path.parent().context("a file has a folder")?)?;
        fs::write(&path, text).with_context(|| path.display().to_string())?;
        println!("wrote {}", path.display());
    }
    Ok(())
}

/// Every name of the facts file that a QMP message can hold: events as they are, keys and values in quotes.
pub fn words() -> anyhow::Result<BTreeSet<String>> {
    let mut words = BTreeSet::new();
    let quoted = |name: &String| format!("\"{name}\"");
    let facts = facts(&shell::root().join("crates/qmp-schema"))?;
    for event in &facts.events {
        words.insert(event.name.clone());
        words.extend(event.members.iter().map(|member| quoted(&member.name)));
    }
    for ty in facts.types() {
        match ty.kind {
            Kind::Enum { values } => words.extend(values.iter().map(|value| quoted(&value.name))),
            Kind::Struct { members } => words.extend(members.iter().map(|member| quoted(&member.name))),
            Kind::Union { tag, .. } => words.extend([quoted(&tag.name)]),
        }
    }
    Ok(words)
}

/// The files that are not what they should be, each with what it should hold.
fn stale(package: &Path) -> anyhow::Result<Vec<(PathBuf, String)>> {
    let facts = facts(package)?;
    let mut stale = Vec::new();
    for (path, text) in files(package, &facts)? {
        if fs::read_to_string(&path).ok().as_deref() != Some(&text) {
            stale.push((path, text));
        }
    }
    Ok(stale)
}

/// Reads the facts of the package in this folder.
pub(crate) fn facts(package: &Path) -> anyhow::Result<Facts> {
    let path = package.join("facts/qmp.json");
    Facts::parse(&fs::read_to_string(&path).with_context(|| path.display().to_string())?)
}

fn files(package: &Path, facts: &Facts) -> anyhow::Result<Vec<(PathBuf, String)>> {
    let generated = package.join("src/generated");
    let mut modules: Vec<String> = facts.types().map(|ty| ty.module).collect();
    modules.extend(facts.events.iter().map(|event| event.module.clone()));
    modules.sort_unstable();
    modules.dedup();
    let mut files = vec![
        (generated.join("mod.rs"), types::root(facts, &modules)),
        (generated.join("codec/mod.rs"), codec::root(facts, &modules)),
        (generated.join("arbitrary.rs"), arbitrary::root(facts)?),
        (generated.join("descriptors.rs"), descriptors::root(facts)?),
    ];
    for module in &modules {
        files.push((generated.join(format!("{module}.rs")), types::module(facts, module)?));
        files.push((generated.join(format!("codec/{module}.rs")), codec::module(facts, module)?));
    }
    for (_, text) in &mut files {
        *text = rustfmt(&format!("{HEADER}{text}"))?;
    }
    let readme = package.join("README.md");
    let text = fs::read_to_string(&readme).with_context(|| readme.display().to_string())?;
    files.push((readme, readme::with_table(&text, facts)?));
    Ok(files)
}

fn rustfmt(text: &str) -> anyhow::Result<String> {
    let config = shell::root().join("rustfmt.toml");
    let mut rustfmt = Command::new("rustfmt")
        .args(["--edition", "2024", "--config-path"])
        .arg(config)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("rustfmt does not start")?;
    rustfmt.stdin.take().context("a pipe was asked for")?.write_all(text.as_bytes())?;
    let output = rustfmt.wait_with_output()?;
    if !output.status.success() {
        bail!("rustfmt refused:\n{text}");
    }
    String::from_utf8(output.stdout).context("rustfmt writes UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_committed_is_what_the_facts_make() {
        run(&Args { check: true }).unwrap();
    }

    #[test]
    fn names_become_rust_names() {
        for (qemu, rust) in [
            ("SPICE_CONNECTED", "SpiceConnected"),
            ("hyper-v", "HyperV"),
            ("COLOMode", "ColoMode"),
            ("ACPIOSTInfo", "AcpiostInfo"),
            ("QapiVfioMigrationState", "QapiVfioMigrationState"),
            ("postcopy-recover-setup", "PostcopyRecoverSetup"),
            ("GuestPanicInformationS390", "GuestPanicInformationS390"),
        ] {
            assert_eq!(pascal(qemu), rust);
        }
    }
}
