//! The engine in process, over a folder that goes with the test.

use super::clock::SetClock;
use super::ledger::Ledger;
use super::says;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tidegate::actors::{DriverOptions, Engine, EngineError, EngineOptions};
use tidegate::adapters::embedded::disk::{Disk, RealDisk};
use tidegate::adapters::embedded::{EmbeddedJournal, JournalOptions};
use tidegate::attempt::{Policy, Position, UnknownSession};
use tidegate::http::door::Door;
use tidegate::lane::machine::{Limits, Rules};
use tidegate::lane::resident::Resident;
use tidegate::ports::{Append, Journal, JournalError, SystemClock, View};
use tidegate::telemetry::Metrics;
use tidegate::wire::prove::{Proven, Trust};
use tidegate::wire::signal::SignalRecord;

pub struct Plan {
    pub partitions: u32,
    pub lanes: u32,
    pub policy: Policy,
    pub trust: Trust,
    pub journal: JournalOptions,
    pub driver: DriverOptions,
    /// Of the journal and the lanes.
    pub clock: SetClock,
}

impl Plan {
    pub fn new(partitions: u32) -> Self {
        let limits = Limits { no_room_ms: 20, ..Limits::default() };
        Self {
            partitions,
            lanes: 2,
            policy: Policy::default(),
            trust: says::trust(),
            journal: JournalOptions::new(partitions),
            driver: DriverOptions { limits, attempts_memory: 8 << 20, core: Resident::decide },
            clock: SetClock::default(),
        }
    }

    pub fn parking(self) -> Self {
        let policy = Policy { unknown_session: UnknownSession::Park, ..self.policy };
        Self { policy, ..self }
    }

    pub fn rules(&self) -> Rules {
        Rules { trust: self.trust.clone(), policy: self.policy, partitions: self.partitions }
    }
}

pub struct World {
    pub journal: EmbeddedJournal,
    pub engine: Engine,
    pub metrics: Metrics,
    pub partitions: u32,
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    trust: Trust,
    writer: JoinHandle<()>,
    /// How long an end waits for the lanes.
    pub patience: Duration,
}

#[derive(Debug, thiserror::Error)]
pub enum NotStarted {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl World {
    pub async fn start<V: View>(folder: &std::path::Path, view: &V, plan: &Plan) -> Self {
        match Self::start_on(Arc::new(RealDisk), folder, view, plan).await {
            Ok(world) => world,
            Err(error) => panic!("the engine does not start: {error}"),
        }
    }

    pub async fn start_on<V: View>(
        disk: Arc<dyn Disk>,
        folder: &std::path::Path,
        view: &V,
        plan: &Plan,
    ) -> Result<Self, NotStarted> {
        let options = JournalOptions { partitions: plan.partitions, ..plan.journal };
        let folder = folder.to_owned();
        let (journal, writer) =
            EmbeddedJournal::open(Arc::clone(&disk), folder.clone(), options, plan.clock.clone())?;
        let metrics = Metrics::new().unwrap();
        let engine_options =
            EngineOptions { lanes: plan.lanes, driver: plan.driver, instance: "test".to_owned() };
        let rules = plan.rules();
        let started = Engine::start(&journal, view, &plan.clock, &rules, &engine_options, &metrics);
        let engine = match started.await {
            Ok(engine) => engine,
            Err(error) => {
                journal.close().await;
                let _panicked = writer.join();
                return Err(error.into());
            }
        };
        let partitions = plan.partitions;
        let trust = plan.trust.clone();
        Ok(Self {
            journal,
            engine,
            metrics,
            partitions,
            disk,
            folder,
            trust,
            writer,
            patience: PATIENCE,
        })
    }

    pub fn door(&self) -> Door<EmbeddedJournal, SystemClock> {
        let (trust, journal) = (self.trust.clone(), self.journal.clone());
        Door::new(says::endpoints(), trust, 300, journal, SystemClock, self.metrics.clone())
    }

    /// Puts a signal where it belongs.
    pub async fn tell(&self, said: (SignalRecord, Proven)) -> Position {
        self.put(says::homeward(said, self.partitions)).await
    }

    pub async fn put(&self, append: Append) -> Position {
        self.journal.append(vec![append]).await.unwrap()[0]
    }

    /// Tells several as one append, so that one batch may hold them all.
    pub async fn tell_together(&self, said: Vec<(SignalRecord, Proven)>) {
        let appends = said.into_iter().map(|said| says::homeward(said, self.partitions)).collect();
        self.journal.append(appends).await.unwrap();
    }

    /// Waits until everything that is durable has been decided.
    pub async fn settle(&self) {
        let journal = self.journal.clone();
        eventually("every signal is decided", || journal.held() == 0).await;
    }

    /// Everything up to now.
    pub fn ledger(&self) -> Ledger {
        Ledger::read(Arc::clone(&self.disk), &self.folder)
    }

    pub async fn settled(&self) -> Ledger {
        self.settle().await;
        self.ledger()
    }

    /// Drains and closes; says what the log holds at the end.
    pub async fn stop(self) -> Ledger {
        self.settle().await;
        let (disk, folder) = (Arc::clone(&self.disk), self.folder.clone());
        self.end().await.unwrap();
        Ledger::read(disk, &folder)
    }

    /// Drains as far as that goes, and closes.
    pub async fn end(self) -> Result<(), EngineError> {
        let drained = self.engine.drain(self.patience).await;
        self.journal.close().await;
        self.writer.join().unwrap();
        drained
    }
}

const PATIENCE: Duration = Duration::from_secs(20);

pub async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let since = Instant::now();
    while !holds() {
        assert!(since.elapsed() < PATIENCE, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
