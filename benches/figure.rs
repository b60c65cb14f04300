use std::fmt;

/// One measured number. Printed as a line of JSON, which is how `cargo xtask bench` gets it.
#[derive(Clone, Copy, Debug)]
pub struct Figure<'a> {
    /// The row's name.
    pub row: &'a str,
    /// Whose number.
    pub who: &'a str,
    /// What was measured.
    pub what: &'a str,
    /// In which unit.
    pub unit: &'a str,
    /// How many of what the row varies, where it does.
    pub at: Option<u64>,
    /// The number: a median, where it was measured more than once.
    pub value: f64,
    /// The smallest and the largest of the middle eight tenths of all measurements.
    pub spread: Option<[f64; 2]>,
    /// How many times as much this is as ours: the median of the ratios of neighbouring measurements.
    pub ratio: Option<f64>,
}

impl<'a> Figure<'a> {
    /// A number that was measured once.
    pub const fn new(row: &'a str, who: &'a str, what: &'a str, unit: &'a str, value: f64) -> Self {
        Self { row, who, what, unit, at: None, value, spread: None, ratio: None }
    }

    /// With how many of what the row varies.
    #[must_use]
    pub const fn at(mut self, at: u64) -> Self {
        self.at = Some(at);
        self
    }
}

impl fmt::Display for Figure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { row, who, what, unit, at, value, spread, ratio } = self;
        // Names are plain ASCII, so that Rust's quotes are JSON's.
        write!(
            f,
            "{{\"row\": {row:?}, \"who\": {who:?}, \"what\": {what:?}, \"unit\": {unit:?}, \"value\": {value:?}"
        )?;
        if let Some(at) = at {
            write!(f, ", \"at\": {at}")?;
        }
        if let Some([low, high]) = spread {
            write!(f, ", \"spread\": [{low:?}, {high:?}]")?;
        }
        if let Some(ratio) = ratio {
            write!(f, ", \"ratio\": {ratio:?}")?;
        }
        f.write_str("}")
    }
}
