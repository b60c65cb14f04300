//! Channels of one session end together: what the end of one shows of the others.
//!
//! spice-server closes all channels of a session with its main channel. A peer that vanished answers no FIN, and a kernel that gives up on it sends no packet,
//! so the end of such a channel is not on the wire. It shows in its siblings:
//!
//! | seen | follows |
//! | --- | --- |
//! | the main channel ended, another channel of the session is still open [`PATIENCE`] later | the other channel ended with it |
//! | the server ended another channel first, and the main channel has unanswered retransmissions | the main channel timed out, and took the other one along |

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

/// Open connections and their sessions.
#[derive(Debug, Default)]
pub(super) struct Siblings {
    members: HashMap<FlowId, Member, RandomState>,
    sessions: HashMap<Session, Vec<FlowId>, RandomState>,
    suspects: VecDeque<Suspect>,
    /// Connections that have ended without a packet.
    gone: Vec<Gone>,
}

impl Siblings {
    pub(super) fn opened(&mut self, flow: FlowId, endpoints: Endpoints<Endpoint>) {
        self.members.insert(flow, Member { endpoints, session: None, is_main: false });
    }

    /// A channel is up.
    pub(super) fn initialized(&mut self, flow: FlowId, channel: Channel) {
        let Some(member) = self.members.get_mut(&flow) else { return };
        // An id that never became known says nothing.
        if channel.connection_id == 0 {
            return;
        }
        let session = Session { server: member.endpoints.server, id: channel.connection_id };
        member.session = Some(session);
        member.is_main = channel.channel_type == ChannelType::MAIN;
        self.sessions.entry(session).or_default().push(flow);
    }

    /// A connection has ended.
    pub(super) fn closed(&mut self, flow: FlowId, at: Timestamp, by: Option<Side>) {
        let Some((session, is_main)) = self.remove(flow) else { return };
        if self.sessions.contains_key(&session) && (is_main || by == Some(Side::Server)) {
            self.suspects.push_back(Suspect { at, session, main_ended: is_main });
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
        if self.suspects.is_empty() && self.gone.is_empty() { None } else { self.next(now) }
    }

    #[inline(never)]
    fn next(&mut self, now: Timestamp) -> Option<Gone> {
        while self.gone.is_empty() {
            let suspect = *self.suspects.front()?;
            if self.suspects.len() <= MAX_SUSPECTS && !is_later(now, suspect.at) {
                return None;
            }
            self.suspects.pop_front();
            let flows = self.sessions.get(&suspect.session).into_iter().flatten();
            let members = flows.filter_map(|flow| self.members.get(flow));
            let concerned = members.filter(|member| suspect.main_ended || member.is_main);
            self.gone.extend(concerned.map(|member| Gone {
                endpoints: member.endpoints,
                at: suspect.at,
                only_unanswered: !suspect.main_ended,
            }));
        }
        self.gone.pop()
    }

    fn remove(&mut self, flow: FlowId) -> Option<(Session, bool)> {
        let Member { session, is_main, .. } = self.members.remove(&flow)?;
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

/// Whether [`PATIENCE`] is over.
fn is_later(now: Timestamp, since: Timestamp) -> bool {
    let microseconds = |at: Timestamp| at.seconds.saturating_mul(1_000_000).saturating_add(at.microseconds);
    u128::try_from(microseconds(now).saturating_sub(microseconds(since)))
        .is_ok_and(|passed| passed >= PATIENCE.as_micros())
}
