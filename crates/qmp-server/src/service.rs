//! What a server offers: a version, commands, events, limits. One, shared by all its sessions.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::command::Handler;
use crate::introspect;
use crate::schema::{Struct, Type};
use crate::{Command, Limits, Object, Reply, Value};

/// The version in the greeting and in `query-version`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// 7 of 7.2.22
    pub major: i64,
    /// 2 of 7.2.22
    pub minor: i64,
    /// 22 of 7.2.22
    pub micro: i64,
    /// The package, as Debian's `Debian 1:7.2+dfsg-7+deb12u18+b3`; may be empty.
    pub package: String,
}

impl Version {
    /// A version and a package.
    pub fn new(major: i64, minor: i64, micro: i64, package: impl Into<String>) -> Self {
        Self { major, minor, micro, package: package.into() }
    }

    fn to_object(&self) -> Object {
        let qemu = Object::from([("major", self.major), ("minor", self.minor), ("micro", self.micro)]);
        Object::new().with("qemu", qemu).with("package", self.package.as_str())
    }
}

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
    commands: HashMap<Cow<'static, str>, Command>,
}

impl Service {
    /// Starts with QEMU's built-in commands: `qmp_capabilities`, `query-version`, `query-commands`, `query-qmp-schema`.
    pub fn builder(version: Version) -> ServiceBuilder {
        let commands = built_in(&version);
        ServiceBuilder { version, oob: true, limits: Limits::default(), commands, events: Vec::new() }
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

    pub(crate) fn command(&self, name: &str) -> Option<&Command> {
        self.inner.commands.get(name)
    }
}

/// Builds a [`Service`].
#[derive(Debug)]
pub struct ServiceBuilder {
    version: Version,
    oob: bool,
    limits: Limits,
    commands: Vec<Command>,
    events: Vec<(Cow<'static, str>, Struct)>,
}

impl ServiceBuilder {
    /// Offers a command. One of the same name gives way, but for `qmp_capabilities`, which is the session's own.
    #[must_use]
    pub fn command(mut self, command: Command) -> Self {
        if command.name != NEGOTIATE {
            self.commands.retain(|other| other.name != command.name);
            self.commands.push(command);
        }
        self
    }

    /// Tells introspection of an event and its data. Events that nobody declared are published all the same.
    #[must_use]
    pub fn event(mut self, name: impl Into<Cow<'static, str>>, data: Struct) -> Self {
        let name = name.into();
        self.events.retain(|(other, _)| *other != name);
        self.events.push((name, data));
        self
    }

    /// Limits on what a client sends.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
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
        let Self { version, oob, limits, commands, events } = self;
        let schema = introspect::schema(commands.iter(), events.iter().map(|(name, data)| (&**name, data)));
        // QEMU lists the last registered first.
        let names = commands.iter().rev().map(|command| Object::new().with("name", &*command.name).into());
        let names = Value::Array(names.collect());
        Service {
            inner: Arc::new(Inner {
                greeting: greeting(&version, oob),
                names: names.to_bytes().into(),
                schema: schema.to_bytes().into(),
                oob,
                limits,
                commands: commands.into_iter().map(|command| (command.name.clone(), command)).collect(),
            }),
        }
    }
}

fn greeting(version: &Version, oob: bool) -> Bytes {
    let capabilities: Vec<Value> = if oob { vec!["oob".into()] } else { Vec::new() };
    let qmp = Object::new().with("version", version.to_object()).with("capabilities", capabilities);
    let mut line = Value::from(Object::new().with("QMP", qmp)).to_bytes();
    line.extend_from_slice(b"\r\n");
    line.into()
}

pub(crate) const NEGOTIATE: &str = "qmp_capabilities";

/// QEMU's `qapi/control.json` and `qapi/introspect.json`, as far as a server without a machine has use for them.
fn built_in(version: &Version) -> Vec<Command> {
    let capability = Type::of(["oob"]);
    let triple = Struct::new().required("major", Type::Int).required("minor", Type::Int).required("micro", Type::Int);
    let version = Reply::from(version.to_object());
    vec![
        Command::with(NEGOTIATE, Handler::Negotiate).takes(Struct::new().optional("enable", Type::array(capability))),
        Command::new("query-version", move |_| Ok(version.clone()))
            .returns(Struct::new().required("qemu", triple).required("package", Type::Str)),
        Command::with("query-commands", Handler::Names).returns(Type::array(Struct::new().required("name", Type::Str))),
        Command::with("query-qmp-schema", Handler::Schema).returns(Type::array(Type::Any)),
    ]
}
