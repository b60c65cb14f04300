//! The QMP server's session under any bytes, and under bytes that look like QMP.

use proptest::prelude::*;
use spice_testkit::{
    generate::{self, QmpInput},
    oracles::qmp_server::qmp_server_session,
};

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

const SCALARS: &[&str] = &[
    "null",
    "true",
    "false",
    "0",
    "-0",
    "1.5",
    "0.1",
    "1e999",
    "-1e999",
    "18446744073709551616",
    "-9223372036854775808",
    "''",
    "'\u{e9}\u{1f600}'",
    r"'\ud83d\ude00'",
    r"'\u0000\b\''",
    r"'\ud800'",
    r"'\uffff'",
    r"'\q'",
    "nil",
    "01",
    "%s",
];

fn value() -> impl Strategy<Value = String> {
    prop::sample::select(SCALARS).prop_map(str::to_owned).prop_recursive(5, 20, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec((prop::sample::select(&["a", "b", "id", "a"]), inner), 0..4).prop_map(|members| {
                let members: Vec<String> = members.iter().map(|(key, value)| format!("'{key}': {value}")).collect();
                format!("{{{}}}", members.join(", "))
            }),
        ]
    })
}

/// A command with an id and an argument, both of any kind.
fn command() -> impl Strategy<Value = Vec<u8>> {
    let execute = prop::sample::select(&["execute", "exec-oob"]);
    let name = prop::sample::select(&["e", "n", "w", "wo", "at-once", "query-version", "nope"]);
    (execute, name, value(), value()).prop_map(|(execute, name, id, argument)| {
        format!("{{'{execute}':'{name}','arguments':{{'n':{argument}}},'id':{id}}}").into_bytes()
    })
}

/// Commands, with pieces between them and a byte changed here and there.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        3 => command(),
        2 => prop::sample::select(PIECES).prop_map(<[u8]>::to_vec),
        1 => (command(), any::<prop::sample::Index>(), any::<u8>()).prop_map(|(mut command, at, byte)| {
            *at.get_mut(&mut command) = byte;
            command
        }),
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        qmp_server_session(&bytes);
    }

    #[test]
    fn generated_qmp(choices in prop::collection::vec(any::<u8>(), 0..400)) {
        let input: QmpInput = generate::from_choices(&choices);
        qmp_server_session(input.bytes());
    }

    #[test]
    fn near_qmp(text in text()) {
        qmp_server_session(&text);
    }
}
