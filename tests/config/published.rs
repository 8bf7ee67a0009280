//! What is printed and committed agrees with what the process does.

use super::findings;
use serde_json::Value;
use std::path::Path;
use tidegate::config::{Config, Document, EXAMPLE, Loaded, Purpose, schema};

fn understood(text: Option<&str>) -> Config {
    let document = Document::new(text.map(|text| ("tidegate.toml", text)), []);
    match Loaded::read(&document, Purpose::Inspect) {
        Ok(loaded) => loaded.config,
        Err(errors) => panic!("{errors}"),
    }
}

#[test]
fn the_example_says_the_defaults() {
    assert_eq!(understood(Some(EXAMPLE)), understood(None));
}

#[test]
fn the_schema_says_the_defaults() {
    let schema: Value = serde_json::from_str(&schema::text()).unwrap();
    let mut text = String::new();
    defaults(&schema, "", &mut text);
    assert!(text.contains("http.max_body = \"256KiB\""), "{text}");
    assert_eq!(understood(Some(&text)), understood(None));
}

/// A secret's place has no defaults, and is shown where it is used.
fn keys_of(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    let keys = schema["properties"].as_object().filter(|_| schema["writeOnly"] != true);
    keys.into_iter().flatten()
}

fn defaults(schema: &Value, above: &str, into: &mut String) {
    for (key, below) in keys_of(schema) {
        let path = if above.is_empty() { key.clone() } else { format!("{above}.{key}") };
        if let Some(default) = below.get("default") {
            into.push_str(&format!("{path} = {default}\n"));
        }
        defaults(below, &path, into);
    }
}

#[test]
fn the_example_shows_every_key() {
    let schema: Value = serde_json::from_str(&schema::text()).unwrap();
    let mut missing = vec![];
    unshown(&schema, &mut missing);
    assert!(missing.is_empty(), "not in config/tidegate.toml: {missing:?}");
}

fn unshown(schema: &Value, into: &mut Vec<String>) {
    for (key, below) in keys_of(schema) {
        let shown = |line: &str| {
            let line = line.trim_start_matches(['#', ' ']);
            line.starts_with(&format!("{key} = "))
                || line.starts_with(&format!("[{key}."))
                || line.starts_with('[') && line.ends_with(&format!("{key}]"))
        };
        if !EXAMPLE.lines().any(shown) {
            into.push(key.clone());
        }
        unshown(below, into);
    }
}

/// What is commented out is written as well as the rest.
#[test]
fn the_example_can_be_taken_at_its_word() {
    let is_example = |line: &str| {
        let key = line.split(" = ").next().unwrap_or_default();
        line.contains(" = ") && !key.contains(' ') || line.starts_with(['[', ']', ' '])
    };
    let text: Vec<_> = EXAMPLE
        .lines()
        .filter(|line| *line != "keys = []")
        .map(|line| line.strip_prefix("# ").filter(|rest| is_example(rest)).unwrap_or(line))
        .collect();
    let text = text.join("\n");
    assert!(text.contains("\n  { env = \"OLD_WEBHOOK_SECRET\", retired = true },\n"), "{text}");

    let keys: Vec<_> = findings(&text).into_iter().filter_map(|finding| finding.key).collect();
    // The secrets are not on this machine, and "adopt" does not go with a key.
    let expected = [
        "endpoints.shop.secrets[0]",
        "endpoints.shop.secrets[1]",
        "api.keys[0]",
        "policy.unknown_session",
        "gate.key",
        "signing.keys[0]",
        "kafka.properties.sasl.password",
        "redis.password",
        "redis.sentinel_password",
    ];
    assert_eq!(keys, expected);
}

/// `TIDEGATE_BLESS=1` writes the file anew.
#[test]
fn the_committed_schema_is_the_generated_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema/config.json");
    let generated = schema::text();
    if std::env::var_os("TIDEGATE_BLESS").is_some() {
        std::fs::write(&path, &generated).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == generated, "{} is stale: run with TIDEGATE_BLESS=1", path.display());
}
