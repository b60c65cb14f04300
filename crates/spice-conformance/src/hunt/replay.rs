//! Regression files: what a finding was sent, again.

use std::io;

use super::{
    answer::ServerUnderTest,
    compare::{Difference, difference},
};
#[cfg(feature = "run")]
use super::{conversation::Conversation, conversations};

/// Sends the messages of a regression file again. Returns the first difference.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] for a line that is neither empty, nor a comment, nor `send` and an even number of hexadecimal digits; and what the
/// server fails with.
pub fn replay(text: &str, server: &mut impl ServerUnderTest) -> io::Result<Option<Difference>> {
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let bytes = line.strip_prefix("send ").and_then(from_hex).ok_or_else(|| {
            let what = format!("expected `send` and hexadecimal digits, found {line:?}");
            io::Error::new(io::ErrorKind::InvalidData, what)
        })?;
        let found = difference(&bytes, &server.ask(&bytes)?, None);
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// Plays the conversation of a regression file again. Returns the first departure from spice-server, in words.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] for a line that is neither empty, nor a comment, nor a link; and if there is no connection.
#[cfg(feature = "run")]
pub fn replay_conversation(text: &str, subject: &crate::Subject) -> io::Result<Option<String>> {
    let links = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::parse);
    let links = links.collect::<Result<_, _>>().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    conversations::departure(&Conversation { links }, subject)
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}
