use super::*;

const SPICE: &[u8] = b"REDQ\x02\0\0\0";

/// What both sides say, in order; then what is decided, and how many of their bytes were prefaces.
#[track_caller]
fn check(talk: &[(Side, &[u8])], expected: Decision, target: Option<&str>, client: Option<&str>) {
    // Whole, and byte by byte.
    for size in [usize::MAX, 1] {
        let (mut preface, mut sides, mut decision) = (Preface::default(), [Vec::new(), Vec::new()], MORE);
        for (side, bytes) in talk {
            for piece in bytes.chunks(size.min(bytes.len().max(1))) {
                assert_eq!(decision, MORE, "decided before the end of {talk:?}");
                sides[usize::from(*side == Side::Server)].extend_from_slice(piece);
                let [client, server] = &sides;
                let seen = Seen { client, server, lost: [false; 2], from_start: true, tls: false };
                decision = preface.decide(seen);
                if decision == Decision::Other || (decision == Decision::Spice && size == 1) {
                    break;
                }
            }
        }
        assert_eq!(decision, expected, "{talk:?} in pieces of {size}");
        assert_eq!(preface.facts.target.as_deref(), target);
        assert_eq!(preface.facts.client.map(|client| client.to_string()).as_deref(), client);
        if decision == Decision::Spice {
            assert!(sides[0][preface.used(Side::Client)..].starts_with(b"REDQ"), "{talk:?}");
        }
    }
}

const C: Side = Side::Client;
const S: Side = Side::Server;

#[test]
fn connect_leads_to_what_follows_its_answer() {
    let connect =
        b"CONNECT vm.example:5900 HTTP/1.1\r\nHost: vm.example\r\nProxy-Authorization: Basic c2VjcmV0\r\n\r\n";
    let ok = b"HTTP/1.1 200 Connection established\r\n\r\n";
    check(&[(C, connect), (S, ok), (C, SPICE)], Decision::Spice, Some("vm.example:5900"), None);
    check(&[(C, connect), (S, ok), (C, b"SSH-2.0")], Decision::Other, Some("vm.example:5900"), None);
    check(&[(C, connect), (S, b"HTTP/1.1 403 Forbidden\r\n\r\n")], Decision::Other, Some("vm.example:5900"), None);
    let again = b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 4\r\n\r\nbody";
    check(
        &[(C, connect), (S, again), (C, connect), (S, ok), (C, SPICE)],
        Decision::Spice,
        Some("vm.example:5900"),
        None,
    );
    let chunked = b"HTTP/1.1 407 Who\r\nTransfer-Encoding: chunked\r\n\r\n4;x=y\r\nwho?\r\n1\r\n!\r\n0\r\n\r\n";
    // As long as squid's error page.
    let page = [b"HTTP/1.1 407 Who\r\nContent-Length: 4100\r\n\r\n", &[b'x'; 4100][..]].concat();
    let go_on = b"HTTP/1.1 100 Continue\r\n\r\n";
    for again in [&chunked[..], &page, go_on] {
        let talk: &[(Side, &[u8])] = if again == go_on {
            &[(C, connect), (S, again), (S, ok), (C, SPICE)]
        } else {
            &[(C, connect), (S, again), (C, connect), (S, ok), (C, SPICE)]
        };
        check(talk, Decision::Spice, Some("vm.example:5900"), None);
    }
    let wrong = b"HTTP/1.1 407 Who\r\nTransfer-Encoding: chunked\r\n\r\nno size\r\n";
    check(&[(C, connect), (S, wrong)], Decision::Other, Some("vm.example:5900"), None);
    check(&[(C, b"CONNECT x\r\n\r\n")], Decision::Other, None, None);
    check(&[(C, b"CONFIG")], Decision::Other, None, None);
    check(&[(C, connect), (S, ok), (C, b"\x16\x03\x01\x02\0\x01")], Decision::Tls, Some("vm.example:5900"), None);
}

#[test]
fn proxmox_names_vm_and_node_and_its_signature_is_not_kept() {
    let connect = b"CONNECT pvespiceproxy:66aabbcc:100:node1::0123456789abcdef:61000 HTTP/1.0\r\n\r\n";
    let (ok, hello) = (b"HTTP/1.0 200 OK\r\n\r\n", b"\x16\x03\x01\x02\0\x01");
    let target = Some("pvespiceproxy:66aabbcc:100:node1");
    check(&[(C, connect), (S, ok), (C, hello)], Decision::SpiceInTls, target, None);
}

#[test]
fn socks_4_and_5_lead_to_what_follows_their_answer() {
    let granted: &[u8] = &[0, 90, 0, 0, 0, 0, 0, 0];
    let by_name = b"\x04\x01\x17\x0c\x00\x00\x00\x01me\0vm.example\0";
    check(
        &[(C, b"\x04\x01\x17\x0c\xc0\x00\x02\x07me\0"), (S, granted), (C, SPICE)],
        Decision::Spice,
        Some("192.0.2.7:5900"),
        None,
    );
    check(&[(C, by_name), (S, granted), (C, SPICE)], Decision::Spice, Some("vm.example:5900"), None);
    check(&[(C, by_name), (S, &[0, 91])], Decision::Other, Some("vm.example:5900"), None);
    let (plain, request) = (b"\x05\x01\x00", b"\x05\x01\x00\x03\x0avm.example\x17\x0c");
    let done = b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00";
    check(
        &[(C, plain), (S, b"\x05\x00"), (C, request), (S, done), (C, SPICE)],
        Decision::Spice,
        Some("vm.example:5900"),
        None,
    );
    let v6 = b"\x05\x01\x00\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x17\x0c";
    check(
        &[
            (C, b"\x05\x02\x00\x02"),
            (S, b"\x05\x02"),
            (C, b"\x01\x02me\x06secret"),
            (S, b"\x01\x00"),
            (C, v6),
            (S, done),
            (C, SPICE),
        ],
        Decision::Spice,
        Some("[2001:db8::1]:5900"),
        None,
    );
    check(&[(C, plain), (S, b"\x05\xff")], Decision::Other, None, None);
}

#[test]
fn the_proxy_protocol_names_the_client() {
    check(
        &[(C, b"PROXY TCP4 203.0.113.7 192.0.2.1 40000 5900\r\n"), (C, SPICE)],
        Decision::Spice,
        None,
        Some("203.0.113.7:40000"),
    );
    check(&[(C, b"PROXY UNKNOWN\r\n"), (C, SPICE)], Decision::Spice, None, None);
    check(&[(C, b"PROXY nonsense\r\n")], Decision::Other, None, None);
    let header = |command: u8, family: u8, body: &[u8]| {
        let length = u16::try_from(body.len()).map_or([0; 2], u16::to_be_bytes);
        [&b"\r\n\r\n\0\r\nQUIT\n"[..], &[0x20 | command, family], &length, body].concat()
    };
    let tlv = [4, 0, 1, 0];
    let v4 = header(1, 0x11, &[&[203, 0, 113, 7, 192, 0, 2, 1, 0x9c, 0x40, 0x17, 0x0c], &tlv[..]].concat());
    check(&[(C, &v4), (C, SPICE)], Decision::Spice, None, Some("203.0.113.7:40000"));
    check(&[(C, &header(0, 0, &[])), (C, SPICE)], Decision::Spice, None, None);
    check(&[(C, &header(0, 0, &[])), (C, &v4), (C, SPICE)], Decision::Spice, None, Some("203.0.113.7:40000"));
    check(&[(C, b"\r\n\r\nQUIT")], Decision::Other, None, None);
}

#[test]
fn prefaces_are_bounded() {
    let header = b"PROXY UNKNOWN\r\n".repeat(MAX_PREFACES);
    check(&[(C, &header), (C, SPICE)], Decision::Spice, None, None);
    check(&[(C, &b"PROXY UNKNOWN\r\n".repeat(MAX_PREFACES + 1))], Decision::Other, None, None);
}
