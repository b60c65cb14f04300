//! Regression files: what a finding was sent, again.

use std::io;

use super::{
    answer::ServerUnderTest,
    compare::{Difference, difference},
    hex::from_hex,
};
#[cfg(feature = "run")]
use super::{client::ClientUnderTest, clients, conversation::Conversation, conversations};

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

/// Serves the client by the scripts of a regression file again. Returns the first departure from a sound client, in words.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] for a line that is neither empty, nor a comment, nor a script; and if the client does not connect.
#[cfg(feature = "run")]
pub fn replay_client(text: &str, client: impl ClientUnderTest, password: Option<&str>) -> io::Result<Option<String>> {
    let mut clients = clients::Clients::new(client, password)?;
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let script = line.parse().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        if let Some(departure) = clients.departure(&script)? {
            return Ok(Some(departure));
        }
    }
    Ok(None)
}
