//! The commands over the configuration, as a shell sees them.

use super::{SOUND, SOUND_SECRETS};
use clap::{CommandFactory, Parser};
use serde_json::Value;
use std::fs;
use tidegate::cli::{Cli, Command, check, config_command};
use tidegate::config::{EXAMPLE, schema};

/// What a command line answers, with the environment that a sound configuration needs.
fn run(line: &[&str], more: &[(&str, &str)]) -> (u8, String) {
    let cli = Cli::try_parse_from(line).unwrap();
    let mut out = vec![];
    let environment = SOUND_SECRETS.iter().chain(more);
    let environment = environment.map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    let code = match &cli.command {
        Command::Check(args) => check::run(args, environment, &mut out),
        Command::Config(args) => config_command::run(args, &mut out),
        other => panic!("not a command over the configuration: {other:?}"),
    };
    (code.unwrap(), String::from_utf8(out).unwrap())
}

fn check(text: &str, more: &[&str], environment: &[(&str, &str)]) -> (u8, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tidegate.toml");
    fs::write(&path, text).unwrap();
    let mut line = vec!["tidegate", "check", "--config", path.to_str().unwrap()];
    line.extend(more);
    let (code, answer) = run(&line, environment);
    (code, answer.replace(path.to_str().unwrap(), "tidegate.toml"))
}

#[test]
fn a_sound_configuration_is_said_to_be_usable() {
    let (code, answer) = check(SOUND, &[], &[]);
    assert_eq!(code, 0);
    assert_eq!(answer, "the configuration can be used: no errors, no warnings\n");
}

#[test]
fn warnings_do_not_fail_a_check() {
    let (code, answer) = check(SOUND, &[], &[("TIDEGATE_LISTEN__OPS", "0.0.0.0:8482")]);
    assert_eq!(code, 0, "{answer}");
    assert!(answer.ends_with("can be used: no errors, 1 warning\n"), "{answer}");
}

#[test]
fn an_error_has_the_exit_code_of_configurations() {
    let (code, answer) = check("engin = 1", &[], &[]);
    assert_eq!(code, 78);
    assert!(answer.contains("did you mean `engine`?"), "{answer}");
}

#[test]
fn a_program_is_told_the_place_in_parts() {
    let (code, answer) =
        check(&format!("{SOUND}lanes = 0\n"), &["-o", "json"], &[("TIDEGATE_MODE", "tset")]);
    assert_eq!(code, 78);
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["usable"], false);
    assert_eq!(answer["errors"], 2);
    let findings = answer["findings"].as_array().unwrap();
    assert_eq!(findings[0]["key"], "lanes");
    assert_eq!(findings[0]["file"], "tidegate.toml");
    assert_eq!((&findings[0]["line"], &findings[0]["column"]), (&3.into(), &9.into()));
    assert_eq!(findings[1]["variable"], "TIDEGATE_MODE");
    assert_eq!(findings[1]["fix"], "did you mean \"test\"?");
}

#[test]
fn a_file_that_is_not_there_is_a_configuration_that_cannot_be_used() {
    let (code, answer) = run(&["tidegate", "check", "--config", "/nonexistent.toml"], &[]);
    assert_eq!(code, 78);
    assert!(answer.contains("error: /nonexistent.toml does not exist\n"), "{answer}");
    let (_, answer) = run(&["tidegate", "check", "--config", "nope.toml"], &[]);
    let said = "nope.toml does not exist (relative to the working directory)";
    assert!(answer.contains(said), "{answer}");
}

#[test]
fn processes_of_a_cluster_need_the_same_signing_keys() {
    let text = format!(
        "engine = \"cluster\"\nkafka.brokers = \"k:9092\"\nredis.url = \"redis://r\"\n{SOUND}"
    );
    let (code, answer) = check(&text, &[], &[]);
    assert_eq!(code, 78);
    let said = "error: the cluster engine needs `signing.keys`\n";
    assert!(answer.contains(said), "{answer}");
}

/// A cluster that can be checked, with some properties of librdkafka.
fn check_properties(properties: &str) -> (u8, String) {
    let text = format!(
        "engine = \"cluster\"\nkafka.brokers = \"k:9092\"\nredis.url = \"redis://r\"\n\
         signing.keys = [{{ env = \"API_KEY\" }}]\n{SOUND}[kafka.properties]\n{properties}"
    );
    check(&text, &[], &[("PASSWORD", "canary-of-a-password")])
}

#[test]
fn tls_to_the_brokers_is_taken_or_refused_with_the_build_that_has_it() {
    let user = "\"sasl.username\" = \"u\"\n\"sasl.password\" = { env = \"PASSWORD\" }\n";
    for asks in [
        "\"security.protocol\" = \"SASL_SSL\"\n\"sasl.mechanism\" = \"PLAIN\"\n",
        "\"security.protocol\" = \"sasl_plaintext\"\n\"sasl.mechanism\" = \"SCRAM-SHA-512\"\n",
    ] {
        let (code, answer) = check_properties(&format!("{asks}{user}"));
        if cfg!(feature = "kafka-tls") {
            assert_eq!(code, 0, "{answer}");
        } else {
            assert_eq!(code, 78, "{answer}");
            assert!(answer.contains("--features kafka-tls"), "{answer}");
        }
        assert!(!answer.contains("canary"), "{answer}");
    }
}

#[test]
fn what_librdkafka_refuses_is_said_without_the_value() {
    let (code, answer) = check_properties("\"security.protocol\" = { env = \"PASSWORD\" }\n");
    assert_eq!(code, 78, "{answer}");
    assert!(answer.contains("security.protocol") && !answer.contains("canary"), "{answer}");
}

#[test]
fn an_address_or_a_file_that_redis_cannot_use_is_said_before_a_start() {
    let cluster = "engine = \"cluster\"\nkafka.brokers = \"k:9092\"\n\
                   signing.keys = [{ env = \"API_KEY\" }]\n";
    for (redis, key) in [
        ("redis.url = \"redis+sentinel://:canary@one:26379\"\n", "redis.url"),
        ("redis.url = \"rediss://r:1\"\nredis.ca_file = \"Cargo.toml\"\n", "redis.ca_file"),
    ] {
        let (code, answer) = check(&format!("{cluster}{redis}{SOUND}"), &["-o", "json"], &[]);
        assert_eq!(code, 78, "{answer}");
        let told: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!((&told["errors"], &told["findings"][0]["key"]), (&1.into(), &key.into()));
        assert!(!answer.contains("canary"), "{answer}");
    }
}

#[test]
fn the_binary_holds_the_example_and_the_schema() {
    assert_eq!(run(&["tidegate", "config", "example"], &[]), (0, EXAMPLE.to_owned()));
    assert_eq!(run(&["tidegate", "config", "schema"], &[]), (0, schema::text()));
}

#[test]
fn every_help_begins_with_examples() {
    let mut root = Cli::command();
    root.build();
    for line in [vec!["check"], vec!["config"], vec!["config", "example"], vec!["config", "schema"]]
    {
        let mut command = &mut root;
        for name in line {
            command = command.find_subcommand_mut(name).unwrap();
        }
        let help = command.render_long_help().to_string();
        assert!(help.starts_with("Examples:\n  tidegate "), "{help}");
    }
}
