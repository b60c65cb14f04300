//! The timeline of each VM as a picture: SVG.

use std::{collections::BTreeMap, fmt::Write as _};

use jiff::{Span, Timestamp as Moment, tz::TimeZone};
use spice_sessions::{Reason, Timestamp};

use super::{
    text::{duration, shown},
    time::moment,
    who::{client, vm},
};
use crate::history::Entry;

/// Sizes, in pixels.
const WIDTH: f64 = 1000.0;
const LABEL: f64 = 150.0;
const SUM: f64 = 70.0;
const ROW: f64 = 26.0;
const HEAD: f64 = 52.0;
const FOOT: f64 = 34.0;

/// The narrowest bar: a short session is still seen.
const NARROWEST: f64 = 1.5;

/// Characters of a VM's name that have room.
const NAME: usize = 22;

/// Colours of a light and of a dark page.
const STYLE: &str = "\
text{font:12px system-ui,sans-serif;fill:#1c2126}.quiet{fill:#5b6670}.back{fill:#fff}.grid{stroke:#e2e5e7}\
.bar{fill:#3d9494}.live{fill:#0a6b6b}.refused{stroke:#a8231a;stroke-width:2}\
@media(prefers-color-scheme:dark){text{fill:#dfe5e9}.quiet{fill:#98a4ae}.back{fill:#191e22}.grid{stroke:#2a3137}\
.bar{fill:#3f8f8c}.live{fill:#62c6c1}.refused{stroke:#ff8f85}}";

/// What is drawn: sessions and refused links that were there between two times.
pub(super) struct Timeline<'a> {
    pub(super) sessions: &'a [Entry],
    pub(super) refusals: &'a [Entry],
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    pub(super) zone: TimeZone,
}

#[derive(Default)]
struct Line<'a> {
    sessions: Vec<&'a Entry>,
    refusals: Vec<&'a Entry>,
}

impl Timeline<'_> {
    pub(super) fn draw(&self) -> String {
        let mut lines = BTreeMap::<String, Line<'_>>::new();
        for entry in self.sessions {
            lines.entry(vm(&entry.record)).or_default().sessions.push(entry);
        }
        for entry in self.refusals {
            lines.entry(vm(&entry.record)).or_default().refusals.push(entry);
        }
        #[expect(clippy::cast_precision_loss, reason = "there are fewer than 2^53 lines")]
        let bottom = HEAD + ROW * lines.len().max(1) as f64;
        let height = bottom + FOOT;
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" role=\"img\">\n\
             <title>SPICE sessions, {} to {}</title>\n<style>{STYLE}</style>\n<rect class=\"back\" width=\"{WIDTH}\" height=\"{height}\"/>\n",
            self.local(self.from, "%Y-%m-%d %H:%M"),
            self.local(self.to, "%Y-%m-%d %H:%M"),
        );
        let span = format!("{} – {}", self.local(self.from, "%Y-%m-%d %H:%M"), self.local(self.to, "%Y-%m-%d %H:%M"));
        text(&mut out, 12.0, 19.0, "", &span);
        for (at, label) in self.ticks() {
            let x = self.x(at);
            let _ = writeln!(out, "<path class=\"grid\" d=\"M{x:.1} {:.1}V{bottom:.1}\"/>", HEAD - 6.0);
            text(&mut out, x, HEAD - 12.0, " class=\"quiet\" text-anchor=\"middle\"", &label);
        }
        if lines.is_empty() {
            text(
                &mut out,
                WIDTH / 2.0,
                HEAD + 18.0,
                " class=\"quiet\" text-anchor=\"middle\"",
                "no session in this time",
            );
        }
        let mut top = HEAD;
        for (name, line) in &lines {
            let _ = writeln!(out, "<path class=\"grid\" d=\"M12 {top:.1}H{:.1}\"/>", WIDTH - 12.0);
            self.line(&mut out, top, name, line);
            top += ROW;
        }
        legend(&mut out, bottom + 21.0);
        out.push_str("</svg>\n");
        out
    }

    fn line(&self, out: &mut String, top: f64, name: &str, line: &Line<'_>) {
        let mut short: String = name.chars().take(NAME).collect();
        if short.len() < name.len() {
            short.push('…');
        }
        text(out, 12.0, top + 17.0, " font-weight=\"600\"", &short);
        let mut used: Vec<(i64, i64)> = Vec::new();
        // The oldest first: a later session of the same VM is drawn above it.
        for entry in line.sessions.iter().rev() {
            let record = &entry.record;
            let end = record.event.end.filter(|_| !entry.is_live).unwrap_or(self.to);
            let (start, stop) = (self.x(record.event.start), self.x(end));
            used.push((micros(record.event.start).max(micros(self.from)), micros(end).min(micros(self.to))));
            let until = if entry.is_live { "now".into() } else { self.local(end, "%H:%M") };
            let why = record.event.reason.map(|reason| format!(", {reason}")).unwrap_or_default();
            let tip = format!("{}, {} to {until}{why}", client(record), self.local(record.event.start, "%H:%M"));
            let _ = writeln!(
                out,
                "<rect class=\"{}\" x=\"{start:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"12\" rx=\"2\"><title>{}</title></rect>",
                if entry.is_live { "live" } else { "bar" },
                top + 7.0,
                (stop - start).max(NARROWEST),
                escape(&tip),
            );
        }
        for entry in &line.refusals {
            let record = &entry.record;
            let why = record.event.reason.map_or("", Reason::name);
            let tip = format!("{}, {}, refused: {why}", client(record), self.local(record.timestamp, "%H:%M"));
            let _ = writeln!(
                out,
                "<path class=\"refused\" d=\"M{:.1} {:.1}v20\"><title>{}</title></path>",
                self.x(record.timestamp),
                top + 3.0,
                escape(&tip),
            );
        }
        let sum = union(&mut used);
        if !sum.is_zero() {
            text(out, WIDTH - 12.0, top + 17.0, " class=\"quiet\" text-anchor=\"end\"", &duration(sum));
        }
    }

    /// The place of a time, between the label and the sum.
    fn x(&self, at: Timestamp) -> f64 {
        let (from, to) = (micros(self.from), micros(self.to).max(micros(self.from) + 1));
        #[expect(clippy::cast_precision_loss, reason = "a pixel is more than a microsecond")]
        let part = (micros(at).clamp(from, to) - from) as f64 / (to - from) as f64;
        LABEL + 12.0 + part * (WIDTH - LABEL - SUM - 24.0)
    }

    /// Some eight round times, with what is written there.
    fn ticks(&self) -> Vec<(Timestamp, String)> {
        let hours = (self.to.seconds - self.from.seconds).max(1) / 3600;
        let (step, format) = match hours {
            0..=2 => (Span::new().minutes(15), "%H:%M"),
            3..=8 => (Span::new().hours(1), "%H:%M"),
            9..=30 => (Span::new().hours(3), "%H:%M"),
            31..=72 => (Span::new().hours(12), "%a %H:%M"),
            73..=240 => (Span::new().days(1), "%a %-d %b"),
            241..=1500 => (Span::new().days(7), "%-d %b"),
            _ => (Span::new().months(1), "%b %Y"),
        };
        let mut ticks = Vec::new();
        let start = moment(self.from).to_zoned(self.zone.clone()).start_of_day();
        let Ok(mut at) = start else { return ticks };
        let end = moment(self.to);
        while at.timestamp() < end && ticks.len() < 100 {
            if at.timestamp() > moment(self.from) {
                ticks.push((timestamp(at.timestamp()), at.strftime(format).to_string()));
            }
            let Ok(next) = at.checked_add(step) else { break };
            at = next;
        }
        ticks
    }

    fn local(&self, at: Timestamp, format: &str) -> String {
        moment(at).to_zoned(self.zone.clone()).strftime(format).to_string()
    }
}

fn legend(out: &mut String, y: f64) {
    for (x, class, label) in [(12.0, "live", "connected at the end"), (170.0, "bar", "session")] {
        let _ = writeln!(
            out,
            "<rect class=\"{class}\" x=\"{x}\" y=\"{:.1}\" width=\"16\" height=\"10\" rx=\"2\"/>",
            y - 9.0
        );
        text(out, x + 22.0, y, " class=\"quiet\"", label);
    }
    let _ = writeln!(out, "<path class=\"refused\" d=\"M252 {:.1}v14\"/>", y - 11.0);
    text(out, 259.0, y, " class=\"quiet\"", "refused link");
    text(out, WIDTH - 12.0, y, " class=\"quiet\" text-anchor=\"end\"", "time in use");
}

fn text(out: &mut String, x: f64, y: f64, attributes: &str, text: &str) {
    let _ = writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\"{attributes}>{}</text>", escape(text));
}

/// The time that is in at least one of the spans, in microseconds.
fn union(spans: &mut [(i64, i64)]) -> std::time::Duration {
    spans.sort_unstable();
    let (mut sum, mut until) = (0_u64, i64::MIN);
    for (start, end) in spans {
        sum += u64::try_from(*end - (*start).max(until)).unwrap_or(0);
        until = until.max(*end);
    }
    std::time::Duration::from_micros(sum)
}

/// Text of an element. Names come from peers and operators: neither markup nor control characters are left in them.
fn escape(text: &str) -> String {
    let text = shown(text);
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // XML has no way to write these.
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            char => out.push(char),
        }
    }
    out
}

fn micros(at: Timestamp) -> i64 {
    at.seconds.saturating_mul(1_000_000).saturating_add(at.microseconds)
}

fn timestamp(at: Moment) -> Timestamp {
    Timestamp { seconds: at.as_second(), microseconds: i64::from(at.subsec_microsecond()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn time_in_use_counts_overlaps_once() {
        for (spans, sum) in [
            (&mut [][..], 0),
            (&mut [(0, 10)], 10),
            (&mut [(5, 15), (0, 10)], 15),
            (&mut [(0, 10), (2, 3), (20, 30)], 20),
            (&mut [(10, 5)], 0),
        ] {
            assert_eq!(union(spans), Duration::from_micros(sum), "{spans:?}");
        }
    }

    #[test]
    fn hostile_names_are_text() {
        assert_eq!(escape("<script>&\"'\u{1b}\u{202e}"), "&lt;script&gt;&amp;&quot;&#39;\\u{1b}\\u{202e}");
    }

    #[test]
    fn ticks_are_round_local_times_within_the_picture() {
        let at = |text: &str| timestamp(text.parse().unwrap());
        let ticks = |from: &str, to: &str| {
            let (from, to) = (at(from), at(to));
            let zone = TimeZone::get("Europe/Berlin").unwrap();
            let timeline = Timeline { sessions: &[], refusals: &[], from, to, zone };
            timeline.ticks().into_iter().map(|(_, label)| label).collect::<Vec<_>>()
        };
        let day = ticks("2026-11-27T14:30:00Z", "2026-11-28T14:30:00Z");
        assert_eq!(day, ["18:00", "21:00", "00:00", "03:00", "06:00", "09:00", "12:00", "15:00"]);
        let week = ticks("2026-11-21T14:30:00Z", "2026-11-28T14:30:00Z");
        assert_eq!(week.first().map(String::as_str), Some("Sun 22 Nov"));
        assert_eq!(week.len(), 7);
        // The clocks go back at three.
        let autumn = ticks("2026-10-24T22:00:00Z", "2026-10-25T04:00:00Z");
        assert_eq!(autumn, ["01:00", "02:00", "02:00", "03:00", "04:00"]);
        for (from, to) in
            [("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"), ("1970-01-01T00:00:00Z", "2026-01-01T00:00:00Z")]
        {
            assert!(ticks(from, to).len() <= 100);
        }
    }
}
