//! A command and its reply in a QMP session.

use std::hint::black_box;

use qmp_server::{Command, Object, Service, Session, Version};

use crate::Row;

/// A command that clients use to poll QEMU.
const COMMAND: &[u8] = b"{\"execute\": \"query-status\", \"id\": 7}\r\n";
const REPLY: &[u8] = b"{\"return\": {\"status\": \"running\", \"running\": true}, \"id\": 7}\r\n";

/// Reads the bytes of the command and writes the bytes of the reply.
pub(crate) fn round_trip() -> Row {
    let status = |_: &Object<'static>| Ok(Object::new().with("status", "running").with("running", true));
    let service =
        Service::builder(Version::new(10, 2, 0, "benches")).command(Command::new("query-status", status)).build();
    let mut session = Session::new(&service);
    _ = session.receive(b"{\"execute\": \"qmp_capabilities\"}\r\n");
    while session.poll_output().is_some() {}
    Row::new("a command through a QMP session").by("qmp-server", move || {
        assert_eq!(session.receive(black_box(COMMAND)), COMMAND.len());
        let reply = session.poll_output();
        assert_eq!(reply.as_deref(), Some(REPLY));
        reply
    })
}
