//! Secrets are found where the configuration says, and never said again.

use super::{document, findings_with, page};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use tempfile::TempDir;
use tidegate::config::{self, Document, Finding, Level, Loaded, Property, Purpose, Secret};

const CANARY: &str = "whsec_test_canary0123456789canary";

fn written(folder: &TempDir, name: &str, text: &str, mode: u32) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    path
}

fn with_shop(source: &str) -> String {
    format!("api.keys = [{{ env = \"API\" }}]\nendpoints.shop.secrets = [{source}]\n")
}

const API: (&str, &str) = ("API", "canary-key-that-is-long-enough-to-be-hard-to-guess");

/// What is found about a file with this text and mode that is to hold the shop's secret.
fn about_file(text: &str, mode: u32) -> Vec<Finding> {
    let folder = tempfile::tempdir().unwrap();
    let path = written(&folder, "secret", text, mode);
    let source = format!("{{ file = \"{}\" }}", path.display());
    findings_with(&with_shop(&source), &[API])
}

fn about_value(secret: &str, more: &str) -> Vec<Finding> {
    let text = format!("{}{more}", with_shop("{ env = \"SHOP\" }"));
    findings_with(&text, &[API, ("SHOP", secret)])
}

#[track_caller]
fn one(findings: &[Finding], level: Level, part: &str) {
    let [finding] = findings else { panic!("not one finding:\n{}", page(findings)) };
    assert_eq!(finding.level, level);
    assert!(finding.message.contains(part), "{finding}");
    assert_eq!(finding.key.as_deref(), Some("endpoints.shop.secrets[0]"));
}

#[test]
fn a_secret_comes_from_a_file_or_a_variable() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(&folder, "secret", &format!("{CANARY}\n"), 0o600);
    let source =
        format!("{{ file = \"{}\" }}, {{ env = \"OLD\", retired = true }}", path.display());
    let document = document(&with_shop(&source), &[API, ("OLD", "whsec_test_old")]);
    let loaded =
        Loaded::read(&document, Purpose::Serve).unwrap_or_else(|errors| panic!("{errors}"));
    let (secrets, warnings) = loaded.secrets(&document).unwrap();
    assert_eq!(warnings, []);
    let shop = secrets.endpoints.values().next().unwrap();
    assert_eq!((shop[0].secret.expose(), shop[0].retired), (CANARY, false));
    assert_eq!((shop[1].secret.expose(), shop[1].retired), ("whsec_test_old", true));
    assert_eq!(secrets.api_keys[0].secret.expose(), API.1);
    assert!(secrets.gate_key.is_none() && secrets.signing_keys.is_empty());
}

#[test]
fn a_file_must_hold_a_secret_and_nothing_else() {
    assert_eq!(about_file(CANARY, 0o400), []);
    one(&about_file("\n", 0o600), Level::Error, "is empty");
    one(&about_file(&format!("{CANARY}\n{CANARY}\n"), 0o600), Level::Error, "line breaks");
    one(&about_file(&format!(" {CANARY}"), 0o600), Level::Error, "space");
    one(&about_file(&"x".repeat(5000), 0o600), Level::Error, "too large");
    one(&about_file(CANARY, 0o666), Level::Error, "can be changed by everyone");
    one(&about_file(CANARY, 0o644), Level::Warning, "can be read by everyone");
}

#[test]
fn a_file_may_be_named_after_what_it_holds() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(&folder, "whsec_shop", CANARY, 0o600);
    let source = format!("{{ file = \"{}\" }}", path.display());
    assert_eq!(findings_with(&with_shop(&source), &[API]), []);
}

#[test]
fn a_folder_is_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let source = format!("{{ file = \"{}\" }}", folder.path().display());
    let found = findings_with(&with_shop(&source), &[API]);
    assert!(found.iter().any(Finding::is_error), "{}", page(&found));
}

#[test]
fn a_secret_must_be_of_the_deployments_mode() {
    assert_eq!(about_value("whsec_live_1", "mode = \"live\"\n"), []);
    one(&about_value("whsec_test_1", "mode = \"live\"\n"), Level::Error, "of test mode");
    one(&about_value("whsec_live_1", ""), Level::Warning, "of live mode");
    one(&about_value("0123456789", ""), Level::Warning, "does not begin with `whsec_`");
    one(&about_value("", ""), Level::Error, "is empty");
}

#[test]
fn a_key_of_0gates_must_be_secret_and_of_the_mode() {
    for key in ["sk_live_1", "pk_test_1"] {
        let text = format!("{}gate.key = {{ env = \"GATE\" }}\n", with_shop("{ env = \"SHOP\" }"));
        let found = findings_with(&text, &[API, ("SHOP", "whsec_1"), ("GATE", key)]);
        assert_eq!(found.len(), 1, "{}", page(&found));
        assert_eq!(found[0].key.as_deref(), Some("gate.key"));
        assert!(found[0].is_error());
    }
}

#[test]
fn two_endpoints_should_not_share_a_secret() {
    let text =
        format!("{}endpoints.b.secrets = [{{ env = \"B\" }}]\n", with_shop("{ env = \"A\" }"));
    let found = findings_with(&text, &[API, ("A", CANARY), ("B", CANARY)]);
    assert_eq!(found.len(), 1);
    assert!(found[0].message.contains("in common"));
}

/// Every way to get a configuration wrong that has a secret somewhere in it.
#[test]
fn no_secret_is_ever_said() {
    let folder = tempfile::tempdir().unwrap();
    let open = written(&folder, "open", &format!("{CANARY} {CANARY}"), 0o644);
    let files = [
        format!("endpoints.shop.secrets = [\"{CANARY}\"]"),
        format!("endpoints.shop.secrets = \"{CANARY}\""),
        format!("endpoints.shop.secret = \"{CANARY}\""),
        format!("endpoints.shop = \"{CANARY}\""),
        format!("endpoints.shop.secrets = [{{ value = \"{CANARY}\" }}]"),
        format!("endpoints.shop.secrets = [{{ file = \"{CANARY}\" }}]"),
        format!("endpoints.shop.secrets = [{{ env = \"{CANARY}\" }}]"),
        format!("endpoints.shop.secrets = [{{ {CANARY} = true }}]"),
        format!("endpoints.shop.secrets = [{{ file = \"{}\" }}]", open.display()),
        format!("endpoints.shop.secrets = [ 5, \"{CANARY}\" ] # {CANARY}"),
        "endpoints.shop.secrets = [{ env = \"SHOP\", retired = \"canary\" }]".to_owned(),
        "api.keys = [\"canary\", { env = \"SHOP\" }, 5]".to_owned(),
        "api.keys = [[\"canary\"]]".to_owned(),
        "api.key = \"canary\"\nmode = 5".to_owned(),
        "api = \"canary\"".to_owned(),
        "gate.key = \"canary\"".to_owned(),
        "signing.keys = [\"canary\"]".to_owned(),
        "redis.url = \"http://user:canary@redis\"".to_owned(),
        "redis.url = [\"redis://user:canary@redis\"]".to_owned(),
        "redis = \"redis://user:canary@redis\"".to_owned(),
        "gate.base_url = \"https://user:canary@gate\"".to_owned(),
        "kafka.properties = { \"sasl.password\" = [\"canary\"], \"group.id\" = \"canary\" }".into(),
        "kafka.brokers = \"user:canary@kafka:9092\"".to_owned(),
        format!("log.filter = 5\nlog.format = \"{CANARY}\""),
        format!("http.max_body = \"{CANARY}\"\nwebhook.tolerance = \"{CANARY}\""),
        format!("listen.public = \"{CANARY}\"\nkafka.topic_prefix = \"{CANARY} \""),
        "a = \"\"\"\ncanary\n\"\"\"".to_owned(),
        "api.keys = [\"canary".to_owned(),
        "api.keys = [canary]".to_owned(),
        "api.keys = [\"\"\"\ncanary\n\\q\"\"\"]".to_owned(),
        "api.keys \"canary\"".to_owned(),
        "canary".to_owned(),
        "a.b = 'canary' 'canary'".to_owned(),
        "x = 1\nx = \"canary\"".to_owned(),
    ];
    for text in &files {
        silent(text, &[("SHOP", "canary canary"), API]);
    }
    for name in [
        "TIDEGATE_API__KEYS",
        "TIDEGATE_API__KEYZ",
        "TIDEGATE_ENDPOINTS__SHOP",
        "TIDEGATE_ENDPOINTS__SHOP__SECRETS",
        "TIDEGATE_GATE__KEY",
        "TIDEGATE_GATE__KEY__VALUE",
        "TIDEGATE_REDIS__URL",
        "TIDEGATE_KAFKA__PROPERTIES",
        "TIDEGATE_PARTITIONS",
        "TIDEGATE_WEBHOOK__SECRET",
    ] {
        silent("", &[(name, "canary")]);
        silent("", &[(name, "[\"canary\"]")]);
        silent("", &[(name, "[\"canary")]);
    }
}

/// Wrong, and silent about it in every form in which it could be said.
#[track_caller]
fn silent(text: &str, environment: &[(&str, &str)]) {
    let document = document(text, environment);
    let found = config::check(&document, Purpose::Serve, |_, _| vec![]);
    assert!(!found.is_empty(), "nothing was found in {text}");
    let mut said = format!("{}\n{found:?}\n", page(&found));
    match Loaded::read(&document, Purpose::Inspect) {
        Ok(loaded) => said.push_str(&format!("{:?} {:?}", loaded.config, loaded.warnings)),
        Err(errors) => said.push_str(&format!("{errors} {errors:?}")),
    }
    assert!(!said.contains("canary"), "{text}\n{environment:?}\n{said}");
}

#[test]
fn what_holds_secrets_does_not_print_them() {
    assert_eq!(format!("{:?}", Secret::new("canary")), "Secret(***)");
    let text = format!(
        "{}redis.url = \"redis://u:canary@r\"\n[kafka.properties]\n\"sasl.password\" = \"canary\"\n",
        with_shop("{ env = \"SHOP\" }")
    );
    let document = document(&text, &[API, ("SHOP", CANARY)]);
    let loaded =
        Loaded::read(&document, Purpose::Serve).unwrap_or_else(|errors| panic!("{errors}"));
    let (secrets, _) = loaded.secrets(&document).unwrap();
    let said = format!("{:?} {secrets:?}", loaded.config);
    assert!(!said.contains("canary"), "{said}");
    assert_eq!(loaded.config.redis.url.unwrap().expose(), "redis://u:canary@r");
    let Property::Written(written) = &loaded.config.kafka.properties["sasl.password"] else {
        panic!("it was written");
    };
    assert_eq!(written.expose(), "canary");
}

#[test]
fn a_missing_file_is_told_by_its_name() {
    let path = PathBuf::from("/nonexistent/tidegate.toml");
    let errors = Document::open(Some(&path), []).err().unwrap();
    assert!(errors.to_string().contains("/nonexistent/tidegate.toml"), "{errors}");
}
