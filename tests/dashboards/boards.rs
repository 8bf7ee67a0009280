//! The dashboards, as they are written.

use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use tidegate::telemetry::Described;

pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboards")
}

pub struct Dashboard {
    pub file: String,
    pub json: Value,
}

/// One query of one panel.
pub struct Query {
    /// Dashboard and panel, as a person finds them.
    pub shown: String,
    pub expression: String,
}

/// All dashboards.
pub fn all() -> Vec<Dashboard> {
    let files = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let dashboards = files.filter(|path| path.extension().is_some_and(|end| end == "json"));
    let mut all: Vec<Dashboard> = dashboards
        .map(|path| {
            let file = path.file_name().unwrap().to_str().unwrap().to_owned();
            let json = serde_json::from_str(&fs::read_to_string(&path).unwrap());
            let json = json.unwrap_or_else(|error| panic!("{file} is no JSON: {error}"));
            Dashboard { file, json }
        })
        .collect();
    all.sort_by(|a, b| a.file.cmp(&b.file));
    all
}

impl Dashboard {
    pub fn panels(&self) -> Vec<&Value> {
        self.json["panels"].as_array().unwrap().iter().collect()
    }

    /// Those that show something.
    pub fn charts(&self) -> Vec<&Value> {
        self.panels().into_iter().filter(|panel| panel["type"] != "row").collect()
    }

    pub fn queries(&self) -> Vec<Query> {
        let mut found = vec![];
        for panel in self.charts() {
            for target in panel["targets"].as_array().unwrap() {
                let shown = format!("{}: {}", self.file, panel["title"].as_str().unwrap());
                let expression = target["expr"].as_str().unwrap().to_owned();
                found.push(Query { shown, expression });
            }
        }
        found
    }
}

/// The series that a text names.
pub fn series_named(text: &str) -> BTreeSet<String> {
    let of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c| !of_name(c)).filter(|word| word.starts_with("tidegate_"));
    words.map(str::to_owned).collect()
}

/// Whether there is a series of this name: a histogram is three.
pub fn is_a_series(name: &str, described: &[Described]) -> bool {
    described.iter().any(|metric| {
        let parts: &[&str] =
            if metric.kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
        parts.iter().any(|part| name == format!("{}{part}", metric.name))
    })
}
