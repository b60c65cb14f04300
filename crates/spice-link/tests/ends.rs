//! Both ends of the link stage through their public API: hosts and users with the traits' default methods, each reason for which a
//! server closes, and a client's reaction to wrong answers of a server.

use spice_link::{
    AcceptStatus, AuthMechanism, CapsBuf, ChannelCaps, ChannelType, CloseReason, CommonCap, CommonCaps, ConnectStatus,
    Error, HeaderKind, Join, LinkAcceptor, LinkConnector, LinkErrorCode, LinkHost, LinkMess, LinkReply, LinkRequest,
    LinkUser, MainInit, RefusalForm, SaslAnswer, SaslVerdict,
};

/// Capability words of a client: selection, SASL, short headers.
const SELECTS: u32 = 1 | 8;

fn mess(channel: ChannelType, word: u32) -> Vec<u8> {
    let word = word.to_le_bytes();
    let mess = LinkMess {
        connection_id: 0,
        channel_type: channel,
        channel_id: 0,
        common_caps: CommonCaps::from_le_bytes(&word),
        channel_caps: ChannelCaps::EMPTY,
    };
    let mut out = vec![0; mess.encoded_len()];
    assert_eq!(mess.encode(&mut out), Ok(out.len()));
    out
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn field(bytes: &[u8]) -> Vec<u8> {
    [&words(&[u32::try_from(bytes.len()).unwrap_or(u32::MAX)]), bytes].concat()
}

/// A host with a main channel and one answer to every join. All other methods are the trait's defaults.
struct Plain(Join);

impl LinkHost for Plain {
    fn channel(&mut self, channel: ChannelType, _: u8) -> Option<ChannelCaps<'_>> {
        (channel == ChannelType::MAIN).then_some(ChannelCaps::EMPTY)
    }

    fn pub_key(&mut self) -> [u8; LinkReply::PUB_KEY_LEN] {
        [0x30; LinkReply::PUB_KEY_LEN]
    }

    fn ticket(&mut self, ticket: &[u8; 128]) -> bool {
        ticket[0] == 1
    }

    fn join(&mut self, _: &LinkRequest) -> Join {
        self.0
    }
}

/// A host with SASL, whose mechanism gives one answer, and a policy for each of two channels.
struct Sasl(SaslAnswer);

impl LinkHost for Sasl {
    fn security(&mut self, channel: ChannelType) -> Result<(), LinkErrorCode> {
        if channel == ChannelType::RECORD { Err(LinkErrorCode::NEED_SECURED) } else { Ok(()) }
    }

    fn channel(&mut self, _: ChannelType, _: u8) -> Option<ChannelCaps<'_>> {
        Some(ChannelCaps::EMPTY)
    }

    fn sasl(&mut self) -> bool {
        true
    }

    fn pub_key(&mut self) -> [u8; LinkReply::PUB_KEY_LEN] {
        [0x30; LinkReply::PUB_KEY_LEN]
    }

    fn ticket(&mut self, _: &[u8; 128]) -> bool {
        false
    }

    fn mechanisms(&mut self) -> Option<&[u8]> {
        Some(b",DIGEST-MD5,")
    }

    fn sasl_start(&mut self, _: &[u8], _: Option<&[u8]>, _: &mut [u8]) -> SaslAnswer {
        self.0
    }

    fn join(&mut self, _: &LinkRequest) -> Join {
        Join::Member
    }
}

/// A host that only names mechanisms. The exchange is the trait's default.
struct NoMechanism;

impl LinkHost for NoMechanism {
    fn channel(&mut self, _: ChannelType, _: u8) -> Option<ChannelCaps<'_>> {
        Some(ChannelCaps::EMPTY)
    }

    fn pub_key(&mut self) -> [u8; LinkReply::PUB_KEY_LEN] {
        [0x30; LinkReply::PUB_KEY_LEN]
    }

    fn ticket(&mut self, _: &[u8; 128]) -> bool {
        false
    }

    fn mechanisms(&mut self) -> Option<&[u8]> {
        Some(b"PLAIN")
    }

    fn join(&mut self, _: &LinkRequest) -> Join {
        Join::Member
    }
}

/// Everything that a server answers to these bytes, and its last status. It never gets more room than it asks for.
fn serve(host: &mut impl LinkHost, input: &[u8]) -> (Vec<u8>, AcceptStatus) {
    let (mut link, mut at, mut said, mut room) = (LinkAcceptor::default(), 0, Vec::new(), 0);
    loop {
        let mut out = vec![0; room];
        let turn = link.read(host, &input[at..], &mut out);
        at += turn.consumed;
        said.extend(&out[..turn.written]);
        match turn.outcome {
            AcceptStatus::Room(n) => {
                assert!(n > room || turn.written > 0, "asks for {n} bytes of room, and has {room}");
                room = room.max(n);
            }
            outcome => return (said, outcome),
        }
    }
}

#[test]
fn default_host_accepts_tickets() {
    let input = [mess(ChannelType::MAIN, SELECTS), words(&[1]), vec![1; 128]].concat();
    let (said, outcome) = serve(
        &mut Plain(Join::Session(MainInit {
            session_id: 7,
            display_channels_hint: 1,
            supported_mouse_modes: 3,
            current_mouse_mode: 1,
            agent_tokens: 10,
            ..MainInit::default()
        })),
        &input,
    );
    let AcceptStatus::Linked(linked) = outcome else { panic!("{outcome:?}") };
    assert_eq!((linked.session_id, linked.header), (Some(7), HeaderKind::Mini));
    // The reply with one common word, the result, MAIN_INIT behind a short header.
    assert_eq!(said.len(), 16 + 178 + 4 + 4 + 6 + 32);
    assert_eq!(said[198..202], [0; 4]);
    assert_eq!(said[202..212], [103, 0, 32, 0, 0, 0, 7, 0, 0, 0]);
}

#[test]
fn default_sasl_exchange_is_refused_without_a_message() {
    let start = [mess(ChannelType::MAIN, SELECTS), words(&[2]), field(b"PLAIN"), field(b"")].concat();
    let (said, outcome) = serve(&mut NoMechanism, &start);
    assert_eq!(outcome, AcceptStatus::Close(CloseReason::SaslFailed));
    assert!(said.ends_with(&field(b"PLAIN")), "the list is the last word");
    assert_eq!(NoMechanism.sasl_step(None, &mut []), SaslAnswer::REFUSED);
}

/// Each reason for which a server closes: the check's number, and how many bytes the client receives.
#[test]
fn each_refusal_has_its_check_and_its_answer() {
    const REPLY: usize = 16 + 178 + 4;
    const FRAME: usize = 16 + 178;
    let header = |major: u32, size: u32| [b"REDQ".to_vec(), words(&[major, 2, size])].concat();
    let lists = |common: u32, channel: u32, offset: u32| {
        [header(2, 18), words(&[0]), vec![1, 0], words(&[common, channel, offset])].concat()
    };
    let main = |word| mess(ChannelType::MAIN, word);
    let member = || Plain(Join::Member);
    let rows: &[(&str, Vec<u8>, Join, u8, usize)] = &[
        ("magic", b"GET ".to_vec(), Join::Member, 2, FRAME),
        ("version", header(3, 18), Join::Member, 3, FRAME),
        ("version 0", header(0, 18), Join::Member, 3, 0),
        ("size", header(2, 17), Join::Member, 4, FRAME),
        ("counts", lists(1025, 0, 18), Join::Member, 5, FRAME),
        ("range", lists(1, 0, 18), Join::Member, 6, FRAME),
        ("channel", mess(ChannelType::DISPLAY, 9), Join::Member, 8, 0),
        ("mechanism", [main(9), words(&[3])].concat(), Join::Member, 11, REPLY + FRAME),
        ("no sasl", [main(9), words(&[2])].concat(), Join::Member, 11, REPLY + FRAME),
        ("ticket", [main(8), vec![0; 128]].concat(), Join::Member, 12, REPLY + 4),
        ("session", [main(8), vec![1; 128]].concat(), Join::Refused(LinkErrorCode::BAD_CONNECTION_ID), 13, REPLY + 4),
        ("there already", [main(8), vec![1; 128]].concat(), Join::Duplicate, 14, REPLY + 4),
    ];
    for (name, input, join, check, heard) in rows {
        let (said, outcome) = serve(&mut Plain(*join), input);
        let AcceptStatus::Close(why) = outcome else { panic!("{name}: {outcome:?}") };
        assert_eq!((why.check(), said.len()), (*check, *heard), "{name}");
    }
    assert_eq!(serve(&mut member(), &main(9)[..20]).1, AcceptStatus::Need(38), "half a message is no refusal");

    let weak = SaslAnswer { data: Some(0), verdict: SaslVerdict::Weak };
    let list = 4 + b",DIGEST-MD5,".len();
    let begin = [main(0xd), words(&[2])].concat();
    let name = field(b"DIGEST-MD5");
    let long = words(&[(1 << 20) + 1]);
    let rows: &[(&str, Vec<u8>, u8, usize)] = &[
        ("policy", mess(ChannelType::RECORD, 9), 7, FRAME),
        ("selection", main(8), 10, REPLY + FRAME),
        ("ticket at a sasl server", [main(9), words(&[1])].concat(), 11, REPLY + FRAME),
        ("empty name", [&begin[..], &words(&[0])].concat(), 12, REPLY + list),
        ("long name", [&begin[..], &words(&[101])].concat(), 12, REPLY + list),
        ("other name", [&begin[..], &field(b"PLAIN")].concat(), 12, REPLY + list + FRAME),
        ("two names", [&begin[..], &field(b"DIGEST-MD5,")].concat(), 12, REPLY + list + FRAME),
        ("long data", [&begin[..], &name, &long].concat(), 12, REPLY + list + FRAME),
        ("weak", [&begin[..], &name, &field(b"")].concat(), 12, REPLY + list + 6 + 30),
    ];
    for (name, input, check, heard) in rows {
        let (said, outcome) = serve(&mut Sasl(weak), input);
        let AcceptStatus::Close(why) = outcome else { panic!("{name}: {outcome:?}") };
        assert_eq!((why.check(), said.len()), (*check, *heard), "{name}");
    }
}

#[test]
fn sasl_exchange_completes_without_last_data() {
    let input = [mess(ChannelType::MAIN, 0xd), words(&[2]), field(b"DIGEST-MD5"), field(b"x\0")].concat();
    let (said, outcome) = serve(&mut Sasl(SaslAnswer { data: None, verdict: SaslVerdict::Complete }), &input);
    assert!(matches!(outcome, AcceptStatus::Linked(_)), "{outcome:?}");
    // No data, complete; accepted; result.
    assert!(said.ends_with(&[0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]));
}

/// A user with a password. All other methods are the trait's defaults.
struct Password;

impl LinkUser for Password {
    fn ticket(&mut self, _: &[u8; LinkReply::PUB_KEY_LEN], ticket: &mut [u8; 128]) -> bool {
        ticket.fill(1);
        true
    }
}

/// A user of one SASL mechanism that echoes challenges and decrypts frames to a given length.
#[derive(Clone, Copy)]
struct Mechanism {
    layer: bool,
    opens: Option<usize>,
    last_word: bool,
}

impl LinkUser for Mechanism {
    fn mechanism(&mut self, _: &LinkReply<'_>) -> AuthMechanism {
        AuthMechanism::SASL
    }

    fn ticket(&mut self, _: &[u8; LinkReply::PUB_KEY_LEN], _: &mut [u8; 128]) -> bool {
        false
    }

    fn sasl_name(&mut self, _: &[u8], name: &mut [u8; 100]) -> Option<usize> {
        name[0] = b'X';
        Some(1)
    }

    fn sasl_data(&mut self, challenge: Option<&[u8]>, out: &mut [u8]) -> SaslAnswer {
        assert_eq!(out.len(), 1024);
        match challenge {
            None => SaslAnswer { data: None, verdict: SaslVerdict::Continue },
            Some(b"stop") => SaslAnswer::REFUSED,
            Some(challenge) => {
                out[..challenge.len()].copy_from_slice(challenge);
                SaslAnswer { data: Some(challenge.len()), verdict: SaslVerdict::Continue }
            }
        }
    }

    fn sasl_complete(&mut self, _: &[u8]) -> bool {
        self.last_word
    }

    fn security_layer(&self) -> bool {
        self.layer
    }

    fn unseal(&mut self, _: &[u8], _: &mut [u8]) -> Option<usize> {
        self.opens
    }
}

fn reply() -> Vec<u8> {
    let common = CapsBuf::<_, 1>::default().with(CommonCap::AUTH_SELECTION).with(CommonCap::MINI_HEADER);
    let reply = LinkReply {
        error: LinkErrorCode::OK,
        pub_key: &[0x30; LinkReply::PUB_KEY_LEN],
        common_caps: common.as_caps(),
        channel_caps: ChannelCaps::EMPTY,
    };
    let mut out = vec![0; reply.encoded_len()];
    assert_eq!(reply.encode(&mut out), Ok(out.len()));
    out
}

/// What a client sends, and its last status, if a server sends a reply and these bytes after it.
fn connect(user: &mut impl LinkUser, after_the_reply: &[u8]) -> (Vec<u8>, ConnectStatus) {
    let mut link = LinkConnector::default();
    let common = SELECTS.to_le_bytes();
    let mess = LinkMess {
        connection_id: 1,
        channel_type: ChannelType::INPUTS,
        channel_id: 0,
        common_caps: CommonCaps::from_le_bytes(&common),
        channel_caps: ChannelCaps::EMPTY,
    };
    let mut out = vec![0; LinkConnector::ROOM];
    assert!(link.start(&mess, &mut out).is_ok());
    let input = [reply(), after_the_reply.to_vec()].concat();
    let (mut at, mut said, mut room) = (0, Vec::new(), 0);
    loop {
        let mut out = vec![0; room];
        let turn = link.read(user, &input[at..], &mut out);
        at += turn.consumed;
        said.extend(&out[..turn.written]);
        match turn.outcome {
            ConnectStatus::Room(n) => {
                assert!(n > room || turn.written > 0, "asks for {n} bytes of room, and has {room}");
                room = room.max(n);
            }
            outcome => {
                assert_eq!(link.is_over(), !matches!(outcome, ConnectStatus::Need(_)));
                return (said, outcome);
            }
        }
    }
}

#[test]
fn default_user_sends_tickets() {
    let (said, outcome) = connect(&mut Password, &words(&[0]));
    assert_eq!(said, [words(&[1]), vec![1; 128]].concat());
    assert_eq!(outcome, ConnectStatus::Linked { header: HeaderKind::Mini, main_init: None });
    assert_eq!(connect(&mut Password, &[0, 0]).1, ConnectStatus::Need(4));
    let second = LinkReply::refusal(LinkErrorCode::VERSION_MISMATCH);
    let refused = ConnectStatus::Refused { code: LinkErrorCode::VERSION_MISMATCH, form: RefusalForm::SecondReply };
    assert_eq!(connect(&mut Password, &second).1, refused);
    let denied = ConnectStatus::Refused { code: LinkErrorCode::PERMISSION_DENIED, form: RefusalForm::Result };
    assert_eq!(connect(&mut Password, &words(&[7])).1, denied);

    let mut user = Password;
    assert_eq!(user.sasl_name(b"", &mut [0; 100]), None);
    assert_eq!(user.sasl_data(None, &mut []), SaslAnswer::REFUSED);
    assert!(user.sasl_complete(b"") && !user.security_layer());
    assert_eq!(user.unseal(b"", &mut []), None);
}

#[test]
fn client_that_was_not_started_gives_up() {
    let turn = LinkConnector::new().read(&mut Password, &reply(), &mut [0; 512]);
    assert_eq!((turn.consumed, turn.outcome), (0, ConnectStatus::GaveUp));
}

/// Words of a server in a SASL exchange, and the client's reaction.
#[test]
fn each_wrong_word_of_a_sasl_server_has_its_error() {
    let list = field(b",X,");
    let answer = |data: &[u8], flag: u8| [&list[..], &field(data), &[flag]].concat();
    let complete = |rest: &[u8]| [&answer(b"", 1)[..], rest].concat();
    let unreadable = ConnectStatus::Unreadable;
    let user = |layer, opens| Mechanism { layer, opens, last_word: true };
    let linked = ConnectStatus::Linked { header: HeaderKind::Mini, main_init: None };
    let refused = |code, form| ConnectStatus::Refused { code, form };
    let layer = |len: u32, bytes: usize| complete(&[words(&[0, len.swap_bytes()]), vec![0; bytes]].concat());
    let too_long = unreadable(Error::SaslLength { seen: 0x10_0001, max: 0x10_0000 });
    let rows: &[(&str, Mechanism, Vec<u8>, ConnectStatus)] = &[
        ("a list too long", user(false, None), words(&[0x10_0001]), too_long),
        ("half a list", user(false, None), words(&[9]), ConnectStatus::Need(13)),
        ("no flag", user(false, None), [&list[..], &field(b"")].concat(), ConnectStatus::Need(5)),
        ("another flag", user(false, None), answer(b"", 2), unreadable(Error::SaslFlag { seen: 2 })),
        ("a challenge", user(false, None), answer(b"a\0", 0), ConnectStatus::Need(4)),
        ("a challenge to stop at", user(false, None), answer(b"stop\0", 0), ConnectStatus::GaveUp),
        ("another verdict", user(false, None), complete(&words(&[2])), unreadable(Error::SaslFlag { seen: 2 })),
        ("weak", user(false, None), complete(&words(&[1])), refused(LinkErrorCode::ERROR, RefusalForm::Sasl)),
        ("accepted", user(false, None), complete(&words(&[0, 0])), linked),
        ("accepted, hidden", user(true, Some(4)), layer(20, 20), linked),
        ("half a frame", user(true, Some(4)), layer(20, 7), ConnectStatus::Need(24)),
        ("an empty frame", user(true, Some(4)), layer(0, 0), unreadable(Error::SaslLayer { seen: 0 })),
        ("a huge frame", user(true, Some(4)), layer(1025, 0), unreadable(Error::SaslLayer { seen: 1025 })),
        ("no result in it", user(true, Some(5)), layer(20, 20), unreadable(Error::SaslLayer { seen: 20 })),
        ("a frame that is not the server's", user(true, None), layer(20, 20), ConnectStatus::GaveUp),
        (
            "a server that can't prove itself",
            Mechanism { layer: false, opens: None, last_word: false },
            complete(&[]),
            ConnectStatus::GaveUp,
        ),
    ];
    for (name, user, bytes, expected) in rows {
        assert_eq!(connect(&mut user.clone(), bytes).1, *expected, "{name}");
    }
}
