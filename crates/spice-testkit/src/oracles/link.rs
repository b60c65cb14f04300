//! The link stage's messages, held against a second reading of spice-server's checks that shares no code with spice-link.

use spice_link::{Answer, BufferTooSmall, Caps, Error, LinkErrorCode, LinkMess, LinkReply, MAX_CAPS_WORDS, Parsed};

/// What spice-server makes of a client's first bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are the message's")]
pub enum Verdict {
    /// It waits for more.
    Need,
    /// It refuses, and says so in this way.
    Refused { error: Error, answer: Option<Answer> },
    /// It goes on with this message, which took `len` bytes.
    Accepted { common: Vec<u32>, channel: Vec<u32>, len: usize },
}

/// Reads a client's first bytes as spice-server does: magic after four bytes, then version and size with sixteen, then counts
/// and range once all is there. All sums in 64 bits.
pub fn judge(input: &[u8]) -> Verdict {
    let refused = |error: Error, answer| Verdict::Refused { error, answer: Some(answer) };
    let frame = Answer::Frame;
    let word = |at: usize| input.get(at..at + 4).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    let [m0, m1, m2, m3, ..] = *input else { return Verdict::Need };
    if [m0, m1, m2, m3] != *b"REDQ" {
        return refused(Error::Magic { seen: [m0, m1, m2, m3] }, frame(LinkErrorCode(2)));
    }
    if input.len() < 16 {
        return Verdict::Need;
    }
    let (major, size) = (word(4), word(12));
    if major != 2 {
        let answer = if major == 0 { Answer::SilentClose } else { frame(LinkErrorCode(4)) };
        return refused(Error::Version { major }, answer);
    }
    if !(18..=4096).contains(&size) {
        return refused(Error::Size { seen: size, min: 18, max: 4096 }, frame(LinkErrorCode(3)));
    }
    let len = 16 + size as usize;
    if input.len() < len {
        return Verdict::Need;
    }
    let (common, channel, offset) = (word(22), word(26), word(30));
    if common > 1024 || channel > 1024 {
        return refused(Error::CapsCount { common, channel }, frame(LinkErrorCode(3)));
    }
    let words = common + channel;
    if words > 0 && (offset < 18 || u64::from(offset) + 4 * u64::from(words) > u64::from(size)) {
        return refused(Error::CapsRange { offset, words, size }, frame(LinkErrorCode(3)));
    }
    let list = |first: u32, count: u32| {
        (first..first + count).map(|index| word(16 + (offset as usize) + 4 * (index as usize))).collect()
    };
    Verdict::Accepted { common: list(0, common), channel: list(common, channel), len }
}

/// A client's first bytes: `LinkMess::parse` says what [`judge`] says, of them and of every prefix; what it accepts survives the
/// wire.
pub fn link_mess(input: &[u8]) {
    let whole = check_mess(input);
    // Every prefix up to the longest message; of longer ones a few.
    let step = (input.len() / 64).max(1);
    for cut in (0..input.len()).step_by(step) {
        if let Parsed::Need(n) = check_mess(&input[..cut]) {
            assert!(n <= LinkMess::MAX_LEN, "needs {n} bytes, more than the longest message");
        } else {
            assert_eq!(check_mess(&input[..cut]), whole, "what {cut} bytes decide stays decided");
        }
    }
}

fn check_mess(input: &[u8]) -> Parsed<Option<Error>> {
    let verdict = judge(input);
    match LinkMess::parse(input) {
        Ok(Parsed::Need(n)) => {
            assert_eq!(verdict, Verdict::Need, "{input:02x?}");
            assert!(n > input.len(), "needs {n} bytes and has {}", input.len());
            Parsed::Need(n)
        }
        Err(error) => {
            let Verdict::Refused { error: expected, answer } = verdict else { panic!("{error}, not {verdict:?}") };
            assert_eq!((error, error.answer()), (expected, answer), "{input:02x?}");
            Parsed::Complete(Some(error), 0)
        }
        Ok(Parsed::Complete(mess, consumed)) => {
            let Verdict::Accepted { common, channel, len } = verdict else { panic!("{mess:?}, not {verdict:?}") };
            assert_eq!(consumed, len);
            assert!(mess.common_caps.words().eq(common) && mess.channel_caps.words().eq(channel), "{mess:?}");
            round_trip(&mess);
            Parsed::Complete(None, consumed)
        }
    }
}

fn round_trip(mess: &LinkMess<'_>) {
    let mut out = [0xee; LinkMess::MAX_LEN];
    let len = mess.encode(&mut out).unwrap_or_else(|error| panic!("{mess:?}: {error}"));
    assert_eq!(len, mess.encoded_len());
    assert_eq!(LinkMess::parse(&out[..len]), Ok(Parsed::Complete(*mess, len)));
    assert_eq!(mess.encode(&mut out[..len - 1]), Err(BufferTooSmall { need: len }));
}

/// A server's first bytes: what `LinkReply::parse` accepts lies where it says and survives the wire; what it refuses, it
/// refuses for a reason that is in the bytes.
pub fn link_reply(input: &[u8]) {
    match LinkReply::parse(input) {
        Ok(Parsed::Need(n)) => {
            assert!(n > input.len() && n <= LinkReply::MAX_LEN, "needs {n} bytes and has {}", input.len());
        }
        Ok(Parsed::Complete(reply, consumed)) => {
            assert!(consumed <= input.len() && consumed <= LinkReply::MAX_LEN);
            assert_eq!(input[..4], *b"REDQ");
            assert_eq!(reply.pub_key[..], input[20..182]);
            let words = reply.common_caps.len() + reply.channel_caps.len();
            assert!(consumed >= LinkReply::refusal(LinkErrorCode::OK).len() + if words == 0 { 0 } else { 4 * words });
            let mut out = vec![0; reply.encoded_len()];
            let len = reply.encode(&mut out).unwrap_or_else(|error| panic!("{reply:?}: {error}"));
            if words == 0 || reply.error == LinkErrorCode::OK {
                assert_eq!(LinkReply::parse(&out[..len]), Ok(Parsed::Complete(reply, len)));
            }
            for cut in [0, 3, 4, 15, 16, 193, consumed - 1] {
                assert!(matches!(LinkReply::parse(&input[..cut.min(consumed - 1)]), Ok(Parsed::Need(_))), "{cut}");
            }
        }
        Err(Error::Magic { seen }) => assert_ne!(seen, *b"REDQ"),
        Err(Error::Version { major }) => assert_ne!(major, 2),
        Err(Error::Size { seen, min, max }) => assert!(!(min..=max).contains(&seen)),
        Err(Error::CapsCount { common, channel }) => assert!(common.max(channel) > MAX_CAPS_WORDS),
        Err(Error::CapsRange { offset, words, size }) => {
            assert!(offset < LinkReply::MIN_SIZE || u64::from(offset) + 4 * u64::from(words) > u64::from(size));
        }
        Err(error) => panic!("a reply can't be refused for this: {error}"),
    }
}

/// Any bytes as a capability list: the set's views agree with each other.
pub fn caps(input: &[u8]) {
    let caps = Caps::from_le_bytes(input);
    assert_eq!(caps.len(), input.len() / 4);
    assert_eq!(caps.is_empty(), input.len() < 4);
    let words: Vec<_> = caps.words().collect();
    assert!((0..words.len()).all(|index| caps.word(index) == words[index]));
    assert_eq!(caps.word(words.len()), 0);
    let bits: Vec<_> = caps.bits().collect();
    assert!(bits.windows(2).all(|two| two[0] < two[1]), "ascending: {bits:?}");
    let ones: u32 = words.iter().map(|word| word.count_ones()).sum();
    assert_eq!(u32::try_from(bits.len()), Ok(ones));
    assert!(bits.iter().all(|&bit| caps.contains(bit)));
    let beyond = u32::try_from(words.len() * 32).unwrap_or(u32::MAX);
    assert!(!caps.contains(beyond) && !caps.contains(u32::MAX));
}
