//! The state of the whole process, for its operator: `__org.spicewatch_query-relay` on each QMP socket.

use std::sync::Arc;

use qmp_server::{
    Command, Object,
    schema::{Struct, Type},
};
use spice_relay::connection::ConnectionLimit;
use tokio::runtime::Handle;

use crate::outputs::logging::Log;

/// What the command reports about.
#[derive(Clone, Debug)]
pub(super) struct Status {
    pub(super) limit: Arc<ConnectionLimit>,
    pub(super) log: Log,
    /// The runtime that moves bytes. It has a task for each connection, and a few for each listener.
    pub(super) data: Handle,
}

impl Status {
    /// The command. QAPI wants names that are not QEMU's to begin with `__` and a domain.
    pub(super) fn command(self) -> Command {
        let all = Struct::new()
            .required("connections", Type::Int)
            .required("refused", Type::Int)
            .required("tasks", Type::Int)
            .required("log-lines-lost", Type::Int);
        Command::new("__org.spicewatch_query-relay", move |_| {
            let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
            let answer = Object::new()
                .with("connections", count(self.limit.open()))
                .with("refused", count(self.limit.refused()))
                .with("tasks", count(self.data.metrics().num_alive_tasks()))
                .with("log-lines-lost", i64::try_from(self.log.lost()).unwrap_or(i64::MAX));
            Ok(answer)
        })
        .returns(all)
    }
}
