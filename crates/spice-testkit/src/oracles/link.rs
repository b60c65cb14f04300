//! The link stage's messages, held against a second reading of spice-server's checks that shares no code with spice-link.

use spice_conformance::{Judgement, judge, read_lists};
use spice_link::{BufferTooSmall, ChannelCaps, Error, LinkErrorCode, LinkMess, LinkReply, MainCap, Parsed};

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
    let judgement = judge(input);
    match LinkMess::parse(input) {
        Ok(Parsed::Need(n)) => {
            assert_eq!(judgement, Judgement::Need, "{input:02x?}");
            assert!(n > input.len(), "needs {n} bytes and has {}", input.len());
            Parsed::Need(n)
        }
        Err(error) => {
            let Judgement::Refused { error: expected, answer } = judgement else {
                panic!("{error}, not {judgement:?}")
            };
            assert_eq!((error, error.answer()), (expected, answer), "{input:02x?}");
            Parsed::Complete(Some(error), 0)
        }
        Ok(Parsed::Complete(mess, consumed)) => {
            let Judgement::Accepted { common, channel, len } = judgement else { panic!("{mess:?}, not {judgement:?}") };
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

/// A server's first bytes: `LinkReply::parse` says what a second reading says, of them and of what is cut short; what it accepts
/// survives the wire.
pub fn link_reply(input: &[u8]) {
    let found = LinkReply::parse(input);
    let (reply, consumed) = match (read_lists(input, LinkReply::MIN_SIZE, LinkReply::MAX_SIZE), found) {
        (None, Ok(Parsed::Need(n))) => {
            assert!(n > input.len() && n <= LinkReply::MAX_LEN, "needs {n} bytes and has {}", input.len());
            return;
        }
        (Some(Err(expected)), Err(error)) => return assert_eq!(error, expected),
        (Some(Ok(lists)), Ok(Parsed::Complete(reply, consumed))) => {
            assert_eq!((reply.error.0, consumed), (word(input, 16), lists.len));
            assert_eq!(reply.pub_key[..], input[20..182]);
            assert!(
                reply.common_caps.words().eq(lists.common) && reply.channel_caps.words().eq(lists.channel),
                "{reply:?}"
            );
            (reply, consumed)
        }
        (expected, found) => panic!("{found:?}, not {:?}", expected.map(|read| read.map(|lists| lists.len))),
    };
    let mut out = vec![0; reply.encoded_len()];
    let len = reply.encode(&mut out).unwrap_or_else(|error| panic!("{reply:?}: {error}"));
    // A refusal's offset is written as zero, where spice-server has no words.
    let words = reply.common_caps.len() + reply.channel_caps.len();
    if words == 0 || reply.error == LinkErrorCode::OK {
        assert_eq!(LinkReply::parse(&out[..len]), Ok(Parsed::Complete(reply, len)));
    }
    for cut in [0, 3, 4, 15, 16, 193, consumed - 1] {
        assert!(matches!(LinkReply::parse(&input[..cut.min(consumed - 1)]), Ok(Parsed::Need(_))), "{cut}");
    }
}

/// Any bytes as a capability list: the set's views are those of the words and bits that lie there.
pub fn caps(input: &[u8]) {
    let caps = ChannelCaps::from_le_bytes(input);
    let words: Vec<u32> = input.chunks_exact(4).map(|bytes| word(bytes, 0)).collect();
    assert_eq!((caps.len(), caps.is_empty()), (words.len(), words.is_empty()));
    assert_eq!(caps.as_le_bytes(), &input[..4 * words.len()]);
    assert!(caps.words().eq(words.iter().copied()));
    assert!((0..words.len()).all(|index| caps.word(index) == words[index]));
    assert_eq!(caps.word(words.len()), 0);
    let mut bits = caps.bits();
    for (bit, index) in (0u32..).zip(0..words.len() * 32) {
        let is_set = words[index / 32] & 1 << (index % 32) != 0;
        assert_eq!(caps.contains(MainCap(bit)), is_set, "{bit}");
        assert!(!is_set || bits.next() == Some(bit), "{bit}");
    }
    assert_eq!(bits.next(), None);
    let beyond = u32::try_from(words.len() * 32).unwrap_or(u32::MAX);
    assert!(!caps.contains(MainCap(beyond)) && !caps.contains(MainCap(u32::MAX)));
}

fn word(input: &[u8], at: usize) -> u32 {
    input.get(at..at + 4).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
}
