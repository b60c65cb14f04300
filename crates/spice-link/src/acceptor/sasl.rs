//! The SASL exchange, starting with the list of mechanisms.

use super::{AcceptStatus, CloseReason, LinkAcceptor, LinkHost, Progress, SaslAnswer, SaslVerdict, State, Writer};
use crate::{Answer, Error, LinkErrorCode, sasl};

/// The message to a client whose security layer would be too weak: a word, the text's length, the text.
const WEAK: &[u8] = b"\x01\0\0\0\x16\0\0\0Authentication failed\0";

impl LinkAcceptor {
    pub(super) fn sasl_list(&mut self, host: &mut impl LinkHost, out: &mut Writer<'_>) -> Progress {
        let list = host.mechanisms().unwrap_or_default();
        out.room(4 + list.len())?;
        out.put(&u32::try_from(list.len()).unwrap_or(u32::MAX).to_le_bytes())?;
        out.put(list)?;
        self.state = State::SaslName;
        Ok(0)
    }

    pub(super) fn sasl_name(&mut self, host: &mut impl LinkHost, unread: &[u8], out: &mut Writer<'_>) -> Progress {
        let (name, consumed) = match field(unread, 1, sasl::MAX_NAME) {
            Err(error) => return self.unreadable(error, out),
            Ok(field) => field.ok_or_else(|| AcceptStatus::Need(missing(unread)))?,
        };
        if !offered(host.mechanisms().unwrap_or_default(), name) {
            return self.refuse(LinkErrorCode::INVALID_DATA, CloseReason::SaslField, out);
        }
        // The first data follows directly. The host gets both at once, so they are consumed together.
        let rest = unread.get(consumed..).unwrap_or_default();
        let (data, data_consumed) = match field(rest, 0, sasl::MAX_DATA) {
            Err(error) => return self.unreadable(error, out),
            Ok(Some(field)) => field,
            Ok(None) => return Err(AcceptStatus::Need(consumed + missing(rest))),
        };
        let room = out.room(answer_room(host))?;
        let answer = host.sasl_start(name, without_nul(data), room.get_mut(4..).unwrap_or_default());
        self.sasl_answer(answer, out)?;
        Ok(consumed + data_consumed)
    }

    pub(super) fn sasl_data(&mut self, host: &mut impl LinkHost, unread: &[u8], out: &mut Writer<'_>) -> Progress {
        let (data, consumed) = match field(unread, 0, sasl::MAX_DATA) {
            // spice-server answers first data of over 1 MiB, but not later data.
            Err(_) => return self.close(CloseReason::SaslField),
            Ok(field) => field.ok_or_else(|| AcceptStatus::Need(missing(unread)))?,
        };
        let room = out.room(answer_room(host))?;
        let answer = host.sasl_step(without_nul(data), room.get_mut(4..).unwrap_or_default());
        self.sasl_answer(answer, out)?;
        Ok(consumed)
    }

    /// The host's data starts four bytes into the room: its length goes before it, a NUL and the flag after it.
    fn sasl_answer(&mut self, answer: SaslAnswer, out: &mut Writer<'_>) -> Result<(), AcceptStatus> {
        if answer.verdict == SaslVerdict::Refused {
            self.state = State::Closed(CloseReason::SaslFailed);
            return Ok(());
        }
        let flag = u8::from(answer.verdict != SaslVerdict::Continue);
        match answer.data {
            None => out.put(&[0, 0, 0, 0, flag])?,
            Some(len) => {
                let room = out.room(4 + len + 2)?;
                room[..4].copy_from_slice(&u32::try_from(len + 1).unwrap_or(u32::MAX).to_le_bytes());
                room[4 + len..4 + len + 2].copy_from_slice(&[0, flag]);
                out.advance(4 + len + 2);
            }
        }
        self.state = match answer.verdict {
            SaslVerdict::Continue | SaslVerdict::Refused => State::SaslData,
            SaslVerdict::Complete => {
                out.put(&0u32.to_le_bytes())?;
                State::Join
            }
            SaslVerdict::Weak => {
                out.put(WEAK)?;
                State::Closed(CloseReason::SaslWeak)
            }
        };
        Ok(())
    }
}

/// A length word in `min..=max` and that many bytes; `None` until all have come. The length is checked at once.
fn field(unread: &[u8], min: u32, max: u32) -> Result<Option<(&[u8], usize)>, Error> {
    let Some((word, rest)) = unread.split_first_chunk() else { return Ok(None) };
    let seen = u32::from_le_bytes(*word);
    if seen > max {
        return Err(Error::SaslLength { seen, max });
    }
    if seen < min {
        return Err(Error::SaslNameEmpty);
    }
    Ok(rest.get(..seen as usize).map(|bytes| (bytes, 4 + bytes.len())))
}

/// The number of bytes that [`field`] needs.
fn missing(unread: &[u8]) -> usize {
    unread.first_chunk().map_or(4, |word| 4 + u32::from_le_bytes(*word) as usize)
}

/// Whether the list has the name. Like spice-server, this accepts it between any two commas or ends.
fn offered(list: &[u8], name: &[u8]) -> bool {
    !name.contains(&b',') && list.split(|byte| *byte == b',').any(|one| one == name)
}

/// Removes the NUL that the wire adds. No bytes are no data.
fn without_nul(data: &[u8]) -> Option<&[u8]> {
    data.split_last().map(|(_, data)| data)
}

/// Length, data, NUL, flag, and the longest verdict.
fn answer_room<H: LinkHost>(_: &H) -> usize {
    4 + H::SASL_ROOM + 1 + 1 + WEAK.len()
}

const _: () = assert!(matches!(Error::SaslNameEmpty.answer(), Some(Answer::SilentClose)));
