//! What was handed in of each connection, and what may be said of it.

use std::collections::HashMap;

use spice_events::{AnomalyKind, Auth, Channel, ChannelEvent, EventKind, Output, Timestamp, Tracker};
use spice_link::Side;

use super::{Op, SERVER_PORT};
use spice_conformance::{Judgement, judge};

/// The connections that are open, each by its number.
#[derive(Debug)]
pub(super) struct Lifecycles {
    auth: Option<Auth>,
    open: HashMap<u64, Lifecycle>,
    /// Those whose channel is up, the oldest first.
    up: Vec<u64>,
}

/// One connection.
#[derive(Debug)]
struct Lifecycle {
    opened: Timestamp,
    tls: bool,
    /// What the client and the server have sent, less what was lost.
    streams: [Vec<u8>; 2],
    /// Where the client's bytes were first lost.
    cut: Option<usize>,
    leaked: bool,
}

impl Lifecycles {
    /// Of a tracker that is told this.
    pub(super) fn new(auth: Option<Auth>) -> Self {
        Self { auth, open: HashMap::new(), up: Vec::new() }
    }

    /// This is about to be handed in.
    pub(super) fn before(&mut self, op: &Op) {
        if let Op::Bytes(flow, from, data) = op
            && let Some(life) = self.open.get_mut(flow)
        {
            life.streams[usize::from(*from == Side::Server)].extend(data);
        }
        if let Op::Gap(flow, Side::Client, 1..) = op
            && let Some(life) = self.open.get_mut(flow)
        {
            life.cut.get_or_insert(life.streams[0].len());
        }
    }

    /// This was said of it.
    pub(super) fn hear(&mut self, now: Timestamp, op: &Op, output: &Output) {
        match output {
            Output::Event(event) => self.event(now, op, event),
            Output::Anomaly(anomaly) => {
                assert_eq!(anomaly.at, now);
                let life = self.open.get_mut(&anomaly.flow.0);
                let life = life.unwrap_or_else(|| panic!("{:?} of no connection", anomaly.kind));
                life.leaked |= anomaly.kind == AnomalyKind::Leaked;
            }
        }
    }

    /// All was said of it: a connection that ends is gone, and what the tracker lists is what is up.
    pub(super) fn after(&mut self, op: &Op, tracker: &Tracker) {
        if let Op::Close(flow, _) = op
            && let Some(life) = self.open.remove(flow)
        {
            assert!(life.leaked, "closed, and no word of it: {op:?}");
        }
        assert_eq!(tracker.len(), self.open.len(), "the tracker forgot a connection, or keeps one that ended");
        let channels = tracker.channels();
        assert_eq!(channels.len(), self.up.len(), "the list of channels and the events differ");
        for (live, flow) in channels.iter().zip(&self.up) {
            let channel = live.info();
            assert_eq!(live.flow.0, *flow, "the list's order");
            assert_eq!((&*channel.port, channel.tls), (&*flow.to_string(), self.open[flow].tls), "the list's order");
        }
    }

    fn event(&mut self, now: Timestamp, op: &Op, event: &ChannelEvent) {
        let flow = event.flow.0;
        let line = event.to_string();
        assert!(line.is_ascii() && line.ends_with('}'), "{}", line.escape_debug());
        let ends = line.split_once("\"client\": ").unwrap_or_default();
        assert!(ends.0.contains(&format!("\"port\": \"{SERVER_PORT}\"")), "{line}");
        assert!(ends.1.contains(&format!("\"port\": \"{flow}\"")), "{line}");
        match event.kind {
            EventKind::Connected => {
                let Op::Open { flow: opened, tls, .. } = *op else { panic!("connected by {op:?}") };
                assert_eq!((flow, event.at), (opened, now));
                let life = Lifecycle { opened: now, tls, streams: [Vec::new(), Vec::new()], cut: None, leaked: false };
                // A leaked socket's end is never said; its number may be used again all the same.
                assert!(self.open.insert(flow, life).is_none_or(|before| before.leaked), "connected twice");
            }
            EventKind::Initialized(channel) => {
                assert!(!self.up.contains(&flow), "initialized twice");
                let Some(life) = self.open.get(&flow) else { panic!("initialized before it was connected") };
                assert!(life.opened <= event.at && event.at <= now, "{:?} to {now:?}: {line}", life.opened);
                self.is_right(life, channel);
                let shown = [
                    format!("\"connection-id\": {}", channel.connection_id),
                    format!("\"channel-type\": {}", channel.channel_type.0),
                    format!("\"channel-id\": {}", channel.channel_id),
                    format!("\"tls\": {}", life.tls),
                    format!("\"auth\": \"{}\"", channel.auth.name()),
                ];
                for member in &shown {
                    let is_whole = |rest: &str| rest.starts_with([',', '}']);
                    assert!(line.split_once(member).is_some_and(|(_, rest)| is_whole(rest)), "{member}: {line}");
                }
                self.up.push(flow);
            }
            EventKind::Disconnected => {
                assert_eq!(event.at, now);
                let Some(life) = self.open.remove(&flow) else { panic!("disconnected before it was connected") };
                assert!(!life.leaked, "a leaked socket has no end");
                self.up.retain(|up| *up != flow);
            }
        }
    }

    /// Whether the channel is the one that the client asked for, by the bytes themselves.
    fn is_right(&self, life: &Lifecycle, channel: Channel) {
        assert!(self.auth.is_none_or(|auth| auth == channel.auth), "{channel:?}");
        let [client, server] = &life.streams;
        // Frames are read elsewhere.
        if client.starts_with(b"GET ") {
            return;
        }
        // Of a message whose end was lost, header, session, type and id are enough.
        let start = life.cut.is_some_and(|cut| cut >= 22) && client.starts_with(b"REDQ\x02\0\0\0");
        assert!(start || matches!(judge(client), Judgement::Accepted { .. }), "{channel:?} of no message");
        assert_eq!([channel.channel_type.0, channel.channel_id], client[20..22], "{channel:?}");
        let id = channel.connection_id.to_le_bytes();
        if channel.channel_type.0 != 1 || client[16..20] != [0; 4] {
            assert_eq!(id, client[16..20], "{channel:?}");
        } else if channel.connection_id != 0 {
            // A fresh session's id comes from its server, or from a client that has it from there.
            let mut others = self.open.values().map(|life| &life.streams[0]);
            let told = server.windows(4).any(|word| word == id);
            assert!(
                told || others.any(|said| said.starts_with(b"GET ") || said.get(16..20) == Some(&id)),
                "{channel:?}"
            );
        }
    }
}
