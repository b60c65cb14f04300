//! One client's conversation, without IO.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use qmp_schema::{Encode as _, ErrorReply};

use crate::answers::{Answers, Responder};
use crate::check::check;
use crate::command::{Answer, Handler, Json, Reply};
use crate::json::Stream;
use crate::output::Output;
use crate::service::NEGOTIATE;
use crate::{CommandError, Object, Service, Value};

/// A message as it came, or QEMU's words for why it couldn't be read.
type Message = Result<Value<'static>, String>;

/// One client's conversation: bytes in, bytes out.
///
/// [`receive`](Self::receive) takes what the client sent and runs the commands in it; after each call, and after
/// [`poll_answers`](Self::poll_answers), drain [`poll_output`](Self::poll_output) to the client. The greeting is there from the start.
///
/// Nothing that a client sends ends a session: malformed input is answered with an error and read past, as QEMU does.
#[derive(Debug)]
pub struct Session {
    service: Service,
    stream: Stream,
    negotiated: bool,
    oob: bool,
    output: Output,
    calls: u64,
    /// The in-band command that is being answered, and its `id`.
    running: Option<Call>,
    /// Out-of-band commands that are being answered.
    detached: Vec<Call>,
    /// In-band messages that wait for `running`.
    queue: VecDeque<Message>,
    answers: Arc<Answers>,
}

#[derive(Debug)]
struct Call {
    number: u64,
    id: Option<Value<'static>>,
}

impl Session {
    /// A fresh connection, with the greeting to be sent.
    pub fn new(service: &Service) -> Self {
        let mut output = Output::default();
        output.push(service.greeting().clone());
        Self {
            service: service.clone(),
            stream: Stream::new(service.limits()),
            negotiated: false,
            oob: false,
            output,
            calls: 0,
            running: None,
            detached: Vec::new(),
            queue: VecDeque::new(),
            answers: Arc::default(),
        }
    }

    /// Reads what the client sent, and runs the commands that are complete. Returns how many bytes were read.
    ///
    /// That is all of them, but for two cases. Input pauses while as many commands wait as may ([`is_paused`](Self::is_paused)):
    /// keep the rest, and offer it again after [`poll_answers`](Self::poll_answers). And reading stops where the negotiation
    /// succeeded, so that you can begin to deliver events before the next command runs: offer the rest at once.
    pub fn receive(&mut self, input: &[u8]) -> usize {
        let mut taken = 0;
        while taken < input.len() && !self.is_paused() {
            let (read, message) = self.stream.read(&input[taken..]);
            taken += read;
            let Some(message) = message else { break };
            let negotiated = self.negotiated;
            self.accept(message);
            // A command may have answered from within.
            self.take_answers();
            if self.negotiated != negotiated {
                break;
            }
        }
        taken
    }

    /// Whether input is to wait until a command is answered.
    pub fn is_paused(&self) -> bool {
        if !self.oob {
            return self.running.is_some();
        }
        let most = self.service.limits().queue.max(1);
        self.queue.len() >= most || self.detached.len() >= most
    }

    /// Whether capabilities are negotiated. Before that a client gets no events.
    pub fn is_negotiated(&self) -> bool {
        self.negotiated
    }

    /// Takes the answers of [`Command::later`](crate::Command::later) that have arrived, and runs what waited for them.
    /// Ready if there were any; else the task is woken when the next one comes.
    pub fn poll_answers(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.answers.set_waker(context.waker());
        if self.take_answers() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// The same for who has no task to wake: `false` if no answer had arrived.
    pub fn take_answers(&mut self) -> bool {
        let mut any = false;
        loop {
            let arrived = self.answers.take();
            if arrived.is_empty() {
                return any;
            }
            any = true;
            for (number, answer) in arrived {
                self.finish(number, answer);
            }
            while self.running.is_none()
                && let Some(message) = self.queue.pop_front()
            {
                self.run(message);
            }
        }
    }

    fn finish(&mut self, number: u64, answer: Answer) {
        let call = match self.detached.iter().position(|call| call.number == number) {
            Some(at) => Some(self.detached.remove(at)),
            None => self.running.take_if(|call| call.number == number),
        };
        if let Some(call) = call {
            self.reply(call.id, answer);
        }
    }

    /// Hands over event lines for the client, CRLF included; dropped before the negotiation, as QEMU drops them.
    pub fn deliver(&mut self, lines: Bytes) {
        if self.negotiated {
            self.output.push(lines);
        }
    }

    /// The next bytes for the client.
    pub fn poll_output(&mut self) -> Option<Bytes> {
        self.output.pop()
    }

    /// How many bytes wait for the client.
    pub fn output_len(&self) -> usize {
        self.output.len()
    }

    /// An `exec-oob` runs at once; everything else, unreadable messages too, in the order in which it came.
    fn accept(&mut self, message: Message) {
        let oob = matches!(&message, Ok(Value::Object(object))
            if object.contains_key("exec-oob") && !object.contains_key("execute"));
        if oob || self.running.is_none() {
            self.run(message);
        } else {
            self.queue.push_back(message);
        }
    }

    fn run(&mut self, message: Message) {
        let mut request = match message {
            Ok(Value::Object(object)) => object,
            Ok(_) => return self.fail(None, CommandError::generic("QMP input must be a JSON object")),
            Err(desc) => return self.fail(None, CommandError::generic(desc)),
        };
        let id = request.remove("id");
        let (name, oob) = match envelope(&request, self.oob) {
            Ok(command) => command,
            Err(error) => return self.fail(id, error),
        };
        let arguments = match request.remove("arguments") {
            Some(Value::Object(arguments)) => arguments,
            _ => Object::new(),
        };
        let service = self.service.clone();
        let Some(command) = service.command(&name).filter(|_| self.negotiated || name == NEGOTIATE) else {
            let desc = if self.negotiated {
                format!("The command {name} has not been found")
            } else {
                "Expecting capabilities negotiation with 'qmp_capabilities'".to_owned()
            };
            return self.fail(id, CommandError::not_found(desc));
        };
        if oob && !command.allow_oob {
            let desc = format!("The command {name} does not support OOB");
            return self.fail(id, CommandError::generic(desc));
        }
        if let Some(declared) = &command.arguments
            && let Err(error) = check(&arguments, declared)
        {
            return self.fail(id, error);
        }
        let answer = match &command.handler {
            Handler::Now(run) => run(&arguments),
            Handler::Negotiate => self.negotiate(&arguments),
            Handler::Names => Ok(Reply::json(service.names().clone())),
            Handler::Schema => Ok(Reply::json(service.schema().clone())),
            Handler::Later(run) => {
                self.calls += 1;
                let call = Call { number: self.calls, id };
                if oob {
                    self.detached.push(call);
                } else {
                    self.running = Some(call);
                }
                run(arguments, Responder::new(self.calls, Arc::clone(&self.answers)));
                return;
            }
        };
        self.reply(id, answer);
    }

    fn negotiate(&mut self, arguments: &Object<'_>) -> Answer {
        if self.negotiated {
            let desc = "Capabilities negotiation is already complete, command ignored";
            return Err(CommandError::not_found(desc));
        }
        let oob = arguments.get("enable").and_then(Value::as_array).is_some_and(|enable| !enable.is_empty());
        if oob && !self.service.offers_oob() {
            return Err(CommandError::generic("Capability oob not available"));
        }
        self.negotiated = true;
        self.oob = oob;
        Ok(Reply::default())
    }

    fn fail(&mut self, id: Option<Value<'static>>, error: CommandError) {
        self.reply(id, Err(error));
    }

    /// Writes a reply. The order of members is that of QEMU's hash table: `return, id` but `id, error`.
    fn reply(&mut self, id: Option<Value<'static>>, answer: Answer) {
        match answer {
            Ok(Reply(json)) => {
                self.output.tail().extend_from_slice(b"{\"return\": ");
                match json {
                    Json::Written(json) => self.output.tail().extend_from_slice(&json),
                    Json::Shared(json) => self.output.push(json),
                }
                let out = self.output.tail();
                if let Some(id) = id {
                    out.extend_from_slice(b", \"id\": ");
                    id.write_to(out);
                }
                out.extend_from_slice(b"}\r\n");
            }
            Err(CommandError { class, desc }) => {
                let out = self.output.tail();
                ErrorReply { class, desc: desc.into(), id }.write_to(out);
                out.extend_from_slice(b"\r\n");
            }
        }
    }
}

/// The command that a message asks for, and whether out of band (`qapi/qmp-dispatch.c`).
///
/// Members are looked at in the order of QEMU's hash table, in which the parser leaves them. It decides which of several errors
/// is reported.
fn envelope(request: &Object<'_>, oob_enabled: bool) -> Result<(String, bool), CommandError> {
    let mut command: Option<(&str, &str)> = None;
    for (name, value) in request.iter() {
        let desc = match name {
            "execute" | "exec-oob" if name == "execute" || oob_enabled => match (value, command) {
                (Value::Str(text), None) => {
                    command = Some((name, text));
                    continue;
                }
                (Value::Str(_), Some((other, _))) => format!("QMP input member '{name}' clashes with '{other}'"),
                _ => format!("QMP input member '{name}' must be a string"),
            },
            "arguments" if value.as_object().is_none() => "QMP input member 'arguments' must be an object".to_owned(),
            "arguments" | "id" => continue,
            _ => format!("QMP input member '{name}' is unexpected"),
        };
        return Err(CommandError::generic(desc));
    }
    match command {
        Some((member, name)) => Ok((name.to_owned(), member == "exec-oob")),
        None => Err(CommandError::generic("QMP input lacks member 'execute'")),
    }
}
