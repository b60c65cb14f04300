//! How the whole process is doing, for whoever runs it: `__org.spicewatch_query-relay` on each QMP socket.

use std::sync::Arc;

use qmp_server::{
    Command, Object,
    schema::{Struct, Type},
};
use tokio::runtime::Handle;

use super::{gate::Gate, logging::Log};

/// What there is to know.
#[derive(Clone, Debug)]
pub(super) struct Status {
    pub(super) gate: Arc<Gate>,
    pub(super) log: Log,
    /// The runtime that moves bytes: a task a connection, and a few for each listener.
    pub(super) data: Handle,
}

impl Status {
    /// The command, in QAPI's form for what is not QEMU's.
    pub(super) fn command(self) -> Command {
        let all = Struct::new()
            .required("connections", Type::Int)
            .required("refused", Type::Int)
            .required("tasks", Type::Int)
            .required("log-lines-lost", Type::Int);
        Command::new("__org.spicewatch_query-relay", move |_| {
            let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
            let answer = Object::new()
                .with("connections", count(self.gate.open()))
                .with("refused", count(self.gate.refused()))
                .with("tasks", count(self.data.metrics().num_alive_tasks()))
                .with("log-lines-lost", i64::try_from(self.log.lost()).unwrap_or(i64::MAX));
            Ok(answer)
        })
        .returns(all)
    }
}
