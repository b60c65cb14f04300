//! TLS sessions between rustls's two ends, decrypted with the secrets that one of them logs.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::{
    fmt::Write as _,
    io::{Read, Write},
    ops::ControlFlow,
    sync::{Arc, Mutex},
};

use proptest::prelude::*;
use rustls::{
    CipherSuite as Suite, ClientConfig, ClientConnection, ConnectionCommon, HandshakeKind, ServerConfig,
    ServerConnection, SupportedCipherSuite,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, SupportedKxGroup, ring},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
};
use spice_capture::{
    spice_events::{Side, Timestamp},
    tls::{CipherSuite, Decryptor, KeyLog, MAX_HELD, Need, Next, Unreadable},
};

/// What the two ends say to each other: longer than a record in one direction.
const CLIENT_SAYS: &[u8] = b"REDQ, and whatever a client sends after it";
const SERVER_SAYS: &[u8] = &[b'S'; 20_000];

/// Collects a key log's lines.
#[derive(Debug, Default)]
struct Log(Mutex<String>);

impl rustls::KeyLog for Log {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let hex = |bytes: &[u8]| bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        writeln!(self.0.lock().unwrap(), "{label} {} {}", hex(client_random), hex(secret)).unwrap();
    }
}

/// Accepts any certificate: what is tested is not who the server is.
#[derive(Debug)]
struct Anyone(CryptoProvider);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Two ends that agree on one suite, and the secrets that the server logs.
struct Ends {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
    log: Arc<Log>,
}

/// A session: what went over the wire, in order, and the secrets.
struct Session {
    wire: Vec<(Side, Vec<u8>)>,
    secrets: String,
    kind: HandshakeKind,
}

impl Ends {
    fn new(suite: SupportedCipherSuite, server_groups: &[&'static dyn SupportedKxGroup], early_data: bool) -> Self {
        let provider = |kx_groups: &[&'static dyn SupportedKxGroup]| CryptoProvider {
            cipher_suites: vec![suite],
            kx_groups: kx_groups.to_vec(),
            ..ring::default_provider()
        };
        let (cert, key): (&[u8], &[u8]) = if format!("{:?}", suite.suite()).contains("RSA") {
            (include_bytes!("tls_data/rsa-cert.pem"), include_bytes!("tls_data/rsa-key.pem"))
        } else {
            (include_bytes!("tls_data/ec-cert.pem"), include_bytes!("tls_data/ec-key.pem"))
        };
        let (cert, key) = (CertificateDer::from_pem_slice(cert).unwrap(), PrivateKeyDer::from_pem_slice(key).unwrap());
        let log = Arc::new(Log::default());
        let versions = [suite.version()];
        let mut server = ServerConfig::builder_with_provider(provider(server_groups).into())
            .with_protocol_versions(&versions)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert], key)
            .unwrap();
        server.key_log = log.clone();
        server.max_early_data_size = if early_data { 1000 } else { 0 };
        let client_provider = provider(ring::ALL_KX_GROUPS);
        let mut client = ClientConfig::builder_with_provider(client_provider.clone().into())
            .with_protocol_versions(&versions)
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anyone(client_provider)))
            .with_no_client_auth();
        client.enable_early_data = early_data;
        Self { client: client.into(), server: server.into(), log }
    }

    fn of(suite: SupportedCipherSuite) -> Self {
        Self::new(suite, ring::ALL_KX_GROUPS, false)
    }

    /// Both ends say what they have to say, and renew their keys in between where that is asked for.
    fn session(&self, key_updates: bool) -> Session {
        let mut client = ClientConnection::new(self.client.clone(), "localhost".try_into().unwrap()).unwrap();
        let mut server = ServerConnection::new(self.server.clone()).unwrap();
        let (mut wire, mut received) = (Vec::new(), [Vec::new(), Vec::new()]);
        if let Some(mut early) = client.early_data() {
            early.write_all(b"early").unwrap();
        }
        while client.is_handshaking() || server.is_handshaking() {
            exchange(&mut client, &mut server, &mut wire, &mut received);
        }
        let (first, rest) = CLIENT_SAYS.split_at(7);
        client.writer().write_all(first).unwrap();
        server.writer().write_all(&SERVER_SAYS[..100]).unwrap();
        if key_updates {
            client.refresh_traffic_keys().unwrap();
            server.refresh_traffic_keys().unwrap();
        }
        client.writer().write_all(rest).unwrap();
        server.writer().write_all(&SERVER_SAYS[100..]).unwrap();
        exchange(&mut client, &mut server, &mut wire, &mut received);
        client.send_close_notify();
        exchange(&mut client, &mut server, &mut wire, &mut received);
        assert_eq!(received, [CLIENT_SAYS, SERVER_SAYS]);
        let secrets = std::mem::take(&mut *self.log.0.lock().unwrap());
        Session { wire, secrets, kind: client.handshake_kind().unwrap() }
    }
}

/// Moves what both ends have to send, and adds what they receive to `received`.
fn exchange(
    client: &mut ClientConnection,
    server: &mut ServerConnection,
    wire: &mut Vec<(Side, Vec<u8>)>,
    received: &mut [Vec<u8>; 2],
) {
    carry(Side::Client, client, server, wire, &mut received[0]);
    carry(Side::Server, server, client, wire, &mut received[1]);
}

fn carry<A, B>(
    from: Side,
    sender: &mut ConnectionCommon<A>,
    receiver: &mut ConnectionCommon<B>,
    wire: &mut Vec<(Side, Vec<u8>)>,
    received: &mut Vec<u8>,
) {
    let mut bytes = Vec::new();
    while sender.wants_write() && sender.write_tls(&mut bytes).unwrap() > 0 {}
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        receiver.read_tls(&mut rest).unwrap();
        let there = receiver.process_new_packets().unwrap().plaintext_bytes_to_read();
        let start = received.len();
        received.resize(start + there, 0);
        receiver.reader().read_exact(&mut received[start..]).unwrap();
    }
    if !bytes.is_empty() {
        wire.push((from, bytes));
    }
}

fn keys(secrets: &str) -> KeyLog {
    let mut keys = KeyLog::new();
    keys.push(secrets.as_bytes());
    keys
}

fn at(n: usize) -> Timestamp {
    Timestamp { seconds: n.try_into().unwrap(), microseconds: 0 }
}

/// What a [`Decryptor`] has said: each side's plaintext with the times of its pieces, and errors.
#[derive(Debug, Default)]
struct Said {
    plain: [Vec<u8>; 2],
    times: Vec<Timestamp>,
    errors: Vec<Unreadable>,
}

impl Said {
    fn drain(&mut self, decryptor: &mut Decryptor, keys: &KeyLog) -> ControlFlow<Need> {
        loop {
            match decryptor.next(keys) {
                Ok(Next::Plaintext(plain)) => {
                    assert!(!plain.data.is_empty());
                    self.plain[usize::from(plain.from == Side::Server)].extend_from_slice(plain.data);
                    self.times.push(plain.at);
                }
                Ok(Next::Need(need)) => return ControlFlow::Break(need),
                Err(error) => self.errors.push(error),
            }
        }
    }
}

/// Hands in a session in pieces of this many bytes.
fn decrypt(wire: &[(Side, Vec<u8>)], keys: &KeyLog, piece: usize) -> Said {
    let (mut decryptor, mut said, mut n) = (Decryptor::new(), Said::default(), 0);
    for (from, bytes) in wire {
        for bytes in bytes.chunks(piece.min(16_000)) {
            n += 1;
            decryptor.push(at(n), *from, bytes);
            let _ = said.drain(&mut decryptor, keys);
            assert!(decryptor.held() <= 2 * MAX_HELD);
        }
    }
    said
}

#[track_caller]
fn check_plain(said: &Said) {
    assert_eq!(said.errors, []);
    assert_eq!((&*said.plain[0], &*said.plain[1]), (CLIENT_SAYS, SERVER_SAYS));
    assert!(said.times.is_sorted(), "{:?}", said.times);
}

#[track_caller]
fn check(session: &Session) {
    let keys = keys(&session.secrets);
    for piece in [1, 6, 997, usize::MAX] {
        check_plain(&decrypt(&session.wire, &keys, piece));
    }
}

#[test]
fn every_suite_is_read_in_full_and_resumed_handshakes() {
    for suite in ring::ALL_CIPHER_SUITES {
        let ends = Ends::of(*suite);
        for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let session = ends.session(false);
            assert_eq!(session.kind, kind, "{suite:?}");
            check(&session);
        }
        let code = CipherSuite(u16::from(suite.suite()));
        assert!(code.is_readable() && code.name().is_some(), "{code}");
    }
}

#[test]
fn a_hello_retry_request_is_followed() {
    let ends = Ends::new(ring::cipher_suite::TLS13_AES_128_GCM_SHA256, &[ring::kx_group::SECP384R1], false);
    let session = ends.session(false);
    assert_eq!(session.kind, HandshakeKind::FullWithHelloRetryRequest);
    check(&session);
}

#[test]
fn key_updates_are_followed() {
    for suite in ring::ALL_CIPHER_SUITES.iter().filter(|suite| suite.tls13().is_some()) {
        check(&Ends::of(*suite).session(true));
    }
}

#[test]
fn early_data_is_named() {
    let ends = Ends::new(ring::cipher_suite::TLS13_AES_128_GCM_SHA256, ring::ALL_KX_GROUPS, true);
    check(&ends.session(false));
    let session = ends.session(false);
    assert_eq!(decrypt(&session.wire, &keys(&session.secrets), 1000).errors, [Unreadable::EarlyData]);
}

#[test]
fn secrets_of_another_connection_are_missing_secrets() {
    let ends = Ends::of(ring::cipher_suite::TLS13_AES_256_GCM_SHA384);
    let (first, second) = (ends.session(false), ends.session(false));
    let said = decrypt(&first.wire, &keys(&second.secrets), 1000);
    assert_eq!((said.errors, said.plain), (vec![Unreadable::NoSecrets], [vec![], vec![]]));
}

#[test]
fn wrong_secrets_are_said() {
    for suite in ring::ALL_CIPHER_SUITES {
        let session = Ends::of(*suite).session(false);
        // The same connection, each secret with another last digit.
        let flip = |line: &str| {
            let (rest, last) = line.split_at(line.len() - 1);
            format!("{rest}{}\n", if last == "0" { "1" } else { "0" })
        };
        let wrong: String = session.secrets.lines().map(flip).collect();
        let said = decrypt(&session.wire, &keys(&wrong), 1000);
        assert!(matches!(said.errors[..], [Unreadable::WrongSecrets { .. }]), "{suite:?}: {:?}", said.errors);
        assert_eq!(said.plain, [vec![], vec![]]);
    }
}

#[test]
fn secrets_may_come_later() {
    for suite in ring::ALL_CIPHER_SUITES {
        let session = Ends::of(*suite).session(false);
        let (mut keys, mut decryptor, mut said) = (KeyLog::new().growing(), Decryptor::new(), Said::default());
        for (n, (from, bytes)) in session.wire.iter().enumerate() {
            decryptor.push(at(n), *from, bytes);
            let _ = said.drain(&mut decryptor, &keys);
        }
        assert_eq!(said.drain(&mut decryptor, &keys), ControlFlow::Break(Need::Secrets));
        assert_eq!(said.plain, [vec![], vec![]]);
        keys.push(session.secrets.as_bytes());
        assert_eq!(said.drain(&mut decryptor, &keys), ControlFlow::Break(Need::Bytes));
        check_plain(&said);
        let before = session.wire.len();
        assert!(said.times.iter().all(|time| *time < at(before)), "the bytes' own times");
    }
}

#[test]
fn what_waits_for_secrets_is_bounded() {
    let session = Ends::of(ring::cipher_suite::TLS13_AES_128_GCM_SHA256).session(false);
    let (keys, mut decryptor, mut said) = (KeyLog::new().growing(), Decryptor::new(), Said::default());
    for (from, bytes) in &session.wire {
        decryptor.push(at(0), *from, bytes);
    }
    for _ in 0..10 {
        decryptor.push(at(1), Side::Server, &[23; 16_000]);
        assert!(decryptor.held() <= 2 * MAX_HELD);
        let _ = said.drain(&mut decryptor, &keys);
    }
    assert_eq!((&*said.errors, decryptor.is_over()), (&[Unreadable::NoSecrets][..], true));
}

#[test]
fn a_gap_ends_its_direction_only() {
    let session = Ends::of(ring::cipher_suite::TLS13_AES_128_GCM_SHA256).session(false);
    let keys = keys(&session.secrets);
    let (mut decryptor, mut said) = (Decryptor::new(), Said::default());
    let last = session.wire.iter().rposition(|(from, _)| *from == Side::Server).unwrap();
    for (n, (from, bytes)) in session.wire.iter().enumerate() {
        if n == last {
            decryptor.push(at(n), *from, &bytes[..200]);
            decryptor.lose(*from, 10);
            decryptor.push(at(n), *from, &bytes[210..]);
        } else {
            decryptor.push(at(n), *from, bytes);
        }
        let _ = said.drain(&mut decryptor, &keys);
    }
    assert_eq!(said.errors, [Unreadable::Gap { from: Side::Server, len: 10 }]);
    assert_eq!((&*said.plain[0], said.plain[1].len()), (CLIENT_SAYS, 100));
    assert!(!decryptor.is_over());
}

#[test]
fn a_gap_before_the_hello_ends_both_directions() {
    let mut decryptor = Decryptor::new();
    decryptor.push(at(0), Side::Client, b"\x16\x03\x01");
    decryptor.lose(Side::Client, 5);
    let mut said = Said::default();
    assert_eq!(said.drain(&mut decryptor, &KeyLog::new()), ControlFlow::Break(Need::Nothing));
    assert_eq!(said.errors, [Unreadable::Gap { from: Side::Client, len: 5 }]);
    assert!(decryptor.is_over());
}

/// A server hello of this version and suite, as its record.
fn server_hello(version: u16, suite: u16) -> Vec<u8> {
    let body = [&version.to_be_bytes()[..], &[9; 32], &[0], &suite.to_be_bytes(), &[0]].concat();
    let (body_len, record_len) = (u8::try_from(body.len()).unwrap(), u8::try_from(body.len() + 4).unwrap());
    [&[22, 3, 3, 0, record_len, 2, 0, 0, body_len][..], &body].concat()
}

#[test]
fn what_can_not_be_read_is_named() {
    for (from, bytes, expected, text) in [
        (
            Side::Server,
            server_hello(0x0303, 0xc014),
            Unreadable::Suite(CipherSuite(0xc014)),
            "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA; only suites with AES-GCM",
        ),
        (Side::Server, server_hello(0x0303, 0xfefe), Unreadable::Suite(CipherSuite(0xfefe)), "uses 0xfefe"),
        (
            Side::Server,
            server_hello(0x0302, 0xc014),
            Unreadable::Version(spice_capture::tls::Version(0x0302)),
            "TLS 1.1",
        ),
        (
            Side::Client,
            b"REDQ\x02".to_vec(),
            Unreadable::NotTls { from: Side::Client, seen: *b"REDQ\x02" },
            "found 52 45 44 51 02",
        ),
        (
            Side::Client,
            b"\x16\x03\x01\xff\xff".to_vec(),
            Unreadable::RecordLength { from: Side::Client, len: 0xffff },
            "the client's claims 65535",
        ),
        (
            Side::Server,
            b"\x15\x03\x03\0\x02\x02\x28".to_vec(),
            Unreadable::Alert { from: Side::Server, code: 40 },
            "handshake_failure",
        ),
        (
            Side::Client,
            b"\x16\x03\x01\0\x04\x01\xff\xff\xff".to_vec(),
            Unreadable::Hello { from: Side::Client },
            "malformed, or longer than",
        ),
    ] {
        let said = decrypt(&[(from, bytes)], &KeyLog::new(), 1);
        let [error] = said.errors[..] else { panic!("{expected:?}: {:?}", said.errors) };
        // In pieces of one byte a wrong start tells at its first byte.
        match (error, expected) {
            (Unreadable::NotTls { seen: [b'R', 0, 0, 0, 0], .. }, Unreadable::NotTls { .. }) => {}
            _ => assert_eq!(error, expected),
        }
        assert!(expected.to_string().contains(text), "{expected}");
    }
}

#[test]
fn no_secret_is_shown() {
    let session = Ends::of(Suite::TLS13_AES_128_GCM_SHA256.find()).session(false);
    let keys = keys(&session.secrets);
    let mut decryptor = Decryptor::new();
    for (from, bytes) in &session.wire[..2] {
        decryptor.push(at(0), *from, bytes);
    }
    let _ = decryptor.next(&keys);
    let shown = format!("{decryptor:?} {keys:?}");
    for secret in session.secrets.lines().filter_map(|line| line.rsplit(' ').next()) {
        let start: Vec<String> =
            (0..4).map(|at| u8::from_str_radix(&secret[2 * at..2 * at + 2], 16).unwrap().to_string()).collect();
        assert!(!shown.contains(&start.join(", ")) && !shown.contains(&secret[..16]), "{shown}");
    }
}

/// rustls's suite with this number.
trait Find {
    fn find(self) -> SupportedCipherSuite;
}

impl Find for Suite {
    fn find(self) -> SupportedCipherSuite {
        *ring::ALL_CIPHER_SUITES.iter().find(|suite| suite.suite() == self).unwrap()
    }
}

proptest! {
    /// However the bytes come, in whatever pieces and interleaving of the two directions, the plaintext is the same.
    #[test]
    fn plaintext_does_not_depend_on_the_cut(
        choices in prop::collection::vec((any::<bool>(), 1..3000_usize), 1..60),
        which in any::<prop::sample::Index>(),
    ) {
        let session = Ends::of(*which.get(ring::ALL_CIPHER_SUITES)).session(false);
        let keys = keys(&session.secrets);
        let mut streams = [Vec::new(), Vec::new()];
        for (from, bytes) in &session.wire {
            streams[usize::from(*from == Side::Server)].extend_from_slice(bytes);
        }
        let (mut rest, mut decryptor, mut said) = ([&streams[0][..], &streams[1]], Decryptor::new(), Said::default());
        let rest_of_it = [(false, 3000), (true, 3000)].into_iter().cycle().take(100);
        for (n, (server, len)) in choices.into_iter().chain(rest_of_it).enumerate() {
            let rest = &mut rest[usize::from(server)];
            let (piece, after) = rest.split_at(len.min(rest.len()));
            *rest = after;
            decryptor.push(at(n), if server { Side::Server } else { Side::Client }, piece);
            let _ = said.drain(&mut decryptor, &keys);
        }
        prop_assert_eq!(&said.errors, &[]);
        prop_assert_eq!((&*said.plain[0], &*said.plain[1]), (CLIENT_SAYS, SERVER_SAYS));
    }
}
