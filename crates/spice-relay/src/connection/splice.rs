//! Pipes for splice(2). Each thread keeps a few, and lends one to a connection while the connection's bytes are in it.

use std::{
    cell::RefCell,
    io,
    os::fd::{AsFd, OwnedFd},
};

use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

/// How many pipes a thread keeps for later connections.
const KEPT: usize = 16;
/// The capacity of a pipe, in bytes. The kernel's default, 64 KiB, is two thirds of what one read of a fast socket finds.
const SIZE: usize = 256 * 1024;

thread_local! {
    static POOL: RefCell<Vec<Ends>> = const { RefCell::new(Vec::new()) };
}

#[derive(Debug)]
struct Ends {
    read: OwnedFd,
    write: OwnedFd,
}

/// A pipe, and how many bytes are in it. Returns to its thread's pool when it is dropped empty.
#[derive(Debug)]
pub(super) struct Pipe {
    ends: Option<Ends>,
    held: usize,
}

impl Pipe {
    /// Takes an empty pipe from the thread's pool, or creates one.
    pub(super) fn take() -> io::Result<Self> {
        if let Some(ends) = POOL.with_borrow_mut(Vec::pop) {
            return Ok(Self { ends: Some(ends), held: 0 });
        }
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // Fails if the user already has many pipes. The default capacity works too.
        let _ = fcntl_setpipe_size(&write, SIZE);
        Ok(Self { ends: Some(Ends { read, write }), held: 0 })
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
