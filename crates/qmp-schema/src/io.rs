//! Messages from any [reader](std::io::Read): a QMP socket, a file, a pipe (feature `std`).

use std::io::{ErrorKind, Read, Result};

use crate::{Error, Message, stream::StreamDecoder};

/// Bytes that are requested from the reader at once.
const CHUNK: usize = 64 << 10;

/// The messages of a reader: a [`StreamDecoder`] that reads its input itself.
///
/// The items borrow nothing. An outer error comes from the reader and is the last item. An inner error says what was skipped
/// and where in the stream. For messages that borrow, or for non-blocking input, use a [`StreamDecoder`] directly.
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

    /// As [`new`](Self::new), with a decoder that has another limit or already holds bytes of the stream.
    pub fn with_decoder(input: R, decoder: StreamDecoder) -> Self {
        Self { input, decoder, chunk: std::vec![0; CHUNK], ended: false }
    }

    /// The reader, for example to write commands to a socket. Bytes that are read from it here are missing from the messages.
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
