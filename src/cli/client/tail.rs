//! `tidegate tail`: an output, line by line, as a consumer reads it.

use super::{ApiArgs, encoded};
use crate::adapters::kafka::KafkaFeeds;
use crate::cli::topics::{brokers_of, with_partitions};
use crate::cli::{Failure, Output, exit};
use crate::config::{Document, Engine, Loaded, Purpose};
use crate::http::FeedLine;
use crate::ports::{Feed, FeedError, FeedReader, Feeds};
use serde_json::Value;
use std::fmt::Display;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  tidegate tail fulfillments --follow
  tidegate tail transitions --limit 10 -o json | jq .data
  tidegate tail fulfillments --after POSITION     # go on after that line
  tidegate tail fulfillments --config tidegate.toml     # straight from a cluster's topics
";

/// Records read from topics at a time.
const RECORDS_MAX: u64 = 256;

/// Read an output: fulfillments, transitions or metrics.
#[derive(Clone, Debug, clap::Args)]
#[command(before_long_help = EXAMPLES, after_long_help = "\
Exit codes:
  0   the end of what is committed, or the limit, was reached
  2   there is no such position
  69  the process or the brokers do not answer, or went away
  77  the key was not accepted
  78  the configuration cannot be used, or a topic is missing")]
pub struct TailArgs {
    #[arg(value_enum)]
    pub feed: TailFeed,
    /// Begin after the line with this position.
    #[arg(long, value_name = "POSITION")]
    pub after: Option<String>,
    /// Go on as more is committed.
    #[arg(long, short)]
    pub follow: bool,
    /// End after this many lines.
    #[arg(long)]
    pub limit: Option<u64>,
    /// Read committed records straight from the topics of the cluster that this configuration names;
    /// no process need run.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["data", "url"])]
    #[arg(help_heading = "Where it runs")]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    pub api: ApiArgs,
    /// How to answer: short lines, or the lines as they are.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum TailFeed {
    /// What the ledger acts on.
    Fulfillments,
    /// Every change of state.
    Transitions,
    /// Outcomes and counts.
    Metrics,
}

impl From<TailFeed> for Feed {
    fn from(feed: TailFeed) -> Self {
        match feed {
            TailFeed::Fulfillments => Self::Fulfillments,
            TailFeed::Transitions => Self::Transitions,
            TailFeed::Metrics => Self::Metrics,
        }
    }
}

/// Answers on `out` and returns the exit code.
pub fn run(args: &TailArgs, out: &mut impl Write) -> Result<u8, Failure> {
    match &args.config {
        Some(file) => from_topics(args, file, out),
        None => from_process(args, out),
    }
}

fn no_such_position(args: &TailArgs) -> Failure {
    let what = format!(
        "the feed {} has no position `{}`",
        Feed::from(args.feed).word(),
        args.after.as_deref().unwrap_or_default()
    );
    let fix = "take the `position` of one of its lines (`-o json` shows it), or leave --after out to \
               start from the beginning";
    Failure::usage(what, fix)
}

fn from_process(args: &TailArgs, out: &mut impl Write) -> Result<u8, Failure> {
    let limit = args.limit.map(|limit| format!("&limit={limit}")).unwrap_or_default();
    let path = format!(
        "/v1/feeds/{}?after={}&follow={}{limit}",
        Feed::from(args.feed).word(),
        encoded(args.after.as_deref().unwrap_or_default()),
        args.follow
    );
    let known = |code: &str| (code == "bad_position").then(|| no_such_position(args));
    let answer = args.api.open()?.get_or(&path, known)?;
    let answer =
        answer.ok_or_else(|| Failure::new(exit::UNAVAILABLE, "the feed is not there", ""))?;
    let mut read = Read::begin(args);
    for line in BufReader::new(answer.into_body().into_reader()).lines() {
        let line = line.map_err(|error| read.broke_off(&error))?;
        read.tell(&line, out)?;
    }
    // Whoever follows has asked for no end but the limit.
    if args.follow && args.limit != Some(read.lines) {
        return Err(read.ended());
    }
    Ok(exit::OK)
}

fn from_topics(args: &TailArgs, file: &Path, out: &mut impl Write) -> Result<u8, Failure> {
    let document = Document::open(Some(file), crate::config::environment())?;
    let loaded = Loaded::read(&document, Purpose::Inspect)?;
    let config = &loaded.config;
    if config.engine != Engine::Cluster {
        let what = format!("{} is of the embedded engine, which has no topics", file.display());
        let fix = "read it from its process: leave --config out, and name --data DIR or --url URL";
        return Err(Failure::usage(what, fix));
    }
    let asked = brokers_of(config, &loaded.service_secrets(&document)?)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(exit::INTERNAL, error, ""))?;
    runtime.block_on(async {
        let feeds = KafkaFeeds::new(with_partitions(asked).await?);
        let after = args.after.as_deref().unwrap_or_default();
        let reader = feeds.open(args.feed.into(), after).await.map_err(|error| match error {
            FeedError::NoSuchPosition => no_such_position(args),
            error @ FeedError::Unreadable(_) => Read::begin(args).broke_off(&error),
        })?;
        follow(args, reader, out).await
    })
}

async fn follow(
    args: &TailArgs,
    mut reader: impl FeedReader,
    out: &mut impl Write,
) -> Result<u8, Failure> {
    let mut read = Read::begin(args);
    loop {
        let left = args.limit.map_or(u64::MAX, |limit| limit.saturating_sub(read.lines));
        if left == 0 {
            return Ok(exit::OK);
        }
        let most = left.min(RECORDS_MAX) as usize;
        let records = reader.read(most).await.map_err(|error| read.broke_off(&error))?;
        for record in &records {
            let line = FeedLine::of(args.feed.into(), record)
                .and_then(|line| serde_json::to_string(&line).ok())
                .ok_or_else(|| read.unreadable(&record.position))?;
            read.tell(&line, out)?;
        }
        if records.is_empty() && !args.follow {
            return Ok(exit::OK);
        }
        if records.is_empty() && !reader.grown().await {
            return Err(read.ended());
        }
    }
}

/// How far the reader has come, for telling where to go on.
struct Read {
    output: Output,
    /// What is read from, and has to be there again before one can go on.
    source: &'static str,
    lines: u64,
    last: Option<String>,
}

impl Read {
    fn begin(args: &TailArgs) -> Self {
        let source = if args.config.is_some() { "the brokers" } else { "the process" };
        let last = args.after.clone().filter(|after| !after.is_empty());
        Self { output: args.output, source, lines: 0, last }
    }

    fn tell(&mut self, line: &str, out: &mut impl Write) -> Result<(), Failure> {
        let written = match self.output {
            Output::Json => writeln!(out, "{line}"),
            Output::Text => short(line, out),
        };
        written.and_then(|()| out.flush()).map_err(|error| Failure::answer(&error))?;
        self.note(line);
        Ok(())
    }

    fn note(&mut self, line: &str) {
        self.lines += 1;
        let record = serde_json::from_str::<Value>(line).unwrap_or(Value::Null);
        if let Some(position) = record["position"].as_str() {
            self.last = Some(position.to_owned());
        }
    }

    fn ended(&self) -> Failure {
        Failure::new(exit::UNAVAILABLE, format!("{} ended the feed", self.source), self.go_on())
    }

    fn broke_off(&self, error: &impl Display) -> Failure {
        Failure::new(exit::UNAVAILABLE, format!("the feed broke off: {error}"), self.go_on())
    }

    fn unreadable(&self, position: &str) -> Failure {
        let what = format!("the record at {position} is none of Tidegate's");
        Failure::new(exit::DATA, what, format!("go on behind it with --after {position}"))
    }

    fn go_on(&self) -> String {
        let source = self.source;
        match &self.last {
            Some(position) => {
                format!("once {source} can be reached again, go on with --after {position}")
            }
            None => format!(
                "once {source} can be reached again, ask the same again: no line had come yet"
            ),
        }
    }
}

/// One line for people: when, who, and what it comes to.
fn short(line: &str, out: &mut impl Write) -> io::Result<()> {
    let Ok(record) = serde_json::from_str::<Value>(line) else { return writeln!(out, "{line}") };
    let said = |value: &Value| value.as_str().map(str::to_owned).unwrap_or_default();
    let data = &record["data"];
    let (time, key) = (said(&record["time"]), said(&record["key"]));
    match record["type"].as_str() {
        Some(crate::wire::published::FULFILLED_TYPE) => writeln!(
            out,
            "{time}  {}  {} {}  {}",
            said(&record["id"]),
            said(&data["amount"]),
            said(&data["currency"]),
            said(&data["transaction_ref"]),
        ),
        Some(crate::wire::published::MOVED_TYPE) => writeln!(
            out,
            "{time}  {key}  {} -> {}  {} by {}",
            data["from"].as_str().unwrap_or("(new)"),
            said(&data["to"]),
            said(&data["verdict"]),
            said(&data["cause"]["type"]),
        ),
        _other => writeln!(out, "{time}  {key}  {data}"),
    }
}
