//! `cargo xtask fuzz oss-fuzz`: runs `fuzz/oss-fuzz/build.sh` like OSS-Fuzz does, and checks that it makes each target with seeds and
//! dictionary.

use std::{
    fs,
    os::unix::fs::symlink,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use spice_testkit::oracles;

/// The panic message of an overflow, which is in the program only if it was built with overflow checks.
const OVERFLOW: &[u8] = b"attempt to add with overflow";

pub(super) fn check() -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let (src, out) = (scratch.path().join("src"), scratch.path().join("out"));
    fs::create_dir(&src)?;
    fs::create_dir(&out)?;
    symlink(fs::canonicalize(shell::root())?, src.join("spicewatch"))?;
    let mut build = Command::new("fuzz/oss-fuzz/build.sh");
    build.env("SRC", &src).env("OUT", &out).env("RUSTUP_TOOLCHAIN", "nightly");
    shell::run(&mut build)?;
    for name in oracles::ALL.iter().map(|oracle| oracle.name) {
        for file in [name.to_owned(), format!("{name}.dict"), format!("{name}_seed_corpus.zip")] {
            let len = fs::metadata(out.join(&file)).with_context(|| format!("{file} was not made"))?.len();
            ensure!(len > 0, "{file} is empty");
        }
        let program = fs::read(out.join(name))?;
        ensure!(
            program.windows(OVERFLOW.len()).any(|bytes| bytes == OVERFLOW),
            "{name} was built without overflow checks"
        );
        let mut target = Command::new(out.join(name));
        target.arg(format!("-dict={}", out.join(format!("{name}.dict")).display())).arg("-runs=0");
        target.arg(shell::root().join("fuzz/seeds").join(name)).stdout(Stdio::null()).stderr(Stdio::null());
        ensure!(target.status()?.success(), "{name} fails on its seeds");
        println!("{name}: program, seeds, dictionary");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The presubmit check of OSS-Fuzz refuses files of these kinds without a licence header.
    #[test]
    fn oss_fuzz_files_have_a_licence_header() {
        for name in ["Dockerfile", "build.sh"] {
            let text = fs::read_to_string(shell::root().join("fuzz/oss-fuzz").join(name)).unwrap();
            assert!(text.contains("http://www.apache.org/licenses/LICENSE-2.0"), "{name}");
        }
    }
}
