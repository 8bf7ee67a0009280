//! `tidegate audit`: proves the journal, or shows where it does not hold.

use super::keys::kept_signing_keys;
use super::{Failure, Output, exit, unless_closed};
use crate::adapters::embedded::DataFolder;
use crate::audit::{self, Invariant, Progress, Report};
use crate::config::{Document, Engine, Level, Loaded, Problem, Purpose, Secrets};
use crate::wire::seal::SigningKeys;
use anyhow::{Context, bail};
use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

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
/// It only reads, takes no lock and works beside a running process, up to the last whole frame.
#[derive(Clone, Debug, clap::Args)]
#[command(before_long_help = EXAMPLES, after_long_help = EXIT_CODES)]
pub struct AuditArgs {
    /// The data folder; its signing key is read from it.
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    pub data: Option<PathBuf>,
    /// The configuration that names the data folder and the signing keys; without either the
    /// environment alone is read.
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
    let (root, keys) = match &args.data {
        // A folder that holds nothing is said to be so before its key is missed.
        Some(root) if !root.exists() => {
            bail!("there is no folder {}; name the folder with --data DIR", root.display())
        }
        Some(root) if root.is_file() => {
            bail!("{} is a file; --data takes a folder", root.display())
        }
        Some(root) => (root.clone(), KeysFrom::Folder),
        None => {
            let environment: BTreeMap<_, _> = environment.into_iter().collect();
            let document = Document::open(args.config.as_deref(), environment.clone())?;
            let config = Loaded::read(&document, Purpose::Inspect)?.config;
            match config.engine {
                Engine::Embedded => {}
                Engine::Cluster => bail!("auditing a cluster is not available in this build yet"),
            }
            let lookup = |name: &str| environment.get(name).cloned();
            let (secrets, problems) = Secrets::resolve(&config, lookup);
            // What else is missing does not keep anybody from reading a journal.
            let of_keys = |problem: &&Problem| problem.key.starts_with("signing.");
            let mut of_keys = problems.iter().filter(of_keys);
            if let Some(problem) = of_keys.find(|problem| problem.level == Level::Error) {
                bail!("{}; {}", problem.message, problem.fix);
            }
            (config.data_dir, KeysFrom::Secrets(secrets))
        }
    };
    let Some(pins) = DataFolder::pins(&root)? else {
        bail!("there is no journal in {}", root.display());
    };
    let keys = keys.fetch(&root)?;
    if let Err(error) = pins.refuse_other_keys(&root, &keys) {
        let Failure { what, fix, .. } = error.into();
        bail!("{what}; {fix}");
    }
    let mut shown = Shown::default();
    let report = audit::audit(&root, &keys, &mut |progress| shown.show(progress));
    shown.clear();
    report.with_context(|| format!("no verdict on {}", root.display()))
}

enum KeysFrom {
    Folder,
    Secrets(Secrets),
}

impl KeysFrom {
    fn fetch(&self, root: &Path) -> anyhow::Result<SigningKeys> {
        let configured = match self {
            Self::Folder => &[][..],
            Self::Secrets(secrets) => &secrets.signing_keys,
        };
        Ok(kept_signing_keys(root, configured)?)
    }
}

/// Progress on a terminal, where somebody waits and looks.
struct Shown {
    terminal: bool,
    next: u64,
}

impl Default for Shown {
    fn default() -> Self {
        Self { terminal: io::stderr().is_terminal(), next: 0 }
    }
}

impl Shown {
    const STEP_BYTES: u64 = 4 << 20;

    fn show(&mut self, Progress { from, at, until }: Progress) {
        if !self.terminal || at < self.next {
            return;
        }
        self.next = at + Self::STEP_BYTES;
        let (done, all) = ((at - from) >> 20, (until.max(at) - from) >> 20);
        let _unseen = write!(io::stderr(), "\raudited {done} of {all} MiB");
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
    json!({
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
        "frames": report.frames,
        "batches": report.parts,
        "undecided": report.undecided,
        "signals": report.signals,
        "from": report.from,
        "bytes": report.end - report.from,
    })
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
    let (frames, batches, bytes) = (report.frames, report.parts, report.end - report.from);
    let again = batches - report.undecided;
    writeln!(out, "Read {bytes} bytes in {frames} frames.")?;
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
