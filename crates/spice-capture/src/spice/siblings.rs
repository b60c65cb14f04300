//! Channels of one session end together: what the end of one shows of the others.
//!
//! spice-server closes all channels of a session with its main channel. A peer that vanished answers no FIN, and a kernel that gives up on it sends no packet,
//! so the end of such a channel is not on the wire. It shows in its siblings:
//!
//! | seen | follows |
//! | --- | --- |
//! | the main channel ended, another channel of the session is still open [`PATIENCE`] later | the other channel ended with it |
//! | the server ended another channel first, and the main channel has unanswered retransmissions | the main channel timed out, and took the other one along |
//! | another session's main channel is up at the same server, and the old one had no packet since, for [`TAKE_OVER`] | the new session took the server over |

use crate::{
    packet::Endpoint,
    tcp::{Gone, Side},
};
use foldhash::fast::RandomState;
use spice_events::{Channel, Endpoints, FlowId, Timestamp, spice_link::ChannelType};
use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

/// How long after a channel's end the others have time to end by a packet of their own.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long a session's main channel has no packet after another session began, until that was a take-over. A server that serves both sends a ping every
/// 15 seconds.
const TAKE_OVER: Duration = Duration::from_secs(60);
/// Main channels of one server that are compared. More of them show that it serves several sessions at once.
const MAX_MAINS: usize = 16;
/// Ends that wait for their siblings. Beyond, the oldest are decided early.
const MAX_SUSPECTS: usize = 4096;

/// A session, by its server and its connection id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Session {
    server: Endpoint,
    id: i32,
}

/// An open connection.
#[derive(Clone, Copy, Debug)]
struct Member {
    endpoints: Endpoints<Endpoint>,
    session: Option<Session>,
    is_main: bool,
}

/// The end of a channel whose siblings are still open.
#[derive(Clone, Copy, Debug)]
struct Suspect {
    at: Timestamp,
    session: Session,
    main_ended: bool,
}

/// A main channel that came up while others of its server were.
#[derive(Clone, Copy, Debug)]
struct TakeOver {
    at: Timestamp,
    server: Endpoint,
    by: FlowId,
}

/// Open connections and their sessions.
#[derive(Debug, Default)]
pub(super) struct Siblings {
    members: HashMap<FlowId, Member, RandomState>,
    sessions: HashMap<Session, Vec<FlowId>, RandomState>,
    suspects: VecDeque<Suspect>,
    /// Main channels by their servers, in the order in which they came up.
    mains: HashMap<Endpoint, Vec<FlowId>, RandomState>,
    take_overs: VecDeque<TakeOver>,
    /// Connections that have ended without a packet.
    gone: Vec<Gone>,
    /// There may be something in `suspects`, `take_overs` or `gone`. Most packets find nothing, and look at this alone.
    waits: bool,
}

impl Siblings {
    pub(super) fn opened(&mut self, flow: FlowId, endpoints: Endpoints<Endpoint>) {
        self.members.insert(flow, Member { endpoints, session: None, is_main: false });
    }

    /// A channel is up.
    pub(super) fn initialized(&mut self, flow: FlowId, channel: Channel, at: Timestamp) {
        let Some(member) = self.members.get_mut(&flow) else { return };
        member.is_main = channel.channel_type == ChannelType::MAIN;
        if member.is_main {
            let server = member.endpoints.server;
            let mains = self.mains.entry(server).or_default();
            if (1..MAX_MAINS).contains(&mains.len()) {
                self.take_overs.push_back(TakeOver { at, server, by: flow });
                self.waits = true;
            }
            mains.push(flow);
        }
        // An id that never became known says nothing.
        if channel.connection_id == 0 {
            return;
        }
        let session = Session { server: member.endpoints.server, id: channel.connection_id };
        member.session = Some(session);
        self.sessions.entry(session).or_default().push(flow);
    }

    /// A connection has ended.
    pub(super) fn closed(&mut self, flow: FlowId, at: Timestamp, by: Option<Side>) {
        let Some((session, is_main)) = self.remove(flow) else { return };
        if self.sessions.contains_key(&session) && (is_main || by == Some(Side::Server)) {
            self.suspects.push_back(Suspect { at, session, main_ended: is_main });
            self.waits = true;
        }
    }

    /// Nothing more of a connection will be seen.
    pub(super) fn forget(&mut self, flow: FlowId) {
        self.remove(flow);
    }

    /// How many connections are open.
    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    /// The next connection that has ended without a packet, as far as the time tells.
    #[inline]
    pub(super) fn gone(&mut self, now: Timestamp) -> Option<Gone> {
        if self.waits { self.next(now) } else { None }
    }

    #[inline(never)]
    fn next(&mut self, now: Timestamp) -> Option<Gone> {
        self.waits = !self.suspects.is_empty() || !self.take_overs.is_empty() || !self.gone.is_empty();
        while self.gone.is_empty() {
            let Some(suspect) = self.suspects.front().copied() else { return self.taken_over(now) };
            if self.suspects.len() <= MAX_SUSPECTS && !is_later(now, suspect.at, PATIENCE) {
                return self.taken_over(now);
            }
            self.suspects.pop_front();
            let flows = self.sessions.get(&suspect.session).into_iter().flatten();
            let members = flows.filter_map(|flow| self.members.get(flow));
            let concerned = members.filter(|member| suspect.main_ended || member.is_main);
            self.gone.extend(concerned.map(|member| Gone {
                endpoints: member.endpoints,
                at: suspect.at,
                only_unanswered: !suspect.main_ended,
                only_silent: false,
            }));
        }
        self.gone.pop()
    }

    /// The next main channel that another one may have replaced.
    fn taken_over(&mut self, now: Timestamp) -> Option<Gone> {
        while self.gone.is_empty() {
            let TakeOver { at, server, by } = *self.take_overs.front()?;
            if self.take_overs.len() <= MAX_SUSPECTS && !is_later(now, at, TAKE_OVER) {
                return None;
            }
            self.take_overs.pop_front();
            let older = self.mains.get(&server).into_iter().flatten().take_while(|main| **main != by);
            let members = older.filter_map(|main| self.members.get(main));
            self.gone.extend(members.map(|member| Gone {
                endpoints: member.endpoints,
                at,
                only_unanswered: false,
                only_silent: true,
            }));
        }
        self.gone.pop()
    }

    fn remove(&mut self, flow: FlowId) -> Option<(Session, bool)> {
        let Member { session, is_main, endpoints } = self.members.remove(&flow)?;
        if is_main && let Some(mains) = self.mains.get_mut(&endpoints.server) {
            mains.retain(|other| *other != flow);
            if mains.is_empty() {
                self.mains.remove(&endpoints.server);
            }
        }
        let session = session?;
        if let Some(flows) = self.sessions.get_mut(&session) {
            flows.retain(|other| *other != flow);
            if flows.is_empty() {
                self.sessions.remove(&session);
            }
        }
        Some((session, is_main))
    }
}

/// Whether so much time has passed.
fn is_later(now: Timestamp, since: Timestamp, patience: Duration) -> bool {
    let microseconds = |at: Timestamp| at.seconds.saturating_mul(1_000_000).saturating_add(at.microseconds);
    u128::try_from(microseconds(now).saturating_sub(microseconds(since)))
        .is_ok_and(|passed| passed >= patience.as_micros())
}
