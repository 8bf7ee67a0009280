//! The file as written: what may stand where, before anyone has asked what it means.
//!
//! The JSON Schema for editors is generated from these types, and the same schema says which keys
//! and kinds of value are known when a file is read, so the two cannot drift apart. Nothing here
//! can be printed: a file may hold what should have been kept elsewhere.

use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The configuration of Tidegate.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Form {
    /// Where the journal is: "embedded" keeps it in `data_dir`, "cluster" in Kafka.
    #[schemars(extend("enum" = ["embedded", "cluster"], "default" = "embedded"))]
    pub engine: Option<String>,
    /// The folder of everything that is kept. Relative to the working directory.
    #[schemars(extend("default" = "./tidegate-data"))]
    pub data_dir: Option<String>,
    /// Which of 0Gate's two worlds this deployment serves. One deployment serves one.
    #[schemars(extend("enum" = ["test", "live"], "default" = "test"))]
    pub mode: Option<String>,
    /// This process's name, unique per process. Kept in `data_dir` when not set.
    pub instance_id: Option<String>,
    /// Partitions of the embedded journal, pinned when `data_dir` is made. Default: the cores.
    #[schemars(range(min = 1, max = 1024))]
    pub partitions: Option<i64>,
    /// Threads that work the partitions. Default: the cores.
    #[schemars(range(min = 1, max = 1024))]
    pub lanes: Option<i64>,
    pub listen: ListenForm,
    /// Webhook endpoints by name; 0Gate delivers to `/webhooks/<name>`.
    pub endpoints: BTreeMap<String, EndpointForm>,
    pub api: ApiForm,
    pub policy: PolicyForm,
    pub gate: GateForm,
    pub webhook: WebhookForm,
    pub http: HttpForm,
    pub signing: SigningForm,
    pub embedded: EmbeddedForm,
    pub kafka: KafkaForm,
    pub redis: RedisForm,
    pub log: LogForm,
}

/// The three listeners, each with its own trust.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ListenForm {
    /// Webhooks and checkout pages.
    #[schemars(extend("default" = "127.0.0.1:8480"))]
    pub public: Option<String>,
    /// The partner's backend, with bearer keys.
    #[schemars(extend("default" = "127.0.0.1:8481"))]
    pub api: Option<String>,
    /// Console, metrics and health.
    #[schemars(extend("default" = "127.0.0.1:8482"))]
    pub ops: Option<String>,
}

/// One webhook endpoint.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct EndpointForm {
    /// The `whsec_` secrets that deliveries may be signed with, several at once for rotation.
    pub secrets: Vec<SourceForm>,
}

/// Where a secret is kept: in a file or in an environment variable, never in this file.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("writeOnly" = true))]
pub(super) struct SourceForm {
    /// A file that holds the secret and nothing else; one newline at its end is left out.
    pub file: Option<String>,
    /// The name of an environment variable that holds the secret.
    pub env: Option<String>,
    /// Only records that were signed before may still use it; nothing new does.
    #[schemars(extend("default" = false))]
    pub retired: Option<bool>,
}

/// The partner's API.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ApiForm {
    /// Bearer keys that may call it.
    pub keys: Vec<SourceForm>,
}

/// What a merchant may choose.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct PolicyForm {
    /// A completion after the attempt had closed.
    #[schemars(extend("enum" = ["review", "fulfill"], "default" = "review"))]
    pub late_completion: Option<String>,
    /// What one failed try means for its attempt.
    #[schemars(extend("enum" = ["close", "keep_open"], "default" = "close"))]
    pub failed: Option<String>,
    /// An event of a session that no attempt has claimed. Default: "adopt" without `gate.key`,
    /// "park" with it.
    #[schemars(extend("enum" = ["adopt", "park"]))]
    pub unknown_session: Option<String>,
}

/// 0Gate's API.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct GateForm {
    /// Its origin. Default: 0Gate's own for the mode.
    pub base_url: Option<String>,
    /// The secret key (`sk_…`). Without it attempts are not created here and nothing is read.
    pub key: Option<SourceForm>,
}

/// How deliveries are judged at the door.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct WebhookForm {
    /// How far the signed time may be from ours, either way.
    #[schemars(extend("default" = "300s", "format" = "duration"))]
    pub tolerance: Option<String>,
}

/// Bounds on what a client may ask of a listener.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct HttpForm {
    /// The largest request body.
    #[schemars(extend("default" = "256KiB", "format" = "size"))]
    pub max_body: Option<String>,
    /// Memory for all request bodies on their way in or not answered yet, together.
    #[schemars(extend("default" = "64MiB", "format" = "size"))]
    pub bodies_memory: Option<String>,
    /// How long a client may take over its headers.
    #[schemars(extend("default" = "5s", "format" = "duration"))]
    pub header_deadline: Option<String>,
    /// How long a client may take over its body.
    #[schemars(extend("default" = "10s", "format" = "duration"))]
    pub body_deadline: Option<String>,
}

/// Tidegate's own keys, for ids and records that it makes.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct SigningForm {
    /// The first that is not retired signs, all verify. Default: one made and kept in `data_dir`.
    pub keys: Vec<SourceForm>,
}

/// The embedded engine.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct EmbeddedForm {
    /// How large a segment of the journal grows before the next begins.
    #[schemars(extend("default" = "64MiB", "format" = "size"))]
    pub segment_bytes: Option<String>,
    /// Memory for attempts that are kept at hand.
    #[schemars(extend("default" = "128MiB", "format" = "size"))]
    pub attempts_memory: Option<String>,
    /// Journal written between two snapshots; bounds how much a start has to read.
    #[schemars(extend("default" = "256MiB", "format" = "size"))]
    pub snapshot_every: Option<String>,
    /// How long signals and outputs are kept; "none" keeps them for ever.
    #[schemars(extend("default" = "none", "format" = "duration"))]
    pub retention: Option<String>,
}

/// The journal of a cluster.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct KafkaForm {
    /// `host:port` of some brokers, separated by commas.
    pub brokers: Option<String>,
    /// Passed to librdkafka as they are. A password is named by its place: `{ file = … }` or
    /// `{ env = … }`.
    #[schemars(with = "BTreeMap<String, PropertyForm>")]
    pub properties: BTreeMap<String, serde_json::Value>,
    /// The consumer group.
    #[schemars(extend("default" = "tidegate"))]
    pub group: Option<String>,
    /// The beginning of every topic's name.
    #[schemars(extend("default" = "tidegate"))]
    pub topic_prefix: Option<String>,
}

/// A property of librdkafka, or where it is kept. Some are passwords, so none is ever shown.
#[derive(JsonSchema)]
#[schemars(extend(
    "type" = ["string", "integer", "boolean", "object"],
    "properties" = {
        "file": { "type": "string", "description": "A file that holds it and nothing else." },
        "env": { "type": "string", "description": "The name of an environment variable." },
    },
    "additionalProperties" = false,
    "writeOnly" = true,
))]
#[expect(dead_code, reason = "describes a value in the schema; properties are read as JSON")]
pub(super) struct PropertyForm(String);

/// Where a password is kept: in a file or in an environment variable, never in this file.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("writeOnly" = true))]
pub(super) struct PlaceForm {
    /// A file that holds the password and nothing else; one newline at its end is left out.
    pub file: Option<String>,
    /// The name of an environment variable that holds the password.
    pub env: Option<String>,
}

/// The view of a cluster.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RedisForm {
    /// `redis://host:port`, or `rediss://` for TLS; `redis+sentinel://` and `redis+cluster://` name
    /// several. May carry a password, so it is never shown.
    #[schemars(extend("writeOnly" = true))]
    pub url: Option<String>,
    /// The password, where the address does not carry it.
    pub password: Option<PlaceForm>,
    /// The password of the sentinels, where they ask for one.
    pub sentinel_password: Option<PlaceForm>,
    /// Certificates (PEM) of whoever signed those of the servers. Default: the public ones.
    pub ca_file: Option<String>,
}

/// What the process says of itself.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct LogForm {
    /// "auto" is pretty on a terminal and JSON elsewhere.
    #[schemars(extend("enum" = ["auto", "pretty", "json"], "default" = "auto"))]
    pub format: Option<String>,
    /// Which events are written, in the notation of `RUST_LOG`.
    #[schemars(extend("default" = "info"))]
    pub filter: Option<String>,
}
