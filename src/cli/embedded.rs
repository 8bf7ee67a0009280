//! Joins the embedded engine: folder, journal, view, lanes.

use crate::actors::{DriverOptions, Engine, EngineError, EngineOptions};
use crate::adapters::embedded::disk::RealDisk;
use crate::adapters::embedded::{DataFolder, EmbeddedJournal, FjallView, JournalOptions};
use crate::attempt::Policy;
use crate::http::listen::REQUESTS_PATIENCE;
use crate::lane::machine::{Limits, Rules};
use crate::lane::resident::Resident;
use crate::ports::{JournalError, SystemClock, ViewError};
use crate::telemetry::Metrics;
use crate::wire::prove::Trust;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// How long an end waits for what the lanes have taken, once the listeners have ended. A lane needs
/// milliseconds unless its disk is full or its view does not answer.
const DRAIN_PATIENCE: Duration = Duration::from_secs(15);

/// Supervisors commonly kill after 30 s.
const _: () = assert!(REQUESTS_PATIENCE.as_secs() + DRAIN_PATIENCE.as_secs() < 30);

/// What the embedded engine is told.
#[derive(Clone, Debug)]
pub struct EmbeddedOptions {
    /// Pinned when the folder is made; `None` takes what it was made for, or the cores.
    pub partitions: Option<u32>,
    pub lanes: Option<u32>,
    pub instance: String,
    pub trust: Trust,
    pub policy: Policy,
    pub segment_bytes: u64,
    pub snapshot_bytes: u64,
    /// Memory for live attempts, over all lanes.
    pub attempts_memory: usize,
}

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    View(#[from] ViewError),
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// The running engine, with everything that stands on it.
pub struct Embedded {
    pub journal: EmbeddedJournal,
    pub view: FjallView,
    pub engine: Engine,
    pub metrics: Metrics,
    writer: JoinHandle<()>,
    _folder: Arc<DataFolder>,
}

impl Embedded {
    pub async fn start(
        root: &Path,
        options: EmbeddedOptions,
        metrics: Metrics,
    ) -> Result<Self, StartError> {
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32);
        let keys = &options.trust.keys;
        let folder = Arc::new(DataFolder::take(root, options.partitions, cores, keys)?);
        let journal_options = JournalOptions {
            segment_bytes: options.segment_bytes,
            snapshot_bytes: options.snapshot_bytes,
            ..JournalOptions::new(folder.partitions())
        };
        let (journal, writer) =
            EmbeddedJournal::open(Arc::new(RealDisk), folder.log(), journal_options, SystemClock)?;
        let view = FjallView::open(&folder.view())?;
        let lanes = options.lanes.unwrap_or(cores).min(folder.partitions());
        let rules = Rules {
            trust: options.trust,
            policy: options.policy,
            partitions: folder.partitions(),
            writer: String::new(),
        };
        let engine_options = EngineOptions {
            lanes,
            driver: DriverOptions {
                limits: Limits::default(),
                attempts_memory: options.attempts_memory / lanes.max(1) as usize,
                core: Resident::decide,
            },
            instance: options.instance,
        };
        let engine =
            Engine::start(&journal, &view, &SystemClock, &rules, &engine_options, &metrics).await?;
        Ok(Self { journal, view, engine, metrics, writer, _folder: folder })
    }

    /// Finishes what was taken, then lets go of the folder.
    pub async fn stop(self) -> Result<(), StartError> {
        let drained = self.engine.drain(DRAIN_PATIENCE).await;
        self.journal.close().await;
        let writer = self.writer;
        let _panicked = tokio::task::spawn_blocking(move || writer.join()).await;
        let persisted = self.view.persist();
        drained?;
        persisted?;
        Ok(())
    }
}
