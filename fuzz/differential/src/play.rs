//! Plays a case against the real server and against ours, step by step, and finds differences.

mod compare;
mod credentials;

use std::{collections::BTreeMap, time::Duration};

use spice_events::{Address, Auth, Config, Endpoints, EventKind, FlowId, Input, Output, Side, Timestamp, Tracker};
use spice_link::{
    AcceptStatus, ChannelType, CloseReason, HeaderKind, LinkReply, Parsed,
    websocket::{Deframer, head_end},
};
use spice_testkit::{
    generate::{Frames, Unstructured},
    link_events::{CheckedObserver, OwnedLinkEvent},
};

use crate::{
    case::{Case, Plan},
    event_loop::{self, ChannelEvent},
    ours::{Answered, Host, OurLink},
    real::{Connection, Kind, Server},
};

/// A difference between the two servers.
#[derive(Clone, Debug)]
pub(crate) struct Difference {
    /// The kind: `answer`, `end`, `events`, `order`, `observer`, `watches` or `worker`.
    pub(crate) what: &'static str,
    /// What was expected, and what happened.
    pub(crate) detail: String,
}

/// The result of a case.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// The number of links that each check decided.
    pub(crate) checks: BTreeMap<String, u64>,
    /// The number of links that passed authentication: the real server sent INITIALIZED.
    pub(crate) authenticated: u64,
    /// The number of channel events of the real server.
    pub(crate) events: u64,
}

/// A real server and ours.
pub(crate) struct Pair {
    pub(crate) server: Server,
    pub(crate) host: Host,
    pub(crate) kind: Kind,
}

/// A link of a running case.
struct Live {
    connection: Option<Connection>,
    ours: OurLink,
    watcher: CheckedObserver,
    place: usize,
    /// The bytes that the real server has sent, without WebSocket's response and frames.
    said: Vec<u8>,
    head: Vec<u8>,
    /// The frames of server and client, once the stream is inside WebSocket.
    deframers: Option<[Deframer; 2]>,
    closed: bool,
    is_main: bool,
    /// Another thread serves this connection after the link stage.
    in_worker: bool,
    /// The bytes after the SASL exchange are inside a security layer.
    layered: bool,
    /// The next answer contains data of a SASL mechanism.
    in_sasl: bool,
    /// The SASL exchange is complete.
    sasl_done: bool,
}

/// How long the worker may take to end a connection. It checks every ten milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// One event in the form of both sides: the link, 1 connected, 2 initialized or 3 disconnected, and its fields.
type Event = (usize, i32, [i64; 4]);

struct Stage<'a> {
    pair: &'a mut Pair,
    tracker: Tracker,
    links: Vec<Live>,
    real: Vec<Event>,
    tracked: Vec<Event>,
}

/// Plays the case. Neither server has a client afterwards.
pub(crate) fn play(pair: &mut Pair, case: &Case, tally: &mut Tally) -> Result<(), Difference> {
    let auth = match pair.kind {
        Kind::NoAuth => Auth::None,
        Kind::Sasl => Auth::Sasl,
        Kind::Ticket | Kind::Graphics | Kind::Secured => Auth::Spice,
    };
    let watches = event_loop::watches();
    pair.host.model.session = None;
    let mut stage = Stage {
        pair,
        tracker: Tracker::new(Config::new().auth(auth)),
        links: Vec::new(),
        real: Vec::new(),
        tracked: Vec::new(),
    };
    let mut found = Ok(());
    for plan in &case.links {
        found = stage.link(plan);
        if let Some(link) = stage.links.last() {
            *tally.checks.entry(link.check(plan)).or_default() += 1;
        }
        if found.is_err() {
            break;
        }
    }
    // The newest link first, so that the main channel of a session closes last.
    for index in (0..stage.links.len()).rev() {
        found = found.and(stage.leave(index));
    }
    found = found.and_then(|()| stage.compare_events());
    tally.authenticated += stage.real.iter().filter(|event| event.1 == 2).count() as u64;
    tally.events += stage.real.len() as u64;
    let left = event_loop::watches();
    found.and(if left == watches {
        Ok(())
    } else {
        Err(Difference { what: "watches", detail: format!("{watches} before, {left} after") })
    })
}

impl Stage<'_> {
    fn link(&mut self, plan: &Plan) -> Result<(), Difference> {
        let index = self.links.len();
        let tcp = self.pair.kind == Kind::Sasl || plan.mechanism == Some(2);
        let connection = self.pair.server.connect(tcp, plan.tls).map_err(|error| failed(&error))?;
        self.pair.host.model.tls = plan.tls;
        (self.pair.host.mechanism, self.pair.host.sealed) = (None, None);
        event_loop::run_until_idle();
        let mut live = Live {
            connection: Some(connection),
            ours: OurLink::new(),
            watcher: CheckedObserver::new(),
            place: 0,
            said: Vec::new(),
            head: Vec::new(),
            deframers: None,
            closed: false,
            is_main: plan.mess.channel_type == 1,
            in_worker: self.pair.kind == Kind::Graphics && [2, 4].contains(&plan.mess.channel_type),
            layered: false,
            in_sasl: false,
            sasl_done: false,
        };
        let events = event_loop::take_events();
        let Some(ChannelEvent { event: 1, place, .. }) = events.first() else {
            return Err(Difference { what: "events", detail: format!("expected CONNECTED, found {events:?}") });
        };
        live.place = *place;
        self.links.push(live);
        self.note(&events);
        let (server, client) = (Address::unix(""), Address::unix(""));
        self.track(index, Input::Opened { endpoints: Endpoints { server, client }, tls: plan.tls, readable: true });
        let done = self.converse(index, plan);
        let done = done.and_then(|()| self.compare_answers(index));
        if plan.leaves {
            return done.and(self.leave(index));
        }
        done
    }

    /// Sends the client's bytes, depending on the answers of the real server.
    fn converse(&mut self, index: usize, plan: &Plan) -> Result<(), Difference> {
        let mut mess = plan.mess.clone();
        if let (true, Some((id, _))) = (plan.joins, &self.pair.host.model.session) {
            mess.connection_id = *id;
        }
        let mut carry = plan.websocket.as_ref().map(|(choices, _)| choices.clone());
        if let Some((_, request)) = &plan.websocket {
            self.send(index, request, request)?;
            if self.links[index].head.is_empty() {
                return Ok(());
            }
        }
        let mut bytes = mess.bytes();
        if let Some(stop) = plan.stop {
            bytes.truncate(stop);
            self.say(index, plan, &mut carry, &bytes, None)?;
            self.finish(index)?;
            return Ok(());
        }
        self.say(index, plan, &mut carry, &bytes, None)?;
        let said = self.links[index].said.clone();
        let Ok(Parsed::Complete(reply, _)) = LinkReply::parse(&said) else { return Ok(()) };
        if reply.error.0 != 0 || self.links[index].closed {
            return Ok(());
        }
        let selects = mess.common.first().is_some_and(|word| word & 1 != 0);
        let usual = if self.pair.kind == Kind::Sasl { 2 } else { 1 };
        let mechanism = plan.mechanism.unwrap_or(usual);
        if selects {
            self.say(index, plan, &mut carry, &mechanism.to_le_bytes(), None)?;
        }
        match if selects { mechanism } else { 1 } {
            1 => {
                let (real, ours) = (
                    credentials::seal(plan.ticket, reply.pub_key),
                    credentials::seal(plan.ticket, self.pair.host.public_key()),
                );
                self.say(index, plan, &mut carry, &real, Some(&ours))?;
                self.settle(index, plan, &mut carry)
            }
            2 => self.sasl(index, plan, &mut carry),
            _ => Ok(()),
        }
    }

    /// Sends bytes in the chunks of the plan, inside WebSocket frames if the link has them. `ours` replaces the bytes for our server.
    fn say(
        &mut self,
        index: usize,
        plan: &Plan,
        carry: &mut Option<Vec<u8>>,
        bytes: &[u8],
        ours: Option<&[u8]>,
    ) -> Result<(), Difference> {
        let frame = |bytes: &[u8]| match &*carry {
            Some(choices) => {
                Frames::carry(&mut Unstructured::new(choices), bytes, true).map_or(Vec::new(), |frames| frames.bytes())
            }
            None => bytes.to_vec(),
        };
        let (real, ours) = (frame(bytes), frame(ours.unwrap_or(bytes)));
        let (mut at, mut cuts) = (0, plan.cuts.iter().cycle());
        while at < real.len() {
            // Sending a long message byte by byte is slow, and tests no more than its first bytes do.
            let size = cuts.next().filter(|_| at < 300).map_or(usize::MAX, |cut| usize::from(*cut));
            let end = at.saturating_add(size).min(real.len());
            self.send(index, &real[at..end], &ours[at..end])?;
            at = end;
        }
        Ok(())
    }

    fn send(&mut self, index: usize, real: &[u8], ours: &[u8]) -> Result<(), Difference> {
        let link = &mut self.links[index];
        let Some(connection) = link.connection.as_mut().filter(|_| !link.closed) else { return Ok(()) };
        connection.send(real).map_err(|error| failed(&error))?;
        match &mut link.deframers {
            Some([_, client]) => {
                let mut plain = Vec::new();
                client.read(real, |run| plain.extend(run));
                link.watcher.bytes(Side::Client, &plain);
            }
            None if real.starts_with(b"GET ") => {}
            None => link.watcher.bytes(Side::Client, real),
        }
        self.track(index, Input::Bytes { from: Side::Client, data: real });
        // Events of several connections have no order on the wire. The real server ends an old session before it starts a new
        // one, but accepts a second link to a sound channel before it ends the first.
        let before = self.links[index].said.len();
        let others = (0..self.links.len()).filter(|other| *other != index);
        if self.links[index].is_main {
            others.clone().try_for_each(|other| self.hear(other))?;
        }
        self.hear(index)?;
        others.clone().try_for_each(|other| self.hear(other))?;
        let link = &mut self.links[index];
        let answer = link.said.get(before..).unwrap_or_default();
        self.pair.host.mechanism = Answered::parse(answer).filter(|_| link.in_sasl);
        if let Some(behind) = self.pair.host.mechanism.as_ref().and_then(Answered::completed) {
            (link.in_sasl, link.sasl_done, link.layered) = (false, true, !self.pair.host.model.tls);
            self.pair.host.sealed = first_frame(behind).filter(|_| link.layered);
        }
        // An observer can't see it behind a security layer.
        let told = self.real.iter().rfind(|event| link.layered && link.is_main && (event.0, event.1) == (index, 2));
        let told = told.map(|event| event.2[0] as u32);
        if let Some(id) = session_id(&link.watcher).or(told) {
            self.pair.host.model.next_id = id;
        }
        link.ours.receive(&mut self.pair.host, ours);
        Ok(())
    }

    /// Handles a link to a channel that the worker serves. The worker ends a second link to the same channel.
    ///
    /// The display channel waits up to 30 seconds for its client's first message. If the session ends meanwhile, the whole
    /// server waits, and spice-server 0.15.1 may crash if the client closes the connection. So the client sends the message
    /// that every client sends first, and continues when the worker has read it.
    fn settle(&mut self, index: usize, plan: &Plan, carry: &mut Option<Vec<u8>>) -> Result<(), Difference> {
        let link = &self.links[index];
        if !link.in_worker {
            return Ok(());
        }
        if let AcceptStatus::Linked(linked) = link.ours.outcome
            && linked.request.channel_type == ChannelType::DISPLAY
        {
            self.say(index, plan, carry, &display_init(linked.header), None)?;
        }
        if let Some(graphics) = &self.pair.server.graphics {
            graphics.catch_up();
        }
        self.hear(index)
    }

    /// Waits until the worker has ended a connection.
    fn wait(&self, index: usize) -> Result<(), Difference> {
        let place = self.links[index].place;
        let known = place == 0 || self.real.iter().any(|event| (event.0, event.1) == (index, 3));
        if known || event_loop::run_until_ended(place, PATIENCE) {
            return Ok(());
        }
        Err(Difference { what: "worker", detail: format!("link {index} still open after {PATIENCE:?}") })
    }

    fn finish(&mut self, index: usize) -> Result<(), Difference> {
        if let Some(connection) = &mut self.links[index].connection {
            connection.finish();
        }
        self.hear(index)?;
        let link = &self.links[index];
        if link.closed || matches!(link.ours.outcome, AcceptStatus::Close(_)) {
            return Ok(());
        }
        Err(Difference { what: "end", detail: "the client has sent FIN, and the server stays".to_owned() })
    }

    /// Receives what the real server has sent on a connection, and whether it has closed it.
    fn hear(&mut self, index: usize) -> Result<(), Difference> {
        let events = event_loop::take_events();
        self.note(&events);
        let link = &mut self.links[index];
        let Some(connection) = &mut link.connection else { return Ok(()) };
        if link.closed {
            return Ok(());
        }
        let raw = connection.receive().map_err(|error| failed(&error))?;
        let ended = connection.ended();
        if !raw.is_empty() {
            link.take(&raw);
            self.track(index, Input::Bytes { from: Side::Server, data: &raw });
        }
        if ended {
            self.links[index].closed = true;
            self.track(index, Input::Closed { by: Some(Side::Server) });
            self.gone(index);
        }
        Ok(())
    }

    /// Closes the client's end, if it is open, and waits for all connections that end with it.
    fn leave(&mut self, index: usize) -> Result<(), Difference> {
        let mut waited = Ok(());
        let link = &mut self.links[index];
        let Some(connection) = link.connection.take() else { return waited };
        if !link.closed {
            if matches!(link.ours.outcome, AcceptStatus::Close(CloseReason::NoSelection)) {
                connection.close_leaked();
            }
            drop(connection);
            link.closed = true;
            event_loop::run_until_idle();
            let linked = matches!(link.ours.outcome, AcceptStatus::Linked(_));
            if linked && link.in_worker {
                waited = self.wait(index);
            }
            let events = event_loop::take_events();
            self.note(&events);
            self.track(index, Input::Closed { by: Some(Side::Client) });
            self.gone(index);
        }
        for other in 0..self.links.len() {
            let _ = self.hear(other);
        }
        waited
    }

    /// Updates the state of our server after a link.
    fn gone(&mut self, index: usize) {
        let AcceptStatus::Linked(link) = self.links[index].ours.outcome else { return };
        let session = &mut self.pair.host.model.session;
        let id = link.session_id.unwrap_or(link.request.connection_id);
        if link.request.channel_type.0 == 1 {
            if session.as_ref().is_some_and(|(live, _)| *live == id) {
                *session = None;
            }
        } else if let Some((_, channels)) = session.as_mut().filter(|(live, _)| *live == id) {
            channels.retain(|channel| *channel != (link.request.channel_type.0, link.request.channel_id));
        }
    }

    /// Stores the events of the real server by link.
    fn note(&mut self, events: &[ChannelEvent]) {
        for event in events {
            let index = self.links.iter().rposition(|link| link.place == event.place).unwrap_or(usize::MAX);
            let fields = if event.event == 2 {
                [event.connection_id, event.channel_type, event.channel_id, event.flags & 1].map(i64::from)
            } else {
                [0; 4]
            };
            self.real.push((index, event.event, fields));
            if event.event == 3 && index != usize::MAX {
                self.links[index].place = 0;
            }
        }
    }

    fn track(&mut self, index: usize, input: Input<'_>) {
        self.tracker.handle(Timestamp { seconds: 0, microseconds: 0 }, FlowId(index as u64), input);
        while let Some(output) = self.tracker.poll() {
            let Output::Event(event) = output else { continue };
            let (number, fields) = match event.kind {
                EventKind::Connected => (1, [0; 4]),
                EventKind::Initialized(channel) => {
                    // The signed form that QMP shows.
                    let shown = channel.info(&event.connection);
                    (2, [shown.connection_id, shown.channel_type, shown.channel_id, shown.tls.into()])
                }
                EventKind::Disconnected => (3, [0; 4]),
            };
            self.tracked.push((usize::try_from(event.flow.0).unwrap_or(usize::MAX), number, fields));
        }
    }
}

impl Live {
    /// The name of the check that decided the link, and for a successful link how it was made.
    fn check(&self, plan: &Plan) -> String {
        let how = match (self.ours.outcome, plan.tls) {
            (AcceptStatus::Linked(_), true) if self.sasl_done => ", after SASL in TLS",
            (AcceptStatus::Linked(_), false) if self.sasl_done => ", after SASL with a security layer",
            (AcceptStatus::Linked(_), true) => ", in TLS",
            _ => "",
        };
        self.ours.check() + how
    }

    /// Removes WebSocket's response and frames from the bytes of the real server.
    fn take(&mut self, raw: &[u8]) {
        let mut rest = raw;
        if self.deframers.is_none() && self.said.is_empty() && self.head.is_empty() && raw.starts_with(b"HTTP") {
            let end = head_end(raw, 0).unwrap_or(raw.len());
            let (head, behind) = raw.split_at(end);
            (self.head, self.deframers, rest) = (head.to_vec(), Some([Deframer::new(), Deframer::new()]), behind);
        }
        let before = self.said.len();
        match &mut self.deframers {
            Some([server, _]) => {
                let said = &mut self.said;
                server.read(rest, |run| said.extend(run));
            }
            None => self.said.extend(rest),
        }
        self.watcher.bytes(Side::Server, &self.said[before..]);
    }
}

/// The first message of a display client: type 101, with 14 bytes that announce empty caches.
fn display_init(header: HeaderKind) -> Vec<u8> {
    let serial: &[u8] = if header == HeaderKind::Mini { &[] } else { &[1, 0, 0, 0, 0, 0, 0, 0] };
    let sub_list: &[u8] = if header == HeaderKind::Mini { &[] } else { &[0; 4] };
    [serial, &[101, 0, 14, 0, 0, 0], sub_list, &[0; 14]].concat()
}

/// The session id, if the real server has just made one.
fn session_id(watcher: &CheckedObserver) -> Option<u32> {
    watcher
        .seen()
        .events
        .iter()
        .find_map(|(_, event)| if let OwnedLinkEvent::SessionId(id) = event { Some(*id) } else { None })
}

/// The first frame of a security layer: its length in network byte order, and this many bytes.
fn first_frame(bytes: &[u8]) -> Option<Vec<u8>> {
    let length = u32::from_be_bytes(*bytes.first_chunk()?) as usize;
    bytes.get(..4 + length).map(<[u8]>::to_vec)
}

fn failed(error: &std::io::Error) -> Difference {
    Difference { what: "socket", detail: error.to_string() }
}
