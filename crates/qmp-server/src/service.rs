//! What a server offers: a version, commands, events, limits. One, shared by all its sessions.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use qmp_schema::{Capability, Encode as _, EventInfo, Greeting};

use crate::command::Handler;
use crate::introspect;
use crate::schema::{Struct, Type};
use crate::{Command, Dialect, Limits, Object, Reply, Value, Version};

/// What every session of a server offers. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Service {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    greeting: Bytes,
    /// The answers to `query-commands` and `query-qmp-schema`, which never change.
    names: Bytes,
    schema: Bytes,
    oob: bool,
    limits: Limits,
    dialect: Dialect,
    commands: HashMap<Cow<'static, str>, Command>,
}

impl Service {
    /// Starts with QEMU's built-in commands: `qmp_capabilities`, `query-version`, `query-commands`, `query-qmp-schema`.
    pub fn builder(version: Version<'static>) -> ServiceBuilder {
        let commands = built_in(&version);
        let dialect = Dialect::of(&version);
        ServiceBuilder { version, oob: true, limits: Limits::default(), dialect, commands, events: Vec::new() }
    }

    /// The first line of every connection, CRLF included.
    pub(crate) fn greeting(&self) -> &Bytes {
        &self.inner.greeting
    }

    pub(crate) fn names(&self) -> &Bytes {
        &self.inner.names
    }

    pub(crate) fn schema(&self) -> &Bytes {
        &self.inner.schema
    }

    pub(crate) fn offers_oob(&self) -> bool {
        self.inner.oob
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.inner.limits
    }

    pub(crate) fn dialect(&self) -> Dialect {
        self.inner.dialect
    }

    pub(crate) fn command(&self, name: &str) -> Option<&Command> {
        self.inner.commands.get(name)
    }
}

/// Builds a [`Service`].
#[derive(Debug)]
pub struct ServiceBuilder {
    version: Version<'static>,
    oob: bool,
    limits: Limits,
    dialect: Dialect,
    commands: Vec<Command>,
    events: Vec<(Cow<'static, str>, Struct)>,
}

impl ServiceBuilder {
    /// Offers a command, and replaces one of the same name. `qmp_capabilities` belongs to the session and can't be replaced.
    #[must_use]
    pub fn command(mut self, command: Command) -> Self {
        if command.name != NEGOTIATE {
            self.commands.retain(|other| other.name != command.name);
            self.commands.push(command);
        }
        self
    }

    /// Tells introspection of an event and its data. An event that is not declared can be published all the same.
    #[must_use]
    pub fn event(mut self, name: impl Into<Cow<'static, str>>, data: Struct) -> Self {
        let name = name.into();
        self.events.retain(|(other, _)| *other != name);
        self.events.push((name, data));
        self
    }

    /// [Tells](Self::event) introspection of QEMU's own events, with their data as `qmp-schema` has it.
    ///
    /// ```
    /// use qmp_server::{EventInfo, Service, Version};
    ///
    /// let spice = EventInfo::all().iter().filter(|event| event.name.starts_with("SPICE_"));
    /// let service = Service::builder(Version::new(11, 1, 0, "")).events(spice).build();
    /// ```
    #[must_use]
    pub fn events(self, events: impl IntoIterator<Item = &'static EventInfo>) -> Self {
        events.into_iter().fold(self, |builder, event| builder.event(event.name, Struct::of(&event.data)))
    }

    /// Limits on what a client sends.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Reports invalid JSON as another version of QEMU does than the announced one.
    #[must_use]
    pub fn dialect(mut self, dialect: Dialect) -> Self {
        self.dialect = dialect;
        self
    }

    /// Leaves `oob` out of the greeting, as QEMU does on a character device that can't be polled from a thread.
    #[must_use]
    pub fn without_oob(mut self) -> Self {
        self.oob = false;
        self
    }

    /// The service.
    pub fn build(self) -> Service {
        let Self { version, oob, limits, dialect, commands, events } = self;
        let schema = introspect::schema(commands.iter(), events.iter().map(|(name, data)| (&**name, data)));
        // QEMU lists the last registered first.
        let names = commands.iter().rev().map(|command| Object::new().with("name", command.name.clone()).into());
        let names = Value::Array(names.collect());
        Service {
            inner: Arc::new(Inner {
                greeting: greeting(version, oob),
                names: names.to_vec().into(),
                schema: schema.to_vec().into(),
                oob,
                limits,
                dialect,
                commands: commands.into_iter().map(|command| (command.name.clone(), command)).collect(),
            }),
        }
    }
}

fn greeting(version: Version<'static>, oob: bool) -> Bytes {
    let mut line = Greeting::new(version, oob.then_some(Capability::Oob)).to_vec();
    line.extend_from_slice(b"\r\n");
    line.into()
}

pub(crate) const NEGOTIATE: &str = "qmp_capabilities";

/// QEMU's `qapi/control.json` and `qapi/introspect.json`, as far as a server without a machine has use for them.
fn built_in(version: &Version<'static>) -> Vec<Command> {
    let reply = Reply::from(version);
    vec![
        Command::with(NEGOTIATE, Handler::Negotiate)
            .takes(Struct::new().optional("enable", Type::array(Capability::TYPE))),
        Command::new("query-version", move |_| Ok(reply.clone())).returns(Version::TYPE),
        Command::with("query-commands", Handler::Names).returns(Type::array(Struct::new().required("name", Type::Str))),
        Command::with("query-qmp-schema", Handler::Schema).returns(Type::array(Type::Any)),
    ]
}
