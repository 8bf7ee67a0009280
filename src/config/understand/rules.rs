//! Rules between keys: what is well written and still must not be.

use crate::attempt::{GateClient, Mode, UnknownSession};
use crate::config::finding::Problem;
use crate::config::limits::*;
use crate::config::{Config, Engine, Listen, Private, Property, Purpose};
use crate::webhook::ENDPOINT_SECRETS_MAX;
use std::net::SocketAddr;

/// Properties that exactly-once rests on, or that have a key of their own.
const OWN_PROPERTIES: &[&str] = &[
    "auto.offset.reset",
    "bootstrap.servers",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.idempotence",
    "group.id",
    "isolation.level",
    "log.connection.close",
    "metadata.broker.list",
    "transactional.id",
];

pub(super) fn apply(config: &Config, purpose: Purpose, problems: &mut Vec<Problem>) {
    listeners(config.listen, problems);
    endpoints(config, problems);
    match purpose {
        Purpose::Serve => {
            needed_to_serve(config, problems);
            unclaimed_sessions(config, problems);
        }
        Purpose::Inspect => unclaimed_sessions(config, problems),
        Purpose::Dev => only_for_trying(config, problems),
    }
    for (key, sources) in [("api.keys", &config.api.keys), ("signing.keys", &config.signing.keys)] {
        if !sources.is_empty() && sources.iter().all(|source| source.retired) {
            problems.push(only_retired(key));
        }
    }
    if config.gate.key.as_ref().is_some_and(|key| key.retired) {
        problems.push(Problem::error(
            "gate.key",
            "`gate.key` is retired",
            "there is only one: name the current key, or leave `gate.key` out",
        ));
    }
    match (config.engine, purpose) {
        (Engine::Embedded, _) => embedded(config, problems),
        (Engine::Cluster, Purpose::Serve | Purpose::Inspect) => cluster(config, problems),
        // Said in one sentence already, and nobody is to write down brokers for it.
        (Engine::Cluster, Purpose::Dev) => {}
    }
}

/// What `dev` always is, so that what asks for something else is not passed over in silence.
fn only_for_trying(config: &Config, problems: &mut Vec<Problem>) {
    if config.engine == Engine::Cluster {
        problems.push(Problem::error(
            "engine",
            "`tidegate dev` is always embedded, and `engine` asks for the cluster",
            "leave `engine` out here; the cluster is not available in this build yet",
        ));
    }
    if config.mode == Mode::Live {
        problems.push(Problem::error(
            "mode",
            "`tidegate dev` is always in test mode, and `mode` asks for live",
            "leave `mode` out here; `tidegate serve` is for live deliveries",
        ));
    }
}

fn listeners(listen: Listen, problems: &mut Vec<Problem>) {
    let all = [
        ("listen.public", listen.public, Listen::DEFAULT.public),
        ("listen.api", listen.api, Listen::DEFAULT.api),
        ("listen.ops", listen.ops, Listen::DEFAULT.ops),
    ];
    for (index, (key, address, default)) in all.iter().enumerate() {
        let other = all[..index].iter().find(|(_, other, _)| collide(*address, *other));
        if let Some((first, ..)) = other {
            // Whoever is where it always is was not the one that someone has moved.
            let moved = if address == default { first } else { key };
            problems.push(Problem::error(
                *moved,
                format!("`{first}` and `{key}` are at the same address, {address}"),
                "give each listener a port of its own: each is trusted differently",
            ));
        }
    }
    if !listen.ops.ip().is_loopback() {
        problems.push(Problem::warning(
            "listen.ops",
            "`listen.ops` can be reached from other machines",
            "listen on 127.0.0.1, or let only your monitoring reach the port: it shows metrics \
             and the state of every attempt",
        ));
    }
}

/// Port 0 asks for any free port, so two of them never meet.
fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let overlap =
        one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() != 0 && one.port() == other.port() && overlap
}

fn endpoints(config: &Config, problems: &mut Vec<Problem>) {
    for (name, endpoint) in &config.endpoints {
        let key = format!("endpoints.{name}.secrets");
        let secrets = &endpoint.secrets;
        if secrets.is_empty() {
            problems.push(Problem::error(
                &key,
                format!("endpoint `{name}` has no secret"),
                "write secrets = [{ file = \"/path/to/it\" }]: without one no delivery can be \
                 proven",
            ));
        } else if secrets.iter().all(|source| source.retired) {
            problems.push(only_retired(&key));
        }
        if secrets.len() > ENDPOINT_SECRETS_MAX {
            problems.push(Problem::error(
                &key,
                format!("endpoint `{name}` has {} secrets", secrets.len()),
                format!(
                    "keep at most {ENDPOINT_SECRETS_MAX}: each costs a whole HMAC per delivery"
                ),
            ));
        }
    }
}

fn only_retired(key: &str) -> Problem {
    Problem::error(
        key,
        format!("every one of `{key}` is retired"),
        "add the current one, or take `retired = true` from it",
    )
}

fn needed_to_serve(config: &Config, problems: &mut Vec<Problem>) {
    if config.engine == Engine::Embedded && config.endpoints.is_empty() {
        problems.push(Problem::error(
            "endpoints",
            "there is no endpoint, so nothing could ever arrive",
            "add [endpoints.NAME] with secrets = [{ file = \"/path/to/it\" }]; 0Gate then \
             delivers to /webhooks/NAME",
        ));
    }
    if config.api.keys.is_empty() {
        problems.push(Problem::error(
            "api.keys",
            "there is no API key, so nobody could read a fulfillment",
            "write keys = [{ file = \"/path/to/it\" }] under [api]; `openssl rand -base64 32` makes \
             a good one",
        ));
    }
}

fn unclaimed_sessions(config: &Config, problems: &mut Vec<Problem>) {
    let adopts = config.policy.unknown_session == UnknownSession::Adopt;
    if adopts && config.policy.gate == GateClient::Present {
        problems.push(Problem::error(
            "policy.unknown_session",
            "`policy.unknown_session` cannot be \"adopt\" together with `gate.key`",
            "write \"park\": with a key attempts are created here, and a session adopted at once \
             could be one of theirs, fulfilled twice",
        ));
    }
}

fn embedded(config: &Config, problems: &mut Vec<Problem>) {
    if let (Some(lanes), Some(partitions)) = (config.lanes, config.partitions)
        && lanes > partitions
    {
        problems.push(Problem::warning(
            "lanes",
            format!("{lanes} lanes for {partitions} partitions: some have nothing to do"),
            "use at most as many lanes as partitions",
        ));
    }
    if config.embedded.retention.is_some() {
        problems.push(Problem::warning(
            "embedded.retention",
            "signals and outputs are forgotten after a time",
            "leave it out to keep them for ever; with it, an audit begins at the oldest kept \
             position",
        ));
    }
}

fn cluster(config: &Config, problems: &mut Vec<Problem>) {
    for (key, missing, example) in [
        ("kafka.brokers", config.kafka.brokers.is_empty(), "kafka:9092"),
        ("redis.url", config.redis.url.is_none(), "redis://redis:6379"),
    ] {
        if missing {
            problems.push(Problem::error(
                key,
                format!("the cluster engine needs `{key}`"),
                format!("add it, such as \"{example}\""),
            ));
        }
    }
    if config.signing.keys.is_empty() {
        problems.push(Problem::error(
            "signing.keys",
            "the cluster engine needs `signing.keys`",
            "name a file with 32 random bytes as hexadecimal digits, the same for every process: \
             each proves what another one took",
        ));
    }
    for name in config.kafka.properties.keys().filter(|name| OWN_PROPERTIES.contains(&&***name)) {
        problems.push(Problem::error(
            format!("kafka.properties.{name}"),
            format!("`{name}` is set by Tidegate"),
            "remove it: it has a key of its own, or exactly-once rests on its value",
        ));
    }
    if config.partitions.is_some() {
        problems.push(Problem::warning(
            "partitions",
            "`partitions` says nothing in a cluster",
            "remove it: the topics have their number of partitions",
        ));
    }
    connections(config, problems);
}

/// Whether the ways to the services are secured, and what was written about it fits together.
fn connections(config: &Config, problems: &mut Vec<Problem>) {
    let live = config.mode == Mode::Live;
    let written = |name: &str| match config.kafka.properties.get(name) {
        Some(Property::Written(text)) => Some(text.expose().to_ascii_lowercase()),
        Some(Property::Kept(_)) | None => None,
    };
    if live && !written("security.protocol").is_some_and(|protocol| protocol.ends_with("ssl")) {
        problems.push(Problem::warning(
            "kafka.properties",
            "the brokers are reached without encryption",
            "write \"security.protocol\" = \"SASL_SSL\" or \"SSL\", or see that the network is \
             yours alone",
        ));
    }
    let unverified = written("enable.ssl.certificate.verification").as_deref() == Some("false")
        || written("ssl.endpoint.identification.algorithm").as_deref() == Some("none");
    if unverified {
        problems.push(Problem::warning(
            "kafka.properties",
            "anybody on the way may pose as a broker: who it is is not looked at",
            "remove what switches that off; name your own authority with `ssl.ca.location`",
        ));
    }
    let Some(url) = config.redis.url.as_ref().map(Private::expose) else { return };
    let (scheme, rest) = url.split_once("://").unwrap_or((url, ""));
    let encrypted = scheme.starts_with("rediss");
    let has_password = rest.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'));
    if live && !encrypted {
        problems.push(Problem::warning(
            "redis.url",
            "the view is reached without encryption",
            "use rediss://, or see that the network is yours alone",
        ));
    }
    if has_password && config.redis.password.is_some() {
        problems.push(Problem::error(
            "redis.password",
            "`redis.password` is given, and `redis.url` has a password too",
            "leave the password out of the address",
        ));
    }
    if config.redis.ca_file.is_some() && !encrypted {
        problems.push(Problem::error(
            "redis.ca_file",
            "`redis.ca_file` says nothing without TLS",
            "begin `redis.url` with rediss, or leave the file out",
        ));
    }
    if config.redis.sentinel_password.is_some() && !scheme.ends_with("+sentinel") {
        problems.push(Problem::error(
            "redis.sentinel_password",
            "`redis.sentinel_password` says nothing without sentinels",
            "write redis.url = \"redis+sentinel://one:26379,two:26379/SERVICE\", or leave it out",
        ));
    }
}

/// Why a quantity has a bound, said to whoever has passed it.
pub(super) fn why_bound(key: &str) -> String {
    use crate::config::units::{show_duration as span, show_size as size};
    match key {
        "http.max_body" => format!(
            "use {} to {}: real completions are near 2KiB, and a body must fit a record of the \
             journal and of a topic",
            size(BODY_BYTES_MIN),
            size(BODY_BYTES_MAX)
        ),
        "http.bodies_memory" => format!(
            "use {} or more: a few bodies of the largest size must fit, or one slow client keeps \
             out all others",
            size(BODIES_MEMORY_MIN)
        ),
        "webhook.tolerance" => format!(
            "use 1ms to {}, 0Gate's own is 300s: without a window clocks that differ refuse every \
             delivery, with a wide one a captured delivery can be sent again",
            span(TOLERANCE_MAX)
        ),
        "http.header_deadline" | "http.body_deadline" => format!(
            "use 1ms to {}: a client that is slower holds a connection for nothing",
            span(DEADLINE_MAX)
        ),
        "embedded.segment_bytes" => format!(
            "use {} to {}: a segment is copied whole at a start, and a small one makes many files",
            size(SEGMENT_BYTES_MIN),
            size(SEGMENT_BYTES_MAX)
        ),
        "embedded.retention" => format!(
            "use {} or more, or \"none\": what is forgotten can be neither audited nor recovered",
            span(RETENTION_MIN)
        ),
        _memory_and_snapshots => "use a larger one".to_owned(),
    }
}
