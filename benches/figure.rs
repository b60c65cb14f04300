use std::fmt;

/// One measured number. It is printed as a line of JSON, which `cargo xtask bench` reads.
#[derive(Clone, Copy, Debug)]
pub struct Figure<'a> {
    /// The name of the row.
    pub row: &'a str,
    /// The name of the program or crate that did the work.
    pub who: &'a str,
    /// What was measured.
    pub what: &'a str,
    /// In which unit.
    pub unit: &'a str,
    /// The value of the quantity that the row varies, for example the number of channels.
    pub at: Option<u64>,
    /// The value: the median if it was measured more than once.
    pub value: f64,
    /// The smallest and the largest measurement without the lowest tenth and the highest tenth.
    pub spread: Option<[f64; 2]>,
    /// This value divided by ours: the median of the ratios of neighbouring measurements.
    pub ratio: Option<f64>,
}

impl<'a> Figure<'a> {
    /// A number that was measured once.
    pub const fn new(row: &'a str, who: &'a str, what: &'a str, unit: &'a str, value: f64) -> Self {
        Self { row, who, what, unit, at: None, value, spread: None, ratio: None }
    }

    /// Sets the value of the quantity that the row varies.
    #[must_use]
    pub const fn at(mut self, at: u64) -> Self {
        self.at = Some(at);
        self
    }
}

impl fmt::Display for Figure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { row, who, what, unit, at, value, spread, ratio } = self;
        // Names are plain ASCII, so Rust's quoting is valid JSON.
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
