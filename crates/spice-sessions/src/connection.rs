//! One connection, until it ends: what it carried, and why it did not become a channel.

use std::{borrow::Cow, sync::Arc};

use serde_derive::{Deserialize, Serialize};
use spice_events::{
    AnomalyKind, Channel, Connection, LinkStep, Timestamp,
    spice_link::{self, LinkErrorCode, RefusalForm, sasl},
};

use crate::{EndedBy, Ending, Reason, Stage, Traffic, place::Place};

/// A connection that is followed.
#[expect(clippy::struct_excessive_bools, reason = "each holds or not, in any combination")]
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Followed {
    pub(crate) connection: Arc<Connection>,
    pub(crate) place: Place,
    #[serde(with = "crate::moment::text")]
    pub(crate) opened_at: Timestamp,
    /// The channel that it became.
    pub(crate) channel: Option<Channel>,
    /// The session that it belongs to.
    pub(crate) session: Option<u64>,
    /// Absent where the source does not show bytes.
    pub(crate) traffic: Option<Traffic>,
    pub(crate) ending: Option<Ending>,
    /// The content can't be read.
    pub(crate) is_unreadable: bool,
    /// The client brought the id of a session of another server.
    pub(crate) is_migration_target: bool,
    pub(crate) tls: Option<TlsParameters>,
    pub(crate) anomalies: Anomalies,
    /// What the bytes say about a refusal.
    refusal: Option<Reason>,
    /// The refusal is the server's own word.
    is_refused_by_server: bool,
    /// A SASL length was out of range: what the server refuses next is this, not the mechanism.
    has_bad_sasl_length: bool,
    /// The connection ended in the link stage after this step, and no byte says why.
    unlinked: Option<LinkStep>,
}

/// What the TLS handshake agreed on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct TlsParameters {
    pub(crate) version: Box<str>,
    pub(crate) cipher: Box<str>,
}

/// Why a connection did not become a channel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Verdict {
    pub(crate) reason: Reason,
    pub(crate) ended_by: EndedBy,
    pub(crate) stage: Stage,
}

impl Followed {
    pub(crate) fn new(connection: Arc<Connection>, place: Place, opened_at: Timestamp) -> Self {
        Self {
            connection,
            place,
            opened_at,
            channel: None,
            session: None,
            traffic: None,
            ending: None,
            is_unreadable: false,
            is_migration_target: false,
            tls: None,
            anomalies: Anomalies::default(),
            refusal: None,
            is_refused_by_server: false,
            has_bad_sasl_length: false,
            unlinked: None,
        }
    }

    /// Takes an anomaly.
    pub(crate) fn note(&mut self, kind: &AnomalyKind) {
        self.anomalies.add(kind.name());
        match *kind {
            AnomalyKind::Refused { code, form } => {
                self.refusal = Some(refusal(code, form, self.has_bad_sasl_length));
                self.is_refused_by_server = true;
            }
            AnomalyKind::Unreadable(error) => {
                self.has_bad_sasl_length |= matches!(error, spice_link::Error::SaslLength { .. });
                self.refusal = self.refusal.or(Some(unreadable(error)));
            }
            AnomalyKind::WebSocketHead => self.refusal = self.refusal.or(Some(Reason::NotSpice)),
            AnomalyKind::MigrationTarget => self.is_migration_target = true,
            AnomalyKind::Unlinked { after } => self.unlinked = Some(after),
            _ => {}
        }
    }

    /// Whether the server asked the client to try again with TLS, or without.
    pub(crate) fn wants_retry(&self) -> Option<Retry> {
        match self.refusal {
            Some(Reason::NeedSecured) => Some(Retry { tls: true }),
            Some(Reason::NeedUnsecured) => Some(Retry { tls: false }),
            _ => None,
        }
    }

    /// Why the connection, which just ended, did not become a channel.
    pub(crate) fn verdict(&self) -> Verdict {
        let Ending { by, reason: ended } = self.ending();
        let has_left = by == EndedBy::Client;
        let is_silent = self.traffic.is_some_and(|traffic| traffic.to_server == 0 && traffic.to_client == 0);
        let reason = if let Some(reason) = self.refusal {
            reason
        } else if by == EndedBy::Relay || ended.is_refusal() {
            ended
        } else if is_silent {
            Reason::HealthCheck
        } else {
            match self.unlinked {
                Some(LinkStep::Message) if !has_left => Reason::NoSuchChannel,
                Some(LinkStep::Sasl) if !has_left => Reason::SaslRejected,
                _ => ended,
            }
        };
        let reached = match self.unlinked {
            _ if self.is_unreadable => Stage::Tls,
            Some(LinkStep::Reply) => Stage::Auth,
            Some(LinkStep::Sasl) => Stage::Sasl,
            Some(LinkStep::HiddenResult) => Stage::Channel,
            _ => Stage::Link,
        };
        // Both sides close after a refusal, and either may be first. What ended the connection was the server's answer.
        let ended_by = if self.is_refused_by_server && by == EndedBy::Client { EndedBy::Server } else { by };
        Verdict { reason, ended_by, stage: reason.stage().unwrap_or(reached) }
    }

    pub(crate) fn ending(&self) -> Ending {
        self.ending.unwrap_or(Ending { by: EndedBy::Unknown, reason: Reason::Unknown })
    }
}

/// A refusal that asks for another try.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Retry {
    /// With TLS, or without.
    pub(crate) tls: bool,
}

/// The names of anomalies, each once. [`AnomalyKind::name`] has few, so this can't grow.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Anomalies(pub(crate) Vec<Cow<'static, str>>);

impl Anomalies {
    pub(crate) fn add(&mut self, name: &'static str) {
        self.add_one(Cow::Borrowed(name));
    }

    pub(crate) fn add_all(&mut self, others: &Self) {
        for name in &others.0 {
            self.add_one(name.clone());
        }
    }

    fn add_one(&mut self, name: Cow<'static, str>) {
        if !self.0.contains(&name) {
            self.0.push(name);
        }
    }
}

/// What the server's own word means. Where spice-server says what: `reds.cpp`, as docs/PROTOCOL.md tells.
fn refusal(code: LinkErrorCode, form: RefusalForm, has_bad_sasl_length: bool) -> Reason {
    match (code, form) {
        (_, RefusalForm::Sasl) => Reason::SaslRejected,
        (LinkErrorCode::INVALID_DATA, RefusalForm::SecondReply) if has_bad_sasl_length => Reason::InvalidData,
        // After a reply that accepts, these two speak of the mechanism: an unknown one, and none where SASL is required.
        (LinkErrorCode::INVALID_DATA | LinkErrorCode::VERSION_MISMATCH, RefusalForm::SecondReply) => {
            Reason::BadMechanism
        }
        (LinkErrorCode::INVALID_MAGIC, _) => Reason::BadMagic,
        (LinkErrorCode::VERSION_MISMATCH, _) => Reason::BadVersion,
        (LinkErrorCode::INVALID_DATA, _) => Reason::InvalidData,
        (LinkErrorCode::NEED_SECURED, _) => Reason::NeedSecured,
        (LinkErrorCode::NEED_UNSECURED, _) => Reason::NeedUnsecured,
        (LinkErrorCode::PERMISSION_DENIED, _) => Reason::PermissionDenied,
        (LinkErrorCode::BAD_CONNECTION_ID, _) => Reason::BadConnectionId,
        (LinkErrorCode::CHANNEL_NOT_AVAILABLE, _) => Reason::ChannelNotAvailable,
        _ => Reason::Unknown,
    }
}

/// What bytes mean that can't be read, where no link result of the server follows.
fn unreadable(error: spice_link::Error) -> Reason {
    use spice_link::Error;
    match error {
        Error::Version { .. } => Reason::BadVersion,
        Error::SaslNameEmpty => Reason::BadMechanism,
        Error::SaslLength { max, .. } if max == sasl::MAX_NAME => Reason::BadMechanism,
        Error::Size { .. } | Error::CapsCount { .. } | Error::CapsRange { .. } | Error::SaslLength { .. } => {
            Reason::InvalidData
        }
        _ => Reason::NotSpice,
    }
}
