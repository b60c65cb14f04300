use std::{fmt, hint::black_box};

/// One piece of work, and who does it.
#[derive(Debug)]
pub struct Row {
    /// What is done, as PERFORMANCE.md calls it.
    pub name: &'static str,
    /// Who does it, ourselves first.
    pub contenders: Vec<Contender>,
}

/// One way to do a row's work.
pub struct Contender {
    /// Whose way.
    pub name: &'static str,
    run: Box<dyn FnMut(u64)>,
}

impl Row {
    /// A row that nobody does yet.
    pub const fn new(name: &'static str) -> Self {
        Self { name, contenders: Vec::new() }
    }

    /// And who does it like this. What `work` returns is made up in full; what it reads, it must pass through
    /// [`black_box`] itself.
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
    /// Does the work so many times.
    pub fn run(&mut self, times: u64) {
        (self.run)(times);
    }
}

impl fmt::Debug for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Contender").field(&self.name).finish()
    }
}
