//! `spicewatch tap`: the events of what passes on network interfaces.

mod filter;
mod socket;

use crate::{
    outputs::Failure,
    print_error,
    read::{KeyLogFile, LIVE_TURN, LiveArgs, Options, OutputError, Report, fail, output_failed},
    signals,
};
use nix::{
    net::if_::if_nametoindex,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{signal::Signal, signalfd::SignalFd},
    unistd::{User, setgid, setgroups, setuid},
};
use socket::PacketSocket;
use spice_capture::Capture;
use spice_events::Timestamp;
use spice_sessions::Source;
use std::{
    io,
    os::fd::AsFd,
    process::ExitCode,
    time::{Duration, Instant},
};

/// Print the events of the SPICE connections on network interfaces while they happen
///
/// Captures packets on this machine's interfaces and prints the same lines as "spicewatch read" would for them, without tcpdump. It ends with SIGINT or
/// SIGTERM, and then prints a summary.
///
/// Root or CAP_NET_RAW is needed to begin. The interfaces do not become promiscuous: on a mirror port, "ip link set dev IF promisc on" has to be done first.
#[derive(clap::Args)]
#[command(after_help = AFTER, after_long_help = AFTER)]
pub(crate) struct Args {
    #[command(flatten)]
    options: Options,

    #[command(flatten)]
    live: LiveArgs,

    /// Drop privileges to this user once the capture has begun
    #[arg(long, value_name = "USER")]
    user: Option<String>,

    /// The kernel's buffer for packets, in MiB
    ///
    /// Without CAP_NET_ADMIN it is at most net.core.rmem_max. Packets that find it full are lost, and each loss is reported.
    #[arg(long, value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1024))]
    buffer: u16,

    /// The interfaces; "any" is all of them, also those that come later
    #[arg(default_value = "any", value_name = "INTERFACE")]
    interfaces: Vec<String>,
}

const AFTER: &str = "\
Events go to standard output; anomalies and a summary go to standard error.

With --port and --tls-port the kernel passes on only TCP packets of these ports, and packets that may carry TCP in a tunnel other than one over UDP.

Examples:
  spicewatch tap
      Every SPICE connection on any interface, whatever its port
  spicewatch tap --port 5930 --tls-port 5931 --user nobody eth0 lo
      The two ports of one virtual machine, on two interfaces

Exit status:
  0  ended by SIGINT or SIGTERM, or standard output was closed
  1  standard output could not be written
  2  the capture could not begin, or broke off";

/// Packets that are taken in a row, before what they show is printed.
const BATCH: usize = 256;
/// How often a key log is looked at for more while no packet comes.
const KEY_LOG_INTERVAL: Duration = Duration::from_millis(100);
/// The time that a loss of packets is reported at most once in.
const LOSS_INTERVAL: Duration = Duration::from_secs(1);

pub(crate) fn run(args: Args) -> ExitCode {
    let name = args.interfaces.join(", ");
    let started = Instant::now();
    let report = match args.options.report_beside("", &args.live) {
        Ok(report) => report,
        Err(error) => return output_failed(&error),
    };
    let mut tap = match Tap::start(args, report) {
        Ok(tap) => tap,
        Err(StartError::Capture(error)) => return fail(&name, &error),
        Err(StartError::Live(failure)) => return failure.report("tap"),
    };
    let result = tap.run();
    // A failing capture has nothing more to say at its end: it is no file.
    let _ = tap.capture.finish();
    let written = tap.report.drain(&mut tap.capture).and_then(|()| tap.report.finish());
    match (result, written) {
        (Err(Stop::Output(error)), _) | (_, Err(error)) => return output_failed(&error),
        (Err(Stop::Input(error)), _) => return fail(&name, &error),
        (Ok(()), Ok(())) => {}
    }
    let counters = tap.capture.counters();
    tap.report.summary(&counters, counters.bytes, started.elapsed());
    ExitCode::SUCCESS
}

/// Why it does not begin.
enum StartError {
    Capture(anyhow::Error),
    /// An output beside the lines.
    Live(Failure),
}

impl<E: Into<anyhow::Error>> From<E> for StartError {
    fn from(error: E) -> Self {
        Self::Capture(error.into())
    }
}

/// Why it ends without a signal.
enum Stop {
    Input(io::Error),
    Output(OutputError),
}

/// A running capture.
struct Tap {
    socket: PacketSocket,
    signals: SignalFd,
    capture: Capture,
    report: Report,
    key_log: Option<KeyLogFile>,
    losses: Losses,
    /// Live outputs wait for turns.
    is_live: bool,
}

/// Packets that the kernel had no room for.
struct Losses {
    /// Those that were not reported yet.
    packets: u64,
    /// The time of the first packet after the last of them.
    at: Timestamp,
    reported: Option<Instant>,
}

impl Default for Losses {
    fn default() -> Self {
        Self { packets: 0, at: Timestamp { seconds: 0, microseconds: 0 }, reported: None }
    }
}

impl Tap {
    fn start(args: Args, mut report: Report) -> Result<Self, StartError> {
        let Args { options, live, user, buffer, interfaces } = args;
        let signals = signals::block(&[Signal::SIGINT, Signal::SIGTERM])?;

        let (mut config, key_log) = options.live_config()?;
        config.transport |= live.is_set();
        let mut ports: Vec<u16> = config.ports.iter().chain(&config.tls_ports).copied().collect();
        // TLS ports alone name no port for SPICE that is not inside TLS: it is recognised on any.
        if config.ports.is_empty() || ports.len() > filter::MAX_NAMES {
            ports.clear();
        }
        let program = filter::packets(&numbers(&interfaces)?, &ports);
        let socket = PacketSocket::open(&program, usize::from(buffer) << 20).map_err(|error| -> anyhow::Error {
            match error.kind() {
                io::ErrorKind::PermissionDenied => anyhow::anyhow!(
                    "{error}: run it as root, or give the program the right once with: setcap cap_net_raw+ep PROGRAM"
                ),
                _ => error.into(),
            }
        })?;
        if let Some(user) = &user {
            become_user(user)?;
        }
        // They are this user's files and sockets.
        report.add_live(options.live(&live, Source::Tap).map_err(StartError::Live)?);
        // The kernel doubles what is asked for, for its own bookkeeping.
        let size = socket.buffer_size()? / 2;
        print_error(format_args!(
            "spicewatch: capturing on {}, with a buffer of {} KiB",
            interfaces.join(", "),
            size >> 10
        ));
        let (capture, is_live) = (Capture::new(config), live.is_set());
        Ok(Self { socket, signals, capture, report, key_log, losses: Losses::default(), is_live })
    }

    /// Runs until a signal comes.
    fn run(&mut self) -> Result<(), Stop> {
        loop {
            let ended = self.wait().map_err(Stop::Input)?;
            self.report.turn(&mut self.capture);
            loop {
                let taken = self.take().map_err(Stop::Input)?;
                if self.losses.is_due(ended) {
                    self.capture.overrun(self.losses.at, self.losses.packets);
                    self.losses = Losses { reported: Some(Instant::now()), ..Losses::default() };
                }
                self.report.drain(&mut self.capture).and_then(|()| self.report.flush()).map_err(Stop::Output)?;
                if taken < BATCH {
                    break;
                }
                if !ended && self.signals.read_signal().map_err(|error| Stop::Input(error.into()))?.is_some() {
                    return Ok(());
                }
            }
            if ended {
                return Ok(());
            }
        }
    }

    /// Waits for packets, and says whether a signal has come instead.
    fn wait(&mut self) -> io::Result<bool> {
        let timeout = match (&self.key_log, self.losses.packets) {
            (None, 0) if !self.is_live => PollTimeout::NONE,
            (None, 0) => PollTimeout::try_from(LIVE_TURN).unwrap_or(PollTimeout::MAX),
            _ => PollTimeout::try_from(KEY_LOG_INTERVAL).unwrap_or(PollTimeout::MAX),
        };
        let mut fds =
            [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN), PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, timeout) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(self.signals.read_signal()?.is_some())
    }

    /// Takes the packets that are there, [`BATCH`] at most. What was logged of secrets before them is read first.
    fn take(&mut self) -> io::Result<usize> {
        if let Some(key_log) = &mut self.key_log {
            key_log.read(|bytes| self.capture.push_keys(bytes))?;
        }
        for taken in 0..BATCH {
            let Some(received) = self.socket.receive()? else { return Ok(taken) };
            if received.dropped > 0 {
                self.losses.packets += u64::from(received.dropped);
                self.losses.at = received.packet.at;
            }
            self.capture.packet(&received.packet);
        }
        Ok(BATCH)
    }
}

impl Losses {
    /// Whether it is time to report them.
    fn is_due(&self, at_once: bool) -> bool {
        let rested = self.reported.is_none_or(|reported| reported.elapsed() >= LOSS_INTERVAL);
        self.packets > 0 && (at_once || rested)
    }
}

/// The numbers of the interfaces; none means all.
fn numbers(interfaces: &[String]) -> anyhow::Result<Vec<u32>> {
    if interfaces.iter().any(|name| name == "any") {
        return Ok(Vec::new());
    }
    anyhow::ensure!(
        interfaces.len() <= filter::MAX_NAMES,
        "expected at most {} interfaces, found {}; \"any\" is all of them",
        filter::MAX_NAMES,
        interfaces.len()
    );
    let number =
        |name: &String| if_nametoindex(name.as_str()).map_err(|error| anyhow::anyhow!("{name}: {}", error.desc()));
    interfaces.iter().map(number).collect()
}

/// Becomes a user for good, with that user's first group only.
fn become_user(name: &str) -> anyhow::Result<()> {
    let user = User::from_name(name)?.ok_or_else(|| anyhow::anyhow!("there is no user {name}"))?;
    let drop = || setgroups(&[user.gid]).and_then(|()| setgid(user.gid)).and_then(|()| setuid(user.uid));
    drop().map_err(|error| anyhow::anyhow!("can't become {name}: {}", error.desc()))
}
