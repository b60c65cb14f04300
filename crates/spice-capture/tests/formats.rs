//! Every file format, byte order, clock and link type: the same connection gives the same events.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use spice_capture::{Capture, Config, Error, Output, link::LinkType};
use support::*;

fn ends() -> (std::net::SocketAddr, std::net::SocketAddr) {
    (socket(CLIENT), socket(SERVER))
}

fn ethernet() -> Vec<Frame> {
    let (client, server) = ends();
    conversation(client, server, |from, to, body| frame(LinkType::ETHERNET, &ip(from, to, body)))
}

#[track_caller]
fn check_frames(link: LinkType, frames: &[Frame], client: &str, server: &str) {
    check_conversation(&pcap(false, false, link, frames), socket(client), socket(server), 0);
}

#[test]
fn pcap_of_either_byte_order_and_clock() {
    let (client, server) = ends();
    for big in [false, true] {
        for nano in [false, true] {
            check_conversation(&pcap(big, nano, LinkType::ETHERNET, &ethernet()), client, server, 0);
        }
    }
}

#[test]
fn modified_pcap_is_read() {
    let (client, server) = ends();
    for big in [false, true] {
        let mut file = Vec::new();
        put32(&mut file, big, 0xa1b2_cd34);
        file.extend(&pcap(big, false, LinkType::ETHERNET, &[])[4..]);
        for frame in ethernet() {
            let record = pcap(big, false, LinkType::ETHERNET, &[frame]);
            file.extend(&record[24..40]);
            file.extend([0; 8]);
            file.extend(&record[40..]);
        }
        check_conversation(&file, client, server, 0);
    }
}

#[test]
fn files_that_follow_each_other_in_one_are_read_like_one() {
    let (client, server) = ends();
    let (first, second) = (&ethernet()[..2], &ethernet()[2..]);
    let raw = &conversation(client, server, ip)[2..];
    let pcapng = |big, frames: &[Frame]| {
        let mut file = Vec::new();
        section(&mut file, big);
        interface(&mut file, big, LinkType::ETHERNET, None, None);
        for frame in frames {
            enhanced(&mut file, big, 0, frame.at / 1000, frame);
        }
        file
    };
    let nothing = pcap(false, false, LinkType::RAW, &[]);
    for big in [false, true] {
        let begins = [
            pcap(big, false, LinkType::ETHERNET, first),
            pcap(!big, true, LinkType::ETHERNET, first),
            pcapng(big, first),
            [&nothing[..], &pcapng(!big, first), &nothing].concat(),
        ];
        let ends = [
            pcap(big, false, LinkType::ETHERNET, second),
            pcap(big, true, LinkType::RAW, raw),
            pcapng(big, second),
            [&nothing[..], &pcap(big, false, LinkType::ETHERNET, second)].concat(),
        ];
        for begin in &begins {
            for end in &ends {
                check_conversation(&[&begin[..], end].concat(), client, server, 0);
            }
        }
    }
}

#[test]
fn second_file_that_ends_in_its_header_is_cut() {
    let file = [pcap(false, false, LinkType::ETHERNET, &ethernet()), vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0]].concat();
    let (events, odd, _) = read_with(Config::new().port(socket(SERVER).port()), &file);
    assert_eq!(events.len(), 2);
    assert!(odd.iter().any(|odd| odd.contains("the file ends at offset")), "{odd:?}");
}

#[test]
fn a_link_type_with_a_check_sequence_length_is_the_same_link_type() {
    let (client, server) = ends();
    let mut file = pcap(false, false, LinkType::ETHERNET, &ethernet());
    file[23] = 0x44;
    check_conversation(&file, client, server, 0);
}

#[test]
fn pcapng_of_either_byte_order_and_any_clock() {
    let (client, server) = ends();
    // (if_tsresol, units per second, tolerance in µs)
    let clocks = [(None, 1_000_000, 0), (Some(6), 1_000_000, 0), (Some(9), 1_000_000_000, 0), (Some(3), 1000, 0)];
    let binary = [(Some(0x94), 1 << 20, 1), (Some(0xa0), 1 << 32, 1)];
    for big in [false, true] {
        for (resolution, per_second, tolerance) in clocks.into_iter().chain(binary) {
            for offset in [None, Some(-3600), Some(500)] {
                let mut file = Vec::new();
                section(&mut file, big);
                interface(&mut file, big, LinkType::ETHERNET, resolution, offset);
                for frame in ethernet() {
                    let at = u128::from(frame.at) * per_second / 1_000_000_000;
                    let shift = i128::from(offset.unwrap_or(0)) * i128::try_from(per_second).unwrap();
                    let units = u64::try_from(i128::try_from(at).unwrap() - shift).unwrap();
                    enhanced(&mut file, big, 0, units, &frame);
                }
                check_conversation(&file, client, server, tolerance);
            }
        }
    }
}

#[test]
fn sections_may_change_the_byte_order_and_interfaces_the_link_type() {
    let (client, server) = ends();
    let raw = conversation(client, server, ip);
    let mut file = Vec::new();
    for (i, big) in [(0, false), (2, true), (4, false)] {
        section(&mut file, big);
        interface(&mut file, big, LinkType(147), None, None);
        interface(&mut file, big, LinkType::ETHERNET, None, None);
        block(&mut file, big, 0xbad, b"a block of an unknown type");
        interface(&mut file, big, LinkType::RAW, Some(9), None);
        enhanced(&mut file, big, 1, ethernet()[i].at / 1000, &ethernet()[i]);
        if let Some(frame) = raw.get(i + 1) {
            enhanced(&mut file, big, 2, frame.at, frame);
        }
        block(&mut file, big, 5, &[0; 12]);
    }
    check_conversation(&file, client, server, 0);
}

#[test]
fn simple_and_obsolete_packet_blocks_are_read() {
    let mut file = Vec::new();
    section(&mut file, true);
    interface(&mut file, true, LinkType::ETHERNET, None, None);
    for frame in ethernet() {
        let mut body = Vec::new();
        let length = u32::try_from(frame.data.len()).unwrap();
        put16(&mut body, true, 0);
        put16(&mut body, true, 7);
        for value in [0, 1_000_000_000, length, length] {
            put32(&mut body, true, value);
        }
        body.extend(&frame.data);
        block(&mut file, true, 2, &body);
    }
    let mut simple = Vec::new();
    section(&mut simple, false);
    interface(&mut simple, false, LinkType::ETHERNET, None, None);
    for frame in ethernet() {
        let mut body = Vec::new();
        put32(&mut body, false, u32::try_from(frame.data.len()).unwrap());
        body.extend(&frame.data);
        block(&mut simple, false, 3, &body);
    }
    for file in [file, simple] {
        let (events, ..) = read_with(Config::new(), &file);
        assert_eq!(events.len(), 2);
    }
}

#[test]
fn every_link_type_with_either_ip() {
    use LinkType as L;
    let links = [
        L::ETHERNET,
        L::LINUX_SLL,
        L::LINUX_SLL2,
        L::NULL,
        L::LOOP,
        L::RAW,
        L::RAW_BSD,
        L::RAW_OPENBSD,
        L::IPV4,
        L::IPV6,
    ];
    for link in links {
        for (client, server) in [(CLIENT, SERVER), (CLIENT_V6, SERVER_V6)] {
            let frames =
                conversation(socket(client), socket(server), |from, to, body| frame(link, &ip(from, to, body)));
            check_frames(link, &frames, client, server);
        }
    }
}

#[test]
fn loopback_families_of_every_bsd_in_either_byte_order() {
    for family in [24_u32, 28, 30, 10] {
        for bytes in [family.to_le_bytes(), family.to_be_bytes()] {
            let wrap = |from, to, body: &[u8]| [&bytes[..], &ip(from, to, body)].concat();
            let frames = conversation(socket(CLIENT_V6), socket(SERVER_V6), wrap);
            check_frames(LinkType::NULL, &frames, CLIENT_V6, SERVER_V6);
        }
    }
}

#[test]
fn vlan_tags_of_any_depth() {
    for tags in [&[0x8100_u16][..], &[0x88a8, 0x8100], &[0x9100, 0x8100, 0x8100]] {
        let wrap = |from, to, body: &[u8]| {
            let mut bytes = vec![2; 12];
            for tag in tags {
                bytes.extend(tag.to_be_bytes());
                bytes.extend([0, 42]);
            }
            bytes.extend([8, 0]);
            bytes.extend(ip(from, to, body));
            bytes
        };
        check_frames(LinkType::ETHERNET, &conversation(socket(CLIENT), socket(SERVER), wrap), CLIENT, SERVER);
    }
}

#[test]
fn ipv4_options_padding_and_a_length_left_to_the_network_card() {
    let options =
        |from, to, body: &[u8]| frame(LinkType::ETHERNET, &ipv4(from, to, &[1, 1, 1, 0, 0, 0, 0, 0], 0, body));
    let padded = |from, to, body: &[u8]| [frame(LinkType::ETHERNET, &ip(from, to, body)), vec![0xff; 18]].concat();
    let offloaded = |from, to, body: &[u8]| {
        let mut packet = ip(from, to, body);
        packet[2..4].fill(0);
        frame(LinkType::ETHERNET, &packet)
    };
    let (client, server) = ends();
    check_frames(LinkType::ETHERNET, &conversation(client, server, options), CLIENT, SERVER);
    check_frames(LinkType::ETHERNET, &conversation(client, server, padded), CLIENT, SERVER);
    check_frames(LinkType::ETHERNET, &conversation(client, server, offloaded), CLIENT, SERVER);
}

#[test]
fn ipv6_extension_headers() {
    // hop-by-hop (0), then destination options (60), then TCP (6); eight bytes each
    let chain = [60, 0, 1, 4, 0, 0, 0, 0, 6, 0, 1, 4, 0, 0, 0, 0];
    let wrap = |from, to, body: &[u8]| frame(LinkType::ETHERNET, &ipv6(from, to, 0, &chain, body));
    check_frames(LinkType::ETHERNET, &conversation(socket(CLIENT_V6), socket(SERVER_V6), wrap), CLIENT_V6, SERVER_V6);
    // a fragment header that says: the whole packet
    let atomic = [6, 0, 0, 0, 1, 2, 3, 4];
    let wrap = |from, to, body: &[u8]| frame(LinkType::ETHERNET, &ipv6(from, to, 44, &atomic, body));
    check_frames(LinkType::ETHERNET, &conversation(socket(CLIENT_V6), socket(SERVER_V6), wrap), CLIENT_V6, SERVER_V6);
}

#[test]
fn fragments_have_one_notice() {
    let (client, server) = ends();
    let mut frames = ethernet();
    for fragment in [0x2000, 0x2010, 0x0020] {
        let piece = ipv4(client, server, &[], fragment, &segment(client, server, ACK, 143, 901, b"piece"));
        frames.push(Frame::new(2_000_000_000_000, frame(LinkType::ETHERNET, &piece)));
    }
    let v6 = ipv6(socket(CLIENT_V6), socket(SERVER_V6), 44, &[6, 0, 0, 1, 0, 0, 0, 9], &[0; 40]);
    frames.push(Frame::new(2_000_000_000_000, frame(LinkType::ETHERNET, &v6)));
    let (events, odd, counters) = read_with(Config::new().port(5930), &pcap(false, false, LinkType::ETHERNET, &frames));
    assert_eq!((events.len(), counters.fragments), (2, 4));
    assert_eq!(odd.iter().filter(|odd| odd.contains("fragments")).count(), 1, "{odd:?}");
}

#[test]
fn packets_cut_by_the_snaplen_keep_the_connection() {
    let (client, server) = ends();
    let mut frames = ethernet();
    for frame in &mut frames {
        frame.data.truncate(14 + 20 + 20 + 10);
    }
    check_conversation(&pcap(false, false, LinkType::ETHERNET, &frames), client, server, 0);
    frames[3].data.truncate(14 + 20 + 7);
    let (events, odd, counters) = read_with(Config::new().port(5930), &pcap(false, false, LinkType::ETHERNET, &frames));
    assert_eq!((events.len(), counters.truncated), (2, 1));
    assert!(odd.iter().any(|odd| odd.contains("snaplen")), "{odd:?}");
}

/// 68 bytes were tcpdump's default for long: Ethernet, IPv4 and TCP without options, and a little more. A SYN has more options than that.
#[test]
fn tcp_options_cut_by_the_snaplen_are_not_needed() {
    let (client, server) = ends();
    let wrap = |from, to, tcp: &[u8]| {
        let options = if tcp[13] & SYN == 0 { 3 } else { 5 };
        let (header, payload) = tcp.split_at(20);
        let mut tcp = [header, &[1; 20][..4 * options], payload].concat();
        tcp[12] += u8::try_from(options).unwrap() << 4;
        frame(LinkType::ETHERNET, &ip(from, to, &tcp))
    };
    for snaplen in [54, 60, 68] {
        let mut frames = conversation(client, server, wrap);
        for frame in &mut frames {
            frame.data.truncate(snaplen);
        }
        let file = pcap(false, false, LinkType::ETHERNET, &frames);
        check_conversation(&file, client, server, 0);
        // Without its port the connection can't be recognised, and a notice says so.
        let (events, odd, counters) = read_with(Config::new(), &file);
        assert_eq!((events.len(), counters.unrecognised), (0, 1));
        assert!(odd[0].ends_with("by naming its port"), "{odd:?}");
    }
}

#[test]
fn malformed_packets_are_counted() {
    let (client, server) = ends();
    let mut frames = ethernet();
    let mut longer_than_its_frame = ip(client, server, &segment(client, server, ACK, 143, 901, b"x"));
    longer_than_its_frame[3] = 200;
    let mut shorter_than_its_header = ip(client, server, &segment(client, server, ACK, 143, 901, b"x"));
    shorter_than_its_header[3] = 10;
    // All of it is shorter than the options that it says to have.
    let mut shorter_than_its_options = segment(client, server, ACK, 143, 901, b"x");
    shorter_than_its_options[12] = 15 << 4;
    let shorter_than_its_options = ip(client, server, &shorter_than_its_options);
    for packet in [longer_than_its_frame, shorter_than_its_header, shorter_than_its_options] {
        frames.push(Frame::new(2_000_000_000_000, frame(LinkType::ETHERNET, &packet)));
    }
    let (events, _, counters) = read_with(Config::new().port(5930), &pcap(false, false, LinkType::ETHERNET, &frames));
    assert_eq!((events.len(), counters.malformed), (2, 3));
}

#[test]
fn an_unknown_link_type_has_one_notice() {
    let (events, odd, counters) = read_with(Config::new(), &pcap(false, false, LinkType(147), &ethernet()));
    assert_eq!((events.len(), counters.unknown_link), (0, 5));
    assert_eq!(odd, ["interface 0 has link type 147, which is not read: its packets are skipped"]);
}

#[test]
fn any_chunking_gives_the_same_outputs() {
    let mut big = ethernet();
    let (client, server) = ends();
    let display = segment(server, client, ACK, 901, 143, &vec![7; 30_000]);
    big.insert(4, Frame::new(1_000_003_500_000, frame(LinkType::ETHERNET, &ip(server, client, &display))));
    let fin = segment(server, client, FIN | ACK, 901 + 30_000, 143, b"");
    big[5] = Frame::new(1_000_004_000_000, frame(LinkType::ETHERNET, &ip(server, client, &fin)));
    let old = pcap(true, true, LinkType::ETHERNET, &big);
    let mut new = Vec::new();
    section(&mut new, true);
    interface(&mut new, true, LinkType::ETHERNET, Some(9), None);
    block(&mut new, true, 0xbad, &vec![0; 500_000]);
    for frame in &big {
        enhanced(&mut new, true, 0, frame.at, frame);
    }
    for file in [old, new] {
        let whole = outputs(&file, usize::MAX);
        assert_eq!(whole.len(), 3, "{whole:?}");
        for chunk in [1, 2, 3, 7, 16, 100, 600, 4096, 10_000] {
            assert_eq!(outputs(&file, chunk), whole, "in chunks of {chunk}");
        }
    }
}

fn outputs(file: &[u8], chunk: usize) -> Vec<String> {
    let mut capture = Capture::new(Config::new());
    let mut said = Vec::new();
    for chunk in file.chunks(chunk.min(file.len())) {
        capture.push(chunk).unwrap();
        said.extend(std::iter::from_fn(|| capture.poll()).map(|output| output.to_string()));
    }
    capture.finish().unwrap();
    said.extend(std::iter::from_fn(|| capture.poll()).map(|output| output.to_string()));
    said
}

#[test]
fn a_capture_cut_anywhere_gives_what_came_before() {
    let file = pcap(false, false, LinkType::ETHERNET, &ethernet());
    let mut ends = vec![24];
    for frame in ethernet() {
        ends.push(ends[ends.len() - 1] + 16 + frame.data.len());
    }
    for length in 24..file.len() {
        let (events, odd, counters) = read_with(Config::new(), &file[..length]);
        let whole = ends.iter().filter(|&&end| end <= length).count() - 1;
        assert_eq!(counters.packets, whole as u64);
        assert_eq!(events.len(), usize::from(whole >= 4));
        let cut = !ends.contains(&length);
        assert_eq!(odd.iter().any(|odd| odd.starts_with("the file ends")), cut, "{length}: {odd:?}");
    }
}

#[track_caller]
fn check_error(file: &[u8], events: usize, expected: &Error, text: &str) {
    let mut capture = Capture::new(Config::new().port(5930));
    let pushed = capture.push(file);
    let finished = capture.finish();
    let error = pushed.and(finished).unwrap_err();
    assert_eq!((&error, error.to_string().as_str()), (expected, text));
    let said = std::iter::from_fn(|| capture.poll()).filter(|output| matches!(output, Output::Event(_)));
    assert_eq!(said.count(), events);
}

#[test]
fn a_file_that_is_no_capture_is_named_in_the_error() {
    check_error(b"", 0, &Error::Empty, "expected a pcap or pcapng file, seen an empty one");
    let start = *b"%PDF";
    check_error(
        b"%PDF-1.7",
        0,
        &Error::NotACapture { start },
        "expected a pcap or pcapng file, seen 25504446 at offset 0",
    );
    let start = [0xd4, 0xc3, 0, 0];
    check_error(
        &start[..2],
        0,
        &Error::NotACapture { start },
        "expected a pcap or pcapng file, seen d4c30000 at offset 0",
    );
    check_error(
        &[0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0],
        0,
        &Error::FileHeader { length: 8 },
        "expected a pcap header of 24 bytes, seen the end of the file at offset 8",
    );
    let start = [0x1f, 0x8b, 8, 0];
    let text = "expected a pcap or pcapng file, seen gzip (1f8b0800 at offset 0); unpack it first: gzip -dc FILE | …";
    check_error(&start, 0, &Error::NotACapture { start }, text);
}

#[test]
fn damage_gives_the_events_before_it_and_one_error_with_its_offset() {
    let sound = pcap(false, false, LinkType::ETHERNET, &ethernet());
    let mut file = sound.clone();
    file.extend([0xff; 100]);
    let text = format!(
        "expected a packet of at most 262144 bytes, seen a length of 4294967295 at offset {}: the file is damaged there",
        sound.len()
    );
    check_error(&file, 2, &Error::Record { offset: sound.len() as u64, captured: u32::MAX }, &text);

    for big in [false, true] {
        let mut file = pcap(big, false, LinkType::ETHERNET, &ethernet());
        file[if big { 5 } else { 4 }] = 3;
        check_error(&file, 0, &Error::Version { major: 3, minor: 4 }, "expected pcap version 2, seen 3.4 at offset 4");
    }

    let mut sound = Vec::new();
    section(&mut sound, false);
    interface(&mut sound, false, LinkType::ETHERNET, None, None);
    for frame in ethernet() {
        enhanced(&mut sound, false, 0, frame.at / 1000, &frame);
    }
    let offset = sound.len() as u64;
    let mut file = sound.clone();
    let mut damaged = Vec::new();
    block(&mut damaged, false, 6, &[0; 40]);
    let last = damaged.len() - 1;
    damaged[last] = 1;
    file.extend(damaged);
    let text = format!(
        "expected a sound pcapng block, seen one of type 0x6 and length 52 at offset {offset}: the file is damaged there"
    );
    check_error(&file, 2, &Error::Block { offset, kind: 6, length: 52 }, &text);

    let mut file = sound.clone();
    enhanced(&mut file, false, 9, 0, &ethernet()[0]);
    let length = u32::try_from(file.len() - sound.len()).unwrap();
    let error = Error::Block { offset, kind: 6, length };
    check_error(&file, 2, &error, &error.to_string());

    sound[8] = 0;
    let text = "expected the byte order magic 1a2b3c4d, seen 1a2b3c00 at offset 8";
    check_error(&sound, 0, &Error::ByteOrder { offset: 0, seen: 0x1a2b_3c00 }, text);
}
