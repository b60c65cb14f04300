use std::{fmt, str::FromStr};

use spice_link::UnknownName;

/// A server's `auth` setting, as QEMU shows it in events and in `query-spice`. Written and read as `spice`, `none` or `sasl`.
///
/// ```
/// use spice_events::Auth;
/// assert_eq!("sasl".parse(), Ok(Auth::Sasl));
/// assert_eq!(Auth::None.to_string(), "none");
/// assert_eq!("ticket".parse::<Auth>().unwrap_err().to_string(), "expected spice, none or sasl");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "lowercase"))]
pub enum Auth {
    /// Tickets: `password=`, or no password set yet.
    Spice,
    /// `disable-ticketing=on`
    None,
    /// `sasl=on`
    Sasl,
}

impl Auth {
    /// Every setting.
    pub const ALL: [Self; 3] = [Self::Spice, Self::None, Self::Sasl];

    /// `"spice"`, `"none"` or `"sasl"`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Spice => "spice",
            Self::None => "none",
            Self::Sasl => "sasl",
        }
    }
}

impl fmt::Display for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Auth {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        let found = Self::ALL.into_iter().find(|auth| auth.name() == name);
        found.ok_or(UnknownName { expected: "spice, none or sasl" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;

    #[test]
    fn settings_are_read_and_shown_by_their_names() {
        for auth in Auth::ALL {
            assert_eq!(auth.to_string().parse(), Ok(auth));
        }
        assert_eq!(format!("{:>6}", Auth::None), "  none");
        assert_eq!("Sasl".parse::<Auth>().unwrap_err().to_string(), "expected spice, none or sasl");
        let config = Config::default().auth(Auth::Sasl);
        assert_eq!((config.auth, config.max_backlog), (Some(Auth::Sasl), Config::MAX_BACKLOG));
    }
}
