//! One measured number.

use anyhow::{Context as _, Result};
use serde_derive::{Deserialize, Serialize};

/// One measured number, as `benches/figure.rs` prints it and the record keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Figure {
    /// The piece of work.
    pub(crate) row: String,
    /// The name of the program or crate that did it.
    pub(crate) who: String,
    /// What was measured of it.
    pub(crate) what: String,
    /// In which unit.
    pub(crate) unit: String,
    /// The value of the quantity that the row varies, for example the number of channels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) at: Option<u64>,
    /// The value: the median if it was measured more than once.
    pub(crate) value: f64,
    /// The bounds of the middle eight tenths of all measurements.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) spread: Option<[f64; 2]>,
    /// This value divided by ours: the median of the ratios of neighbouring measurements.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ratio: Option<f64>,
}

impl Figure {
    /// Reads one line of a bench's output.
    pub(crate) fn parse(line: &str) -> Result<Self> {
        let mut figure: Self =
            serde_json::from_str(line).with_context(|| format!("expected a figure, found: {line}"))?;
        figure.value = short(figure.value);
        figure.spread = figure.spread.map(|bounds| bounds.map(short));
        figure.ratio = figure.ratio.map(short);
        Ok(figure)
    }

    /// The value with its unit, for people to read.
    pub(crate) fn show(&self) -> String {
        show(self.value, &self.unit)
    }
}

/// Rounds to four significant digits. No measurement here is more precise than that.
pub(crate) fn short(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}

/// Formats a value with the largest fitting unit.
pub(crate) fn show(value: f64, unit: &str) -> String {
    let (value, unit) = match unit {
        "ns" => scale(value, &["ns", "µs", "ms", "s"]),
        "B" if value < 10_000.0 => (value, "B"),
        "B" => scale(value, &["B", "kB", "MB", "GB"]),
        "B/s" => scale(value, &["B/s", "kB/s", "MB/s", "GB/s"]),
        other => (value, other),
    };
    let digits = if value.fract() == 0.0 || value >= 100.0 { 0 } else { usize::from(value < 10.0) + 1 };
    format!("{value:.digits$} {unit}").trim_end().to_owned()
}

fn scale<'a>(mut value: f64, units: &[&'a str]) -> (f64, &'a str) {
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    (value, units[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shown_with_two_or_three_digits() {
        for (value, unit, shown) in [
            (0.0, "", "0"),
            (4.012, "ns", "4.01 ns"),
            (84.6, "ns", "84.6 ns"),
            (844.6, "ns", "845 ns"),
            (30_367.0, "ns", "30.4 µs"),
            (1016.0, "B", "1016 B"),
            (38_512.0, "B", "38.5 kB"),
            (208.86, "B", "209 B"),
            (2.1e9, "B/s", "2.10 GB/s"),
            (10.0, "", "10"),
        ] {
            assert_eq!(show(value, unit), shown);
        }
    }

    #[test]
    fn a_line_that_a_bench_prints_parses_as_a_figure() {
        let line = r#"{"row": "r", "who": "w", "what": "time", "unit": "ns", "value": 1.78887, "at": 10, "spread": [1.0, 2.0], "ratio": 1.0}"#;
        let figure = Figure::parse(line).unwrap();
        assert_eq!((figure.value, figure.at, figure.spread), (1.789, Some(10), Some([1.0, 2.0])));
        assert!(Figure::parse("running 0 tests").is_err());
    }
}
