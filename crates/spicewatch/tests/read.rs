//! `spicewatch read` as a person or a script meets it: exit codes, and what goes to which stream.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::Shutdown,
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use spice_testkit::{captures, packets};

fn spicewatch(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spicewatch"));
    command.arg("read").args(args);
    command
}

fn run(args: &[&str]) -> Output {
    spicewatch(args).output().unwrap()
}

fn capture(name: &str) -> PathBuf {
    captures::load(name).unwrap().path
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn events(output: &Output) -> usize {
    output.stdout.split(|&b| b == b'\n').filter(|line| !line.is_empty()).count()
}

#[test]
fn events_go_to_stdout_and_one_summary_to_stderr() {
    let output = run(&[text(&capture("ticket"))]);
    assert_eq!((output.status.code(), events(&output)), (Some(0), 33));
    assert!(output.stdout.ends_with(b"}\n") && !output.stdout.contains(&b'\r'));
    let stderr = stderr(&output);
    let [summary] = stderr.lines().collect::<Vec<_>>()[..] else { panic!("{stderr}") };
    assert!(
        summary.starts_with("spicewatch: 362 packets, 11 connections, 33 events, 0 anomalies, 47324 bytes in "),
        "{summary}"
    );
}

#[test]
fn port_without_connections_is_reported_with_what_to_do() {
    let output = run(&["--port", "1", text(&capture("ticket"))]);
    assert_eq!((output.status.code(), events(&output)), (Some(0), 0));
    let stderr = stderr(&output);
    assert!(stderr.starts_with("spicewatch: not read: 362 packets of other ports\n"), "{stderr}");
    assert!(stderr.contains("at these ports; without --port, SPICE is recognised at any port\n"), "{stderr}");
}

#[test]
fn what_the_end_says_does_not_count_against_the_limit_of_anomalies() {
    let mut packets = packets::Packets::parse(&captures::load("ticket").unwrap().bytes().unwrap()).unwrap();
    packets.trim(8);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("short.pcap");
    fs::write(&file, packets.to_pcap()).unwrap();
    let stderr = stderr(&run(&["--anomalies", "1", text(&file)]));
    assert!(stderr.contains("have less than 22 bytes of a link stage (snaplen)"), "{stderr}");
    assert!(stderr.contains(" more anomalies; --anomalies N prints more"), "{stderr}");
}

#[test]
fn compressed_files_that_follow_each_other_are_read_like_one() {
    let file = fs::read(capture("ticket")).unwrap();
    let gzip = |bytes: &[u8]| {
        let mut child = Command::new("gzip").arg("-c").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(bytes).unwrap();
        child.wait_with_output().unwrap().stdout
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ticket.pcap.gz");
    // Two members of one file, and two files.
    for (pieces, expected) in [([&file[..9000], &file[9000..]], 33), ([&file[..], &file[..24]], 33)] {
        fs::write(&path, pieces.map(gzip).concat()).unwrap();
        let output = run(&[text(&path)]);
        assert_eq!((output.status.code(), events(&output)), (Some(0), expected), "{}", stderr(&output));
    }
    fs::write(&path, [&gzip(&file)[..], b"something else"].concat()).unwrap();
    let output = run(&[text(&path)]);
    assert_eq!((output.status.code(), events(&output)), (Some(2), 33));
    assert!(stderr(&output).contains("what follows the gzip data is not gzip"), "{}", stderr(&output));
}

#[test]
fn compressed_file_is_not_followed() {
    let path = packed("capture.pcap.gz");
    check_refused(
        &run(&["--follow", text(&path)]),
        "capture.pcap.gz: compressed files are not followed: read it without --follow",
    );
}

/// The file that is compressed is passed over, and the other one is read.
#[test]
fn compressed_file_in_a_followed_folder_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(packed("capture.pcap.gz"), folder.path().join("1.pcap.gz")).unwrap();
    fs::copy(capture("ticket"), folder.path().join("2.pcap")).unwrap();
    let mut child = spicewatch(&["--follow", text(folder.path())])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().take(33);
    assert_eq!(lines.map_while(Result::ok).count(), 33);
    child.kill().unwrap();
    let said = stderr(&child.wait_with_output().unwrap());
    assert!(said.contains("1.pcap.gz: compressed files are not followed"), "{said}");
}

#[track_caller]
fn check_refused(output: &Output, expected: &str) {
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
    let stderr = stderr(output);
    assert!(stderr.starts_with("spicewatch: ") && stderr.contains(expected), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}

#[test]
fn what_can_not_be_read_gets_one_line_and_exit_code_2() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        text(&path).to_owned()
    };
    check_refused(&run(&["/does/not/exist.pcap"]), "/does/not/exist.pcap: No such file or directory");
    check_refused(&run(&[text(folder.path())]), "directory");
    check_refused(&run(&[&file("empty", b"")]), "empty: expected a pcap or pcapng file, seen an empty one");
    check_refused(&run(&[&file("text", b"hello, world")]), "seen 68656c6c at offset 0");
    check_refused(&run(&[&file("short", &[0xd4, 0xc3])]), "seen d4c30000 at offset 0");
    check_refused(&run(&[&file("packed", &[0x1f, 0x8b, 8, 0, 0])]), "packed: ");
}

#[test]
fn damage_ends_in_exit_code_2_after_the_events_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged.pcap");
    let mut bytes = fs::read(capture("ticket")).unwrap();
    bytes.extend([0xff; 16]);
    fs::write(&path, &bytes).unwrap();
    let output = run(&[text(&path)]);
    assert_eq!((output.status.code(), events(&output)), (Some(2), 33));
    assert!(stderr(&output).contains("at offset 47324: the file is damaged there"), "{}", stderr(&output));
}

#[test]
fn a_capture_cut_in_mid_packet_is_read_up_to_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.pcap");
    let bytes = fs::read(capture("ticket")).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 7]).unwrap();
    let output = run(&[text(&path)]);
    assert_eq!(output.status.code(), Some(0));
    assert!(events(&output) >= 32);
    let stderr = stderr(&output);
    assert!(stderr.contains("the file ends at offset 47317 in the middle of the packet at offset"), "{stderr}");
    assert!(stderr.contains(" packets, 11 connections, "), "{stderr}");
}

#[test]
fn a_connection_that_is_open_at_the_end_gets_no_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("half.pcap");
    let bytes = fs::read(capture("kick")).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 3]).unwrap();
    let output = run(&[text(&path)]);
    let stdout = String::from_utf8(output.stdout).unwrap();
    let count = |name| stdout.matches(&format!("\"SPICE_{name}\"")).count();
    let open = count("CONNECTED") - count("DISCONNECTED");
    assert!(open > 0, "{stdout}");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains(&format!("spicewatch: {open} connections are open at the end: 127.0.0.1:")), "{stderr}");
    assert!(stderr.contains(" is silent since 17"), "{stderr}");
}

#[test]
fn a_capture_without_spice_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("arp.pcap");
    let mut bytes = fs::read(capture("ticket")).unwrap()[..24].to_vec();
    let arp = [&[0xff; 12][..], &[8, 6], &[0; 28]].concat();
    let len = u32::try_from(arp.len()).unwrap().to_le_bytes();
    bytes.extend([&[0; 8][..], &len, &len, &arp].concat());
    fs::write(&path, bytes).unwrap();
    let stderr = String::from_utf8(run(&[text(&path)]).stderr).unwrap();
    assert!(stderr.contains("not read: 1 packets without TCP\n"), "{stderr}");
    assert!(
        stderr.contains("no SPICE connection was found; if one should be there, name its server's port\n"),
        "{stderr}"
    );
}

/// The snaplen cuts the link message before the channel's type and id.
#[test]
fn a_snaplen_that_is_too_small_is_reported_with_one_that_suffices() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.pcap");
    let bytes = fs::read(capture("ticket")).unwrap();
    let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    for (snaplen, reported) in [(80, true), (96, false)] {
        let (mut cut, mut at) = (bytes[..24].to_vec(), 24);
        while at < bytes.len() {
            let len = number(at + 8);
            let kept = len.min(snaplen);
            cut.extend(&bytes[at..at + 8]);
            cut.extend(u32::try_from(kept).unwrap().to_le_bytes());
            cut.extend(&bytes[at + 12..at + 16 + kept]);
            at += 16 + len;
        }
        fs::write(&path, cut).unwrap();
        let stderr = String::from_utf8(run(&["--anomalies", "100", text(&path)]).stderr).unwrap();
        let told = "have less than 22 bytes of a link stage (snaplen): capture at least 128 bytes of each packet";
        assert_eq!(stderr.contains(told), reported, "{snaplen}: {stderr}");
    }
}

#[test]
fn what_was_not_read_is_counted_by_kind() {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = fs::read(capture("ticket")).unwrap();
    let header =
        |len: u32| [&1_795_375_300_u32.to_le_bytes()[..], &[0; 4], &len.to_le_bytes(), &len.to_le_bytes()].concat();
    // IPsec ESP, and an IPv4 header that is too short for one.
    let ethernet = [&[0; 12][..], &[8, 0]].concat();
    let ip = |protocol: u8, len: u8, first: u8| {
        let mut ip = vec![first, 0, 0, len, 0, 0, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        ip.resize(len.into(), 0);
        ip
    };
    for ip in [ip(50, 60, 0x45), ip(6, 40, 0x41)] {
        let packet = [ethernet.clone(), ip].concat();
        bytes.extend(header(u32::try_from(packet.len()).unwrap()));
        bytes.extend(packet);
    }
    let path = folder.path().join("mixed.pcap");
    fs::write(&path, bytes).unwrap();
    let stderr = String::from_utf8(run(&[text(&path)]).stderr).unwrap();
    let expected =
        "not read: 1 packets with headers that contradict each other, 1 packets in other tunnels or in encryption\n";
    assert!(stderr.contains(expected), "{stderr}");
    assert!(stderr.contains("1 packets in ESP (IPsec) were not read: encrypted"), "{stderr}");
}

#[test]
fn standard_input_is_read_as_it_comes() {
    let mut child =
        spicewatch(&["-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let bytes = fs::read(capture("ticket")).unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    // The rest is held back: the first event must come all the same.
    stdin.write_all(&bytes[..bytes.len() / 2]).unwrap();
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert!(line.contains("\"SPICE_CONNECTED\""), "{line}");
    stdin.write_all(&bytes[bytes.len() / 2..]).unwrap();
    drop(stdin);
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(rest.lines().count(), 32);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_stream_and_a_file_give_the_same() {
    for name in ["open", "mixed", "refused", "quit"] {
        let path = capture(name);
        let file = run(&[text(&path)]);
        let stream = spicewatch(&["-"]).stdin(fs::File::open(&path).unwrap()).output().unwrap();
        assert_eq!(file.stdout, stream.stdout, "{name}");
    }
}

#[test]
fn a_reader_that_has_left_is_one_line_and_an_exit_code() {
    // A socket that was shut down, because a process that another test is starting may inherit the end of a pipe for a moment.
    let (reader, stdout) = UnixStream::pair().unwrap();
    reader.shutdown(Shutdown::Both).unwrap();
    let mut command = spicewatch(&["-"]);
    command.stdin(Stdio::piped()).stdout(OwnedFd::from(stdout)).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // The program may be gone before it has read everything.
    let _ = child.stdin.take().unwrap().write_all(&fs::read(capture("ticket")).unwrap());
    let output = child.wait_with_output().unwrap();
    let line = "spicewatch: standard output: Broken pipe (os error 32)\n";
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(1), line));
}

#[test]
fn anomalies_are_bounded_and_counted() {
    let path = capture("refused");
    let port = captures::load("refused").unwrap().manifest.ports[0].to_string();
    let output = run(&["--port", &port, "--anomalies", "3", text(&path)]);
    let stderr = stderr(&output);
    let lines: Vec<_> = stderr.lines().collect();
    assert_eq!(lines.len(), 5, "{stderr}");
    assert!(lines[0].contains(": client byte 0: expected the magic"), "{stderr}");
    assert!(lines[3].contains("more anomalies; --anomalies N prints more"), "{stderr}");
}

#[test]
fn a_connection_older_than_the_capture_is_named_where_its_port_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("late.pcap");
    let bytes = fs::read(capture("open")).unwrap();
    let port = captures::load("open").unwrap().manifest.ports[0].to_string();
    // The header, and the packets from some way into the session on.
    let mut at = 24;
    while at < bytes.len() / 2 {
        at += 16 + u32::from_le_bytes(bytes[at + 8..at + 12].try_into().unwrap()) as usize;
    }
    fs::write(&path, [&bytes[..24], &bytes[at..]].concat()).unwrap();
    let output = run(&["--port", &port, text(&path)]);
    assert_eq!(output.status.code(), Some(0));
    assert!(stderr(&output).contains(": already open when the capture began; no events for it"), "{}", stderr(&output));
    let silent = run(&[text(&path)]);
    assert!(!stderr(&silent).contains("already open"), "{}", stderr(&silent));
}

#[test]
fn auth_is_what_the_operator_says() {
    for (auth, expected) in [("none", "none"), ("sasl", "sasl"), ("spice", "spice")] {
        let output = run(&["--auth", auth, text(&capture("ticket"))]);
        let stdout = String::from_utf8(output.stdout).unwrap();
        assert_eq!(stdout.matches(&format!("\"auth\": \"{expected}\"")).count(), 11);
    }
}

#[test]
fn wrong_arguments_are_refused_and_help_is_given() {
    assert_eq!(run(&["--port", "70000", "x"]).status.code(), Some(2));
    assert_eq!(run(&["--auth", "maybe", "x"]).status.code(), Some(2));
    assert_eq!(run(&[]).status.code(), Some(2));
    let help = run(&["--help"]);
    let shown = String::from_utf8(help.stdout).unwrap();
    assert_eq!(help.status.code(), Some(0));
    for expected in ["SPICE_CONNECTED", "Examples:", "Exit status:", "tcpdump"] {
        assert!(shown.contains(expected), "{shown}");
    }
}

/// `crates/spice-capture/examples/main-channel.pcap`, compressed.
fn packed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/packed").join(name)
}

#[test]
fn compressed_captures_are_unpacked_while_they_are_read() {
    let plain = Path::new(env!("CARGO_MANIFEST_DIR")).join("../spice-capture/examples/main-channel.pcap");
    let expected = run(&[text(&plain)]);
    assert_eq!(events(&expected), 3);
    for name in [
        "capture.pcap.gz",
        "capture.pcap.zst",
        "capture.pcap.xz",
        "capture.pcap.lz4",
        "capture.pcap.bz2",
        "capture.zip",
    ] {
        let path = packed(name);
        let file = run(&[text(&path)]);
        assert_eq!((file.status.code(), file.stdout == expected.stdout), (Some(0), true), "{name}: {}", stderr(&file));
        let stream = spicewatch(&["-"]).stdin(fs::File::open(&path).unwrap()).output().unwrap();
        assert_eq!(stream.stdout, expected.stdout, "{name} as a stream: {}", stderr(&stream));
        // One file after the other, as pigz, pzstd and others write them.
        if name != "capture.zip" {
            let folder = tempfile::tempdir().unwrap();
            let bytes = fs::read(&path).unwrap();
            let (twice, cut) = (folder.path().join("twice"), folder.path().join("cut"));
            fs::write(&twice, [&bytes[..], &bytes].concat()).unwrap();
            let twice = run(&[text(&twice)]);
            // The second file has the same packets, which count as sent again.
            assert_eq!((twice.status.code(), events(&twice)), (Some(0), 3), "{name}: {}", stderr(&twice));
            assert!(stderr(&twice).contains("spicewatch: 74 packets, "), "{name}: {}", stderr(&twice));
            fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
            assert!(!stderr(&run(&[text(&cut)])).is_empty(), "{name}");
        }
    }
}

#[test]
fn several_files_are_read_in_time_order() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = fs::read(capture("ticket")).unwrap();
    // Three files that overlap, cut between packets.
    let mut ends = vec![24];
    while *ends.last().unwrap() < bytes.len() {
        let at = *ends.last().unwrap();
        ends.push(at + 16 + u32::from_le_bytes(bytes[at + 8..at + 12].try_into().unwrap()) as usize);
    }
    let part = |name: &str, from: usize, to: usize| {
        let path = folder.path().join(name);
        fs::write(&path, [&bytes[..24], &bytes[ends[from]..ends[to]]].concat()).unwrap();
        text(&path).to_owned()
    };
    let packets = ends.len() - 1;
    let files = [part("c", packets / 2, packets), part("a", 0, packets / 3), part("b", packets / 4, packets / 2)];
    let several = run(&[&files[0], &files[1], &files[2]]);
    let whole = run(&[text(&capture("ticket"))]);
    assert_eq!(several.stdout, whole.stdout, "{}", stderr(&several));
    assert_eq!(several.status.code(), Some(0));
    // One that can't be read does not keep the others from being read.
    let damaged = run(&[&files[0], "/does/not/exist", &files[1], &files[2]]);
    assert_eq!((damaged.stdout == whole.stdout, damaged.status.code()), (true, Some(2)), "{}", stderr(&damaged));
    assert!(stderr(&damaged).contains("/does/not/exist: No such file"), "{}", stderr(&damaged));
    // Damage after the last packet of a file loses none of its packets. A file without a byte is reported.
    let (bad, empty) = (folder.path().join("bad"), folder.path().join("empty"));
    fs::write(&bad, [&fs::read(&files[0]).unwrap()[..], &[0xff; 64]].concat()).unwrap();
    fs::write(&empty, b"").unwrap();
    let damaged = run(&[text(&empty), text(&bad), &files[1], &files[2]]);
    assert_eq!((damaged.stdout == whole.stdout, damaged.status.code()), (true, Some(2)), "{}", stderr(&damaged));
    for expected in ["empty: expected a pcap or pcapng file", "bad: "] {
        assert!(stderr(&damaged).contains(expected), "{expected}: {}", stderr(&damaged));
    }
    // Session records are made of several files too.
    let sessions = run(&["--sessions", &files[0], &files[1], &files[2]]);
    let capture = capture("ticket");
    assert_eq!(sessions.stdout, run(&["--sessions", text(&capture)]).stdout, "{}", stderr(&sessions));
    assert!(!sessions.stdout.is_empty());
}

#[test]
fn a_growing_file_and_a_ring_buffer_are_followed() {
    let bytes = fs::read(capture("ticket")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let whole = run(&[text(&capture("ticket"))]);
    for ring in [false, true] {
        let path = folder.path().join(format!("ring-{ring}"));
        let file = if ring { path.join("1") } else { path.clone() };
        if ring {
            fs::create_dir(&path).unwrap();
        }
        fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
        let mut child =
            spicewatch(&["--follow", text(&path)]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut printed = vec![lines.next().unwrap().unwrap()];
        if ring {
            // The rest of the packet that was cut, and then another file.
            let mut at = 24;
            while at < bytes.len() / 2 {
                at += 16 + u32::from_le_bytes(bytes[at + 8..at + 12].try_into().unwrap()) as usize;
            }
            let mut first = fs::OpenOptions::new().append(true).open(&file).unwrap();
            first.write_all(&bytes[bytes.len() / 2..at]).unwrap();
            fs::write(path.join("2"), [&bytes[..24], &bytes[at..]].concat()).unwrap();
        } else {
            let mut growing = fs::OpenOptions::new().append(true).open(&file).unwrap();
            growing.write_all(&bytes[bytes.len() / 2..]).unwrap();
        }
        printed.extend((1..33).map(|_| lines.next().unwrap().unwrap()));
        child.kill().unwrap();
        child.wait().unwrap();
        let expected = String::from_utf8(whole.stdout.clone()).unwrap();
        assert_eq!(printed, expected.lines().collect::<Vec<_>>(), "ring: {ring}");
    }
}
