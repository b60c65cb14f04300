//! The QMP client's conversation: whatever a server sends, in whatever pieces.

use std::collections::BTreeSet;

use qmp_client::{Conversation, Error, Incoming, Options};
use qmp_schema::{Command, Message, Value, stream::StreamDecoder};

/// The longest message that the conversation may keep.
const LIMIT: usize = 256;

/// Commands before the bytes come. Their ids are 1, 2 and 3.
const COMMANDS: [&str; 3] = ["a", "b", "c"];

/// Bytes of a server: the conversation reports the same messages, sends the same bytes and ends with the same error however the
/// bytes are cut. It sends `qmp_capabilities` after the greeting, and the commands after the reply to that. Each command has at
/// most one reply, the first one with its id. Events are reported in any state. No more is kept than the limit.
///
/// A second implementation says what is to be reported: it reads the whole messages one after the other.
///
/// # Panics
/// If the conversation breaks one of these promises.
pub fn qmp_client_conversation(input: &[u8]) {
    for oob in [false, true] {
        let expected = expected(input, oob);
        for size in [usize::MAX, 64, 3, 1] {
            assert_eq!(converse(input, oob, size), expected, "in pieces of {size}, oob {oob}");
        }
    }
}

/// What a conversation reports and sends.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    /// Messages as text, and the error at the end.
    reported: Vec<String>,
    sent: String,
}

impl Outcome {
    fn send(&mut self, line: &str) {
        self.sent += line;
        self.sent.push('\n');
    }
}

fn converse(input: &[u8], oob: bool, size: usize) -> Outcome {
    let mut conversation = Conversation::new(&Options::default().max_message(LIMIT).oob(oob));
    let mut ids = Vec::new();
    for name in COMMANDS {
        ids.push(conversation.execute(&Command::new(name)).expect("few commands"));
    }
    let mut outcome = Outcome::default();
    for piece in input.chunks(size.min(input.len().max(1))) {
        conversation.receive(piece);
        loop {
            let incoming = conversation.poll();
            outcome.sent += str::from_utf8(&conversation.take_output()).expect("ASCII");
            assert!(!conversation.has_output());
            let incoming = match incoming {
                Ok(None) => break,
                Ok(Some(incoming)) => incoming,
                Err(error) => {
                    outcome.reported.push(end(&error));
                    return outcome;
                }
            };
            outcome.reported.push(match incoming {
                Incoming::Ready(greeting) => format!("ready {greeting:?}"),
                Incoming::Event(event) => format!("event {event:?}"),
                Incoming::Reply(id, reply) => {
                    let number = ids.iter().position(|sent| *sent == id).expect("the reply to a command");
                    format!("reply {} {:?}", number + 1, reply.map_err(|error| (error.class, error.desc)))
                }
                Incoming::Stray(message) => format!("stray {message:?}"),
                other => panic!("{other:?}"),
            });
        }
    }
    outcome
}

fn end(error: &Error) -> String {
    match error {
        Error::Invalid(error) => format!("invalid {error:?}"),
        Error::NoGreeting => "no greeting".to_owned(),
        Error::Command(error) => format!("refused {} {}", error.class, error.desc),
        error => panic!("{error:?}"),
    }
}

/// The second implementation.
fn expected(input: &[u8], oob: bool) -> Outcome {
    let mut outcome = Outcome::default();
    let mut greeting = None;
    let mut is_ready = false;
    let mut open: BTreeSet<i64> = (1..=3).collect();
    for message in whole_messages(input) {
        let message = match message {
            Ok(message) => message,
            Err(error) => {
                outcome.reported.push(end(&Error::Invalid(error)));
                break;
            }
        };
        let id = match &message {
            Message::Return(reply) => reply.id.as_ref().and_then(Value::as_i64),
            Message::Error(reply) => reply.id.as_ref().and_then(Value::as_i64),
            _ => None,
        };
        match (message, &greeting) {
            (Message::Event(event), _) => outcome.reported.push(format!("event {event:?}")),
            (Message::Greeting(first), None) => {
                let has_oob = first.capabilities.iter().any(|capability| capability.as_str() == "oob");
                let enable = if oob && has_oob { "\"arguments\": {\"enable\": [\"oob\"]}, " } else { "" };
                outcome.send(&format!("{{\"execute\": \"qmp_capabilities\", {enable}\"id\": 0}}"));
                greeting = Some(first);
            }
            (Message::Greeting(_), Some(_)) => {}
            (_, None) => {
                outcome.reported.push(end(&Error::NoGreeting));
                break;
            }
            (Message::Return(_), Some(greeting)) if id == Some(0) && !is_ready => {
                is_ready = true;
                outcome.reported.push(format!("ready {greeting:?}"));
                for (name, id) in COMMANDS.iter().zip(1..) {
                    outcome.send(&format!("{{\"execute\": \"{name}\", \"id\": {id}}}"));
                }
            }
            (Message::Error(error), Some(_)) if id == Some(0) && !is_ready => {
                outcome.reported.push(end(&Error::Command(error)));
                break;
            }
            (message, Some(_)) => match id.filter(|id| is_ready && open.remove(id)) {
                None => outcome.reported.push(format!("stray {message:?}")),
                Some(id) => outcome.reported.push(match message {
                    Message::Return(reply) => format!("reply {id} {:?}", Ok::<_, ()>(reply.value)),
                    Message::Error(error) => format!("reply {id} {:?}", Err::<(), _>((error.class, error.desc))),
                    message => panic!("{message:?}"),
                }),
            },
        }
    }
    outcome
}

/// The messages up to the first error. What the end of the input cuts off is not reported.
fn whole_messages(input: &[u8]) -> Vec<Result<Message<'static>, qmp_schema::Error>> {
    let mut decoder = StreamDecoder::with_limit(LIMIT);
    decoder.push(input);
    let mut found = Vec::new();
    while let Some(message) = decoder.next_message() {
        found.push(message.map(Message::into_owned));
        if matches!(found.last(), Some(Err(_))) {
            break;
        }
    }
    found
}
