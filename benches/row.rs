use std::{fmt, hint::black_box};

/// One piece of work, and the ways to do it.
#[derive(Debug)]
pub struct Row {
    /// The name of the work in PERFORMANCE.md.
    pub name: &'static str,
    /// The ways to do it, ours first.
    pub contenders: Vec<Contender>,
}

/// One way to do the work of a row.
pub struct Contender {
    /// The name of the program or crate.
    pub name: &'static str,
    run: Box<dyn FnMut(u64)>,
}

impl Row {
    /// Makes a row without contenders.
    pub const fn new(name: &'static str) -> Self {
        Self { name, contenders: Vec::new() }
    }

    /// Adds a contender. The result of `work` is not optimised away. `work` itself must pass its inputs through
    /// [`black_box`].
    #[must_use]
    pub fn by<T>(mut self, name: &'static str, mut work: impl FnMut() -> T + 'static) -> Self {
        let run = Box::new(move |times| {
            for _ in 0..times {
                black_box(work());
            }
        });
        self.contenders.push(Contender { name, run });
        self
    }
}

impl Contender {
    /// Does the work this many times.
    pub fn run(&mut self, times: u64) {
        (self.run)(times);
    }
}

impl fmt::Debug for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Contender").field(&self.name).finish()
    }
}
