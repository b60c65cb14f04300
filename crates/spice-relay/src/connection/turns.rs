//! A bounded share of the runtime for the set-up of one route's connections.
//!
//! A flood of new connections is a flood of tasks, and a TLS handshake takes a millisecond of processor time. The runtime polls tasks in
//! the order in which they became ready, so that every other connection would wait for the whole flood. So the set-ups of a
//! route take turns: at most one is ready to run at any time, and the others wait without being in the runtime's queue. Before
//! each turn the runtime looks for sockets that have become ready, and runs the tasks of those.

use std::{
    collections::BTreeMap,
    future::poll_fn,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Poll, Waker},
};

use tokio::task::yield_now;

/// The turns of one route's set-ups, first come, first served.
#[derive(Debug, Default)]
pub(crate) struct Turns(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    next: u64,
    /// The set-up whose turn it is.
    current: Option<u64>,
    waiting: BTreeMap<u64, Waker>,
}

impl Turns {
    /// Runs a set-up that is polled only in its turn. Each poll takes one turn.
    pub(super) async fn run<F: Future>(&self, set_up: F) -> F::Output {
        // Boxed, so that the memory for the set-up is freed when it is done.
        let mut set_up = Box::pin(set_up);
        loop {
            let turn = self.turn().await;
            yield_now().await;
            let polled = poll_fn(|cx| Poll::Ready(set_up.as_mut().poll(cx))).await;
            drop(turn);
            match polled {
                Poll::Ready(done) => return done,
                Poll::Pending => until_woken().await,
            }
        }
    }

    /// Waits for a turn. Dropping it, or the future, gives it away.
    async fn turn(&self) -> Turn<'_> {
        let number = {
            let mut state = self.state();
            state.next += 1;
            state.next
        };
        let turn = Turn { turns: self, number };
        poll_fn(|cx| {
            let mut state = self.state();
            if *state.current.get_or_insert(number) == number {
                return Poll::Ready(());
            }
            state.waiting.insert(number, cx.waker().clone());
            Poll::Pending
        })
        .await;
        turn
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A set-up's turn, or its wait for one.
struct Turn<'a> {
    turns: &'a Turns,
    number: u64,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.turns.state();
        state.waiting.remove(&self.number);
        if state.current != Some(self.number) {
            return;
        }
        let next = state.waiting.pop_first();
        state.current = next.as_ref().map(|(number, _)| *number);
        drop(state);
        if let Some((_, waker)) = next {
            waker.wake();
        }
    }
}

/// Returns when the task is woken.
async fn until_woken() {
    let mut polled = false;
    poll_fn(|_| if std::mem::replace(&mut polled, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        future::pending,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
    };

    /// Between two polls of another task, one set-up is polled; two if one of them ends a round and the other one starts the next.
    #[tokio::test]
    async fn set_ups_take_turns_with_every_other_task() {
        let (turns, polls) = (Arc::<Turns>::default(), Arc::<AtomicUsize>::default());
        for _ in 0..1000 {
            let (turns, polls) = (Arc::clone(&turns), Arc::clone(&polls));
            tokio::spawn(async move { turns.run(async { polls.fetch_add(1, Ordering::Relaxed) }).await });
        }
        let other = tokio::spawn(async move {
            let mut before = polls.load(Ordering::Relaxed);
            while before < 1000 {
                yield_now().await;
                let now = polls.load(Ordering::Relaxed);
                assert!(now <= before + 2, "{} set-ups ran in one go", now - before);
                before = now;
            }
        });
        other.await.unwrap();
    }

    #[tokio::test]
    async fn set_up_that_is_dropped_gives_its_turn_away() {
        let turns = Arc::<Turns>::default();
        let start = |set_up: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>| {
            let turns = Arc::clone(&turns);
            tokio::spawn(async move { turns.run(set_up).await })
        };
        let peer = start(Box::pin(pending()));
        for _ in 0..3 {
            yield_now().await;
        }
        let first = turns.turn().await;
        let (second, third) = (start(Box::pin(pending())), start(Box::pin(async {})));
        yield_now().await;
        second.abort();
        drop(first);
        third.await.unwrap();
        peer.abort();
    }
}
