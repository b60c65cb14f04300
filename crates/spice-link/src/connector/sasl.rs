//! The SASL exchange, starting with the server's list.

use super::{ConnectStatus, LinkConnector, LinkUser, Progress, State, word};
use crate::{Error, LinkErrorCode, RefusalForm, SaslVerdict, sasl};

/// The most data in one step, in bytes, with the NUL that the wire adds.
const DATA_ROOM: usize = 1024 + 1;

impl LinkConnector {
    pub(super) fn sasl_list(&mut self, user: &mut impl LinkUser, unread: &[u8], out: &mut [u8]) -> Progress {
        let (list, read) = field(unread)?;
        let need = 4 + sasl::MAX_NAME as usize + 4 + DATA_ROOM;
        if out.len() < need {
            return Err(ConnectStatus::Room(need));
        }
        let mut name = [0; sasl::MAX_NAME as usize];
        let len = user.sasl_name(list, &mut name).ok_or(ConnectStatus::GaveUp)?;
        let name = name.get(..len).ok_or(ConnectStatus::GaveUp)?;
        let mut written = put(out, 0, name);
        written = client_data(user, None, out, written)?;
        self.state = State::SaslAnswer;
        Ok((read, written))
    }

    /// Data and a flag: continue, or complete.
    pub(super) fn sasl_answer(&mut self, user: &mut impl LinkUser, unread: &[u8], out: &mut [u8]) -> Progress {
        let (data, read) = field(unread)?;
        let flag = unread.get(read).ok_or(ConnectStatus::Need(read + 1))?;
        let data = data.split_last().map_or(data, |(_nul, data)| data);
        match flag {
            0 if out.len() < 4 + DATA_ROOM => Err(ConnectStatus::Room(4 + DATA_ROOM)),
            0 => client_data(user, Some(data), out, 0).map(|written| (read + 1, written)),
            1 if !user.sasl_complete(data) => Err(ConnectStatus::GaveUp),
            1 => {
                self.state = State::SaslVerdict;
                Ok((read + 1, 0))
            }
            seen => Err(ConnectStatus::Unreadable(Error::SaslFlag { seen: u32::from(*seen) })),
        }
    }

    pub(super) fn sasl_verdict(&mut self, user: &mut impl LinkUser, unread: &[u8]) -> Progress {
        match word(unread)? {
            0 => {
                self.state = if user.security_layer() { State::HiddenResult } else { State::Result };
                Ok((4, 0))
            }
            1 => Err(ConnectStatus::Refused { code: LinkErrorCode::ERROR, form: RefusalForm::Sasl }),
            seen => Err(ConnectStatus::Unreadable(Error::SaslFlag { seen })),
        }
    }

    /// The result in one frame of the security layer.
    pub(super) fn hidden_result(&mut self, user: &mut impl LinkUser, unread: &[u8]) -> Progress {
        let seen = word(unread)?.swap_bytes();
        // Four bytes, and the padding and authentication code of the mechanism.
        if seen == 0 || seen > 1024 {
            return Err(ConnectStatus::Unreadable(Error::SaslLayer { seen }));
        }
        let end = 4 + seen as usize;
        let frame = unread.get(4..end).ok_or(ConnectStatus::Need(end))?;
        let mut plain = [0; 1024];
        match user.unseal(frame, &mut plain) {
            Some(4) => {
                let [a, b, c, d, ..] = plain;
                // The caller must decrypt everything that follows, so MAIN_INIT is not read here.
                self.fresh = false;
                self.result(LinkErrorCode(u32::from_le_bytes([a, b, c, d])))?;
                Ok((end, 0))
            }
            Some(_) => Err(ConnectStatus::Unreadable(Error::SaslLayer { seen })),
            None => Err(ConnectStatus::GaveUp),
        }
    }
}

/// A length word and that many bytes.
fn field(unread: &[u8]) -> Result<(&[u8], usize), ConnectStatus> {
    let seen = word(unread)?;
    if seen > sasl::MAX_DATA {
        return Err(ConnectStatus::Unreadable(Error::SaslLength { seen, max: sasl::MAX_DATA }));
    }
    let end = 4 + seen as usize;
    unread.get(4..end).map(|bytes| (bytes, end)).ok_or(ConnectStatus::Need(end))
}

/// Writes a field at `at` and returns where it ends. The caller has checked that there is room.
fn put(out: &mut [u8], at: usize, bytes: &[u8]) -> usize {
    let end = at + 4 + bytes.len();
    if let Some(field) = out.get_mut(at..end) {
        field[..4].copy_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
        field[4..].copy_from_slice(bytes);
    }
    end
}

/// Writes the user's data at `at` and a NUL after it. Returns where it ends.
fn client_data(
    user: &mut impl LinkUser,
    challenge: Option<&[u8]>,
    out: &mut [u8],
    at: usize,
) -> Result<usize, ConnectStatus> {
    let room = out.get_mut(at + 4..at + 4 + DATA_ROOM - 1).unwrap_or_default();
    let answer = user.sasl_data(challenge, room);
    if answer.verdict == SaslVerdict::Refused {
        return Err(ConnectStatus::GaveUp);
    }
    let Some(len) = answer.data else { return Ok(put(out, at, &[])) };
    let end = at + 4 + len + 1;
    let field = out.get_mut(at..end).ok_or(ConnectStatus::GaveUp)?;
    field[..4].copy_from_slice(&u32::try_from(len + 1).unwrap_or(u32::MAX).to_le_bytes());
    field[4 + len] = 0;
    Ok(end)
}
