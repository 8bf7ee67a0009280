//! `tidegate doctor`: looks at everything that a process needs, as it would find it.

use super::check::not_built_yet;
use super::serve::{every_secret, redis as redis_of};
use super::topics::{ALLOW_WRITE, brokers_of, commits_denied};
use super::{Failure, Output, exit, unless_closed};
use crate::adapters::kafka::{self, Deviation, KafkaOptions};
use crate::adapters::redis::{self, NO_EVICTION, RedisHealth, RedisOptions};
use crate::cli::keys::kept_signing_keys;
use crate::config::{self, Config, Document, Engine, Loaded, Purpose, Secrets, ServiceSecrets};
use crate::ports::{Clock, SystemClock};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  tidegate doctor --config tidegate.toml
  tidegate doctor --config tidegate.toml -o json | jq '.checks[] | select(.ok | not)'
";

const EXIT_CODES: &str = "\
Exit codes:
  0   everything is as a process needs it
  1   something is not; each finding says what to do
  2   the command line makes no sense, or the answer could not be written";

/// Two clocks further apart than this make times in the outputs hard to read.
const CLOCK_SKEW_SECONDS: i64 = 2;

/// Look at all that a process needs: configuration, secrets, brokers, topics, rights, Redis, clocks.
///
/// Reads and asks; it changes nothing and takes nothing over.
#[derive(Clone, Debug, clap::Args)]
#[command(before_long_help = EXAMPLES, after_long_help = EXIT_CODES)]
pub struct DoctorArgs {
    /// The configuration file; without it only the environment is read.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// How to answer.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

/// One thing that was looked at.
struct Looked {
    what: &'static str,
    found: String,
    /// What to do, where it is not well.
    fix: Option<String>,
}

#[derive(Default)]
struct Looks(Vec<Looked>);

impl Looks {
    fn well(&mut self, what: &'static str, found: impl Into<String>) {
        self.0.push(Looked { what, found: found.into(), fix: None });
    }

    fn ill(&mut self, what: &'static str, found: impl Into<String>, fix: impl Into<String>) {
        self.0.push(Looked { what, found: found.into(), fix: Some(fix.into()) });
    }
}

/// Answers on `out` and returns the exit code.
pub fn run(
    args: &DoctorArgs,
    environment: impl IntoIterator<Item = (String, String)>,
    out: &mut impl Write,
) -> io::Result<u8> {
    let mut looks = Looks::default();
    examine(args, environment.into_iter().collect(), &mut looks);
    unless_closed(match args.output {
        Output::Text => text(&looks, out),
        Output::Json => writeln!(out, "{:#}", as_json(&looks)),
    })?;
    let well = looks.0.iter().all(|looked| looked.fix.is_none());
    Ok(if well { exit::OK } else { exit::FOUND })
}

fn examine(args: &DoctorArgs, environment: BTreeMap<String, String>, looks: &mut Looks) {
    let document = match Document::open(args.config.as_deref(), environment.clone()) {
        Ok(document) => document,
        Err(error) => return looks.ill("configuration", error.to_string(), "mend it first"),
    };
    let mut errors = 0;
    for finding in config::check(&document, Purpose::Serve, not_built_yet) {
        if finding.is_error() {
            errors += 1;
            looks.ill("configuration", finding.message.clone(), finding.fix.clone());
        }
    }
    if errors == 0 {
        looks.well("configuration", "can be used");
    }
    let Ok(Loaded { config, .. }) = Loaded::read(&document, Purpose::Inspect) else { return };
    let (secrets, _told_above) = Secrets::resolve(&config, |name| environment.get(name).cloned());
    of_secrets(&config, &secrets, looks);
    match config.engine {
        Engine::Embedded => looks.well("engine", "embedded: it needs no services"),
        Engine::Cluster => of_services(&config, &secrets.services, looks),
    }
}

fn of_secrets(config: &Config, secrets: &Secrets, looks: &mut Looks) {
    let endpoints = every_secret(secrets).len();
    looks.well("secrets", format!("{endpoints} endpoints, {} API keys", secrets.api_keys.len()));
    if secrets.signing_keys.is_empty() {
        match config.engine {
            Engine::Embedded => looks.well("signing keys", "kept in the data folder"),
            Engine::Cluster => looks.ill(
                "signing keys",
                "none is configured, and every process needs the same",
                "name them under [signing]",
            ),
        }
        return;
    }
    match kept_signing_keys(&config.data_dir, &secrets.signing_keys) {
        Ok(_) => looks.well("signing keys", format!("{} usable", secrets.signing_keys.len())),
        Err(error) => looks.ill("signing keys", error.to_string(), "mend [signing]"),
    }
}

fn of_services(config: &Config, services: &ServiceSecrets, looks: &mut Looks) {
    match brokers_of(config, services) {
        Ok(options) => of_brokers(&options, looks),
        Err(failure) => looks.ill("brokers", failure.what, failure.fix),
    }
    match redis_of(config, services) {
        Ok(options) => of_redis(&options, looks),
        Err(_) => looks.ill("Redis", "`redis.url` is not set", "set it: redis://host:6379"),
    }
}

fn of_brokers(options: &KafkaOptions, looks: &mut Looks) {
    match kafka::brokers(options) {
        Ok(count) => looks.well("brokers", format!("{count} at {}", options.brokers)),
        Err(error) => {
            let Failure { what, fix, .. } = error.into();
            return looks.ill("brokers", format!("{}: {what}", options.brokers), fix);
        }
    }
    match waited_for(kafka::verify(options)) {
        Ok(found) if found.is_empty() => looks.well("topics", "as they must be"),
        Ok(found) => {
            for Deviation { topic, what, is, must_be, why } in found {
                let fix = format!("{what} must be {must_be}: {why}");
                looks.ill("topics", format!("{topic}: {what} is {is}"), fix);
            }
        }
        Err(error) => {
            let Failure { what, fix, .. } = error.into();
            looks.ill("topics", what, fix);
        }
    }
    match kafka::may_commit(options) {
        Ok(()) => looks.well("transactions", "may be written under this process's names"),
        Err(refused) => {
            looks.ill("transactions", commits_denied(options, &refused), ALLOW_WRITE);
        }
    }
}

fn of_redis(options: &RedisOptions, looks: &mut Looks) {
    let health = match waited_for(redis::examine(options)) {
        Ok(health) => health,
        Err(error) => return looks.ill("Redis", error.to_string(), error.fix()),
    };
    let RedisHealth { at, policy, evicted, role, seconds, .. } = health;
    if policy == NO_EVICTION {
        looks.well("Redis", format!("{at} answers, and throws nothing away"));
    } else {
        let fix = "CONFIG SET maxmemory-policy noeviction, and set it in its file";
        looks.ill("Redis", format!("maxmemory-policy is {policy}"), fix);
    }
    if evicted > 0 {
        let fix = "give it memory; what was thrown away is shown to it again when it is asked for";
        looks.ill("Redis", format!("it has thrown {evicted} keys away"), fix);
    }
    if role != "master" {
        looks.ill("Redis", format!("it is a {role}, which takes no writes"), "name its master");
    }
    let apart = (SystemClock.now().seconds() - seconds).abs();
    if apart > CLOCK_SKEW_SECONDS {
        let fix = "let both follow the same time, as with chrony";
        looks.ill("clock", format!("this machine and Redis are {apart} s apart"), fix);
    } else {
        looks.well("clock", "agrees with that of Redis");
    }
}

fn waited_for<T>(asked: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap_or_else(|error| panic!("no runtime: {error}"))
        .block_on(asked)
}

fn text(looks: &Looks, out: &mut impl Write) -> io::Result<()> {
    for Looked { what, found, fix } in &looks.0 {
        match fix {
            None => writeln!(out, "ok    {what}: {found}")?,
            Some(fix) => writeln!(out, "FAIL  {what}: {found}\n      do: {fix}")?,
        }
    }
    Ok(())
}

fn as_json(looks: &Looks) -> Value {
    let checks: Vec<Value> = looks
        .0
        .iter()
        .map(|Looked { what, found, fix }| {
            json!({ "what": what, "ok": fix.is_none(), "found": found, "fix": fix })
        })
        .collect();
    json!({ "ok": looks.0.iter().all(|looked| looked.fix.is_none()), "checks": checks })
}
