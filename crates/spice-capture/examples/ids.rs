//! A small intrusion detection system for SPICE: `cargo run --example ids -- FILE...`
//!
//! It reads captures and prints one alert in a line: invalid link messages, which no real client sends, and clients whose credentials
//! were refused several times. It keeps no payload: the reassembler hands over bytes in order, and a [`LinkFollower`] reads them.

use spice_capture::spice_events::spice_link::{self, FirstBytes, LinkErrorCode, LinkEvent, recognise};
use spice_capture::{
    decapsulate::Decapsulator,
    file::Reader,
    spice_events::{Config, LinkFollower, LinkNote, LinkNoteKind, LinkOutcome, LinkSummary, Timestamp},
    tcp::{Connection, Handler, Interest, Reassembler, Side},
};
use std::{collections::BTreeMap, env, error::Error, fs, net::SocketAddr};

/// The number of refused links after which a client is taken for one that guesses passwords.
const MOST_REFUSALS: u32 = 3;

fn main() -> Result<(), Box<dyn Error>> {
    let mut detector = Detector::default();
    for path in env::args().skip(1) {
        detector.read(&fs::read(path)?)?;
    }
    for (client, count) in &detector.refused {
        if *count >= MOST_REFUSALS {
            println!("{client}: {count} refused links: password guessing?");
        }
    }
    Ok(())
}

#[derive(Default)]
struct Detector {
    /// Refused credentials, by the client's address.
    refused: BTreeMap<String, u32>,
}

impl Detector {
    /// Reads one capture to its end.
    fn read(&mut self, file: &[u8]) -> Result<(), Box<dyn Error>> {
        let (mut reader, mut tunnels, mut tcp) = (Reader::new(), Decapsulator::new(), Reassembler::default());
        let mut last = Timestamp { seconds: 0, microseconds: 0 };
        reader.push(file, |packet| {
            last = packet.at;
            tunnels.segments(&packet, &mut |segment| tcp.segment(segment, self));
        })?;
        if let Some(cut) = reader.finish()? {
            println!("{cut}");
        }
        tunnels.finish(last, &mut |segment| tcp.segment(segment, self));
        tcp.finish(self);
        Ok(())
    }
}

/// What is kept of one connection.
#[derive(Default)]
struct Watch {
    ends: Option<Connection>,
    /// The client's first bytes, until they tell what this is.
    start: Vec<u8>,
    link: Option<LinkFollower>,
    summary: LinkSummary,
    /// Why the client's bytes are no link message. The server may have refused them: the summary then has its refusal.
    invalid: Option<spice_link::Error>,
}

impl Handler for Detector {
    type State = Watch;

    fn opened(&mut self, watch: &mut Watch, connection: &Connection) -> Interest {
        watch.ends = Some(*connection);
        watch.link = Some(LinkFollower::new(Config::MAX_BACKLOG));
        Interest::Bytes
    }

    fn bytes(&mut self, watch: &mut Watch, _: Timestamp, from: Side, data: &[u8]) -> Interest {
        if from == Side::Client && watch.start.len() < 4 {
            watch.start.extend(data.iter().take(4 - watch.start.len()));
            if recognise(from, &watch.start) == FirstBytes::Other {
                // Not SPICE: no more of it is delivered.
                watch.link = None;
                return Interest::Nothing;
            }
        }
        watch.follow(|link, seen| link.bytes(from, data, |note| seen(&note)))
    }

    fn gap(&mut self, watch: &mut Watch, _: Timestamp, from: Side, len: u64) -> Interest {
        watch.follow(|link, seen| link.gap(from, len, |note| seen(&note)))
    }

    fn closed(&mut self, watch: &mut Watch, at: Timestamp, _: Option<Side>) {
        let Some(ends) = watch.ends else { return };
        let client = ends.endpoints.client;
        if let Some(error) = watch.invalid {
            println!("{}.{:06} {client}: invalid link message: {error}", at.seconds, at.microseconds);
        }
        if let LinkOutcome::Refused { code: LinkErrorCode::PERMISSION_DENIED, .. } = watch.summary.outcome {
            *self.refused.entry(SocketAddr::from(client).ip().to_string()).or_default() += 1;
            let channel = watch.summary.request.map_or_else(String::new, |request| request.channel_type.to_string());
            println!("{}.{:06} {client}: credentials refused, channel {channel}", at.seconds, at.microseconds);
        }
    }
}

impl Watch {
    /// Shows bytes or a gap to the follower, as long as it can learn something.
    fn follow(&mut self, show: impl FnOnce(&mut LinkFollower, &mut dyn FnMut(&LinkNote<'_>))) -> Interest {
        let Self { link: Some(link), summary, invalid, .. } = self else { return Interest::End };
        show(link, &mut |note| {
            summary.apply(note);
            if let LinkNoteKind::Event(LinkEvent::Unreadable { side: Side::Client, error }) = note.kind {
                *invalid = Some(error);
            }
        });
        if link.is_over() { Interest::End } else { Interest::Bytes }
    }
}
