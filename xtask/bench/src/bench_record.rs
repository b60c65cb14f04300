//! The bench record: `benches/records/DATE-MACHINE.json`, with one figure on each line, so that `diff` compares two records.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use serde_derive::{Deserialize, Serialize};

use crate::{
    figure::Figure,
    machine::{self, Machine},
};

const FOLDER: &str = "benches/records";

/// A group of figures that one run measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Part {
    /// Nanoseconds of each row of benches/, beside the peers.
    Time,
    /// Allocations of each row, and the memory that a channel takes.
    Memory,
    /// Events for a thousand QMP clients.
    Fanout,
    /// `spicewatch read` beside tshark.
    Read,
    /// `spicewatch relay` beside HAProxy and others.
    Relay,
}

impl Part {
    pub(crate) const ALL: [Self; 5] = [Self::Time, Self::Memory, Self::Fanout, Self::Read, Self::Relay];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Memory => "memory",
            Self::Fanout => "fanout",
            Self::Read => "read",
            Self::Relay => "relay",
        }
    }
}

/// The result of measuring a part.
pub(crate) struct Measured {
    pub(crate) figures: Vec<Figure>,
    /// The peers that are not installed, so that their figures are missing.
    pub(crate) missing: Vec<String>,
    /// The peers' versions.
    pub(crate) versions: Vec<String>,
}

/// The newest figures of each part on one kind of machine. Its date is the day of the newest measurement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) date: String,
    pub(crate) machine: Machine,
    pub(crate) parts: Vec<PartRecord>,
}

/// The figures of one part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct PartRecord {
    pub(crate) part: Part,
    /// The day of the measurement. Empty means the day of the record.
    #[serde(default)]
    pub(crate) date: String,
    /// The commit that was measured. A `+` at its end means that the work tree had uncommitted changes.
    pub(crate) commit: String,
    /// The peers that were not installed.
    pub(crate) missing: Vec<String>,
    /// The versions of the peers.
    #[serde(default)]
    pub(crate) versions: Vec<String>,
    pub(crate) figures: Vec<Figure>,
}

impl PartRecord {
    /// Makes the record of a measurement that has just ended.
    pub(crate) fn new(part: Part, Measured { figures, missing, versions }: Measured) -> Result<Self> {
        Ok(Self { part, date: machine::today()?, commit: machine::commit()?, missing, versions, figures })
    }
}

impl Record {
    /// Makes a record of one part.
    pub(crate) fn of(machine: Machine, part: PartRecord) -> Self {
        Self { date: String::new(), machine, parts: vec![part] }
    }

    /// Makes today's record for this machine. Parts that are not measured again keep their older figures.
    pub(crate) fn today() -> Result<Self> {
        let (date, machine) = (machine::today()?, Machine::here()?);
        let before = Self::newest()?.filter(|newest| newest.machine.slug() == machine.slug());
        let parts = before.map(|newest| newest.parts).unwrap_or_default();
        Ok(Self { date, machine, parts })
    }

    /// Reads the newest committed record of any machine.
    pub(crate) fn newest() -> Result<Option<Self>> {
        let mut paths: Vec<PathBuf> =
            fs::read_dir(FOLDER).context(FOLDER)?.flatten().map(|entry| entry.path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
        paths.sort();
        paths.last().map(|path| Self::read(path)).transpose()
    }

    fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let mut record: Self = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
        for part in record.parts.iter_mut().filter(|part| part.date.is_empty()) {
            part.date.clone_from(&record.date);
        }
        Ok(record)
    }

    fn path(&self) -> PathBuf {
        Path::new(FOLDER).join(format!("{}-{}.json", self.date, self.machine.slug()))
    }

    /// Replaces the figures of a part.
    pub(crate) fn set(&mut self, part: Part, measured: Measured) -> Result<()> {
        self.parts.retain(|other| other.part != part);
        self.parts.push(PartRecord::new(part, measured)?);
        self.parts.sort_by_key(|record| Part::ALL.iter().position(|part| *part == record.part));
        Ok(())
    }

    /// All figures of all parts.
    pub(crate) fn figures(&self) -> impl Iterator<Item = &Figure> {
        self.parts.iter().flat_map(|part| &part.figures)
    }

    /// Finds one figure.
    pub(crate) fn find(&self, row: &str, who: &str, what: &str, at: Option<u64>) -> Option<&Figure> {
        self.figures().find(|figure| figure.row == row && figure.who == who && figure.what == what && figure.at == at)
    }

    /// Writes the record and returns its path.
    pub(crate) fn write(&self) -> Result<PathBuf> {
        let path = self.path();
        fs::create_dir_all(FOLDER)?;
        fs::write(&path, self.to_json()?).with_context(|| path.display().to_string())?;
        Ok(path)
    }

    fn to_json(&self) -> Result<String> {
        let Self { date, machine, parts } = self;
        let mut out =
            format!("{{\n\"date\": \"{date}\",\n\"machine\": {},\n\"parts\": [\n", serde_json::to_string(machine)?);
        for (i, PartRecord { part, date, commit, missing, versions, figures }) in parts.iter().enumerate() {
            let [part, date, commit] =
                [serde_json::to_string(part)?, serde_json::to_string(date)?, serde_json::to_string(commit)?];
            let [missing, versions] = [serde_json::to_string(missing)?, serde_json::to_string(versions)?];
            let lines = figures.iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>()?.join(",\n");
            let comma = if i + 1 < parts.len() { "," } else { "" };
            writeln!(
                out,
                "{{\"part\": {part}, \"date\": {date}, \"commit\": {commit}, \"missing\": {missing}, \"versions\": {versions}, \"figures\": [\n{lines}\n]}}{comma}"
            )?;
        }
        out.push_str("]\n}\n");
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_unchanged_after_write_and_read() {
        let figure = Figure::parse(r#"{"row": "r", "who": "w", "what": "time", "unit": "ns", "value": 2}"#).unwrap();
        let machine = Machine {
            cpu: "AMD EPYC".into(),
            cores: 2,
            memory_gb: 24,
            kernel: "Linux 6".into(),
            rustc: "rustc 1.95.0".into(),
        };
        assert_eq!(machine.slug(), "amd-epyc-2-cores");
        let mut record = Record { date: "2026-11-22".into(), machine, parts: Vec::new() };
        record
            .set(
                Part::Memory,
                Measured { figures: vec![figure.clone()], missing: vec!["qmp".into()], versions: vec![] },
            )
            .unwrap();
        record
            .set(
                Part::Time,
                Measured {
                    figures: vec![figure.clone(), figure.clone()],
                    missing: vec![],
                    versions: vec!["qmp 0.1.1".into()],
                },
            )
            .unwrap();
        record.set(Part::Memory, Measured { figures: vec![figure], missing: vec![], versions: vec![] }).unwrap();
        let again: Record = serde_json::from_str(&record.to_json().unwrap()).unwrap();
        assert_eq!(again, record);
        assert_eq!(again.parts.iter().map(|part| part.part).collect::<Vec<_>>(), [Part::Time, Part::Memory]);
    }
}
