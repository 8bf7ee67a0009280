//! Carries out what a lane wants, against the ports. It decides nothing.

use super::attempt::{Core, Replied};
use super::residents::Residents;
use super::takeover::{TakeoverError, catch_up};
use super::taking::{Taken, Taking};
use crate::crash;
use crate::lane::batch::{Batch, Decided, Group};
use crate::lane::machine::{Lane, Limits, Rules, Stop, Todo, Told};
use crate::lane::resident::Resident;
use crate::ports::{
    Apply, Clock, Commit, CommitError, Incoming, Intake, Journal, Seat, View, ViewError,
    ViewPosition,
};
use crate::telemetry::Metrics;
use bytes::Bytes;
use smol_str::SmolStr;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

#[derive(Clone, Copy, Debug)]
pub struct DriverOptions {
    pub limits: Limits,
    /// Memory for the live attempts of one lane.
    pub attempts_memory: usize,
    pub core: Core,
}

#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    #[error(transparent)]
    Takeover(#[from] TakeoverError),
    #[error(transparent)]
    View(#[from] ViewError),
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    #[error("partition {partition} has a newer owner; this process must not write to it")]
    Fenced { partition: u32 },
    #[error(
        "{commits} commits in a row ended without a word whether they happened; the log says what \
         the journal said of each"
    )]
    InDoubt { commits: u32 },
    #[error("the journal has stopped")]
    JournalClosed,
    #[error("an attempt's actor went without a word")]
    ActorDied,
}

/// Stored bytes that do not give a resident: only damage of the view or of the journal does this.
#[derive(Debug, thiserror::Error)]
#[error("the stored state under {key} cannot be read")]
pub struct Unreadable {
    pub key: SmolStr,
}

/// The longest sleep without looking at the clock again.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// How long a lane stands still for a repair. What it has come to stays, and the next try goes on
/// from there; in between the lane hears whether its partitions are still its own.
const REPAIR_PATIENCE: Duration = Duration::from_secs(5);

/// How long an apply that failed waits before it is tried again.
const APPLY_AGAIN: Duration = Duration::from_millis(500);

pub struct Driver<J: Journal, V: View, C: Clock> {
    journal: J,
    view: V,
    clock: C,
    lane: Lane,
    intake: J::Intake,
    residents: Residents,
    /// Assigned, and not ours yet.
    taking: Taking<J, V>,
    metrics: Metrics,
    label: String,
    drain: watch::Receiver<bool>,
}

impl<J: Journal, V: View, C: Clock> Driver<J, V, C> {
    #[expect(clippy::too_many_arguments, reason = "joined once, in the engine")]
    pub fn new(
        journal: J,
        view: V,
        clock: C,
        writer: String,
        rules: Rules,
        options: DriverOptions,
        seat: Seat,
        metrics: Metrics,
        drain: watch::Receiver<bool>,
    ) -> Self {
        let intake = journal.intake(seat);
        let taking = Taking::new(journal.clone(), view.clone(), metrics.clone());
        Self {
            journal,
            view,
            clock,
            lane: Lane::new(writer, rules, options.limits),
            intake,
            residents: Residents::new(options.attempts_memory, options.core),
            taking,
            metrics,
            label: seat.lane.to_string(),
            drain,
        }
    }

    /// Waits for the first partitions, and makes them ours.
    pub async fn begin(&mut self) -> Result<(), DriverError> {
        let mut assigned = false;
        while !assigned || !self.taking.is_idle() {
            let (lane, clock) = (&self.lane, &self.clock);
            tokio::select! {
                biased;
                incoming = self.intake.next(0) => {
                    let closed = matches!(incoming, Incoming::Closed);
                    assigned |= matches!(incoming, Incoming::Assigned(_));
                    self.incoming(incoming);
                    if closed {
                        break;
                    }
                }
                taken = self.taking.next(|| lane.owner(clock.now())) => self.owns(taken?).await?,
            }
        }
        Ok(())
    }

    fn incoming(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Assigned(partitions) => self.taking.add(partitions),
            Incoming::Revoked(partitions, _let_go_at_the_end) => {
                self.taking.forget(&partitions);
                self.lane.told(Told::Lost(partitions.clone()), self.clock.now());
                self.residents.forget_partitions(&partitions);
                tracing::info!(?partitions, "let go");
            }
            Incoming::Signals(signals) => {
                self.lane.told(Told::Fetched(signals), self.clock.now());
            }
            Incoming::Closed => self.lane.told(Told::JournalClosed, self.clock.now()),
        }
    }

    async fn owns(&mut self, taken: Taken) -> Result<(), DriverError> {
        let Taken { partition, takeover, states } = taken;
        tracing::info!(
            partition,
            epoch = takeover.epoch,
            next = takeover.trailer.as_ref().map_or(0, |trailer| trailer.next),
            states,
            "took over"
        );
        let told = Told::Owns {
            partition,
            epoch: takeover.epoch,
            trailer: takeover.trailer,
            changelog: takeover.changelog_end,
        };
        self.lane.told(told, self.clock.now());
        if let Err(error) = self.journal.flow(partition).await {
            self.lane.told(Told::Lost(vec![partition]), self.clock.now());
            self.taking.again_after(error, partition)?;
        }
        Ok(())
    }

    /// Works until drained.
    pub async fn run(mut self) -> Result<(), DriverError> {
        let (applied_to, mut applied_from) = mpsc::channel::<Result<(), ViewError>>(1);
        let mut draining = false;
        loop {
            while let Some(todo) = self.lane.next(self.clock.now()) {
                match todo {
                    Todo::Decide(batch) => self.decide(batch).await?,
                    Todo::Forget(keys) => keys.iter().for_each(|key| self.residents.forget(key)),
                    Todo::TakeOver { partitions, after_ms } => {
                        self.residents.forget_partitions(&partitions);
                        self.taking.pause(Duration::from_millis(after_ms));
                        self.taking.add(partitions);
                    }
                    Todo::Commit(commit) => self.commit(commit).await,
                    Todo::Apply(applies) => self.apply(applies, applied_to.clone()),
                    Todo::Report(report) => self.metrics.committed(&report),
                    Todo::Stop(Stop::Drained) => return Ok(()),
                    Todo::Stop(Stop::Fenced { partition }) => {
                        return Err(DriverError::Fenced { partition });
                    }
                    Todo::Stop(Stop::InDoubt { commits }) => {
                        return Err(DriverError::InDoubt { commits });
                    }
                    Todo::Stop(Stop::JournalClosed) => return Err(DriverError::JournalClosed),
                }
                // What the view has said meanwhile makes room; nobody else would tell the lane.
                if let Ok(answer) = applied_from.try_recv() {
                    self.applied(answer).await?;
                }
            }
            self.show();
            let wake = self.lane.wakes_at().map(|at| at.since(self.clock.now()).max(0) as u64);
            // A clock that is set back makes any wait computed from it too long.
            let wait = wake.map_or(SLEEP_MAX, |wake| SLEEP_MAX.min(Duration::from_millis(wake)));
            let (lane, clock) = (&self.lane, &self.clock);
            // What ends the lane and what makes room comes before what fills it.
            tokio::select! {
                biased;
                changed = self.drain.changed(), if !draining => {
                    if changed.is_err() || *self.drain.borrow() {
                        draining = true;
                        self.lane.told(Told::Drain, self.clock.now());
                    }
                }
                Some(answer) = applied_from.recv() => self.applied(answer).await?,
                taken = self.taking.next(|| lane.owner(clock.now())) => self.owns(taken?).await?,
                incoming = self.intake.next(lane.wants()) => self.incoming(incoming),
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    async fn applied(&mut self, answer: Result<(), ViewError>) -> Result<(), DriverError> {
        let now = self.clock.now();
        match answer {
            Err(ViewError::Regressed { partition, has, .. }) => {
                let has = ViewPosition { changelog: has, ..ViewPosition::default() };
                if let Some(position) = self.lane.view_lacks(partition, has) {
                    match self.repair(partition, position).await {
                        Ok(()) | Err(DriverError::View(ViewError::Unavailable(_))) => {}
                        Err(error) => return Err(error),
                    }
                }
                self.lane.told(Told::NotApplied, now);
            }
            // A store that gave up does not heal in this process; a start replays the view.
            Err(lost @ ViewError::Broken(_)) => return Err(lost.into()),
            Err(ViewError::Fenced { partition, ours, .. }) => {
                self.lane.told(Told::ViewFenced { partition, ours }, now);
            }
            Ok(()) => self.lane.told(Told::Applied, now),
            Err(error @ ViewError::Unavailable(_)) => {
                tracing::error!(%error, "the view did not take what was committed; trying again");
                self.lane.told(Told::NotApplied, now);
            }
        }
        Ok(())
    }

    /// Writes behind, while the lane goes on.
    fn apply(&self, applies: Vec<Apply>, answer: mpsc::Sender<Result<(), ViewError>>) {
        let view = self.view.clone();
        actix_rt::spawn(async move {
            let mut done = Ok(());
            for apply in applies {
                done = view.apply(apply).await;
                if done.is_err() {
                    tokio::time::sleep(APPLY_AGAIN).await;
                    break;
                }
            }
            let _lane_is_gone = answer.send(done).await;
        });
    }

    async fn commit(&mut self, commit: Commit) {
        crash::point("lane.before_commit");
        let signals: u64 =
            commit.parts.iter().map(|part| part.trailer.next - part.trailer.previous).sum();
        let timer = self.metrics.commit_seconds.start_timer();
        let told = match self.journal.commit(commit).await {
            Ok(committed) => Told::Committed(committed),
            Err(CommitError::Full(commit)) => Told::NoRoom(commit),
            Err(CommitError::Fenced { partition }) => Told::Fenced { partition },
            Err(CommitError::InDoubt) => Told::InDoubt,
            Err(CommitError::Closed) => Told::JournalClosed,
        };
        timer.observe_duration();
        crash::point("lane.after_commit");
        self.metrics.commit_signals.observe(signals as f64);
        self.lane.told(told, self.clock.now());
    }

    async fn decide(&mut self, mut batch: Batch) -> Result<(), DriverError> {
        match self.decided(&mut batch).await {
            Ok(decided) => {
                self.residents.passivate();
                self.lane.told(Told::Decided { batch, decided }, self.clock.now());
            }
            Err(DriverError::View(ViewError::Unavailable(why))) => {
                self.metrics.view_unanswered.inc();
                tracing::warn!(why, "the view does not answer; what needs it waits");
                self.lane.told(Told::NotDecided(batch), self.clock.now());
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    async fn decided(&mut self, batch: &mut Batch) -> Result<Vec<Decided>, DriverError> {
        let policy = self.lane.rules().policy;
        let mut decided: Vec<Option<Decided>> = Vec::new();
        decided.resize_with(batch.groups.len(), || None);
        let mut open: Vec<usize> = (0..batch.groups.len()).collect();
        while !open.is_empty() {
            self.activate(&batch.groups, &open).await?;
            let replies = self.residents.ask(&mut batch.groups, &open, &policy).await;
            open.clear();
            for (index, replied) in replies {
                match replied {
                    Replied::Decided { decided: answer, .. } => decided[index] = Some(answer),
                    Replied::Panicked { task, tasks } => {
                        self.metrics.attempts_panicked.inc();
                        tracing::error!(
                            key = %batch.groups[index].key,
                            "a decision panicked; its signal is a dead letter"
                        );
                        batch.groups[index].tasks = tasks;
                        batch.groups[index].refuse_panicked(task);
                        open.push(index);
                    }
                    Replied::Died => return Err(DriverError::ActorDied),
                }
            }
        }
        let decided: Option<Vec<Decided>> = decided.into_iter().collect();
        decided.ok_or(DriverError::ActorDied)
    }

    /// Brings to life whoever is needed and is not live: from what the lane still holds, else from
    /// the view.
    async fn activate(&mut self, groups: &[Group], which: &[usize]) -> Result<(), DriverError> {
        let mut missing: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for &index in which {
            let group = &groups[index];
            if self.residents.is_live(&group.key) {
                continue;
            }
            match self.lane.dirty(&group.key).cloned() {
                Some(stored) => self.wake(group, Some(stored)).await?,
                None => missing.entry(group.partition).or_default().push(index),
            }
        }
        for (partition, indexes) in missing {
            let keys = indexes.iter().map(|i| key_bytes(&groups[*i].key)).collect();
            let values = self.look_up(partition, keys).await?;
            for (index, stored) in indexes.into_iter().zip(values) {
                self.wake(&groups[index], stored).await?;
            }
        }
        Ok(())
    }

    async fn wake(&mut self, group: &Group, stored: Option<Bytes>) -> Result<(), DriverError> {
        let unreadable = || Unreadable { key: group.key.clone() };
        let resident = match &stored {
            Some(stored) => Resident::decode(&group.address, stored).map_err(|_| unreadable())?,
            None => Resident::unseen(&group.address).ok_or_else(unreadable)?,
        };
        let keys = resident.parked_keys();
        let resident = if keys.is_empty() {
            resident
        } else {
            resident.with_parked(self.parked(group, keys).await?)
        };
        self.residents.activate(group, resident, stored.map_or(0, |stored| stored.len()));
        Ok(())
    }

    async fn parked(&self, group: &Group, keys: Vec<String>) -> Result<Vec<Bytes>, DriverError> {
        let held: HashMap<&String, Bytes> =
            keys.iter().filter_map(|key| Some((key, self.lane.dirty(key)?.clone()))).collect();
        let asked = keys.iter().map(|key| Bytes::copy_from_slice(key.as_bytes())).collect();
        let shown = self.look_up(group.partition, asked).await?;
        keys.iter()
            .zip(shown)
            .map(|(key, shown)| {
                held.get(key)
                    .cloned()
                    .or(shown)
                    .ok_or_else(|| Unreadable { key: SmolStr::new(key) }.into())
            })
            .collect()
    }

    /// A look-up that the view may not answer from the past: where it is behind what it had
    /// acknowledged, it is repaired first.
    async fn look_up(
        &self,
        partition: u32,
        keys: Vec<Bytes>,
    ) -> Result<Vec<Option<Bytes>>, DriverError> {
        let looked = self.view.look_up(partition, keys.clone()).await?;
        let Some(position) = self.lane.view_lacks(partition, looked.position) else {
            return Ok(looked.values);
        };
        self.repair(partition, position).await?;
        let again = self.view.look_up(partition, keys).await?;
        match self.lane.view_lacks(partition, again.position) {
            None => Ok(again.values),
            Some(_) => Err(ViewError::Unavailable("it forgets what it is given".to_owned()).into()),
        }
    }

    async fn repair(&self, partition: u32, to: ViewPosition) -> Result<(), DriverError> {
        self.metrics.view_repairs.inc();
        tracing::error!(partition, "the view forgot what it had acknowledged; repairing it");
        let catching_up = catch_up(&self.journal, &self.view, partition, to);
        let Ok(done) = tokio::time::timeout(REPAIR_PATIENCE, catching_up).await else {
            return Err(ViewError::Unavailable("it is still being repaired".to_owned()).into());
        };
        match done {
            Ok(_replayed) => Ok(()),
            // It forgot again meanwhile.
            Err(TakeoverError::View(error @ ViewError::Regressed { .. })) => {
                Err(ViewError::Unavailable(error.to_string()).into())
            }
            Err(TakeoverError::View(error)) => Err(error.into()),
            Err(error) => Err(error.into()),
        }
    }

    fn show(&self) {
        let label = [self.label.as_str()];
        let metrics = &self.metrics;
        metrics.lane_backlog.with_label_values(&label).set(self.lane.backlog() as i64);
        metrics.attempts_live.with_label_values(&label).set(self.residents.count() as i64);
        metrics.attempts_memory.with_label_values(&label).set(self.residents.weight() as i64);
        metrics.view_unapplied.with_label_values(&label).set(self.lane.dirty_bytes() as i64);
    }
}

fn key_bytes(key: &SmolStr) -> Bytes {
    Bytes::copy_from_slice(key.as_bytes())
}
