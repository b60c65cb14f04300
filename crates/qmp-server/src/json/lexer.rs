//! Bytes to tokens, with QEMU's states (`qobject/json-lexer.c`).

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    OpenBrace,
    CloseBrace,
    OpenBracket,
    CloseBracket,
    Colon,
    Comma,
    Integer,
    Float,
    /// `[a-z]+`; the parser knows three of them.
    Keyword,
    /// In either kind of quotes. The parser checks escapes and encoding.
    String,
    /// Text that begins no token, up to and including the first byte that does not fit.
    Stray,
    /// A token that outgrew the limit before it ended.
    Oversized,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Start,
    /// After stray text: bytes are skipped up to one that can begin a message.
    Recovery,
    String {
        quote: u8,
        escaped: bool,
    },
    /// `-`
    Sign,
    /// `0` or `-0`
    Zero,
    Digits,
    /// `1.`
    Point,
    Fraction,
    /// `1e`
    Exponent,
    /// `1e+`
    ExponentSign,
    ExponentDigits,
    Keyword,
}

/// What a byte does in a state.
enum Step {
    /// It belongs to the token, which continues.
    Take(State),
    /// It belongs to the token and ends it.
    End(Token),
    /// It ends the token and belongs to the next one.
    Before(Token),
    /// It belongs to no token.
    Skip(State),
    /// It ends the recovery, and is looked at again.
    Again,
}

/// A line and a column of the input, both counted from 1. The column counts bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) line: u64,
    pub(super) column: u64,
}

/// The lexer: a state and the text of one unfinished token.
#[derive(Debug)]
pub(super) struct Lexer {
    state: State,
    text: Vec<u8>,
    /// The token in `text` has been returned.
    returned: bool,
    max: usize,
    /// The last byte that was looked at.
    here: Position,
    /// The next byte was looked at before: it ended a token that it does not belong to.
    looked_at: bool,
    /// Where the next token begins. As in QEMU, that is one column too far after a token that the next byte ended.
    start: Position,
    /// Where the returned token begins.
    token_start: Position,
}

impl Lexer {
    pub(super) fn new(max: usize) -> Self {
        let here = Position { line: 1, column: 0 };
        let start = Position { line: 1, column: 1 };
        let (text, state) = (Vec::new(), State::Start);
        Self { state, text, returned: false, max, here, looked_at: false, start, token_start: start }
    }

    /// Where the token begins that [`next`](Self::next) returned last.
    pub(super) fn token_start(&self) -> Position {
        self.token_start
    }

    /// Counts a byte.
    fn look_at(&mut self, byte: u8) {
        if byte == b'\n' {
            self.here = Position { line: self.here.line + 1, column: 0 };
        } else {
            self.here.column += 1;
        }
    }

    /// Begins the next token after the last byte that was looked at.
    fn start_token(&mut self) {
        self.start = Position { column: self.here.column + 1, ..self.here };
    }

    /// The text of the token that [`next`](Self::next) returned last, or of an unfinished one.
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// Reads until a token ends. Returns the number of bytes read, and the token.
    pub(super) fn next(&mut self, input: &[u8]) -> (usize, Option<Token>) {
        if self.returned {
            self.returned = false;
            // Releases the memory of a big token.
            self.text.clear();
            self.text.shrink_to(4096);
        }
        let mut at = 0;
        while at < input.len() {
            if let State::String { quote, escaped: false } = self.state {
                let room = self.max.saturating_sub(self.text.len());
                let run = plain(&input[at..], quote).min(room);
                self.text.extend_from_slice(&input[at..at + run]);
                at += run;
                self.here.column += run as u64;
                if at == input.len() {
                    break;
                }
            }
            let byte = input[at];
            if !self.looked_at {
                self.look_at(byte);
            }
            let step = self.state.step(byte);
            if matches!(step, Step::Take(_) | Step::End(_)) {
                self.text.push(byte);
            }
            self.looked_at = matches!(step, Step::Before(_) | Step::Again);
            at += usize::from(!self.looked_at);
            match step {
                Step::Take(state) => self.state = state,
                Step::Skip(state) => {
                    self.state = state;
                    self.start_token();
                }
                Step::Again => {
                    self.state = State::Start;
                    self.start_token();
                }
                Step::End(token) | Step::Before(token) => {
                    self.token_start = self.start;
                    self.start_token();
                    self.state = if token == Token::Stray { State::Recovery } else { State::Start };
                    self.returned = true;
                    return (at, Some(token));
                }
            }
            if self.text.len() > self.max {
                self.state = State::Start;
                self.returned = true;
                self.token_start = self.start;
                self.start_token();
                return (at, Some(Token::Oversized));
            }
        }
        (at, None)
    }
}

impl State {
    #[expect(clippy::match_same_arms, reason = "a table, sorted by state")]
    fn step(self, byte: u8) -> Step {
        use Step::{Before, End, Take};
        match (self, byte) {
            (Self::Start, _) => Self::start(byte),
            (Self::Recovery, b'\t') => Step::Skip(Self::Recovery),
            (Self::Recovery, ..=0x1F | 0xFE.. | b'[' | b']' | b'{' | b'}' | b':' | b',') => Step::Again,
            (Self::Recovery, _) => Step::Skip(Self::Recovery),

            (Self::String { .. }, ..=0x1F | 0xFE..) => End(Token::Stray),
            (Self::String { quote, escaped: true }, _) => Take(Self::String { quote, escaped: false }),
            (Self::String { quote, .. }, b'\\') => Take(Self::String { quote, escaped: true }),
            (Self::String { quote, .. }, _) if byte == quote => End(Token::String),
            (Self::String { .. }, _) => Take(self),

            (Self::Sign, b'0') => Take(Self::Zero),
            (Self::Sign, b'1'..=b'9') => Take(Self::Digits),
            (Self::Zero, b'0'..=b'9') => End(Token::Stray),
            (Self::Digits, b'0'..=b'9') => Take(Self::Digits),
            (Self::Zero | Self::Digits, b'.') => Take(Self::Point),
            (Self::Point | Self::Fraction, b'0'..=b'9') => Take(Self::Fraction),
            // `0e1` is no number to QEMU, and `0.0e1` is.
            (Self::Digits | Self::Fraction, b'e' | b'E') => Take(Self::Exponent),
            (Self::Exponent, b'+' | b'-') => Take(Self::ExponentSign),
            (Self::Exponent | Self::ExponentSign | Self::ExponentDigits, b'0'..=b'9') => Take(Self::ExponentDigits),
            (Self::Zero | Self::Digits, _) => Before(Token::Integer),
            (Self::Fraction | Self::ExponentDigits, _) => Before(Token::Float),
            (Self::Sign | Self::Point | Self::Exponent | Self::ExponentSign, _) => End(Token::Stray),

            (Self::Keyword, b'a'..=b'z') => Take(Self::Keyword),
            (Self::Keyword, _) => Before(Token::Keyword),
        }
    }

    fn start(byte: u8) -> Step {
        use Step::{End, Take};
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => Step::Skip(Self::Start),
            b'"' | b'\'' => Take(Self::String { quote: byte, escaped: false }),
            b'{' => End(Token::OpenBrace),
            b'}' => End(Token::CloseBrace),
            b'[' => End(Token::OpenBracket),
            b']' => End(Token::CloseBracket),
            b':' => End(Token::Colon),
            b',' => End(Token::Comma),
            b'-' => Take(Self::Sign),
            b'0' => Take(Self::Zero),
            b'1'..=b'9' => Take(Self::Digits),
            b'a'..=b'z' => Take(Self::Keyword),
            _ => End(Token::Stray),
        }
    }
}

/// The number of bytes that continue a string.
fn plain(input: &[u8], quote: u8) -> usize {
    let special = |&byte: &u8| byte == quote || byte == b'\\' || !(0x20..=0xFD).contains(&byte);
    input.iter().position(special).unwrap_or(input.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(input: &[u8], chunk: usize, max: usize) -> String {
        let mut lexer = Lexer::new(max);
        let mut out = Vec::new();
        for mut piece in input.chunks(chunk) {
            while !piece.is_empty() {
                let (n, token) = lexer.next(piece);
                piece = &piece[n..];
                if let Some(token) = token {
                    let text = String::from_utf8_lossy(lexer.text()).replace('\n', "⏎");
                    out.push(format!("{token:?} {text}"));
                }
            }
        }
        out.join("; ")
    }

    #[test]
    fn tokens_end_where_qemu_ends_them() {
        for (input, expected) in [
            (r"{'a\'b':1}", r"OpenBrace {; String 'a\'b'; Colon :; Integer 1; CloseBrace }"),
            ("-0 0.5e-3 12E+7 ", "Integer -0; Float 0.5e-3; Float 12E+7"),
            ("01 {", "Stray 01; OpenBrace {"),
            ("0e1 ", "Integer 0; Keyword e; Integer 1"),
            ("-x\n1 ", "Stray -x; Integer 1"),
            ("trueX,", "Keyword true; Stray X; Comma ,"),
            ("'a\nb' \n", "Stray 'a⏎"),
            ("@\tgarbage 'x' ]", "Stray @; CloseBracket ]"),
        ] {
            for chunk in 1..=input.len() {
                assert_eq!(tokens(input.as_bytes(), chunk, 100), expected, "in pieces of {chunk}");
            }
        }
    }

    #[test]
    fn token_longer_than_the_limit_ends() {
        for chunk in 1..20 {
            assert_eq!(tokens(b"'12345678901", chunk, 9), "Oversized '123456789; Stray 01");
        }
    }

    /// The positions are those that QEMU 11.1.3 reported.
    #[test]
    fn positions_are_those_of_qemu() {
        for (input, expected) in [
            ("{\"a\" 1}", "{ 1:1, \"a\" 1:2, 1 1:6, } 1:8"),
            ("[1 2]", "[ 1:1, 1 1:2, 2 1:4, ] 1:6"),
            ("\r\n\t[1\n}", "[ 2:2, 1 2:3, } 3:1"),
            ("-x}]", "-x 1:1, } 1:4, ] 1:4"),
            ("'\u{e9}' 1 ", "'\u{e9}' 1:1, 1 1:6"),
        ] {
            for chunk in 1..=input.len() {
                let mut lexer = Lexer::new(100);
                let mut found = Vec::new();
                for mut piece in input.as_bytes().chunks(chunk) {
                    while !piece.is_empty() {
                        let (read, token) = lexer.next(piece);
                        piece = &piece[read..];
                        if token.is_some() {
                            let Position { line, column } = lexer.token_start();
                            found.push(format!("{} {line}:{column}", str::from_utf8(lexer.text()).expect("UTF-8")));
                        }
                    }
                }
                assert_eq!(found.join(", "), expected, "in pieces of {chunk}");
            }
        }
    }
}
