//! Compares the real spice-server, in this process, with our acceptor, observer and tracker on generated conversations.
//!
//! For each case, the same bytes go to a real server (`spice_server_add_client` on a socket pair) and to `LinkAcceptor`. The bytes of
//! the real connection also go to a `LinkObserver` and a `Tracker`. The comparison covers the answered bytes (except the RSA key), the
//! end of the connection, the channel events with their fields in their order for each connection, and the observer's report.

mod case;
mod digest_md5;
mod event_loop;
mod ffi;
mod graphics;
mod ours;
mod play;
mod real;

use std::{
    collections::BTreeMap,
    convert::Infallible,
    io::{self, Write},
    os::fd::AsRawFd,
    process::{Command, Stdio},
    time::Instant,
};

use spice_link::ticket::TicketKey;
use spice_testkit::{
    generate::{Choices, Unstructured, plainest},
    lab::Pki,
};

use case::Case;
use ours::Host;
use play::{Difference, Pair, Tally};
use real::{Kind, Server};

/// Bytes of choices for one case.
const CHOICES: usize = 400;
/// Number of distinct disagreements after which the run stops.
const ENOUGH: usize = 20;

/// Number of cases that is enough to reach every check.
const ENOUGH_FOR_ALL: u64 = 3000;
/// Every way in which the server's checks can end: its name in the report, or the part of the name before a colon.
const CHECKS: &[&str] = &[
    " 2 magic",
    " 3 major version",
    " 3 major version 0",
    " 4 size",
    " 5 capability counts",
    " 6 capability range",
    " 7 TLS policy: LinkErrorCode(5 need secured)",
    " 7 TLS policy: LinkErrorCode(6 need unsecured)",
    " 8 no such channel",
    "10 SASL without selection",
    "11 mechanism",
    "12 ticket",
    "12 SASL name or length",
    "12 SASL credentials",
    "13 connection id",
    "14 a channel that is there",
    "14 linked: a new session",
    "14 linked: a new session, in TLS",
    "14 linked: a new session, after SASL in TLS",
    "14 linked: a new session, after SASL with a security layer",
    "14 linked: another channel",
    "14 linked: display",
    "14 linked: display, in TLS",
    "14 linked: cursor",
    "14 linked: cursor, in TLS",
];

struct Options {
    cases: u64,
    seed: u64,
    /// How many of a hundred cases may authenticate.
    deep: u64,
}

fn main() -> io::Result<()> {
    let options = options()?;
    let mut said = quiet_stderr()?;
    let scratch = sasl_configuration()?;
    let (pki, mut pairs) = (Pki::new()?, BTreeMap::new());
    for kind in Kind::ALL {
        let server = Server::new(kind, &pki)?;
        let key = TicketKey::generate().map_err(io::Error::other)?;
        pairs.insert(kind, Pair { server, host: Host::new(kind, key), kind });
    }
    event_loop::run_until_idle();
    let (seed, deep) = (options.seed, options.deep);
    println!(
        "{} in this process, {} cases from seed {seed}, {deep} % of them with good credentials",
        library()?,
        options.cases
    );

    let start = Instant::now();
    let (mut choices, mut bytes, mut tally) = (Choices::new(seed), Vec::new(), Tally::default());
    let mut found: BTreeMap<String, (u64, String)> = BTreeMap::new();
    let mut done = 0;
    while done < options.cases && found.len() < ENOUGH {
        let is_deep = choices.word() % 100 < deep;
        choices.fill(&mut bytes, CHOICES);
        if let Err(difference) = try_case(&mut pairs, is_deep, &bytes, &mut tally) {
            let (name, minimal) = minimise(&mut pairs, is_deep, &bytes, &difference);
            let entry = found.entry(name).or_insert((0, minimal));
            entry.0 += 1;
        }
        done += 1;
        if done % 20_000 == 0 {
            writeln!(said, "{done} cases, {} disagreements, {:.0} s", sum(&found), start.elapsed().as_secs_f64())?;
        }
    }
    report(seed, done, &tally, &found, start);
    drop(scratch);
    if !found.is_empty() {
        return Err(io::Error::other("the real server disagrees"));
    }
    let missed = never_reached(&tally);
    if options.cases >= ENOUGH_FOR_ALL && !missed.is_empty() {
        return Err(io::Error::other(format!("no case reaches {}", missed.join(", "))));
    }
    Ok(())
}

fn draw(is_deep: bool, bytes: &[u8]) -> Option<Case> {
    let mut u = Unstructured::new(bytes);
    if is_deep { Case::deep(&mut u) } else { Case::cheap(&mut u) }.ok()
}

fn try_case(
    pairs: &mut BTreeMap<Kind, Pair>,
    is_deep: bool,
    bytes: &[u8],
    tally: &mut Tally,
) -> Result<(), Difference> {
    let Some(case) = draw(is_deep, bytes) else { return Ok(()) };
    let Some(pair) = pairs.get_mut(&case.kind) else { return Ok(()) };
    play::play(pair, &case, tally)
}

/// Minimises the choices while the case still differs in the same way. Returns the kind of difference, and the case.
fn minimise(
    pairs: &mut BTreeMap<Kind, Pair>,
    is_deep: bool,
    bytes: &[u8],
    difference: &Difference,
) -> (String, String) {
    let mut last = difference.clone();
    let Ok(best) = plainest(bytes, 1500, |candidate| {
        Ok::<_, Infallible>(match try_case(pairs, is_deep, candidate, &mut Tally::default()) {
            Err(other) if other.what == difference.what => {
                last = other;
                true
            }
            _ => false,
        })
    });
    let shape = last.detail.split(['[', '{']).next().unwrap_or_default();
    let shape: String = shape.chars().filter(|c| !c.is_ascii_digit()).take(60).collect();
    let case: String = format!("{:?}", draw(is_deep, &best)).chars().take(1500).collect();
    (format!("{}: {shape}", last.what), format!("{}\n    case {case}\n    choices {best:?}", last.detail))
}

fn report(seed: u64, done: u64, tally: &Tally, found: &BTreeMap<String, (u64, String)>, start: Instant) {
    println!("\nnumber of links that each check decided (numbers of docs/PROTOCOL.md, section 8)");
    for (check, count) in &tally.checks {
        println!("  {count:>9}  {check}");
    }
    let missed = never_reached(tally);
    let all = format!("each of {} ways to end was reached", CHECKS.len());
    println!("{}", if missed.is_empty() { all } else { format!("never reached: {}", missed.join(", ")) });
    let (links, disagreements) = (tally.checks.values().sum::<u64>(), sum(found));
    println!(
        "\n{done} cases, {links} links, {} channel events, {} links authenticated",
        tally.events, tally.authenticated
    );
    println!(
        "seed {seed}: {} agree, {disagreements} disagree, {:.1} s",
        done - disagreements,
        start.elapsed().as_secs_f64()
    );
    for (name, (count, minimal)) in found {
        println!("\n{name} ({count} cases), minimised:\n    {minimal}");
    }
}

/// The path of the spice-server library that the dynamic loader chose.
fn library() -> io::Result<String> {
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    let path =
        maps.lines().filter_map(|line| line.split_whitespace().nth(5)).find(|path| path.contains("libspice-server"));
    path.map(str::to_owned).ok_or_else(|| io::Error::other("no spice-server library is loaded"))
}

fn never_reached(tally: &Tally) -> Vec<&'static str> {
    let is =
        |name: &str, check: &str| name.strip_prefix(check).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'));
    CHECKS.iter().copied().filter(|check| !tally.checks.keys().any(|name| is(name, check))).collect()
}

fn sum(found: &BTreeMap<String, (u64, String)>) -> u64 {
    found.values().map(|(count, _)| count).sum()
}

fn options() -> io::Result<Options> {
    let mut options = Options { cases: 3000, seed: 1, deep: 5 };
    let mut args = std::env::args().skip(1);
    while let Some(name) = args.next() {
        let value = args.next().and_then(|value| value.parse().ok());
        let Some(value) = value else { return Err(io::Error::other(format!("{name} needs a number"))) };
        match &*name {
            "--cases" => options.cases = value,
            "--seed" => options.seed = value,
            "--deep" => options.deep = value,
            _ => return Err(io::Error::other(format!("expected --cases, --seed or --deep, found {name}"))),
        }
    }
    Ok(options)
}

/// The library logs each refusal to stderr. This redirects it to /dev/null, and keeps the old stderr for our own messages.
fn quiet_stderr() -> io::Result<std::fs::File> {
    let ours = std::fs::File::from(std::os::fd::AsFd::as_fd(&io::stderr()).try_clone_to_owned()?);
    let null = std::fs::OpenOptions::new().write(true).open("/dev/null")?;
    // SAFETY: both descriptors are open.
    if unsafe { libc::dup2(null.as_raw_fd(), 2) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(ours)
}

/// A folder with the configuration of the SASL library, removed on drop. It fixes the mechanisms, whatever the machine has installed.
struct Scratch(std::path::PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn sasl_configuration() -> io::Result<Scratch> {
    let folder = std::env::temp_dir().join(format!("spice-differential-{}", std::process::id()));
    std::fs::create_dir(&folder)?;
    let database = folder.join("db");
    let configuration = format!("mech_list: digest-md5 plain\nsasldb_path: {}\n", database.display());
    std::fs::write(folder.join("spice.conf"), configuration)?;
    let mut command = Command::new("saslpasswd2");
    command.arg("-f").arg(&database).args(["-p", "-c", "-a", "spice", digest_md5::USER]);
    let mut adding = command.stdin(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = adding.stdin.take() {
        stdin.write_all(real::PASSWORD.as_bytes())?;
    }
    if !adding.wait()?.success() {
        return Err(io::Error::other("saslpasswd2 adds no user"));
    }
    // SAFETY: this is the only thread so far.
    unsafe { std::env::set_var("SASL_CONF_PATH", &folder) };
    Ok(Scratch(folder))
}
