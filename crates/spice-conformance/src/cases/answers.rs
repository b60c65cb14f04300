//! What spice-server answers, under the names that the cases use.

use spice_link::LinkErrorCode as Code;

use crate::received::Received::{
    self, End, LayerFrame, MainInit, MechanismList, Reply, Result, SaslAccepted, SaslContinue, Silence,
};

/// The connection ends without a byte.
pub(super) const DROPPED: &[&[Received]] = &[&[End]];
/// The server waits for more bytes.
pub(super) const WAITS: &[&[Received]] = &[&[Silence]];

pub(super) const INVALID_MAGIC: &[&[Received]] = &[&[Reply(Code::INVALID_MAGIC), End]];
/// The same without the end, which is not read.
pub(super) const REFUSED_MAGIC: &[&[Received]] = &[&[Reply(Code::INVALID_MAGIC)]];
pub(super) const INVALID_DATA: &[&[Received]] = &[&[Reply(Code::INVALID_DATA), End]];
pub(super) const VERSION_MISMATCH: &[&[Received]] = &[&[Reply(Code::VERSION_MISMATCH), End]];
pub(super) const NEED_SECURED: &[&[Received]] = &[&[Reply(Code::NEED_SECURED), End]];
pub(super) const NEED_UNSECURED: &[&[Received]] = &[&[Reply(Code::NEED_UNSECURED), End]];

/// An accepting reply; what follows it is not read.
pub(super) const ACCEPTING_REPLY: &[&[Received]] = &[&[Reply(Code::OK)]];
/// A new session.
pub(super) const LINKED: &[&[Received]] = &[&[Reply(Code::OK), Result(Code::OK), MainInit]];
/// A channel that joins a session.
pub(super) const JOINED: &[&[Received]] = &[&[Reply(Code::OK), Result(Code::OK)]];
/// A channel that joins a session and is ended.
pub(super) const JOINED_AND_ENDED: &[&[Received]] = &[&[Reply(Code::OK), Result(Code::OK), End]];
pub(super) const PERMISSION_DENIED: &[&[Received]] = &[&[Reply(Code::OK), Result(Code::PERMISSION_DENIED), End]];
pub(super) const BAD_CONNECTION_ID: &[&[Received]] = &[&[Reply(Code::OK), Result(Code::BAD_CONNECTION_ID), End]];
/// A second reply refuses the mechanism.
pub(super) const BAD_MECHANISM: &[&[Received]] = &[&[Reply(Code::OK), Reply(Code::INVALID_DATA), End]];
/// The connection ends after an accepting reply.
pub(super) const REPLY_AND_END: &[&[Received]] = &[&[Reply(Code::OK), End]];
/// The server waits for more bytes after an accepting reply.
pub(super) const REPLY_AND_SILENCE: &[&[Received]] = &[&[Reply(Code::OK), Silence]];
/// A channel is accepted, and the server sends nothing.
pub(super) const JOINED_AND_SILENCE: &[&[Received]] = &[&[Reply(Code::OK), Result(Code::OK), Silence]];

/// The list of mechanisms is not answered, or what follows it is not.
pub(super) const LIST_AND_END: &[&[Received]] = &[&[Reply(Code::OK), MechanismList, End]];
/// A second reply refuses what follows the list.
pub(super) const LIST_AND_INVALID_DATA: &[&[Received]] =
    &[&[Reply(Code::OK), MechanismList, Reply(Code::INVALID_DATA), End]];
/// The connection ends in the exchange.
pub(super) const CHALLENGE_AND_END: &[&[Received]] = &[&[Reply(Code::OK), MechanismList, SaslContinue, End]];
/// A new session behind a SASL exchange of one step.
pub(super) const SASL_LINKED: &[&[Received]] =
    &[&[Reply(Code::OK), MechanismList, SaslAccepted, Result(Code::OK), MainInit]];
/// A new session behind DIGEST-MD5: the result and `MAIN_INIT` are in frames of the security layer.
pub(super) const LAYERED: &[&[Received]] =
    &[&[Reply(Code::OK), MechanismList, SaslContinue, SaslAccepted, LayerFrame, LayerFrame]];
/// The same, refused: the result is in a frame of the security layer.
pub(super) const LAYERED_AND_END: &[&[Received]] =
    &[&[Reply(Code::OK), MechanismList, SaslContinue, SaslAccepted, LayerFrame, End]];
/// SASL is offered although it is off, or refused.
pub(super) const OFFERED_OR_REFUSED: &[&[Received]] =
    &[&[Reply(Code::OK), MechanismList], &[Reply(Code::OK), Reply(Code::INVALID_DATA)]];
/// A client that can't select a mechanism: a second reply, and the connection stays open.
pub(super) const NO_SELECTION: &[&[Received]] = &[&[Reply(Code::OK), Reply(Code::VERSION_MISMATCH)]];
