//! `tidegate audit`: proves the journal, or shows where it does not hold.

use super::keys::kept_signing_keys;
use super::serve::every_secret;
use super::{Failure, Output, exit, unless_closed};
use crate::adapters::embedded::DataFolder;
use crate::adapters::kafka::Past;
use crate::audit::{self, Extent, Invariant, Progress, Report};
use crate::config::{
    Config, Document, Engine, KeptSecret, Level, Loaded, Problem, Purpose, Secrets,
};
use crate::wire::admit::Admission;
use crate::wire::prove::Trust;
use anyhow::{Context, bail};
use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const EXAMPLES: &str = "\
Examples:
  tidegate audit --data ./tidegate-data
  tidegate audit --config tidegate.toml -o json | jq '.violations[]'
";

const EXIT_CODES: &str = "\
Exit codes:
  0  every invariant that a journal can prove holds
  1  one is violated; the answer names witnesses
  2  there is no verdict: the journal is missing, empty, damaged or of other keys";

/// Read the journal again from its beginning and prove that it holds.
///
/// Decides everything anew and compares the bytes, and checks each invariant by what is stored.
/// It only reads, takes no lock and works beside running processes, up to what is committed.
#[derive(Clone, Debug, clap::Args)]
#[command(before_long_help = EXAMPLES, after_long_help = EXIT_CODES)]
pub struct AuditArgs {
    /// The data folder; its signing key is read from it.
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    pub data: Option<PathBuf>,
    /// The configuration that names the data folder, or the brokers of a cluster, and the signing
    /// keys; without either the environment alone is read.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// How to answer.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

/// Answers on `out`, tells on `told` why there is no answer, and returns the exit code.
pub fn run(
    args: &AuditArgs,
    environment: impl IntoIterator<Item = (String, String)>,
    out: &mut impl Write,
    told: &mut impl Write,
) -> io::Result<u8> {
    let report = match audited(args, environment) {
        Ok(report) => report,
        Err(why) => {
            writeln!(told, "tidegate audit: {why:#}; nothing was proven")?;
            return Ok(exit::USAGE);
        }
    };
    unless_closed(match args.output {
        Output::Text => text(&report, out),
        Output::Json => writeln!(out, "{:#}", as_json(&report)),
    })?;
    Ok(if report.is_clean() { exit::OK } else { exit::FOUND })
}

fn audited(
    args: &AuditArgs,
    environment: impl IntoIterator<Item = (String, String)>,
) -> anyhow::Result<Report> {
    let Some(root) = &args.data else {
        return audited_as_configured(args.config.as_deref(), environment.into_iter().collect());
    };
    // A folder that holds nothing is said to be so before its key is missed.
    if !root.exists() {
        bail!("there is no folder {}; name the folder with --data DIR", root.display())
    }
    if root.is_file() {
        bail!("{} is a file; --data takes a folder", root.display())
    }
    audited_folder(root, &[])
}

fn audited_as_configured(
    file: Option<&Path>,
    environment: BTreeMap<String, String>,
) -> anyhow::Result<Report> {
    let document = Document::open(file, environment.clone())?;
    let config = Loaded::read(&document, Purpose::Inspect)?.config;
    let (secrets, problems) = Secrets::resolve(&config, |name| environment.get(name).cloned());
    // What else is missing does not keep anybody from reading a journal; but what others wrote into
    // topics is believed by the secrets of the endpoints.
    let needed: &[&str] = match config.engine {
        Engine::Embedded => &["signing."],
        Engine::Cluster => &["signing.", "endpoints.", "kafka."],
    };
    let stands_in_the_way = |problem: &&Problem| {
        problem.level == Level::Error && needed.iter().any(|key| problem.key.starts_with(key))
    };
    if let Some(problem) = problems.iter().find(stands_in_the_way) {
        bail!("{}; {}", problem.message, problem.fix);
    }
    match config.engine {
        Engine::Embedded => audited_folder(&config.data_dir, &secrets.signing_keys),
        Engine::Cluster => audited_cluster(&config, &secrets),
    }
}

fn audited_folder(root: &Path, configured: &[KeptSecret]) -> anyhow::Result<Report> {
    let Some(pins) = DataFolder::pins(root)? else {
        bail!("there is no journal in {}", root.display());
    };
    let keys = kept_signing_keys(root, configured)?;
    if let Err(error) = pins.refuse_other_keys(root, &keys) {
        return Err(Failure::from(error).told());
    }
    let mut shown = Shown::of("MiB", 20);
    let report = audit::audit(root, &keys, &mut |progress| shown.show(progress));
    shown.clear();
    report.with_context(|| format!("no verdict on {}", root.display()))
}

fn audited_cluster(config: &Config, secrets: &Secrets) -> anyhow::Result<Report> {
    if secrets.signing_keys.is_empty() {
        bail!("`signing.keys` is not set; name the keys that the cluster is served with");
    }
    let keys = kept_signing_keys(&config.data_dir, &secrets.signing_keys)?;
    let trust = Trust { keys: keys.clone(), mode: config.mode };
    let admission = Arc::new(Admission::new(trust, every_secret(secrets)));
    let options = super::topics::brokers_of(config, &secrets.services).map_err(Failure::told)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let options =
        runtime.block_on(super::topics::with_partitions(options)).map_err(Failure::told)?;
    let past = Past::open(options, admission)?;
    let mut shown = Shown::of("thousand records of attempts", 10);
    let report = audit::audit_cluster(&past, &keys, &mut |progress| shown.show(progress));
    shown.clear();
    let prefix = &config.kafka.topic_prefix;
    report.with_context(|| format!("no verdict on the topics {prefix}.*"))
}

/// Progress on a terminal, where somebody waits and looks.
struct Shown {
    terminal: bool,
    next: u64,
    unit: &'static str,
    /// How far an address is shifted to count units.
    shift: u32,
}

impl Shown {
    fn of(unit: &'static str, shift: u32) -> Self {
        Self { terminal: io::stderr().is_terminal(), next: 0, unit, shift }
    }

    fn show(&mut self, Progress { from, at, until }: Progress) {
        if !self.terminal || at < self.next {
            return;
        }
        self.next = at + (4 << self.shift);
        let (done, all) = ((at - from) >> self.shift, (until.max(at) - from) >> self.shift);
        let _unseen = write!(io::stderr(), "\raudited {done} of {all} {}", self.unit);
    }

    fn clear(&self) {
        if self.next > 0 {
            let _unseen = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

fn as_json(report: &Report) -> Value {
    let counts = &report.counts;
    let [webhook, reading, command] = counts.by_kind;
    let violations: Vec<_> = report
        .violations
        .iter()
        .map(|found| {
            json!({
                "invariant": found.invariant.word(),
                "attempt_id": found.attempt,
                "witness": found.witness,
            })
        })
        .collect();
    let unshown = report.unshown.iter();
    let unshown: Map<String, Value> =
        unshown.map(|(of, count)| (of.word().to_owned(), json!(count))).collect();
    let mut answer = json!({
        "clean": report.is_clean(),
        "attempts": report.attempts,
        "fulfillments": report.fulfillments,
        "accepted": counts.accepted,
        "applied": counts.applied,
        "duplicate": counts.duplicate,
        "stale": counts.stale,
        "contradiction": counts.contradiction,
        "parked": counts.parked(),
        "dead_lettered": counts.dead_lettered,
        "in_flight": report.in_flight,
        "by_kind": {"webhook": webhook, "reading": reading, "command": command},
        "violations": violations,
        "unshown": unshown,
        "warnings": report.warnings,
        "batches": report.parts,
        "undecided": report.undecided,
        "signals": report.signals,
    });
    let read = match report.extent {
        Extent::Log { frames, from, end } => {
            json!({"frames": frames, "from": from, "bytes": end - from})
        }
        Extent::Topics { records, bytes, aborted, aborted_fulfillments } => json!({
            "records": records, "bytes": bytes, "aborted": aborted,
            "aborted_fulfillments": aborted_fulfillments,
        }),
    };
    if let (Value::Object(answer), Value::Object(read)) = (&mut answer, read) {
        answer.extend(read);
    }
    answer
}

fn text(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let counts = &report.counts;
    let [webhook, reading, command] = counts.by_kind;
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    for (name, count) in [
        ("attempts", report.attempts),
        ("fulfillments", report.fulfillments),
        ("signals accepted", counts.accepted),
        ("  by webhook", webhook),
        ("  by reading", reading),
        ("  by command", command),
        ("  applied", counts.applied),
        ("  duplicate", counts.duplicate),
        ("  stale", counts.stale),
        ("  contradiction", counts.contradiction),
        ("  parked", counts.parked()),
        ("  dead-lettered", counts.dead_lettered),
        ("  in flight", report.in_flight),
    ] {
        table.add_row([name.to_owned(), count.to_string()]);
    }
    if let Some(column) = table.column_mut(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    writeln!(out, "{table}\n")?;
    let batches = report.parts;
    let again = batches - report.undecided;
    match report.extent {
        Extent::Log { frames, from, end } => {
            writeln!(out, "Read {} bytes in {frames} frames.", end - from)?;
        }
        Extent::Topics { records, bytes, aborted, aborted_fulfillments } => {
            writeln!(out, "Read {records} committed records of {bytes} bytes.")?;
            writeln!(
                out,
                "Beside them stand {aborted} records that were never committed, {aborted_fulfillments} \
                 fulfillments among them: only who reads uncommitted records sees those."
            )?;
        }
    }
    writeln!(out, "Decided {again} of {batches} batches again and compared every byte.")?;
    for warning in &report.warnings {
        writeln!(out, "note: {warning}")?;
    }
    writeln!(out)?;
    for invariant in Invariant::IN_THE_JOURNAL {
        judged(report, invariant, out)?;
    }
    writeln!(out)?;
    if report.is_clean() {
        writeln!(out, "The journal holds.")
    } else {
        writeln!(out, "The journal does not hold. Nothing was changed by looking at it.")
    }
}

fn judged(report: &Report, invariant: Invariant, out: &mut impl Write) -> io::Result<()> {
    let broken = report.broken(invariant);
    let verdict = if broken == 0 { "holds   " } else { "VIOLATED" };
    writeln!(out, "{verdict}  {}: {}", invariant.word(), invariant.says())?;
    if broken == 0 {
        return Ok(());
    }
    let mut shown = 0;
    for found in report.violations.iter().filter(|found| found.invariant == invariant) {
        let of = found.attempt.as_deref().map(|id| format!("{id}: ")).unwrap_or_default();
        writeln!(out, "            {of}{}", found.witness)?;
        shown += 1;
    }
    if broken > shown {
        writeln!(out, "            … and {} more", broken - shown)?;
    }
    writeln!(out, "          do: {}", invariant.advice())
}
