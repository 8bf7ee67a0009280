//! How the brokers and Redis are reached: passwords from elsewhere, and what fits together.

use super::{about, document, findings_with, page};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use tempfile::TempDir;
use tidegate::config::{Level, Loaded, Property, Purpose, ServiceSecrets};

const CANARY: &str = "canary-of-a-password";

const CLUSTER: &str = "\
engine = \"cluster\"
kafka.brokers = \"k:9093\"
redis.url = \"rediss://tidegate@r:6380\"
signing.keys = [{ env = \"SIGNING\" }]
api.keys = [{ env = \"API\" }]
";

const SECRETS: [(&str, &str); 3] = [
    ("API", "a-key-that-is-long-enough-to-be-hard-to-guess"),
    ("SIGNING", "0123456789abcdef0123456789abcdef"),
    ("PASSWORD", CANARY),
];

fn loaded(more: &str, environment: &[(&str, &str)]) -> (Loaded, ServiceSecrets) {
    let document = document(&format!("{CLUSTER}{more}"), environment);
    let loaded =
        Loaded::read(&document, Purpose::Serve).unwrap_or_else(|errors| panic!("{errors}"));
    let secrets = loaded.service_secrets(&document).unwrap_or_else(|errors| panic!("{errors}"));
    (loaded, secrets)
}

fn written(property: &Property) -> &str {
    let Property::Written(text) = property else { panic!("it is kept elsewhere") };
    text.expose()
}

#[test]
fn passwords_come_from_files_or_variables() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("password");
    fs::write(&file, format!("{CANARY}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let more = format!(
        "redis.password = {{ file = \"{file}\" }}\n[kafka.properties]\n\
         \"sasl.username\" = \"tidegate\"\n\"sasl.password\" = {{ env = \"PASSWORD\" }}\n\
         \"ssl.key.password\" = {{ file = \"{file}\" }}\n\"retries\" = 5\n",
        file = file.display()
    );
    let (loaded, secrets) = loaded(&more, &SECRETS);
    let properties = &loaded.config.kafka.properties;
    assert_eq!(written(&properties["sasl.username"]), "tidegate");
    assert_eq!(written(&properties["retries"]), "5");
    for name in ["sasl.password", "ssl.key.password"] {
        assert_eq!(secrets.kafka_properties[name].expose(), CANARY, "{name}");
    }
    assert_eq!(secrets.redis_password.as_ref().unwrap().expose(), CANARY);
    let said = format!("{:?} {secrets:?}", loaded.config);
    assert!(!said.contains(CANARY), "{said}");
}

/// No shell takes a dot in the name of a variable.
#[test]
fn a_variable_sets_a_property_with_dots() {
    let environment = [
        &SECRETS[..],
        &[
            ("TIDEGATE_KAFKA__PROPERTIES__SECURITY_PROTOCOL", "SASL_SSL"),
            ("TIDEGATE_KAFKA__PROPERTIES__SASL_PASSWORD", CANARY),
            ("TIDEGATE_KAFKA__PROPERTIES__SSL_KEY_PASSWORD__ENV", "PASSWORD"),
            ("TIDEGATE_KAFKA__PROPERTIES__LOG_LEVEL", "3"),
            ("TIDEGATE_REDIS__PASSWORD__ENV", "PASSWORD"),
        ],
    ]
    .concat();
    let (loaded, secrets) = loaded("", &environment);
    let properties = &loaded.config.kafka.properties;
    assert_eq!(written(&properties["security.protocol"]), "SASL_SSL");
    assert_eq!(written(&properties["sasl.password"]), CANARY);
    assert_eq!(written(&properties["log_level"]), "3");
    assert_eq!(secrets.kafka_properties["ssl.key.password"].expose(), CANARY);
    assert_eq!(secrets.redis_password.unwrap().expose(), CANARY);
}

#[track_caller]
fn one(more: &str, level: Level, key: &str) {
    let found = findings_with(&format!("{CLUSTER}{more}"), &SECRETS);
    let [finding] = found.as_slice() else { panic!("not one finding:\n{}", page(&found)) };
    assert_eq!((finding.level, finding.key.as_deref()), (level, Some(key)), "{finding}");
    assert!(!finding.to_string().contains("canary"), "{finding}");
}

#[test]
fn a_password_that_is_not_where_it_should_be_is_told_by_its_key() {
    let missing = "{ env = \"NOT_SET\" }";
    let property = |value: &str| format!("[kafka.properties]\n\"sasl.password\" = {value}\n");
    one(&property(missing), Level::Error, "kafka.properties.sasl.password");
    one(&property("{}"), Level::Error, "kafka.properties.sasl.password");
    one(&property("{ fil = \"x\" }"), Level::Error, "kafka.properties.sasl.password.fil");
    one(&property("[\"canary\"]"), Level::Error, "kafka.properties.sasl.password");
    one(&format!("redis.password = {missing}\n"), Level::Error, "redis.password");
    one("redis.password = \"canary\"\n", Level::Error, "redis.password");
    let pem = "[kafka.properties]\n\"ssl.key.pem\" = { env = \"PASSWORD\" }\n";
    one(pem, Level::Error, "kafka.properties.ssl.key.pem");
}

#[test]
fn what_says_nothing_or_contradicts_is_refused() {
    let kept = "{ env = \"PASSWORD\" }";
    one(&format!("redis.sentinel_password = {kept}\n"), Level::Error, "redis.sentinel_password");
    let plain = CLUSTER.replace("rediss://tidegate@r:6380", "redis://u:canary@r");
    let about_plain = |more: &str| {
        let found = findings_with(&format!("{plain}{more}"), &SECRETS);
        found.into_iter().map(|it| (it.level, it.key.unwrap())).collect::<Vec<_>>()
    };
    let error = |key: &str| vec![(Level::Error, key.to_owned())];
    assert_eq!(about_plain(&format!("redis.password = {kept}\n")), error("redis.password"));
    assert_eq!(about_plain("redis.ca_file = \"ca.pem\"\n"), error("redis.ca_file"));
    assert_eq!(about("redis.url = \"redis+other://r\"\n").len(), 1);
}

#[test]
fn ways_in_the_clear_are_warned_of_where_money_moves() {
    let live = CLUSTER.replace("rediss://tidegate@", "redis://");
    let found = findings_with(&format!("mode = \"live\"\n{live}"), &SECRETS);
    let keys: Vec<_> = found.iter().map(|it| (it.level, it.key.as_deref().unwrap())).collect();
    let warned = [(Level::Warning, "redis.url"), (Level::Warning, "kafka.properties")];
    assert!(warned.iter().all(|it| keys.contains(it)) && keys.len() == 2, "{}", page(&found));
    let blind = "[kafka.properties]\n\"enable.ssl.certificate.verification\" = false\n";
    one(blind, Level::Warning, "kafka.properties");
}
