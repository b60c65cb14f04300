//! The NSS key log format: a line for each secret.
//!
//! ```text
//! LABEL <64 hex digits: the ClientHello's random> <hex digits: the secret>
//! ```
//!
//! `SSLKEYLOGFILE` of browsers and curl, `openssl s_client -keylogfile`, rustls's `KeyLogFile` and pcapng's decryption secrets blocks
//! all have it (draft-ietf-tls-keylogfile).

use std::{collections::HashMap, fmt};
use zeroize::Zeroizing;

/// The longest line that is read, in bytes. The longest of the format is `CLIENT_HANDSHAKE_TRAFFIC_SECRET` with 48 bytes of secret: 193.
pub const MAX_LINE: usize = 512;
/// The longest secret, in bytes: SHA-384's output, and TLS 1.2's master secret.
pub const MAX_SECRET: usize = 48;
/// Connections whose secrets are kept. A later one is dropped.
pub const MAX_CONNECTIONS: usize = 1 << 18;

/// The random of a ClientHello, by which a key log names a connection.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Random(pub [u8; 32]);

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Which secret a line has. Lines with other labels are not needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Label {
    /// `CLIENT_RANDOM`: the master secret of TLS 1.2.
    Master,
    /// `CLIENT_HANDSHAKE_TRAFFIC_SECRET` of TLS 1.3.
    ClientHandshake,
    /// `SERVER_HANDSHAKE_TRAFFIC_SECRET` of TLS 1.3.
    ServerHandshake,
    /// `CLIENT_TRAFFIC_SECRET_0` of TLS 1.3.
    ClientTraffic,
    /// `SERVER_TRAFFIC_SECRET_0` of TLS 1.3.
    ServerTraffic,
}

impl Label {
    /// Every label that is read.
    pub const ALL: [Self; 5] =
        [Self::Master, Self::ClientHandshake, Self::ServerHandshake, Self::ClientTraffic, Self::ServerTraffic];

    /// As a key log spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Master => "CLIENT_RANDOM",
            Self::ClientHandshake => "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
            Self::ServerHandshake => "SERVER_HANDSHAKE_TRAFFIC_SECRET",
            Self::ClientTraffic => "CLIENT_TRAFFIC_SECRET_0",
            Self::ServerTraffic => "SERVER_TRAFFIC_SECRET_0",
        }
    }
}

/// A secret on the heap, wiped when it is dropped. Moving it copies no byte of it.
pub(super) type Secret = Zeroizing<Vec<u8>>;

/// The secrets of many connections.
///
/// ```
/// use spice_capture::tls::KeyLog;
///
/// let mut keys = KeyLog::new();
/// let random = "00".repeat(32);
/// keys.push(format!("# a comment\nCLIENT_RANDOM {random} {}\n", "11".repeat(48)).as_bytes());
/// assert_eq!(keys.len(), 1);
/// assert!(!format!("{keys:?}").contains("1111"), "a secret appears in no output");
/// ```
#[derive(Clone, Default)]
pub struct KeyLog {
    connections: HashMap<Random, Vec<(Label, Secret)>>,
    /// The start of a line whose end has not come.
    line: Zeroizing<Vec<u8>>,
    /// The current line is longer than [`MAX_LINE`].
    skips_line: bool,
    grows: bool,
    bad_lines: u64,
    dropped: u64,
}

impl KeyLog {
    /// A log without secrets.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes of a log, in any pieces. A line counts once its end has come: see [`end_line`](Self::end_line).
    pub fn push(&mut self, data: &[u8]) {
        for part in data.split_inclusive(|&byte| byte == b'\n') {
            let (text, ends) = part.strip_suffix(b"\n").map_or((part, false), |text| (text, true));
            if self.line.len() + text.len() > MAX_LINE {
                self.skips_line = true;
            } else {
                // Reserved once and never moved: a move would leave a copy that is not wiped.
                let room = MAX_LINE - self.line.len();
                self.line.reserve_exact(room);
                self.line.extend_from_slice(text);
            }
            if ends {
                self.end_line();
            }
        }
    }

    /// Takes the end of the log, or of one of its parts: the last line may come without a line end.
    pub fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let well_formed = !std::mem::take(&mut self.skips_line) && self.read(line.trim_ascii()).is_some();
        self.bad_lines += u64::from(!well_formed);
    }

    /// Says that more secrets can come while connections are read: connections whose secrets are missing then wait for them.
    #[must_use]
    pub fn growing(mut self) -> Self {
        self.grows = true;
        self
    }

    /// For how many connections it has secrets.
    pub fn len(&self) -> usize {
        self.connections.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.connections.is_empty()
    }

    /// Lines that were not understood: no comment, and not three words of which the last two are hexadecimal.
    pub fn bad_lines(&self) -> u64 {
        self.bad_lines
    }

    /// Lines that were not kept because there were secrets of [`MAX_CONNECTIONS`] connections already.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Whether it has any secret of this connection.
    pub fn knows(&self, random: Random) -> bool {
        self.connections.contains_key(&random)
    }

    /// Whether there is a reason to look into TLS.
    pub(crate) fn is_of_use(&self) -> bool {
        self.grows || !self.is_empty()
    }

    /// Whether secrets that are missing now may come.
    pub(super) fn grows(&self) -> bool {
        self.grows
    }

    pub(super) fn secret(&self, random: Random, label: Label) -> Option<&Secret> {
        self.connections.get(&random)?.iter().find(|(of, _)| *of == label).map(|(_, secret)| secret)
    }

    /// `None` where the line is malformed.
    fn read(&mut self, line: &[u8]) -> Option<()> {
        if line.is_empty() || line.starts_with(b"#") {
            return Some(());
        }
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let (label, random, secret) = (words.next()?, words.next()?, words.next()?);
        if words.next().is_some() {
            return None;
        }
        let Some(label) = Label::ALL.into_iter().find(|known| known.name().as_bytes() == label) else {
            // A label of another version or use, like EXPORTER_SECRET or RSA.
            return Some(());
        };
        let random = Random(<[u8; 32]>::try_from(&**hex(random)?).ok()?);
        let secret = hex(secret)?;
        let fits = match label {
            Label::Master => secret.len() == MAX_SECRET,
            // The output of SHA-256 or of SHA-384.
            _ => matches!(secret.len(), 32 | 48),
        };
        if !fits {
            return None;
        }
        if self.connections.len() >= MAX_CONNECTIONS && !self.connections.contains_key(&random) {
            self.dropped += 1;
            return Some(());
        }
        let secrets = self.connections.entry(random).or_default();
        match secrets.iter_mut().find(|(of, _)| *of == label) {
            Some((_, old)) => *old = secret,
            None => secrets.push((label, secret)),
        }
        Some(())
    }
}

impl fmt::Debug for KeyLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyLog").field("connections", &self.connections.len()).finish_non_exhaustive()
    }
}

/// Up to [`MAX_SECRET`] bytes out of twice as many digits.
fn hex(digits: &[u8]) -> Option<Secret> {
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() || pairs.is_empty() || pairs.len() > MAX_SECRET {
        return None;
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(pairs.len()));
    for &[high, low] in pairs {
        let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        bytes.push(digit(high)? << 4 | digit(low)?);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(label: &str, random: u8, secret: u8, len: usize) -> String {
        format!("{label} {} {}", format!("{random:02x}").repeat(32), format!("{secret:02X}").repeat(len))
    }

    #[track_caller]
    fn check(text: &str, connections: usize, bad_lines: u64) {
        for piece in [1, 7, text.len().max(1)] {
            let mut keys = KeyLog::new();
            text.as_bytes().chunks(piece).for_each(|piece| keys.push(piece));
            keys.end_line();
            assert_eq!((keys.len(), keys.bad_lines()), (connections, bad_lines), "in pieces of {piece}: {text}");
        }
    }

    #[test]
    fn lines_are_read_in_any_pieces() {
        let master = line("CLIENT_RANDOM", 1, 2, 48);
        check("", 0, 0);
        check("# a comment\r\n\n", 0, 0);
        check(&master, 1, 0);
        check(&format!("{master}\r\n{}\n", line("SERVER_TRAFFIC_SECRET_0", 2, 3, 32)), 2, 0);
        check(&format!("  {} ", master.replace(' ', "  ")), 1, 0);
        check(&line("EXPORTER_SECRET", 1, 2, 48), 0, 0);
    }

    #[test]
    fn malformed_lines_are_counted() {
        check("CLIENT_RANDOM", 0, 1);
        check("CLIENT_RANDOM 00 11", 0, 1);
        check(&line("CLIENT_RANDOM", 1, 2, 47), 0, 1);
        check(&line("CLIENT_TRAFFIC_SECRET_0", 1, 2, 33), 0, 1);
        check(&line("CLIENT_RANDOM", 1, 2, 48).replace("02", "0x"), 0, 1);
        check(&format!("{} more", line("CLIENT_RANDOM", 1, 2, 48)), 0, 1);
        check(&format!("{}\n{}", "a".repeat(MAX_LINE + 1), line("CLIENT_RANDOM", 1, 2, 48)), 1, 1);
    }

    #[test]
    fn the_last_line_for_a_secret_counts() {
        let mut keys = KeyLog::new();
        for secret in [2, 3] {
            keys.push(line("CLIENT_RANDOM", 1, secret, 48).as_bytes());
            keys.end_line();
        }
        assert_eq!(keys.secret(Random([1; 32]), Label::Master).map(|secret| secret[0]), Some(3));
        assert!(keys.secret(Random([1; 32]), Label::ClientTraffic).is_none());
    }

    #[test]
    fn debug_output_shows_no_secret() {
        let mut keys = KeyLog::new();
        keys.push(line("CLIENT_RANDOM", 1, 0xab, 48).as_bytes());
        keys.end_line();
        let shown = format!("{keys:?}");
        assert!(!shown.contains("171") && !shown.to_lowercase().contains("abab"), "{shown}");
    }
}
