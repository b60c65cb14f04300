//! The names with which clients choose a VM at an address that several VMs share.

use std::{fmt, str::FromStr};

/// What a client's HTTP CONNECT asks for: `HOST:PORT`, or `HOST` for each port. In lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ConnectName(String);

/// The server name of a TLS ClientHello. In lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TlsName(String);

impl ConnectName {
    /// `host` or `host:port`, an IPv6 address without brackets: the form that the relay looks up.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TlsName {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ConnectName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("expected HOST or HOST:PORT, found `{text}`");
        let is_port = |port: &&str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let (host, port) = match (text.strip_suffix(']'), text.rsplit_once(':')) {
            (None, Some((host, port))) if is_port(&port) => (host, Some(port)),
            _ => (text, None),
        };
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if host.is_empty() || !host.bytes().all(|byte| byte.is_ascii_graphic() && !b"[]/".contains(&byte)) {
            return Err(expected());
        }
        let host = host.to_ascii_lowercase();
        match port.map(str::parse::<u16>) {
            None => Ok(Self(host)),
            Some(Ok(port)) if port != 0 => Ok(Self(format!("{host}:{port}"))),
            Some(_) => Err(expected()),
        }
    }
}

impl FromStr for TlsName {
    type Err = String;

    /// The characters of host names, as rustls accepts them.
    fn from_str(text: &str) -> Result<Self, String> {
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        // An address is never sent as a server name (RFC 6066, section 3).
        if name.is_empty() || !name.bytes().all(is_valid) || name.parse::<std::net::IpAddr>().is_ok() {
            return Err(format!("expected a host name, found `{text}`"));
        }
        Ok(Self(name))
    }
}

impl fmt::Display for ConnectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for TlsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_lower_case() {
        for (text, name) in [
            ("Desk", "desk"),
            ("desk:5900", "desk:5900"),
            ("[2001:DB8::1]:5900", "2001:db8::1:5900"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("pvespiceproxy:6a:100:node1::ab", "pvespiceproxy:6a:100:node1::ab"),
        ] {
            assert_eq!(text.parse::<ConnectName>().unwrap().as_str(), name);
        }
        for text in ["", ":5900", "a b", "desk:0", "desk:65536", "http://desk", "d\u{e4}sk"] {
            assert!(text.parse::<ConnectName>().is_err(), "{text}");
        }
        assert_eq!("Desk-1.Example.".parse::<TlsName>().unwrap().as_str(), "desk-1.example");
        for text in ["", ".", "*.example", "192.0.2.1", "::1", "a:1", "a b"] {
            assert!(text.parse::<TlsName>().is_err(), "{text}");
        }
    }
}
