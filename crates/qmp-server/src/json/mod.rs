//! QEMU's JSON dialect, incrementally: bytes → tokens → values, each byte looked at once.

mod lexer;
mod parser;
mod unicode;

use crate::{Limits, Value};
use lexer::Lexer;
use parser::Parser;

/// Cuts a stream of bytes into JSON values.
///
/// A message ends where its braces and brackets balance; nothing else separates messages. What is wrong with one is told
/// once it has ended, so that the text after it is read afresh. Text that isn't even a token ends the message at once.
#[derive(Debug)]
pub(crate) struct Stream {
    lexer: Lexer,
    parser: Parser,
}

impl Stream {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { lexer: Lexer::new(limits.token_bytes), parser: Parser::new(limits) }
    }

    /// Reads until a message ends: how many bytes were taken, and the message or QEMU's words for what is wrong with it.
    pub(crate) fn read(&mut self, input: &[u8]) -> (usize, Option<Result<Value, String>>) {
        let mut taken = 0;
        while taken < input.len() {
            let (n, token) = self.lexer.next(&input[taken..]);
            taken += n;
            if let Some(token) = token
                && let Some(message) = self.parser.push(token, self.lexer.text())
            {
                return (taken, Some(message));
            }
        }
        (taken, None)
    }
}
