//! `tidegate check`: everything that is wrong with a configuration, before anything starts.

use super::serve::{kafka, redis};
use super::{Output, exit, logging, unless_closed};
use crate::adapters::kafka::Refusal;
use crate::adapters::redis::RedisError;
use crate::attempt::{GateClient, UnknownSession};
use crate::config::{
    self, Config, Document, Engine, Finding, Level, Problem, Property, Purpose, Secrets,
    ServiceSecrets, Where,
};
use serde_json::{Value, json};
use std::io::{self, Write};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  tidegate check --config tidegate.toml
  tidegate check --config tidegate.toml -o json | jq '.findings[].message'
  TIDEGATE_MODE=live tidegate check --config tidegate.toml
";

const EXIT_CODES: &str = "\
Exit codes:
  0   it can be used; there may be warnings
  2   the command line makes no sense, or the answer could not be written
  78  it cannot be used";

/// Tell all that is wrong with a configuration, without starting anything.
///
/// Reads the file and the environment as `serve` does, looks for the secrets that they name, and
/// shows each finding with its place and what to do about it.
#[derive(Clone, Debug, clap::Args)]
#[command(before_long_help = EXAMPLES, after_long_help = EXIT_CODES)]
pub struct CheckArgs {
    /// The configuration file; without it only the environment is read.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// How to answer.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

/// Answers on `out` and returns the exit code.
pub fn run(
    args: &CheckArgs,
    environment: impl IntoIterator<Item = (String, String)>,
    out: &mut impl Write,
) -> io::Result<u8> {
    let findings = match Document::open(args.config.as_deref(), environment) {
        Ok(document) => config::check(&document, Purpose::Serve, not_built_yet),
        Err(unreadable) => unreadable.findings().to_vec(),
    };
    unless_closed(match args.output {
        Output::Text => text(&findings, out),
        Output::Json => writeln!(out, "{:#}", as_json(&findings)),
    })?;
    Ok(if findings.iter().any(Finding::is_error) { exit::CONFIG } else { exit::OK })
}

/// What a configuration asks for that this build cannot do. Taking it in silence would be worse:
/// with a gate key, completions would wait for a reading that nobody makes.
pub(super) fn not_built_yet(config: &Config, secrets: &Secrets) -> Vec<Problem> {
    let mut problems = vec![];
    let mut missing = |asked: bool, key: &'static str, what: &str, fix: &str| {
        if asked {
            let message = format!("{what} is not available in this build yet");
            problems.push(Problem::error(key, message, fix.to_owned()));
        }
    };
    let gate = config.policy.gate == GateClient::Present;
    missing(gate, "gate.key", "asking 0Gate", "leave `gate.key` out");
    let parks = config.policy.unknown_session == UnknownSession::Park;
    missing(
        parks && !gate,
        "policy.unknown_session",
        "attaching a parked session",
        "use unknown_session = \"adopt\"",
    );
    let forgets = config.embedded.retention.is_some();
    missing(forgets, "embedded.retention", "forgetting", "leave it out: all is kept");
    if config.data_dir.is_file() {
        let message = format!("{} is a file, and `data_dir` a folder", config.data_dir.display());
        problems.push(Problem::error("data_dir", message, "name the folder that is, or is to be"));
    }
    if config.engine == Engine::Cluster {
        problems.extend(services(config, &secrets.services));
    }
    if let Err(bad) = logging::filter(&config.log) {
        problems.push(Problem::error("log.filter", bad.what, bad.fix));
    }
    problems
}

/// What the clients of the brokers and of Redis would refuse. Asks nobody.
fn services(config: &Config, secrets: &ServiceSecrets) -> Vec<Problem> {
    let mut problems = vec![];
    // One that could not be fetched has been told of.
    let fetched = |(name, property): (&String, &Property)| match property {
        Property::Written(_) => true,
        Property::Kept(_) => secrets.kafka_properties.contains_key(name),
    };
    let whole = config.kafka.properties.iter().all(fetched);
    if let Some(refusal) = whole.then(|| kafka(config, secrets, String::new()).refusal()).flatten()
    {
        let (key, fix) = match &refusal {
            Refusal::NeedsTls { property } => (
                format!("kafka.properties.{property}"),
                "use a build with the feature `kafka-tls`: cargo build --release --features \
                 kafka-tls",
            ),
            Refusal::Librdkafka(_) => (
                "kafka.properties".to_owned(),
                "mend what it names; the documentation of librdkafka has every property",
            ),
        };
        problems.push(Problem::error(key, refusal.to_string(), fix));
    }
    if let Some(refusal) = redis(config, secrets).ok().and_then(|options| options.refusal()) {
        let of_file = matches!(refusal, RedisError::Authority { .. });
        let key = if of_file { "redis.ca_file" } else { "redis.url" };
        problems.push(Problem::error(key, refusal.to_string(), refusal.fix()));
    }
    problems
}

fn text(findings: &[Finding], out: &mut impl Write) -> io::Result<()> {
    for finding in findings {
        writeln!(out, "{finding}")?;
    }
    let (errors, warnings) = (count(findings, Level::Error), count(findings, Level::Warning));
    let verdict = if errors > 0 { "cannot be used" } else { "can be used" };
    writeln!(
        out,
        "the configuration {verdict}: {}, {}",
        counted(errors, "error"),
        counted(warnings, "warning")
    )
}

fn counted(count: usize, word: &str) -> String {
    match count {
        0 => format!("no {word}s"),
        1 => format!("1 {word}"),
        many => format!("{many} {word}s"),
    }
}

fn count(findings: &[Finding], level: Level) -> usize {
    findings.iter().filter(|finding| finding.level == level).count()
}

fn as_json(findings: &[Finding]) -> Value {
    json!({
        "usable": count(findings, Level::Error) == 0,
        "errors": count(findings, Level::Error),
        "warnings": count(findings, Level::Warning),
        "findings": findings.iter().map(finding_json).collect::<Vec<_>>(),
    })
}

fn finding_json(finding: &Finding) -> Value {
    let (mut file, mut line, mut column, mut variable) = (None, None, None, None);
    match &finding.at {
        Where::Nowhere => {}
        Where::File(name) => file = Some(name),
        Where::Variable(name) => variable = Some(name),
        Where::Line(quote) => {
            (file, line, column) = (Some(&quote.file), Some(quote.line), Some(quote.column));
        }
    }
    json!({
        "level": finding.level.word(),
        "key": finding.key,
        "message": finding.message,
        "fix": finding.fix,
        "file": file,
        "line": line,
        "column": column,
        "variable": variable,
    })
}
