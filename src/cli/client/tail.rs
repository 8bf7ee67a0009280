//! `tidegate tail`: an output, line by line, as a consumer reads it.

use super::{ApiArgs, encoded};
use crate::cli::{Failure, Output, exit};
use crate::ports::Feed;
use serde_json::Value;
use std::io::{self, BufRead, BufReader, Write};

const EXAMPLES: &str = "\
Examples:
  tidegate tail fulfillments --follow
  tidegate tail transitions --limit 10 -o json | jq .data
  tidegate tail fulfillments --after POSITION     # go on after that line
";

/// Read an output: fulfillments, transitions or metrics.
#[derive(Clone, Debug, clap::Args)]
#[command(before_long_help = EXAMPLES, after_long_help = "\
Exit codes:
  0   the end of what is committed, or the limit, was reached
  2   there is no such position
  69  the process does not answer, or went away
  77  the key was not accepted")]
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
    let limit = args.limit.map(|limit| format!("&limit={limit}")).unwrap_or_default();
    let path = format!(
        "/v1/feeds/{}?after={}&follow={}{limit}",
        Feed::from(args.feed).word(),
        encoded(args.after.as_deref().unwrap_or_default()),
        args.follow
    );
    let no_such_position = |code: &str| {
        let what = format!(
            "the feed {} has no position `{}`",
            Feed::from(args.feed).word(),
            args.after.as_deref().unwrap_or_default()
        );
        let fix = "take the `position` of one of its lines (`-o json` shows it), or leave --after \
                   out to start from the beginning";
        (code == "bad_position").then(|| Failure::usage(what, fix))
    };
    let answer = args.api.open()?.get_or(&path, no_such_position)?;
    let answer =
        answer.ok_or_else(|| Failure::new(exit::UNAVAILABLE, "the feed is not there", ""))?;
    let mut read = Read { lines: 0, last: args.after.clone().filter(|after| !after.is_empty()) };
    for line in BufReader::new(answer.into_body().into_reader()).lines() {
        let line = line.map_err(|error| read.broke_off(&error))?;
        let written = match args.output {
            Output::Json => writeln!(out, "{line}"),
            Output::Text => short(&line, out),
        };
        match written.and_then(|()| out.flush()) {
            Ok(()) => read.note(&line),
            Err(error) => return Err(Failure::answer(&error)),
        }
    }
    // Whoever follows has asked for no end but the limit.
    if args.follow && args.limit != Some(read.lines) {
        return Err(read.ended());
    }
    Ok(exit::OK)
}

/// How far the reader has come, for telling where to go on.
struct Read {
    lines: u64,
    last: Option<String>,
}

impl Read {
    fn note(&mut self, line: &str) {
        self.lines += 1;
        let record = serde_json::from_str::<Value>(line).unwrap_or(Value::Null);
        if let Some(position) = record["position"].as_str() {
            self.last = Some(position.to_owned());
        }
    }

    fn ended(&self) -> Failure {
        Failure::new(exit::UNAVAILABLE, "the process ended the feed", self.go_on())
    }

    fn broke_off(&self, error: &io::Error) -> Failure {
        Failure::new(exit::UNAVAILABLE, format!("the feed broke off: {error}"), self.go_on())
    }

    fn go_on(&self) -> String {
        match &self.last {
            Some(position) => format!("once it runs again, go on with --after {position}"),
            None => "once it runs again, ask the same again: no line had come yet".to_owned(),
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
