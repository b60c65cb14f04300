use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::{Duration, SystemTime},
};

use spice_events::{Address, Anomaly, Auth, ChannelEvent, Config, FlowId, Input, Output, Side, Tracker};

use super::{
    ConnectionHandle, Ending, Observe, Opened, Report, Successor,
    retries::Retries,
    successor::{HandedOver, Withheld},
};

/// Makes QEMU's SPICE events of a relay's connections, and hands them to an [`EventSink`].
///
/// It holds one [`Tracker`] behind a lock. The lock is taken for accepts, link stages and ends, and never for the bytes of a
/// channel whose link stage is over.
#[derive(Debug)]
pub struct EventObserver<S> {
    tracker: SharedTracker,
    retries: Retries,
    sink: S,
    /// Set from the start of a hand-over on. Every call holds it, so that none is in between when it changes.
    handed_over: RwLock<Option<HandedOver>>,
}

/// A tracker that several owners look at: an [`EventObserver`], and a server that answers `query-spice`.
#[derive(Clone, Debug)]
pub struct SharedTracker(Arc<Mutex<Tracker>>);

/// Takes the events of an [`EventObserver`].
///
/// Every closure that takes an event is a sink: `|event: &ChannelEvent| println!("{event}")`.
pub trait EventSink: Send + Sync + 'static {
    /// Takes an event, shown as QEMU writes it. Called under the observer's lock, so that events come in order, one at a time.
    fn event(&self, event: &ChannelEvent);

    /// Takes an anomaly. Called without the lock. Does nothing by default.
    fn anomaly(&self, _anomaly: &Anomaly) {}

    /// See [`Observe::connection`]. Comes just after the event that reports the connection. Does nothing by default.
    fn connection(&self, _flow: FlowId, _connection: Arc<ConnectionHandle>) {}

    /// See [`Observe::secured`]. Does nothing by default.
    fn secured(&self, _flow: FlowId, _version: &str, _cipher: &str) {}

    /// See [`Observe::ending`]. Comes just before the event that reports the end. Does nothing by default.
    fn ending(&self, _flow: FlowId, _ending: Ending) {}

    /// See [`Observe::upstream_recovered`]. Does nothing by default.
    fn upstream_recovered(&self) {}
}

impl<F: Fn(&ChannelEvent) + Send + Sync + 'static> EventSink for F {
    fn event(&self, event: &ChannelEvent) {
        self(event);
    }
}

impl<S: EventSink> EventObserver<S> {
    /// An observer without connections.
    pub fn new(config: Config, sink: S) -> Self {
        Self::with_tracker(SharedTracker::new(config), sink)
    }

    /// An observer that feeds this tracker. No other observer may feed it.
    pub fn with_tracker(tracker: SharedTracker, sink: S) -> Self {
        Self { tracker, retries: Retries::default(), sink, handed_over: RwLock::new(None) }
    }

    /// The sink.
    pub fn sink(&self) -> &S {
        &self.sink
    }

    /// The tracker.
    pub fn tracker(&self) -> &SharedTracker {
        &self.tracker
    }

    /// Starts to hand over: from now on, reports about its connections go to `successor`, and the sink is told nothing. The connections stay
    /// in this process. Returns what `state` makes of the tracker, before the first report.
    ///
    /// [`take_back`](Self::take_back) or [`confirm`](Self::confirm) must follow.
    pub fn hand_over<T>(&self, successor: Arc<dyn Successor>, state: impl FnOnce(&Tracker) -> T) -> T {
        let mut handed_over = self.write();
        *handed_over = Some(HandedOver::new(successor));
        state(&self.tracker.lock())
    }

    /// The hand-over has failed: tells the sink everything that it was not told, and goes on as before.
    pub fn take_back(&self) {
        let mut handed_over = self.write();
        let Some(ended) = handed_over.take() else { return };
        // Events are sent under the tracker's lock.
        let tracker = self.tracker.lock();
        let mut later = Vec::new();
        for what in ended.take() {
            match what {
                Withheld::Anomaly(_) => later.push(what),
                what => self.tell(what),
            }
        }
        drop(tracker);
        for anomaly in later {
            self.tell(anomaly);
        }
    }

    /// The successor has taken over: the sink is told nothing more.
    pub fn confirm(&self) {
        if let Some(handed_over) = &*self.read() {
            handed_over.take();
        }
    }

    /// Hands one input to the tracker, and the events that follow from it to the sink. Returns whether the tracker wants more bytes of
    /// the connection.
    fn handle(&self, flow: FlowId, input: Input<'_>) -> bool {
        let handed_over = self.read();
        let mut anomalies = Vec::new();
        let mut tracker = self.tracker.lock();
        if let Some(handed_over) = &*handed_over
            && let Some(report) = Report::of(flow, &input)
        {
            handed_over.successor.report(report);
        }
        // The clock is read under the lock, so that no event is older than the one before it.
        tracker.handle(SystemTime::now().into(), flow, input);
        while let Some(output) = tracker.poll() {
            match output {
                Output::Event(event) => self.deliver(handed_over.as_ref(), Withheld::Event(event)),
                Output::Anomaly(anomaly) => anomalies.push(anomaly),
            }
        }
        // The link stage of a leaked socket never ends. Its deadline does not depend on the client then.
        let wants = tracker.wants(flow) || tracker.is_leaked(flow);
        drop(tracker);
        for anomaly in anomalies {
            self.deliver(handed_over.as_ref(), Withheld::Anomaly(anomaly));
        }
        wants
    }

    fn deliver(&self, handed_over: Option<&HandedOver>, what: Withheld) {
        match handed_over {
            None => self.tell(what),
            Some(handed_over) => handed_over.withhold(what),
        }
    }

    fn tell(&self, what: Withheld) {
        match what {
            Withheld::Event(event) => self.sink.event(&event),
            Withheld::Anomaly(anomaly) => {
                self.retries.anomaly(&anomaly);
                self.sink.anomaly(&anomaly);
            }
            Withheld::Connection(flow, connection) => self.sink.connection(flow, connection),
            Withheld::Secured(flow, version, cipher) => self.sink.secured(flow, &version, &cipher),
            Withheld::Ending(flow, ending) => self.sink.ending(flow, ending),
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Option<HandedOver>> {
        self.handed_over.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Option<HandedOver>> {
        self.handed_over.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<Tracker> for SharedTracker {
    /// A tracker that another process has begun, for example.
    fn from(tracker: Tracker) -> Self {
        Self(Arc::new(Mutex::new(tracker)))
    }
}

impl SharedTracker {
    /// A tracker without connections.
    pub fn new(config: Config) -> Self {
        Self(Arc::new(Mutex::new(Tracker::new(config))))
    }

    /// Sets the server's `auth` setting, for channels whose link stage succeeds from now on.
    /// `None` is what the wire shows.
    pub fn set_auth(&self, auth: impl Into<Option<Auth>>) {
        self.lock().set_auth(auth.into());
    }

    /// Looks at the tracker, for example for its [channels](Tracker::channels). Events wait until `look` returns.
    pub fn look<T>(&self, look: impl FnOnce(&Tracker) -> T) -> T {
        look(&self.lock())
    }

    /// A panic of a sink leaves the tracker whole: it happens between two calls of the tracker's.
    fn lock(&self) -> MutexGuard<'_, Tracker> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: EventSink> Observe for EventObserver<S> {
    fn opened(&self, flow: FlowId, Opened { endpoints, tls }: Opened) {
        self.handle(flow, Input::Opened { endpoints, tls, readable: true });
    }

    fn connection(&self, flow: FlowId, connection: Arc<ConnectionHandle>) {
        let handed_over = self.read();
        if let Some(handed_over) = &*handed_over {
            handed_over.successor.connection(flow, &connection);
        }
        self.deliver(handed_over.as_ref(), Withheld::Connection(flow, connection));
    }

    fn secured(&self, flow: FlowId, version: &str, cipher: &str) {
        let handed_over = self.read();
        let (version, cipher) = (version.to_owned(), cipher.to_owned());
        if let Some(handed_over) = &*handed_over {
            let (version, cipher) = (version.clone(), cipher.clone());
            handed_over.successor.report(Report::Secured { flow, version, cipher });
        }
        self.deliver(handed_over.as_ref(), Withheld::Secured(flow, version, cipher));
    }

    fn ending(&self, flow: FlowId, ending: Ending) {
        let handed_over = self.read();
        if let Some(handed_over) = &*handed_over {
            handed_over.successor.report(Report::Ending { flow, ending });
        }
        self.deliver(handed_over.as_ref(), Withheld::Ending(flow, ending));
    }

    fn bytes(&self, flow: FlowId, from: Side, data: &[u8]) -> bool {
        self.handle(flow, Input::Bytes { from, data })
    }

    fn closed(&self, flow: FlowId, by: Option<Side>) {
        self.handle(flow, Input::Closed { by });
    }

    fn pause(&self, client: &Address, tls: bool) -> Duration {
        if tls { self.retries.pause(client) } else { Duration::ZERO }
    }

    fn upstream_recovered(&self) {
        self.sink.upstream_recovered();
    }
}
