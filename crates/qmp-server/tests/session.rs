//! Conversations: what the client sends (`C:`), what happens meanwhile (`A:`), and what it is sent (`S:`).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use qmp_server::qmp_schema::{self, ErrorReply};
use qmp_server::schema::{Struct, Type};
use qmp_server::{Command, CommandError, Limits, Object, Reply, Request, Responder, Service, Session, Value, Version};

/// Commands that were given to `wait` and `wait-oob` and aren't answered, by their argument.
type Waiting = Arc<Mutex<Vec<(String, Responder)>>>;

fn service(limits: Limits) -> (Service, Waiting) {
    service_of(Version::new(1, 2, 3, "test"), limits)
}

fn service_of(version: Version<'static>, limits: Limits) -> (Service, Waiting) {
    let waiting = Waiting::default();
    let wait = |name: &'static str| {
        let waiting = Arc::clone(&waiting);
        let argument = Struct::new().required("as", Type::Str);
        Command::later(name, move |arguments, responder| {
            let name = arguments.get("as").and_then(Value::as_str).unwrap_or_default().to_owned();
            waiting.lock().unwrap().push((name, responder));
        })
        .takes(argument)
    };
    let service = Service::builder(version)
        .limits(limits)
        .command(Command::new("echo", |arguments| Ok(arguments.clone())).takes_anything())
        .command(Command::new("json", |_| Ok(Reply::json(Bytes::from_static(b"[1, {\"z\": 2}]")))))
        .command(Command::new("fail", |_| -> Result<(), _> { Err(CommandError::generic("no")) }))
        .command(wait("wait"))
        .command(wait("wait-oob").allow_oob())
        .command(Command::later("prompt", |_, responder| responder.answer(Ok("at once".into()))))
        .command(Command::later("forget", |_, _| {}))
        .build();
    (service, waiting)
}

fn check(trace: &str) {
    check_with(Limits::default(), trace);
}

/// Leads a session through a trace. `A: answer NAME` answers a waiting command, `A: deliver LINE` an event,
/// `A: paused` and `A: reading` say what must be the case.
fn check_with(limits: Limits, trace: &str) {
    let (service, waiting) = service(limits);
    let mut session = Session::new(&service);
    let mut input = Vec::new();
    let mut output = String::new();
    let drain = |session: &mut Session, output: &mut String| {
        while let Some(bytes) = session.poll_output() {
            output.push_str(str::from_utf8(&bytes).unwrap());
        }
    };
    drain(&mut session, &mut output);
    for line in trace.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (who, text) = line.split_once(": ").unwrap();
        match who {
            "C" => {
                input.extend_from_slice(text.as_bytes());
                input.push(b'\n');
            }
            "A" => match text.split_once(' ') {
                Some(("answer", name)) => {
                    let mut waiting = waiting.lock().unwrap();
                    let at = waiting.iter().position(|(other, _)| other == name).expect("the command is running");
                    waiting.remove(at).1.answer(Ok(Object::new().with("as", name.to_owned()).into()));
                }
                Some(("deliver", event)) => session.deliver(Bytes::from(format!("{event}\r\n"))),
                _ => assert_eq!(session.is_paused(), text == "paused", "{line}"),
            },
            _ => {
                let (first, rest) = output.split_once("\r\n").unwrap_or_else(|| panic!("expected {text}, got nothing"));
                assert_eq!(first, text);
                output = rest.to_owned();
            }
        }
        session.take_answers(&mut ());
        loop {
            let taken = session.receive(&input);
            input.drain(..taken);
            if taken == 0 {
                break;
            }
        }
        drain(&mut session, &mut output);
    }
    assert_eq!(output, "", "nothing more is sent");
}

const HELLO: &str = r#"
    S: {"QMP": {"version": {"qemu": {"micro": 3, "minor": 2, "major": 1}, "package": "test"}, "capabilities": ["oob"]}}
    C: {"execute": "qmp_capabilities"}
    S: {"return": {}}
"#;

const HELLO_OOB: &str = r#"
    S: {"QMP": {"version": {"qemu": {"micro": 3, "minor": 2, "major": 1}, "package": "test"}, "capabilities": ["oob"]}}
    C: {"execute": "qmp_capabilities", "arguments": {"enable": ["oob"]}}
    S: {"return": {}}
"#;

#[test]
fn events_come_from_the_negotiation_on() {
    check(
        r#"
        S: {"QMP": {"version": {"qemu": {"micro": 3, "minor": 2, "major": 1}, "package": "test"}, "capabilities": ["oob"]}}
        A: deliver {"event": "EARLY"}
        C: {"execute": "echo"}
        S: {"error": {"class": "CommandNotFound", "desc": "Expecting capabilities negotiation with 'qmp_capabilities'"}}
        C: {"execute": "qmp_capabilities"}{"execute": "echo", "id": 1}
        S: {"return": {}}
        S: {"return": {}, "id": 1}
        A: deliver {"event": "LATE"}
        S: {"event": "LATE"}
    "#,
    );
}

#[test]
fn replies_are_values_or_bytes() {
    check(&format!(
        r#"{HELLO}
        C: {{"execute": "echo", "arguments": {{"b": 1, "a": [1.5, null]}}, "id": {{}}}}
        S: {{"return": {{"a": [1.5, null], "b": 1}}, "id": {{}}}}
        C: {{"execute": "json", "id": "x"}}
        S: {{"return": [1, {{"z": 2}}], "id": "x"}}
        C: {{"execute": "fail", "id": 0}}
        S: {{"id": 0, "error": {{"class": "GenericError", "desc": "no"}}}}
        C: {{"execute": "query-version"}}
        S: {{"return": {{"qemu": {{"micro": 3, "minor": 2, "major": 1}}, "package": "test"}}}}
    "#
    ));
}

#[test]
fn commands_are_listed_the_last_first() {
    check(&format!(
        r#"{HELLO}
        C: {{"execute": "query-commands"}}
        S: {{"return": [{{"name": "forget"}}, {{"name": "prompt"}}, {{"name": "wait-oob"}}, {{"name": "wait"}}, {{"name": "fail"}}, {{"name": "json"}}, {{"name": "echo"}}, {{"name": "query-qmp-schema"}}, {{"name": "query-commands"}}, {{"name": "query-version"}}, {{"name": "qmp_capabilities"}}]}}
    "#
    ));
}

#[test]
fn without_oob_nothing_is_read_until_the_answer() {
    check(&format!(
        r#"{HELLO}
        C: {{"execute": "wait", "arguments": {{"as": "a"}}, "id": 1}}
        C: nonsense
        C: {{"execute": "echo", "id": 2}}
        A: paused
        A: answer a
        S: {{"return": {{"as": "a"}}, "id": 1}}
        S: {{"error": {{"class": "GenericError", "desc": "JSON parse error, invalid keyword 'nonsense'"}}}}
        S: {{"return": {{}}, "id": 2}}
        A: reading
    "#
    ));
}

#[test]
fn with_oob_eight_wait_and_the_ninth_is_not_read() {
    let command = |i| format!("C: {{\"execute\": \"echo\", \"id\": {i}}}");
    let join = |lines: &mut dyn Iterator<Item = String>| lines.collect::<Vec<_>>().join("\n");
    let (seven, three) = (join(&mut (0..7).map(command)), join(&mut (7..10).map(command)));
    let replies = join(&mut (0..10).map(|i| format!("S: {{\"return\": {{}}, \"id\": {i}}}")));
    check(&format!(
        r#"{HELLO_OOB}
        C: {{"execute": "wait", "arguments": {{"as": "a"}}}}
        {seven}
        A: reading
        {three}
        A: paused
        A: answer a
        S: {{"return": {{"as": "a"}}}}
        {replies}
        A: reading
    "#
    ));
}

#[test]
fn out_of_band_goes_ahead_of_what_waits() {
    check(&format!(
        r#"{HELLO_OOB}
        C: {{"execute": "wait", "arguments": {{"as": "in"}}, "id": 1}}
        C: {{"execute": "echo", "id": 2}}
        C: [1 2]
        C: {{"exec-oob": "wait-oob", "arguments": {{"as": "out"}}, "id": 3}}
        C: {{"exec-oob": "nope", "id": 4}}
        S: {{"id": 4, "error": {{"class": "CommandNotFound", "desc": "The command nope has not been found"}}}}
        A: answer out
        S: {{"return": {{"as": "out"}}, "id": 3}}
        A: answer in
        S: {{"return": {{"as": "in"}}, "id": 1}}
        S: {{"return": {{}}, "id": 2}}
        S: {{"error": {{"class": "GenericError", "desc": "JSON parse error, expected separator in list"}}}}
    "#
    ));
}

#[test]
fn an_answer_may_come_at_once_or_never() {
    check(&format!(
        r#"{HELLO}
        C: {{"execute": "prompt"}}{{"execute": "prompt", "id": 2}}
        S: {{"return": "at once"}}
        S: {{"return": "at once", "id": 2}}
        C: {{"execute": "forget"}}{{"execute": "echo"}}
        S: {{"error": {{"class": "GenericError", "desc": "The command was given up without an answer"}}}}
        S: {{"return": {{}}}}
    "#
    ));
}

#[test]
fn limits_are_told_and_read_past() {
    let mut limits = Limits::default();
    (limits.token_bytes, limits.tokens, limits.nesting) = (40, 9, 3);
    check_with(
        limits,
        r#"
        S: {"QMP": {"version": {"qemu": {"micro": 3, "minor": 2, "major": 1}, "package": "test"}, "capabilities": ["oob"]}}
        C: {"execute": "qmp_capabilities"}
        S: {"return": {}}
        C: [[[]]]
        S: {"error": {"class": "GenericError", "desc": "QMP input must be a JSON object"}}
        C: [[[[
        S: {"error": {"class": "GenericError", "desc": "JSON nesting depth limit exceeded"}}
        C: [1,2,3,4,5
        S: {"error": {"class": "GenericError", "desc": "JSON token count limit exceeded"}}
        C: ["12345678901234567890", "1234567890123456"
        S: {"error": {"class": "GenericError", "desc": "JSON token size limit exceeded"}}
        C: "12345678901234567890123456789012345678901
        S: {"error": {"class": "GenericError", "desc": "JSON token size limit exceeded"}}
        C: {"execute": "echo"}
        S: {"error": {"class": "GenericError", "desc": "QMP input must be a JSON object"}}
        S: {"return": {}}
    "#,
    );
}

/// What is sent after the greeting and the negotiation, and what QEMU 7.2.22 answered when it was asked by hand. It reads a
/// byte at a time and takes minutes over these, so that they are not in the table.
#[test]
fn limits_are_those_of_qemu_7_2() {
    let error = |desc: &str| format!("{{\"error\": {{\"class\": \"GenericError\", \"desc\": \"{desc}\"}}}}");
    let object = error("QMP input must be a JSON object");
    let value = error("JSON parse error, expecting value");
    let stray = error("JSON parse error, stray '\\uFFFD'");
    let array = |ones: usize, end: &str| format!("[{}1{end}", "1,".repeat(ones)).into_bytes();
    for (input, expected) in [
        (array((1 << 20) - 1, ""), vec![stray.clone()]),
        (array(1 << 20, "]"), vec![error("JSON token count limit exceeded"), object, value, stray]),
        (
            format!("{{\"execute\":\"{}\"}}", "a".repeat(64 << 20)).into_bytes(),
            vec![error("JSON token size limit exceeded"), error("JSON parse error, stray '\\\"}\\uFFFD'")],
        ),
    ] {
        let mut session = Session::new(&service(Limits::default()).0);
        _ = session.receive(b"{'execute': 'qmp_capabilities'}");
        while session.poll_output().is_some() {}
        for piece in input.chunks(8192).chain([&b"\xff\n"[..]]) {
            assert_eq!(session.receive(piece), piece.len());
        }
        let output: Vec<u8> = std::iter::from_fn(|| session.poll_output()).flatten().collect();
        assert_eq!(String::from_utf8(output).unwrap().lines().collect::<Vec<_>>(), expected);
    }
}

/// As above, from QEMU 11.1.3, where a byte that is no token counts against the limit too.
#[test]
fn limits_are_those_of_qemu_11_1() {
    let error = |desc: &str| format!("{{\"error\": {{\"class\": \"GenericError\", \"desc\": \"{desc}\"}}}}");
    let over = error("JSON token count limit exceeded");
    let stray = |column: u32| error(&format!("1:{column}: JSON parse error, stray '\\uFFFD'"));
    let array = |first: &str, ones: usize, end: &str| format!("[{first}{}1{end}", "1,".repeat(ones));
    for (input, expected) in [
        (array("", (1 << 20) - 1, ""), vec![over.clone()]),
        (array("", 1 << 20, "]"), vec![over.clone(), stray(2_097_187)]),
        (array("", 1 << 20, ""), vec![over.clone()]),
        (array("{},", (1 << 20) - 3, "]"), vec![error("QMP input must be a JSON object"), stray(2_097_184)]),
        (array("[{},", (1 << 20) - 4, "],[]]"), vec![over, stray(2_097_187)]),
    ] {
        let mut session = Session::new(&service_of(Version::new(11, 1, 3, ""), Limits::default()).0);
        _ = session.receive(b"{'execute': 'qmp_capabilities'}");
        while session.poll_output().is_some() {}
        for piece in input.as_bytes().chunks(8192).chain([&b"\xff\n"[..]]) {
            assert_eq!(session.receive(piece), piece.len());
        }
        let output: Vec<u8> = std::iter::from_fn(|| session.poll_output()).flatten().collect();
        assert_eq!(String::from_utf8(output).unwrap().lines().collect::<Vec<_>>(), expected);
    }
}

/// A proxy: it passes on all commands that the server itself does not have.
#[test]
fn commands_that_are_not_registered_go_to_the_fallback() {
    let forwarded: Waiting = Arc::default();
    let fallback = {
        let forwarded = Arc::clone(&forwarded);
        move |request: Request, responder: Responder| {
            let Request { name, arguments, out_of_band, .. } = request;
            forwarded.lock().unwrap().push((format!("{name} {arguments} {out_of_band}"), responder));
        }
    };
    let service = Service::builder(Version::new(11, 1, 3, "")).fallback(fallback).build();
    let mut session = Session::new(&service);
    let sent = |session: &mut Session, input: &str| {
        let mut input = input.as_bytes();
        while !input.is_empty() {
            input = &input[session.receive(input)..];
        }
        session.take_answers(&mut ());
        let output: Vec<u8> = std::iter::from_fn(|| session.poll_output()).flatten().collect();
        String::from_utf8(output).unwrap()
    };
    assert!(sent(&mut session, "{'execute': 'stop'}").contains("Expecting capabilities negotiation"));
    sent(&mut session, "{'execute': 'qmp_capabilities', 'arguments': {'enable': ['oob']}}");
    assert_eq!(sent(&mut session, "{'execute': 'eject', 'arguments': {'id': [1]}, 'id': 1}"), "");
    assert_eq!(sent(&mut session, "{'exec-oob': 'migrate-pause', 'id': 2}"), "");
    let take = || forwarded.lock().unwrap().pop().unwrap();
    let (request, responder) = take();
    assert_eq!(request, "migrate-pause {} true");
    responder.answer(Ok(().into()));
    assert_eq!(sent(&mut session, " "), "{\"return\": {}, \"id\": 2}\r\n", "it overtakes the command that waits");
    let (request, responder) = take();
    assert_eq!(request, "eject {\"id\": [1]} false");
    let error = qmp_schema::from_str::<ErrorReply<'_>>(r#"{"error": {"class": "DeviceNotFound", "desc": "gone"}}"#);
    responder.answer(Err(error.unwrap().into()));
    let expected = "{\"id\": 1, \"error\": {\"class\": \"DeviceNotFound\", \"desc\": \"gone\"}}\r\n";
    assert_eq!(sent(&mut session, " "), expected);
    assert!(
        sent(&mut session, "{'execute': 'query-version'}").contains("\"major\": 11"),
        "its own commands come first"
    );
    assert!(forwarded.lock().unwrap().is_empty());
}
