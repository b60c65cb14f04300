//! The two ends of spice-link against each other, against the checks' order, and against what an observer between them sees.

use arbitrary::{Result, Unstructured};
use spice_link::{
    AcceptStatus, AcceptTurn, Answer, Caps, ChannelType, CloseReason, ConnectStatus, HeaderKind, LinkAcceptor,
    LinkConnector, LinkMess, Side,
};

use crate::{
    generate::{Arbitrary, Mess, SaslExchange, rarely},
    link_events::{CheckedObserver, OwnedLinkEvent},
    model::{ModelHost, ModelUser},
};
use spice_conformance::{Judgement, judge};

/// Room as the documentation of both ends says that it is enough: spice-server's lists, SASL data of up to 512 bytes.
const ROOM: usize = 8192;

/// A link stage between the two ends: who they are, what is asked, and in which cuts the bytes pass.
#[derive(Clone, Debug)]
struct Play {
    server: ModelHost,
    user: ModelUser,
    mess: Mess,
    cuts: Vec<u8>,
}

fn draw(u: &mut Unstructured<'_>) -> Result<Play> {
    let mut server = ModelHost::new(&[(3, 0, 1), (2, 0, 0x1052), (6, 1, 0)]);
    let exchange = SaslExchange { bent: None, ..SaslExchange::arbitrary(u)? };
    let mut user = ModelUser::new(if rarely(u, 4)? { 2 } else { 1 }, None);
    if rarely(u, 3)? {
        server.sasl = Some(exchange.clone());
    }
    if rarely(u, 2)? {
        user.sasl = Some(exchange);
    }
    if rarely(u, 8)? {
        user.mechanism = Some(u.int_in_range(0..=4)?);
    }
    if rarely(u, 8)? {
        server.secured.push(*u.choose(&[1, 3, 6])?);
    }
    if rarely(u, 2)? {
        server.session = Some((7, vec![(2, 0)]));
    }
    let mut mess = Mess { gap: Vec::new(), tail: Vec::new(), caps_offset: None, minor: 2, ..Mess::valid(u)? };
    if rarely(u, 2)? {
        mess.connection_id = 7;
        (mess.channel_type, mess.channel_id) = *u.choose(&[(3, 0), (2, 0), (6, 1), (6, 0)])?;
    }
    let cuts = (0..u.int_in_range(0..=24)?).map(|_| u.arbitrary()).collect::<Result<_>>()?;
    Ok(Play { server, user, mess, cuts })
}

/// How a link stage between the two ends went.
#[derive(Debug)]
struct Story {
    server: AcceptStatus,
    client: ConnectStatus,
    sent: [Vec<u8>; 2],
    watcher: CheckedObserver,
}

/// Lets the bytes pass in these cuts until both ends have come to rest.
fn run(play: &Play) -> Story {
    let Play { mut server, mut user, mess, cuts } = play.clone();
    let (mut acceptor, mut connector, mut watcher) =
        (LinkAcceptor::new(), LinkConnector::new(), CheckedObserver::new());
    let mut out = [0; ROOM];
    let (common, channel) = (le_bytes(&mess.common), le_bytes(&mess.channel));
    let opening = LinkMess {
        connection_id: mess.connection_id,
        channel_type: ChannelType(mess.channel_type),
        channel_id: mess.channel_id,
        common_caps: Caps::from_le_bytes(&common),
        channel_caps: Caps::from_le_bytes(&channel),
    };
    let len = connector.start(&opening, &mut out).unwrap_or_else(|error| panic!("{opening:?}: {error}"));
    assert_eq!(out[..len], mess.bytes(), "two encoders, two messages");
    // What is on its way to each end: the server, the client; and what was ever sent to it.
    let mut way = [out[..len].to_vec(), Vec::new()];
    let mut sent = way.clone();
    let mut unread = [Vec::new(), Vec::new()];
    let (mut outcomes, mut cuts) = ((AcceptStatus::Need(4), ConnectStatus::Need(16)), cuts.iter().cycle());
    for _ in 0..20_000 {
        let mut idle = true;
        for (end, from) in [(0, Side::Client), (1, Side::Server)] {
            let cut = cuts.next().map_or(usize::MAX, |cut| usize::from(*cut).max(1)).min(way[end].len());
            let chunk: Vec<u8> = way[end].drain(..cut).collect();
            idle &= chunk.is_empty();
            watcher.bytes(from, &chunk);
            unread[end].extend(chunk);
            let (consumed, written) = if end == 0 {
                let turn = acceptor.read(&mut server, &unread[0], &mut out);
                outcomes.0 = turn.outcome;
                (turn.consumed, turn.written)
            } else {
                let turn = connector.read(&mut user, &unread[1], &mut out);
                outcomes.1 = turn.outcome;
                (turn.consumed, turn.written)
            };
            assert!(consumed <= unread[end].len() && written <= out.len());
            unread[end].drain(..consumed);
            way[1 - end].extend(&out[..written]);
            sent[1 - end].extend(&out[..written]);
            idle &= consumed == 0 && written == 0;
        }
        if idle && way.iter().all(Vec::is_empty) {
            break;
        }
    }
    Story { server: outcomes.0, client: outcomes.1, sent, watcher }
}

/// Whether the client is to be let in, told from who both ends are and what is asked.
fn belongs(play: &Play) -> bool {
    let Play { server, user, mess, .. } = play;
    let asked = (mess.channel_type, mess.channel_id);
    let is_main = mess.channel_type == 1;
    let is_there = is_main || server.channels.iter().any(|(kind, id, _)| (*kind, *id) == asked);
    let in_plain = !server.secured.contains(&mess.channel_type);
    let usual = if server.sasl.is_some() && user.sasl.is_some() { 2 } else { 1 };
    // Without the capability to select a mechanism the client sends a ticket.
    let mechanism = if common(mess) & 1 == 0 { 1 } else { user.mechanism.unwrap_or(usual) };
    let is_known = match (mechanism, &server.sasl, &user.sasl) {
        (1, None, _) => user.ticket == 1,
        (2, Some(theirs), Some(ours)) => {
            ours.verdict == 0 && theirs.list.split(|byte| *byte == b',').any(|name| name == ours.name)
        }
        _ => false,
    };
    let joins = is_main || server.session.as_ref().is_some_and(|(id, _)| *id == mess.connection_id);
    in_plain && is_there && is_known && joins
}

fn common(mess: &Mess) -> u32 {
    mess.common.first().copied().unwrap_or(0)
}

/// Choices of a server, a client and the cuts between them: both ends agree on how it went, in any cut, and let in is who belongs.
pub fn acceptor_vs_connector(choices: &[u8]) {
    let Ok(play) = draw(&mut Unstructured::new(choices)) else { return };
    let story = run(&play);
    let whole = run(&Play { cuts: Vec::new(), ..play.clone() });
    assert_eq!((story.server, story.client, &story.sent), (whole.server, whole.client, &whole.sent), "{play:?}");
    let is_in = matches!(story.server, AcceptStatus::Linked(_) | AcceptStatus::Close(CloseReason::Duplicate));
    assert_eq!(is_in, belongs(&play), "{:?}: {play:?}", story.server);
    match (story.server, story.client) {
        (AcceptStatus::Linked(link), ConnectStatus::Linked { header, main_init }) => {
            let session_id = main_init.map(|init| init.session_id);
            assert_eq!(link.header, header);
            assert_eq!(header, if common(&play.mess) & 8 == 0 { HeaderKind::Full } else { HeaderKind::Mini });
            let is_fresh = play.mess.channel_type == 1 && play.mess.connection_id == 0;
            assert_eq!(link.session_id, is_fresh.then_some(play.server.next_id));
            let hidden = play.server.sasl.as_ref().is_some_and(|exchange| exchange.layer);
            assert!(session_id == link.session_id || hidden, "{session_id:?} {link:?}");
        }
        // A client that is let in and put out at once has seen no refusal.
        (AcceptStatus::Close(CloseReason::Duplicate), ConnectStatus::Linked { .. }) => {}
        (AcceptStatus::Close(why), ConnectStatus::Refused { code, .. }) => {
            assert_eq!(refusal(why), Some(code), "{play:?}");
        }
        (AcceptStatus::Close(why), ConnectStatus::Need(_)) => assert!(silent(why), "{why:?}: {play:?}"),
        // The client has no SASL, or its exchange has another number of steps.
        (AcceptStatus::Need(_), ConnectStatus::GaveUp) => {
            assert!(play.user.sasl.is_none() || play.user.mechanism.is_some());
        }
        other => panic!("{other:?}: {play:?}"),
    }
}

/// The same, and an observer between them: it says what both ends know, and no more.
pub fn observer_vs_endpoints(choices: &[u8]) {
    let Ok(play) = draw(&mut Unstructured::new(choices)) else { return };
    let story = run(&play);
    let events: Vec<_> = story.watcher.seen().events.iter().map(|(_, event)| event.clone()).collect();
    let linked = events.iter().find_map(|event| match event {
        OwnedLinkEvent::Linked { header, .. } => Some(*header),
        _ => None,
    });
    let session =
        events.iter().find_map(|event| if let OwnedLinkEvent::SessionId(id) = event { Some(*id) } else { None });
    let hidden = events.contains(&OwnedLinkEvent::HiddenResult);
    match story.server {
        AcceptStatus::Linked(link) => {
            // In a security layer success shows in what follows: MAIN_INIT here, else nothing yet.
            assert!(linked == Some(link.header) || hidden && link.session_id.is_none(), "{events:?} {link:?}");
            assert!(session == link.session_id || hidden, "{events:?} {link:?}");
            let request = link.request;
            assert!(events.iter().any(|event| matches!(event, OwnedLinkEvent::Mess { connection_id, channel_type, channel_id, .. }
                if (*connection_id, *channel_type, *channel_id) == (request.connection_id, request.channel_type.0, request.channel_id))));
            let mess = &play.mess;
            assert_eq!(
                (request.connection_id, request.channel_type.0, request.channel_id),
                (mess.connection_id, mess.channel_type, mess.channel_id)
            );
        }
        AcceptStatus::Close(CloseReason::Duplicate) => assert!(linked.is_some() || hidden),
        AcceptStatus::Close(why) => {
            assert_eq!((linked, session), (None, None), "{why:?}: {events:?}");
            let refused = events.iter().find_map(|event| match event {
                OwnedLinkEvent::Refused { code, .. } => Some(*code),
                _ => None,
            });
            assert!(refused == refusal(why) || hidden, "{why:?}: {events:?}");
        }
        AcceptStatus::Need(_) | AcceptStatus::Room(_) => assert_eq!((linked, session), (None, None)),
    }
    assert!(!events.iter().any(|event| matches!(event, OwnedLinkEvent::Unreadable { .. })), "{events:?} of {play:?}");
}

/// Choices of a message, bent or not, and of bytes behind it: the acceptor's first answer is [`judge`]'s, and any cut of the
/// bytes gets the same answers.
pub fn acceptor(choices: &[u8]) {
    let mut u = Unstructured::new(choices);
    let Ok((mess, more)) =
        Mess::arbitrary(&mut u).and_then(|mess| Ok((mess, super::super::generate::few_bytes(&mut u, 300)?)))
    else {
        return;
    };
    let input = [mess.bytes(), more].concat();
    let serve = |size: usize| {
        let mut server = ModelHost::new(&[(3, 0, 1), (2, 0, 0)]);
        server.mechanisms = Some(b",DIGEST-MD5,".to_vec());
        let (mut link, mut out) = (LinkAcceptor::new(), [0; ROOM]);
        let (mut unread, mut said) = (Vec::<u8>::new(), Vec::<u8>::new());
        let mut last = AcceptStatus::Need(4);
        for chunk in input.chunks(size) {
            unread.extend(chunk);
            let AcceptTurn { consumed, written, outcome, .. } = link.read(&mut server, &unread, &mut out);
            unread.drain(..consumed);
            said.extend(&out[..written]);
            last = outcome;
            if link.is_over() {
                break;
            }
            assert!(matches!(last, AcceptStatus::Need(n) if n > unread.len()), "{last:?} with {}", unread.len());
        }
        (said, last)
    };
    let whole = serve(usize::MAX);
    for size in [1, 5, 64] {
        assert_eq!(serve(size), whole, "in cuts of {size}: {mess:?}");
    }
    match judge(&input) {
        Judgement::Need => assert_eq!(whole.0, b"", "{mess:?}"),
        Judgement::Refused { answer: Some(Answer::Frame(code)), .. } => {
            assert_eq!(whole.0, crate::generate::Reply::refusal(code.0).bytes());
            assert!(matches!(whole.1, AcceptStatus::Close(CloseReason::Unreadable(_))), "{:?}", whole.1);
        }
        Judgement::Refused { .. } => assert_eq!(whole.0, b""),
        Judgement::Accepted { .. } => {
            let here = mess.channel_type == 1 || [(3, 0), (2, 0)].contains(&(mess.channel_type, mess.channel_id));
            assert_eq!(!whole.0.is_empty(), here, "{mess:?}: {:?}", whole.1);
        }
    }
}

/// A name for how these choices of [`acceptor_vs_connector`] end; for seeds.
pub fn outcome(choices: &[u8]) -> Option<String> {
    let story = run(&draw(&mut Unstructured::new(choices)).ok()?);
    Some(match story.server {
        AcceptStatus::Linked(link) => {
            format!("linked-{}", if link.session_id.is_some() { "session" } else { "channel" })
        }
        AcceptStatus::Close(why) => format!("closed-{}", name_of(why)),
        AcceptStatus::Need(_) | AcceptStatus::Room(_) => "given-up".to_owned(),
    })
}

/// A name for what [`acceptor`] answers to these choices; for seeds.
pub fn answer(choices: &[u8]) -> Option<String> {
    let mess = Mess::arbitrary(&mut Unstructured::new(choices)).ok()?;
    Some(match judge(&mess.bytes()) {
        Judgement::Need => "incomplete".to_owned(),
        Judgement::Accepted { .. } => "accepted".to_owned(),
        Judgement::Refused { error, .. } => format!("refused-{}", name_of(CloseReason::Unreadable(error))),
    })
}

fn name_of(why: CloseReason) -> String {
    let text = match why {
        CloseReason::Unreadable(error) => format!("{error:?}"),
        why => format!("{why:?}"),
    };
    text.split([' ', '(']).next().unwrap_or_default().to_ascii_lowercase()
}

/// The code that a client is told.
fn refusal(why: CloseReason) -> Option<spice_link::LinkErrorCode> {
    use spice_link::LinkErrorCode as Code;
    match why {
        CloseReason::Unreadable(error) => match error.answer() {
            Some(Answer::Frame(code)) => Some(code),
            _ => None,
        },
        CloseReason::Security(code) | CloseReason::Join(code) => Some(code),
        CloseReason::NoSelection => Some(Code::VERSION_MISMATCH),
        CloseReason::Mechanism(_) | CloseReason::SaslField => Some(Code::INVALID_DATA),
        CloseReason::Ticket => Some(Code::PERMISSION_DENIED),
        CloseReason::SaslWeak => Some(Code::ERROR),
        _ => None,
    }
}

fn silent(why: CloseReason) -> bool {
    refusal(why).is_none()
}

fn le_bytes(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}
