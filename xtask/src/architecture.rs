//! Checks that ARCHITECTURE.md names only things that exist: files, functions, types and chores.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use clap::CommandFactory as _;

use crate::Task;

/// A word between backticks, and what it must be.
#[derive(Debug, PartialEq)]
enum Mention<'a> {
    /// A file or folder, from the root of the workspace.
    Path(&'a str),
    /// `cargo xtask NAME`.
    Chore(&'a str),
    /// A name in the code: a function, a type, a constant. Of `Type::name`, each part.
    Name(&'a str),
}

/// Everything between backticks in a row or paragraph. Code of several words is not checked.
fn mentions(block: &str) -> Vec<Mention<'_>> {
    let mut found = Vec::new();
    for code in block.split('`').skip(1).step_by(2) {
        if let Some(chore) = code.strip_prefix("cargo xtask ") {
            found.push(Mention::Chore(chore.split(' ').next().unwrap_or_default()));
        } else if code.contains('/') || Path::new(code).extension().is_some() && !code.contains(' ') {
            found.push(Mention::Path(code));
        } else if code.chars().all(|c| c.is_ascii_alphanumeric() || "_:".contains(c)) {
            found.extend(code.split("::").filter(|name| !name.is_empty()).map(Mention::Name));
        }
    }
    found
}

/// The text of a file, or of all files below a folder.
fn text_below(path: &Path, out: &mut String) {
    if path.is_dir() {
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            if entry.file_name() != "target" {
                text_below(&entry.path(), out);
            }
        }
    } else if let Ok(text) = fs::read_to_string(path) {
        out.push_str(&text);
    }
}

/// Whether the text has this name as a whole word.
fn has_word(text: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices(name).any(|(at, _)| {
        !text[..at].chars().next_back().is_some_and(is_part)
            && !text[at + name.len()..].chars().next().is_some_and(is_part)
    })
}

/// What a row or paragraph names that does not exist.
fn missing(root: &Path, block: &str) -> Vec<String> {
    let mentions = mentions(block);
    let paths: Vec<PathBuf> = mentions
        .iter()
        .filter_map(|it| if let Mention::Path(path) = it { Some(root.join(path)) } else { None })
        .collect();
    let mut text = String::new();
    if paths.is_empty() {
        text_below(&root.join("crates"), &mut text);
    }
    for path in &paths {
        text_below(path, &mut text);
    }
    let chores: BTreeSet<String> = Task::command().get_subcommands().map(|it| it.get_name().to_owned()).collect();
    let exists = |mention: &Mention<'_>| match mention {
        Mention::Path(path) => root.join(path).exists(),
        Mention::Chore(chore) => chores.contains(*chore),
        Mention::Name(name) => has_word(&text, name),
    };
    mentions.iter().filter(|mention| !exists(mention)).map(|mention| format!("{mention:?} in: {block}")).collect()
}

/// The rows, list items and paragraphs of a page, without its pictures.
fn blocks(page: &str) -> Vec<String> {
    let mut blocks = vec![String::new()];
    let mut is_picture = false;
    for line in page.lines() {
        if line.starts_with("```") {
            is_picture = !is_picture;
        } else if !is_picture {
            let starts = ["| ", "- ", "#"].iter().any(|mark| line.starts_with(mark))
                || line.split_once(". ").is_some_and(|(number, _)| number.parse::<u32>().is_ok());
            if starts || line.is_empty() {
                blocks.push(String::new());
            }
            if let Some(block) = blocks.last_mut() {
                block.push_str(line.trim_start());
                block.push(' ');
            }
        }
    }
    blocks
}

#[test]
fn everything_that_architecture_md_names_exists() {
    let root = shell::root();
    let page = fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    let missing: Vec<_> = blocks(&page).iter().flat_map(|block| missing(&root, block)).collect();
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn names_that_do_not_exist_are_found() {
    let root = shell::root();
    let check = |block, expected: usize| assert_eq!(missing(&root, block).len(), expected, "{block}");
    check("`xtask/src/architecture.rs`, `has_word`", 0);
    check("`cargo xtask setup` and `Mention::Path` in `xtask/src/architecture.rs`", 0);
    check("`xtask/src/nothing.rs`", 1);
    check("`xtask/src/main.rs`, `has_word`", 1);
    check("`cargo xtask nothing`", 1);
    check("`crates/spice-link/src/side.rs`, `Sid`", 1);
}
