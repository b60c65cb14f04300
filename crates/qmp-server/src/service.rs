//! What a server offers: a version, commands, events, limits. One, shared by all its sessions.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use qmp_schema::{Capability, Encode as _, EventInfo, Greeting};

use crate::command::{Fallback, Handler};
use crate::introspect;
use crate::schema::{Struct, Type};
use crate::{Command, Dialect, Limits, Object, Reply, Request, Responder, Value, Version};

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
    fallback: OptionalFallback,
}

/// What answers commands that are not registered.
#[derive(Default)]
struct OptionalFallback(Option<Fallback>);

impl fmt::Debug for OptionalFallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Some(..)" } else { "None" })
    }
}

impl Service {
    /// Starts with QEMU's built-in commands: `qmp_capabilities`, `query-version`, `query-commands`, `query-qmp-schema`.
    pub fn builder(version: Version<'static>) -> ServiceBuilder {
        let commands = built_in(&version);
        let dialect = Dialect::of(&version);
        let (limits, fallback) = (Limits::default(), OptionalFallback::default());
        ServiceBuilder { version, oob: true, limits, dialect, commands, events: Vec::new(), fallback }
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

    pub(crate) fn fallback(&self) -> Option<&Fallback> {
        self.inner.fallback.0.as_ref()
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
    fallback: OptionalFallback,
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

    /// Answers commands that are not registered. A proxy of another QMP server needs it. Without it, they are answered with
    /// `CommandNotFound`. Before the negotiation it is not asked.
    ///
    /// It runs on whatever thread reads the client's input, and must not block. It answers through the [`Responder`], at once or later.
    /// `query-commands` and `query-qmp-schema` do not know of these commands: [register](Self::command) these two to say more.
    ///
    /// ```
    /// use qmp_server::{CommandError, ErrorClass, Service, Version};
    ///
    /// let service = Service::builder(Version::new(11, 1, 0, "")).fallback(|request, responder| {
    ///     let error = CommandError::new(ErrorClass::CommandNotFound, format!("{} is not forwarded", request.name));
    ///     responder.answer(Err(error));
    /// });
    /// ```
    #[must_use]
    pub fn fallback(mut self, run: impl Fn(Request, Responder) + Send + Sync + 'static) -> Self {
        self.fallback = OptionalFallback(Some(Box::new(run)));
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
        let Self { version, oob, limits, dialect, commands, events, fallback } = self;
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
                fallback,
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
