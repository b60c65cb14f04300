//! PERFORMANCE.md. Its text is written by hand. Its plots, and its tables between marks, are generated from the record.

use std::{fmt::Write as _, fs, path::PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::{
    bench_record::Record,
    plot::{Bars, Lines},
    table, targets,
};

const PAGE: &str = "PERFORMANCE.md";
const PLOTS: &str = "benches/plots";
const END: &str = "<!-- end -->";

/// Writes the page and its plots.
pub(crate) fn make(record: &Record) -> Result<()> {
    fs::create_dir_all(PLOTS)?;
    for (path, text) in files(record)? {
        fs::write(&path, text).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

fn files(record: &Record) -> Result<Vec<(PathBuf, String)>> {
    let page = fs::read_to_string(PAGE).context(PAGE)?;
    let mut files = vec![(PathBuf::from(PAGE), with_tables(&page, record)?)];
    files.extend(plots(record).into_iter().map(|(name, svg)| (PathBuf::from(PLOTS).join(name), svg)));
    Ok(files)
}

/// Fills in the table of each mark. A mark is `<!-- targets -->`, `<!-- machine -->` or `<!-- row: NAME -->`; its table ends at
/// `<!-- end -->`.
fn with_tables(page: &str, record: &Record) -> Result<String> {
    let mut out = String::new();
    let mut rest = page;
    while let Some((before, from)) = rest.split_once("<!-- ") {
        let (mark, behind) = from.split_once(" -->").context("a mark lacks its ` -->`")?;
        let (_, after) =
            behind.split_once(END).with_context(|| format!("the mark {mark:?} is not followed by {END}"))?;
        let table = match (mark, mark.strip_prefix("row: ")) {
            ("targets", _) => targets::table(record),
            ("machine", _) => machine(record),
            (_, Some(row)) => table::row(record, row).to_string(),
            _ => bail!("no such mark: {mark:?}"),
        };
        write!(out, "{before}<!-- {mark} -->\n{table}{END}")?;
        rest = after;
    }
    Ok(out + rest)
}

fn machine(record: &Record) -> String {
    let machine = &record.machine;
    let mut out = format!(
        "{} cores of {}, {} GB, {}, {}.\n",
        machine.cores, machine.cpu, machine.memory_gb, machine.kernel, machine.rustc
    );
    for part in &record.parts {
        let missing = match part.missing.as_slice() {
            [] => String::new(),
            missing => format!("; not installed: {}", missing.join(", ")),
        };
        let beside = match part.versions.as_slice() {
            [] => String::new(),
            versions => format!("; beside {}", versions.join(", ")),
        };
        let _ = writeln!(out, "- {}: {}, measured at {}{beside}{missing}", part.part.name(), part.date, part.commit);
    }
    out
}

/// Draws the plots that the record has figures for.
fn plots(record: &Record) -> Vec<(&'static str, String)> {
    let groups: Vec<_> =
        [("parse header + mess", "time"), ("write SPICE_INITIALIZED", "time"), ("read SPICE_INITIALIZED", "time")]
            .into_iter()
            .map(|(row, what)| {
                let bars = record.figures().filter(|figure| figure.row == row && figure.what == what);
                (row.to_owned(), bars.map(|figure| (figure.who.clone(), figure.ratio.unwrap_or(1.0))).collect())
            })
            .filter(|(_, bars): &(String, Vec<_>)| !bars.is_empty())
            .collect();
    let mut plots = Vec::new();
    if !groups.is_empty() {
        plots.push(("units.svg", Bars { title: "Time, as a multiple of ours", unit: "", groups }.svg()));
    }
    let full = series(record, "a tracker full of channels", "time for an event");
    if !full.is_empty() {
        let title = "Time for an event, by number of live channels";
        let plot = Lines { title, across: ("live channels", ""), unit: "ns", log: false, series: full };
        plots.push(("tracker.svg", plot.svg()));
    }
    let read = series(record, "read a large capture", "time");
    if !read.is_empty() {
        let title = "Time to read a capture, by its size";
        plots.push(("read.svg", Lines { title, across: ("bytes", "B"), unit: "ns", log: true, series: read }.svg()));
    }
    // TLS has separate tables.
    let plain = |row, what| series(record, row, what).into_iter().filter(|(who, _)| !who.ends_with("TLS")).collect();
    let streams: Vec<_> = plain("a stream through a relay, by bytes a message", "throughput");
    if !streams.is_empty() {
        let title = "Throughput of one stream, by size of its messages";
        let across = ("bytes a message", "B");
        plots.push(("relay-throughput.svg", Lines { title, across, unit: "B/s", log: false, series: streams }.svg()));
    }
    for (name, what, title) in [
        ("relay-p50.svg", "p50", "Round trip of 64 bytes, by number of idle channels: median"),
        ("relay-p99.svg", "p99", "Round trip of 64 bytes, by number of idle channels: 99th percentile"),
    ] {
        let pings: Vec<_> = plain("a ping-pong of 64 bytes, beside idle channels", what);
        if !pings.is_empty() {
            plots.push((name, Lines { title, across: ("channels", ""), unit: "ns", log: true, series: pings }.svg()));
        }
    }
    plots
}

/// One line for each program, over the quantity that the row varies.
fn series(record: &Record, row: &str, what: &str) -> Vec<(String, Vec<(f64, f64)>)> {
    let mut lines: Vec<(String, Vec<(f64, f64)>)> = Vec::new();
    for figure in record.figures().filter(|figure| figure.row == row && figure.what == what) {
        let Some(at) = figure.at else { continue };
        #[allow(clippy::cast_precision_loss, reason = "for a plot")]
        let point = (at as f64, figure.value);
        match lines.iter_mut().find(|(who, _)| *who == figure.who) {
            Some((_, points)) => points.push(point),
            None => lines.push((figure.who.clone(), vec![point])),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every figure of the page comes from the newest record.
    #[test]
    fn committed_page_is_generated_from_the_newest_record() {
        shell::enter_workspace().unwrap();
        let record = Record::newest().unwrap().unwrap();
        for (path, text) in files(&record).unwrap() {
            assert!(fs::read_to_string(&path).unwrap() == text, "{}: `cargo xtask bench --page`", path.display());
        }
    }
}
