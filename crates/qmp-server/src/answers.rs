//! Answers that come later, from any thread.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use crate::{Answer, CommandError};

/// Where the answer of a [`Command::later`](crate::Command::later) goes: once, from any thread.
///
/// One that is dropped answers with an error, so that the client isn't left waiting.
#[must_use = "the client waits for the answer"]
pub struct Responder {
    call: u64,
    answers: Arc<Answers>,
    answered: bool,
}

impl Responder {
    pub(crate) fn new(call: u64, answers: Arc<Answers>) -> Self {
        Self { call, answers, answered: false }
    }

    /// Answers. If the client has gone meanwhile, nothing happens.
    pub fn answer(mut self, answer: Answer) {
        self.send(answer);
    }

    fn send(&mut self, answer: Answer) {
        self.answered = true;
        let waker = {
            let mut inner = self.answers.lock();
            inner.arrived.push((self.call, answer));
            inner.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        if !self.answered {
            self.send(Err(CommandError::generic("The command was given up without an answer")));
        }
    }
}

impl fmt::Debug for Responder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Responder").field("call", &self.call).finish_non_exhaustive()
    }
}

/// What has arrived for one session.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    arrived: Vec<(u64, Answer)>,
    waker: Option<Waker>,
}

impl Answers {
    /// Everything that has arrived, by call.
    pub(crate) fn take(&self) -> Vec<(u64, Answer)> {
        std::mem::take(&mut self.lock().arrived)
    }

    /// Whom to wake when the next one arrives.
    pub(crate) fn set_waker(&self, waker: &Waker) {
        let mut inner = self.lock();
        if !inner.waker.as_ref().is_some_and(|old| old.will_wake(waker)) {
            inner.waker = Some(waker.clone());
        }
    }

    /// A panic elsewhere leaves a list that is whole: nothing here panics while it holds the lock.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
