//! The JSON Schema of the configuration file, for editors and for reading the file itself.

use super::form::Form;
use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use serde_json::Value;
use std::sync::OnceLock;

/// The schema as published: `docs/schema/config.json`, and `tidegate config schema`.
pub fn text() -> String {
    let mut text = format!("{:#}", Value::from(generate()));
    text.push('\n');
    text
}

/// The schema as the reader of a file walks it. Nothing in it is a reference.
pub(super) fn tree() -> &'static Value {
    static TREE: OnceLock<Value> = OnceLock::new();
    TREE.get_or_init(|| Value::from(generate()))
}

fn generate() -> Schema {
    let settings = SchemaSettings::draft07().with(|settings| settings.inline_subschemas = true);
    settings.with_transform(Plain).into_generator().into_root_schema_for::<Form>()
}

/// TOML has no null, so an optional key is one that may be left out; and the names and widths of
/// our types are no business of an editor's.
#[derive(Clone)]
struct Plain;

impl Transform for Plain {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        let Some(object) = schema.as_object_mut() else { return };
        if let Some(Value::Array(any)) = object.get("anyOf")
            && let [Value::Object(only), null] = any.as_slice()
            && null["type"] == "null"
        {
            let (only, description) = (only.clone(), object.remove("description"));
            object.remove("anyOf");
            object.extend(only);
            object.extend(description.map(|text| ("description".to_owned(), text)));
        }
        if let Some(Value::Array(kinds)) = object.get_mut("type") {
            kinds.retain(|kind| kind != "null");
            if let [only] = kinds.as_slice() {
                let only = only.clone();
                object.insert("type".to_owned(), only);
            }
        }
        if let Some(Value::Array(words)) = object.get_mut("enum") {
            words.retain(|word| !word.is_null());
        }
        if object.get("format").is_some_and(|format| format == "int64") {
            object.remove("format");
        }
        if object.get("default").is_some_and(|default| default.is_null() || default.is_object()) {
            object.remove("default");
        }
    }
}

/// One step down: the schema of `key` inside a table that `schema` describes.
pub(super) fn inside<'a>(schema: &'a Value, key: &str) -> Option<&'a Value> {
    let named = schema.get("properties").and_then(|keys| keys.get(key));
    named.or_else(|| schema.get("additionalProperties").filter(|any| any.is_object()))
}

/// The keys that a table described by `schema` may have, where they are fixed.
pub(super) fn keys(schema: &Value) -> impl Iterator<Item = &str> {
    let keys = schema.get("properties").and_then(Value::as_object);
    keys.into_iter().flat_map(|keys| keys.keys().map(String::as_str))
}

/// Every fixed key with its full path, tables included.
pub(super) fn paths(schema: &Value, above: &str, into: &mut Vec<String>) {
    for key in keys(schema) {
        let path = if above.is_empty() { key.to_owned() } else { format!("{above}.{key}") };
        into.push(path.clone());
        if let Some(below) = inside(schema, key) {
            paths(below, &path, into);
        }
    }
}

/// Whether the schema allows a value of this JSON kind.
pub(super) fn allows(schema: &Value, kind: &str) -> bool {
    match schema.get("type") {
        Some(Value::String(only)) => only == kind,
        Some(Value::Array(kinds)) => kinds.iter().any(|allowed| allowed == kind),
        _unsaid => false,
    }
}

/// Whether what stands here is a secret, or may carry one.
pub(super) fn is_secret(schema: &Value) -> bool {
    schema.get("writeOnly").is_some_and(|flag| flag == true)
}
