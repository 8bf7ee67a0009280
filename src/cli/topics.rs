//! `tidegate topics`: the topics of a cluster, made and looked over.

use super::serve::kafka;
use super::{Failure, Output, exit, unless_closed};
use crate::adapters::kafka::{self, Deviation, KafkaOptions, MayNotCommit, TopicsError};
use crate::config::{Config, Document, Loaded, Purpose, ServiceSecrets};
use serde_json::json;
use std::io::Write;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  tidegate topics init --config tidegate.toml --partitions 12 --replication-factor 3
  tidegate topics verify --config tidegate.toml
";

const EXIT_CODES: &str = "\
Exit codes:
  0   the topics are as they must be
  1   `verify` found a topic that is not, or may not commit
  69  the brokers do not answer, or refuse
  78  the configuration cannot be used, or a topic is missing";

/// Make the topics of a cluster, or look whether they are as they must be.
#[derive(Clone, Debug, clap::Args)]
#[command(before_long_help = EXAMPLES, after_long_help = EXIT_CODES)]
pub struct TopicsArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum What {
    /// Make those that are missing, and leave the others as they are.
    #[command(before_long_help = "\
Examples:
  tidegate topics init --config tidegate.toml --partitions 12
  tidegate topics init --config trial.toml --partitions 3 --replication-factor 1
  tidegate topics init --config admin.toml --partitions 12 --allow User:tidegate
")]
    Init {
        #[command(flatten)]
        of: Of,
        /// Partitions of each topic: for ever, so rather more than fewer.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
        partitions: u32,
        /// Copies of each record.
        #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(i32).range(1..=9))]
        replication_factor: i32,
        /// Allow this user of the brokers all that a process needs.
        #[arg(long, value_name = "PRINCIPAL")]
        allow: Option<String>,
    },
    /// Tell every way in which a topic is not as it must be, and what comes of it.
    #[command(before_long_help = "\
Examples:
  tidegate topics verify --config tidegate.toml
  tidegate topics verify --config tidegate.toml -o json | jq '.deviations[].topic'
")]
    Verify {
        #[command(flatten)]
        of: Of,
        /// How to answer.
        #[arg(short, long, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
}

#[derive(Clone, Debug, clap::Args)]
struct Of {
    /// The configuration that names the brokers and the prefix; without it the environment alone is
    /// read.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub fn run(args: &TopicsArgs, out: &mut impl Write) -> Result<u8, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(exit::INTERNAL, error, ""))?;
    match &args.what {
        What::Init { of, partitions, replication_factor, allow } => {
            let options = KafkaOptions { partitions: *partitions, ..options(of)? };
            let made = runtime.block_on(kafka::create(&options, *replication_factor));
            let made = made.map_err(|error| at(&options, error))?;
            let told = if made.is_empty() {
                writeln!(out, "every topic is there already; `topics verify` looks them over")
            } else {
                made.iter().try_for_each(|topic| writeln!(out, "made {topic}"))
            };
            unless_closed(told).map_err(|error| Failure::answer(&error))?;
            if let Some(principal) = allow {
                let allowed = runtime.block_on(kafka::allow(&options, principal));
                let mut allowed = allowed.map_err(|error| at(&options, error))?.into_iter();
                let told = allowed.try_for_each(|right| writeln!(out, "{principal}: {right}"));
                unless_closed(told).map_err(|error| Failure::answer(&error))?;
            }
            Ok(exit::OK)
        }
        What::Verify { of, output } => {
            let options = options(of)?;
            let found = runtime.block_on(kafka::verify(&options));
            let found = found.map_err(|error| at(&options, error))?;
            let denied = kafka::may_commit(&options).err();
            let denied = denied.map(|refused| commits_denied(&options, &refused));
            let told = tell(&found, denied.as_deref(), *output, out);
            unless_closed(told).map_err(|error| Failure::answer(&error))?;
            let well = found.is_empty() && denied.is_none();
            Ok(if well { exit::OK } else { exit::FOUND })
        }
    }
}

/// Which brokers it was that did not do it.
/// The same, with as many partitions as the topics have.
pub(super) async fn with_partitions(options: KafkaOptions) -> Result<KafkaOptions, Failure> {
    let asked = options.clone();
    kafka::partitions(options).await.map_err(|error| at(&asked, error))
}

fn at(options: &KafkaOptions, error: TopicsError) -> Failure {
    let failure = Failure::from(error);
    Failure { what: format!("{} (asked {})", failure.what, options.brokers), ..failure }
}

pub(super) const ALLOW_WRITE: &str = "allow this user to Write there: `tidegate topics init \
                                      --allow User:NAME`, run as somebody who may";

/// What a process without the right to its transactional ids could not do.
pub(super) fn commits_denied(options: &KafkaOptions, refused: &MayNotCommit) -> String {
    format!(
        "under transactional ids that begin with {}- nothing can be fenced and nothing committed: {}",
        options.topic_prefix, refused.why
    )
}

/// `denied` says why nothing could be committed under our names.
fn tell(
    found: &[Deviation],
    denied: Option<&str>,
    output: Output,
    out: &mut impl Write,
) -> std::io::Result<()> {
    if output == Output::Json {
        let shown: Vec<_> = found
            .iter()
            .map(|it| {
                json!({
                    "topic": it.topic, "what": it.what, "is": it.is, "must_be": it.must_be,
                    "why": it.why,
                })
            })
            .collect();
        return writeln!(
            out,
            "{:#}",
            json!({
                "as_they_must_be": found.is_empty() && denied.is_none(),
                "deviations": shown,
                "commits_denied": denied,
            })
        );
    }
    if found.is_empty() && denied.is_none() {
        return writeln!(out, "the topics are as they must be");
    }
    if let Some(denied) = denied {
        writeln!(out, "{denied}")?;
    }
    for Deviation { topic, what, is, must_be, why } in found {
        writeln!(out, "{topic}: {what} is {is} and must be {must_be}: {why}")?;
    }
    Ok(())
}

fn options(of: &Of) -> Result<KafkaOptions, Failure> {
    let document = Document::open(of.config.as_deref(), crate::config::environment())?;
    let loaded = Loaded::read(&document, Purpose::Inspect)?;
    brokers_of(&loaded.config, &loaded.service_secrets(&document)?)
}

/// The brokers of a configuration, for whoever looks at them from outside.
pub(super) fn brokers_of(
    config: &Config,
    services: &ServiceSecrets,
) -> Result<KafkaOptions, Failure> {
    if config.kafka.brokers.is_empty() {
        let fix = "name some: kafka.brokers = \"kafka-1:9092,kafka-2:9092\"";
        return Err(Failure::new(exit::CONFIG, "`kafka.brokers` is not set", fix));
    }
    let options = kafka(config, services, "outside".to_owned());
    match options.refusal() {
        None => Ok(options),
        Some(refusal) => {
            let fix = "`tidegate check --config FILE` says where, and what to do";
            Err(Failure::new(exit::CONFIG, refusal, fix))
        }
    }
}
