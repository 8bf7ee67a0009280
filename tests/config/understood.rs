//! What the process makes of a configuration.

use super::{SOUND, SOUND_SECRETS, about, document, findings, findings_with};
use std::time::Duration;
use tidegate::attempt::{LateCompletion, Mode, UnknownSession};
use tidegate::config::{Config, ConfigErrors, Engine, Level, Loaded, Purpose, SecretFrom};

fn read(text: &str, environment: &[(&str, &str)]) -> Config {
    read_for(Purpose::Serve, text, environment).unwrap_or_else(|errors| panic!("{errors}"))
}

fn read_for(
    purpose: Purpose,
    text: &str,
    environment: &[(&str, &str)],
) -> Result<Config, ConfigErrors> {
    Loaded::read(&document(text, environment), purpose).map(|loaded| loaded.config)
}

/// The keys of errors, then of warnings, about a text in an otherwise sound configuration.
fn keys(text: &str) -> (Vec<String>, Vec<String>) {
    let (errors, warnings): (Vec<_>, Vec<_>) =
        about(text).into_iter().partition(|finding| finding.level == Level::Error);
    let keys = |findings: Vec<tidegate::config::Finding>| {
        findings.into_iter().filter_map(|finding| finding.key).collect()
    };
    (keys(errors), keys(warnings))
}

#[track_caller]
fn refused(text: &str, key: &str) {
    assert_eq!(keys(text).0, [key], "{text}");
}

#[track_caller]
fn warned(text: &str, key: &str) {
    assert_eq!(keys(text), (vec![], vec![key.to_owned()]), "{text}");
}

#[test]
fn defaults_are_safe_and_on_this_machine() {
    let config = read(SOUND, &[]);
    assert_eq!(config.engine, Engine::Embedded);
    assert_eq!(config.mode, Mode::Test);
    assert_eq!(config.listen.public.to_string(), "127.0.0.1:8480");
    assert_eq!(config.listen.api.to_string(), "127.0.0.1:8481");
    assert_eq!(config.listen.ops.to_string(), "127.0.0.1:8482");
    assert_eq!(config.http.max_body_bytes, 262_144);
    assert_eq!(config.http.bodies_memory_bytes, 64 << 20);
    assert_eq!(config.webhook.tolerance, Duration::from_secs(300));
    assert_eq!(config.policy.late_completion, LateCompletion::Review);
    assert_eq!(config.policy.unknown_session, UnknownSession::Adopt);
    assert_eq!(config.embedded.retention, None);
    assert_eq!(config.kafka.topic_prefix, "tidegate");
}

#[test]
fn the_environment_wins_over_the_file() {
    let text = format!("{SOUND}[kafka]\nbrokers = \"file:9092\"\ngroup = \"file\"\n");
    let config = read(
        &text,
        &[
            ("TIDEGATE_KAFKA__BROKERS", "one:9092, two:9092"),
            ("TIDEGATE_MODE", "live"),
            ("TIDEGATE_PARTITIONS", "8"),
            ("TIDEGATE_ENDPOINTS__SHOP__SECRETS", "[{ file = \"/run/shop\" }]"),
            ("TIDEGATE_HTTP", "{ max_body = \"8KiB\" }"),
            ("TIDEGATE_HTTP__BODY_DEADLINE", "3s"),
        ],
    );
    assert_eq!(config.kafka.brokers, ["one:9092", "two:9092"]);
    assert_eq!(config.kafka.group, "file");
    assert_eq!(config.mode, Mode::Live);
    assert_eq!(config.partitions, Some(8));
    assert_eq!(config.http.max_body_bytes, 8192);
    assert_eq!(config.http.body_deadline, Duration::from_secs(3));
    let endpoint = config.endpoints.values().next().unwrap();
    assert_eq!(endpoint.secrets[0].from, SecretFrom::File("/run/shop".into()));
}

#[test]
fn variables_of_others_are_left_alone() {
    let strangers = [
        ("TIDEGATE_SERVICE_HOST", "10.0.0.1"),
        ("TIDEGATE_PORT", "tcp://10.0.0.1:8480"),
        ("TIDEGATE_BLESS", "1"),
        ("KAFKA__BROKERS", "x"),
    ];
    assert_eq!(read(SOUND, &strangers), read(SOUND, &[]));
}

#[test]
fn a_variable_that_misses_a_key_by_a_slip_is_told_its_name() {
    for (slip, key, meant) in [
        ("TIDEGATE_LISTEN_PUBLIC", "listen.public", "TIDEGATE_LISTEN__PUBLIC"),
        ("TIDEGATE_POLICY_LATE_COMPLETION", "policy.late_completion", "TIDEGATE_POLICY__LATE_"),
        ("TIDEGATE_DATADIR", "data_dir", "TIDEGATE_DATA_DIR?"),
        ("TIDEGATE_MOD", "mode", "TIDEGATE_MODE?"),
        ("TIDEGATE_ENDPOINTS_SHOP_SECRETS", "endpoints.shop.secrets", "TIDEGATE_ENDPOINTS__SHOP__"),
    ] {
        let environment = [SOUND_SECRETS[0], SOUND_SECRETS[1], (slip, "x")];
        let findings = findings_with(SOUND, &environment);
        assert_eq!(findings.len(), 1, "{slip}: {findings:?}");
        assert!(findings[0].is_error(), "{slip}");
        assert_eq!(findings[0].key.as_deref(), Some(key));
        assert!(findings[0].fix.contains(meant), "{slip}: {}", findings[0].fix);
    }
}

#[test]
fn a_variable_that_holds_a_secret_may_have_any_name() {
    for name in ["TIDEGATE_SECRETS__SHOP", "TIDEGATE_API_KEYS", "TIDEGATE_MOD"] {
        let text = SOUND.replace("SHOP", name);
        let environment = [SOUND_SECRETS[0], (name, "whsec_test_0123456789")];
        assert_eq!(findings_with(&text, &environment), []);
    }
    // Also where a variable names it.
    let sources = [
        ("TIDEGATE_API__KEYS", "[{ env = \"TIDEGATE_API_KEYS\" }]"),
        ("TIDEGATE_API_KEYS", SOUND_SECRETS[0].1),
        SOUND_SECRETS[1],
    ];
    assert_eq!(findings_with(SOUND, &sources), []);
}

#[test]
fn with_a_key_of_0gates_an_unclaimed_session_waits() {
    let text = format!("{SOUND}gate.key = {{ env = \"GATE\" }}\n");
    assert_eq!(read(&text, &[]).policy.unknown_session, UnknownSession::Park);

    let adopting = format!("{text}policy.unknown_session = \"adopt\"\n");
    assert!(read_for(Purpose::Serve, &adopting, &[]).is_err());
    let dev = read_for(Purpose::Dev, &adopting, &[]).unwrap();
    assert_eq!(dev.policy.unknown_session, UnknownSession::Adopt);
    let dev = read_for(Purpose::Dev, "policy.unknown_session = \"park\"\n", &[]).unwrap();
    assert_eq!(dev.policy.unknown_session, UnknownSession::Adopt);
}

#[test]
fn only_serving_needs_endpoints_and_keys() {
    let keys: Vec<_> = findings("").into_iter().filter_map(|finding| finding.key).collect();
    assert_eq!(keys, ["endpoints", "api.keys"]);
    assert!(read_for(Purpose::Dev, "", &[]).is_ok());
    assert!(read_for(Purpose::Inspect, "", &[]).is_ok());
}

#[test]
fn dev_says_that_it_is_always_embedded_and_in_test_mode() {
    for (name, value, key, said) in [
        ("TIDEGATE_ENGINE", "cluster", "engine", "is always embedded"),
        ("TIDEGATE_MODE", "live", "mode", "is always in test mode"),
    ] {
        let errors = read_for(Purpose::Dev, "", &[(name, value)]).unwrap_err();
        let [only] = errors.findings() else { panic!("{errors}") };
        assert_eq!(only.key.as_deref(), Some(key));
        assert!(only.message.contains(said), "{errors}");
    }
}

#[test]
fn the_origin_of_0gate_follows_the_mode_and_tolerates_a_version() {
    assert!(read(SOUND, &[]).gate.base_url.contains("sandbox"));
    assert!(!read(SOUND, &[("TIDEGATE_MODE", "live")]).gate.base_url.contains("sandbox"));
    for given in ["http://127.0.0.1:8490", "http://127.0.0.1:8490/v1", "http://127.0.0.1:8490/v1/"]
    {
        let config = read(SOUND, &[("TIDEGATE_GATE__BASE_URL", given)]);
        assert_eq!(config.gate.base_url, "http://127.0.0.1:8490");
    }
    refused("gate.base_url = \"http://gate.example\"\n", "gate.base_url");
    refused("gate.base_url = \"https://user:canary@gate.example\"\n", "gate.base_url");
    refused("gate.base_url = \"gate.example\"\n", "gate.base_url");
}

#[test]
fn bounds_hold_on_both_sides() {
    for (key, low, high) in [
        ("http.max_body", "4095B", "1048577B"),
        ("webhook.tolerance", "0s", "3601s"),
        ("http.header_deadline", "0s", "61s"),
        ("http.body_deadline", "0s", "61s"),
        ("embedded.segment_bytes", "1023KiB", "1025MiB"),
    ] {
        refused(&format!("{key} = \"{low}\"\n"), key);
        refused(&format!("{key} = \"{high}\"\n"), key);
    }
    for number in ["0", "1025", "-1"] {
        refused(&format!("partitions = {number}\n"), "partitions");
        refused(&format!("lanes = {number}\n"), "lanes");
    }
    refused("http.bodies_memory = \"8191KiB\"\n", "http.bodies_memory");
    refused("embedded.attempts_memory = \"1MiB\"\n", "embedded.attempts_memory");
    refused("embedded.retention = \"90s\"\n", "embedded.retention");
    warned("embedded.retention = \"90d\"\n", "embedded.retention");
}

#[test]
fn listeners_meet_only_where_they_would() {
    refused("listen.ops = \"127.0.0.1:8480\"\n", "listen.ops");
    refused("listen.public = \"[::]:8481\"\n", "listen.public");
    assert_eq!(keys("listen.public = \"127.0.0.1:0\"\nlisten.api = \"127.0.0.1:0\"\n").0.len(), 0);
    assert_eq!(keys("listen.public = \"0.0.0.0:8480\"\n"), (vec![], vec![]));
    warned("listen.ops = \"0.0.0.0:8482\"\n", "listen.ops");
}

#[test]
fn an_endpoint_needs_a_current_secret() {
    refused("endpoints.a.secrets = []\n", "endpoints.a.secrets");
    refused("endpoints.a.secrets = [{ env = \"SHOP\", retired = true }]\n", "endpoints.a.secrets");
    refused("[endpoints.\"a/b\"]\nsecrets = []\n", "endpoints.a/b");
    let nine = "{ env = \"API_KEY\" },".repeat(9);
    assert!(
        keys(&format!("endpoints.a.secrets = [{nine}]\n"))
            .0
            .contains(&"endpoints.a.secrets".into())
    );
}

#[test]
fn a_cluster_needs_its_brokers_its_view_and_one_set_of_signing_keys() {
    let (errors, _) = keys("engine = \"cluster\"\n");
    assert_eq!(errors, ["kafka.brokers", "redis.url", "signing.keys"]);
    let whole = "engine = \"cluster\"\nkafka.brokers = \"k:9092\"\nredis.url = \"redis://r\"\n\
                 signing.keys = [{ env = \"API_KEY\" }]\n";
    assert_eq!(keys(whole), (vec![], vec![]));
    refused(
        &format!("{whole}[kafka.properties]\n\"transactional.id\" = \"x\"\n"),
        "kafka.properties.transactional.id",
    );
    refused("kafka.brokers = \"kafka\"\n", "kafka.brokers");
    refused("redis.url = \"http://r\"\n", "redis.url");
    refused("kafka.topic_prefix = \"a b\"\n", "kafka.topic_prefix");
}

#[test]
fn what_an_error_leaves_behind_is_no_second_error() {
    refused("endpoints.a.secrets = [\"whsec_test_canary\"]\n", "endpoints.a.secrets[0]");
    refused("endpoints.a = 5\n", "endpoints.a");
    refused("endpoints.a.secret = \"whsec_test_canary\"\n", "endpoints.a.secret");
}
