//! The published forms described for others: JSON Schemas and an AsyncAPI 3 document, made from the
//! types that write them. Committed under `docs/`; a test fails when they drift.

use super::Topic;
use super::cloudevents::{self, CONTENT_TYPE, SOURCE};
use super::published::{FulfillmentV1, MetricV1, TransitionV1};
use schemars::{Schema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Value, json};

/// One generated document: where it is kept, and its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    pub path: &'static str,
    pub text: String,
}

pub fn all() -> Vec<Document> {
    let document = |path, value: &Value| Document { path, text: pretty(value) };
    vec![
        document("docs/schema/fulfillment.v1.json", &schema_of::<FulfillmentV1<'_>>()),
        document("docs/schema/transition.v1.json", &schema_of::<TransitionV1<'_>>()),
        document("docs/schema/metric.v1.json", &schema_of::<MetricV1<'_>>()),
        document("docs/asyncapi.json", &asyncapi()),
    ]
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

fn schema_of<T: schemars::JsonSchema>() -> Value {
    let generator: SchemaGenerator = SchemaSettings::draft2020_12().into_generator();
    let schema: Schema = generator.into_root_schema_for::<T>();
    schema.to_value()
}

fn asyncapi() -> Value {
    let outputs = [
        (
            Topic::Fulfillments,
            "fulfillment.v1",
            "The ledger may act: at most one per attempt, for ever.",
        ),
        (
            Topic::Transitions,
            "transition.v1",
            "A change of state, or a contradiction; gapless per attempt.",
        ),
        (
            Topic::Metrics,
            "metric.v1",
            "One per outcome of an attempt, and one per partition and second with traffic.",
        ),
    ];
    let mut channels = serde_json::Map::new();
    let mut operations = serde_json::Map::new();
    let mut messages = serde_json::Map::new();
    for (topic, schema, summary) in outputs {
        let name = topic.word();
        let kind = cloudevents::type_of(topic).unwrap_or_default();
        channels.insert(
            name.to_owned(),
            json!({
                "address": format!("tidegate.{name}"),
                "description": summary,
                "messages": { name: { "$ref": format!("#/components/messages/{name}") } },
            }),
        );
        operations.insert(
            format!("send-{name}"),
            json!({
                "action": "send",
                "channel": { "$ref": format!("#/channels/{name}") },
                "summary": summary,
            }),
        );
        messages.insert(
            name.to_owned(),
            json!({
                "name": kind,
                "summary": summary,
                "contentType": CONTENT_TYPE,
                "headers": ce_headers(kind),
                "payload": {
                    "schemaFormat": "application/schema+json;version=draft-2020-12",
                    "schema": { "$ref": format!("./schema/{schema}.json") },
                },
            }),
        );
    }
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Tidegate outputs",
            "version": "1",
            "description": "What Tidegate tells the world. Read committed records only; act on a \
                            fulfillment_id once. The key of a record is its attempt id. A feed line says the same as the headers: id, type, time.",
        },
        "defaultContentType": CONTENT_TYPE,
        "channels": channels,
        "operations": operations,
        "components": { "messages": messages },
    })
}

/// CloudEvents in binary mode.
fn ce_headers(kind: &str) -> Value {
    json!({
        "type": "object",
        "required": ["ce_specversion", "ce_id", "ce_type", "ce_source", "ce_time"],
        "properties": {
            "ce_specversion": { "const": cloudevents::SPEC_VERSION },
            "ce_id": { "type": "string" },
            "ce_type": { "const": kind },
            "ce_source": { "const": SOURCE },
            "ce_time": { "type": "string", "format": "date-time" },
            "content-type": { "const": CONTENT_TYPE },
        },
    })
}
