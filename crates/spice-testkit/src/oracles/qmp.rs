//! QMP's messages: what is read is written again as it was meant, and a stream is cut the same however it comes.

use arbitrary::{Arbitrary as _, Unstructured};
use qmp_schema::{
    Encode as _, Error, ErrorKind, Event, EventMessage, FullEvent, MAX_VALUE_DEPTH, Message, Object, Value, from_slice,
    stream::{Frame, StreamDecoder},
};

/// Any bytes as one event: what is refused is refused at a place within them; what can be read is written so that it reads
/// the same, and is written the same then. Members that the schema does not name survive where they are asked for.
///
/// The same bytes serve as choices too: the event that they make comes back from what is written.
pub fn qmp_event(input: &[u8]) {
    read_and_written(input);
    made(input);
}

fn made(choices: &[u8]) {
    let Ok(message) = EventMessage::arbitrary(&mut Unstructured::new(choices)) else { return };
    let text = message.to_vec();
    let again: EventMessage<'_> = from_slice(&text).unwrap_or_else(|error| panic!("{message:?}: {error}"));
    match (&again.event, &message.event) {
        // The reason is not written.
        (Event::Other(again), Event::Other(event)) => {
            assert_eq!((&again.name, &again.data), (&event.name, &event.data));
        }
        _ => assert_eq!(again, message),
    }
    assert_eq!(again.timestamp, message.timestamp);
}

fn read_and_written(input: &[u8]) {
    let full = from_slice::<FullEvent<'_>>(input);
    let message = match from_slice::<EventMessage<'_>>(input) {
        Ok(message) => message,
        Err(error) => {
            assert!(error.offset <= input.len() as u64, "{error}");
            match full {
                Err(Error { kind: ErrorKind::Depth { limit: MAX_VALUE_DEPTH }, .. }) => {}
                full => assert_eq!(full.err(), Some(error), "with unknown members kept, refused for the same"),
            }
            return;
        }
    };
    // What is kept has its own bound.
    let full = match full {
        Err(Error { kind: ErrorKind::Depth { limit: MAX_VALUE_DEPTH }, .. }) => None,
        full => Some(full.unwrap_or_else(|error| panic!("refused where unknown members are kept: {error}"))),
    };
    assert!(full.as_ref().is_none_or(|full| full.message == message), "{full:?}");
    assert_eq!(message.clone().into_owned(), message);
    // Which member's reader fails first is not the same for members that come twice; that it is no JSON is.
    let any = from_slice::<Message<'_>>(input);
    assert!(matches!(&any, Ok(Message::Event(event)) if *event == message) || is_also_another(input), "{any:?}");

    let Some(text) = written_again(&message) else { return };
    let again: EventMessage<'_> = from_slice(&text).unwrap_or_else(|error| panic!("{message:?}: {error}"));
    assert_eq!(again.timestamp, message.timestamp);
    assert_eq!(again.event.name(), message.event.name());
    if !matches!(message.event, Event::Other(_)) {
        assert_eq!(again.to_vec(), text, "{message:?}");
        // QEMU writes a whole floating-point number as an integer, so that it is read as one.
        assert!(again == message || format!("{message:?}").contains("Float("), "{again:?}, {message:?}");
    }
    if let Some(full) = full.filter(|_| !has_twins(input))
        && let Some(written) = written_again(&full)
    {
        let read: FullEvent<'_> = from_slice(&written).unwrap_or_else(|error| panic!("{full:?}: {error}"));
        assert_eq!(read.unknown.iter().len(), full.unknown.iter().len(), "{full:?}");
    }
}

/// The written bytes, after a check of their form. `None` if they hold an infinity, which QEMU writes bare and JSON does not have.
fn written_again(value: &(impl qmp_schema::Encode + ?Sized)) -> Option<Vec<u8>> {
    let once = value.to_vec();
    assert!(once.is_ascii() && !once.iter().any(u8::is_ascii_control), "{}", once.escape_ascii());
    match from_slice::<Value<'_>>(&once) {
        Ok(read) => {
            assert_eq!(read.to_vec(), once, "{}", once.escape_ascii());
            Some(once)
        }
        Err(error) => {
            let at = usize::try_from(error.offset).unwrap_or(usize::MAX);
            let there = once.get(at..).unwrap_or_default();
            assert!(there.starts_with(b"inf") || there.starts_with(b"-inf"), "{error}: {}", once.escape_ascii());
            None
        }
    }
}

/// Whether an event has a member, too, that makes a message a reply or a greeting: which of the two it is, what comes first tells.
fn is_also_another(input: &[u8]) -> bool {
    from_slice::<Object<'_>>(input)
        .is_ok_and(|object| object.0.iter().any(|(key, _)| matches!(&**key, "return" | "error" | "QMP")))
}

/// Whether any object has two members of one name.
fn has_twins(input: &[u8]) -> bool {
    fn twins(object: &Object<'_>) -> bool {
        let mut keys: Vec<&str> = object.0.iter().map(|(key, _)| &**key).collect();
        keys.sort_unstable();
        keys.windows(2).any(|pair| pair[0] == pair[1]) || object.0.iter().any(|(_, value)| within(value))
    }
    fn within(value: &Value<'_>) -> bool {
        match value {
            Value::Array(values) => values.iter().any(within),
            Value::Object(object) => twins(object),
            _ => false,
        }
    }
    from_slice::<Object<'_>>(input).is_ok_and(|object| twins(&object))
}

/// Any bytes as a server's output: the same messages and errors, places included, in whatever pieces it comes; each message as
/// soon as its last byte is there; no more kept than the limit; and the bytes of each message where it says they are.
pub fn qmp_stream(input: &[u8]) {
    const LIMIT: usize = 256;
    for limit in [LIMIT, 1 << 16] {
        let whole = messages(input, limit, usize::MAX);
        for size in [1, 3, 64] {
            assert_eq!(messages(input, limit, size), whole, "in pieces of {size}, at most {limit}");
        }
        let frames = frames(input, limit);
        assert_eq!(frames.len(), whole.len(), "as many frames as messages and errors, at most {limit}");
        for (frame, message) in frames.iter().zip(&whole) {
            let read = match frame {
                Ok((offset, bytes)) => read_at(*offset, bytes),
                Err(error) => Err(*error),
            };
            assert_eq!(read.as_ref(), message.as_ref(), "at most {limit}");
        }
    }
}

type Found = Result<String, Error>;

/// Messages as text, and errors.
fn messages(input: &[u8], limit: usize, size: usize) -> Vec<Found> {
    let (mut decoder, mut found) = (StreamDecoder::with_limit(limit), Vec::new());
    let drain = |decoder: &mut StreamDecoder, found: &mut Vec<Found>| {
        while let Some(message) = decoder.next_message() {
            found.push(message.map(|message| format!("{message:?}")));
            check(found.last(), found.len(), input);
        }
    };
    for piece in input.chunks(size.min(input.len().max(1))) {
        decoder.push(piece);
        drain(&mut decoder, &mut found);
        assert!(decoder.buffered() <= limit + piece.len(), "{} bytes are kept", decoder.buffered());
    }
    decoder.finish();
    drain(&mut decoder, &mut found);
    found
}

fn check(last: Option<&Found>, count: usize, input: &[u8]) {
    assert!(count <= input.len() + 1, "more messages than bytes");
    if let Some(Err(error)) = last {
        assert!(error.offset <= input.len() as u64, "{error}");
    }
}

/// The bytes of each message with their place, byte by byte; and errors.
fn frames(input: &[u8], limit: usize) -> Vec<Result<(u64, Vec<u8>), Error>> {
    let (mut decoder, mut found) = (StreamDecoder::with_limit(limit), Vec::new());
    let mut end = 0;
    for (at, byte) in input.iter().enumerate() {
        decoder.push(&[*byte]);
        while let Some(frame) = decoder.next_frame() {
            if let Ok(Frame { offset, bytes, .. }) = frame {
                let start = usize::try_from(offset).unwrap_or(usize::MAX);
                assert_eq!(input.get(start..start + bytes.len()), Some(bytes), "the bytes that were pushed");
                assert_eq!(start + bytes.len(), at + 1, "as soon as the last byte is there");
                assert!(start >= end && bytes.len() <= limit);
                end = at + 1;
            }
            found.push(frame.map(|frame| (frame.offset, frame.bytes.to_vec())));
        }
    }
    decoder.finish();
    found.extend(std::iter::from_fn(|| Some(decoder.next_frame()?.map(|frame| (frame.offset, frame.bytes.to_vec())))));
    found
}

/// One message by itself, its error at its place in the stream.
fn read_at(offset: u64, bytes: &[u8]) -> Found {
    from_slice::<Message<'_>>(bytes)
        .map(|message| format!("{message:?}"))
        .map_err(|error| Error { offset: error.offset + offset, ..error })
}
