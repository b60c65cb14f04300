//! `spicewatch probe`: what a SPICE server offers.

mod report;

use crate::{answers::escaped, print_error, server_args::ServerArgs, write_stdout};
use clap::ValueEnum;
use report::{Channel, Report};
use spice_conformance::{Carrier, ClientStream, Target};
use spice_link::{
    AuthMechanism, CapsBuf, ChannelType, CommonCap, ConnectStatus, DataHeader, HeaderKind, LinkConnector,
    LinkErrorCode, LinkMess, LinkReply, LinkUser, MainCap, Parsed, RefusalForm,
    ticket::{self, TicketError},
};
use std::{
    io::{self, Read, Write},
    process::ExitCode,
    time::{Duration, Instant},
};

/// Ask a SPICE server what it offers: channels, capabilities, authentication, TLS, WebSocket, its name, its latency
///
/// Without a password, probe stops before authentication. It then knows the channels and their capabilities, and no client is disconnected.
/// With a password, it opens a session, which disconnects a client that is connected. It then also shows the machine's name and UUID and the list of
/// channels. A server without a password accepts any.
#[derive(clap::Args)]
#[command(after_help = AFTER, after_long_help = AFTER)]
pub(crate) struct Args {
    #[command(flatten)]
    server: ServerArgs,

    /// What to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

const AFTER: &str = "\
Exit code: 0 if the server speaks SPICE, 2 if not, or if it could not be reached.

Examples:
  spicewatch probe 127.0.0.1:5930
  spicewatch probe 127.0.0.1:5931 --tls --password-file vm1.password --json";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

/// The most ids that are tried for each channel type. The first one that does not exist ends it.
const MOST_IDS: u8 = 8;
/// How many links the latency is measured with.
const LATENCY_LINKS: usize = 5;

pub(crate) fn run(args: &Args) -> ExitCode {
    match probe(args) {
        Ok(report) => {
            let format = if args.server.json { Format::Json } else { args.format };
            let text = match format {
                Format::Text => report.text(),
                Format::Json => escaped(&report.json()) + "\n",
            };
            match write_stdout(&text) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    print_error(format_args!("spicewatch probe: standard output: {error}"));
                    ExitCode::from(2)
                }
            }
        }
        Err(error) => {
            print_error(format_args!("spicewatch probe: {error}"));
            ExitCode::from(2)
        }
    }
}

fn probe(args: &Args) -> Result<Report, String> {
    let password = args.server.password.read()?;
    let target = args.server.target()?;
    let Target { address, carrier, .. } = &target;
    let session = if password.is_some() { "; one session is opened" } else { "" };
    print_error(format_args!(
        "probing {address} ({}) with up to {} links{session}",
        carrier,
        11 * usize::from(MOST_IDS) + LATENCY_LINKS
    ));
    ask(&target, password.as_deref()).map_err(|error| format!("{address}: {error}"))
}

/// What a link without a ticket shows.
enum Shown {
    /// The reply's capability words.
    Reply {
        common: Vec<u32>,
        own: Vec<u32>,
        took: Duration,
    },
    Refused(LinkErrorCode),
    /// The server closed the connection without a byte: there is no such channel.
    Absent,
}

fn ask(target: &Target, password: Option<&str>) -> io::Result<Report> {
    let mut report =
        Report { address: target.address.to_string(), carrier: target.carrier.to_string(), ..Report::default() };
    report.tls = target.connect()?.tls_info().map(|info| report::Tls::of(&info));
    for kind in ChannelType::ALL {
        let most = if *kind == ChannelType::MAIN { 1 } else { MOST_IDS };
        for id in 0..most {
            match first_answer(target, *kind, id)? {
                Shown::Reply { common, own, took } => {
                    if *kind == ChannelType::MAIN {
                        report.common = names(&common, |bit| CommonCap(bit).name());
                        report.auth = names(&common, |bit| CommonCap(bit).name())
                            .into_iter()
                            .filter_map(|name| name.strip_prefix("AUTH_").map(str::to_ascii_lowercase))
                            .filter(|name| name != "selection")
                            .collect();
                    }
                    let capabilities = names(&own, |bit| kind.capability_name(bit));
                    let milliseconds = took.as_secs_f64() * 1000.0;
                    report.channels.push(Channel {
                        name: kind.to_string(),
                        id,
                        capabilities,
                        refused: None,
                        needs_session: false,
                        milliseconds,
                    });
                }
                // spice-server judges the connection id last. Another server may do so first: then the channel is there.
                Shown::Refused(LinkErrorCode::BAD_CONNECTION_ID) => {
                    report.channels.push(Channel {
                        name: kind.to_string(),
                        id,
                        needs_session: true,
                        ..Channel::default()
                    });
                    break;
                }
                Shown::Refused(code) => {
                    let refused = Some(code.to_string());
                    let channel = Channel { name: kind.to_string(), id, refused, ..Channel::default() };
                    report.channels.push(channel);
                    // The TLS policy is the same for all ids of a type, and is checked before the id.
                    break;
                }
                Shown::Absent => break,
            }
        }
    }
    if report.channels.is_empty() {
        return Err(io::Error::other("no link reply to any channel: this is not a SPICE server"));
    }
    report.latency = latency(target)?;
    report.websocket = match target.carrier {
        Carrier::Plain => Some(target.clone().with_carrier(Carrier::WebSocket).connect().is_ok()),
        Carrier::WebSocket => Some(true),
        _ => None,
    };
    if let Some(password) = password {
        report.session = Some(session(target, password)?);
    }
    Ok(report)
}

fn names(words: &[u32], name: impl Fn(u32) -> Option<&'static str>) -> Vec<String> {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let bits = spice_link::ChannelCaps::from_le_bytes(&bytes).bits();
    bits.map(|bit| name(bit).map_or_else(|| format!("bit {bit}"), str::to_owned)).collect()
}

/// How long an answer may take. A server that sends it byte by byte can't make it longer.
#[derive(Clone, Copy)]
struct Patience {
    limit: Duration,
    since: Instant,
}

impl Patience {
    fn new(target: &Target) -> Self {
        Self { limit: target.time_limit, since: Instant::now() }
    }

    /// Another answer is waited for.
    fn again(&mut self) {
        self.since = Instant::now();
    }

    /// Reads a part of the answer. The stream's own limit is for each read.
    fn read(self, stream: &mut ClientStream, buffer: &mut [u8]) -> io::Result<usize> {
        if self.since.elapsed() >= self.limit {
            let limit = self.limit.as_secs();
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("the answer took longer than {limit} seconds"),
            ));
        }
        stream.read(buffer)
    }
}

/// Sends the opening for a channel, reads the answer, and leaves.
fn first_answer(target: &Target, kind: ChannelType, id: u8) -> io::Result<Shown> {
    let mut stream = target.connect()?;
    let mut out = [0; 64];
    let mut link = LinkConnector::new();
    let len = start(&mut link, kind, id, &mut out)?;
    let sent = Instant::now();
    stream.write_all(&out[..len])?;
    stream.flush()?;
    let patience = Patience::new(target);
    let (mut unread, mut buffer) = (Vec::new(), [0; 1024]);
    loop {
        match LinkReply::parse(&unread) {
            Ok(Parsed::Complete(reply, _)) if reply.error == LinkErrorCode::OK => {
                let (common, own) = (reply.common_caps.words().collect(), reply.channel_caps.words().collect());
                return Ok(Shown::Reply { common, own, took: sent.elapsed() });
            }
            Ok(Parsed::Complete(reply, _)) => return Ok(Shown::Refused(reply.error)),
            Ok(Parsed::Need(_)) => {}
            Err(error) => return Err(io::Error::other(format!("this is not a SPICE server: {error}"))),
        }
        match patience.read(&mut stream, &mut buffer) {
            Ok(0) => return Ok(Shown::Absent),
            Ok(len) => unread.extend(&buffer[..len]),
            Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof) => {
                return Ok(Shown::Absent);
            }
            Err(error) => return Err(error),
        }
    }
}

fn start(link: &mut LinkConnector, kind: ChannelType, id: u8, out: &mut [u8]) -> io::Result<usize> {
    let common = CapsBuf::<_, 1>::new().with(CommonCap::AUTH_SELECTION).with(CommonCap::MINI_HEADER);
    let own = CapsBuf::<_, 1>::new().with(MainCap::NAME_AND_UUID);
    let mess = LinkMess {
        connection_id: 0,
        channel_type: kind,
        channel_id: id,
        common_caps: common.as_caps(),
        channel_caps: if kind == ChannelType::MAIN { own.as_caps() } else { spice_link::ChannelCaps::EMPTY },
    };
    link.start(&mess, out).map_err(io::Error::other)
}

/// The time from the message to the reply in milliseconds: the minimum and the median of a few links to main. The server spends most of
/// it on an RSA key.
fn latency(target: &Target) -> io::Result<Option<[f64; 2]>> {
    let mut times = Vec::new();
    for _ in 0..LATENCY_LINKS {
        if let Shown::Reply { took, .. } = first_answer(target, ChannelType::MAIN, 0)? {
            times.push(took.as_secs_f64() * 1000.0);
        }
    }
    times.sort_unstable_by(f64::total_cmp);
    Ok(times.first().zip(times.get(times.len() / 2)).map(|(least, middle)| [*least, *middle]))
}

struct User<'a> {
    password: &'a str,
    /// Why no ticket could be made.
    failed: Option<TicketError>,
}

impl LinkUser for User<'_> {
    fn mechanism(&mut self, _: &LinkReply<'_>) -> AuthMechanism {
        AuthMechanism::SPICE
    }

    fn ticket(&mut self, pub_key: &[u8; LinkReply::PUB_KEY_LEN], ticket: &mut [u8; 128]) -> bool {
        let sealed = ticket::seal(pub_key, self.password.as_bytes());
        sealed.map(|sealed| *ticket = sealed).map_err(|error| self.failed = Some(error)).is_ok()
    }
}

/// Opens a session, and reads what the server sends unasked and the list of channels.
fn session(target: &Target, password: &str) -> io::Result<report::Session> {
    let mut stream = target.connect()?;
    let (mut link, mut user) = (LinkConnector::new(), User { password, failed: None });
    let (mut unread, mut buffer, mut out) = (Vec::new(), [0; 4096], [0; LinkConnector::ROOM]);
    let len = start(&mut link, ChannelType::MAIN, 0, &mut out)?;
    stream.write_all(&out[..len])?;
    let mut session = report::Session::default();
    let mut patience = Patience::new(target);
    let header = loop {
        stream.flush()?;
        let turn = link.read(&mut user, &unread, &mut out);
        if turn.consumed > 0 {
            patience.again();
        }
        unread.drain(..turn.consumed);
        stream.write_all(&out[..turn.written])?;
        stream.flush()?;
        match turn.outcome {
            ConnectStatus::Need(_) => match patience.read(&mut stream, &mut buffer)? {
                0 => {
                    return Ok(report::Session {
                        refused: Some("the server closed the connection without a reply".to_owned()),
                        ..session
                    });
                }
                len => unread.extend(&buffer[..len]),
            },
            ConnectStatus::Linked { header, main_init } => {
                let session_id = main_init.map(|init| init.session_id);
                session.connection_id = session_id.map(u32::cast_signed);
                break header;
            }
            ConnectStatus::Refused { code, form } => {
                let place = if form == RefusalForm::Result { "in the result" } else { "in a reply" };
                return Ok(report::Session { refused: Some(format!("{code}, {place}")), ..session });
            }
            other => {
                let why = user.failed.map_or_else(|| format!("{other:?}"), |error| error.to_string());
                return Err(io::Error::other(format!("no session: {why}")));
            }
        }
    };
    attach(&mut stream, header, patience, &mut unread, &mut session)?;
    Ok(session)
}

/// Message types of the main channel (spice-protocol, enums.h).
const ATTACH_CHANNELS: u16 = 104;
const CHANNELS_LIST: u16 = 104;
const NAME: u16 = 113;
const UUID: u16 = 114;

fn attach(
    stream: &mut ClientStream,
    header: HeaderKind,
    mut patience: Patience,
    unread: &mut Vec<u8>,
    session: &mut report::Session,
) -> io::Result<()> {
    let full = (header == HeaderKind::Full).then_some((1, 0));
    stream.write_all(DataHeader { message_type: ATTACH_CHANNELS, size: 0, full }.encode(&mut [0; 18]))?;
    stream.flush()?;
    let mut buffer = vec![0; 65_536];
    // The server sends its name, its UUID, and pings, one of them with 256 kB; the list follows within a few messages.
    for _ in 0..64 {
        patience.again();
        let (message, body) = loop {
            if let Parsed::Complete(message, start) = DataHeader::parse(header, unread) {
                let end = start + message.size as usize;
                if message.size > 1 << 22 {
                    return Err(io::Error::other(format!(
                        "expected messages of at most 4 MiB, found {}",
                        message.size
                    )));
                }
                if unread.len() >= end {
                    break (message, unread.drain(..end).skip(start).collect::<Vec<u8>>());
                }
            }
            match patience.read(stream, &mut buffer)? {
                0 => return Ok(()),
                len => unread.extend(&buffer[..len]),
            }
        };
        match message.message_type {
            CHANNELS_LIST => {
                let pairs = body.get(4..).unwrap_or_default().chunks_exact(2);
                session.channels = pairs.map(|two| format!("{} {}", ChannelType(two[0]), two[1])).collect();
                return Ok(());
            }
            NAME => {
                let text = body.get(4..).unwrap_or_default();
                let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
                session.name = Some(String::from_utf8_lossy(text).into_owned());
            }
            UUID => session.uuid = Some(report::uuid(&body)),
            _ => {}
        }
    }
    Ok(())
}
