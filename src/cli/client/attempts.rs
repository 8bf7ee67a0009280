//! `tidegate attempts`: where they stand, and what they were told.

use super::{ApiArgs, encoded};
use crate::cli::{Failure, Output, exit};
use clap::Subcommand;
use clap::builder::NonEmptyStringValueParser;
use comfy_table::{Table, presets};
use serde_json::Value;
use std::io::{self, Write};

const EXAMPLES: &str = "\
Examples:
  tidegate attempts list --state review
  tidegate attempts get gs_test_42 -o json
  tidegate attempts timeline gs_test_42
";

const EXIT_CODES: &str = "\
Exit codes:
  0   here it is
  1   there is no such attempt
  69  the process does not answer
  77  the key was not accepted";

/// Show attempts, as they are committed.
#[derive(Clone, Debug, clap::Args)]
#[command(before_long_help = EXAMPLES, after_long_help = EXIT_CODES)]
pub struct AttemptsArgs {
    #[command(subcommand)]
    pub what: AttemptsWhat,
}

#[derive(Clone, Debug, Subcommand)]
pub enum AttemptsWhat {
    /// Where one attempt stands.
    #[command(before_long_help = "Examples:\n  tidegate attempts get gs_test_42\n")]
    Get(OneArgs),
    /// All attempts, or those in one state.
    #[command(before_long_help = "Examples:\n  tidegate attempts list --state review\n")]
    List(ListArgs),
    /// What one attempt was told, and what it made of it.
    #[command(before_long_help = "Examples:\n  tidegate attempts timeline gs_test_42\n")]
    Timeline(OneArgs),
}

#[derive(Clone, Debug, clap::Args)]
pub struct OneArgs {
    /// The attempt's id; of an adopted one, its session's.
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub id: String,
    #[command(flatten)]
    pub api: ApiArgs,
    /// How to answer.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

#[derive(Clone, Debug, clap::Args)]
pub struct ListArgs {
    /// Only those in this state, such as fulfilled or review.
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    pub state: Option<String>,
    /// Most attempts in the answer.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
    /// Where an earlier answer ended.
    #[arg(long, value_name = "CURSOR")]
    pub after: Option<String>,
    #[command(flatten)]
    pub api: ApiArgs,
    /// How to answer.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

/// Answers on `out` and returns the exit code.
pub fn run(args: &AttemptsArgs, out: &mut impl Write) -> Result<u8, Failure> {
    let written = |error: io::Error| Failure::answer(&error);
    match &args.what {
        AttemptsWhat::Get(one) => {
            let attempt = one.attempt()?;
            match one.output {
                Output::Json => writeln!(out, "{attempt:#}").map_err(written)?,
                Output::Text => summary(&attempt, out).map_err(written)?,
            }
        }
        AttemptsWhat::Timeline(one) => {
            let attempt = one.attempt()?;
            match one.output {
                Output::Json => writeln!(out, "{:#}", attempt["evidence"]).map_err(written)?,
                Output::Text => {
                    summary(&attempt, out).map_err(written)?;
                    timeline(&attempt, out).map_err(written)?;
                }
            }
        }
        AttemptsWhat::List(list) => list.run(out)?,
    }
    Ok(exit::OK)
}

impl OneArgs {
    fn attempt(&self) -> Result<Value, Failure> {
        let path = format!("/v1/attempts/{}", encoded(&self.id));
        self.api.open()?.json(&path)?.ok_or_else(|| {
            let fix = "`tidegate attempts list` shows those that there are";
            Failure::new(exit::FOUND, format!("there is no attempt {}", self.id), fix)
        })
    }
}

impl ListArgs {
    fn run(&self, out: &mut impl Write) -> Result<(), Failure> {
        let written = |error: io::Error| Failure::answer(&error);
        let part = |name: &str, value: &Option<String>| {
            value.as_deref().map(|text| format!("&{name}={}", encoded(text))).unwrap_or_default()
        };
        let (state, after) = (part("state", &self.state), part("after", &self.after));
        let path = format!("/v1/attempts?limit={}{state}{after}", self.limit);
        let listing = self.api.open()?.json(&path)?.unwrap_or(Value::Null);
        if self.output == Output::Json {
            return writeln!(out, "{listing:#}").map_err(written);
        }
        let mut table = table(&["attempt", "state", "amount", "flow", "signals", "duplicates"]);
        let attempts = listing["attempts"].as_array().map_or(&[][..], Vec::as_slice);
        for attempt in attempts {
            table.add_row([
                text(&attempt["attempt_id"]),
                text(&attempt["state"]),
                money(attempt),
                text(&attempt["terms"]["flow"]),
                text(&attempt["signals"]),
                text(&attempt["duplicates"]),
            ]);
        }
        if attempts.is_empty() {
            writeln!(out, "no attempts").map_err(written)?;
        } else {
            writeln!(out, "{table}").map_err(written)?;
        }
        if let Some(next) = listing["next"].as_str() {
            writeln!(out, "\nmore: --after {next}").map_err(written)?;
        }
        Ok(())
    }
}

fn summary(attempt: &Value, out: &mut impl Write) -> io::Result<()> {
    for (name, value) in [
        ("attempt", text(&attempt["attempt_id"])),
        ("state", text(&attempt["state"])),
        ("why", text(&attempt["review"])),
        ("reason", text(&attempt["failure_reason"])),
        ("amount", money(attempt)),
        ("flow", text(&attempt["terms"]["flow"])),
        ("session", text(&attempt["session_id"])),
        ("account", text(&attempt["account_id"])),
        ("reference", text(&attempt["user_reference"])),
        ("transaction", text(&attempt["transaction_ref"])),
        ("transitions", text(&attempt["sequence"])),
        ("duplicates", text(&attempt["duplicates"])),
    ] {
        if !value.is_empty() {
            writeln!(out, "{name:<12} {value}")?;
        }
    }
    Ok(())
}

fn timeline(attempt: &Value, out: &mut impl Write) -> io::Result<()> {
    let mut table = table(&["received", "kind", "type", "verdict", "id", "position"]);
    for entry in attempt["evidence"].as_array().map_or(&[][..], Vec::as_slice) {
        let verdict = match entry["reason"].as_str() {
            Some(reason) => format!("{} ({reason})", text(&entry["verdict"])),
            None => text(&entry["verdict"]),
        };
        table.add_row([
            text(&entry["received_at"]),
            text(&entry["kind"]),
            text(&entry["type"]),
            verdict,
            text(&entry["event_id"]),
            text(&entry["position"]),
        ]);
    }
    writeln!(out, "\n{table}")
}

fn table(columns: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(columns.to_vec());
    table
}

fn money(attempt: &Value) -> String {
    let terms = &attempt["terms"];
    format!("{} {}", text(&terms["amount"]), text(&terms["currency"])).trim().to_owned()
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        // A terminal obeys control characters; what a stranger wrote must not reach it as such.
        Value::String(text) => {
            text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
        }
        other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            other.to_string()
        }
    }
}
