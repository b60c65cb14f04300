//! Two kinds of plots as SVG, readable on white and on black.

use std::fmt::Write as _;

use crate::figure::show;

/// A plot of several lines over a logarithmic axis.
pub(crate) struct Lines<'a> {
    pub(crate) title: &'a str,
    /// The quantity of the horizontal axis, and its unit.
    pub(crate) across: (&'a str, &'a str),
    /// The unit of the vertical axis.
    pub(crate) unit: &'a str,
    /// Whether the vertical axis is logarithmic. A linear axis starts at zero.
    pub(crate) log: bool,
    /// The name and the points of each line.
    pub(crate) series: Vec<(String, Vec<(f64, f64)>)>,
}

/// A plot of bars in groups.
pub(crate) struct Bars<'a> {
    pub(crate) title: &'a str,
    pub(crate) unit: &'a str,
    /// The name of each group, and the name and the length of each of its bars.
    pub(crate) groups: Vec<(String, Vec<(String, f64)>)>,
}

const WIDTH: f64 = 720.0;
/// Text and axes use the colour of the page. The hues have enough contrast on white and on black.
const STYLE: &str = "\
<style>\
text{font:13px system-ui,sans-serif;fill:#24292f}\
.title{font-weight:600}.grid{stroke:#d0d7de}.dim{fill:#57606a}\
.c0{stroke:#2f6fde;fill:#2f6fde}.c1{stroke:#c4622d;fill:#c4622d}.c2{stroke:#2d8f5a;fill:#2d8f5a}.c3{stroke:#8a5cc2;fill:#8a5cc2}\
.c4{stroke:#8c959f;fill:#8c959f}.c5{stroke:#b0892b;fill:#b0892b}\
.line{fill:none;stroke-width:2}.bar{stroke:none}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.grid{stroke:#30363d}.dim{fill:#9198a1}}\
</style>";
const COLOURS: usize = 6;

impl Lines<'_> {
    pub(crate) fn svg(&self) -> String {
        const HEIGHT: f64 = 360.0;
        let (left, right, top, bottom) = (80.0, WIDTH - 150.0, 48.0, HEIGHT - 56.0);
        let points = || self.series.iter().flat_map(|(_, points)| points);
        let xs = decades(points().map(|point| point.0));
        let ys = if self.log { decades(points().map(|point| point.1)) } else { steps(points().map(|point| point.1)) };
        let x = |value: f64| left + (right - left) * log_share(value, &xs);
        let y = |value: f64| {
            let share = if self.log { log_share(value, &ys) } else { value / ys[ys.len() - 1] };
            bottom - (bottom - top) * share
        };
        let mut out = head(HEIGHT, self.title);
        for tick in &ys {
            let at = y(*tick);
            let _ = write!(out, "<path class=\"grid\" d=\"M{left:.0} {at:.1}H{right:.0}\"/>");
            text(&mut out, left - 8.0, at + 4.0, "end", "dim", &show(*tick, self.unit));
        }
        for tick in &xs {
            let at = x(*tick);
            let _ = write!(out, "<path class=\"grid\" d=\"M{at:.1} {top:.0}V{bottom:.0}\"/>");
            text(&mut out, at, bottom + 18.0, "middle", "dim", &across(*tick, self.across.1));
        }
        text(&mut out, f64::midpoint(left, right), HEIGHT - 12.0, "middle", "dim", self.across.0);
        let mut labels: Vec<f64> = Vec::new();
        for (i, (name, points)) in self.series.iter().enumerate() {
            let colour = i % COLOURS;
            let path: Vec<String> = points.iter().map(|(px, py)| format!("{:.1} {:.1}", x(*px), y(*py))).collect();
            let _ = write!(out, "<path class=\"line c{colour}\" d=\"M{}\"/>", path.join("L"));
            for (px, py) in points {
                let _ = write!(out, "<circle class=\"c{colour}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\"/>", x(*px), y(*py));
            }
            if let Some((px, py)) = points.last() {
                // If lines end close to one another, their names are moved apart.
                let mut at = y(*py) + 4.0;
                while labels.iter().any(|other| (other - at).abs() < 15.0) {
                    at += 15.0;
                }
                labels.push(at);
                text(&mut out, x(*px) + 10.0, at, "start", "", name);
            }
        }
        out + "</svg>\n"
    }
}

impl Bars<'_> {
    pub(crate) fn svg(&self) -> String {
        const BAR: f64 = 20.0;
        let (left, right) = (230.0, WIDTH - 90.0);
        let bars: usize = self.groups.iter().map(|(_, bars)| bars.len()).sum();
        #[allow(clippy::cast_precision_loss, reason = "a few bars")]
        let height = 56.0 + bars as f64 * BAR + self.groups.len() as f64 * 34.0;
        let most = self.groups.iter().flat_map(|(_, bars)| bars).map(|bar| bar.1).fold(0.0, f64::max);
        let mut whose: Vec<&str> = Vec::new();
        let mut out = head(height, self.title);
        let mut y = 56.0;
        for (group, bars) in &self.groups {
            text(&mut out, 16.0, y + 8.0, "start", "", group);
            y += 18.0;
            for (who, value) in bars {
                let place = whose.iter().position(|other| other == who).unwrap_or_else(|| {
                    whose.push(who);
                    whose.len() - 1
                });
                let width = ((right - left) * value / most).max(1.0);
                text(&mut out, left - 8.0, y + 12.0, "end", "dim", who);
                let class = place % COLOURS;
                let _ = write!(
                    out,
                    "<rect class=\"bar c{class}\" x=\"{left:.0}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"15\"/>"
                );
                text(&mut out, left + width + 6.0, y + 12.0, "start", "", &show(*value, self.unit));
                y += BAR;
            }
            y += 16.0;
        }
        out + "</svg>\n"
    }
}

fn head(height: f64, title: &str) -> String {
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH:.0} {height:.0}\" role=\"img\" aria-label=\"{}\">{STYLE}",
        escape(title)
    );
    text(&mut out, 16.0, 26.0, "start", "title", title);
    out
}

fn text(out: &mut String, x: f64, y: f64, anchor: &str, class: &str, text: &str) {
    let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
    let _ = write!(out, "<text{class} x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>", escape(text));
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

/// Formats a tick of the horizontal axis: `10 k`, or with the scale of its unit.
fn across(value: f64, unit: &str) -> String {
    match unit {
        "" if value >= 1e6 => format!("{} M", value / 1e6),
        "" if value >= 1e3 => format!("{} k", value / 1e3),
        "" => format!("{value}"),
        unit => show(value, unit),
    }
}

/// The powers of ten that enclose these values.
fn decades(values: impl Iterator<Item = f64> + Clone) -> Vec<f64> {
    let low = values.clone().fold(f64::MAX, f64::min).log10().floor();
    let high = values.fold(f64::MIN_POSITIVE, f64::max).log10().ceil().max(low + 1.0);
    let mut ticks = vec![10f64.powf(low)];
    while ticks.len() < 30 && ticks[ticks.len() - 1] < 10f64.powf(high) * 0.99 {
        ticks.push(ticks[ticks.len() - 1] * 10.0);
    }
    ticks
}

/// Four to eight round steps from zero that enclose these values.
fn steps(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let most = values.fold(f64::MIN_POSITIVE, f64::max);
    let power = 10f64.powf(most.log10().floor());
    let step = [0.1, 0.2, 0.5, 1.0, 2.0].map(|part| part * power).into_iter().find(|step| most / step <= 6.0);
    let step = step.unwrap_or(power * 5.0);
    let mut ticks = vec![0.0];
    while ticks[ticks.len() - 1] < most {
        ticks.push(ticks[ticks.len() - 1] + step);
    }
    ticks
}

fn log_share(value: f64, ticks: &[f64]) -> f64 {
    let (low, high) = (ticks[0].log10(), ticks[ticks.len() - 1].log10());
    (value.log10() - low) / (high - low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_enclose_the_values() {
        assert_eq!(decades([20.0, 3000.0].into_iter()), [10.0, 100.0, 1000.0, 10_000.0]);
        assert_eq!(decades([100.0].into_iter()), [100.0, 1000.0]);
        assert_eq!(steps([720.0].into_iter()), [0.0, 200.0, 400.0, 600.0, 800.0]);
    }

    #[test]
    fn a_plot_contains_its_names_and_numbers() {
        let bars = Bars {
            title: "a < b",
            unit: "ns",
            groups: vec![("parse".into(), vec![("ours".into(), 2.5), ("theirs".into(), 40.0)])],
        };
        let svg = bars.svg();
        for word in ["a &lt; b", "2.50 ns", "theirs", "class=\"bar c1\""] {
            assert!(svg.contains(word), "{word}");
        }
        let series = vec![("ours".to_owned(), vec![(1000.0, 300.0), (1e6, 700.0)])];
        let svg = Lines { title: "t", across: ("channels", ""), unit: "ns", log: false, series }.svg();
        for word in ["1 k", "1 M", "800 ns", "channels"] {
            assert!(svg.contains(word), "{word}");
        }
    }
}
