//! The observer: the same story for any cut and any interleaving, and by construction the right one.

use arbitrary::Unstructured;
use spice_events::{LinkFollower, LinkNoteKind, LinkOutcome, LinkSummary};
use spice_link::{FirstBytes, LinkObserver, Side};

use crate::{
    generate::{Arbitrary, Conversation, Delivery},
    link_events::{CheckedObserver, ObservedLink, OwnedLinkEvent},
    spice_conformance::{Judgement, judge},
};

/// What an observer says of two streams that arrive like this.
pub fn watch(client: &[u8], server: &[u8], delivery: &Delivery) -> ObservedLink {
    let mut watcher = CheckedObserver::new();
    for (from, bytes) in delivery.play(client, server) {
        watcher.bytes(from, bytes);
    }
    watcher.seen().clone()
}

/// Panics unless two deliveries of the same streams tell the same story.
///
/// The server's word ends the story, for better or worse, so that a client's events may be cut short where that is delivered
/// first; then one list is the start of the other. All else is equal: what the server's bytes show, and how it ends.
pub fn same_story(one: &ObservedLink, other: &ObservedLink) {
    let ends = |seen: &ObservedLink| {
        let is_end = |event: &&OwnedLinkEvent| {
            matches!(
                event,
                OwnedLinkEvent::Refused { .. } | OwnedLinkEvent::Linked { .. } | OwnedLinkEvent::SessionId(_)
            )
        };
        seen.events.iter().map(|(_, event)| event).filter(is_end).cloned().collect::<Vec<_>>()
    };
    assert_eq!(ends(one), ends(other), "\n{one:?}\n{other:?}");
    let shown = |seen: &ObservedLink| {
        let of_server =
            seen.of(Side::Server).into_iter().filter(|event| !matches!(event, OwnedLinkEvent::Linked { .. }));
        of_server.cloned().collect::<Vec<_>>()
    };
    assert_eq!(shown(one), shown(other));
    let (mut long, mut short) = (one.of(Side::Client), other.of(Side::Client));
    for events in [&mut long, &mut short] {
        events.retain(|event| !matches!(event, OwnedLinkEvent::Linked { .. }));
    }
    if long.len() < short.len() {
        (long, short) = (short, long);
    }
    let ended = !ends(one).is_empty();
    assert!(if ended { long.starts_with(&short) } else { long == short }, "\n{one:?}\n{other:?}");
}

/// Choices of a conversation and of a delivery: cut and interleaved at will, it tells the story that it tells whole; and where
/// nothing was bent, that story is the one that it was made from.
pub fn conversation(choices: &[u8]) {
    let mut u = Unstructured::new(choices);
    let Ok(story) = Conversation::arbitrary(&mut u) else { return };
    let streams = [Side::Client, Side::Server].map(|side| story.stream(side));
    let lens = [streams[0].len(), streams[1].len()];
    let Ok(delivery) = Delivery::of(&mut u, lens) else { return };

    let mut watcher = CheckedObserver::new();
    for turn in &story.turns {
        watcher.bytes(turn.from, &turn.bytes);
    }
    let in_turns = watcher.seen().clone();
    if let Some(expected) = &story.events {
        let found: Vec<_> = in_turns.events.iter().map(|(_, event)| event).collect();
        assert_eq!(found, expected.iter().collect::<Vec<_>>());
    }
    same_story(&in_turns, &watch(&streams[0], &streams[1], &delivery));
    same_story(&in_turns, &watch(&streams[0], &streams[1], &Delivery::cut(Side::Client, lens, 1)));
    same_as_the_follower(&streams, &delivery);
    lossy(&streams, &delivery, choices.len());
}

/// A name for the last thing that these choices of [`conversation`] come to; for seeds.
pub fn outcome(choices: &[u8]) -> Option<String> {
    let story = Conversation::straight(&mut Unstructured::new(choices)).ok()?;
    let name = match story.events?.last()? {
        OwnedLinkEvent::Refused { form, code } => format!("refused-{form:?}-{}", code.0),
        OwnedLinkEvent::Linked { header, evidence } => format!("linked-{header:?}-{evidence:?}"),
        other => format!("{other:?}").split(['(', ' ']).next()?.to_owned(),
    };
    Some(name.to_ascii_lowercase())
}

/// Bytes of the wire: a u16 (little-endian) with the length of the client's stream, that stream, the server's stream. Told whole,
/// byte by byte, and the server's first; and of the client's message what [`judge`] says of it.
pub fn link_observer(input: &[u8]) {
    let Some((len, rest)) = input.split_first_chunk() else { return };
    let len = usize::from(u16::from_le_bytes(*len)).min(rest.len());
    let (client, server) = rest.split_at(len);
    let lens = [client.len(), server.len()];
    let whole = watch(client, server, &Delivery::whole(Side::Client, lens));
    let first = whole.of(Side::Client).into_iter().find(|event| !matches!(event, OwnedLinkEvent::Linked { .. }));
    match (judge(client), first) {
        (Judgement::Need, None) => {}
        (Judgement::Refused { error: expected, .. }, Some(OwnedLinkEvent::Unreadable { error, .. })) => {
            assert_eq!(*error, expected);
        }
        (Judgement::Accepted { common, channel, .. }, Some(mess)) => {
            let [i0, i1, i2, i3, channel_type, channel_id] = client[16..22] else { unreachable!("18 bytes at least") };
            let connection_id = u32::from_le_bytes([i0, i1, i2, i3]);
            assert_eq!(*mess, OwnedLinkEvent::Mess { connection_id, channel_type, channel_id, common, channel });
        }
        (expected, found) => panic!("{found:?}, not {expected:?}"),
    }
    for delivery in [
        Delivery::whole(Side::Server, lens),
        Delivery::cut(Side::Client, lens, 1),
        Delivery::cut(Side::Server, lens, 7),
    ] {
        same_story(&whole, &watch(client, server, &delivery));
    }
}

/// A `LinkFollower`, which holds the unread bytes itself, reports the same events as an observer whose caller holds them. Streams that
/// start like HTTP are left out: the follower takes them for WebSocket.
fn same_as_the_follower(streams: &[Vec<u8>; 2], delivery: &Delivery) {
    let sides = [Side::Client, Side::Server];
    if sides.iter().zip(streams).any(|(side, stream)| spice_link::recognise(*side, stream) == FirstBytes::WebSocket) {
        return;
    }
    let (mut follower, mut summary) = (LinkFollower::new(usize::MAX), LinkSummary::default());
    let mut events = Vec::new();
    for (from, bytes) in delivery.play(&streams[0], &streams[1]) {
        follower.bytes(from, bytes, |note| {
            summary.apply(&note);
            match note.kind {
                LinkNoteKind::Event(event) => events.extend(OwnedLinkEvent::of(event).map(|event| (note.side, event))),
                other => panic!("{other:?} without a loss"),
            }
        });
    }
    let observed = watch(&streams[0], &streams[1], delivery);
    assert_eq!(events, observed.events);
    assert_eq!(matches!(summary.outcome, LinkOutcome::Linked(_)), observed.linked());
}

/// Bytes that get lost: nothing panics, and a loss that the observer says was harmless changes nothing.
fn lossy(streams: &[Vec<u8>; 2], delivery: &Delivery, salt: usize) {
    let mut observer = LinkObserver::new();
    for (index, (from, bytes)) in delivery.play(&streams[0], &streams[1]).enumerate() {
        let step = observer.read(from, bytes);
        assert!(step.consumed <= bytes.len());
        if (index + salt).is_multiple_of(3) {
            let skippable = observer.skippable(from);
            let len = (salt as u64) % 200;
            assert_eq!(observer.lost(from, len), len <= skippable, "{from}: lost {len}, could skip {skippable}");
            if len > skippable {
                // Of a server, what follows may still show that the link succeeded.
                assert!(from == Side::Server || observer.is_done(from));
            } else if skippable < u64::MAX {
                assert_eq!(observer.skippable(from), skippable - len);
            }
        }
    }
}
