//! Skipping values, with a check of their grammar.

use super::Lexer;
use crate::{Error, MAX_DEPTH, scan};

impl Lexer<'_> {
    /// Reads a value, checks its grammar and drops it.
    pub(crate) fn skip(&mut self) -> Result<(), Error> {
        match self.peek() {
            Some(b'{' | b'[') => self.skip_nested(),
            _ => self.skip_scalar(),
        }
    }

    /// As [`skip`](Self::skip), for objects and arrays. It does not recurse, because a reply may be nested deeply.
    fn skip_nested(&mut self) -> Result<(), Error> {
        let base = self.depth;
        // A bit for each level: whether it is an object.
        let mut objects = [0_u64; MAX_DEPTH / 64 + 1];
        loop {
            let first = match self.peek() {
                Some(b'{') => {
                    self.open(b'{', "an object")?;
                    objects[self.depth / 64] |= 1 << (self.depth % 64);
                    true
                }
                Some(b'[') => {
                    self.open(b'[', "an array")?;
                    objects[self.depth / 64] &= !(1 << (self.depth % 64));
                    true
                }
                _ => {
                    self.skip_scalar()?;
                    false
                }
            };
            if !self.go_to_next_within(base, &objects, first)? {
                return Ok(());
            }
        }
    }

    /// Goes to the next value within the objects and arrays that are deeper than `base`. `false`: all of them have ended.
    fn go_to_next_within(&mut self, base: usize, objects: &[u64], mut first: bool) -> Result<bool, Error> {
        while self.depth > base {
            let is_object = objects[self.depth / 64] >> (self.depth % 64) & 1 == 1;
            if is_object {
                if self.next_name(first)? {
                    self.skip_string()?;
                    self.colon()?;
                    return Ok(true);
                }
            } else if self.next_element(first)? {
                return Ok(true);
            }
            first = false;
        }
        Ok(false)
    }

    fn skip_scalar(&mut self) -> Result<(), Error> {
        match self.peek() {
            Some(b'"') => self.skip_string(),
            Some(b't') => self.literal("true"),
            Some(b'f') => self.literal("false"),
            Some(b'n') => self.literal("null"),
            Some(b'-' | b'0'..=b'9') => self.number().map(drop),
            _ => Err(self.syntax("a value")),
        }
    }

    fn skip_string(&mut self) -> Result<(), Error> {
        if !self.eat(b'"') {
            return Err(self.mismatch("a string"));
        }
        loop {
            self.at += scan::plain_len(self.text.as_bytes().get(self.at..).unwrap_or_default());
            match self.text.as_bytes().get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape().map(drop)?,
                _ => return Err(self.syntax("a string's next character")),
            }
        }
    }
}
