use std::fmt;

use x509_parser::x509::X509Name;

use crate::Error;

/// A certificate's subject in the form of SPICE's `host-subject`: `C=XX,O=Organization,CN=name`. A comma or a backslash in a value has a
/// `\` before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Subject(Vec<(String, String)>);

impl Subject {
    /// Parses the entries, in order. Each name is OpenSSL's short name of the attribute.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let mut entries = vec![String::new()];
        let mut chars = text.chars();
        while let Some(char) = chars.next() {
            let entry = entries.len() - 1;
            match char {
                ',' => entries.push(String::new()),
                '\\' => entries[entry].extend(chars.next()),
                char => entries[entry].push(char),
            }
        }
        let pair = |entry: String| match entry.trim_start().split_once('=') {
            Some((name, value)) if oid(name).is_some() => Ok((name.to_owned(), value.to_owned())),
            _ => Err(Error::parse("NAME=VALUE with C, ST, L, O, OU, CN, DC or emailAddress", entry)),
        };
        entries.into_iter().map(pair).collect::<Result<_, _>>().map(Self)
    }

    /// Whether a certificate's subject has exactly these entries, in this order.
    pub(super) fn matches(&self, name: &X509Name<'_>) -> bool {
        let found: Vec<_> = name.iter_attributes().collect();
        found.len() == self.0.len()
            && found.iter().zip(&self.0).all(|(attribute, (name, value))| {
                oid(name) == Some(attribute.attr_type().to_id_string().as_str())
                    && attribute.as_str().is_ok_and(|found| found == value)
            })
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, value)) in self.0.iter().enumerate() {
            let value = value.replace('\\', r"\\").replace(',', r"\,");
            write!(f, "{}{name}={value}", if index > 0 { "," } else { "" })?;
        }
        Ok(())
    }
}

fn oid(name: &str) -> Option<&'static str> {
    Some(match name {
        "CN" => "2.5.4.3",
        "C" => "2.5.4.6",
        "L" => "2.5.4.7",
        "ST" => "2.5.4.8",
        "O" => "2.5.4.10",
        "OU" => "2.5.4.11",
        "DC" => "0.9.2342.19200300.100.1.25",
        "emailAddress" => "1.2.840.113549.1.9.1",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_parsed() {
        let subject = Subject::parse(r"C=IL, O=Red\, Hat\\, CN=my server").unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(subject.0, [pair("C", "IL"), pair("O", r"Red, Hat\"), pair("CN", "my server")]);
        assert_eq!(subject.to_string(), r"C=IL,O=Red\, Hat\\,CN=my server");
        for text in ["", "CN", "XX=1", "CN=a,"] {
            assert!(Subject::parse(text).is_err(), "{text}");
        }
    }
}
