//! Checks how a SPICE server on this machine answers.
//!
//! ```text
//! cargo run --example check -- 127.0.0.1:5930 sekrit
//! ```

use std::{io, process::ExitCode};

use spice_conformance::{Report, ServerAddress, Subject, Target, cases};

fn main() -> io::Result<ExitCode> {
    let mut args = std::env::args().skip(1);
    let (Some(server), password) = (args.next(), args.next()) else {
        return Err(io::Error::other("expected arguments: HOST:PORT [PASSWORD]"));
    };
    let mut subject = Subject::new(Target::new(ServerAddress::resolve(&server, false, Target::TIME_LIMIT)?));
    subject.password = password;
    let subject = subject.survey()?;
    let report: Report = cases().map(|case| case.run(&subject)).collect();
    for failure in report.failures() {
        println!("{}: {}", failure.name, failure.verdict);
    }
    let counts = report.counts();
    println!("{} passed, {} failed, {} skipped", counts.passed, counts.failed, counts.skipped);
    Ok(if counts.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
