//! What can be configured: one set of types for the flags and for the file.
//!
//! A flag `--tls-listen` is the key `tls-listen` of the file. What may be given several times is an array there, or a
//! single value. Units are in the names; 0 seconds means never, and no time at all for the drain.

use std::{fmt, fs, num::NonZero, path::Path, path::PathBuf, time::Duration};

use clap::ValueEnum;
use serde::{Deserializer, de};
use serde_derive::Deserialize;

use super::{endpoint::Endpoint, proxy_protocol::Network};

/// What concerns the whole process, and its VMs.
#[derive(Clone, Debug, Default, clap::Args, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
#[command(next_help_heading = "Limits and logging")]
pub(crate) struct Config {
    /// Connections at a time, of all VMs together; more are closed at once, unannounced [default: 10000, or as many as there are
    /// descriptors for]
    ///
    /// Each takes two descriptors. The soft limit on descriptors is raised to the hard one at start.
    #[arg(long, value_name = "N")]
    pub max_connections: Option<NonZero<usize>>,
    /// Connections at a time from one address [default: no limit]
    ///
    /// A session of an ordinary client has some ten. Behind a load balancer, the address is the client's where --proxy-from
    /// expects a PROXY header, and else the balancer's for all.
    #[arg(long, value_name = "N")]
    pub max_per_source: Option<NonZero<usize>>,
    /// Seconds from accept to the end of the link stage [default: 120]
    ///
    /// spice-server has no such limit: a client that says nothing holds its socket for ever. A real link stage takes
    /// milliseconds, but QEMU's main loop is known to stall for 30 seconds.
    #[arg(long, value_name = "N")]
    pub link_seconds: Option<u64>,
    /// Seconds without a byte in either direction before a linked channel is closed [default: 0, never]
    ///
    /// Idle channels are ordinary: nothing passes on inputs while nobody types. Dead peers are found by TCP keepalive,
    /// after 600 idle seconds as in spice-server.
    #[arg(long, value_name = "N")]
    pub idle_seconds: Option<u64>,
    /// Seconds without a byte before a connection that one side has ended is closed altogether [default: 60]
    ///
    /// spice-server answers the end of a channel at once, except for sockets that it has forgotten.
    #[arg(long, value_name = "N")]
    pub half_closed_seconds: Option<u64>,
    /// Seconds to connect to the upstream [default: 10]
    #[arg(long, value_name = "N")]
    pub connect_seconds: Option<u64>,
    /// Seconds that live connections get after SIGTERM or SIGINT; 0 is none; a second signal ends at once
    /// [default: 10]
    #[arg(long, value_name = "N")]
    pub drain_seconds: Option<u64>,
    /// Bytes of events that a QMP client may be behind before it is disconnected [default: 16777216]
    ///
    /// A SPICE event has some 280. No client slows the relay or another client.
    #[arg(long, value_name = "N")]
    pub max_qmp_behind: Option<NonZero<usize>>,
    /// Threads that move bytes [default: one a core]
    #[arg(long, value_name = "N")]
    pub workers: Option<NonZero<usize>>,
    /// What to log to stderr: a level (error, warn, info, debug), or tracing's filter directives [default: info]
    #[arg(long, value_name = "FILTER")]
    pub log: Option<String>,
    /// The form of the log [default: text]
    #[arg(long, value_name = "FORM")]
    pub log_format: Option<LogFormat>,
    #[arg(skip)]
    pub vm: Vec<VmConfig>,
}

/// What concerns one VM.
#[derive(Clone, Debug, Default, clap::Args, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
#[command(next_help_heading = "The VM")]
pub(crate) struct VmConfig {
    /// What the log calls this VM [default: the upstream's address]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Accept plain connections here: HOST:PORT, [V6]:PORT, :PORT (both families) or unix:PATH
    #[arg(long, value_name = "ADDR")]
    #[serde(deserialize_with = "one_or_many")]
    pub listen: Vec<Endpoint>,
    /// Accept TLS connections here
    #[arg(long, value_name = "ADDR")]
    #[serde(deserialize_with = "one_or_many")]
    pub tls_listen: Vec<Endpoint>,
    /// The certificate to show to clients, then its intermediates (PEM; read again on SIGHUP)
    #[arg(long, value_name = "FILE", requires = "key", conflicts_with = "x509_dir")]
    pub cert: Option<PathBuf>,
    /// Its private key (PEM, without a password)
    #[arg(long, value_name = "FILE", requires = "cert", conflicts_with = "x509_dir")]
    pub key: Option<PathBuf>,
    /// A folder as QEMU's x509-dir: server-cert.pem and server-key.pem; with --upstream-tls also ca-cert.pem
    #[arg(long, value_name = "DIR")]
    pub x509_dir: Option<PathBuf>,
    /// The SPICE server: HOST:PORT or unix:PATH
    #[arg(long, value_name = "ADDR")]
    pub upstream: Option<Endpoint>,
    /// Speak TLS to the SPICE server
    #[arg(long)]
    pub upstream_tls: bool,
    /// Certificates that the SPICE server's has to be signed by (PEM; read again on SIGHUP)
    #[arg(long, value_name = "FILE", requires = "upstream_tls")]
    pub ca: Option<PathBuf>,
    /// The name that the SPICE server's certificate has to bear [default: the upstream's host]
    #[arg(long, value_name = "NAME", requires = "upstream_tls", conflicts_with = "host_subject")]
    pub upstream_name: Option<String>,
    /// The subject that it has to have instead, as in SPICE's host-subject: C=…,O=…,CN=…
    #[arg(long, value_name = "SUBJECT", requires = "upstream_tls")]
    pub host_subject: Option<String>,
    /// Serve QMP here: unix:PATH or tcp:HOST:PORT [default: none; events go to stdout]
    #[arg(long, value_name = "ADDR")]
    #[serde(deserialize_with = "one_or_many")]
    pub qmp: Vec<Endpoint>,
    /// What the events say of the server's authentication [default: sasl where the server offers it, else spice]
    ///
    /// On the wire a server without ticketing looks as one with it, so `none` has to be said.
    #[arg(long, value_name = "AUTH", conflicts_with = "qemu_qmp")]
    pub auth: Option<AuthName>,
    /// Ask this QMP socket of QEMU's for it, and for the versions and the mouse mode
    ///
    /// Asked at start and whenever the upstream is back; QEMU serves one client a socket, so it should have nobody else on it.
    #[arg(long, value_name = "PATH")]
    pub qemu_qmp: Option<PathBuf>,
    /// Expect a PROXY protocol header (v1 or v2) from these sources: an address, ADDRESS/BITS, or `unix`
    #[arg(long, value_name = "SOURCE")]
    #[serde(deserialize_with = "one_or_many")]
    pub proxy_from: Vec<Network>,
    /// Send a PROXY protocol header to the upstream. spice-server itself does not understand it
    #[arg(long, value_name = "VERSION")]
    pub send_proxy: Option<ProxyVersion>,
}

/// The server's `auth` setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum AuthName {
    /// Tickets
    Spice,
    /// disable-ticketing=on
    None,
    /// sasl=on
    Sasl,
}

/// Versions of HAProxy's PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ProxyVersion {
    /// Text
    V1,
    /// Binary
    V2,
}

/// Forms of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LogFormat {
    /// A line for people
    Text,
    /// A JSON object a line
    Json,
}

impl Config {
    /// Reads the file. An error names the line.
    pub(crate) fn from_file(path: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        toml::from_str(&text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start.min(text.len()));
            let line = text.bytes().take(start).filter(|byte| *byte == b'\n').count() + 1;
            let said = match error.message() {
                // Nothing else has to be one.
                "invalid type: map, expected a sequence" => "expected [[vm]], once for each VM, found [vm]".to_owned(),
                said => said.replace('\n', " "),
            };
            format!("{}:{line}: {said}", path.display())
        })
    }

    pub(crate) fn timing(&self) -> Timing {
        Timing {
            link: seconds(self.link_seconds, 120),
            idle: seconds(self.idle_seconds, 0),
            half_closed: seconds(self.half_closed_seconds, 60),
            connect: seconds(self.connect_seconds, 10),
        }
    }

    pub(crate) fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_seconds.unwrap_or(10).min(LONGEST))
    }
}

/// How long a connection may take for what. `None` is for ever.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    pub link: Option<Duration>,
    pub idle: Option<Duration>,
    pub half_closed: Option<Duration>,
    pub connect: Option<Duration>,
}

/// 136 years, in seconds. A clock that is further ahead can't be set.
const LONGEST: u64 = u32::MAX as u64;

fn seconds(configured: Option<u64>, default: u64) -> Option<Duration> {
    let seconds = configured.unwrap_or(default).min(LONGEST);
    (seconds > 0).then(|| Duration::from_secs(seconds))
}

/// `"a"` or `["a", "b"]`.
fn one_or_many<'de, D: Deserializer<'de>, T: de::Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    struct Visitor<T>(std::marker::PhantomData<T>);
    impl<'de, T: de::Deserialize<'de>> de::Visitor<'de> for Visitor<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string or an array of strings")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<T>, E> {
            T::deserialize(de::value::StrDeserializer::new(text)).map(|one| vec![one])
        }

        fn visit_seq<A: de::SeqAccess<'de>>(self, mut many: A) -> Result<Vec<T>, A::Error> {
            let mut all = Vec::new();
            while let Some(one) = many.next_element()? {
                all.push(one);
            }
            Ok(all)
        }
    }
    deserializer.deserialize_any(Visitor(std::marker::PhantomData))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("relay.toml");
        fs::write(&path, text).unwrap();
        Config::from_file(&path).map_err(|error| error.rsplit_once('/').unwrap().1.to_owned())
    }

    #[test]
    fn a_file_says_what_flags_say() {
        let config = read(
            "max-connections = 5\nlog-format = \"json\"\n\n[[vm]]\nlisten = \":5900\"\nupstream = \"unix:/run/vm\"\n\
             [[vm]]\nlisten = [\"[::1]:1\", \"unix:/a\"]\nupstream = \"h:2\"\nauth = \"sasl\"\nproxy-from = [\"10.0.0.0/8\"]\n",
        )
        .unwrap();
        assert_eq!(config.max_connections, NonZero::new(5));
        assert_eq!(config.vm[1].listen.len(), 2);
        assert_eq!(config.vm[1].auth, Some(AuthName::Sasl));
        assert_eq!(config.timing().link, Some(Duration::from_secs(120)));
    }

    /// The keys that a table of the file knows, from the words of an error about one that it does not.
    fn keys(table: &str) -> Vec<String> {
        let said = read(&format!("{table}no-such-key = 1\n")).unwrap_err();
        let mut keys: Vec<_> = said.split('`').skip(3).step_by(2).map(str::to_owned).collect();
        keys.sort();
        keys
    }

    fn flags<A: clap::Args>() -> Vec<String> {
        let command = A::augment_args(clap::Command::new("relay"));
        let mut flags: Vec<_> = command.get_arguments().filter_map(|flag| flag.get_long()).map(str::to_owned).collect();
        flags.sort();
        flags
    }

    #[test]
    fn every_flag_is_a_key_and_every_key_a_flag() {
        let vms = "vm".to_owned();
        let top: Vec<_> = keys("").into_iter().filter(|key| *key != vms).collect();
        assert_eq!(top, flags::<Config>());
        assert_eq!(keys("[[vm]]\n"), flags::<VmConfig>());
    }

    /// docs/RELAY.md: its example is read, and its tables have every key.
    #[test]
    fn the_manual_has_every_key() {
        // Outside of the workspace, in a package, there is no manual.
        let Ok(manual) = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/RELAY.md")) else {
            return;
        };
        let example = manual.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        assert_eq!(read(example).unwrap().vm.len(), 2);
        let (top, vm) = manual.split_once("### For each VM").unwrap();
        for (text, keys) in [(top, flags::<Config>()), (vm, flags::<VmConfig>())] {
            let first_cells =
                text.lines().filter(|line| line.starts_with("| `")).filter_map(|line| line.split('|').nth(1));
            let mut told: Vec<_> = first_cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
            told.sort_unstable();
            assert_eq!(told, keys);
        }
        let defaults = Config::default().timing();
        let seconds = |limit: Option<Duration>| limit.map_or(0, |limit| limit.as_secs());
        for (key, default) in [
            ("link-seconds", seconds(defaults.link)),
            ("idle-seconds", seconds(defaults.idle)),
            ("half-closed-seconds", seconds(defaults.half_closed)),
            ("connect-seconds", seconds(defaults.connect)),
            ("drain-seconds", Config::default().drain().as_secs()),
        ] {
            assert!(manual.contains(&format!("| `{key}` | {default} |")), "{key}: {default}");
        }
    }

    #[test]
    fn errors_name_the_line() {
        for (text, error) in [
            ("[[vm]]\nlisten = \":1\"\nlisen = \":2\"\n", "relay.toml:3: unknown field `lisen`, expected one of "),
            ("max-conections = 1\n", "relay.toml:1: unknown field `max-conections`, expected one of "),
            (
                "[[vm]]\n\nlisten = \"5900\"\n",
                "relay.toml:3: expected HOST:PORT, tcp:HOST:PORT or unix:PATH, found `5900`",
            ),
            ("[[vm]]\nauth = \"kerberos\"\n", "relay.toml:2: unknown variant `kerberos`"),
            ("idle-seconds = -1\n", "relay.toml:1: invalid value: integer `-1`"),
            ("[[vm]\n", "relay.toml:1: "),
            ("\n[vm]\nlisten = \":1\"\n", "relay.toml:2: expected [[vm]], once for each VM, found [vm]"),
            ("max-connections = 0\n", "relay.toml:1: invalid value: integer `0`, expected a nonzero usize"),
        ] {
            let seen = read(text).unwrap_err();
            assert!(seen.starts_with(error), "{seen}");
        }
    }
}
