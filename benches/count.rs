//! Runs the work of one row with its first contender, N times: `count ROW N`.
//!
//! `cargo xtask bench --check` runs this twice under callgrind. The difference of the two counts is the cost of the work, without
//! the start of the process and the set-up of the scenario.

use std::process::ExitCode;

use spicewatch_benches::rows;

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let [name, times] = args.as_slice() else {
        for row in rows() {
            println!("{}", row.name);
        }
        return ExitCode::SUCCESS;
    };
    let Some(mut row) = rows().into_iter().find(|row| row.name == name) else {
        eprintln!("no row is called {name:?}");
        return ExitCode::FAILURE;
    };
    let Ok(times) = times.parse() else {
        eprintln!("expected how many times, found {times:?}");
        return ExitCode::FAILURE;
    };
    row.contenders[0].run(times);
    ExitCode::SUCCESS
}
