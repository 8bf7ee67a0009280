//! `tidegate rebuild`: the view, thrown away and made anew from the journal.

use super::keys::kept_signing_keys;
use super::progress::{Progress, Watched};
use super::serve::{redis, refuse_file};
use super::topics::{brokers_of, with_partitions};
use super::{Failure, Output, exit, unless_closed};
use crate::actors::{Each, TakeoverError, catch_up};
use crate::adapters::embedded::disk::RealDisk;
use crate::adapters::embedded::{DataFolder, EmbeddedJournal, FjallView, JournalOptions};
use crate::adapters::kafka::Changelogs;
use crate::adapters::redis::RedisView;
use crate::attempt::Mode;
use crate::config::{
    Config, Document, Engine, KeptSecret, Loaded, Purpose, Secrets, ServiceSecrets,
};
use crate::ports::{Journal, JournalError, SystemClock, ViewError, ViewPosition};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

const EXAMPLES: &str = "\
Examples:
  tidegate rebuild --config tidegate.toml --dry-run     # what is there, and what would go
  tidegate rebuild --config tidegate.toml --partition 3 --yes
  tidegate rebuild --data ./tidegate-data               # of an embedded journal that nobody runs
";

const EXIT_CODES: &str = "\
Exit codes:
  0   the view has everything that is committed
  2   the command line makes no sense, or nobody said yes; nothing was changed
  65  the journal is damaged
  69  the brokers or Redis do not answer; the same again goes on
  70  the store of the view does not do it
  74  a file could not be read or written
  75  a process uses the folder; end it first
  78  the configuration cannot be used, or not with this folder";

/// Make the view anew from the journal.
///
/// Deletes what the view has, partition by partition, and shows it every committed state again. A
/// cluster may run meanwhile: attempts in memory go on, and what asks the view for a partition waits
/// until that is rebuilt. Of Redis only the keys of this deployment's prefix are touched. It may be
/// ended at any point, and begun again.
#[derive(Clone, Debug, clap::Args)]
#[command(before_long_help = EXAMPLES, after_long_help = EXIT_CODES)]
pub struct RebuildArgs {
    /// The data folder of an embedded journal.
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    pub data: Option<PathBuf>,
    /// The configuration that names the data folder, or the brokers and the Redis of a cluster;
    /// without either the environment alone is read.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Only this partition of a cluster.
    #[arg(long, value_name = "N")]
    pub partition: Option<u32>,
    /// Tell what would be done, and do nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask.
    #[arg(long, short)]
    pub yes: bool,
    /// How to answer.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

/// How often what may pass is tried again, and after how long: the group moves, or a broker or Redis
/// is away for a moment. A transaction that a dead process left open ends within this.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_secs(1);

/// One partition, before and after.
struct Part {
    partition: u32,
    /// States that the view has of it, where it counts them.
    had: Option<u64>,
    end: u64,
    shown: u64,
    took: Duration,
}

/// What is rebuilt, in words and numbers.
struct Plan {
    engine: &'static str,
    /// What goes, for whoever is asked.
    goes: String,
    parts: Vec<Part>,
}

/// Answers on `out` and returns the exit code.
pub fn run(args: &RebuildArgs, out: &mut impl Write) -> Result<u8, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(exit::INTERNAL, error, ""))?;
    let plan = runtime.block_on(rebuilt(args))?;
    unless_closed(tell(args, &plan, out)).map_err(|error| Failure::answer(&error))?;
    Ok(exit::OK)
}

async fn rebuilt(args: &RebuildArgs) -> Result<Plan, Failure> {
    if let Some(root) = &args.data {
        refuse_file(root)?;
        return folder(args, root, &[]).await;
    }
    let environment: BTreeMap<String, String> = crate::config::environment().collect();
    let document = Document::open(args.config.as_deref(), environment.clone())?;
    let loaded = Loaded::read(&document, Purpose::Inspect)?;
    let config = &loaded.config;
    match config.engine {
        Engine::Cluster => cluster(args, config, &loaded.service_secrets(&document)?).await,
        Engine::Embedded => {
            // What else is missing does not stand in the way.
            let (secrets, _problems) =
                Secrets::resolve(config, |name| environment.get(name).cloned());
            folder(args, &config.data_dir, &secrets.signing_keys).await
        }
    }
}

async fn cluster(
    args: &RebuildArgs,
    config: &Config,
    services: &ServiceSecrets,
) -> Result<Plan, Failure> {
    let asked = brokers_of(config, services)?;
    let redis = redis(config, services)?;
    let view = RedisView::open(&redis).await?;
    let options = with_partitions(asked).await?;
    let changelogs = Changelogs::open(&options)?;
    let every: Vec<u32> = match args.partition {
        None => (0..options.partitions).collect(),
        Some(partition) if partition < options.partitions => vec![partition],
        Some(partition) => {
            let what = format!("there is no partition {partition}");
            let fix = format!("they are numbered from 0 to {}", options.partitions - 1);
            return Err(Failure::usage(what, fix));
        }
    };
    let (place, prefix, count) = (redis.place(), &redis.prefix, every.len());
    let mut plan = Plan {
        engine: "cluster",
        goes: format!("keys of {count} partitions under `{{{prefix}:N}}:` in the Redis at {place}"),
        parts: vec![],
    };
    for partition in every {
        let had = view.account(partition).await.map_err(failed_view)?.states;
        let end = end_of(&changelogs, partition).await?.changelog;
        plan.parts.push(Part { partition, had: Some(had), end, shown: 0, took: Duration::ZERO });
    }
    if !may_go_on(args, &plan)? {
        return Ok(plan);
    }
    let progress = Progress::begin(plan.parts.iter().map(|part| part.end).sum());
    for part in &mut plan.parts {
        let began = Instant::now();
        view.begin_anew(part.partition).await.map_err(failed_view)?;
        part.shown = shown(&changelogs, &view, part.partition, &progress).await?;
        part.took = began.elapsed();
        progress.finished(part.partition, part.end, part.shown, part.took);
    }
    Ok(plan)
}

async fn end_of(changelogs: &Changelogs, partition: u32) -> Result<ViewPosition, JournalError> {
    let changelogs = changelogs.clone();
    let asked = tokio::task::spawn_blocking(move || changelogs.end(partition));
    asked.await.unwrap_or(Err(JournalError::Closed))
}

/// Shows the view what it lacks of a partition, in the epoch of whoever owns it. Where that changes,
/// or somebody begins the view anew meanwhile, it goes on from what the view has then.
async fn shown(
    changelogs: &Changelogs,
    view: &RedisView,
    partition: u32,
    progress: &Arc<Progress>,
) -> Result<u64, Failure> {
    let mut tries = 0;
    loop {
        let past = {
            let changelogs = changelogs.clone();
            move |from: u64, each: Each<'_>| changelogs.replay(partition, from, each)
        };
        let watched = Watched::of(view, progress);
        let done = match end_of(changelogs, partition).await {
            Ok(end) => catch_up(past, &watched, partition, end).await,
            Err(error) => Err(error.into()),
        };
        match done {
            Ok(states) => return Ok(states),
            Err(error) if tries < TRIES && may_pass(&error) => {
                tracing::debug!(%error, partition, "trying again");
                tries += 1;
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return Err(failed(error)),
        }
    }
}

fn may_pass(error: &TakeoverError) -> bool {
    match error {
        TakeoverError::Journal(error) => matches!(error, JournalError::Brokers(_)),
        TakeoverError::View(error) => !matches!(error, ViewError::Broken(_)),
        TakeoverError::ViewAhead { .. } => false,
    }
}

/// The view of a folder, which its journal alone is enough for.
async fn folder(args: &RebuildArgs, root: &Path, keys: &[KeptSecret]) -> Result<Plan, Failure> {
    if args.partition.is_some() {
        let fix = "the view of a folder is one store; leave --partition out";
        return Err(Failure::usage("a folder's view is rebuilt whole", fix));
    }
    let Some(pins) = DataFolder::pins(root)? else {
        let what = format!("there is no journal in {}", root.display());
        return Err(Failure::usage(what, "name the folder with --data DIR"));
    };
    let keys = kept_signing_keys(root, keys)?;
    let mode = pins.mode.as_deref().and_then(Mode::from_word).unwrap_or(Mode::Test);
    let folder = DataFolder::take(root, None, pins.partitions, &keys, mode)?;
    let (partitions, place) = (folder.partitions(), folder.view());
    let goes = format!("the folder {}", place.display());
    let mut plan = Plan { engine: "embedded", goes, parts: vec![] };
    if !may_go_on(args, &plan)? {
        return Ok(plan);
    }
    match std::fs::remove_dir_all(&place) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Failure::file("remove", &place, &error));
        }
        Ok(()) | Err(_) => {}
    }
    let options = JournalOptions::new(partitions);
    let (journal, writer) =
        EmbeddedJournal::open(Arc::new(RealDisk), folder.log(), options, SystemClock)?;
    let done = from_log(&journal, &place, &mut plan).await;
    journal.close().await;
    let _panicked = tokio::task::spawn_blocking(move || writer.join()).await;
    done.map(|()| plan)
}

async fn from_log(journal: &EmbeddedJournal, place: &Path, plan: &mut Plan) -> Result<(), Failure> {
    let view = FjallView::open(place).map_err(failed_view)?;
    let end = *journal.durable().borrow();
    let progress = Progress::begin(end * u64::from(journal.partitions()));
    for partition in 0..journal.partitions() {
        let began = Instant::now();
        let past = {
            let journal = journal.clone();
            move |from: u64, each: Each<'_>| journal.replay(partition, from, each)
        };
        let watched = Watched::of(&view, &progress);
        // Whoever starts next takes it over in an epoch of its own.
        let shown = catch_up(past, &watched, partition, ViewPosition::default()).await;
        let (shown, took) = (shown.map_err(failed)?, began.elapsed());
        progress.finished(partition, end, shown, took);
        plan.parts.push(Part { partition, had: None, end, shown, took });
    }
    view.persist().map_err(failed_view)
}

/// Whether whoever asked wants it, now that it is plain what it is.
fn may_go_on(args: &RebuildArgs, plan: &Plan) -> Result<bool, Failure> {
    if args.dry_run || args.yes {
        return Ok(!args.dry_run);
    }
    if !io::stdin().is_terminal() {
        let fix = "look at it with --dry-run, then say --yes";
        return Err(Failure::usage("it deletes the view, and nobody can be asked", fix));
    }
    let _unseen =
        write!(io::stderr(), "This deletes {}, and makes it anew. Go on? [y/N] ", plan.goes);
    let mut answer = String::new();
    let heard = io::stdin().lock().read_line(&mut answer);
    if heard.is_ok() && ["y", "yes"].contains(&answer.trim().to_lowercase().as_str()) {
        return Ok(true);
    }
    Err(Failure::usage("nothing was changed", ""))
}

fn failed(error: TakeoverError) -> Failure {
    match error {
        TakeoverError::Journal(error) => error.into(),
        TakeoverError::View(error) => failed_view(error),
        error @ TakeoverError::ViewAhead { .. } => Failure::new(exit::DATA, error, ""),
    }
}

fn failed_view(error: ViewError) -> Failure {
    match &error {
        ViewError::Broken(_) => {
            Failure::new(exit::INTERNAL, error, "see that the disk has room, then say it again")
        }
        ViewError::Fenced { .. } | ViewError::Regressed { .. } | ViewError::Unavailable(_) => {
            let fix = "say the same again once it answers: what was shown stays";
            Failure::new(exit::UNAVAILABLE, error, fix)
        }
    }
}

fn tell(args: &RebuildArgs, plan: &Plan, out: &mut impl Write) -> io::Result<()> {
    let shown: u64 = plan.parts.iter().map(|part| part.shown).sum();
    let seconds: f64 = plan.parts.iter().map(|part| part.took.as_secs_f64()).sum();
    if args.output == Output::Json {
        let parts: Vec<_> = plan
            .parts
            .iter()
            .map(|part| {
                json!({
                    "partition": part.partition, "had": part.had, "end": part.end,
                    "shown": part.shown, "seconds": part.took.as_secs_f64(),
                })
            })
            .collect();
        let per_second = if seconds > 0.0 { (shown as f64 / seconds).round() } else { 0.0 };
        let answer = json!({
            "engine": plan.engine, "dry_run": args.dry_run, "partitions": parts, "shown": shown,
            "seconds": seconds, "states_per_second": per_second,
        });
        return writeln!(out, "{answer:#}");
    }
    if !args.dry_run {
        return writeln!(
            out,
            "The view has everything that is committed: {shown} states of {} partitions in {seconds:.1} s.",
            plan.parts.len()
        );
    }
    writeln!(out, "Would delete {}, and make it anew.", plan.goes)?;
    for Part { partition, had, end, .. } in &plan.parts {
        let had = had.unwrap_or_default();
        writeln!(out, "  partition {partition}: {had} states; its changelog ends at {end}")?;
    }
    writeln!(out, "Nothing was changed.")
}
