//! The parsers and state machines under generated input: each oracle over what proptest draws.

use std::{collections::BTreeSet, convert::Infallible};

use proptest::prelude::*;
use spice_testkit::{
    generate::{self, Frames, Mess, Reply, Unstructured},
    oracles::{endpoints, link, observer, tracker, websocket},
    spice_conformance::{Judgement, judge},
};

/// 2000 cases, or as many as `PROPTEST_CASES` says.
fn config() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(2000);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_message_is_judged_as_spice_server_judges_it(mess in generate::strategy::<Mess>(200)) {
        link::link_mess(&mess.bytes());
    }

    #[test]
    fn reply_is_read_as_on_the_wire(reply in generate::strategy::<Reply>(200)) {
        link::link_reply(&reply.bytes());
    }

    #[test]
    fn any_bytes_are_judged_without_a_panic(bytes in generate::bytes(100)) {
        link::link_mess(&bytes);
        link::link_mess(&[b"REDQ\x02\0\0\0\0\0\0\0", &bytes[..]].concat());
        link::link_reply(&bytes);
        link::link_reply(&[b"REDQ\x02\0\0\0\0\0\0\0", &bytes[..]].concat());
        link::caps(&bytes);
    }

    #[test]
    fn conversation_has_the_same_events_in_any_cut_and_interleaving(choices in generate::bytes(400)) {
        observer::conversation(&choices);
    }

    #[test]
    fn any_two_streams_have_the_same_events_in_any_cut(bytes in generate::bytes(300)) {
        observer::link_observer(&bytes);
    }

    #[test]
    fn the_acceptor_answers_in_any_cut(choices in generate::bytes(400)) {
        endpoints::acceptor(&choices);
    }

    #[test]
    fn acceptor_and_connector_agree(choices in generate::bytes(400)) {
        endpoints::acceptor_vs_connector(&choices);
    }

    #[test]
    fn observer_reports_what_both_ends_decide(choices in generate::bytes(400)) {
        endpoints::observer_vs_endpoints(&choices);
    }

    #[test]
    fn events_come_in_pairs_and_in_order(choices in generate::bytes(1500)) {
        tracker::tracker_ops(&choices);
    }

    #[test]
    fn frames_carry_their_stream(choices in generate::bytes(600)) {
        websocket::frames(&choices);
        websocket::websocket(&choices);
    }

    #[test]
    fn shortening_keeps_only_what_matters(choices in generate::bytes(64), a in 1u8.., b in 1u8..) {
        let matters = |choices: &[u8]| choices.iter().skip_while(|byte| **byte != a).skip(1).any(|byte| *byte == b);
        let choices = [&choices, &[a][..], &choices, &[b], &choices].concat();
        let mut asked = 0;
        let best = generate::plainest(&choices, usize::MAX, |choices| {
            asked += 1;
            Ok::<_, Infallible>(matters(choices))
        });
        prop_assert_eq!(best, Ok(vec![a, b]));
        let few = generate::plainest(&choices, asked / 2, |choices| Ok::<_, Infallible>(matters(choices)));
        prop_assert!(matters(&few.unwrap_or_default()));
        prop_assert_eq!(generate::plainest(&choices, 1000, |_| Err("gone")), Err("gone"));
    }
}

/// A generator that only ever made valid or only refused messages would prove little.
#[test]
fn generated_messages_reach_every_check() {
    let mut choices = generate::Choices::new(1);
    let (mut buffer, mut seen) = (Vec::new(), std::collections::BTreeMap::new());
    for _ in 0..4000 {
        choices.fill(&mut buffer, 128);
        let mess: Mess = generate::from_choices(&buffer);
        let name = match judge(&mess.bytes()) {
            Judgement::Need => "need".to_owned(),
            Judgement::Accepted { .. } => "accepted".to_owned(),
            Judgement::Refused { error, .. } => format!("{error:?}").split(' ').next().unwrap_or("").to_owned(),
        };
        *seen.entry(name).or_insert(0u32) += 1;
    }
    for name in ["need", "accepted", "Magic", "Version", "Size", "CapsCount", "CapsRange"] {
        assert!(seen.get(name).is_some_and(|count| *count > 40), "{name}: {seen:?}");
    }
}

/// The same for replies and for frames: each field is wrong at times, each opcode and each way to write a length is there.
#[test]
fn generated_replies_and_frames_change_every_field() {
    let mut choices = generate::Choices::new(3);
    let (mut buffer, mut seen) = (Vec::new(), BTreeSet::new());
    for _ in 0..20_000 {
        choices.fill(&mut buffer, 300);
        let (reply, plain): (Reply, Reply) = (generate::from_choices(&buffer), Reply::default());
        let is_bent = [
            ("major", reply.major != plain.major),
            ("minor", reply.minor != plain.minor),
            ("size", reply.size.is_some()),
            ("error", reply.error > 10),
            ("first count", reply.counts.is_some_and(|counts| counts[0] > 1024)),
            ("second count", reply.counts.is_some_and(|counts| counts[1] > 1024)),
            ("offset", reply.caps_offset.is_some()),
        ];
        seen.extend(is_bent.iter().filter(|(_, is_bent)| *is_bent).map(|(what, _)| (*what).to_owned()));
        seen.extend((0..4).filter(|at| reply.magic[*at] != plain.magic[*at]).map(|at| format!("magic {at}")));
        let frames: Frames = generate::from_choices(&buffer);
        for frame in &frames.0 {
            seen.insert(format!("opcode {}", frame.opcode));
            seen.insert(
                format!("length by {}", frame.bytes()[1] & 0x7f).replace("by 126", "of 2").replace("by 127", "of 8"),
            );
            if frame.payload.len() > 65_535 {
                seen.insert("a long payload".to_owned());
            }
        }
    }
    let magics = (0..4).map(|at| format!("magic {at}"));
    let opcodes = (0..16).map(|opcode| format!("opcode {opcode}"));
    let fields = ["major", "minor", "size", "error", "first count", "second count", "offset"].map(str::to_owned);
    let lengths = ["length by 0", "length by 125", "length of 2", "length of 8", "a long payload"].map(str::to_owned);
    let missing: Vec<_> =
        magics.chain(opcodes).chain(fields).chain(lengths).filter(|what| !seen.contains(what)).collect();
    assert!(missing.is_empty(), "never made: {missing:?}");
}

/// The same for conversations: each end that a link stage can have.
#[test]
fn generated_conversations_reach_every_outcome() {
    use spice_testkit::{generate::Conversation, link_events::OwnedLinkEvent};
    let mut choices = generate::Choices::new(2);
    let (mut buffer, mut seen) = (Vec::new(), std::collections::BTreeMap::new());
    for _ in 0..4000 {
        choices.fill(&mut buffer, 300);
        let Ok(story) = Conversation::straight(&mut Unstructured::new(&buffer)) else { continue };
        for event in story.events.iter().flatten() {
            let name = match event {
                OwnedLinkEvent::Mechanism(_) => "Mechanism".to_owned(),
                OwnedLinkEvent::Refused { form, .. } => format!("refused {form:?}"),
                OwnedLinkEvent::Linked { header, evidence } => format!("linked {header:?} {evidence:?}"),
                other => format!("{other:?}").split([' ', '(']).next().unwrap_or("").to_owned(),
            };
            *seen.entry(name).or_insert(0u32) += 1;
        }
    }
    for name in [
        "refused Reply",
        "refused SecondReply",
        "refused Result",
        "refused Sasl",
        "linked Mini Result",
        "linked Full Result",
        "linked Mini Continued",
        "SessionId",
        "HiddenResult",
        "Mechanism",
        "Unreadable",
    ] {
        assert!(seen.get(name).is_some_and(|count| *count > 20), "{name}: {seen:?}");
    }
}
