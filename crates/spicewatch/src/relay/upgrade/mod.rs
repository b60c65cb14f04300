//! A new process takes over from a running one: `relay --upgrade`.
//!
//! ```text
//!  new                                     old
//!   │ control socket: "upgrade"             │ checks the user
//!   │──────────── Hello ───────────────────▶│ checks form and VMs
//!   │                                       │ withholds events from here on
//!   │◀─────────── State, sockets ───────────│
//!   │ prepares everything that can fail     │
//!   │──────────── Ready ───────────────────▶│
//!   │◀─────────── Go ───────────────────────│ commits: it never takes anything back after this, unless `new` ends without `Taken`
//!   │──────────── Taken ───────────────────▶│ stops accepting, and closes its outputs
//!   │ serves                                │ forwards its connections
//!   │◀─────────── FromOld: reports, counts ─│
//!   │──────────── FromNew: terminate ──────▶│
//!   │◀─────────── end of the stream ────────│ ends after its last connection
//! ```
//!
//! The new process does nothing that others can see before it has read `Go`. It sends `Taken` before it does anything. So an old process that finds
//! the end of the stream without `Taken` knows that the new one has done nothing, and goes on as if there had been no upgrade.
//!
//! Connections stay in the old process. What its observers are told goes to the trackers of the new one, which have begun with the state of
//! the old ones. If the new process ends, the old one ends its connections: no process would report them.

mod message;
mod new;
mod old;
mod outline;
mod wire;

use std::{
    env,
    process::{Command, Stdio},
    thread,
};

pub(super) use new::{Predecessor, TakeOver};
pub(super) use old::{HandedOver, hand_over};

/// The flag that makes a process take over.
const FLAG: &str = "--upgrade";

/// Starts the program again, so that it takes over from this process: the file that the process was started from, which may have been
/// replaced, with the same arguments.
pub(super) fn start_program() {
    let program = env::args_os().next().unwrap_or_default();
    let arguments = env::args_os().skip(1).filter(|argument| argument != FLAG);
    tracing::info!(program = %program.display(), "SIGUSR2: starting the program that takes over");
    match Command::new(&program).args(arguments).arg(FLAG).stdin(Stdio::null()).spawn() {
        Ok(mut child) => {
            // If it fails, its own log and this one's say why.
            thread::spawn(move || child.wait());
        }
        Err(error) => {
            tracing::error!(program = %program.display(), %error, "can't start the program; this relay goes on as before");
        }
    }
}
