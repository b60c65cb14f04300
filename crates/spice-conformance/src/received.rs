use std::fmt;

use spice_link::LinkErrorCode;

/// One thing that a client receives from a server in the link stage.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Received {
    /// A link reply with this code in its error field.
    Reply(LinkErrorCode),
    /// A link result.
    Result(LinkErrorCode),
    /// `MAIN_INIT`, the first message of a new session's main channel.
    MainInit,
    /// The server's list of SASL mechanisms.
    MechanismList,
    /// A SASL answer after which the exchange goes on.
    SaslContinue,
    /// A SASL answer that completes the exchange, and the word that accepts the client.
    SaslAccepted,
    /// A SASL answer that completes the exchange, and the words that refuse the client.
    SaslRefused,
    /// A frame of the SASL security layer.
    LayerFrame,
    /// The end of the connection.
    End,
    /// Nothing, until the time limit.
    Silence,
    /// Bytes that are none of these, described in words.
    Other(String),
}

impl Received {
    /// The text of a list, its items separated by commas.
    pub fn join(list: &[Self]) -> String {
        list.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reply(code) => write!(f, "reply {}", code.0),
            Self::Result(code) => write!(f, "result {}", code.0),
            Self::MainInit => f.write_str("main_init"),
            Self::MechanismList => f.write_str("list of mechanisms"),
            Self::SaslContinue => f.write_str("sasl continue"),
            Self::SaslAccepted => f.write_str("sasl accepted"),
            Self::SaslRefused => f.write_str("sasl refused"),
            Self::LayerFrame => f.write_str("frame of the security layer"),
            Self::End => f.write_str("end"),
            Self::Silence => f.write_str("nothing"),
            Self::Other(what) => f.write_str(what),
        }
    }
}
