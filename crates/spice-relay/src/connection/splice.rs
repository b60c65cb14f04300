//! Pipes for splice(2). Each thread keeps a few, and lends one to a connection while the connection's bytes are in it.
//!
//! A pipe takes two descriptors, and a connection whose receiver is slow may hold one for long. So there is a limit on all
//! pipes of the process; without a pipe, a connection copies its bytes.

use std::{
    cell::RefCell,
    io,
    os::fd::{AsFd, OwnedFd},
    sync::atomic::{AtomicUsize, Ordering},
};

use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

/// The most pipes that the process has, of two descriptors each.
pub const MAX_PIPES: usize = 128;
/// How many pipes a thread keeps for later connections.
const KEPT: usize = 4;
/// The capacity of a pipe, in bytes. The kernel's default, 64 KiB, is two thirds of what one read of a fast socket finds.
const SIZE: usize = 256 * 1024;

/// How many pipes there are.
static PIPES: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static POOL: RefCell<Vec<Ends>> = const { RefCell::new(Vec::new()) };
}

#[derive(Debug)]
struct Ends {
    read: OwnedFd,
    write: OwnedFd,
    /// Dropped after the descriptors are closed.
    _counted: Counted,
}

/// One of [`PIPES`].
#[derive(Debug)]
struct Counted;

impl Counted {
    fn new() -> io::Result<Self> {
        let counted = Self;
        let before = PIPES.fetch_add(1, Ordering::Relaxed);
        // If there are too many, dropping it takes the count back.
        if before < MAX_PIPES { Ok(counted) } else { Err(io::ErrorKind::QuotaExceeded.into()) }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        PIPES.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A pipe, and how many bytes are in it. Returns to its thread's pool when it is dropped empty.
#[derive(Debug)]
pub(super) struct Pipe {
    ends: Option<Ends>,
    held: usize,
}

impl Pipe {
    /// Takes an empty pipe from the thread's pool, or creates one. Fails if there are [`MAX_PIPES`], or no descriptors.
    pub(super) fn take() -> io::Result<Self> {
        if let Some(ends) = POOL.with_borrow_mut(Vec::pop) {
            return Ok(Self { ends: Some(ends), held: 0 });
        }
        let counted = Counted::new()?;
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // Fails if the user already has many pipes. The default capacity works too.
        let _ = fcntl_setpipe_size(&write, SIZE);
        Ok(Self { ends: Some(Ends { read, write, _counted: counted }), held: 0 })
    }

    /// How many bytes are in the pipe.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Moves what a socket has into the empty pipe. Returns how many bytes that was; 0 is the end of the socket's stream.
    pub(super) fn fill(&mut self, from: impl AsFd) -> io::Result<usize> {
        let Some(ends) = &self.ends else { return Ok(0) };
        let moved = splice(from, None, &ends.write, None, SIZE, SpliceFlags::NONBLOCK | SpliceFlags::MOVE)?;
        self.held += moved;
        Ok(moved)
    }

    /// Moves bytes from the pipe to a socket, as many as the socket takes. Returns how many that was.
    pub(super) fn drain(&mut self, to: impl AsFd) -> io::Result<usize> {
        let Some(ends) = &self.ends else { return Ok(0) };
        let moved = splice(&ends.read, None, to, None, self.held, SpliceFlags::NONBLOCK | SpliceFlags::MOVE)?;
        self.held -= moved.min(self.held);
        Ok(moved)
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        if self.held == 0
            && let Some(ends) = self.ends.take()
        {
            // The pool of a thread that is ending may be gone already.
            let _ = POOL.try_with(|pool| {
                let mut pool = pool.borrow_mut();
                if pool.len() < KEPT {
                    pool.push(ends);
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pipes_are_limited_and_come_back() {
        let mut pipes: Vec<_> = std::iter::from_fn(|| Pipe::take().ok()).take(10 * MAX_PIPES).collect();
        // Other tests of the process may have some.
        assert!((MAX_PIPES / 2..=MAX_PIPES).contains(&pipes.len()), "{}", pipes.len());
        for pipe in &mut pipes {
            // As if bytes were in it: it is closed, and not kept for a later connection.
            pipe.held = 1;
        }
        drop(pipes);
        assert!(Pipe::take().is_ok());
    }
}
