//! The architecture, as a test: imports point down, files stay small, documents name real files.

use std::fs;
use std::path::{Path, PathBuf};

/// For each folder of `src`, the folders that it may name. What is not listed is above it.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("attempt", &[]),
    ("webhook", &["attempt"]),
    ("wire", &["attempt", "webhook"]),
    ("ports", &["attempt", "wire"]),
    ("lane", &["attempt", "webhook", "wire", "ports"]),
    ("config", &["attempt", "webhook"]),
    ("crash", &[]),
    ("safeguard", &[]),
    ("telemetry", &["attempt", "webhook", "wire", "ports", "lane"]),
    ("adapters", &["attempt", "webhook", "wire", "ports", "lane", "crash", "safeguard"]),
    ("actors", &["attempt", "webhook", "wire", "ports", "lane", "crash", "safeguard", "telemetry"]),
    ("http", &["attempt", "webhook", "wire", "ports", "lane", "config", "crash", "telemetry"]),
    ("audit", &["attempt", "webhook", "wire", "ports", "lane", "adapters"]),
    (
        "cli",
        &[
            "attempt",
            "webhook",
            "wire",
            "ports",
            "lane",
            "config",
            "crash",
            "telemetry",
            "adapters",
            "actors",
            "http",
            "audit",
        ],
    ),
];

/// Words that a folder may not contain: what would make it wait, ask the time, know a format or
/// name a framework.
const FORBIDDEN: &[(&str, &[&str])] = &[
    (
        "attempt",
        &["actix", "tokio", "serde", "async ", "SystemTime", "Instant", "HashMap", "rand::"],
    ),
    ("webhook", &["actix", "tokio", "async ", "SystemTime", "Instant"]),
    ("wire", &["actix", "tokio", "async ", "SystemTime", "Instant"]),
    ("lane", &["actix", "tokio", "async ", "SystemTime", "Instant", "std::fs", "thread::"]),
    ("ports", &["actix", "fjall", "std::fs"]),
    ("adapters", &["actix"]),
    ("actors", &["fjall", "std::fs"]),
    ("http", &["fjall", "actix::"]),
];

const LINES_MAX: usize = 500;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = vec![];
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.to_str().unwrap().ends_with(ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn layer(path: &Path) -> String {
    let inside = path.strip_prefix(root().join("src")).unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// Lines of code with their numbers: no comments, and no tests.
fn code(path: &Path) -> Vec<(usize, String)> {
    if path.components().any(|part| part.as_os_str() == "tests")
        || path.file_name().is_some_and(|name| name == "tests.rs")
    {
        return vec![];
    }
    let text = fs::read_to_string(path).unwrap();
    text.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line.split("//").next().unwrap().to_owned()))
        .take_while(|(_, line)| line.trim() != "#[cfg(test)]")
        .collect()
}

/// What follows on each `crate::` and the line where it stands: the one name of `crate::a::b`, and
/// every one of `crate::{a::b, c::{d, e}}`, which is `a` and `c`.
fn named_of_crate(code: &[(usize, String)]) -> Vec<(usize, String)> {
    let lines: Vec<&str> = code.iter().map(|(_, line)| line.as_str()).collect();
    let text = lines.join("\n");
    let mut found = vec![];
    for (place, word) in text.match_indices("crate::") {
        let rest = place + word.len();
        for begin in beginnings(&text[rest..]).into_iter().map(|begin| rest + begin) {
            let part_of_name = |c: &char| c.is_alphanumeric() || ['_', '*'].contains(c);
            let name: String = text[begin..].chars().take_while(part_of_name).collect();
            if !name.is_empty() {
                found.push((code[text[..begin].matches('\n').count()].0, name));
            }
        }
    }
    found
}

/// Where the first names of a path or of a group of paths begin.
fn beginnings(text: &str) -> Vec<usize> {
    if !text.starts_with('{') {
        return vec![0];
    }
    let mut begins = vec![];
    // Of each open group, whether it stands where a path begins, or only goes on with one.
    let mut groups: Vec<bool> = vec![];
    let mut expected = true;
    for (at, c) in text.char_indices() {
        match c {
            '{' => groups.push(expected),
            '}' => {
                groups.pop();
                expected = false;
            }
            ',' => expected = groups.last().is_some_and(|first| *first),
            c if c.is_whitespace() => {}
            _of_a_path => {
                if expected {
                    begins.push(at);
                }
                expected = false;
            }
        }
        if groups.is_empty() {
            break;
        }
    }
    begins
}

#[test]
fn imports_are_read_in_groups_too() {
    let planted = "\
use crate::attempt::{Attempt, Home};
use crate::{
    lane::{batch::Batch, part::{self, Hand}},
    ports, wire::{codec},
};
pub(in crate::audit) fn planted() { crate::cli::run(crate::http::door()) }
use crate::{{actors, config::{limits, units}}, telemetry as told};
use crate::*;
use {crate::{crash}, std::io};";
    let lines = planted.lines().enumerate();
    let code: Vec<_> = lines.map(|(index, line)| (index + 1, line.to_owned())).collect();
    let found = named_of_crate(&code);
    let found: Vec<_> = found.iter().map(|(number, name)| (*number, name.as_str())).collect();
    let named = [
        (1, "attempt"),
        (3, "lane"),
        (4, "ports"),
        (4, "wire"),
        (6, "audit"),
        (6, "cli"),
        (6, "http"),
        (7, "actors"),
        (7, "config"),
        (7, "telemetry"),
        (8, "*"),
        (9, "crash"),
    ];
    assert_eq!(found, named);
}

#[test]
fn imports_point_down() {
    let mut wrong = vec![];
    for path in files(&root().join("src"), ".rs") {
        let layer = layer(&path);
        if layer == "lib" || layer == "main" {
            continue;
        }
        let Some((_, may)) = MAY_IMPORT.iter().find(|(name, _)| *name == layer) else {
            wrong.push(format!("src/{layer} has no row in tests/tidy.rs: say what it may import"));
            continue;
        };
        for (number, name) in named_of_crate(&code(&path)) {
            if name != layer && !may.contains(&name.as_str()) {
                wrong.push(format!(
                    "{}:{number}: src/{layer} may not import crate::{name}",
                    path.display()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn no_folder_uses_a_word_that_does_not_belong_in_it() {
    let mut wrong = vec![];
    for path in files(&root().join("src"), ".rs") {
        let layer = layer(&path);
        let Some((_, words)) = FORBIDDEN.iter().find(|(name, _)| *name == layer) else { continue };
        for (number, line) in code(&path) {
            for word in words.iter().filter(|word| line.contains(**word)) {
                wrong.push(format!(
                    "{}:{number}: `{}` does not belong in src/{layer}",
                    path.display(),
                    word.trim()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_file_fits_in_a_head() {
    let mut wrong = vec![];
    for folder in ["src", "tests", "benches"] {
        for path in files(&root().join(folder), ".rs") {
            let lines = fs::read_to_string(&path).unwrap().lines().count();
            if lines > LINES_MAX {
                wrong.push(format!("{}: {lines} lines, more than {LINES_MAX}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "split these by what happens in them:\n{}", wrong.join("\n"));
}

/// Words in backticks that look like a path of this repository.
fn paths_named(text: &str) -> Vec<String> {
    const TOP: &[&str] = &[
        "src/",
        "tests/",
        "docs/",
        "config/",
        "fuzz/",
        "benches/",
        "docker/",
        "dashboards/",
        ".ci/",
    ];
    text.split('`')
        .skip(1)
        .step_by(2)
        .map(|word| word.trim_end_matches('/').to_owned())
        .filter(|word| TOP.iter().any(|top| word.starts_with(top)))
        .filter(|word| !word.contains(['*', '{', ' ', '<', '…']))
        .collect()
}

#[test]
fn documents_name_files_that_exist() {
    let mut wrong = vec![];
    let mut documents = vec![
        root().join("ARCHITECTURE.md"),
        root().join("README.md"),
        root().join("CONTRIBUTING.md"),
    ];
    documents.extend(files(&root().join("docs"), ".md"));
    let mut named = 0;
    for document in documents {
        let text = fs::read_to_string(&document).unwrap();
        for path in paths_named(&text) {
            named += 1;
            if !root().join(&path).exists() {
                wrong.push(format!("{} names `{path}`, which is not there", document.display()));
            }
        }
    }
    assert!(named > 20, "the documents hardly name a file: {named}");
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn nothing_is_left_unfinished_or_switched_off() {
    // Put together here, so that this file does not find itself.
    let words =
        [["to", "do!("].concat(), ["unimple", "mented!("].concat(), ["#[ig", "nore"].concat()];
    let mut wrong = vec![];
    for folder in ["src", "tests", "benches"] {
        for path in files(&root().join(folder), ".rs") {
            let text = fs::read_to_string(&path).unwrap();
            for word in words.iter().filter(|word| text.contains(word.as_str())) {
                wrong.push(format!("{}: {word}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
