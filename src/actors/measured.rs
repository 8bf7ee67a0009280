//! A lane's journal and view, with everything that passes through them counted. What is counted here
//! need not be counted by whoever uses them, nor by any engine of its own.

use crate::attempt::Position;
use crate::ports::{
    Append, AppendError, Apply, Commit, CommitError, Committed, Incoming, Intake, Journal,
    JournalError, Looked, Replayed, Seat, Takeover, View, ViewError, ViewPosition,
};
use crate::telemetry::{Asked, CommitOutcome, Metrics, Settled, WhyNot};
use crate::wire::Topic;
use crate::wire::trailer::Owner;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What is known of the lane from what has passed.
struct OfLane {
    lane: u32,
    label: String,
    metrics: Metrics,
    partitions: Mutex<Partitions>,
}

#[derive(Default)]
struct Partitions {
    /// Those whose signals come: the lane decides for them.
    flowing: BTreeSet<u32>,
    /// The last commit of each, where it is in doubt.
    in_doubt: BTreeMap<u32, Proposed>,
}

/// What a commit would make true in one partition.
#[derive(Debug)]
struct Proposed {
    partition: u32,
    epoch: u64,
    transaction: u64,
    signals: u64,
    outputs: Vec<(Topic, u64)>,
}

impl Proposed {
    fn all(commit: &Commit) -> Vec<Self> {
        let proposed = commit.parts.iter().map(|part| Self {
            partition: part.partition,
            epoch: part.trailer.epoch,
            transaction: part.trailer.transaction,
            signals: part.trailer.next - part.trailer.previous,
            outputs: part.runs.iter().map(|run| (run.topic, u64::from(run.count))).collect(),
        });
        proposed.collect()
    }
}

impl OfLane {
    fn partitions(&self) -> MutexGuard<'_, Partitions> {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn show(&self, partitions: &Partitions) {
        let gauge = self.metrics.lanes.partitions.with_label_values(&[&self.label]);
        gauge.set(i64::try_from(partitions.flowing.len()).unwrap_or(i64::MAX));
    }

    fn flows(&self, partition: u32) {
        let mut partitions = self.partitions();
        partitions.flowing.insert(partition);
        self.show(&partitions);
    }

    fn stands(&self, partition: u32) {
        let mut partitions = self.partitions();
        partitions.flowing.remove(&partition);
        self.show(&partitions);
    }

    fn lost(&self, lost: &[u32]) {
        let mut partitions = self.partitions();
        partitions.flowing.retain(|partition| !lost.contains(partition));
        partitions.in_doubt.retain(|partition, _| !lost.contains(partition));
        self.show(&partitions);
        self.metrics.view.behind.let_go(self.lane, lost);
    }

    fn wrote(&self, proposed: &Proposed) {
        for (topic, count) in &proposed.outputs {
            self.metrics.lanes.outputs.with_label_values(&[topic.word()]).inc_by(*count);
        }
    }

    fn ended(
        &self,
        proposed: Vec<Proposed>,
        done: &Result<Committed, CommitError>,
        took: Duration,
    ) {
        let metrics = &self.metrics;
        metrics.commit_seconds.observe(took.as_secs_f64());
        let outcome = match done {
            Ok(committed) => {
                let signals: u64 = proposed.iter().map(|part| part.signals).sum();
                metrics.commit_signals.observe(signals as f64);
                proposed.iter().for_each(|part| self.wrote(part));
                metrics.view.behind.committed(self.lane, &committed.changelog, Instant::now());
                CommitOutcome::Committed
            }
            Err(CommitError::InDoubt(doubt)) => {
                metrics.lanes.doubts.with_label_values(&[doubt.word()]).inc();
                let proposed = proposed.into_iter().map(|part| (part.partition, part));
                self.partitions().in_doubt.extend(proposed);
                CommitOutcome::InDoubt
            }
            Err(CommitError::Fenced { .. }) => CommitOutcome::Fenced,
            Err(CommitError::Full(_)) => CommitOutcome::NoRoom,
            Err(CommitError::Closed) => CommitOutcome::Closed,
        };
        metrics.lanes.commits.with_label_values(&[outcome.word()]).inc();
    }

    fn took_over(&self, partition: u32, takeover: &Takeover) {
        let metrics = &self.metrics;
        metrics.view.behind.took_over(self.lane, partition, takeover.changelog_end, Instant::now());
        if takeover.fenced {
            metrics.lanes.writers_fenced.inc();
        }
        let Some(doubted) = self.partitions().in_doubt.remove(&partition) else { return };
        let trailer = takeover.trailer.as_ref();
        let happened = trailer.is_some_and(|trailer| {
            (trailer.epoch, trailer.transaction) == (doubted.epoch, doubted.transaction)
        });
        let settled = if happened {
            self.wrote(&doubted);
            Settled::Committed
        } else {
            Settled::Aborted
        };
        metrics.lanes.doubts_settled.with_label_values(&[settled.word()]).inc();
    }

    fn failed(&self, asked: Asked, error: &ViewError) {
        let why = match error {
            ViewError::Unavailable(_) => WhyNot::Unavailable,
            ViewError::Regressed { .. } => WhyNot::Regressed,
            ViewError::Fenced { .. } => WhyNot::Fenced,
            ViewError::Broken(_) => WhyNot::Broken,
        };
        let failures = &self.metrics.view.failures;
        failures.with_label_values(&[asked.word(), why.word()]).inc();
    }
}

/// The journal and the view of one lane, measured.
pub fn measured<J: Journal, V: View>(
    journal: J,
    view: V,
    lane: u32,
    metrics: Metrics,
) -> (MeasuredJournal<J>, MeasuredView<V>) {
    let of_lane = OfLane { lane, label: lane.to_string(), metrics, partitions: Mutex::default() };
    let lane = Arc::new(of_lane);
    (MeasuredJournal { journal, lane: Arc::clone(&lane) }, MeasuredView { view, lane })
}

#[derive(Clone)]
pub struct MeasuredJournal<J> {
    journal: J,
    lane: Arc<OfLane>,
}

impl<J: Journal> Journal for MeasuredJournal<J> {
    type Intake = MeasuredIntake<J::Intake>;

    fn partitions(&self) -> u32 {
        self.journal.partitions()
    }

    async fn append(&self, signals: Vec<Append>) -> Result<Vec<Position>, AppendError> {
        self.journal.append(signals).await
    }

    async fn commit(&self, commit: Commit) -> Result<Committed, CommitError> {
        let proposed = Proposed::all(&commit);
        let began = Instant::now();
        let done = self.journal.commit(commit).await;
        self.lane.ended(proposed, &done, began.elapsed());
        done
    }

    async fn take_over(&self, partition: u32, owner: &Owner) -> Result<Takeover, JournalError> {
        self.lane.stands(partition);
        let taken = self.journal.take_over(partition, owner).await;
        taken.inspect(|takeover| self.lane.took_over(partition, takeover))
    }

    async fn release(&self, partitions: &[u32]) {
        self.journal.release(partitions).await;
    }

    async fn flow(&self, partition: u32) -> Result<(), JournalError> {
        let flows = self.journal.flow(partition).await;
        flows.inspect(|()| self.lane.flows(partition))
    }

    fn replay(
        &self,
        partition: u32,
        from: u64,
        each: &mut dyn FnMut(Replayed) -> ControlFlow<()>,
    ) -> Result<u64, JournalError> {
        let mut states = 0;
        let end = self.journal.replay(partition, from, &mut |replayed| {
            states += u64::from(matches!(replayed, Replayed::State { .. }));
            each(replayed)
        });
        self.lane.metrics.lanes.replayed.inc_by(states);
        end
    }

    fn intake(&self, seat: Seat) -> Self::Intake {
        MeasuredIntake { intake: self.journal.intake(seat), lane: Arc::clone(&self.lane) }
    }
}

pub struct MeasuredIntake<I> {
    intake: I,
    lane: Arc<OfLane>,
}

impl<I: Intake> Intake for MeasuredIntake<I> {
    async fn next(&mut self, most: usize) -> Incoming {
        let incoming = self.intake.next(most).await;
        if let Incoming::Revoked(partitions, _) = &incoming {
            self.lane.lost(partitions);
        }
        incoming
    }
}

#[derive(Clone)]
pub struct MeasuredView<V> {
    view: V,
    lane: Arc<OfLane>,
}

impl<V: View> View for MeasuredView<V> {
    async fn position(&self, partition: u32) -> Result<ViewPosition, ViewError> {
        let position = self.view.position(partition).await;
        position.inspect_err(|error| self.lane.failed(Asked::Position, error))
    }

    async fn look_up(&self, partition: u32, keys: Vec<Bytes>) -> Result<Looked, ViewError> {
        self.lane.metrics.view.look_up_keys.observe(keys.len() as f64);
        let timer = self.lane.metrics.view.look_up_seconds.start_timer();
        let looked = self.view.look_up(partition, keys).await;
        timer.observe_duration();
        looked.inspect_err(|error| self.lane.failed(Asked::LookUp, error))
    }

    async fn apply(&self, apply: Apply) -> Result<(), ViewError> {
        let view = &self.lane.metrics.view;
        let (partition, upto) = (apply.partition, apply.position.changelog);
        view.apply_states.observe(apply.states.len() as f64);
        let began = Instant::now();
        let applied = self.view.apply(apply).await;
        view.apply_seconds.observe(began.elapsed().as_secs_f64());
        match &applied {
            Ok(()) => view.behind.shown(self.lane.lane, partition, upto, began),
            Err(error) => self.lane.failed(Asked::Apply, error),
        }
        applied
    }

    async fn scan(
        &self,
        partition: u32,
        after: Bytes,
        limit: usize,
    ) -> Result<Vec<(Bytes, Bytes)>, ViewError> {
        self.view.scan(partition, after, limit).await
    }
}

#[cfg(test)]
mod tests;
