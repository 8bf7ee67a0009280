//! Carries out what a lane wants, against the ports. It decides nothing.

use super::attempt::{Core, Replied};
use super::failing::{DriverError, Unreadable};
use super::residents::Residents;
use super::taking::{Ready, Taken, Taking};
use crate::crash;
use crate::lane::batch::{Batch, Decided, Group};
use crate::lane::machine::{LIVES_UNSUSPECTED, Lane, Limits, Rules, Stop, Todo, Told};
use crate::lane::resident::Resident;
use crate::ports::{
    Apply, Clock, Commit, CommitError, Incoming, Intake, Journal, Part, Seat, View, ViewError,
    ViewPosition,
};
use crate::safeguard::Safeguard;
use crate::telemetry::Metrics;
use crate::wire::trailer::Tries;
use bytes::Bytes;
use smol_str::SmolStr;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};

#[derive(Clone, Copy, Debug)]
pub struct DriverOptions {
    pub limits: Limits,
    /// Memory for the live attempts of one lane.
    pub attempts_memory: usize,
    pub core: Core,
}

/// The longest sleep without looking at the clock again.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// How long an apply that failed waits before it is tried again.
const APPLY_AGAIN: Duration = Duration::from_millis(500);

/// The same for one that met a partition under repair: what is of the others waits with it.
const REPAIR_AGAIN: Duration = Duration::from_millis(50);

/// What is heard of an apply.
enum Heard {
    /// The view has less of a partition than it must.
    Lost {
        partition: u32,
        has: u64,
    },
    /// These are in; the rest is to be applied again.
    Partly(Vec<u32>),
    /// Some of it is to be applied again.
    Again,
    Over(Result<(), ViewError>),
}

pub struct Driver<J: Journal, V: View, C: Clock> {
    journal: J,
    view: V,
    clock: C,
    lane: Lane,
    intake: J::Intake,
    residents: Residents,
    /// Assigned, and not ours yet.
    taking: Taking<J, V>,
    /// The partition whose next signal is decided alone, while it is.
    deciding_alone: Option<(u32, OwnedSemaphorePermit)>,
    metrics: Metrics,
    label: String,
    drain: watch::Receiver<bool>,
    /// Whether the journal has said once what is ours.
    assigned: bool,
    /// Told once the first partitions are ours.
    ready: Option<oneshot::Sender<()>>,
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
        one_alone: Arc<Semaphore>,
        drain: watch::Receiver<bool>,
        ready: oneshot::Sender<()>,
    ) -> Self {
        let intake = journal.intake(seat);
        let taking = Taking::new(journal.clone(), view.clone(), metrics.clone(), one_alone);
        Self {
            journal,
            view,
            clock,
            lane: Lane::new(writer, rules, options.limits),
            intake,
            residents: Residents::new(options.attempts_memory, options.core),
            taking,
            deciding_alone: None,
            metrics,
            label: seat.lane.to_string(),
            drain,
            assigned: false,
            ready: Some(ready),
        }
    }

    async fn incoming(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Assigned(partitions) => {
                self.assigned = true;
                self.taking.add(partitions);
            }
            Incoming::Revoked(partitions, letting_go) => {
                self.taking.forget(&partitions);
                self.gives_up_alone(&partitions);
                self.lane.told(Told::Lost(partitions.clone()), self.clock.now());
                self.residents.forget_partitions(&partitions);
                self.journal.release(&partitions).await;
                drop(letting_go);
                tracing::info!(?partitions, "let go");
            }
            Incoming::Signals(signals) => {
                self.lane.told(Told::Fetched(signals), self.clock.now());
            }
            Incoming::Closed => self.lane.told(Told::JournalClosed, self.clock.now()),
        }
    }

    /// Whatever comes of these partitions, it is not their next signal decided alone.
    fn gives_up_alone(&mut self, partitions: &[u32]) {
        self.deciding_alone.take_if(|(partition, _)| partitions.contains(partition));
    }

    async fn is_ready(&mut self, ready: Ready) -> Result<(), DriverError> {
        match ready {
            Ready::Taken(taken) => self.owns(taken).await,
            Ready::Repaired => {
                self.lane.told(Told::ViewAnswers, self.clock.now());
                Ok(())
            }
        }
    }

    async fn owns(&mut self, taken: Taken) -> Result<(), DriverError> {
        let Taken { partition, takeover, states, took, permit } = taken;
        let next = takeover.trailer.as_ref().map_or(0, |trailer| trailer.next);
        let Tries { ended, ended_alone, .. } = takeover.tries;
        if ended >= LIVES_UNSUSPECTED {
            let message = "processes ended, and nothing was decided since this signal";
            tracing::warn!(partition, next, ended, ended_alone, "{message}");
        }
        if let Some(permit) = permit {
            tracing::error!(partition, next, "this signal may end processes; it is decided alone");
            self.deciding_alone = Some((partition, permit));
        }
        tracing::info!(
            partition,
            epoch = takeover.epoch,
            next,
            states,
            journal_ms = took.journal.as_millis() as u64,
            view_ms = took.view.as_millis() as u64,
            "took over"
        );
        let told = Told::Owns {
            partition,
            epoch: takeover.epoch,
            trailer: takeover.trailer,
            changelog: takeover.changelog_end,
            tries: takeover.tries,
        };
        self.lane.told(told, self.clock.now());
        if let Err(error) = self.journal.flow(partition).await {
            self.gives_up_alone(&[partition]);
            self.lane.told(Told::Lost(vec![partition]), self.clock.now());
            self.taking.again_after(error, partition)?;
        }
        Ok(())
    }

    /// Works until drained.
    pub async fn run(mut self) -> Result<(), DriverError> {
        let ended = self.work().await;
        if let Some((partition, _permit)) = self.deciding_alone.take_if(|_| ended.is_err()) {
            // The lane ends of its own will, for a reason that it tells: not of the signal.
            let owner = self.lane.owner(self.clock.now());
            let _not_said = self.journal.take_over(partition, &owner).await;
        }
        ended
    }

    async fn work(&mut self) -> Result<(), DriverError> {
        let (applied_to, mut applied_from) = mpsc::channel::<Heard>(1);
        let mut draining = false;
        loop {
            while let Some(todo) = self.lane.next(self.clock.now()) {
                match todo {
                    Todo::Decide(batch) => self.decide(batch).await?,
                    Todo::Forget(keys) => keys.iter().for_each(|key| self.residents.forget(key)),
                    Todo::TakeOver { partitions, after_ms } => {
                        if Safeguard::ForgetTheDoubtful.is_on() {
                            self.residents.forget_partitions(&partitions);
                        }
                        self.gives_up_alone(&partitions);
                        self.taking.pause(Duration::from_millis(after_ms));
                        self.taking.add(partitions);
                    }
                    Todo::TryAlone { partition } => {
                        self.gives_up_alone(&[partition]);
                        self.residents.forget_partitions(&[partition]);
                        self.taking.add_alone(partition);
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
            if self.assigned
                && self.taking.is_idle()
                && let Some(ready) = self.ready.take()
            {
                let _nobody_waits = ready.send(());
            }
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
                ready = self.taking.next(|| lane.owner(clock.now())) => {
                    self.is_ready(ready?).await?;
                }
                incoming = self.intake.next(lane.wants()) => self.incoming(incoming).await,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    async fn applied(&mut self, heard: Heard) -> Result<(), DriverError> {
        let now = self.clock.now();
        match heard {
            Heard::Lost { partition, has } => {
                let has = ViewPosition { changelog: has, ..ViewPosition::default() };
                if let Some(position) = self.lane.view_lacks(partition, has) {
                    self.taking.repair(partition, position);
                }
            }
            Heard::Partly(partitions) => self.lane.told(Told::AppliedOf(partitions), now),
            Heard::Again => self.lane.told(Told::NotApplied, now),
            // A store that gave up does not heal in this process; a start replays the view.
            Heard::Over(Err(lost @ ViewError::Broken(_))) => return Err(lost.into()),
            Heard::Over(Err(ViewError::Fenced { partition, ours, .. })) => {
                self.lane.told(Told::ViewFenced { partition, ours }, now);
            }
            Heard::Over(Ok(())) => self.lane.told(Told::Applied, now),
            Heard::Over(Err(error @ (ViewError::Unavailable(_) | ViewError::Regressed { .. }))) => {
                tracing::error!(%error, "the view did not take what was committed; trying again");
                self.lane.told(Told::NotApplied, now);
            }
        }
        Ok(())
    }

    /// Writes behind, while the lane goes on. What is of a partition under repair comes later: each
    /// of the others is asked, so that all that were lost are found at once.
    fn apply(&self, applies: Vec<Apply>, answer: mpsc::Sender<Heard>) {
        let view = self.view.clone();
        let (later, applies): (Vec<Apply>, Vec<Apply>) =
            applies.into_iter().partition(|apply| self.taking.is_about(apply.partition));
        let mut again = !later.is_empty();
        actix_rt::spawn(async move {
            let (mut heard, mut applied) = (Heard::Over(Ok(())), vec![]);
            for apply in applies {
                let partition = apply.partition;
                match view.apply(apply).await {
                    Ok(()) => applied.push(partition),
                    Err(ViewError::Regressed { partition, has, .. }) => {
                        again = true;
                        let _lane_is_gone = answer.send(Heard::Lost { partition, has }).await;
                    }
                    Err(error) => {
                        tokio::time::sleep(APPLY_AGAIN).await;
                        heard = Heard::Over(Err(error));
                        break;
                    }
                }
            }
            if again && matches!(heard, Heard::Over(Ok(()))) {
                heard = Heard::Again;
            }
            if !matches!(heard, Heard::Over(Ok(()))) && !applied.is_empty() {
                let _lane_is_gone = answer.send(Heard::Partly(applied)).await;
            }
            if matches!(heard, Heard::Again) {
                tokio::time::sleep(REPAIR_AGAIN).await;
            }
            let _lane_is_gone = answer.send(heard).await;
        });
    }

    async fn commit(&mut self, commit: Commit) {
        crash::point("lane.before_commit");
        let over = |(partition, _): &mut (u32, OwnedSemaphorePermit)| {
            let decides = |part: &Part| part.trailer.previous < part.trailer.next;
            commit.parts.iter().any(|part| part.partition == *partition && decides(part))
        };
        let _held_until_it_is_decided = self.deciding_alone.take_if(over);
        let told = match self.journal.commit(commit).await {
            Ok(committed) => Told::Committed(committed),
            Err(CommitError::Full(commit)) => Told::NoRoom(commit),
            Err(CommitError::Fenced { partition }) => Told::Fenced { partition },
            Err(CommitError::InDoubt(_)) => Told::InDoubt,
            Err(CommitError::Closed) => Told::JournalClosed,
        };
        crash::point("lane.after_commit");
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
            let tasks = open.iter().flat_map(|index| &batch.groups[*index].tasks);
            tasks.for_each(|task| crash::deadly(&task.record.value));
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

    async fn parked(
        &mut self,
        group: &Group,
        keys: Vec<String>,
    ) -> Result<Vec<Bytes>, DriverError> {
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
        &mut self,
        partition: u32,
        keys: Vec<Bytes>,
    ) -> Result<Vec<Option<Bytes>>, DriverError> {
        let looked = self.view.look_up(partition, keys).await?;
        let Some(position) = self.lane.view_lacks(partition, looked.position) else {
            return Ok(looked.values);
        };
        self.taking.repair(partition, position);
        Err(ViewError::Unavailable(format!("it is shown partition {partition} again")).into())
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
