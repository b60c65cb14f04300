//! Texts of errors, and edge cases of the small types.

use spice_link::{
    Answer, AuthMechanism, BufferTooSmall, CapsBuf, ChannelCaps, ChannelType, CloseReason, CommonCap, CommonCaps,
    Error, Evidence, HeaderKind, LinkErrorCode, LinkEvent, LinkMess, LinkReply, LinkRequest, MainCap, Parsed,
    RefusalForm, Side, Upgrade,
    websocket::{Deframer, Opcode},
};

/// Every error: its text, and how spice-server answers a client.
#[test]
fn errors_name_the_expected_value_and_the_answer() {
    let frame = |code| Some(Answer::Frame(code));
    let invalid = frame(LinkErrorCode::INVALID_DATA);
    let rows: &[(Error, &str, Option<Answer>)] = &[
        (
            Error::Magic { seen: *b"GE\0\n" },
            r#"expected the magic "REDQ", found "GE\x00\n""#,
            frame(LinkErrorCode::INVALID_MAGIC),
        ),
        (Error::Version { major: 1 }, "expected major version 2, found 1", frame(LinkErrorCode::VERSION_MISMATCH)),
        (Error::Version { major: 0 }, "expected major version 2, found 0", Some(Answer::SilentClose)),
        (Error::Size { seen: 17, min: 18, max: 4096 }, "expected a message of 18 to 4096 bytes, found 17", invalid),
        (
            Error::CapsCount { common: 1025, channel: 0 },
            "expected capability lists of at most 1024 words, found 1025 and 0",
            invalid,
        ),
        (
            Error::CapsRange { offset: 17, words: 1, size: 22 },
            "expected 1 capability words inside a message of 22 bytes, found them at offset 17",
            invalid,
        ),
        (
            Error::SaslLength { seen: 101, max: 100 },
            "expected a sasl length of at most 100, found 101",
            Some(Answer::SilentClose),
        ),
        (
            Error::SaslLength { seen: 1_048_577, max: 1_048_576 },
            "expected a sasl length of at most 1048576, found 1048577",
            invalid,
        ),
        (Error::SaslNameEmpty, "expected the name of a sasl mechanism, found an empty name", Some(Answer::SilentClose)),
        (Error::SaslFlag { seen: 2 }, "expected 0 or 1 after a sasl answer, found 2", None),
        (
            Error::SaslLayer { seen: 1 << 31 },
            "expected a frame of the sasl security layer, found a length of 2147483648 bytes",
            None,
        ),
        (
            Error::NotMainInit { message_type: 4, size: 12 },
            "expected main_init (type 103, 32 bytes), found type 4, 12 bytes",
            None,
        ),
    ];
    for (error, text, answer) in rows {
        assert_eq!((&*error.to_string(), error.answer()), (*text, *answer));
    }
}

#[test]
fn events_read_as_sentences() {
    let request = LinkRequest { connection_id: 7, channel_type: ChannelType::INPUTS, channel_id: 1 };
    let mess = LinkMess {
        connection_id: 7,
        channel_type: ChannelType::INPUTS,
        channel_id: 1,
        common_caps: CommonCaps::EMPTY,
        channel_caps: ChannelCaps::EMPTY,
    };
    let reply = LinkReply {
        error: LinkErrorCode::OK,
        pub_key: &[0; LinkReply::PUB_KEY_LEN],
        common_caps: CommonCaps::EMPTY,
        channel_caps: ChannelCaps::EMPTY,
    };
    let refused = |form| LinkEvent::Refused { code: LinkErrorCode::PERMISSION_DENIED, form };
    let rows: &[(LinkEvent<'_>, &str)] = &[
        (LinkEvent::Mess(mess), "the client asks for channel inputs 1 of session 7"),
        (LinkEvent::CutMess(request), "the client asks for channel inputs 1 of session 7"),
        (LinkEvent::Reply(reply), "the server accepts the request"),
        (LinkEvent::CutReply, "the server accepts the request"),
        (LinkEvent::Mechanism(AuthMechanism::SASL), "the client selects the auth mechanism sasl"),
        (LinkEvent::SaslMechanism(b"PL\x1bAIN"), "the client chooses the sasl mechanism PL\\x1bAIN"),
        (LinkEvent::HiddenResult, "the link result is inside a sasl security layer"),
        (refused(RefusalForm::Reply), "the server refuses the link in the reply: permission denied"),
        (refused(RefusalForm::SecondReply), "the server refuses the link in a second reply: permission denied"),
        (refused(RefusalForm::Result), "the server refuses the link in the link result: permission denied"),
        (
            refused(RefusalForm::Sasl),
            "the server refuses the link in the last word of the sasl exchange: permission denied",
        ),
        (
            LinkEvent::Linked { header: HeaderKind::Mini, evidence: Evidence::Result },
            "linked, with mini data headers, by the link result",
        ),
        (
            LinkEvent::Linked { header: HeaderKind::Full, evidence: Evidence::Continued },
            "linked, with full data headers, inferred from what followed",
        ),
        (LinkEvent::SessionId(7), "the session's id is 7"),
        (
            LinkEvent::Unreadable { side: Side::Client, error: Error::Version { major: 1 } },
            "client: expected major version 2, found 1",
        ),
    ];
    for (event, text) in rows {
        assert_eq!(event.to_string(), *text);
    }
}

#[test]
fn reasons_to_close_read_as_sentences() {
    let rows: &[(CloseReason, &str)] = &[
        (CloseReason::Unreadable(Error::Version { major: 1 }), "expected major version 2, found 1"),
        (
            CloseReason::Security(LinkErrorCode::NEED_SECURED),
            "the channel's TLS policy rejects this connection: need secured",
        ),
        (CloseReason::NoChannel { channel_type: ChannelType::RECORD, channel_id: 2 }, "there is no channel record 2"),
        (CloseReason::NoSelection, "the server requires sasl, and the client can't select it"),
        (CloseReason::Mechanism(AuthMechanism(3)), "the server does not have the auth mechanism 3"),
        (CloseReason::Ticket, "the ticket is not valid"),
        (CloseReason::SaslField, "a sasl length is out of bounds, or the mechanism was not offered"),
        (CloseReason::SaslFailed, "the sasl exchange failed"),
        (CloseReason::SaslWeak, "the security layer of the sasl exchange is too weak"),
        (CloseReason::Join(LinkErrorCode::BAD_CONNECTION_ID), "the server refused the request: bad connection id"),
        (CloseReason::Duplicate, "the session already has this channel"),
    ];
    for (reason, text) in rows {
        assert_eq!(reason.to_string(), *text);
    }
}

#[test]
fn sides_are_read_by_their_names() {
    assert_eq!(("client".parse(), "server".parse()), (Ok(Side::Client), Ok(Side::Server)));
    assert_eq!("Client".parse::<Side>().unwrap_err().to_string(), "expected client or server");
    assert_eq!(format!("{:>8}", Side::Server), "  server");
}

#[test]
fn capabilities_are_shown_by_name_or_number() {
    let caps = CapsBuf::<_, 1>::new().with(MainCap::NAME_AND_UUID).with(MainCap(31));
    let shown: Vec<_> = caps.as_caps().named(ChannelType::MAIN).map(|cap| format!("{cap:>13}")).collect();
    assert_eq!(shown, ["NAME_AND_UUID", "           31"]);
    let common = CapsBuf::<_, 1>::new().with(CommonCap::AUTH_SASL).with(CommonCap::MINI_HEADER);
    assert_eq!(common.as_caps().iter().collect::<Vec<_>>(), [CommonCap::AUTH_SASL, CommonCap::MINI_HEADER]);
    assert_eq!(ChannelCaps::default(), ChannelCaps::EMPTY);
}

#[test]
fn buffer_that_is_too_small_stays_unchanged() {
    let word = 9u32.to_le_bytes();
    let mess = LinkMess {
        connection_id: 0,
        channel_type: ChannelType::MAIN,
        channel_id: 0,
        common_caps: CommonCaps::from_le_bytes(&word),
        channel_caps: ChannelCaps::EMPTY,
    };
    let mut out = [0xaa; 37];
    assert_eq!(mess.encode(&mut out), Err(BufferTooSmall { need: 38 }));
    assert_eq!(out, [0xaa; 37]);
    assert_eq!(BufferTooSmall { need: 38 }.to_string(), "the buffer is too small: 38 bytes are needed");
    let reply = LinkReply {
        error: LinkErrorCode::OK,
        pub_key: &[0; LinkReply::PUB_KEY_LEN],
        common_caps: mess.common_caps,
        channel_caps: ChannelCaps::EMPTY,
    };
    assert_eq!(reply.encode(&mut out), Err(BufferTooSmall { need: reply.encoded_len() }));
}

#[test]
fn map_keeps_the_length_and_the_need() {
    assert_eq!(Parsed::Complete(2, 7).map(|n| n + 1), Parsed::Complete(3, 7));
    assert_eq!(Parsed::<u8>::Need(7).map(u32::from), Parsed::Need(7));
    assert_eq!((Parsed::Complete(2, 7).complete(), Parsed::<u8>::Need(7).complete()), (Some(2), None));
}

#[test]
fn capabilities_beyond_the_words_are_not_set() {
    let caps = CapsBuf::<_, 2>::default().with(MainCap(0)).with(MainCap(33));
    assert_eq!(caps.as_caps().bits().collect::<Vec<_>>(), [0, 33]);
    assert!(!caps.as_caps().contains(MainCap(u32::MAX)) && caps.as_caps().word(usize::MAX) == 0);
    for channel in ChannelType::ALL {
        let numbers: Vec<_> = channel.capabilities().map(|cap| cap.bit).collect();
        assert!(numbers.is_sorted(), "{channel}");
    }
    assert_eq!([Side::Client.peer(), Side::Server.peer()].map(Side::name), ["server", "client"]);
}

/// The example of RFC 6455, section 1.3.
const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

#[test]
fn upgrade_response_equals_spice_servers() {
    let request = format!("GET / HTTP/1.1\r\nHost: x\r\n{KEY}Sec-WebSocket-Protocol: binary\r\n\r\n");
    let upgrade = Upgrade::parse(request.as_bytes()).unwrap();
    let mut out = [0; Upgrade::ROOM];
    let len = upgrade.respond(&mut out).unwrap();
    assert_eq!(
        str::from_utf8(&out[..len]),
        Ok("HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: binary\r\n\r\n")
    );
    assert_eq!(upgrade.respond(&mut out[..len - 1]), Err(BufferTooSmall { need: len }));

    let plain = format!("GET / HTTP/1.1\r\n{KEY}\r\n");
    let len = Upgrade::parse(plain.as_bytes()).unwrap().respond(&mut out).unwrap();
    assert!(
        !String::from_utf8_lossy(&out[..len]).contains("Sec-WebSocket-Protocol"),
        "the request does not ask for a protocol"
    );
}

#[test]
fn invalid_upgrade_requests_are_rejected() {
    let rows = [
        format!("GET / HTTP/1.1\r\n{KEY}"),
        format!("POST / HTTP/1.1\r\n{KEY}\r\n"),
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
        format!("GET / HTTP/1.1\r\n{KEY}Sec-WebSocket-Protocol: base64\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nX: {}\r\n{KEY}\r\n", "y".repeat(4096)),
    ];
    for request in rows {
        assert!(Upgrade::parse(request.as_bytes()).is_none(), "{request}");
    }
}

#[test]
fn deframer_counts_the_missing_bytes_of_a_frame() {
    let mut deframer = Deframer::new();
    let mut out = Vec::new();
    deframer.read(b"\x82\x05REDQ", |run| out.extend(run));
    assert_eq!((&out[..], deframer.left()), (&b"REDQ"[..], 1));
}

#[test]
fn kinds_of_frames_have_names() {
    let names: Vec<_> = Opcode::ALL.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["continuation", "text", "binary", "close", "ping", "pong"]);
}

#[cfg(feature = "ticket")]
#[test]
fn password_is_a_user_that_a_server_accepts_and_debug_hides_it() {
    use spice_link::{
        LinkUser,
        ticket::{Password, TicketKey},
    };

    let (key, mut ticket) = (TicketKey::generate().unwrap(), [0; 128]);
    let mut user = Password::new("sekrit");
    assert!(user.ticket(key.public(), &mut ticket));
    assert!(key.matches(&ticket, b"sekrit") && !key.matches(&ticket, b"sekrit2"));
    assert!(!user.ticket(&[0; LinkReply::PUB_KEY_LEN], &mut ticket), "the server's key is not valid");
    assert_eq!(format!("{user:?}"), "Password { .. }");
}

#[cfg(feature = "ticket")]
#[test]
fn ticket_errors_have_texts() {
    use spice_link::ticket::{TicketError, seal_bytes};

    let key = [0; LinkReply::PUB_KEY_LEN];
    assert_eq!(seal_bytes(&key, b"x").unwrap_err().to_string(), "expected an rsa key of 1024 bits in the link reply");
    let real = spice_link::ticket::TicketKey::generate().unwrap();
    let error = seal_bytes(real.public(), &[1; 200]).unwrap_err();
    assert_eq!((error, &*error.to_string()), (TicketError::TooLong, "expected a password of at most 85 bytes"));
    assert_eq!(TicketError::Random.to_string(), "no rsa key could be made");
}
