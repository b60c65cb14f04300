//! Hunts for messages and conversations that a server answers differently from spice-server.
//!
//! What a server does with a client's first message is decided by the message alone, except for the channels that it has and their TLS
//! policy. So no second server is needed: [`judge`](crate::judge) knows spice-server's answer. A [`Hunt`] sends messages that are nearly
//! valid, so that they reach the checks behind the first one. It collects every kind of finding, and shortens each within its kind.
//!
//! ```
//! use spice_conformance::hunt::{self, Hunt};
//!
//! // A server that forgets that version 0 gets no answer, and knows no other check.
//! fn my_server(bytes: &[u8]) -> Vec<u8> {
//!     let version = bytes.get(4..8).is_some_and(|version| version != [2, 0, 0, 0]);
//!     if version { hunt::refusal(4).to_vec() } else { Vec::new() }
//! }
//!
//! let report = Hunt::new().cases(2000).run(|bytes: &[u8]| Ok(my_server(bytes).into()))?;
//! let finding = report.findings.iter().find(|finding| finding.check == "version").unwrap();
//! assert_eq!(finding.key(), "differs/version/refusal-4");
//! assert_eq!(finding.fields(), ["major_version"]);
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! A server that is running is asked by [`OverTcp`] or [`OverUnix`]; a fuzzer calls [`difference`]. What follows the first message is the work of
//! [`Hunt::run_conversations`].

mod answer;
#[cfg(feature = "run")]
mod client;
#[cfg(feature = "run")]
mod clients;
mod compare;
#[cfg(feature = "run")]
mod conversation;
#[cfg(feature = "run")]
mod conversations;
mod finding;
mod hex;
mod messages;
mod over_socket;
mod pcap;
mod probe;
mod replay;
#[cfg(feature = "run")]
mod script;

use std::{
    collections::BTreeMap,
    fmt, io, thread,
    time::{Duration, Instant},
};

use spice_link::ChannelType;

use crate::choices::Choices;
pub use answer::{Answered, ServerUnderTest};
pub use compare::{Difference, difference, refusal};
#[cfg(feature = "run")]
pub use conversation::{Conversation, Credentials, Link, LinkCarrier, LinkChannel, LinkId, NotALink};
pub use finding::{Finding, FindingKind, Sent};
use messages::Messages;
pub use over_socket::{OverTcp, OverUnix};
use probe::{Health, Probe, Taken};
pub use replay::replay;
#[cfg(feature = "run")]
pub use {
    client::{ClientCommand, ClientEnd, ClientUnderTest},
    replay::{replay_client, replay_conversation},
    script::{NotAScript, Script},
};

/// A search for messages or conversations that a server answers wrongly: what to send, and what to do about findings.
pub struct Hunt {
    cases: u64,
    seed: u64,
    time_limit: Option<Duration>,
    most_findings: usize,
    parallel: u64,
    channels: Option<Vec<(ChannelType, u8)>>,
    allowed: Vec<String>,
    restart: Option<Box<dyn FnMut() -> io::Result<()>>>,
    progress: Option<Box<dyn FnMut(u64)>>,
    #[cfg(feature = "run")]
    client_time_limit: Duration,
}

/// What a hunt has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HuntReport {
    /// One finding for each [`key`](Finding::key), in the order in which they were found.
    pub findings: Vec<Finding>,
    /// How many generated messages or conversations were sent. Those that shortened a finding are not counted.
    pub asked: u64,
    /// How many of them showed a deviation that was allowed.
    pub allowed: u64,
    /// The hunt ended before all cases, because the server was gone or hung and no restart was set, or restarting failed.
    pub is_cut_short: bool,
}

/// How long one finding is shortened at most.
const SHORTEN_TIME: Duration = Duration::from_secs(20);
/// How long a server may take to accept connections after a restart.
const RESTART_LIMIT: Duration = Duration::from_secs(10);

impl Default for Hunt {
    fn default() -> Self {
        Self::new()
    }
}

impl Hunt {
    /// 2000 messages from the seed 1, no time limit, nothing allowed.
    pub fn new() -> Self {
        Self {
            cases: 2000,
            seed: 1,
            time_limit: None,
            most_findings: usize::MAX,
            parallel: 1,
            channels: None,
            allowed: Vec::new(),
            restart: None,
            progress: None,
            #[cfg(feature = "run")]
            client_time_limit: clients::TIME_LIMIT,
        }
    }

    /// How many messages or conversations to send.
    #[must_use]
    pub fn cases(self, cases: u64) -> Self {
        Self { cases, ..self }
    }

    /// The seed of the messages: the same one gives the same messages.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// When to end the hunt, with the findings so far.
    #[must_use]
    pub fn time_limit(self, time_limit: Duration) -> Self {
        Self { time_limit: Some(time_limit), ..self }
    }

    /// Ends the hunt as soon as it has this many kinds of findings.
    #[must_use]
    pub fn most_findings(self, most: usize) -> Self {
        Self { most_findings: most, ..self }
    }

    /// The server's channels beside main. If they are not set, the server may have any.
    #[must_use]
    pub fn channels(self, channels: &[(ChannelType, u8)]) -> Self {
        Self { channels: Some(channels.to_vec()), ..self }
    }

    /// Allows a known deviation: findings whose [`key`](Finding::key) starts with this.
    #[must_use]
    pub fn allow(mut self, key: impl Into<String>) -> Self {
        self.allowed.push(key.into());
        self
    }

    /// How many first messages are sent at the same time, each on a connection of its own. The default is 1. Conversations are held one after
    /// the other, because a session ends the one before it; so are clients and servers that are functions.
    ///
    /// If the server is lost, the messages of that moment are sent again one by one, to find the one that ended it. That needs a
    /// [`restart`](Self::restart); without it, the finding may be one of the others.
    #[must_use]
    pub fn parallel(self, parallel: u64) -> Self {
        Self { parallel: parallel.max(1), ..self }
    }

    /// How to start the server again when it is gone or hangs. Without it, such a finding ends the hunt, and is not shortened.
    #[must_use]
    pub fn restart(self, restart: impl FnMut() -> io::Result<()> + 'static) -> Self {
        Self { restart: Some(Box::new(restart)), ..self }
    }

    /// How long a client under test has for each step: to connect, to send, to close, and to end. The default is 10 seconds.
    #[cfg(feature = "run")]
    #[must_use]
    pub fn client_time_limit(self, client_time_limit: Duration) -> Self {
        Self { client_time_limit, ..self }
    }

    /// Is called before each message with the number of messages so far.
    #[must_use]
    pub fn progress(self, progress: impl FnMut(u64) + 'static) -> Self {
        Self { progress: Some(Box::new(progress)), ..self }
    }

    /// Hunts with first messages.
    ///
    /// # Errors
    /// If the server accepts no connection before the first message. A server that is gone later is a finding.
    pub fn run(mut self, server: impl ServerUnderTest) -> io::Result<HuntReport> {
        let channels = self.channels.take();
        self.search(Messages { server, channels })
    }

    /// Hunts with conversations: each has up to four links with tickets or SASL PLAIN, sessions and their channels, WebSocket. The
    /// server's password and channels are those of the [`Subject`](crate::Subject), which a
    /// [`survey`](crate::Subject::survey) has filled in.
    ///
    /// A link that waits for an end that does not come takes the target's time limit. One of a second is long enough on one machine.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    #[cfg(feature = "run")]
    pub fn run_conversations(self, subject: crate::Subject) -> io::Result<HuntReport> {
        self.search(conversations::Conversations { subject })
    }

    /// Hunts in a client: it connects to a hostile server on loopback, once for each case, and gets a nearly valid reply, link result and
    /// `MAIN_INIT`. A sound client, which is spice-link's, reads the same bytes. If it closes, the client under test has to close, too.
    ///
    /// `password` is what the client puts into its ticket, if it is known.
    ///
    /// ```
    /// use spice_conformance::{hunt::Hunt, spice_link::LinkReply};
    /// use std::{io::{Error, Read, Write}, net::{SocketAddr, TcpStream}};
    ///
    /// // A client that sends a link message, and takes any first bytes for a reply that accepts it.
    /// fn my_client(server: SocketAddr) -> std::io::Result<()> {
    ///     let mut stream = TcpStream::connect(server)?;
    ///     stream.write_all(&spice_conformance::Mess::default().bytes())?;
    ///     stream.read_exact(&mut [0; 16])?;
    ///     stream.write_all(&[1, 0, 0, 0])?;
    ///     stream.read_to_end(&mut Vec::new()).map(drop)
    /// }
    ///
    /// let report = Hunt::new().cases(20).most_findings(1).client_time_limit(std::time::Duration::from_millis(200)).run_client(my_client, None)?;
    /// assert_eq!(report.findings[0].kind.to_string(), "differs");
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// If the client does not connect in the first case. One that does not connect later is a finding.
    #[cfg(feature = "run")]
    pub fn run_client(mut self, client: impl ClientUnderTest, password: Option<&str>) -> io::Result<HuntReport> {
        // Each case has a client of its own: nothing has to be started again.
        self.restart.get_or_insert_with(|| Box::new(|| Ok(())));
        let clients = clients::Clients::new(client, password)?.with_time_limit(self.client_time_limit);
        self.search(clients)
    }

    fn search(self, probe: impl Probe) -> io::Result<HuntReport> {
        let deadline = self.time_limit.map(|limit| Instant::now() + limit);
        let mut search = Search { hunt: self, probe, deadline, report: HuntReport::default(), keys: BTreeMap::new() };
        search.run()?;
        Ok(search.report)
    }
}

impl fmt::Debug for Hunt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cases, seed, time_limit, channels, allowed, restart, .. } = self;
        f.debug_struct("Hunt")
            .field("cases", cases)
            .field("seed", seed)
            .field("time_limit", time_limit)
            .field("channels", channels)
            .field("allowed", allowed)
            .field("restart", &restart.is_some())
            .finish_non_exhaustive()
    }
}

/// A hunt that is going on.
struct Search<P> {
    hunt: Hunt,
    probe: P,
    deadline: Option<Instant>,
    report: HuntReport,
    /// The findings by key, as places in the report.
    keys: BTreeMap<String, usize>,
}

impl<P: Probe> Search<P> {
    fn run(&mut self) -> io::Result<()> {
        let mut sequence = Choices::new(self.hunt.seed);
        let mut before = Vec::new();
        while self.report.asked < self.hunt.cases {
            if self.is_over() || self.report.findings.len() >= self.hunt.most_findings {
                return Ok(());
            }
            // The first case by itself tells whether the server is there at all.
            let first = self.report.asked;
            let count = if first == 0 { 1 } else { self.hunt.parallel.min(self.hunt.cases - first) };
            let cases: Vec<Vec<u8>> = (0..count)
                .map(|_| {
                    let mut choices = Vec::new();
                    sequence.fill(&mut choices, P::CHOICES);
                    choices
                })
                .collect();
            if let Some(progress) = &mut self.hunt.progress {
                progress(first);
            }
            let mut taken = self.probe.take_all(&cases);
            if count > 1 && taken.iter().any(Taken::is_loss) && self.revive(FindingKind::Gone) {
                // One of them has ended the server. Each by itself tells which.
                taken = Vec::new();
            }
            let mut taken = taken.into_iter();
            for choices in cases {
                self.report.asked += 1;
                let taken = taken.next().unwrap_or_else(|| self.probe.take(&choices));
                let finding = match taken {
                    Taken::Right => None,
                    Taken::Wrong(finding) => Some(*finding),
                    Taken::NoConnection(error) if first == 0 => return Err(error),
                    // The server has answered the message before this one, and died of it.
                    Taken::NoConnection(error) => Some(self.probe.lost(FindingKind::Gone, &before, &error.to_string())),
                };
                if let Some(finding) = finding
                    && !self.keep(finding)
                {
                    self.report.is_cut_short = true;
                    return Ok(());
                }
                before = choices;
            }
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Counts a finding, or shortens and adds it. False: the hunt can't go on.
    fn keep(&mut self, finding: Finding) -> bool {
        let key = finding.key();
        let can_go_on = self.revive(finding.kind);
        if self.hunt.allowed.iter().any(|allowed| key.starts_with(allowed)) {
            self.report.allowed += 1;
        } else if let Some(at) = self.keys.get(&key) {
            self.report.findings[*at].count += 1;
        } else {
            let finding = if can_go_on { self.shorten(&finding, &key) } else { finding };
            self.keys.insert(key, self.report.findings.len());
            self.report.findings.push(finding);
        }
        can_go_on
    }

    /// Starts the server again if this kind of finding has ended it. False: it is not there.
    fn revive(&mut self, kind: FindingKind) -> bool {
        if !matches!(kind, FindingKind::Gone | FindingKind::Hung) {
            return true;
        }
        let Some(restart) = &mut self.hunt.restart else { return false };
        if restart().is_err() {
            return false;
        }
        let start = Instant::now();
        while start.elapsed() < RESTART_LIMIT {
            if matches!(self.probe.health(), Health::Fine) {
                return true;
            }
            thread::sleep(Duration::from_millis(10));
        }
        false
    }

    fn shorten(&mut self, first: &Finding, key: &str) -> Finding {
        let (most, end) = (P::most_to_shorten(first.kind), Instant::now() + SHORTEN_TIME);
        let mut best = first.clone();
        let result = P::shorten(&first.choices, most, |choices| {
            if self.is_over() || Instant::now() >= end {
                return Err(());
            }
            let taken = self.take_slowly(choices, first.kind);
            let Taken::Wrong(finding) = taken else { return Ok(false) };
            if !self.revive(finding.kind) {
                return Err(());
            }
            let is_same = finding.key() == key;
            if is_same {
                best = *finding;
            }
            Ok(is_same)
        });
        if result.is_err() && matches!(first.kind, FindingKind::Gone | FindingKind::Hung) {
            self.revive(first.kind);
        }
        best
    }

    /// Sends the message of these choices, and also looks after a right answer whether the server has survived it.
    fn take_slowly(&mut self, choices: &[u8], kind: FindingKind) -> Taken {
        match self.probe.take(choices) {
            Taken::Right if kind == FindingKind::Gone => match self.probe.health() {
                Health::Gone(error) => Taken::Wrong(Box::new(self.probe.lost(kind, choices, &error))),
                _ => Taken::Right,
            },
            taken => taken,
        }
    }
}

#[cfg(test)]
mod tests;
