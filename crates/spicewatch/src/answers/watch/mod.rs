//! `spicewatch watch`: a live table of sessions in the terminal.
//!
//! ```text
//!  relay's control socket ◀── ask ── source, a thread ── updates ──▶ model ◀── keys
//!                                                                      │
//!                                                                      ▼
//!                                                             view ──▶ terminal, or svg
//! ```
//!
//! It polls with `who` and `status`, and does not subscribe: byte counts and idle times change all the time, a subscription would add
//! state for each client to the relay, and a relay that restarts needs no rule of its own. The relay reads its table in pages of 256, so that
//! a poll costs it no more than the sessions that it has.

mod model;
mod source;
mod svg;
#[cfg(test)]
mod tests;
mod view;

use std::{
    env,
    io::{self, IsTerminal as _},
    process::ExitCode,
    time::{Duration, Instant},
};

use model::{Action, Model};
use nix::sys::{signal::Signal, signalfd::SignalFd};
use ratatui::{
    DefaultTerminal, Terminal,
    backend::TestBackend,
    crossterm::event::{self, Event},
};
use source::Source;

use super::{Relay, failed, print};
use crate::signals;

/// How often the terminal and signals are looked at.
const TURN: Duration = Duration::from_millis(100);

/// Show who is connected now, live, in the terminal
///
/// Asks a running relay, or "spicewatch follow" or "tap", on its control socket, again and again. When the relay restarts, it says so and goes on.
///
/// Without a terminal on standard output, it prints the table once, as "spicewatch who" does.
#[derive(clap::Args)]
#[command(after_help = AFTER, after_long_help = AFTER)]
pub(crate) struct Args {
    #[command(flatten)]
    relay: Relay,
    /// Only this VM
    #[arg(long, value_name = "NAME")]
    vm: Option<String>,
    /// Seconds between two looks
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=3600))]
    interval: u64,
    /// Print one picture of the screen as SVG, after two looks, and exit
    #[arg(long)]
    svg: bool,
    /// The columns of that picture
    #[arg(long, value_name = "N", default_value_t = 120, requires = "svg", value_parser = clap::value_parser!(u16).range(20..=500))]
    width: u16,
    /// The lines of that picture
    #[arg(long, value_name = "N", default_value_t = 16, requires = "svg", value_parser = clap::value_parser!(u16).range(5..=500))]
    height: u16,
}

const AFTER: &str = "\
Keys:
  up, down, j, k     select a session; also Page Up, Page Down, Home, End
  Enter              look into it; Esc goes back
  s, S               sort by the next or the previous column
  r                  reverse the order
  /                  show only sessions whose VM or client contains a text; Enter keeps it, Esc removes it
  q, Ctrl-C          quit

Without colours if NO_COLOR is set.

Exit codes:
  0  ended by q, Ctrl-C, SIGTERM or SIGHUP, or the table was printed
  2  the relay could not be asked the first time, or the terminal could not be used";

pub(crate) fn run(args: &Args) -> ExitCode {
    let has_colours = env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let mut model = Model::new(has_colours);
    let mut source = Source::new(args.relay.control.clone(), args.vm.clone());
    let first = source.look();
    if let source::Update::Failed(error) = &first {
        return failed("watch", error);
    }
    model.update(first, Instant::now());
    if args.svg {
        // The second look shows how fast bytes go.
        std::thread::sleep(Duration::from_secs(args.interval));
        model.update(source.look(), Instant::now());
        return print("watch", &picture(&mut model, args.width, args.height));
    }
    if !io::stdout().is_terminal() {
        return print("watch", &model.table());
    }
    let shown = interact(&mut model, source, Duration::from_secs(args.interval));
    shown.map_or_else(|error| failed("watch", &error.to_string()), |()| ExitCode::SUCCESS)
}

/// Shows the table until the user or a signal ends it.
fn interact(model: &mut Model, source: Source, interval: Duration) -> io::Result<()> {
    let signals = signals::block(&[Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT])?;
    let updates = source.start(interval)?;
    let mut terminal = ratatui::try_init()?;
    let outcome = turns(model, &mut terminal, &updates, &signals);
    let restored = ratatui::try_restore();
    outcome.and(restored)
}

fn turns(
    model: &mut Model,
    terminal: &mut DefaultTerminal,
    updates: &source::Updates,
    signals: &SignalFd,
) -> io::Result<()> {
    loop {
        terminal.draw(|frame| view::draw(frame, model))?;
        if event::poll(TURN)? {
            match event::read()? {
                Event::Key(key) if model.key(key) == Action::Quit => return Ok(()),
                // A resize is drawn in the next turn.
                _ => {}
            }
        }
        if signals.read_signal()?.is_some() {
            return Ok(());
        }
        for update in updates.try_iter() {
            model.update(update, Instant::now());
        }
    }
}

/// A picture of the screen.
fn picture(model: &mut Model, width: u16, height: u16) -> String {
    let Ok(mut terminal) = Terminal::new(TestBackend::new(width, height));
    let Ok(drawn) = terminal.draw(|frame| view::draw(frame, model));
    svg::svg(drawn.buffer)
}
