//! QEMU's version.

use alloc::borrow::Cow;
use core::{cmp::Ordering, fmt};

use crate::{Version, VersionTriple};

impl<'a> Version<'a> {
    /// A version and a package.
    ///
    /// ```
    /// let version = qmp_schema::Version::new(11, 1, 3, "Debian 1:11.1.3+ds-1~bpo13+1");
    /// assert_eq!(version.to_string(), "11.1.3 (Debian 1:11.1.3+ds-1~bpo13+1)");
    /// ```
    #[must_use]
    pub fn new(major: i64, minor: i64, micro: i64, package: impl Into<Cow<'a, str>>) -> Self {
        Self { qemu: VersionTriple { major, minor, micro }, package: package.into() }
    }
}

/// `7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)`, or `7.2.22` without a package.
impl fmt::Display for Version<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { qemu, package } = self;
        if package.is_empty() { write!(f, "{qemu}") } else { write!(f, "{qemu} ({package})") }
    }
}

/// `7.2.22`
impl fmt::Display for VersionTriple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.micro)
    }
}

impl Ord for VersionTriple {
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |version: &Self| (version.major, version.minor, version.micro);
        key(self).cmp(&key(other))
    }
}

impl PartialOrd for VersionTriple {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_major_then_minor_then_micro() {
        let versions = [(7, 2, 22), (10, 0, 13), (10, 2, 0), (10, 2, 50), (11, 1, 3)];
        let versions = versions.map(|(major, minor, micro)| VersionTriple { major, minor, micro });
        assert!(versions.is_sorted());
    }
}
