//! What a server offers: a version, commands, events, limits. One, shared by all its sessions.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::command::{Handler, Reply};
use crate::schema::{Struct, Type};
use crate::{Command, Limits, Object, Value};

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

    fn to_value(&self) -> Value {
        let qemu = Object::from([("major", self.major), ("minor", self.minor), ("micro", self.micro)]);
        Object::new().with("qemu", qemu).with("package", self.package.as_str()).into()
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
    schema: Bytes,
    oob: bool,
    limits: Limits,
    commands: HashMap<Cow<'static, str>, Command>,
}

impl Service {
    /// Starts with QEMU's built-in commands: `qmp_capabilities`, `query-version`, `query-commands`, `query-qmp-schema`.
    pub fn builder(version: Version) -> ServiceBuilder {
        ServiceBuilder { version, oob: true, limits: Limits::default(), commands: Vec::new(), events: Vec::new() }
    }

    /// The first line of every connection, CRLF included.
    pub(crate) fn greeting(&self) -> &Bytes {
        &self.inner.greeting
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
    /// Offers a command. One of the same name, built in or not, gives way.
    #[must_use]
    pub fn command(mut self, command: Command) -> Self {
        self.commands.retain(|other| other.name != command.name);
        self.commands.push(command);
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
        todo!()
    }
}
