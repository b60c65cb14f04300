//! The QMP server's session under any bytes, and under bytes that look like QMP.

use proptest::prelude::*;
use spice_testkit::oracles::qmp_server::qmp_server_session;

/// Pieces that a conversation is made of, good and bad.
const PIECES: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"'",
    b"\"",
    b"\\",
    b"\\u",
    b"d83d",
    b"\\ude00",
    b"0",
    b"-",
    b"1.5",
    b"e9",
    b"1e999",
    b"null",
    b"true",
    b"x",
    b" ",
    b"\n",
    b"\xff",
    b"\xc3",
    b"\xa9",
    b"\xc0\x80",
    b"\0",
    b"{'execute':'",
    b"{'exec-oob':'",
    b"'}",
    b"','id':",
    b"'arguments':{",
    b"e",
    b"n",
    b"w",
    b"wo",
    b"at-once",
    b"qmp_capabilities",
    b"query-commands",
    b"{'execute':'w','id':1}",
    b"{'exec-oob':'wo','id':[{}]}",
    b"{'execute':'e','arguments':{'b':1,'a':[2]},'id':'x'}",
    b"{'execute':'n','arguments':{'n':255,'of':['a','b']}}",
    b"[[[[[[",
    b"]]]]]]",
    b"'12345678901234567890123456789012345678901234'",
];

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(PIECES), 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        qmp_server_session(&bytes);
    }

    #[test]
    fn near_qmp(text in text()) {
        qmp_server_session(&text);
    }
}
