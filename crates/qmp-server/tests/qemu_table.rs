//! The same input to QEMU and to this server: the same bytes back.

#[path = "table/qemu.rs"]
#[cfg(unix)]
mod qemu;
mod table;

use qmp_server::qmp_schema::{self, Greeting};
use qmp_server::schema::{Struct, Type};
use qmp_server::{Command, CommandError, ErrorClass, Object, Service, Session, Version};
use table::{Answers, Case, END, cases};

const RECORDED: &str = include_str!("table/qemu-7.2.txt");

/// As much of QEMU's commands as the cases need, declared as QEMU 7.2 declares them.
fn service(version: Version<'static>) -> Service {
    let ok = |name: &'static str| Command::new(name, |_| Ok(()));
    let capability = Struct::new().required("capability", Type::of(["xbzrle", "events"])).required("state", Type::Bool);
    Service::builder(version)
        .command(ok("query-name"))
        .command(Command::new("query-status", |_| {
            Ok(Object::new().with("running", true).with("singlestep", false).with("status", "running"))
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
        .command(
            ok("migrate-set-parameters")
                .takes(Struct::new().optional("compress-level", Type::UINT8).optional("max-bandwidth", Type::Uint64)),
        )
        .command(ok("qom-set").takes(
            Struct::new().required("path", Type::Str).required("property", Type::Str).required("value", Type::Any),
        ))
        .command(
            Command::new("migrate-pause", |_| -> Result<(), _> {
                Err(CommandError::generic("migrate-pause is currently only supported during postcopy-active state"))
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

/// What this server answers, the input being cut into pieces of `chunk` bytes.
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
        let expected = match &case.differs {
            Some((_, ours)) => {
                assert_ne!(ours, theirs, "{}: doesn't differ any more", case.name);
                ours
            }
            None => theirs,
        };
        if whole != *expected {
            wrong.push(format!(
                "{}\n  sent     {}\n  expected {expected:#?}\n  got      {whole:#?}",
                case.name,
                case.input.escape_ascii()
            ));
        }
    }
    assert!(wrong.is_empty(), "{} cases are answered differently:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_table_is_what_it_says() {
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
fn answers_are_those_that_qemu_gave() {
    compare(&Answers::parse(RECORDED));
}

#[cfg(unix)]
#[test]
fn answers_are_those_that_qemu_gives() {
    let folder = tempfile::tempdir().expect("a folder");
    match qemu::Qemu::start(folder.path()).expect("QEMU starts") {
        Some(qemu) => compare(&qemu.answers(&cases()).expect("QEMU answers")),
        None if std::env::var_os("CI").is_some() => panic!("qemu-system-x86_64 is not installed"),
        None => eprintln!("skipped: qemu-system-x86_64 is not installed"),
    }
}
