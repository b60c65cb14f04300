//! A report as text, JSON and JUnit's XML.

use serde_derive::Serialize;
use spice_conformance::{Case, Counts, Outcome, Report, Verdict};
use std::fmt::Write;

#[derive(Serialize)]
struct JsonReport<'a> {
    server: &'a str,
    passed: usize,
    failed: usize,
    skipped: usize,
    cases: Vec<JsonCase<'a>>,
}

#[derive(Serialize)]
struct JsonCase<'a> {
    name: &'a str,
    section: u8,
    level: &'a str,
    outcome: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    expected: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    seen: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    note: &'a str,
    milliseconds: u128,
}

/// A case of the table, one line.
pub(super) fn row(case: &Case) -> String {
    let (name, section, note) = (case.name(), case.section(), case.version_note());
    format!("{section:>2} {name}{}{note}\n", if note.is_empty() { "" } else { ": " })
}

/// An outcome: one line, or a few for a case that failed.
pub(super) fn line(outcome: &Outcome) -> String {
    let Outcome { name, section, note, verdict, .. } = outcome;
    match verdict {
        Verdict::Passed => format!("  ok    {section:>2} {name}\n"),
        Verdict::Failed { expected, seen } => {
            let note = if note.is_empty() { String::new() } else { format!("            note      {note}\n") };
            format!(
                "  FAIL  {section:>2} {name}\n            expected  {expected}\n            seen      {seen}\n{note}"
            )
        }
        Verdict::Skipped(reason) => format!("  skip  {section:>2} {name}: {reason}\n"),
        other => format!("  {other}  {section:>2} {name}\n"),
    }
}

pub(super) fn summary(report: &Report) -> String {
    let Counts { passed, failed, skipped, .. } = report.counts();
    format!("{} cases: {passed} passed, {failed} failed, {skipped} skipped\n", report.outcomes.len())
}

pub(super) fn json(server: &str, report: &Report) -> String {
    let Counts { passed, failed, skipped, .. } = report.counts();
    let cases = report.outcomes.iter().map(JsonCase::from).collect();
    let report = JsonReport { server, passed, failed, skipped, cases };
    serde_json::to_string_pretty(&report).unwrap_or_default() + "\n"
}

impl<'a> From<&'a Outcome> for JsonCase<'a> {
    fn from(outcome: &'a Outcome) -> Self {
        let Outcome { name, section, level, note, verdict, time, .. } = outcome;
        let (outcome, expected, seen, reason) = match verdict {
            Verdict::Passed => ("passed", "", "", ""),
            Verdict::Failed { expected, seen } => ("failed", &**expected, &**seen, ""),
            Verdict::Skipped(reason) => ("skipped", "", "", *reason),
            _ => ("unknown", "", "", ""),
        };
        Self {
            name,
            section: *section,
            level: level.name(),
            outcome,
            expected,
            seen,
            reason,
            note,
            milliseconds: time.as_millis(),
        }
    }
}

/// JUnit's XML: one suite, one test case for each case, with the section as its class name.
pub(super) fn junit(server: &str, report: &Report) -> String {
    let Counts { failed, skipped, .. } = report.counts();
    let time: f64 = report.outcomes.iter().map(|outcome| outcome.time.as_secs_f64()).sum();
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        out,
        "<testsuite name=\"spice conformance of {}\" tests=\"{}\" failures=\"{failed}\" errors=\"0\" skipped=\"{skipped}\" time=\"{time:.3}\">",
        escape(server),
        report.outcomes.len()
    );
    for Outcome { name, section, verdict, time, .. } in &report.outcomes {
        let time = time.as_secs_f64();
        let _ = write!(out, "  <testcase classname=\"section-{section}\" name=\"{name}\" time=\"{time:.3}\"");
        let _ = match verdict {
            Verdict::Passed => writeln!(out, "/>"),
            Verdict::Skipped(why) => writeln!(out, "><skipped message=\"{}\"/></testcase>", escape(why)),
            Verdict::Failed { expected, seen } => {
                let (expected, seen) = (escape(expected), escape(seen));
                writeln!(out, "><failure message=\"expected {expected}; seen {seen}\"/></testcase>")
            }
            other => writeln!(out, "><skipped message=\"{}\"/></testcase>", escape(&other.to_string())),
        };
    }
    out.push_str("</testsuite>\n");
    out
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
