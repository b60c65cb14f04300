//! A client on a tokio runtime.

use std::{collections::VecDeque, fmt, future::Future, time::Duration};

use qmp_schema::{Command, ErrorReply, EventMessage, Greeting, RawJson};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::{Address, CommandId, Conversation, Error, Incoming, Options};

/// Bytes requested in one read.
const CHUNK: usize = 16 * 1024;

/// A client that has negotiated. It sends one command at a time and collects the events in between.
///
/// After any error but [`Error::Command`] the connection cannot be used further.
pub struct Client {
    link: Link,
    greeting: Greeting<'static>,
    /// Events that the caller has not read.
    events: VecDeque<EventMessage<'static>>,
    options: Options,
}

/// A conversation over a stream.
struct Link {
    stream: Box<dyn Stream>,
    conversation: Conversation,
    /// Bytes to send.
    unsent: Vec<u8>,
    /// Room for received bytes.
    chunk: Box<[u8]>,
}

/// Any stream.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

type Reply = (CommandId, Result<RawJson<'static>, ErrorReply<'static>>);

impl Client {
    /// Connects and negotiates.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn connect(address: &Address, options: Options) -> Result<Self, Error> {
        let time = options.timeout;
        within(time, async {
            match address {
                #[cfg(unix)]
                Address::Unix(path) => Self::negotiate(tokio::net::UnixStream::connect(path).await?, options).await,
                #[cfg(not(unix))]
                Address::Unix(_) => Err(std::io::Error::from(std::io::ErrorKind::Unsupported).into()),
                Address::Tcp(address) => {
                    let stream = TcpStream::connect(address).await?;
                    stream.set_nodelay(true)?;
                    Self::negotiate(stream, options).await
                }
            }
        })
        .await
    }

    /// Negotiates over a stream of any kind.
    pub async fn over<S>(stream: S, options: Options) -> Result<Self, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        within(options.timeout, Self::negotiate(stream, options)).await
    }

    async fn negotiate(stream: impl Stream + 'static, options: Options) -> Result<Self, Error> {
        let mut link = Link {
            stream: Box::new(stream),
            conversation: Conversation::new(&options),
            unsent: Vec::new(),
            chunk: vec![0; CHUNK].into(),
        };
        let mut events = VecDeque::new();
        let greeting = loop {
            match link.next().await? {
                Incoming::Ready(greeting) => break greeting,
                Incoming::Event(event) => keep(&mut events, event, options.max_events)?,
                Incoming::Reply(..) | Incoming::Stray(_) => {}
            }
        };
        Ok(Self { link, greeting, events, options })
    }

    /// The server's greeting.
    #[must_use]
    pub fn greeting(&self) -> &Greeting<'static> {
        &self.greeting
    }

    /// Sends a command and returns its result. Events that come before the reply are returned by
    /// [`next_event`](Self::next_event).
    ///
    /// If the future is dropped, the command may run, and its reply is ignored.
    pub async fn execute(&mut self, command: Command<'_>) -> Result<RawJson<'static>, Error> {
        let id = self.link.conversation.execute(&command)?;
        let time = self.options.timeout;
        within(time, async {
            loop {
                let (reply, result) = self.next_reply().await?;
                if reply == id {
                    return result.map_err(Error::Command);
                }
            }
        })
        .await
    }

    async fn next_reply(&mut self) -> Result<Reply, Error> {
        loop {
            match self.link.next().await? {
                Incoming::Reply(id, result) => return Ok((id, result)),
                Incoming::Event(event) => keep(&mut self.events, event, self.options.max_events)?,
                Incoming::Ready(_) | Incoming::Stray(_) => {}
            }
        }
    }

    /// The next event. It waits without a timeout, and dropping the future loses no event.
    pub async fn next_event(&mut self) -> Result<EventMessage<'static>, Error> {
        if let Some(event) = self.events.pop_front() {
            return Ok(event);
        }
        loop {
            if let Incoming::Event(event) = self.link.next().await? {
                return Ok(event);
            }
        }
    }

    /// An event that has come already.
    pub fn take_event(&mut self) -> Option<EventMessage<'static>> {
        self.events.pop_front()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("greeting", &self.greeting).finish_non_exhaustive()
    }
}

impl Link {
    /// The next message. Sends the conversation's output first. Dropping the future loses nothing.
    async fn next(&mut self) -> Result<Incoming, Error> {
        loop {
            if let Some(incoming) = self.conversation.poll()? {
                return Ok(incoming);
            }
            self.unsent.append(&mut self.conversation.take_output());
            while !self.unsent.is_empty() {
                let sent = self.stream.write(&self.unsent).await?;
                if sent == 0 {
                    return Err(Error::Closed);
                }
                self.unsent.drain(..sent);
            }
            self.stream.flush().await?;
            let read = self.stream.read(&mut self.chunk).await?;
            if read == 0 {
                return Err(Error::Closed);
            }
            self.conversation.receive(&self.chunk[..read]);
        }
    }
}

fn keep(events: &mut VecDeque<EventMessage<'static>>, event: EventMessage<'static>, limit: usize) -> Result<(), Error> {
    if events.len() >= limit {
        return Err(Error::TooManyEvents(limit));
    }
    events.push_back(event);
    Ok(())
}

async fn within<T>(time: Duration, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    timeout(time, work).await.unwrap_or(Err(Error::Timeout(time)))
}
