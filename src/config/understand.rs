//! From a form without stray keys to a configuration without doubts.

mod rules;

use super::finding::Problem;
use super::form::{
    EmbeddedForm, Form, HttpForm, KafkaForm, ListenForm, PlaceForm, PolicyForm, RedisForm,
    SourceForm,
};
use super::limits::*;
use super::quote::{is_secret, looks_secret};
use super::units::{self, NotAQuantity, show_duration, show_size};
use super::{
    Api, Config, Embedded, Endpoint, Engine, Gate, Http, Kafka, Listen, Log, LogFormat, Private,
    Property, Purpose, Redis, SecretFrom, SecretSource, Signing, Webhook,
};
use crate::attempt::{
    EndpointName, GateClient, LateCompletion, Mode, OnFailed, Policy, UnknownSession,
};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

/// What a form means, with a default wherever it means nothing, and all that is wrong with it.
pub(super) fn understand(form: Form, purpose: Purpose) -> (Config, Vec<Problem>) {
    let mut reader = Reader::default();
    let config = reader.config(form, purpose);
    rules::apply(&config, purpose, &mut reader.problems);
    (config, reader.problems)
}

#[derive(Default)]
struct Reader {
    problems: Vec<Problem>,
}

impl Reader {
    fn config(&mut self, form: Form, purpose: Purpose) -> Config {
        let mode = word(form.mode, Mode::from_word, Mode::Test);
        let gate = self.gate(form.gate.base_url, form.gate.key, mode);
        Config {
            engine: word(form.engine, Engine::from_word, Engine::Embedded),
            data_dir: self.path("data_dir", form.data_dir, "./tidegate-data"),
            mode,
            instance_id: form.instance_id.map(|name| self.name("instance_id", name)),
            partitions: self.count("partitions", form.partitions),
            lanes: self.count("lanes", form.lanes),
            listen: self.listen(form.listen),
            endpoints: self.endpoints(form.endpoints),
            api: Api { keys: self.sources("api.keys", form.api.keys) },
            policy: policy(form.policy, &gate, purpose),
            gate,
            webhook: Webhook {
                tolerance: self.duration(
                    "webhook.tolerance",
                    form.webhook.tolerance,
                    Duration::from_secs(300),
                    Duration::from_millis(1)..=TOLERANCE_MAX,
                ),
            },
            http: self.http(form.http),
            signing: Signing { keys: self.sources("signing.keys", form.signing.keys) },
            embedded: self.embedded(form.embedded),
            kafka: self.kafka(form.kafka),
            redis: self.redis(form.redis),
            log: Log {
                format: word(form.log.format, LogFormat::from_word, LogFormat::Auto),
                filter: form.log.filter.unwrap_or_else(|| "info".to_owned()),
            },
        }
    }

    fn listen(&mut self, form: ListenForm) -> Listen {
        Listen {
            public: self.address("listen.public", form.public, Listen::DEFAULT.public),
            api: self.address("listen.api", form.api, Listen::DEFAULT.api),
            ops: self.address("listen.ops", form.ops, Listen::DEFAULT.ops),
        }
    }

    fn http(&mut self, form: HttpForm) -> Http {
        let deadlines = Duration::from_millis(1)..=DEADLINE_MAX;
        let body_bytes = BODY_BYTES_MIN..=BODY_BYTES_MAX;
        Http {
            max_body_bytes: self.size("http.max_body", form.max_body, 256 << 10, body_bytes),
            bodies_memory_bytes: self.size(
                "http.bodies_memory",
                form.bodies_memory,
                64 << 20,
                BODIES_MEMORY_MIN..=u64::MAX,
            ),
            header_deadline: self.duration(
                "http.header_deadline",
                form.header_deadline,
                Duration::from_secs(5),
                deadlines.clone(),
            ),
            body_deadline: self.duration(
                "http.body_deadline",
                form.body_deadline,
                Duration::from_secs(10),
                deadlines,
            ),
        }
    }

    fn embedded(&mut self, form: EmbeddedForm) -> Embedded {
        let segment = SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX;
        let retention = form.retention.filter(|text| text != "none");
        Embedded {
            segment_bytes: self.size(
                "embedded.segment_bytes",
                form.segment_bytes,
                64 << 20,
                segment,
            ),
            attempts_memory_bytes: self.size(
                "embedded.attempts_memory",
                form.attempts_memory,
                128 << 20,
                ATTEMPTS_MEMORY_MIN..=u64::MAX,
            ),
            snapshot_every_bytes: self.size(
                "embedded.snapshot_every",
                form.snapshot_every,
                256 << 20,
                SEGMENT_BYTES_MIN..=u64::MAX,
            ),
            retention: retention.map(|text| {
                let bounds = RETENTION_MIN..=Duration::MAX;
                self.duration("embedded.retention", Some(text), RETENTION_MIN, bounds)
            }),
        }
    }

    fn kafka(&mut self, form: KafkaForm) -> Kafka {
        let brokers: Vec<_> = form.brokers.iter().flat_map(|list| list.split(',')).collect();
        let brokers: Vec<_> = brokers.iter().map(|broker| broker.trim().to_owned()).collect();
        if !brokers.iter().all(|broker| is_host_and_port(broker)) {
            self.problems.push(Problem::error(
                "kafka.brokers",
                "`kafka.brokers` must name brokers as host:port",
                "write them as \"one:9092,two:9092\"",
            ));
        }
        let properties = form.properties.into_iter();
        Kafka {
            brokers,
            properties: properties
                .map(|(name, value)| {
                    let property = self.property(&name, value);
                    (name, property)
                })
                .collect(),
            // It stands in names that a slash ends.
            group: match form.group {
                Some(group) => self.name("kafka.group", group),
                None => "tidegate".to_owned(),
            },
            topic_prefix: match form.topic_prefix {
                Some(prefix) => self.name("kafka.topic_prefix", prefix),
                None => "tidegate".to_owned(),
            },
        }
    }

    fn property(&mut self, name: &str, value: serde_json::Value) -> Property {
        if !value.is_object() {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            return Property::Written(Private(text));
        }
        let text = |key: &str| value.get(key).and_then(|text| text.as_str()).map(str::to_owned);
        let key = format!("kafka.properties.{name}");
        let place = self.place(&key, text("file"), text("env"));
        if name.ends_with(".pem") {
            self.problems.push(Problem::error(
                &key,
                format!("`{name}` has lines, and what is kept elsewhere has one"),
                "name the file to librdkafka: `ssl.ca.location`, `ssl.certificate.location` or \
                 `ssl.key.location`",
            ));
        }
        Property::Kept(place)
    }

    /// What an address means beyond its beginning is for whoever connects to it to say.
    fn redis(&mut self, form: RedisForm) -> Redis {
        if form.url.as_ref().is_some_and(|url| !REDIS_SCHEMES.iter().any(|it| url.starts_with(it)))
        {
            self.problems.push(Problem::error(
                "redis.url",
                "`redis.url` is no address of a Redis",
                "write \"redis://host:6379\", or \"rediss://…\" for TLS",
            ));
        }
        let mut password = |key: &str, form: Option<PlaceForm>| {
            form.map(|form| self.place(key, form.file, form.env))
        };
        Redis {
            password: password("redis.password", form.password),
            sentinel_password: password("redis.sentinel_password", form.sentinel_password),
            ca_file: form.ca_file.map(|file| self.path("redis.ca_file", Some(file), "")),
            url: form.url.map(Private),
        }
    }

    /// Takes the address with and without `/v1`, because 0Gate's own documents give both.
    fn gate(&mut self, url: Option<String>, key: Option<SourceForm>, mode: Mode) -> Gate {
        let given = url.unwrap_or_else(|| default_gate(mode).to_owned());
        let trimmed = given.trim_end_matches('/');
        let origin = trimmed.strip_suffix("/v1").unwrap_or(trimmed);
        if let Err(fix) = is_safe_origin(origin) {
            let shown = if looks_secret(&given) { "***" } else { &given };
            self.problems.push(Problem::error(
                "gate.base_url",
                format!("`gate.base_url` cannot be \"{shown}\""),
                fix,
            ));
        }
        let key = key.map(|form| self.source("gate.key", form));
        Gate { base_url: origin.to_owned(), key }
    }

    fn endpoints(
        &mut self,
        forms: BTreeMap<String, super::form::EndpointForm>,
    ) -> BTreeMap<EndpointName, Endpoint> {
        let mut endpoints = BTreeMap::new();
        for (name, form) in forms {
            let key = format!("endpoints.{name}.secrets");
            let secrets = self.sources(&key, form.secrets);
            // The structure has let through only names that are shorter and plainer.
            if let Ok(name) = EndpointName::parse(&name) {
                endpoints.insert(name, Endpoint { secrets });
            }
        }
        endpoints
    }

    fn sources(&mut self, key: &str, forms: Vec<SourceForm>) -> Vec<SecretSource> {
        let forms = forms.into_iter().enumerate();
        forms.map(|(index, form)| self.source(&format!("{key}[{index}]"), form)).collect()
    }

    fn source(&mut self, key: &str, form: SourceForm) -> SecretSource {
        let retired = form.retired.unwrap_or(false);
        SecretSource { from: self.place(key, form.file, form.env), retired }
    }

    fn place(&mut self, key: &str, file: Option<String>, env: Option<String>) -> SecretFrom {
        let from = match (file, env) {
            (Some(file), None) => SecretFrom::File(PathBuf::from(file)),
            (None, Some(name)) => SecretFrom::Env(name),
            (file, _) => {
                let count = if file.is_some() { "both" } else { "neither" };
                self.problems.push(Problem::error(
                    key,
                    format!("`{key}` names {count} of `file` and `env`"),
                    "write { file = \"/path/to/it\" } or { env = \"ITS_NAME\" }",
                ));
                SecretFrom::File(PathBuf::new())
            }
        };
        let named = match &from {
            SecretFrom::File(path) => path.to_str().unwrap_or_default(),
            SecretFrom::Env(name) => name,
        };
        if is_secret(named) {
            self.problems.push(Problem::error(
                key,
                format!("`{key}` holds a secret where the name of its place belongs"),
                "put the secret in a file and write the file's path, or in an environment \
                 variable and write the variable's name",
            ));
        }
        from
    }

    fn path(&mut self, key: &str, given: Option<String>, default: &str) -> PathBuf {
        match given {
            Some(text) if text.is_empty() => {
                let message = format!("`{key}` is empty");
                self.problems.push(Problem::error(key, message, "write a path, or leave it out"));
                PathBuf::from(default)
            }
            Some(text) => PathBuf::from(text),
            None => PathBuf::from(default),
        }
    }

    /// Names that end up in topics and transactional ids.
    fn name(&mut self, key: &str, name: String) -> String {
        let fits = |letter: u8| letter.is_ascii_alphanumeric() || b"-_.".contains(&letter);
        if !(1..=NAME_CHARS_MAX).contains(&name.len()) || !name.bytes().all(fits) {
            self.problems.push(Problem::error(
                key,
                format!("`{key}` does not fit into a name of Kafka's"),
                format!("use 1 to {NAME_CHARS_MAX} letters, digits, `-`, `_` or `.`"),
            ));
        }
        name
    }

    fn count(&mut self, key: &str, given: Option<i64>) -> Option<u32> {
        let given = given?;
        let count = u32::try_from(given).ok().filter(|n| (1..=PARTITIONS_MAX).contains(n));
        if count.is_none() {
            self.problems.push(Problem::error(
                key,
                format!("`{key}` cannot be {given}"),
                format!("use 1 to {PARTITIONS_MAX}, or leave it out for the number of cores"),
            ));
        }
        count
    }

    fn address(&mut self, key: &str, given: Option<String>, default: SocketAddr) -> SocketAddr {
        let Some(text) = given else { return default };
        text.parse().unwrap_or_else(|_| {
            let fix = match text.parse::<u16>().is_ok() || text.starts_with(':') {
                true => format!("write \"127.0.0.1:{}\"", text.trim_start_matches(':')),
                false => format!("write \"{default}\", with a numeric address and a port"),
            };
            let message = format!("`{key}` is no address: \"{}\"", shown(&text));
            self.problems.push(Problem::error(key, message, fix));
            default
        })
    }

    fn size(
        &mut self,
        key: &str,
        given: Option<String>,
        default: u64,
        bounds: RangeInclusive<u64>,
    ) -> u64 {
        self.quantity(key, given, default, bounds, units::size, show_size)
    }

    fn duration(
        &mut self,
        key: &str,
        given: Option<String>,
        default: Duration,
        bounds: RangeInclusive<Duration>,
    ) -> Duration {
        self.quantity(key, given, default, bounds, units::duration, show_duration)
    }

    fn quantity<T: PartialOrd + Copy>(
        &mut self,
        key: &str,
        given: Option<String>,
        default: T,
        bounds: RangeInclusive<T>,
        parse: fn(&str) -> Result<T, NotAQuantity>,
        show: fn(T) -> String,
    ) -> T {
        let Some(text) = given else { return default };
        match parse(&text) {
            Ok(quantity) if bounds.contains(&quantity) => return quantity,
            Ok(quantity) => {
                let (low, high) = (*bounds.start(), *bounds.end());
                let (side, bound) = match quantity < low {
                    true => ("less than", low),
                    false => ("more than", high),
                };
                let message = format!("`{key}` is {side} {}: \"{}\"", show(bound), shown(&text));
                self.problems.push(Problem::error(key, message, rules::why_bound(key)));
            }
            Err(NotAQuantity { why, fix }) => {
                let message = format!("`{key}` {why}: \"{}\"", shown(&text));
                self.problems.push(Problem::error(key, message, fix));
            }
        }
        default
    }
}

/// The schema has refused words that are none, so what is left out is all that is missing.
fn word<T>(given: Option<String>, parse: fn(&str) -> Option<T>, default: T) -> T {
    given.as_deref().and_then(parse).unwrap_or(default)
}

fn policy(form: PolicyForm, gate: &Gate, purpose: Purpose) -> Policy {
    let client = match gate.key {
        Some(_) => GateClient::Present,
        None => GateClient::Absent,
    };
    let unknown_session = match (purpose, client) {
        // No money moves there, and whoever tries it out wants to see something happen.
        (Purpose::Dev, _) => UnknownSession::Adopt,
        (_, GateClient::Absent) => {
            word(form.unknown_session, UnknownSession::from_word, UnknownSession::Adopt)
        }
        // Where attempts can be minted, an unclaimed session may yet be one of theirs.
        (_, GateClient::Present) => {
            word(form.unknown_session, UnknownSession::from_word, UnknownSession::Park)
        }
    };
    Policy {
        late_completion: word(
            form.late_completion,
            LateCompletion::from_word,
            LateCompletion::Review,
        ),
        failed: word(form.failed, OnFailed::from_word, OnFailed::Close),
        unknown_session,
        gate: client,
    }
}

/// How an address of a Redis begins: one server, what sentinels name, or a Redis Cluster; each
/// with TLS too.
const REDIS_SCHEMES: &[&str] = &[
    "redis://",
    "rediss://",
    "redis+sentinel://",
    "rediss+sentinel://",
    "redis+cluster://",
    "rediss+cluster://",
];

const fn default_gate(mode: Mode) -> &'static str {
    match mode {
        Mode::Test => "https://gate-api-sandbox.0bit.app",
        Mode::Live => "https://gate-api.0bit.app",
    }
}

/// The key travels in a header, so the way must be encrypted unless it stays on this machine.
fn is_safe_origin(origin: &str) -> Result<(), &'static str> {
    const FIX: &str = "write an origin, such as \"https://gate-api.0bit.app\"";
    let (scheme, rest) = origin.split_once("://").ok_or(FIX)?;
    if rest.is_empty() || rest.contains(['/', '?', '#', '@', ' ']) {
        return Err(FIX);
    }
    let host = rest.rsplit_once(':').map_or(rest, |(host, _)| host);
    let is_here = host == "localhost" || host == "[::1]" || host.starts_with("127.");
    match scheme {
        "https" => Ok(()),
        "http" if is_here => Ok(()),
        "http" => Err("use https://: the key must not travel in the clear"),
        _other => Err(FIX),
    }
}

fn is_host_and_port(broker: &str) -> bool {
    broker.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && !host.contains(['/', ' ', '@']) && port.parse::<u16>().is_ok()
    })
}

fn shown(text: &str) -> &str {
    if looks_secret(text) { "***" } else { text }
}
