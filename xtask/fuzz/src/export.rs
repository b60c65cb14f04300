//! `cargo xtask fuzz export`: what users of other fuzzers start from, in one archive: seeds as raw files and dictionaries.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use flate2::{Compression, write::GzEncoder};

/// The targets whose inputs are bytes of the wire. The others take choices, which only this project's generators understand.
const WIRE: &[&str] = &[
    "link_mess",
    "link_reply",
    "link_observer",
    "websocket",
    "capture_file",
    "qmp_event",
    "qmp_stream",
    "qmp_server_session",
];

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The archive to write.
    #[arg(default_value = "spice-fuzz.tar.gz")]
    archive: PathBuf,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let files = files(&shell::root().join("fuzz"))?;
    let file = File::create(&args.archive).with_context(|| args.archive.display().to_string())?;
    let mut archive = tar::Builder::new(GzEncoder::new(file, Compression::best()));
    for (name, bytes) in &files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, &bytes[..])?;
    }
    archive.into_inner()?.finish()?;
    println!("{}: {} files", args.archive.display(), files.len());
    Ok(())
}

/// The files by name, below `spice-fuzz/`: `seeds/TARGET/NAME`, `dictionaries/NAME` and the page on how to use them.
fn files(fuzz: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for target in WIRE {
        add(&mut files, &format!("seeds/{target}"), &fuzz.join("seeds").join(target))?;
    }
    add(&mut files, "dictionaries", &fuzz.join("dictionaries"))?;
    let page = shell::root().join("docs/FUZZING.md");
    files.insert("spice-fuzz/FUZZING.md".to_owned(), fs::read(page)?);
    Ok(files)
}

fn add(files: &mut BTreeMap<String, Vec<u8>>, name: &str, folder: &Path) -> Result<()> {
    let before = files.len();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        files.insert(format!("spice-fuzz/{name}/{}", entry.file_name().to_string_lossy()), fs::read(entry.path())?);
    }
    ensure!(files.len() > before, "{} has no file", folder.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    #[test]
    fn archive_has_raw_seeds_of_the_wire_and_dictionaries() {
        let folder = tempfile::tempdir().unwrap();
        let archive = folder.path().join("out.tar.gz");
        run(&Args { archive: archive.clone() }).unwrap();
        let mut found = BTreeMap::new();
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(File::open(archive).unwrap()));
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            found.insert(entry.path().unwrap().display().to_string(), bytes);
        }
        for name in ["spice-fuzz/dictionaries/link.dict", "spice-fuzz/FUZZING.md"] {
            assert!(found.contains_key(name), "{name}: {:?}", found.keys());
        }
        let seeds: Vec<_> = found.iter().filter(|(name, _)| name.starts_with("spice-fuzz/seeds/link_mess/")).collect();
        assert!(seeds.len() > 10 && seeds.iter().any(|(_, bytes)| bytes.starts_with(b"REDQ")), "{}", seeds.len());
    }
}
