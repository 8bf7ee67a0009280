//! Holding a configuration against the schema: every unknown key and every value of a wrong kind,
//! all at once. What is wrong is taken out, so that the rest can be read for its meaning.

use super::finding::Problem;
use super::quote::looks_secret;
use super::schema;
use super::tree::{Node, Origin, Table, Value};
use serde_json::Value as Schema;
use std::ops::Range;

/// What was out of place, and which values of the file may be shown to a person.
#[derive(Default)]
pub(super) struct Review {
    pub problems: Vec<(Problem, Origin)>,
    pub plain: Vec<Range<usize>>,
    /// Keys that unknown ones seem to have been meant for, so that nobody calls those missing too.
    pub meant: Vec<String>,
}

impl Review {
    pub(super) fn table(&mut self, table: &mut Table, schema: &Schema, path: &str, secret: bool) {
        let secret = secret || schema::is_secret(schema);
        table.retain(|key, entry| {
            let below = join(path, key);
            let Some(inner) = schema::inside(schema, key) else {
                self.problems.push((unknown_key(key, path, schema), entry.key.clone()));
                self.meant.extend(nearest(key, schema::keys(schema)).map(|near| join(path, near)));
                return false;
            };
            if let Some(problem) = bad_name(key, path) {
                self.problems.push((problem, entry.key.clone()));
                return false;
            }
            self.node(&mut entry.node, inner, &below, secret)
        });
    }

    /// Whether the value can stay.
    fn node(&mut self, node: &mut Node, schema: &Schema, path: &str, secret: bool) -> bool {
        let value_is_secret = schema::is_secret(schema);
        if !schema::allows(schema, node.value.kind()) {
            let problem = if wants_source(schema) && matches!(node.value, Value::Text(_)) {
                inline_secret(path)
            } else {
                wrong_kind(path, &node.value, schema)
            };
            // What stands where a table belongs could have been meant for any key in it.
            let wants_value = !schema::allows(schema, "object") && !schema::allows(schema, "array");
            if !secret && !value_is_secret && wants_value {
                self.show(node);
            }
            self.problems.push((problem, node.origin.clone()));
            return false;
        }
        match &mut node.value {
            Value::Table(table) => self.table(table, schema, path, secret),
            Value::List(items) => {
                let inner = &schema["items"];
                for (index, item) in items.iter_mut().enumerate() {
                    if !self.node(item, inner, &format!("{path}[{index}]"), secret) {
                        // Stays as an empty source, so that those after it keep their places.
                        item.value = Value::Table(Table::new());
                    }
                }
            }
            Value::Text(text) => {
                let problem = if value_is_secret { None } else { bad_word(path, text, schema) };
                // The name of a secret's place may be shown; a secret in its place may not.
                if !value_is_secret {
                    self.show(node);
                }
                if let Some(problem) = problem {
                    self.problems.push((problem, node.origin.clone()));
                    return false;
                }
            }
            Value::Whole(_) | Value::Flag(_) | Value::Other(_) => {
                if !value_is_secret {
                    self.show(node);
                }
            }
        }
        true
    }

    fn show(&mut self, node: &Node) {
        let secret = matches!(&node.value, Value::Text(text) if looks_secret(text));
        if let (Origin::File(span), false) = (&node.origin, secret) {
            self.plain.push(span.clone());
        }
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// A place for the name of a secret's source, or for a list of them.
fn wants_source(schema: &Schema) -> bool {
    let is_source = |schema: &Schema| schema["properties"]["env"].is_object();
    is_source(schema) || is_source(&schema["items"])
}

fn inline_secret(path: &str) -> Problem {
    Problem::error(
        path,
        format!("`{path}` holds a secret itself"),
        "put the secret in a file of its own and write { file = \"/path/to/it\" }, or in an \
         environment variable and write { env = \"ITS_NAME\" }: a configuration is copied, \
         committed and shown, a secret must not be",
    )
}

fn unknown_key(key: &str, path: &str, schema: &Schema) -> Problem {
    let named = if looks_secret(key) { "***" } else { key };
    let message = match path {
        "" => format!("unknown key `{named}`"),
        _ => format!("unknown key `{named}` in `{path}`"),
    };
    let fix = if schema["properties"]["retired"].is_object() {
        "a secret is named by `file` or by `env`, and may be `retired`".to_owned()
    } else if wants_source(schema) {
        "a secret is named by `file` or by `env`".to_owned()
    } else {
        suggestion(key, schema)
    };
    Problem::error(join(path, named), message, fix)
}

fn suggestion(key: &str, schema: &Schema) -> String {
    if let Some(near) = nearest(key, schema::keys(schema)) {
        return format!("did you mean `{near}`?");
    }
    let mut paths = vec![];
    schema::paths(schema::tree(), "", &mut paths);
    if let Some(elsewhere) = paths.iter().find(|path| path.rsplit('.').next() == Some(key)) {
        return format!("did you mean `{elsewhere}`?");
    }
    let keys: Vec<_> = schema::keys(schema).map(|key| format!("`{key}`")).collect();
    format!("remove it; known here: {}", keys.join(", "))
}

/// The candidate that a slip of the finger would have made into `word`.
pub(super) fn nearest<'a>(
    word: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    let word = word.to_ascii_lowercase().replace('-', "_");
    let distance = |candidate: &str| strsim::damerau_levenshtein(&word, candidate);
    let near = candidates.map(|candidate| (distance(candidate), candidate)).min()?;
    (near.0 <= (near.1.len() / 3).max(1)).then_some(near.1)
}

/// An endpoint's name is a segment of a path, and part of the header of every record.
fn bad_name(key: &str, path: &str) -> Option<Problem> {
    let fits = |letter: u8| letter.is_ascii_alphanumeric() || b"-_.".contains(&letter);
    let good = (1..=64).contains(&key.len()) && key.bytes().all(fits);
    let starts_well = key.starts_with(|letter: char| letter.is_ascii_alphanumeric());
    (path == "endpoints" && !(good && starts_well)).then(|| {
        Problem::error(
            join(path, if looks_secret(key) { "***" } else { key }),
            "the name of an endpoint does not fit in an address",
            "use 1 to 64 letters, digits, `-`, `_` or `.`, beginning with a letter or digit",
        )
    })
}

fn wrong_kind(path: &str, value: &Value, schema: &Schema) -> Problem {
    let wanted = if let Schema::String(kind) = &schema["type"] {
        kind_word(kind)
    } else {
        "a text, a whole number, true or false, or { file = … }"
    };
    let example = match schema.get("format").and_then(Schema::as_str) {
        Some("size") => "write a number with its unit, such as \"256KiB\"".to_owned(),
        Some("duration") => "write a number with its unit, such as \"5s\"".to_owned(),
        _plain => match &schema["type"] {
            kind if kind == "object" => format!("write its keys under [{path}]"),
            kind if kind == "array" => "write it in [ ]".to_owned(),
            kind if kind == "string" => "write it in quotation marks".to_owned(),
            _other => format!("write {wanted}"),
        },
    };
    let message = format!("`{path}` must be {wanted}, not {}", kind_word(value.kind()));
    Problem::error(path, message, example)
}

fn kind_word(kind: &str) -> &str {
    match kind {
        "string" => "a text",
        "integer" => "a whole number",
        "boolean" => "true or false",
        "array" => "a list",
        "object" => "a table",
        "fraction" => "a fraction",
        "date" => "a date",
        other => other,
    }
}

fn bad_word(path: &str, text: &str, schema: &Schema) -> Option<Problem> {
    let words: Vec<_> = schema["enum"].as_array()?.iter().filter_map(Schema::as_str).collect();
    if words.contains(&text) {
        return None;
    }
    let all: Vec<_> = words.iter().map(|word| format!("\"{word}\"")).collect();
    let fix = match nearest(text, words.iter().copied()) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => format!("write one of {}", all.join(", ")),
    };
    let shown = if looks_secret(text) { "***" } else { text };
    Some(Problem::error(path, format!("`{path}` cannot be \"{shown}\""), fix))
}
