//! The addresses of an upstream's name.
//!
//! The system's look-up blocks a thread, for many seconds if no name server answers, and the runtime has a limited number of
//! threads for that. So an upstream has at most one look-up in flight. All its connections share the result.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::watch, time::Instant};

/// How long addresses are used before the name is looked up again.
const KEPT: Duration = Duration::from_secs(5);
/// How long a failure is reported before the name is looked up again.
const FAILURE_KEPT: Duration = Duration::from_secs(1);

/// The addresses, or the look-up's error: its kind and its text.
type Outcome = Result<Vec<SocketAddr>, (io::ErrorKind, Arc<str>)>;

/// The look-ups of one name.
#[derive(Clone, Debug, Default)]
pub(super) struct Lookup(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// The last outcome, and how long it is valid.
    last: Option<(Instant, Outcome)>,
    /// The look-up in flight.
    running: Option<watch::Receiver<()>>,
}

impl Lookup {
    /// Returns the addresses: those of the last look-up if they are new enough, else those of the look-up in flight. Starts one with
    /// `resolve` if there is none.
    pub(super) async fn addresses<F>(&self, resolve: impl FnOnce() -> F) -> io::Result<Vec<SocketAddr>>
    where
        F: Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static,
    {
        let mut running = {
            let mut state = self.state();
            if let Some((until, outcome)) = &state.last
                && Instant::now() < *until
            {
                return result(outcome.clone());
            }
            match &state.running {
                // Its sender is gone if the task was lost without an outcome.
                Some(running) if running.has_changed().is_ok() => running.clone(),
                _ => {
                    let (done, running) = watch::channel(());
                    state.running = Some(running.clone());
                    drop(state);
                    self.start(resolve(), done);
                    running
                }
            }
        };
        // Fails when the look-up is over: its task drops the sender.
        let _ = running.changed().await;
        let outcome = self.state().last.clone();
        outcome.map_or_else(|| Err(io::Error::other("the look-up was interrupted")), |(_, outcome)| result(outcome))
    }

    /// Looks the name up in a task of its own, which goes on if the connection that started it gives up.
    fn start(
        &self,
        resolving: impl Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static,
        done: watch::Sender<()>,
    ) {
        let lookup = self.clone();
        tokio::spawn(async move {
            let outcome = resolving.await.map_err(|error| (error.kind(), error.to_string().into()));
            let kept = if outcome.is_ok() { KEPT } else { FAILURE_KEPT };
            let mut state = lookup.state();
            state.last = Some((Instant::now() + kept, outcome));
            state.running = None;
            drop(state);
            drop(done);
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn result(outcome: Outcome) -> io::Result<Vec<SocketAddr>> {
    outcome.map_err(|(kind, text)| io::Error::new(kind, &*text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::time::{sleep, timeout};

    /// A name server that answers after this time, and counts the questions.
    async fn answer(asked: Arc<AtomicUsize>, after: Duration, works: bool) -> io::Result<Vec<SocketAddr>> {
        asked.fetch_add(1, Ordering::Relaxed);
        sleep(after).await;
        if works { Ok(vec![([192, 0, 2, 1], 5900).into()]) } else { Err(io::Error::other("no answer")) }
    }

    #[tokio::test(start_paused = true)]
    async fn connections_of_an_upstream_share_one_look_up() {
        let (lookup, asked) = (Lookup::default(), Arc::<AtomicUsize>::default());
        let slow = Duration::from_secs(40);
        let waiting: Vec<_> = (0..1000)
            .map(|number| {
                let (lookup, asked) = (lookup.clone(), Arc::clone(&asked));
                // Some give up, the one that started the look-up too.
                let patience = Duration::from_secs(if number % 2 == 0 { 10 } else { 60 });
                tokio::spawn(async move {
                    timeout(patience, lookup.addresses(|| answer(asked, slow, true))).await.map(Result::unwrap)
                })
            })
            .collect();
        let mut answered = 0;
        for waiting in waiting {
            answered += usize::from(waiting.await.unwrap().is_ok_and(|addresses| addresses.len() == 1));
        }
        assert_eq!((answered, asked.load(Ordering::Relaxed)), (500, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn outcome_is_kept_for_a_while() {
        for (works, kept) in [(true, KEPT), (false, FAILURE_KEPT)] {
            let (lookup, asked) = (Lookup::default(), Arc::<AtomicUsize>::default());
            let look = || async {
                let seen = lookup.addresses(|| answer(Arc::clone(&asked), Duration::ZERO, works)).await;
                assert_eq!(seen.is_ok(), works);
                asked.load(Ordering::Relaxed)
            };
            assert_eq!((look().await, look().await), (1, 1));
            sleep(kept + Duration::from_millis(2)).await;
            assert_eq!((look().await, look().await), (2, 2));
        }
    }
}
