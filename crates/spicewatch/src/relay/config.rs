//! The configuration: one set of types for the flags and for the file.
//!
//! The flag `--tls-listen` is the key `tls-listen` of the file. A flag that may be given several times is an array in the file,
//! or a single value. Units are in the names. 0 seconds disables a limit; for the drain it means no time at all.

pub(super) mod names;
mod parse;
mod process;
pub(super) mod qmp_options;
mod source;
mod vm;

pub(crate) use process::{Config, StdoutFormat};
pub(crate) use source::Source;
pub(crate) use vm::VmConfig;

#[cfg(test)]
mod tests {
    use super::*;
    use spice_relay::spice_events::Auth;
    use std::{fs, num::NonZero, time::Duration};

    fn read(text: &str) -> Result<Config, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("relay.toml");
        fs::write(&path, text).unwrap();
        source::read_toml::<Config>(&path).map_err(|error| error.rsplit_once('/').unwrap().1.to_owned())
    }

    #[test]
    fn file_sets_what_flags_set() {
        let config = read(
            "max-connections = 5\nlog-format = \"json\"\n\n[[vm]]\nlisten = \":5900\"\nupstream = \"unix:/run/vm\"\n\
             [[vm]]\nlisten = [\"[::1]:1\", \"unix:/a\"]\nupstream = \"h:2\"\nauth = \"sasl\"\nproxy-from = [\"10.0.0.0/8\"]\n",
        )
        .unwrap();
        assert_eq!(config.max_connections, NonZero::new(5));
        assert_eq!(config.vm[1].listen.len(), 2);
        assert_eq!(config.vm[1].auth, Some(Auth::Sasl));
        assert_eq!(config.timeouts().link, Some(Duration::from_secs(120)));
    }

    /// The keys that a table of the file knows, taken from the error about an unknown one.
    fn keys(table: &str) -> Vec<String> {
        let error = read(&format!("{table}no-such-key = 1\n")).unwrap_err();
        let mut keys: Vec<_> = error.split('`').skip(3).step_by(2).map(str::to_owned).collect();
        keys.sort();
        keys
    }

    fn flags<A: clap::Args>() -> Vec<String> {
        let command = A::augment_args(clap::Command::new("relay"));
        let mut flags: Vec<_> = command.get_arguments().filter_map(|flag| flag.get_long()).map(str::to_owned).collect();
        flags.sort();
        flags
    }

    /// The keys that a VM has, and that are flags of the process.
    const HOOKS: [&str; 6] =
        ["hook-seconds", "on-link-refused", "on-session-end", "on-session-start", "on-vm-empty", "vm-empty-seconds"];

    #[test]
    fn every_flag_is_a_key_and_every_key_a_flag() {
        let vms = "vm".to_owned();
        let top: Vec<_> = keys("").into_iter().filter(|key| *key != vms).collect();
        assert_eq!(top, flags::<Config>());
        // As a flag, a hook is that of all VMs: there is one.
        let mut vm = flags::<VmConfig>();
        vm.extend(HOOKS.map(str::to_owned));
        vm.sort();
        assert_eq!(keys("[[vm]]\n"), vm);
    }

    /// The example in docs/RELAY.md is valid, and its tables have every key and its default.
    #[test]
    fn the_manual_has_every_key() {
        // A package does not contain the manual.
        let Ok(manual) = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/RELAY.md")) else {
            return;
        };
        let example = manual.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        assert_eq!(read(example).unwrap().vm.len(), 2);
        let (top, rest) = manual.split_once("### For each VM").unwrap();
        let vm = rest.split("\n## ").next().unwrap();
        let of_vm: Vec<_> = flags::<VmConfig>().into_iter().chain(HOOKS.map(str::to_owned)).collect();
        for (text, mut keys) in [(top, flags::<Config>()), (vm, of_vm)] {
            keys.sort();
            let first_cells =
                text.lines().filter(|line| line.starts_with("| `")).filter_map(|line| line.split('|').nth(1));
            let mut documented: Vec<_> = first_cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
            documented.sort_unstable();
            assert_eq!(documented, keys);
        }
        let defaults = Config::default().timeouts();
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
    fn each_file_of_the_folder_is_a_vm() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        file("b.toml", "listen = \":2\"\nupstream = \"h:2\"\n");
        file("a.toml", "name = \"first\"\nlisten = \":1\"\nupstream = \"h:1\"\n");
        file("a.toml~", "not toml");
        let source = Source::Flags(Box::new(Config { vm_dir: Some(folder.path().into()), ..Config::default() }));
        let names: Vec<_> = source.read().unwrap().vm.iter().map(VmConfig::shown_name).collect();
        assert_eq!(names, ["first", "b"]);
        file("c.toml", "listen = \":3\"\nupsteam = \"h:3\"\n");
        assert!(source.read().unwrap_err().contains("c.toml:2: unknown field `upsteam`"));
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
            ("[[vm]]\nauth = \"kerberos\"\n", "relay.toml:2: expected spice, none or sasl, found `kerberos`"),
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
