//! Facts about each event besides its type.

use crate::{Event, qapi::Type};

/// Facts about an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct EventInfo {
    /// Its name in QMP: `SPICE_CONNECTED`.
    pub name: &'static str,
    /// The first version of QEMU that has it: `"0.14"`.
    pub since: &'static str,
    /// The first version of QEMU without it. `None`: QEMU still has it.
    pub until: Option<&'static str>,
    /// QEMU has announced its removal.
    pub deprecated: bool,
    /// QEMU may change it at any time.
    pub unstable: bool,
    /// The type of its data: a struct, without members where the event has no data.
    pub data: Type,
    /// QEMU's rate limit, if the event has one.
    pub rate_limit: Option<RateLimit>,
}

/// A rate limit: QEMU sends at most one event of the kind per second. Of several within a second it sends the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct RateLimit {
    /// The limit applies separately to each value of this member of the data. `None`: to all events of the kind together.
    pub per: Option<&'static str>,
    /// The first version of QEMU with the limit. `None`: the limit is as old as rate limits in QEMU.
    pub since: Option<&'static str>,
}

impl EventInfo {
    pub(crate) const fn new(name: &'static str, since: &'static str) -> Self {
        Self { name, since, until: None, deprecated: false, unstable: false, data: Type::Struct(&[]), rate_limit: None }
    }

    pub(crate) const fn data(self, data: Type) -> Self {
        Self { data, ..self }
    }

    pub(crate) const fn until(self, version: &'static str) -> Self {
        Self { until: Some(version), ..self }
    }

    pub(crate) const fn deprecated(self) -> Self {
        Self { deprecated: true, ..self }
    }

    pub(crate) const fn unstable(self) -> Self {
        Self { unstable: true, ..self }
    }

    pub(crate) const fn limited(self, per: Option<&'static str>, since: Option<&'static str>) -> Self {
        Self { rate_limit: Some(RateLimit { per, since }), ..self }
    }

    /// Facts about every event that has a type.
    #[must_use]
    pub const fn all() -> &'static [Self] {
        crate::generated::EVENTS
    }

    /// Facts about the event of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<&'static Self> {
        Self::all().iter().find(|info| info.name == name)
    }
}

impl Event<'_> {
    /// Facts about the event. `None`: the crate does not know its name.
    #[must_use]
    pub fn info(&self) -> Option<&'static EventInfo> {
        EventInfo::of(self.name())
    }
}
