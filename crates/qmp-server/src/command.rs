//! A command: its name, what it takes and returns, and the function behind it.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use qmp_schema::Encode;

use crate::schema::{Struct, Type};
use crate::{CommandError, Object, Responder};

/// What a command answers: the value of `return`, or an error.
pub type Answer = Result<Reply, CommandError>;

/// The value of a `return` member, as JSON text.
///
/// Made [from](From) anything that [encodes](Encode) itself: `()`, texts, numbers, values, objects, and the types of
/// `qmp-schema`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply(pub(crate) Json);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Json {
    Written(Vec<u8>),
    Shared(Bytes),
}

impl Reply {
    /// One JSON value that is written already, on one line and without a line end. It is sent as it is, and not copied if it
    /// is large.
    pub fn json(json: impl Into<Bytes>) -> Self {
        Self(Json::Shared(json.into()))
    }
}

impl Default for Reply {
    /// `{}`, which is what a command without a result returns.
    fn default() -> Self {
        Self::from(())
    }
}

impl<T: Encode> From<T> for Reply {
    fn from(value: T) -> Self {
        Self(Json::Written(value.to_vec()))
    }
}

pub(crate) enum Handler {
    Now(Box<dyn Fn(&Object<'static>) -> Answer + Send + Sync>),
    Later(Box<dyn Fn(Object<'static>, Responder) + Send + Sync>),
    /// `qmp_capabilities`, which is the session's own.
    Negotiate,
    /// `query-commands` and `query-qmp-schema`, whose answers are written when the service is built.
    Names,
    Schema,
}

/// A command that is not registered, for [`ServiceBuilder::fallback`](crate::ServiceBuilder::fallback).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Request {
    /// The command's name.
    pub name: String,
    /// Its arguments, unchecked.
    pub arguments: Object<'static>,
    /// Whether the client asked with `exec-oob`. Its reply overtakes the replies of commands that wait.
    pub out_of_band: bool,
}

pub(crate) type Fallback = Box<dyn Fn(Request, Responder) + Send + Sync>;

/// A command to offer, see [`ServiceBuilder::command`](crate::ServiceBuilder::command).
pub struct Command {
    pub(crate) name: Cow<'static, str>,
    /// `None` takes whatever comes.
    pub(crate) arguments: Option<Struct>,
    pub(crate) returns: Type,
    pub(crate) allow_oob: bool,
    pub(crate) handler: Handler,
}

impl Command {
    /// A command that answers at once. `run` gets the arguments after they were checked.
    ///
    /// It runs on whatever thread reads the client's input, and must not block: see [`Command::later`] for what takes time.
    pub fn new<R: Into<Reply>>(
        name: impl Into<Cow<'static, str>>,
        run: impl Fn(&Object<'static>) -> Result<R, CommandError> + Send + Sync + 'static,
    ) -> Self {
        Self::with(name, Handler::Now(Box::new(move |arguments| run(arguments).map(Into::into))))
    }

    /// A command that answers when it can, from any thread, through the [`Responder`] that it is given.
    ///
    /// Until then the client's next commands wait, as in QEMU: [`Limits::queue`](crate::Limits::queue) of them where the client
    /// negotiated `oob`, else none; input beyond that isn't read.
    pub fn later(
        name: impl Into<Cow<'static, str>>,
        run: impl Fn(Object<'static>, Responder) + Send + Sync + 'static,
    ) -> Self {
        Self::with(name, Handler::Later(Box::new(run)))
    }

    /// As [`new`](Self::new), with the arguments read into a type that implements serde's `Deserialize`.
    ///
    /// It [takes anything](Self::takes_anything) until [`takes`](Self::takes) declares the arguments, which lets QEMU's own wording
    /// report a wrong argument. What the declaration does not reject and the type does is a `GenericError` with serde's wording.
    ///
    /// ```
    /// use qmp_server::{Command, Object};
    /// # use serde_derive::Deserialize;
    ///
    /// #[derive(Deserialize)]
    /// #[serde(rename_all = "kebab-case", deny_unknown_fields)]
    /// struct Eject {
    ///     id: String,
    ///     #[serde(default)]
    ///     force: bool,
    /// }
    ///
    /// let eject = Command::typed("eject", |arguments: Eject| Ok(Object::new().with(arguments.id, arguments.force)));
    /// ```
    #[cfg(feature = "serde")]
    pub fn typed<A: serde::de::DeserializeOwned, R: Into<Reply>>(
        name: impl Into<Cow<'static, str>>,
        run: impl Fn(A) -> Result<R, CommandError> + Send + Sync + 'static,
    ) -> Self {
        Self::new(name, move |arguments| run(arguments.decode()?)).takes_anything()
    }

    pub(crate) fn with(name: impl Into<Cow<'static, str>>, handler: Handler) -> Self {
        Self {
            name: name.into(),
            arguments: Some(Struct::new()),
            returns: Struct::new().into(),
            allow_oob: false,
            handler,
        }
    }

    /// What it takes; none otherwise. Arguments are checked in this order, with QEMU's wording, before the command runs.
    #[must_use]
    pub fn takes(mut self, arguments: Struct) -> Self {
        self.arguments = Some(arguments);
        self
    }

    /// Takes whatever comes, unchecked (QEMU's `'gen': false`).
    #[must_use]
    pub fn takes_anything(mut self) -> Self {
        self.arguments = None;
        self
    }

    /// What it returns, for introspection; an object without members otherwise.
    #[must_use]
    pub fn returns(mut self, kind: impl Into<Type>) -> Self {
        self.returns = kind.into();
        self
    }

    /// May be run with `exec-oob`, ahead of commands that wait.
    #[must_use]
    pub fn allow_oob(mut self) -> Self {
        self.allow_oob = true;
        self
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Command").field("name", &self.name).field("allow_oob", &self.allow_oob).finish_non_exhaustive()
    }
}
