//! Compares event lines: those of a program with those that QEMU sent for the same connections.
//!
//! Only the timestamp may differ, and even that must be spelled as QEMU spells it. Everything from `"event"` on is
//! compared as bytes: member order, separators and escapes included. So a line that agrees equals QEMU's byte for byte
//! once it is given QEMU's timestamp.

use std::collections::BTreeMap;

/// One event line, without its line end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventLine<'a> {
    /// Whole seconds of its timestamp.
    pub seconds: i64,
    /// Microseconds of its timestamp.
    pub microseconds: u32,
    /// The rest of the line, from `"event"` on.
    pub body: &'a str,
}

impl<'a> EventLine<'a> {
    /// Reads a line that starts with a timestamp exactly as QEMU writes it.
    pub fn parse(line: &'a str) -> Option<Self> {
        let rest = line.strip_prefix("{\"timestamp\": {\"seconds\": ")?;
        let (seconds, rest) = rest.split_once(", \"microseconds\": ")?;
        let (microseconds, body) = rest.split_once("}, ")?;
        let (seconds, microseconds) = (seconds.parse().ok()?, microseconds.parse().ok()?);
        let event = Self { seconds, microseconds, body };
        (event.microseconds < 1_000_000 && event.to_line() == line).then_some(event)
    }

    /// The line as QEMU writes it.
    pub fn to_line(&self) -> String {
        let Self { seconds, microseconds, body } = self;
        format!("{{\"timestamp\": {{\"seconds\": {seconds}, \"microseconds\": {microseconds}}}, {body}")
    }

    /// The event's name.
    pub fn name(&self) -> &'a str {
        between(self.body, "\"event\": \"", "\"").unwrap_or_default()
    }

    /// The two ends of the event's connection: server host and port, client host and port.
    pub fn connection(&self) -> Option<[&'a str; 4]> {
        let (server, client) = self.body.split_once("\"client\": ")?;
        let field = |of: &'a str, name: &str| between(of, name, "\"");
        let (host, port) = ("\"host\": \"", "\"port\": \"");
        Some([field(server, host)?, field(server, port)?, field(client, host)?, field(client, port)?])
    }

    /// The body with `_` for every address: what two observers of one connection have to agree on, who each name the
    /// socket that they themselves accepted.
    pub fn without_addresses(&self) -> String {
        let mut out = String::new();
        let mut rest = self.body;
        while let Some((name, at)) = ["\"host\": \"", "\"port\": \"", "\"family\": \""]
            .iter()
            .filter_map(|name| Some((name, rest.find(name)?)))
            .min_by_key(|found| found.1)
        {
            let (before, value) = rest.split_at(at + name.len());
            out.push_str(before);
            out.push('_');
            rest = value.find('"').map_or("", |end| &value[end..]);
        }
        out + rest
    }
}

/// All events of one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection<'a> {
    /// The port of its client; empty for a unix socket.
    pub client_port: &'a str,
    /// Its events, in order.
    pub events: Vec<EventLine<'a>>,
}

impl Connection<'_> {
    /// Each event without its addresses and time.
    pub fn said(&self) -> Vec<String> {
        self.events.iter().map(EventLine::without_addresses).collect()
    }

    /// Whether the connection has ended.
    pub fn is_over(&self) -> bool {
        self.events.last().is_some_and(|event| event.name() == "SPICE_DISCONNECTED")
    }
}

/// Sorts event lines by connection, in the order in which the connections began. Lines that are no SPICE events are left out.
///
/// A port that is used again belongs to another connection. Clients of unix sockets have no port: which of several open connections
/// an event belongs to is then a guess from the order of events.
pub fn connections<'a>(lines: impl IntoIterator<Item = &'a str>) -> Vec<Connection<'a>> {
    let mut found: Vec<Connection<'a>> = Vec::new();
    for event in lines.into_iter().filter_map(EventLine::parse) {
        let Some([_, _, _, client_port]) = event.connection() else { continue };
        let same = |connection: &&mut Connection<'_>| {
            let takes = connection.events.last().is_some_and(|last| match event.name() {
                "SPICE_INITIALIZED" => last.name() == "SPICE_CONNECTED",
                "SPICE_DISCONNECTED" => last.name() != "SPICE_DISCONNECTED",
                _ => false,
            });
            connection.client_port == client_port && takes
        };
        match found.iter_mut().rev().find(same) {
            Some(connection) => connection.events.push(event),
            None => found.push(Connection { client_port, events: vec![event] }),
        }
    }
    found
}

/// Describes how two sets of event lines disagree. The list is empty if they agree.
///
/// Per connection, the same events in the same order with the same bytes, timestamps aside, and nothing more. Nothing is
/// asked of the order between connections. A connection's ends may be used again: its events follow one another.
///
/// `unended`: the server quit, so QEMU's lines may lack the `SPICE_DISCONNECTED` of connections that ended.
pub fn disagreements<'a>(
    ours: impl IntoIterator<Item = &'a str>,
    qemu: impl IntoIterator<Item = &'a str>,
    unended: bool,
) -> Vec<String> {
    let mut found = Vec::new();
    let (ours, qemu) = (by_connection(ours, "ours", &mut found), by_connection(qemu, "qemu", &mut found));
    let mut connections: Vec<_> = ours.keys().chain(qemu.keys()).collect();
    connections.sort_unstable();
    connections.dedup();
    for connection in connections {
        let ours = ours.get(connection).map_or(&[][..], Vec::as_slice);
        let qemu = qemu.get(connection).map_or(&[][..], Vec::as_slice);
        let forgiven = unended
            && matches!(ours.split_last(), Some((last, before)) if last.name() == "SPICE_DISCONNECTED" && same(before, qemu));
        if !same(ours, qemu) && !forgiven {
            let [server_host, server_port, client_host, client_port] = connection;
            found.push(format!(
                "{client_host} {client_port} -> {server_host} {server_port}:\n  ours:\n{}  qemu:\n{}",
                shown(ours),
                shown(qemu)
            ));
        }
    }
    found
}

/// QEMU's lines as far as an observer without keys can know them from the bytes on the wire:
///
/// - A channel inside TLS shows its connection's start and end; its `SPICE_INITIALIZED` is left out.
/// - A main channel behind a SASL security layer hides the id that the server drew for it. Where no other channel of its
///   session shows it, the id is 0.
pub fn observable<'a>(qemu: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let lines: Vec<&str> = qemu.into_iter().filter(|line| !line.contains("\"tls\": true")).collect();
    let is_main = |line: &str| line.contains("\"channel-type\": 1,");
    let id_of = |line: &'a str| between(line, "\"connection-id\": ", ",");
    let told: Vec<_> = lines.iter().filter(|line| !is_main(line)).filter_map(|line| id_of(line)).collect();
    let known = |line: &'a str| match id_of(line) {
        Some(id) if is_main(line) && line.contains("\"auth\": \"sasl\"") && !told.contains(&id) => {
            line.replace(&format!("\"connection-id\": {id},"), "\"connection-id\": 0,")
        }
        _ => line.to_owned(),
    };
    lines.into_iter().map(known).collect()
}

type ByConnection<'a> = BTreeMap<[&'a str; 4], Vec<EventLine<'a>>>;

fn by_connection<'a>(
    lines: impl IntoIterator<Item = &'a str>,
    whose: &str,
    found: &mut Vec<String>,
) -> ByConnection<'a> {
    let mut map = ByConnection::new();
    for line in lines {
        match EventLine::parse(line).and_then(|event| Some((event.connection()?, event))) {
            Some((connection, event)) => map.entry(connection).or_default().push(event),
            None => found.push(format!("{whose}: not an event line as QEMU writes it: {line}")),
        }
    }
    map
}

fn same(ours: &[EventLine<'_>], qemu: &[EventLine<'_>]) -> bool {
    ours.iter().map(|event| event.body).eq(qemu.iter().map(|event| event.body))
}

fn shown(events: &[EventLine<'_>]) -> String {
    events.iter().flat_map(|event| ["    ".to_owned(), event.to_line(), "\n".to_owned()]).collect()
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    text.split_once(before)?.1.split(after).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONNECTED: &str = r#"{"timestamp": {"seconds": 1795370794, "microseconds": 96984}, "event": "SPICE_CONNECTED", "data": {"server": {"port": "5930", "family": "ipv4", "host": "127.0.0.1"}, "client": {"port": "58500", "family": "ipv4", "host": "127.0.0.1"}}}"#;

    fn compare(ours: &[&str], qemu: &[&str], unended: bool) -> usize {
        disagreements(ours.iter().copied(), qemu.iter().copied(), unended).len()
    }

    #[test]
    fn a_line_is_read_and_written_as_it_was() {
        let event = EventLine::parse(CONNECTED).unwrap();
        assert_eq!((event.seconds, event.microseconds, event.name()), (1_795_370_794, 96_984, "SPICE_CONNECTED"));
        assert_eq!(event.connection().unwrap(), ["127.0.0.1", "5930", "127.0.0.1", "58500"]);
        assert_eq!(event.to_line(), CONNECTED);
    }

    #[test]
    fn another_time_is_no_disagreement_and_anything_else_is() {
        let ended = CONNECTED.replace("_CONNECTED", "_DISCONNECTED");
        let later = CONNECTED.replace("1795370794", "1795370795");
        assert_eq!(compare(&[CONNECTED, &ended], &[&later, &ended], false), 0);
        assert_eq!(compare(&[CONNECTED, CONNECTED], &[CONNECTED], false), 1);
        assert_eq!(compare(&[], &[CONNECTED], false), 1);
        assert_eq!(compare(&[&ended, CONNECTED], &[CONNECTED, &ended], false), 1);
        assert_eq!(compare(&[&CONNECTED.replace("ipv4", "ipv6")], &[CONNECTED], false), 1);
        assert_eq!(compare(&[&CONNECTED.replace("58500", "58501")], &[CONNECTED], false), 2);
        assert_eq!(compare(&[&CONNECTED.replace("\": ", "\":")], &[CONNECTED], false), 2);
        assert_eq!(compare(&[&CONNECTED.replace("96984", "096984")], &[CONNECTED], false), 2);
    }

    #[test]
    fn lines_are_sorted_by_connection_and_a_port_may_come_again() {
        let line = |name: &str, port: &str| CONNECTED.replace("_CONNECTED", name).replace("58500", port);
        let lines = [
            line("_CONNECTED", "1"),
            line("_CONNECTED", "2"),
            line("_DISCONNECTED", "1"),
            line("_CONNECTED", "1"),
            line("_INITIALIZED", "2"),
            line("_DISCONNECTED", "1"),
        ];
        let found = connections(lines.iter().map(String::as_str));
        let seen: Vec<_> = found.iter().map(|one| (one.client_port, one.events.len(), one.is_over())).collect();
        assert_eq!(seen, [("1", 2, true), ("2", 2, false), ("1", 2, true)]);
        assert_eq!(
            found[0].said()[0],
            r#""event": "SPICE_CONNECTED", "data": {"server": {"port": "_", "family": "_", "host": "_"}, "client": {"port": "_", "family": "_", "host": "_"}}}"#
        );
    }

    #[test]
    fn what_is_hidden_is_not_expected() {
        let line = |auth: &str, channel_type: u8, id: i32, tls: bool| {
            format!(
                "{{\"auth\": \"{auth}\", \"channel-type\": {channel_type}, \"connection-id\": {id}, \"tls\": {tls}}}"
            )
        };
        let lines = [
            line("sasl", 1, -7, false),
            line("sasl", 3, -7, false),
            line("sasl", 1, 8, false),
            line("spice", 1, 9, false),
            line("spice", 1, 9, true),
        ];
        let seen = observable(lines.iter().map(String::as_str));
        let expected = [&lines[0], &lines[1], &line("sasl", 1, 0, false), &lines[3]];
        assert_eq!(seen.iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn only_a_missing_end_is_forgiven_when_the_server_quit() {
        let ended = CONNECTED.replace("_CONNECTED", "_DISCONNECTED");
        let up = CONNECTED.replace("_CONNECTED", "_INITIALIZED");
        assert_eq!(compare(&[CONNECTED, &ended], &[CONNECTED], true), 0);
        assert_eq!(compare(&[CONNECTED, &ended], &[CONNECTED, &up], true), 1);
        assert_eq!(compare(&[CONNECTED], &[CONNECTED, &ended], true), 1);
    }
}
