//! A connection that is not recognised yet.

use crate::{
    preface::{Decision, Preface, Seen},
    recognise::{self, MAX_CLIENT, MAX_SERVER, Verdict},
    tcp::{Connection, Side},
};
use spice_events::{
    FlowId, Timestamp,
    spice_link::{LinkHeader, LinkMess},
};

/// A connection that may be SPICE, and everything that happened to it.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) connection: Connection,
    pub(crate) kind: Kind,
    /// The operator names its server's port.
    pub(crate) expected: bool,
    /// The tracker knows it already.
    pub(super) flow: Option<FlowId>,
    pub(super) preface: Preface,
    client: Vec<u8>,
    server: Vec<u8>,
    pieces: Vec<Piece>,
    /// Bytes of the client, or of the server, were lost.
    lost: [bool; 2],
}

/// What carries a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Plain,
    /// Inside TLS that is not decrypted.
    Tls,
    /// The plaintext of TLS.
    #[cfg(feature = "tls")]
    Decrypted,
}

/// The next bytes of one side, or as many that were lost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    at: Timestamp,
    len: u32,
    from: Side,
    lost: bool,
}

/// What is handed on of a connection that was recognised.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part<'a> {
    Bytes(&'a [u8]),
    Gap(u64),
}

impl Held {
    pub(super) fn new(connection: Connection, kind: Kind, expected: bool, flow: Option<FlowId>) -> Self {
        Self {
            connection,
            kind,
            expected,
            flow,
            preface: Preface::default(),
            client: Vec::new(),
            server: Vec::new(),
            pieces: Vec::new(),
            lost: [false; 2],
        }
    }

    /// Whether nothing was held yet and these bytes alone are SPICE: the common case, which needs no copy.
    pub(super) fn is_spice_at_once(&self, from: Side, data: &[u8]) -> bool {
        self.pieces.is_empty()
            && from == Side::Client
            && match (self.kind, self.begins()) {
                (Kind::Tls, _) => recognise::judge_tls(data),
                (_, true) => recognise::judge(data),
                (_, false) => recognise::judge_midstream(data),
            } == Verdict::Spice
    }

    /// Holds bytes and decides what the connection carries. `None` if there are too many.
    pub(super) fn add(&mut self, at: Timestamp, from: Side, data: &[u8]) -> Option<Decision> {
        let (bytes, max) = match from {
            Side::Client => (&mut self.client, MAX_CLIENT),
            Side::Server => (&mut self.server, MAX_SERVER),
        };
        if bytes.len() + data.len() > max {
            return None;
        }
        bytes.extend_from_slice(data);
        self.pieces.push(Piece { at, from, len: length(data.len() as u64), lost: false });
        Some(self.decide())
    }

    /// Takes note of bytes that were lost.
    pub(super) fn lose(&mut self, at: Timestamp, from: Side, len: u64) -> Decision {
        self.lost[usize::from(from == Side::Server)] = true;
        self.pieces.push(Piece { at, from, len: length(len), lost: true });
        self.decide()
    }

    fn decide(&mut self) -> Decision {
        let from_start = self.begins();
        let Self { client, server, lost, kind, preface, .. } = self;
        let seen = Seen { client, server, lost: *lost, tls: *kind == Kind::Tls, from_start };
        preface.decide(seen)
    }

    /// What the connection carried so far, without its prefaces unless `whole`.
    pub(super) fn replay(&self, whole: bool, mut part: impl FnMut(Timestamp, Side, Part<'_>)) {
        let client = self.client.get(self.preface.used(Side::Client)..).unwrap_or_default();
        if !self.begins()
            && self.kind != Kind::Tls
            && !self.lost[0]
            && !client.starts_with(b"R")
            && !client.starts_with(b"G")
        {
            // The server's reply told: the message that it answers came before the capture, and is this long at least.
            part(self.connection.at, Side::Client, Part::Gap(LEAST_MESS));
        }
        let mut rest = [(&self.client, Side::Client), (&self.server, Side::Server)]
            .map(|(bytes, side)| (&bytes[..], if whole { 0 } else { self.preface.used(side) }));
        for piece in &self.pieces {
            if piece.lost {
                part(piece.at, piece.from, Part::Gap(piece.len.into()));
                continue;
            }
            let (bytes, skip) = &mut rest[usize::from(piece.from == Side::Server)];
            let (data, after) = bytes.split_at(piece.len as usize);
            let skipped = data.len().min(*skip);
            *bytes = after;
            *skip -= skipped;
            if skipped < data.len() {
                part(piece.at, piece.from, Part::Bytes(&data[skipped..]));
            }
        }
    }

    /// Whether nothing was held yet.
    #[cfg(feature = "tls")]
    pub(crate) fn is_fresh(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Whether what is held is the connection's start: what TLS carries is decrypted from its first byte on.
    fn begins(&self) -> bool {
        self.connection.from_start || !matches!(self.kind, Kind::Plain | Kind::Tls)
    }

    /// Bytes of the client were lost.
    pub(super) fn has_lost_bytes(&self) -> bool {
        self.lost[0]
    }

    /// Memory: the bytes, and when each of them came.
    pub(super) fn cost(&self) -> usize {
        self.client.len() + self.server.len() + self.pieces.len() * size_of::<Piece>()
    }
}

/// Bytes of a link message without capabilities, header included.
const LEAST_MESS: u64 = LinkHeader::LEN as u64 + LinkMess::MIN_SIZE as u64;

/// A length of held bytes, which [`MAX_CLIENT`] and [`MAX_SERVER`] bound, or of a gap, which TCP's window bounds.
fn length(len: u64) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
