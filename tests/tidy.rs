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
    ("telemetry", &["attempt", "webhook", "wire", "lane"]),
    ("adapters", &["attempt", "webhook", "wire", "ports", "lane", "crash"]),
    ("actors", &["attempt", "webhook", "wire", "ports", "lane", "crash", "telemetry"]),
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
        for (number, line) in code(&path) {
            for (place, _) in line.match_indices("crate::") {
                let rest = &line[place + "crate::".len()..];
                let name: String =
                    rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                if name != layer && !name.is_empty() && !may.contains(&name.as_str()) {
                    wrong.push(format!(
                        "{}:{number}: src/{layer} may not import crate::{name}",
                        path.display()
                    ));
                }
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
