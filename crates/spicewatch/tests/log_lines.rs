//! docs/TROUBLESHOOTING.md has each line of the levels `warn` and `error` that the program can write.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The crates of the program whose lines are in its log.
const CRATES: [&str; 4] = ["spicewatch", "spice-relay", "qmp-server", "qmp-client"];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The string literals of a macro call, up to its closing parenthesis. The text begins after the opening one.
fn literals(call: &str) -> Vec<String> {
    let (mut literals, mut depth, mut chars) = (Vec::new(), 1, call.chars());
    while let Some(char) = chars.next() {
        match char {
            '(' => depth += 1,
            ')' => depth -= 1,
            '"' => {
                let mut literal = String::new();
                while let Some(char) = chars.next() {
                    match char {
                        '"' => break,
                        '\\' => literal.extend(chars.next()),
                        char => literal.push(char),
                    }
                }
                literals.push(literal);
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    literals
}

/// The parts of a message that are the same each time.
fn fixed_parts(message: &str) -> Vec<&str> {
    let parts = message.split('{').enumerate().map(|(number, part)| match number {
        0 => part,
        _ => part.split_once('}').map_or("", |(_, rest)| rest),
    });
    parts.map(str::trim).filter(|part| part.len() > 3).collect()
}

#[test]
fn every_warning_and_error_of_the_log_is_explained() {
    // A package does not contain the page.
    let Ok(page) = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/TROUBLESHOOTING.md")) else {
        return;
    };
    let rows: Vec<_> = page.lines().filter(|line| line.starts_with("| `")).collect();
    let mut files = Vec::new();
    for name in CRATES {
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name).join("src"), &mut files);
    }
    let (mut seen, mut missing) = (0, Vec::new());
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        for call in ["warn!(", "error!("] {
            for (at, _) in text.match_indices(&format!("tracing::{call}")) {
                let literals = literals(&text[at + "tracing::".len() + call.len()..]);
                let Some(message) = literals.last().filter(|message| !fixed_parts(message).is_empty()) else {
                    continue;
                };
                seen += 1;
                let parts = fixed_parts(message);
                // A long line may be shortened on the page.
                let is_there = |row: &&str| {
                    let cell = row.split('|').nth(1).unwrap_or_default();
                    parts.iter().all(|part| cell.contains(part))
                        || cell.split('`').any(|shown| {
                            shown.strip_suffix('…').is_some_and(|start| start.len() > 20 && message.starts_with(start))
                        })
                };
                if !rows.iter().any(is_there) {
                    missing.push(format!("{}: {message}", file.display()));
                }
            }
        }
    }
    assert!(seen > 40, "{seen} lines");
    assert!(missing.is_empty(), "not in docs/TROUBLESHOOTING.md:\n{}", missing.join("\n"));
    let kinds = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../spice-events/src/anomaly.rs")).unwrap();
    let kinds = kinds.split("pub const fn name").nth(1).unwrap().split("    }\n}").next().unwrap();
    let names = kinds.split("=> \"").skip(1).map(|rest| rest.split('"').next().unwrap());
    let names: Vec<_> = names.collect();
    assert!(names.len() > 10, "{names:?}");
    for name in names {
        assert!(
            rows.iter().any(|row| row.contains(&format!("`{name}`"))),
            "no kind `{name}` in docs/TROUBLESHOOTING.md"
        );
    }
}
