//! Compares the answers, the ends and the events of the two servers.

use spice_link::{AcceptStatus, CloseReason};
use spice_testkit::link_events::OwnedLinkEvent;

use super::{Difference, Event, Stage};

impl Stage<'_> {
    /// Compares the answers and the end of one link, and the report of an observer.
    pub(super) fn compare_answers(&mut self, index: usize) -> Result<(), Difference> {
        let link = &mut self.links[index];
        let differ = |what, detail| Err(Difference { what, detail });
        if link.head != link.ours.head {
            let (ours, real) = (link.ours.head.escape_ascii(), link.head.escape_ascii());
            return differ("answer", format!("upgrade: ours {ours}, real {real}"));
        }
        let (mut ours, mut real) = (link.ours.said.clone(), link.said.clone());
        mask(&mut ours, self.pair.host.public_key());
        mask(&mut real, self.pair.host.public_key());
        if let AcceptStatus::Linked(linked) = link.ours.outcome {
            // The rest of MAIN_INIT after the id, and all later messages, depend on the session.
            if linked.session_id.is_some() && !link.layered {
                ours.truncate(ours.len() - 28);
            }
            real.truncate(ours.len());
        }
        if ours != real {
            let at = ours.iter().zip(&real).take_while(|(ours, real)| ours == real).count();
            return differ(
                "answer",
                format!(
                    "from byte {at}: ours {}, real {}; ours {:?}, real closed: {}",
                    brief(&ours, at),
                    brief(&real, at),
                    link.ours.outcome,
                    link.closed
                ),
            );
        }
        let ours_closed = matches!(link.ours.outcome, AcceptStatus::Close(_));
        let leaked = matches!(link.ours.outcome, AcceptStatus::Close(CloseReason::NoSelection));
        if ours_closed != link.closed && !leaked && !self.links[index].closed {
            let link = &self.links[index];
            return differ("end", format!("ours {:?}, real closed: {}", link.ours.outcome, link.closed));
        }
        let link = &self.links[index];
        let seen = link.watcher.seen();
        let linked = matches!(link.ours.outcome, AcceptStatus::Linked(_) | AcceptStatus::Close(CloseReason::Duplicate));
        let refused = seen.events.iter().find_map(|(_, event)| match event {
            OwnedLinkEvent::Refused { code, .. } => Some(code.0),
            _ => None,
        });
        if linked != seen.linked() || linked && refused.is_some() {
            return differ("observer", format!("linked: {linked}, seen: {:?}", seen.events));
        }
        let code = refusal(&link.said);
        if !link.in_sasl && !link.sasl_done && refused != code {
            return differ("observer", format!("refused: {code:?}, seen: {:?}", seen.events));
        }
        Ok(())
    }

    /// Compares the events of the tracker and of the real server. They must be equal for each link and have the same order.
    /// Only ends that happen at the same time have no order on the wire.
    pub(super) fn compare_events(&mut self) -> Result<(), Difference> {
        // The tracker reports events inside a security layer later, and may never learn the session id.
        // The worker's events have no order relative to those of the main thread.
        if self.links.iter().any(|link| link.layered || link.in_worker) {
            return self.compare_events_by_link();
        }
        let normal = |events: &[Event]| {
            let mut events = events.to_vec();
            for run in events.chunk_by_mut(|a, b| a.1 == 3 && b.1 == 3) {
                run.sort_unstable();
            }
            events
        };
        let (real, tracked) = (normal(&self.real), normal(&self.tracked));
        if real == tracked {
            return Ok(());
        }
        let of = |events: &[Event], index: usize| {
            events.iter().filter(|event| event.0 == index).copied().collect::<Vec<_>>()
        };
        let alike = (0..self.links.len()).all(|index| of(&real, index) == of(&tracked, index));
        let what = if alike { "order" } else { "events" };
        Err(Difference { what, detail: format!("ours {tracked:?}, real {real:?}") })
    }

    /// Compares the events of each link. A session id that the tracker never learned counts as 0.
    fn compare_events_by_link(&self) -> Result<(), Difference> {
        for index in 0..self.links.len() {
            let of = |events: &[Event]| events.iter().filter(|event| event.0 == index).copied().collect::<Vec<_>>();
            let (mut real, tracked) = (of(&self.real), of(&self.tracked));
            let unknown = tracked.iter().any(|event| event.1 == 2 && event.2[0] == 0);
            if self.links[index].layered && self.links[index].is_main && unknown {
                real.iter_mut().filter(|event| event.1 == 2).for_each(|event| event.2[0] = 0);
            }
            if real != tracked {
                return Err(Difference { what: "events", detail: format!("ours {tracked:?}, real {real:?}") });
            }
        }
        Ok(())
    }
}

/// The code of a refusal outside a SASL exchange: in the server's reply, in a second reply, or as the link result.
fn refusal(said: &[u8]) -> Option<u32> {
    let word = |at: usize| Some(u32::from_le_bytes(*said.get(at..)?.first_chunk()?));
    let in_reply = word(16)?;
    let behind = 16 + word(12)? as usize;
    let code = match in_reply {
        0 if said.get(behind..)?.starts_with(b"REDQ") => word(behind + 16)?,
        0 => word(behind)?,
        code => code,
    };
    (code != 0).then_some(code)
}

/// Replaces the key, which differs between servers, but keeps whether it is present or zeros.
fn mask(said: &mut [u8], key: &[u8]) {
    if let Some(place) = said.get_mut(20..182)
        && place.iter().any(|byte| *byte != 0)
    {
        place.copy_from_slice(key);
    }
}

fn brief(bytes: &[u8], at: usize) -> String {
    let here = bytes.get(at..).unwrap_or_default();
    format!("{:02x?} of {} bytes", here.get(..12).unwrap_or(here), bytes.len())
}
