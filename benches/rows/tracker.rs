//! Connections through the tracker.

use std::{
    hint::black_box,
    net::{IpAddr, Ipv4Addr},
};

use spice_events::{Address, Config, Endpoints, FlowId, Input, Output, Side, Timestamp, Tracker};
use spice_link::ChannelType;

use crate::{
    Row,
    bytes::{mechanism_and_ticket, mess, reply, result_and_main_init},
};

/// The whole life of a main channel: addresses from a socket's address, eight inputs, three events, each written as a line.
pub(crate) fn channel() -> Row {
    let mut channels = Channels::new();
    let mut lines = Vec::with_capacity(1024);
    Row::new("a channel through the tracker").by("spice-events", move || {
        let flow = channels.link();
        channels.close(flow);
        lines.clear();
        let events = channels.write_events(&mut lines);
        assert_eq!(events, 3);
        black_box(lines.as_slice()).len()
    })
}

/// A tracker, and the bytes of peers for any number of main channels.
#[derive(Debug)]
pub struct Channels {
    tracker: Tracker,
    opened: u32,
    at: Timestamp,
    mess: [u8; 42],
    reply: [u8; 202],
    auth: [u8; 132],
}

impl Channels {
    /// Makes a tracker without channels.
    pub fn new() -> Self {
        Self {
            tracker: Tracker::new(Config::new()),
            opened: 0,
            at: Timestamp { seconds: 1_795_370_794, microseconds: 696_984 },
            mess: mess(0, ChannelType::MAIN, 0),
            reply: reply(),
            auth: mechanism_and_ticket(),
        }
    }

    /// Makes a tracker with this many live channels. All their events have been taken.
    pub fn full(size: u64) -> Self {
        let mut channels = Self::new();
        let mut lines = Vec::new();
        for _ in 0..size {
            channels.link();
            lines.clear();
            channels.write_events(&mut lines);
        }
        channels
    }

    /// Opens one more channel, and closes the oldest one of a window of this size: three events.
    pub fn replace(&mut self, size: u64, lines: &mut Vec<u8>) -> usize {
        let newest = self.link();
        self.close(FlowId(newest.0 - size));
        lines.clear();
        self.write_events(lines)
    }

    /// The length of the addresses of the first channels as text, in bytes.
    pub fn address_text(size: u64) -> u64 {
        (1..=size)
            .map(|number| client(number.try_into().unwrap_or(u32::MAX)))
            .map(|client| text(&client) + text(&server()))
            .sum()
    }

    /// Opens one more channel, from accept to `SPICE_INITIALIZED`, with a new session and a new client address. The bytes
    /// arrive in the same pieces as from spice-server and spice-gtk.
    pub fn link(&mut self) -> FlowId {
        self.opened += 1;
        let flow = FlowId(self.opened.into());
        let (server, client) = (server(), client(self.opened));
        self.tracker.handle(
            self.at,
            flow,
            Input::Opened { endpoints: Endpoints { server, client }, tls: false, readable: true },
        );
        let result = result_and_main_init(self.opened.wrapping_mul(0x9e37_79b9));
        for (from, data) in [
            (Side::Client, &self.mess[..]),
            (Side::Server, &self.reply[..194]),
            (Side::Server, &self.reply[194..198]),
            (Side::Server, &self.reply[198..]),
            (Side::Client, &self.auth[..]),
            (Side::Server, &result[..]),
        ] {
            self.tracker.handle(self.at, flow, Input::Bytes { from, data: black_box(data) });
        }
        flow
    }

    /// Passes bytes of a channel after its link stage.
    pub fn stream(&mut self, flow: FlowId, data: &[u8]) {
        self.tracker.handle(self.at, flow, Input::Bytes { from: Side::Server, data });
    }

    /// Closes the connection.
    pub fn close(&mut self, flow: FlowId) {
        self.tracker.handle(self.at, flow, Input::Closed { by: Some(Side::Client) });
    }

    /// Writes all events of the tracker and returns their number.
    pub fn write_events(&mut self, lines: &mut Vec<u8>) -> usize {
        let mut events = 0;
        while let Some(output) = self.tracker.poll() {
            if let Output::Event(event) = output {
                event.write_to(lines);
                lines.extend_from_slice(b"\r\n");
                events += 1;
            }
        }
        events
    }

    /// The number of open connections.
    pub fn len(&self) -> usize {
        self.tracker.len()
    }

    /// Whether no connection is open.
    pub fn is_empty(&self) -> bool {
        self.tracker.is_empty()
    }
}

fn server() -> Address {
    (IpAddr::from(Ipv4Addr::LOCALHOST), 5900).into()
}

fn client(number: u32) -> Address {
    let [_, a, b, c] = number.to_be_bytes();
    (IpAddr::from([10, a, b, c]), 40_000).into()
}

fn text(address: &Address) -> u64 {
    (address.host.len() + address.port.len()) as u64
}

impl Default for Channels {
    fn default() -> Self {
        Self::new()
    }
}
