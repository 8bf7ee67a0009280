//! Joins the embedded engine: folder, journal, view, lanes.

use super::Failure;
use super::host::{Host, HostPlan};
use super::process::DRAIN_PATIENCE;
use crate::actors::{DriverOptions, Engine, EngineError, EngineOptions};
use crate::adapters::embedded::disk::RealDisk;
use crate::adapters::embedded::{
    DataFolder, EmbeddedFeeds, EmbeddedJournal, FjallView, JournalOptions,
};
use crate::attempt::Policy;
use crate::lane::machine::{Limits, Rules};
use crate::lane::resident::Resident;
use crate::ports::{JournalError, SystemClock, ViewError};
use crate::telemetry::Metrics;
use crate::wire::prove::Trust;
use prometheus::IntCounter;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

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

/// An embedded engine of a folder, to be started.
pub(super) struct EmbeddedPlan {
    pub(super) root: PathBuf,
    pub(super) options: EmbeddedOptions,
}

impl HostPlan for EmbeddedPlan {
    type Host = Embedded;

    async fn start(self, metrics: Metrics) -> Result<Embedded, Failure> {
        Ok(Embedded::start(&self.root, self.options, metrics).await?)
    }
}

impl Host for Embedded {
    type Journal = EmbeddedJournal;
    type View = FjallView;
    type Feeds = EmbeddedFeeds;

    fn journal(&self) -> EmbeddedJournal {
        self.journal.clone()
    }

    fn view(&self) -> FjallView {
        self.view.clone()
    }

    fn feeds(&self) -> EmbeddedFeeds {
        EmbeddedFeeds::new(self.journal.clone())
    }

    fn engine(&mut self) -> &mut Engine {
        &mut self.engine
    }

    fn refresh(&self) -> Arc<dyn Fn() + Send + Sync> {
        let (journal, metrics) = (self.journal.clone(), self.metrics.clone());
        // Two scrapes at once must not both advance a counter by the same difference.
        let alone = Mutex::new(());
        let advance =
            |counter: &IntCounter, to: u64| counter.inc_by(to.saturating_sub(counter.get()));
        Arc::new(move || {
            let _alone = alone.lock().unwrap_or_else(PoisonError::into_inner);
            advance(&metrics.journal_syncs, journal.syncs());
            advance(&metrics.journal_bytes, journal.written());
            metrics.journal_held.set(i64::try_from(journal.held()).unwrap_or(i64::MAX));
        })
    }

    fn stopped(&self) -> impl Future<Output = String> + 'static {
        let mut stopped = self.journal.stopped();
        async move {
            let why = stopped.wait_for(Option::is_some).await;
            why.ok().and_then(|why| why.clone()).unwrap_or_default()
        }
    }

    async fn stop(self) -> Result<(), Failure> {
        Ok(Self::stop(self).await?)
    }
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
        let folder =
            Arc::new(DataFolder::take(root, options.partitions, cores, keys, options.trust.mode)?);
        let journal_options = JournalOptions {
            segment_bytes: options.segment_bytes,
            snapshot_bytes: options.snapshot_bytes,
            ..JournalOptions::new(folder.partitions())
        };
        let (journal, writer) =
            EmbeddedJournal::open(Arc::new(RealDisk), folder.log(), journal_options, SystemClock)?;
        let view = FjallView::open(&folder.view())?;
        let lanes = options.lanes.unwrap_or(cores).min(folder.partitions());
        let rules =
            Rules { trust: options.trust, policy: options.policy, partitions: folder.partitions() };
        let engine_options = EngineOptions {
            lanes,
            driver: DriverOptions {
                limits: Limits::default(),
                attempts_memory: options.attempts_memory / lanes.max(1) as usize,
                core: Resident::decide,
            },
            instance: options.instance,
        };
        let started =
            Engine::start(&journal, &view, &SystemClock, &rules, &engine_options, &metrics).await;
        match started {
            Ok(engine) => Ok(Self { journal, view, engine, metrics, writer, _folder: folder }),
            Err(error) => {
                // The folder is let go of when nobody writes in it any more.
                journal.close().await;
                let _panicked = tokio::task::spawn_blocking(move || writer.join()).await;
                drop(folder);
                Err(error.into())
            }
        }
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
