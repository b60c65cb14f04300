//! The client's side of a QMP connection, without IO.

use std::collections::HashSet;

use qmp_schema::{
    Capability, Command, Encode as _, ErrorReply, EventMessage, Greeting, Message, Object, RawJson, Value,
    stream::StreamDecoder,
};

use crate::{Error, Options};

/// The number of a command in its conversation: the `id` on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CommandId(i64);

/// A message of the server.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Incoming {
    /// The negotiation has succeeded.
    Ready(Greeting<'static>),
    /// An event. It can come before [`Ready`](Self::Ready).
    Event(EventMessage<'static>),
    /// The reply to a command.
    Reply(CommandId, Result<RawJson<'static>, ErrorReply<'static>>),
    /// A reply to no command of this conversation: QEMU's error about input that it could not read, for example.
    Stray(Message<'static>),
}

/// The client's side of a QMP connection: bytes in, bytes out.
///
/// 1. [`receive`](Self::receive) the server's bytes, in pieces of any size.
/// 2. Drain [`poll`](Self::poll). After an error, close the connection.
/// 3. [`take_output`](Self::take_output) and send it to the server.
///
/// [`execute`](Self::execute) adds output at any time. Commands from before the negotiation are sent after it.
///
/// ```
/// use qmp_client::{Conversation, Incoming, Options, qmp_schema::Command};
///
/// let mut conversation = Conversation::new(&Options::default());
/// conversation.receive(br#"{"QMP": {"version": {"qemu": {"micro": 3, "minor": 1, "major": 11}, "package": ""}, "capabilities": []}}"#);
/// assert!(conversation.poll()?.is_none(), "not negotiated yet");
/// assert_eq!(conversation.take_output(), b"{\"execute\": \"qmp_capabilities\", \"id\": 0}\n");
///
/// let id = conversation.execute(&Command::new("stop"))?;
/// conversation.receive(br#"{"return": {}, "id": 0} {"event": "STOP"} {"return": {}, "id": 1}"#);
/// assert!(matches!(conversation.poll()?, Some(Incoming::Ready(greeting)) if greeting.version.qemu.major == 11));
/// assert_eq!(conversation.take_output(), b"{\"execute\": \"stop\", \"id\": 1}\n");
/// assert!(matches!(conversation.poll()?, Some(Incoming::Event(_))));
/// assert!(matches!(conversation.poll()?, Some(Incoming::Reply(reply, Ok(_))) if reply == id));
/// # Ok::<(), qmp_client::Error>(())
/// ```
#[derive(Debug)]
pub struct Conversation {
    decoder: StreamDecoder,
    state: State,
    oob: bool,
    max_commands: usize,
    next_id: i64,
    /// Commands without a reply.
    waiting: HashSet<i64>,
    output: Vec<u8>,
    /// Commands from before the negotiation.
    held: Vec<u8>,
}

#[derive(Debug)]
enum State {
    /// The greeting has not come.
    Connected,
    /// `qmp_capabilities` has no reply.
    Negotiating(Greeting<'static>),
    Ready,
}

/// The id of `qmp_capabilities`.
const NEGOTIATION: i64 = 0;

impl Conversation {
    /// A conversation that waits for the greeting.
    #[must_use]
    pub fn new(options: &Options) -> Self {
        Self {
            decoder: StreamDecoder::with_limit(options.max_message),
            state: State::Connected,
            oob: options.oob,
            max_commands: options.max_commands,
            next_id: NEGOTIATION + 1,
            waiting: HashSet::new(),
            output: Vec::new(),
            held: Vec::new(),
        }
    }

    /// Takes bytes of the server.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.decoder.push(bytes);
    }

    /// The next message. `None`: [`receive`](Self::receive) more bytes first.
    pub fn poll(&mut self) -> Result<Option<Incoming>, Error> {
        while let Some(message) = self.decoder.next_message() {
            let message = message?.into_owned();
            if let Some(incoming) = self.accept(message)? {
                return Ok(Some(incoming));
            }
        }
        Ok(None)
    }

    /// Sends a command and returns its number, which the reply has. Any `id` of the command is replaced.
    pub fn execute(&mut self, command: &Command<'_>) -> Result<CommandId, Error> {
        if self.waiting.len() >= self.max_commands {
            return Err(Error::TooManyCommands(self.max_commands));
        }
        let id = self.next_id;
        self.next_id += 1;
        self.waiting.insert(id);
        let out = if matches!(self.state, State::Ready) { &mut self.output } else { &mut self.held };
        write(&Command { id: Some(id.into()), ..command.clone() }, out);
        Ok(CommandId(id))
    }

    /// The bytes to send to the server.
    #[must_use]
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// Whether there are bytes to send.
    #[must_use]
    pub fn has_output(&self) -> bool {
        !self.output.is_empty()
    }

    fn accept(&mut self, message: Message<'static>) -> Result<Option<Incoming>, Error> {
        if let Message::Event(event) = message {
            return Ok(Some(Incoming::Event(event)));
        }
        match (&self.state, message) {
            (State::Connected, Message::Greeting(greeting)) => {
                self.negotiate(greeting);
                Ok(None)
            }
            (State::Connected, _) => Err(Error::NoGreeting),
            (State::Negotiating(greeting), Message::Return(reply)) if reply.id == Some(Value::Int(NEGOTIATION)) => {
                let greeting = greeting.clone();
                self.state = State::Ready;
                self.output.append(&mut self.held);
                Ok(Some(Incoming::Ready(greeting)))
            }
            (State::Negotiating(_), Message::Error(error)) if error.id == Some(Value::Int(NEGOTIATION)) => {
                Err(Error::Command(error))
            }
            (_, Message::Return(reply)) => match self.is_reply(reply.id.as_ref()) {
                Some(id) => Ok(Some(Incoming::Reply(id, Ok(reply.value)))),
                None => Ok(Some(Incoming::Stray(Message::Return(reply)))),
            },
            (_, Message::Error(error)) => match self.is_reply(error.id.as_ref()) {
                Some(id) => Ok(Some(Incoming::Reply(id, Err(error)))),
                None => Ok(Some(Incoming::Stray(Message::Error(error)))),
            },
            // QEMU has been seen to greet twice.
            (_, Message::Greeting(_)) => Ok(None),
            (_, other) => Ok(Some(Incoming::Stray(other))),
        }
    }

    fn negotiate(&mut self, greeting: Greeting<'static>) {
        let mut command = Command { id: Some(NEGOTIATION.into()), ..Command::new("qmp_capabilities") };
        if self.oob && greeting.capabilities.contains(&Capability::Oob) {
            command.arguments = Some(Object::new().with("enable", vec!["oob".into()]));
        }
        write(&command, &mut self.output);
        self.state = State::Negotiating(greeting);
    }

    /// The command that has this id and no reply yet. No command has been sent before the negotiation.
    fn is_reply(&mut self, id: Option<&Value<'_>>) -> Option<CommandId> {
        let id = id.filter(|_| matches!(self.state, State::Ready))?.as_i64()?;
        self.waiting.remove(&id).then_some(CommandId(id))
    }
}

/// Writes a command and a line end, which some proxies wait for.
fn write(command: &Command<'_>, out: &mut Vec<u8>) {
    command.write_to(out);
    out.push(b'\n');
}
