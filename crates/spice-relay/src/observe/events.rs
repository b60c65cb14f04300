use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use spice_events::{Address, Anomaly, Auth, ChannelEvent, Config, FlowId, Input, Output, Side, Tracker};

use super::{ConnectionHandle, Ending, Observe, Opened, retries::Retries};

/// Makes QEMU's SPICE events of a relay's connections, and hands them to an [`EventSink`].
///
/// It holds one [`Tracker`] behind a lock. The lock is taken for accepts, link stages and ends, and never for the bytes of a
/// channel whose link stage is over.
#[derive(Debug)]
pub struct EventObserver<S> {
    tracker: SharedTracker,
    retries: Retries,
    sink: S,
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
        Self { tracker, retries: Retries::default(), sink }
    }

    /// The sink.
    pub fn sink(&self) -> &S {
        &self.sink
    }

    /// The tracker.
    pub fn tracker(&self) -> &SharedTracker {
        &self.tracker
    }

    /// Hands one input to the tracker, and the events that follow from it to the sink. Returns whether the tracker wants more bytes of
    /// the connection.
    fn handle(&self, flow: FlowId, input: Input<'_>) -> bool {
        let mut anomalies = Vec::new();
        let mut tracker = self.tracker.lock();
        // The clock is read under the lock, so that no event is older than the one before it.
        tracker.handle(SystemTime::now().into(), flow, input);
        while let Some(output) = tracker.poll() {
            match output {
                Output::Event(event) => self.sink.event(&event),
                Output::Anomaly(anomaly) => anomalies.push(anomaly),
            }
        }
        // The link stage of a leaked socket never ends. Its deadline does not depend on the client then.
        let wants = tracker.wants(flow) || tracker.is_leaked(flow);
        drop(tracker);
        for anomaly in &anomalies {
            self.retries.anomaly(anomaly);
            self.sink.anomaly(anomaly);
        }
        wants
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
        self.sink.connection(flow, connection);
    }

    fn secured(&self, flow: FlowId, version: &str, cipher: &str) {
        self.sink.secured(flow, version, cipher);
    }

    fn ending(&self, flow: FlowId, ending: Ending) {
        self.sink.ending(flow, ending);
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
