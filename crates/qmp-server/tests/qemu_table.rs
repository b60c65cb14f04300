//! The same input to QEMU and to this server gives the same bytes back.

#[path = "table/qemu.rs"]
#[cfg(unix)]
mod qemu;
mod table;

use qmp_server::qmp_schema::{self, Greeting};
use qmp_server::schema::{Struct, Type};
use qmp_server::{Command, CommandError, ErrorClass, Object, Service, Session, Version};
use table::{Answers, Case, END, cases};

/// What QEMU 7.2.22, 10.0.13 and 11.1.3 answered.
const RECORDED: [&str; 3] =
    [include_str!("table/qemu-7.2.txt"), include_str!("table/qemu-10.0.txt"), include_str!("table/qemu-11.1.txt")];

/// The commands of QEMU that the cases need, declared like in this version.
fn service(version: Version<'static>) -> Service {
    let is_old = version.qemu.major < 10;
    let ok = |name: &'static str| Command::new(name, |_| Ok(()));
    let capability = Struct::new().required("capability", Type::of(["xbzrle", "events"])).required("state", Type::Bool);
    let mut parameters = Struct::new();
    if is_old {
        parameters = parameters.optional("compress-level", Type::UINT8);
    }
    Service::builder(version)
        .command(ok("query-name"))
        .command(Command::new("query-status", move |_| {
            let status = Object::new().with("running", true);
            let status = if is_old { status.with("singlestep", false) } else { status };
            Ok(status.with("status", "running"))
        }))
        .command(Command::new("query-spice", |_| {
            Ok(Object::new().with("enabled", false).with("migrated", false).with("mouse-mode", "client"))
        }))
        .command(
            Command::new("set_link", |arguments| -> Result<(), _> {
                let name = arguments.get("name").and_then(|name| name.as_str()).unwrap_or_default();
                Err(CommandError::new(ErrorClass::DeviceNotFound, format!("Device '{name}' not found")))
            })
            .takes(Struct::new().required("name", Type::Str).required("up", Type::Bool)),
        )
        .command(
            ok("human-monitor-command")
                .takes(Struct::new().required("command-line", Type::Str).optional("cpu-index", Type::Int)),
        )
        .command(ok("migrate-set-capabilities").takes(Struct::new().required("capabilities", Type::array(capability))))
        .command(ok("migrate-set-parameters").takes(parameters.optional("max-bandwidth", Type::Uint64)))
        .command(ok("qom-set").takes(
            Struct::new().required("path", Type::Str).required("property", Type::Str).required("value", Type::Any),
        ))
        .command(
            Command::new("migrate-pause", move |_| -> Result<(), _> {
                let states = if is_old { "postcopy-active" } else { "postcopy-active or postcopy-recover" };
                Err(CommandError::generic(format!("migrate-pause is currently only supported during {states} state")))
            })
            .allow_oob(),
        )
        .build()
}

/// The version in a greeting line.
fn version(greeting: &str) -> Version<'static> {
    let greeting: Greeting<'_> = qmp_schema::from_str(greeting).expect("a greeting");
    greeting.version.into_owned()
}

/// This server's answers to the input in pieces of `chunk` bytes.
fn ours(service: &Service, case: &Case, chunk: usize) -> (String, Vec<String>) {
    let mut session = Session::new(service);
    let drain = |session: &mut Session| {
        let bytes: Vec<u8> = std::iter::from_fn(|| session.poll_output()).flatten().collect();
        let text = String::from_utf8(bytes).expect("ASCII");
        assert!(text.is_empty() || text.ends_with("\r\n"), "{}: {text:?}", case.name);
        text
    };
    let greeting = drain(&mut session);
    assert_eq!(session.receive(case.before), case.before.len());
    drain(&mut session);
    let input = [&case.input, END].concat();
    let mut replies = String::new();
    for mut piece in input.chunks(chunk) {
        while !piece.is_empty() {
            piece = &piece[session.receive(piece)..];
        }
        replies += &drain(&mut session);
    }
    (greeting.trim_end().to_owned(), replies.split_terminator("\r\n").map(str::to_owned).collect())
}

/// A reply without the position of a parse error.
fn without_position(reply: &str) -> String {
    let Some((head, tail)) = reply.split_once("\"desc\": \"") else { return reply.to_owned() };
    let text = tail.trim_start_matches(|char: char| char.is_ascii_digit() || char == ':').trim_start();
    format!("{head}\"desc\": \"{}", if tail.starts_with(|char: char| char.is_ascii_digit()) { text } else { tail })
}

fn compare(answers: &Answers) {
    let service = service(version(&answers.greeting));
    let mut wrong = Vec::new();
    for case in cases() {
        let theirs = answers.get(&case.name).unwrap_or_else(|| panic!("{}: not recorded", case.name));
        let (greeting, whole) = ours(&service, &case, usize::MAX);
        assert_eq!(greeting, answers.greeting);
        for chunk in [1, 2, 3, 7, 64] {
            assert_eq!(ours(&service, &case, chunk).1, whole, "{}: in pieces of {chunk}", case.name);
        }
        let is_right = match &case.differs {
            Some((_, ours)) => {
                let theirs: Vec<String> = theirs.iter().map(|reply| without_position(reply)).collect();
                assert_ne!(ours, &theirs, "{}: does not differ any more", case.name);
                whole.iter().map(|reply| without_position(reply)).eq(ours.iter().cloned())
            }
            None => whole == theirs,
        };
        if !is_right {
            let expected = case.differs.as_ref().map_or(theirs, |(_, ours)| ours);
            wrong.push(format!(
                "{}\n  sent     {}\n  expected {expected:#?}\n  got      {whole:#?}",
                case.name,
                case.input.escape_ascii()
            ));
        }
    }
    let greeting = &answers.greeting;
    assert!(wrong.is_empty(), "{greeting}: {} cases are answered differently:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn table_has_a_reason_for_each_difference() {
    let cases = cases();
    assert!(cases.len() >= 200, "{} cases", cases.len());
    for case in &cases {
        assert!(
            case.differs.as_ref().is_none_or(|(reason, ours)| !reason.is_empty() && !ours.is_empty()),
            "{}",
            case.name
        );
    }
}

#[test]
fn answers_equal_the_recorded_ones_of_each_version() {
    for recorded in RECORDED {
        compare(&Answers::parse(recorded));
    }
}

#[cfg(unix)]
#[test]
fn answers_equal_those_of_a_live_qemu() {
    for program in qemu::programs() {
        let folder = tempfile::tempdir().expect("a folder");
        match qemu::Qemu::start(&program, folder.path()).expect("QEMU starts") {
            Some(qemu) => compare(&qemu.answers(&cases()).expect("QEMU answers")),
            None if std::env::var_os("CI").is_some() => panic!("{} is not installed", program.display()),
            None => eprintln!("skipped: {} is not installed", program.display()),
        }
    }
}
