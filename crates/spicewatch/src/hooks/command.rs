//! A program with its arguments, from the configuration.

use std::{fmt, os::unix::fs::PermissionsExt as _, path::Path, str::FromStr};

use serde::{Deserialize, Deserializer, de};

/// A program and its arguments. No shell reads them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HookCommand(Vec<String>);

impl HookCommand {
    /// The program's path, and its arguments. `None` if there is no program: the hook is turned off.
    pub(super) fn parts(&self) -> Option<(&str, &[String])> {
        self.0.split_first().map(|(program, arguments)| (program.as_str(), arguments))
    }

    /// Checks that the program is there and can be run.
    pub(super) fn check(&self) -> Result<(), String> {
        let Some((program, _)) = self.parts() else { return Ok(()) };
        let metadata = Path::new(program).metadata().map_err(|error| format!("{program}: {error}"))?;
        if !metadata.is_file() || metadata.permissions().mode() & 0o111 == 0 {
            return Err(format!("{program}: expected a program, found a file that can't be executed"));
        }
        Ok(())
    }

    fn new(words: Vec<String>) -> Result<Self, String> {
        if let Some(program) = words.first().filter(|program| !program.starts_with('/')) {
            return Err(format!("expected the absolute path of a program, found `{program}`"));
        }
        if words.iter().any(|word| word.contains('\0')) {
            return Err("expected a program and arguments without NUL".to_owned());
        }
        Ok(Self(words))
    }
}

impl fmt::Display for HookCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.first().map_or("", String::as_str))
    }
}

impl FromStr for HookCommand {
    type Err = String;

    /// A path, or a JSON array of a path and arguments. An empty text turns the hook off.
    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self(Vec::new()));
        }
        if text.starts_with('[') {
            let words = serde_json::from_str(text)
                .map_err(|error| format!("expected a path or a JSON array of strings: {error}"))?;
            return Self::new(words);
        }
        Self::new(vec![text.to_owned()])
    }
}

impl<'de> Deserialize<'de> for HookCommand {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = HookCommand;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a program's path, or an array of its path and its arguments")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<HookCommand, E> {
                let words = if text.is_empty() { Vec::new() } else { vec![text.to_owned()] };
                HookCommand::new(words).map_err(E::custom)
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut words: A) -> Result<HookCommand, A::Error> {
                let mut all = Vec::new();
                while let Some(word) = words.next_element()? {
                    all.push(word);
                }
                HookCommand::new(all).map_err(de::Error::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}
