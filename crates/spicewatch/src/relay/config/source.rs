//! Where the configuration is read from: the flags, or a file and a folder with one file for each VM.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::de::DeserializeOwned;

use super::{process::Config, vm::VmConfig};

/// Where the configuration comes from. It is read at start and at each reload.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    File(PathBuf),
    Flags(Box<Config>),
}

impl Source {
    /// The file, with its whole path.
    pub(crate) fn file(&self) -> Option<PathBuf> {
        match self {
            Self::File(path) => Some(path.canonicalize().unwrap_or_else(|_| path.clone())),
            Self::Flags(_) => None,
        }
    }

    /// Reads the configuration, with the VMs of its folder.
    pub(crate) fn read(&self) -> Result<Config, String> {
        let mut config = match self {
            Self::File(path) => read_toml(path)?,
            Self::Flags(config) => Config::clone(config),
        };
        if let Some(folder) = &config.vm_dir {
            config.vm.extend(read_folder(folder)?);
        }
        config.mark_shared();
        Ok(config)
    }
}

/// Reads each file of the folder, in the order of their names.
fn read_folder(folder: &Path) -> Result<Vec<VmConfig>, String> {
    let failed = |error: io::Error| format!("{}: {error}", folder.display());
    let entries = fs::read_dir(folder).map_err(failed)?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>().map_err(failed)?;
    // Editors and packagers leave other files behind.
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    files.iter().map(|path| read_vm(path)).collect()
}

fn read_vm(path: &Path) -> Result<VmConfig, String> {
    let mut vm: VmConfig = read_toml(path)?;
    if vm.name.is_none() {
        vm.name = path.file_stem().map(|name| name.to_string_lossy().into_owned());
    }
    Ok(vm)
}

/// Reads a file. A mistake is reported with its line.
pub(super) fn read_toml<T: DeserializeOwned>(path: &Path) -> Result<T, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    toml::from_str(&text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start.min(text.len()));
        let line = text.bytes().take(start).filter(|byte| *byte == b'\n').count() + 1;
        let message = match error.message() {
            // `vm` is the only key that must be an array.
            "invalid type: map, expected a sequence" => "expected [[vm]], once for each VM, found [vm]".to_owned(),
            message => message.replace('\n', " "),
        };
        format!("{}:{line}: {message}", path.display())
    })
}
