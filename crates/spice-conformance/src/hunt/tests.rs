use std::{cell::Cell, net::SocketAddr, rc::Rc};

use super::*;
use crate::{Judgement, Mess, Reply, judge};

/// spice-server's answer: every channel exists, tickets are on.
fn sound(bytes: &[u8]) -> Answered {
    match judge(bytes) {
        Judgement::Refused { answer: Some(spice_link::Answer::Frame(code)), .. } => refusal(code.0).to_vec().into(),
        Judgement::Accepted { .. } => accepting().into(),
        _ => Vec::new().into(),
    }
}

/// An accepting reply with the start and the end of a real key.
fn accepting() -> Vec<u8> {
    let mut reply = Reply::default().bytes();
    reply[20..49].copy_from_slice(
        b"\x30\x81\x9f\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00\x03\x81\x8d\x00\x30\x81\x89\x02\x81\x81\x00",
    );
    reply[177..182].copy_from_slice(b"\x02\x03\x01\x00\x01");
    reply
}

/// The keys of the findings in a server that answers sound messages in another way.
fn keys(change: impl Fn(&[u8], &mut Answered)) -> Vec<String> {
    let report = Hunt::new().run(|bytes: &[u8]| {
        let mut answered = sound(bytes);
        change(bytes, &mut answered);
        Ok(answered)
    });
    report.unwrap().findings.iter().map(Finding::key).collect()
}

fn is_accepted(answered: &Answered) -> bool {
    answered.bytes.len() > 194
}

#[test]
fn sound_server_has_no_finding() {
    assert_eq!(keys(|_, _| {}), [""; 0]);
}

#[test]
fn every_part_of_an_accepting_reply_is_compared() {
    let changes: [fn(&mut Vec<u8>); 9] = [
        Vec::clear,
        |reply| reply[16] = 1,
        |reply| reply[0] = b'X',
        |reply| reply[20..182].fill(0xff),
        |reply| reply.truncate(20),
        |reply| reply[8] = 9,
        |reply| reply[190] = 182,
        |reply| reply.push(0),
        |reply| reply[181] = 0,
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let found = keys(|_, answered| {
            if is_accepted(answered) {
                change(&mut answered.bytes);
            }
        });
        assert!(found.iter().any(|key| key.starts_with("differs/accepted/")), "change {number}: {found:?}");
    }
}

/// A message whose size is smaller than what is sent: the server takes the rest for a mechanism and a ticket.
#[test]
fn bytes_behind_the_message_are_credentials() {
    let (common, ticket, refused) = (vec![0x8], vec![7, 0, 0, 0], refusal(3).to_vec());
    for (common, tail, rest, is_right) in [
        (&common, vec![0xee; 127], vec![], true),
        (&common, vec![0xee; 128], ticket.clone(), true),
        (&common, vec![0xee; 128], vec![], false),
        (&vec![0x9], vec![0xee; 3], vec![], true),
        (&vec![0x9], vec![0xee; 4], refused.clone(), true),
        (&vec![0x9], vec![0xee; 4], vec![], false),
        (&vec![0x9], [&[1, 0, 0, 0][..], &[0xee; 128]].concat(), ticket.clone(), true),
        (&vec![0x9], [&[1, 0, 0, 0][..], &[0xee; 128]].concat(), refused, false),
    ] {
        let mess = Mess { common: common.clone(), size: Some(22), tail, ..Mess::default() };
        let answered = [accepting(), rest.clone()].concat().into();
        let found = difference(&mess.bytes(), &answered, None);
        assert_eq!(found.is_none(), is_right, "{mess:?}, {rest:?}: {found:?}");
    }
}

#[test]
fn missing_channel_is_found_only_if_the_channels_are_known() {
    let without_inputs = |bytes: &[u8]| {
        let is_inputs = bytes.get(20) == Some(&ChannelType::INPUTS.0);
        Ok(if is_inputs && is_accepted(&sound(bytes)) { Vec::new().into() } else { sound(bytes) })
    };
    assert_eq!(Hunt::new().run(without_inputs).unwrap().findings, []);
    let all: Vec<_> = (0..=255).flat_map(|kind| (0..=255).map(move |id| (ChannelType(kind), id))).collect();
    let report = Hunt::new().channels(&all).run(without_inputs).unwrap();
    assert_eq!(report.findings.iter().map(Finding::key).collect::<Vec<_>>(), ["differs/accepted/nothing"]);
    assert_eq!(report.findings[0].fields(), ["channel_type"]);
}

#[test]
fn each_kind_is_found_shortened_and_kept_apart() {
    // Two faults: the code for counts is wrong, and version 0 is answered.
    let report = Hunt::new().run(|bytes: &[u8]| {
        Ok(match judge(bytes) {
            Judgement::Refused { error: spice_link::Error::CapsCount { .. }, .. } => refusal(1).to_vec().into(),
            Judgement::Refused { error: spice_link::Error::Version { major: 0 }, .. } => refusal(4).to_vec().into(),
            _ => sound(bytes),
        })
    });
    let report = report.unwrap();
    let mut found: Vec<_> = report.findings.iter().map(|finding| (finding.key(), finding.fields())).collect();
    found.sort();
    assert_eq!(found[0].0, "differs/caps-count/refusal-1");
    assert!(matches!(found[0].1[..], ["num_common_caps" | "num_channel_caps"]), "{found:?}");
    assert_eq!(found[1], ("differs/version/refusal-4".to_owned(), vec!["major_version"]));
    assert_eq!(found.len(), 2);
}

#[test]
fn allowed_deviation_hides_no_other_finding() {
    let server = |bytes: &[u8]| {
        Ok(match judge(bytes) {
            Judgement::Refused { error: spice_link::Error::Version { .. }, .. } => refusal(3).to_vec().into(),
            Judgement::Refused { error: spice_link::Error::Size { .. }, .. } => refusal(4).to_vec().into(),
            _ => sound(bytes),
        })
    };
    let report = Hunt::new().allow("differs/version/").run(server).unwrap();
    assert_eq!(report.findings.iter().map(Finding::key).collect::<Vec<_>>(), ["differs/size/refusal-4"]);
    assert!(report.allowed > 0);
}

#[test]
fn panic_is_a_finding() {
    let report = Hunt::new().cases(300).run(|bytes: &[u8]| {
        assert!(bytes.starts_with(b"REDQ"));
        Ok(sound(bytes))
    });
    let report = report.unwrap();
    assert_eq!(report.findings.len(), 1);
    assert_eq!(
        (report.findings[0].key(), report.findings[0].fields()),
        ("panicked/magic/server".into(), vec!["magic"])
    );
}

/// A server that dies of counts over the limit, after it has answered; `alive` is false from then on.
fn mortal(alive: Rc<Cell<bool>>) -> impl FnMut(&[u8]) -> io::Result<Answered> {
    move |bytes| {
        if !alive.get() {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        if matches!(judge(bytes), Judgement::Refused { error: spice_link::Error::CapsCount { .. }, .. }) {
            alive.set(false);
        }
        Ok(sound(bytes))
    }
}

#[test]
fn server_that_is_gone_is_a_finding_with_its_message() {
    let report = Hunt::new().run(mortal(Rc::new(Cell::new(true)))).unwrap();
    let [finding] = &report.findings[..] else { panic!("{report:?}") };
    assert_eq!((finding.key(), report.is_cut_short), ("gone/caps-count/server".into(), true));
    assert!(finding.to_regression().contains("\nsend 52454451"), "{}", finding.to_regression());
}

#[test]
fn server_that_is_restarted_has_its_finding_shortened() {
    let alive = Rc::new(Cell::new(true));
    let again = Rc::clone(&alive);
    let restart = move || {
        again.set(true);
        Ok(())
    };
    let report = Hunt::new().restart(restart).run(mortal(alive)).unwrap();
    let [finding] = &report.findings[..] else { panic!("{report:?}") };
    assert_eq!((finding.key(), report.asked, report.is_cut_short), ("gone/caps-count/server".into(), 2000, false));
    assert!(finding.count > 5 && matches!(finding.fields()[..], ["num_common_caps" | "num_channel_caps"]), "{finding}");
}

#[test]
fn server_that_hangs_is_a_finding() {
    let is_hung = Cell::new(false);
    let report = Hunt::new().run(|bytes: &[u8]| {
        is_hung.set(
            is_hung.get() || matches!(judge(bytes), Judgement::Refused { error: spice_link::Error::Size { .. }, .. }),
        );
        Ok(if is_hung.get() { Answered::default() } else { sound(bytes) })
    });
    let report = report.unwrap();
    assert_eq!(report.findings.iter().map(Finding::key).collect::<Vec<_>>(), ["hung/size/server"]);
}

#[test]
fn server_that_was_never_there_is_an_error() {
    let error = Hunt::new().run(|_: &[u8]| Err(io::ErrorKind::ConnectionRefused.into())).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
}

#[test]
fn regression_file_replays_without_the_generator() {
    let mut wrong = |bytes: &[u8]| {
        let is_version = matches!(judge(bytes), Judgement::Refused { error: spice_link::Error::Version { .. }, .. });
        Ok(if is_version { refusal(3).to_vec().into() } else { sound(bytes) })
    };
    let report = Hunt::new().run(&mut wrong).unwrap();
    let text = report.findings[0].to_regression();
    assert_eq!(replay(&text, &mut wrong).unwrap().map(|found| found.check), Some("version"));
    assert_eq!(replay(&text, &mut |bytes: &[u8]| Ok(sound(bytes))).unwrap(), None);
    for text in ["sent 00", "send 0", "send zz", "send é"] {
        assert_eq!(replay(text, &mut wrong).unwrap_err().kind(), io::ErrorKind::InvalidData, "{text}");
    }
}

#[test]
fn time_limit_ends_the_hunt() {
    let report = Hunt::new().cases(u64::MAX).time_limit(Duration::from_millis(50)).run(|bytes: &[u8]| Ok(sound(bytes)));
    assert!(report.unwrap().asked > 1);
}

#[test]
fn other_machines_are_left_alone() {
    let error = OverTcp::new(SocketAddr::from(([192, 0, 2, 1], 5900))).unwrap_err();
    assert_eq!(error.to_string(), "expected an address of this machine's loopback, found 192.0.2.1:5900");
}
