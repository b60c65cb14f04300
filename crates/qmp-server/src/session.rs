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
use crate::{CommandError, Object, Request, Service, Value};

/// A message as it came, or QEMU's words for why it couldn't be read.
type Message = Result<Value<'static>, String>;

/// The events that a session sends before a reply, see [`Session::receive_with`].
pub trait EventSource {
    /// The next lines for this client, CRLF included. `None`: all events that are published by now have been taken.
    fn next_lines(&mut self) -> Option<Bytes>;
}

/// No events.
impl EventSource for () {
    fn next_lines(&mut self) -> Option<Bytes> {
        None
    }
}

/// One client's conversation: bytes in, bytes out.
///
/// 1. [`receive_with`](Self::receive_with) takes the client's bytes and runs the commands in them.
/// 2. [`poll_answers`](Self::poll_answers) takes the answers of commands that were [answered later](crate::Command::later).
/// 3. [`deliver`](Self::deliver) takes events.
/// 4. After each of these, drain [`poll_output`](Self::poll_output) and send its bytes to the client. The greeting is there from
///    the start.
///
/// No input ends a session. Malformed input is answered with an error and skipped, as in QEMU.
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
            stream: Stream::new(service.limits(), service.dialect()),
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

    /// As [`receive_with`](Self::receive_with), for a session whose events come from [`deliver`](Self::deliver) alone.
    #[must_use = "the rest of the input has to be offered again"]
    pub fn receive(&mut self, input: &[u8]) -> usize {
        self.receive_with(input, &mut ())
    }

    /// Reads the client's bytes and runs the commands that are complete. Returns the number of bytes read.
    ///
    /// Before each reply the session takes all lines from `events`, so that the events of a command come before its reply, as in
    /// QEMU.
    ///
    /// There are two reasons to read less than all of the input:
    /// - Reading pauses while the maximum number of commands waits ([`is_paused`](Self::is_paused)). Keep the rest, and offer it
    ///   again after [`poll_answers`](Self::poll_answers).
    /// - Reading stops after a successful negotiation, so that events can be delivered before the next command runs. Offer the
    ///   rest at once.
    #[must_use = "the rest of the input has to be offered again"]
    pub fn receive_with(&mut self, input: &[u8], events: &mut dyn EventSource) -> usize {
        let mut taken = 0;
        while taken < input.len() && !self.is_paused() {
            let (read, message) = self.stream.read(&input[taken..]);
            taken += read;
            let Some(message) = message else { break };
            let negotiated = self.negotiated;
            self.accept(message, events);
            // A command may have answered before it returned.
            self.take_answers(events);
            if self.negotiated != negotiated {
                break;
            }
        }
        taken
    }

    /// Whether the next input has to wait until a command is answered.
    pub fn is_paused(&self) -> bool {
        if !self.oob {
            return self.running.is_some();
        }
        let most = self.service.limits().queue.max(1);
        self.queue.len() >= most || self.detached.len() >= most
    }

    /// Whether a command is running or waits for one that is.
    pub fn is_busy(&self) -> bool {
        self.running.is_some() || !self.detached.is_empty() || !self.queue.is_empty()
    }

    /// Whether capabilities are negotiated. Before the negotiation, a client gets no events.
    pub fn is_negotiated(&self) -> bool {
        self.negotiated
    }

    /// Takes the answers of [`Command::later`](crate::Command::later) that have arrived, and runs the commands that waited for
    /// them. Ready: there was an answer. Pending: the task is woken when the next one arrives. `events` as in
    /// [`receive_with`](Self::receive_with).
    pub fn poll_answers(&mut self, context: &mut Context<'_>, events: &mut dyn EventSource) -> Poll<()> {
        self.answers.set_waker(context.waker());
        if self.take_answers(events) { Poll::Ready(()) } else { Poll::Pending }
    }

    /// As [`poll_answers`](Self::poll_answers), for a caller without a task to wake. `false`: no answer had arrived.
    pub fn take_answers(&mut self, events: &mut dyn EventSource) -> bool {
        let mut any = false;
        loop {
            let arrived = self.answers.take();
            if arrived.is_empty() {
                return any;
            }
            any = true;
            for (number, answer) in arrived {
                self.finish(number, answer, events);
            }
            while self.running.is_none()
                && let Some(message) = self.queue.pop_front()
            {
                self.run(message, events);
            }
        }
    }

    fn finish(&mut self, number: u64, answer: Answer, events: &mut dyn EventSource) {
        let call = match self.detached.iter().position(|call| call.number == number) {
            Some(at) => Some(self.detached.remove(at)),
            None => self.running.take_if(|call| call.number == number),
        };
        if let Some(call) = call {
            self.reply(call.id, answer, events);
        }
    }

    /// Takes event lines for the client, CRLF included. Before the negotiation they are dropped, as in QEMU.
    pub fn deliver(&mut self, lines: Bytes) {
        if self.negotiated {
            self.output.push(lines);
        }
    }

    /// The next bytes for the client.
    pub fn poll_output(&mut self) -> Option<Bytes> {
        self.output.pop()
    }

    /// The number of bytes that wait in [`poll_output`](Self::poll_output).
    pub fn output_len(&self) -> usize {
        self.output.len()
    }

    /// An `exec-oob` runs at once. Everything else, unreadable messages included, runs in the order of the input.
    fn accept(&mut self, message: Message, events: &mut dyn EventSource) {
        let oob = matches!(&message, Ok(Value::Object(object))
            if object.contains_key("exec-oob") && !object.contains_key("execute"));
        if oob || self.running.is_none() {
            self.run(message, events);
        } else {
            self.queue.push_back(message);
        }
    }

    fn run(&mut self, message: Message, events: &mut dyn EventSource) {
        let mut request = match message {
            Ok(Value::Object(object)) => object,
            Ok(_) => return self.fail(None, CommandError::generic("QMP input must be a JSON object"), events),
            Err(desc) => return self.fail(None, CommandError::generic(desc), events),
        };
        let id = request.remove("id");
        let (name, oob) = match envelope(&request, self.oob) {
            Ok(command) => command,
            Err(error) => return self.fail(id, error, events),
        };
        let arguments = match request.remove("arguments") {
            Some(Value::Object(arguments)) => arguments,
            _ => Object::new(),
        };
        let service = self.service.clone();
        let Some(command) = service.command(&name).filter(|_| self.negotiated || name == NEGOTIATE) else {
            if let Some(run) = service.fallback().filter(|_| self.negotiated) {
                let responder = self.answer_later(id, oob);
                return run(Request { name, arguments, out_of_band: oob }, responder);
            }
            let desc = if self.negotiated {
                format!("The command {name} has not been found")
            } else {
                "Expecting capabilities negotiation with 'qmp_capabilities'".to_owned()
            };
            return self.fail(id, CommandError::not_found(desc), events);
        };
        if oob && !command.allow_oob {
            let desc = format!("The command {name} does not support OOB");
            return self.fail(id, CommandError::generic(desc), events);
        }
        if let Some(declared) = &command.arguments
            && let Err(error) = check(&arguments, declared)
        {
            return self.fail(id, error, events);
        }
        let answer = match &command.handler {
            Handler::Now(run) => run(&arguments),
            Handler::Negotiate => self.negotiate(&arguments),
            Handler::Names => Ok(Reply::json(service.names().clone())),
            Handler::Schema => Ok(Reply::json(service.schema().clone())),
            Handler::Later(run) => {
                let responder = self.answer_later(id, oob);
                return run(arguments, responder);
            }
        };
        self.reply(id, answer, events);
    }

    /// Notes a command that is running, and returns where its answer goes.
    fn answer_later(&mut self, id: Option<Value<'static>>, oob: bool) -> Responder {
        self.calls += 1;
        let call = Call { number: self.calls, id };
        if oob {
            self.detached.push(call);
        } else {
            self.running = Some(call);
        }
        Responder::new(self.calls, Arc::clone(&self.answers))
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

    fn fail(&mut self, id: Option<Value<'static>>, error: CommandError, events: &mut dyn EventSource) {
        self.reply(id, Err(error), events);
    }

    /// Writes a reply, after the events that were published before. The order of members is that of QEMU's hash table:
    /// `return, id` but `id, error`.
    fn reply(&mut self, id: Option<Value<'static>>, answer: Answer, events: &mut dyn EventSource) {
        while let Some(lines) = events.next_lines() {
            self.deliver(lines);
        }
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
