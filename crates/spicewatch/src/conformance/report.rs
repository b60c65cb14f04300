//! What is printed: lines for people, JSON, JUnit XML.

use super::case::{Case, Verdict};
use serde_derive::Serialize;
use std::{fmt::Write, time::Duration};

/// A case and how it ended.
pub(super) struct Outcome {
    pub(super) case: &'static Case,
    pub(super) verdict: Verdict,
    pub(super) time: Duration,
}

/// How many of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Counts {
    pub(super) passed: usize,
    pub(super) failed: usize,
    pub(super) skipped: usize,
}

#[derive(Serialize)]
struct Report<'a> {
    server: &'a str,
    #[serde(flatten)]
    counts: Counts,
    cases: Vec<Row<'a>>,
}

#[derive(Serialize)]
struct Row<'a> {
    name: &'a str,
    section: u8,
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

pub(super) fn count(outcomes: &[Outcome]) -> Counts {
    let mut counts = Counts::default();
    for outcome in outcomes {
        match outcome.verdict {
            Verdict::Passed => counts.passed += 1,
            Verdict::Failed { .. } => counts.failed += 1,
            Verdict::Skipped(_) => counts.skipped += 1,
        }
    }
    counts
}

/// One line a case, more for one that failed.
pub(super) fn line(outcome: &Outcome) -> String {
    let Case { name, section, note, .. } = outcome.case;
    match &outcome.verdict {
        Verdict::Passed => format!("  ok    {section:>2} {name}"),
        Verdict::Skipped(why) => format!("  skip  {section:>2} {name}: {why}"),
        Verdict::Failed { expected, seen } => {
            let note = if note.is_empty() { String::new() } else { format!("\n            note      {note}") };
            format!("  FAIL  {section:>2} {name}\n            expected  {expected}\n            seen      {seen}{note}")
        }
    }
}

pub(super) fn summary(outcomes: &[Outcome]) -> String {
    let Counts { passed, failed, skipped } = count(outcomes);
    format!("{} cases: {passed} passed, {failed} failed, {skipped} skipped", outcomes.len())
}

pub(super) fn json(server: &str, outcomes: &[Outcome]) -> String {
    let rows = outcomes.iter().map(|outcome| {
        let (result, expected, seen, reason) = match &outcome.verdict {
            Verdict::Passed => ("passed", "", "", ""),
            Verdict::Failed { expected, seen } => ("failed", &**expected, &**seen, ""),
            Verdict::Skipped(why) => ("skipped", "", "", *why),
        };
        let Case { name, section, note, .. } = outcome.case;
        let milliseconds = outcome.time.as_millis();
        Row { name, section: *section, outcome: result, expected, seen, reason, note, milliseconds }
    });
    let report = Report { server, counts: count(outcomes), cases: rows.collect() };
    serde_json::to_string_pretty(&report).unwrap_or_default()
}

/// JUnit's XML: a suite, a case for each, its section as class name.
pub(super) fn junit(server: &str, outcomes: &[Outcome]) -> String {
    let Counts { failed, skipped, .. } = count(outcomes);
    let time: f64 = outcomes.iter().map(|outcome| outcome.time.as_secs_f64()).sum();
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        out,
        "<testsuite name=\"spice conformance of {}\" tests=\"{}\" failures=\"{failed}\" errors=\"0\" skipped=\"{skipped}\" time=\"{time:.3}\">",
        escape(server),
        outcomes.len()
    );
    for Outcome { case, verdict, time } in outcomes {
        let (name, section, time) = (case.name, case.section, time.as_secs_f64());
        let _ = write!(out, "  <testcase classname=\"section-{section}\" name=\"{name}\" time=\"{time:.3}\"");
        let _ = match verdict {
            Verdict::Passed => writeln!(out, "/>"),
            Verdict::Skipped(why) => writeln!(out, "><skipped message=\"{}\"/></testcase>", escape(why)),
            Verdict::Failed { expected, seen } => {
                let (expected, seen) = (escape(expected), escape(seen));
                writeln!(out, "><failure message=\"expected {expected}; seen {seen}\"/></testcase>")
            }
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
