//! Messages from anything that can be [read](std::io::Read): a QMP socket, a file, a pipe (feature `std`).

use std::io::{ErrorKind, Read, Result};

use crate::{Error, Message, stream::StreamDecoder};

/// Bytes asked for at once.
const CHUNK: usize = 64 << 10;

/// The messages that come out of a reader: a [`StreamDecoder`] that fetches its bytes itself.
///
/// Each item borrows nothing. An outer error is the reader's, and nothing comes after it; an inner one says what was skipped, and
/// where in the stream. Whoever wants messages that borrow, or reads without blocking, drives the decoder by hand.
///
/// ```
/// use qmp_schema::{Message, io::Messages};
///
/// let socket: &[u8] = b"{\"return\": {}}\r\n{\"event\": \"STOP\"}\r\n";
/// let messages: Vec<Message> = Messages::new(socket).flatten().flatten().collect();
/// assert!(matches!(&messages[..], [Message::Return(_), Message::Event(_)]));
/// ```
#[derive(Debug)]
pub struct Messages<R> {
    input: R,
    decoder: StreamDecoder,
    chunk: std::vec::Vec<u8>,
    ended: bool,
}

impl<R: Read> Messages<R> {
    /// The messages of this reader, with the [default limit](crate::stream::DEFAULT_LIMIT) for each.
    pub fn new(input: R) -> Self {
        Self::with_decoder(input, StreamDecoder::new())
    }

    /// As [`new`](Self::new), with a decoder that has its own limit, or bytes of the stream already.
    pub fn with_decoder(input: R, decoder: StreamDecoder) -> Self {
        Self { input, decoder, chunk: std::vec![0; CHUNK], ended: false }
    }

    /// The reader: to write commands to a socket, for one. Bytes that are read from it here are lost to the messages.
    pub const fn get_mut(&mut self) -> &mut R {
        &mut self.input
    }
}

impl<R: Read> Iterator for Messages<R> {
    type Item = Result<core::result::Result<Message<'static>, Error>>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(message) = self.decoder.next_message() {
                return Some(Ok(message.map(Message::into_owned)));
            }
            if self.ended {
                return None;
            }
            match self.input.read(&mut self.chunk) {
                Ok(0) => {
                    self.ended = true;
                    self.decoder.finish();
                }
                Ok(len) => self.decoder.push(self.chunk.get(..len).unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.ended = true;
                    return Some(Err(error));
                }
            }
        }
    }
}
