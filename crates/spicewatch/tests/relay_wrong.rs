//! Wrong configurations: one clear line, an exit code, and nothing is bound.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod relay_lab;

use std::{
    fs,
    net::TcpListener,
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        net::UnixListener,
        process::CommandExt,
    },
    path::Path,
    process::{Command, Stdio},
};

use relay_lab::Relay;
use rustix::process::geteuid;
use socket2::{Domain, SockAddr, Socket, Type};
use spice_testkit::lab::{self, Peer, Scratch};

/// Runs it to its end. Returns its exit code and its stderr.
fn fails(args: &[&str]) -> (Option<i32>, String) {
    let output = Relay::command().args(args).stdout(Stdio::null()).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap().trim_end().to_owned())
}

fn openssl(folder: &Path, line: &str) {
    let output = Command::new("openssl").args(line.split(' ')).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A folder with a stale socket at the path to listen on. Binding would replace the file.
struct Place {
    scratch: Scratch,
    listen: String,
    stale: u64,
}

impl Place {
    fn new() -> Self {
        let scratch = Scratch::new().unwrap();
        let path = scratch.join("stale");
        drop(UnixListener::bind(&path).unwrap());
        Self { stale: fs::metadata(&path).unwrap().ino(), listen: format!("unix:{}", path.display()), scratch }
    }

    fn file(&self, name: &str) -> String {
        self.scratch.join(name).display().to_string()
    }

    fn write(&self, name: &str, text: &str) -> String {
        fs::write(self.scratch.join(name), text).unwrap();
        self.file(name)
    }

    /// A valid VM, with more keys from line 4 on.
    fn config(&self, name: &str, more: &str) -> String {
        let Self { listen, .. } = self;
        self.write(name, &format!("[[vm]]\nlisten = \"{listen}\"\nupstream = \"127.0.0.1:1\"\n{more}"))
    }

    #[track_caller]
    fn is_as_it_was(&self) {
        assert_eq!(fs::metadata(self.scratch.join("stale")).unwrap().ino(), self.stale, "something was bound");
    }
}

#[test]
fn wrong_file_prints_one_line() {
    let place = Place::new();
    let one = format!("qmp = \"unix:{}\"\n", place.file("both"));
    let two = format!("{one}name = \"one\"\n[[vm]]\nlisten = \":0\"\nupstream = \"127.0.0.1:1\"\n{one}");
    let twice = format!("qmp = \"{}\"\n", place.listen);
    let name = "name = \"one\"\n";
    let same_name = format!("{name}[[vm]]\nlisten = \":0\"\nupstream = \"127.0.0.1:1\"\n{name}");
    let ring = format!("[[vm]]\nlisten = \"127.0.0.1:1\"\nupstream = \"{}\"\n", place.listen);
    for (file, part) in [
        (place.config("key.toml", "listen-tls = \":1\"\n"), "key.toml:4: unknown field `listen-tls`, expected one of"),
        (
            place.config("type.toml", "tls-listen = 5901\n"),
            "type.toml:4: invalid type: integer `5901`, expected a string or an array",
        ),
        (
            place.config("address.toml", "qmp = \"/run/vm.qmp\"\n"),
            "address.toml:4: expected HOST:PORT, tcp:HOST:PORT or unix:PATH",
        ),
        (place.config("syntax.toml", "qmp = unix\n"), "syntax.toml:4: "),
        (
            place.config("options.toml", "qmp = \"unix:/run/vm.qmp,server=off\"\n"),
            "options.toml:4: the relay connects to a client with qmp-connect, found `unix:/run/vm.qmp,server=off`",
        ),
        (
            place.config("connect.toml", "qmp-connect = \"unix:/q,server=on\"\n"),
            "connect.toml:4: the relay listens for clients with qmp, found `unix:/q,server=on`",
        ),
        (
            place.config("itself.toml", &format!("{one}qmp-connect = \"unix:{}\"\n", place.file("both"))),
            "both, a QMP socket of the relay",
        ),
        (place.config("mode.toml", "qmp-mode = \"rw\"\n"), "mode.toml:4: expected an octal mode from 0000 to 0777"),
        (place.config("version.toml", "qemu-version = \"8\"\n"), "expected a version of QEMU as 11.1.0, found `8`"),
        (
            place.config("qemu.toml", "qemu-qmp = \"unix:/q,server=on,wait=off\"\n"),
            "qemu.toml:4: expected unix:PATH or tcp:HOST:PORT without options, found `unix:/q,server=on,wait=off`",
        ),
        (place.config("twice.toml", "upstream = \"a:1\"\n"), "twice.toml:4: duplicate key"),
        (place.config("top.toml", "max-connections = 5\n"), "top.toml:4: unknown field `max-connections`"),
        (place.config("ca.toml", "ca = \"a.pem\"\n"), "expected upstream-tls with ca, found none"),
        (
            place.config("subject.toml", "host-subject = \"CN=a\"\n"),
            "expected upstream-tls with host-subject, found none",
        ),
        (place.config("dir.toml", "x509-dir = \"/etc\"\n"), "x509-dir needs --tls-listen or --upstream-tls"),
        (
            place.config("auth.toml", "auth = \"none\"\nqemu-qmp = \"/q\"\n"),
            "expected either auth or qemu-qmp, found both",
        ),
        (place.config("one.toml", &twice), "stale is configured as a listener twice"),
        (place.config("two.toml", &two), "vm number 2: unix:"),
        (place.config("two.toml", &two), "both is already a listener of vm `one`"),
        (
            place.config("name.toml", &same_name),
            "vm number 2: expected a name of its own, found `one`, the name of vm number 1",
        ),
        (
            place.config("ring.toml", &ring),
            "vm number 1: expected an upstream other than the relay itself, found 127.0.0.1:1, which leads back",
        ),
        (place.write("table.toml", "[vm]\n"), "table.toml:1: expected [[vm]], once for each VM"),
        (place.write("zero.toml", "max-connections = 0\n"), "zero.toml:1: invalid value: integer `0`"),
        (
            place.write(
                "bits.toml",
                &format!("source-ipv6-prefix = 129\n{}", fs::read_to_string(place.config("ok.toml", "")).unwrap()),
            ),
            "expected source-ipv6-prefix to be from 1 to 128, found 129",
        ),
        (place.write("empty.toml", ""), "expected at least one [[vm]]"),
        (place.file("missing"), "missing: No such file or directory"),
    ] {
        one_line(&["--config", &file], part);
    }
    place.is_as_it_was();
}

#[test]
fn wrong_flag_prints_one_line() {
    let place = Place::new();
    let (missing, file_socket) = (place.file("missing"), format!("unix:{}", place.write("file", "no socket")));
    let (nowhere, taken, busy) = (
        format!("unix:{missing}/vm.qmp"),
        format!("unix:{}", place.file("taken")),
        format!("unix:{}", place.file("busy")),
    );
    let _listener = UnixListener::bind(place.scratch.join("taken")).unwrap();
    // A listener that does not accept, with a full backlog.
    let _full = full_backlog(&place.scratch.join("busy"));
    let base = ["--listen", &place.listen, "--upstream", "127.0.0.1:1"];
    for (base, more, part) in [
        (&base[..2], &[][..], "expected an upstream"),
        (&base[2..], &[], "expected an address to listen on"),
        (&base, &["--listen", "5900"], "expected HOST:PORT, tcp:HOST:PORT or unix:PATH, found `5900`"),
        (&base, &["--listen", "::1:5900"], "expected brackets around the IPv6 address"),
        (&base, &["--listen", "a:70000"], "expected a port from 0 to 65535"),
        (&base, &["--qmp", "no.such.host.invalid:1"], "can't listen on no.such.host.invalid:1"),
        (&base, &["--idle-seconds", "soon"], "invalid value 'soon' for '--idle-seconds <N>'"),
        (&base, &["--auth", "kerberos"], "invalid value 'kerberos' for '--auth <AUTH>'"),
        (&base, &["--proxy-from", "10.0.0.0/40"], "--proxy-from"),
        (&base, &["--qmp", &nowhere], "there is no folder"),
        (&base, &["--qmp", &file_socket], "expected a stale socket or no file at all, found a file"),
        (&base, &["--qmp", &taken], "another process is listening on this socket"),
        (&base, &["--listen", &taken], "another process is listening on this socket"),
        (&base, &["--log", "=loud="], "--log"),
        (&base, &["--log", "warning"], "expected off, error, warn, info, debug, trace or directives, found `warning`"),
        (&base, &["--log", ""], "expected off, error, warn, info, debug, trace or directives, found ``"),
        (&base, &["--max-per-source", "0"], "number would be zero"),
        (&base, &["--max-qmp-behind", "1000"], "expected max-qmp-behind to be at least 65536, found 1000"),
        (&base, &["--workers", "100000"], "expected at most 1024 workers, found 100000"),
        (&base[..2], &["--upstream", ":5930"], "expected a host in the upstream, found `*:5930`"),
        (&base[..2], &["--upstream", "127.0.0.1:0"], "expected a port from 1 to 65535 in the upstream"),
        (&base[..2], &["--upstream", "spice://127.0.0.1:5930"], "expected HOST:PORT, tcp:HOST:PORT or unix:PATH"),
        (&base[..2], &["--upstream", &place.listen], "expected an upstream other than the relay itself"),
        (
            &["--listen", ":5999", "--upstream", "127.0.0.1:5999"],
            &[],
            "expected an upstream other than the relay itself",
        ),
        (&base, &["--qmp", &busy], "another process is listening on this socket"),
        (&base, &["--config", "a"], "'--config <FILE>' cannot be used with one or more of the other"),
    ] {
        one_line(&[base, more].concat(), part);
    }
    // Unknown flags, and flags that need each other, are reported with usage.
    for args in [&["--lisen", ":1"][..], &["--cert", "a"]] {
        let (code, said) = fails(args);
        assert_eq!(code, Some(2), "{args:?}");
        assert!(said.contains("Usage: spicewatch relay"), "{said}");
    }
    place.is_as_it_was();
}

#[test]
fn wrong_certificate_or_key_prints_one_line() {
    if !lab::have(&[Peer::Openssl]) {
        return;
    }
    let place = Place::new();
    let folder = place.scratch.path();
    openssl(folder, "req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=a -keyout a.key -out a.pem");
    openssl(folder, "genrsa -out b.key 2048");
    openssl(folder, "genrsa -out short.key 1024");
    openssl(folder, "genrsa -aes128 -passout pass:secret -out locked.key 2048");
    let [cert, key, other_key, short_key, locked_key, missing] =
        ["a.pem", "a.key", "b.key", "short.key", "locked.key", "missing"].map(|name| place.file(name));
    let junk = place.write("junk.pem", "no pem");
    let base = ["--listen", &place.listen, "--upstream", "127.0.0.1:1"];
    let tls = ["--listen", &place.listen, "--tls-listen", "127.0.0.1:0", "--upstream", "127.0.0.1:1"];
    for (base, more, part) in [
        (&base[..], &["--x509-dir", &missing, "--cert", &cert, "--key", &key][..], "cannot be used with"),
        (&tls, &[], "expected a certificate for --tls-listen"),
        (&tls, &["--cert", &junk, "--key", &key], "junk.pem: expected a certificate in PEM, found none"),
        (&tls, &["--cert", &missing, "--key", &key], "missing: "),
        (&tls, &["--cert", &cert, "--key", &junk], "junk.pem: "),
        (&tls, &["--cert", &cert, "--key", &other_key], "b.key: the key does not belong to the certificate"),
        (&tls, &["--cert", &cert, "--key", &short_key], "short.key: expected a key of RSA (2048 bits or more)"),
        (
            &tls,
            &["--cert", &cert, "--key", &locked_key],
            "expected a private key in PEM, without a password, found none",
        ),
        (&tls, &["--x509-dir", &missing], "server-cert.pem: "),
        (&base, &["--cert", &cert, "--key", &key], "a certificate needs --tls-listen"),
        (&base, &["--upstream-tls"], "expected a CA for --upstream-tls"),
        (&base, &["--upstream-tls", "--ca", &junk], "expected a certificate in PEM"),
        (&base, &["--upstream-tls", "--ca", &cert, "--host-subject", "me"], "expected NAME=VALUE"),
        (&base, &["--upstream-tls", "--ca", &cert, "--upstream-name", "a b"], "expected a host's name or address"),
    ] {
        one_line(&[base, more].concat(), part);
    }
    place.is_as_it_was();
}

/// Root may write anywhere, so the relay runs as another user then. It is a copy, because the original may be in a folder of root.
#[test]
fn unwritable_folder_is_not_reported_as_missing() {
    let place = Place::new();
    let (folder, program) = (place.scratch.join("locked"), place.scratch.join("spicewatch"));
    fs::copy(Relay::command().get_program(), &program).unwrap();
    fs::set_permissions(place.scratch.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o500)).unwrap();
    let qmp = format!("unix:{}/vm.qmp", folder.display());
    let mut command = Command::new(program);
    command.args(["relay", "--listen", "127.0.0.1:0", "--upstream", "127.0.0.1:1", "--qmp", &qmp]).current_dir("/");
    if geteuid().is_root() {
        command.uid(65534).gid(65534);
    }
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{said}");
    assert!(said.contains("locked: Permission denied"), "{said}");
}

/// A unix socket whose listener does not accept, and a client in its backlog.
fn full_backlog(path: &Path) -> [Socket; 2] {
    let [listener, waiting] = [0, 1].map(|_| Socket::new(Domain::UNIX, Type::STREAM, None).unwrap());
    let address = SockAddr::unix(path).unwrap();
    listener.bind(&address).unwrap();
    listener.listen(0).unwrap();
    waiting.connect(&address).unwrap();
    [listener, waiting]
}

#[track_caller]
fn one_line(args: &[&str], part: &str) {
    let (seen, said) = fails(args);
    assert_eq!((seen, said.lines().count()), (Some(2), 1), "{args:?}: {said}");
    assert!(said.starts_with("spicewatch") && said.contains(part), "{args:?}: {said}");
}

#[test]
fn address_in_use_has_its_own_exit_code() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let (code, said) = fails(&["--listen", &taken, "--upstream", "127.0.0.1:1"]);
    assert_eq!(code, Some(3));
    assert_eq!(said, format!("spicewatch relay: can't listen on {taken}: Address already in use (os error 98)"));
}

#[test]
fn help_explains_the_command_to_newcomers() {
    let output = Relay::command().arg("--help").output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(output.status.success());
    for part in
        ["Every byte is forwarded", "spicewatch relay --listen :5900", "[default: 10000", "Exit codes:", "SIGHUP"]
    {
        assert!(help.contains(part), "{part} in\n{help}");
    }
}
