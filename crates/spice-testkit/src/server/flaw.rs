//! What a server does wrong.

/// A check that is left out, or something else that the server does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Accepts any magic.
    Magic,
    /// Accepts any major version.
    Version,
    /// Answers version 0 like every other wrong version.
    VersionZero,
    /// Waits for more bytes when a size is too small.
    SizeMin,
    /// Waits for more bytes when a size is too large.
    SizeMax,
    /// Treats lists of more than 1024 words as empty.
    CapsCount,
    /// Treats lists that end after the message as empty.
    CapsEnd,
    /// Treats lists that start in the fixed part as empty.
    CapsStart,
    /// Has every channel.
    Existence,
    /// Treats every mechanism as a ticket.
    Mechanism,
    /// Accepts every ticket.
    Ticket,
    /// Accepts every connection id.
    ConnectionId,
    /// Lets a channel join a session twice.
    Duplicate,
    /// Keeps the old session when a new one starts.
    Kick,
    /// Gives every session the id 0.
    SessionId,
    /// Keeps a refused connection open.
    Close,
    /// Uses the same key for all links.
    Key,
    /// Accepts a WebSocket request in two reads.
    Upgrade,
    /// Offers without TLS a channel that requires TLS.
    Security,
    /// Starts SASL with a client that can't select a mechanism.
    Selection,
    /// Accepts a SASL mechanism that it did not offer.
    SaslName,
    /// Accepts every SASL password.
    SaslPassword,
    /// Closes without an answer where it should accept.
    Silent,
    /// Accepting replies have another magic.
    ReplyMagic,
    /// Accepting replies have 20 bytes.
    ReplyCut,
    /// Accepting replies have another minor version.
    ReplyMinor,
    /// The offset of the lists in an accepting reply is 4 too large.
    ReplyOffset,
    /// The key in an accepting reply is no key.
    ReplyKey,
    /// Sends a key to a client that supports SASL.
    SaslKey,
    /// Bytes of something else follow the code of a refusal.
    Residue,
    /// A wrong magic has the code of invalid data.
    MagicCode,
    /// Invalid data has the code of an error.
    InvalidCode,
    /// Checks the size before the version.
    Order,
    /// Refuses a channel that requires TLS with the code of one that requires none.
    TlsCode,
    /// Refuses a wrong ticket with the code of an error.
    TicketCode,
    /// Refuses a wrong connection id with the code of a channel that is not available.
    IdCode,
    /// Sends no `MAIN_INIT`.
    NoMainInit,
    /// Sends `MAIN_INIT` before the link result.
    InitFirst,
    /// `MAIN_INIT` is one byte too short.
    ShortInit,
    /// The channels of a session stay when its main channel leaves.
    MainLeaves,
    /// Confirms a WebSocket request with the key of another one.
    WebSocketKey,
    /// Dies of lists that end after the message.
    Crash,
    /// Dies of a wrong ticket.
    CrashTicket,
    /// Answers no connection after a size that is too large.
    Hang,
    /// Answers no connection after a SASL mechanism that it did not offer.
    HangSasl,
    /// Answers a size that is too small without an end.
    Endless,
}

impl Flaw {
    /// The flaws that leave out or change one check.
    pub const CHECKS: [Self; 22] = [
        Self::Magic,
        Self::Version,
        Self::VersionZero,
        Self::SizeMin,
        Self::SizeMax,
        Self::CapsCount,
        Self::CapsEnd,
        Self::CapsStart,
        Self::Existence,
        Self::Mechanism,
        Self::Ticket,
        Self::ConnectionId,
        Self::Duplicate,
        Self::Kick,
        Self::SessionId,
        Self::Close,
        Self::Key,
        Self::Upgrade,
        Self::Security,
        Self::Selection,
        Self::SaslName,
        Self::SaslPassword,
    ];

    /// The flaws of what the server sends, and of what it survives.
    pub const ANSWERS: [Self; 24] = [
        Self::Silent,
        Self::ReplyMagic,
        Self::ReplyCut,
        Self::ReplyMinor,
        Self::ReplyOffset,
        Self::ReplyKey,
        Self::SaslKey,
        Self::Residue,
        Self::MagicCode,
        Self::InvalidCode,
        Self::Order,
        Self::TlsCode,
        Self::TicketCode,
        Self::IdCode,
        Self::NoMainInit,
        Self::InitFirst,
        Self::ShortInit,
        Self::MainLeaves,
        Self::WebSocketKey,
        Self::Crash,
        Self::CrashTicket,
        Self::Hang,
        Self::HangSasl,
        Self::Endless,
    ];

    /// Whether only a server that requires SASL shows it.
    pub const fn needs_sasl(self) -> bool {
        matches!(self, Self::Selection | Self::SaslKey | Self::SaslName | Self::SaslPassword | Self::HangSasl)
    }
}
