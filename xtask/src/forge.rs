//! Checks that the workflows in `.github` name steps, crates and chores that exist.

use std::{collections::BTreeSet, fs};

use clap::{CommandFactory as _, ValueEnum as _};

use crate::{Task, test::Step};

const CHECKS: &str = "../.github/workflows/checks.yml";

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn workflow_runs_steps_that_exist() {
    let text = read(CHECKS);
    let list = text.split_once("step: [").and_then(|(_, rest)| rest.split_once(']')).expect("a list of steps").0;
    for name in list.split(", ") {
        assert!(Step::from_str(name, false).is_ok(), "{CHECKS} runs the step `{name}`, which does not exist");
    }
}

#[test]
fn workflow_tests_each_published_crate_that_needs_no_peer() {
    let text = read(CHECKS);
    let list =
        text.split_once("crate:\n").and_then(|(_, rest)| rest.split_once("    steps:")).expect("a list of crates").0;
    let named: BTreeSet<String> =
        list.lines().filter_map(|line| line.trim().strip_prefix("- ")).map(str::to_owned).collect();
    let is_crate = |name: &str| fs::exists(format!("../crates/{name}/Cargo.toml")).unwrap_or(false);
    let folders =
        fs::read_dir("../crates").expect("crates").filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    // These two are about real peers: the job with all checks has them.
    let expected = folders.filter(|name| is_crate(name) && name != "spice-testkit" && name != "spicewatch").collect();
    assert_eq!(named, expected);
}

#[test]
fn workflows_call_chores_that_exist() {
    let command = Task::command();
    let mut calls = 0;
    for file in ["checks", "nightly", "release"] {
        let text = read(&format!("../.github/workflows/{file}.yml"));
        for call in text.split("cargo xtask ").skip(1) {
            let name = call.split_whitespace().next().unwrap_or_default();
            assert!(
                command.find_subcommand(name).is_some(),
                "{file}.yml calls `cargo xtask {name}`, which does not exist"
            );
            calls += 1;
        }
    }
    assert!(calls > 0);
}
