//! Addresses of QMP, also in the form of QEMU's `-qmp`: `unix:PATH,server=on,wait=off`. The mode and group of a socket's file.

use std::{fmt, str::FromStr};

use nix::unistd::Group;
use qmp_schema::Version;
use serde::{Deserialize, Deserializer, de};
use spice_relay::net::NetAddress;

/// An address at which the relay listens for QMP clients.
pub(crate) fn listener(text: &str) -> Result<NetAddress, String> {
    address(text, |option| match option {
        "server" | "server=on" | "nowait" | "wait=off" => Ok(()),
        "server=off" => Err("the relay connects to a client with qmp-connect".into()),
        "wait=on" => Err("the relay does not wait for a client before it starts".into()),
        option => Err(format!("of QEMU's options, qmp knows server=on and wait=off, and not `{option}`")),
    })
}

/// The address of a QMP client that the relay connects to.
pub(crate) fn client(text: &str) -> Result<NetAddress, String> {
    let address = address(text, |option| match option {
        "server=off" => Ok(()),
        "server" | "server=on" => Err("the relay listens for clients with qmp".into()),
        option => Err(format!("of QEMU's options, qmp-connect knows server=off, and not `{option}`")),
    })?;
    match address.host() {
        Some("*") => Err(format!("expected a host to connect to, found `{text}`")),
        _ if address.is_any_port() => Err(format!("expected a port from 1 to 65535, found `{text}`")),
        _ => Ok(address),
    }
}

/// Splits an address from QEMU's options, in which `,,` is a comma.
fn address(text: &str, is_known: impl Fn(&str) -> Result<(), String>) -> Result<NetAddress, String> {
    // No address has a NUL.
    let escaped = text.replace(",,", "\0");
    let mut parts = escaped.split(',');
    let plain = parts.next().unwrap_or_default().replace('\0', ",");
    for option in parts {
        is_known(option).map_err(|error| format!("{error}, found `{text}`"))?;
    }
    plain.parse().map_err(|error: spice_relay::Error| error.to_string())
}

/// The mode of a socket's file, written in octal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileMode(pub u32);

impl FromStr for FileMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o777);
        mode.map(Self).ok_or_else(|| format!("expected an octal mode from 0000 to 0777, found `{text}`"))
    }
}

/// The number of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GroupId(pub u32);

impl FromStr for GroupId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(number) = text.parse() {
            return Ok(Self(number));
        }
        match Group::from_name(text) {
            Ok(Some(group)) => Ok(Self(group.gid.as_raw())),
            Ok(None) => Err(format!("expected the name or number of a group, found `{text}`")),
            Err(error) => Err(format!("can't look up the group `{text}`: {error}")),
        }
    }
}

/// The version of QEMU that a greeting announces: `MAJOR.MINOR.MICRO`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QemuVersion([u16; 3]);

impl QemuVersion {
    /// The version in QMP's form, with the package `spicewatch VERSION`.
    pub(crate) fn announced(self) -> Version<'static> {
        let [major, minor, micro] = self.0.map(i64::from);
        Version::new(major, minor, micro, concat!("spicewatch ", env!("CARGO_PKG_VERSION")))
    }
}

impl Default for QemuVersion {
    /// The newest QEMU whose answers the QMP server is compared with.
    fn default() -> Self {
        Self([11, 1, 0])
    }
}

impl FromStr for QemuVersion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split('.').map(|part| part.parse().ok());
        match (parts.next().flatten(), parts.next().flatten(), parts.next().flatten(), parts.next()) {
            (Some(major), Some(minor), Some(micro), None) => Ok(Self([major, minor, micro])),
            _ => Err(format!("expected a version of QEMU as 11.1.0, found `{text}`")),
        }
    }
}

impl fmt::Display for QemuVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, micro] = self.0;
        write!(f, "{major}.{minor}.{micro}")
    }
}

/// One address or several, read by `parse`.
fn many<'de, D: Deserializer<'de>>(
    deserializer: D,
    parse: impl Fn(&str) -> Result<NetAddress, String>,
) -> Result<Vec<NetAddress>, D::Error> {
    let texts: Vec<String> = super::parse::one_or_many(deserializer)?;
    texts.iter().map(|text| parse(text)).collect::<Result<_, _>>().map_err(de::Error::custom)
}

pub(super) fn listeners<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<NetAddress>, D::Error> {
    many(deserializer, listener)
}

pub(super) fn clients<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<NetAddress>, D::Error> {
    many(deserializer, client)
}

/// A group by its name or number.
pub(super) fn group<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<GroupId>, D::Error> {
    String::deserialize(deserializer)?.parse().map(Some).map_err(de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn qemu_s_options_are_understood_or_refused_with_a_hint() {
        for (text, expected) in [
            ("unix:/run/vm.qmp", Ok("unix:/run/vm.qmp")),
            ("unix:/run/vm.qmp,server=on,wait=off", Ok("unix:/run/vm.qmp")),
            ("unix:/run/vm.qmp,server,nowait", Ok("unix:/run/vm.qmp")),
            ("tcp:127.0.0.1:4444,server=on", Ok("127.0.0.1:4444")),
            ("unix:/run/a,,b", Ok("unix:/run/a,b")),
            (
                "unix:/run/a,b",
                Err("of QEMU's options, qmp knows server=on and wait=off, and not `b`, found `unix:/run/a,b`"),
            ),
            (
                "unix:/run/vm.qmp,server=off",
                Err("the relay connects to a client with qmp-connect, found `unix:/run/vm.qmp,server=off`"),
            ),
            (
                "unix:/q,server=on,wait=on",
                Err("the relay does not wait for a client before it starts, found `unix:/q,server=on,wait=on`"),
            ),
        ] {
            assert_eq!(
                listener(text).map(|address| address.to_string()),
                expected.map(str::to_owned).map_err(str::to_owned)
            );
        }
        for (text, expected) in [
            ("unix:/run/qmeventd.sock", Ok("unix:/run/qmeventd.sock")),
            ("tcp:h:1,server=off", Ok("h:1")),
            ("unix:/q,server=on", Err("the relay listens for clients with qmp, found `unix:/q,server=on`")),
            (
                "unix:/q,reconnect=5",
                Err(
                    "of QEMU's options, qmp-connect knows server=off, and not `reconnect=5`, found `unix:/q,reconnect=5`",
                ),
            ),
            (":4444", Err("expected a host to connect to, found `:4444`")),
            ("h:0", Err("expected a port from 1 to 65535, found `h:0`")),
        ] {
            assert_eq!(
                client(text).map(|address| address.to_string()),
                expected.map(str::to_owned).map_err(str::to_owned)
            );
        }
    }

    #[test]
    fn modes_groups_and_versions_are_read() {
        assert_eq!("0660".parse(), Ok(FileMode(0o660)));
        for wrong in ["1000", "8", "rw", ""] {
            let error = format!("expected an octal mode from 0000 to 0777, found `{wrong}`");
            assert_eq!(wrong.parse::<FileMode>(), Err(error));
        }
        assert_eq!("108".parse(), Ok(GroupId(108)));
        assert_eq!("root".parse(), Ok(GroupId(0)));
        let error = "expected the name or number of a group, found `no such group`";
        assert_eq!("no such group".parse::<GroupId>(), Err(error.to_owned()));
        assert_eq!("7.2.22".parse::<QemuVersion>().unwrap().to_string(), "7.2.22");
        for wrong in ["7.2", "7.2.22.1", "v7.2.22", "7.2.-1", ""] {
            assert_eq!(
                wrong.parse::<QemuVersion>(),
                Err(format!("expected a version of QEMU as 11.1.0, found `{wrong}`"))
            );
        }
    }
}
