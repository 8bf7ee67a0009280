//! Journals that break one promise each, and proof that the suite sees it.

use crate::journal::{self, Home, OnLossyDisk};
use crate::support::lossy_disk::LossyDisk;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard};
use tidegate::adapters::embedded::{EmbeddedJournal, QueueIntake};
use tidegate::attempt::Position;
use tidegate::ports::{
    Append, AppendError, Commit, CommitError, Committed, Fetched, Incoming, Intake, Journal,
    JournalError, Replayed, Seat, Takeover,
};
use tidegate::wire::trailer::{Owner, Trailer};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    AcknowledgesBeforeItIsDurable,
    Reorders,
    DeliversTwice,
    LosesOne,
    GivesWhatNobodyAskedFor,
    DropsForwards,
    CommitsTheFirstPartOnly,
    CommitsTheGoodParts,
    TakesOldEpochs,
    LeavesATraceOfOldEpochs,
    TakesAnyPrevious,
    RepeatsAnEpoch,
    TakesWhatWasLeft,
    ForgetsWhoEnded,
    CountsItself,
    HandsOutAStaleTrailer,
    ForgetsTheTrailer,
    RepeatsTheDecided,
    LosesTheUndecided,
    ReplaysTheUncommitted,
    ReplaysBackwards,
    ReplaysTooLittle,
    ReplaysFromTheStart,
}

/// What a broken journal remembers over the lives of its process.
#[derive(Default)]
struct Memory {
    lives: u32,
    epochs: BTreeMap<u32, u64>,
    trailers: BTreeMap<u32, Vec<Trailer>>,
    refused: Vec<Bytes>,
    fetched: Vec<Fetched>,
}

struct BrokenHome {
    inner: OnLossyDisk,
    fault: Fault,
    memory: Arc<Mutex<Memory>>,
}

impl BrokenHome {
    fn new(fault: Fault) -> Self {
        Self { inner: OnLossyDisk(LossyDisk::default()), fault, memory: Arc::default() }
    }
}

impl Home for BrokenHome {
    type Journal = Broken;

    async fn open(&self) -> Broken {
        self.memory.lock().unwrap().lives += 1;
        let inner = self.inner.open().await;
        Broken { inner, fault: self.fault, memory: Arc::clone(&self.memory) }
    }
}

#[derive(Clone)]
struct Broken {
    inner: EmbeddedJournal,
    fault: Fault,
    memory: Arc<Mutex<Memory>>,
}

struct BrokenIntake {
    inner: QueueIntake,
    fault: Fault,
    memory: Arc<Mutex<Memory>>,
    fetches: u32,
}

impl Broken {
    fn remember(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap()
    }

    /// What the newest commit of a partition was, by what came through here.
    fn next_of(&self, partition: u32) -> u64 {
        let memory = self.remember();
        memory.trailers.get(&partition).and_then(|all| all.last()).map_or(0, |last| last.next)
    }
}

impl Journal for Broken {
    type Intake = BrokenIntake;

    fn partitions(&self) -> u32 {
        self.inner.partitions()
    }

    async fn append(&self, signals: Vec<Append>) -> Result<Vec<Position>, AppendError> {
        if self.fault == Fault::AcknowledgesBeforeItIsDurable {
            let place =
                |(at, s): (usize, &Append)| Position { partition: s.partition, offset: at as u64 };
            return Ok(signals.iter().enumerate().map(place).collect());
        }
        self.inner.append(signals).await
    }

    async fn commit(&self, mut commit: Commit) -> Result<Committed, CommitError> {
        let epoch = |partition| self.remember().epochs.get(&partition).copied().unwrap_or_default();
        match self.fault {
            Fault::DropsForwards => commit.forwards.clear(),
            Fault::CommitsTheFirstPartOnly => commit.parts.truncate(1),
            Fault::CommitsTheGoodParts => {
                let bad = commit
                    .parts
                    .iter()
                    .position(|part| part.trailer.epoch != epoch(part.partition));
                if let Some(bad) = bad {
                    let partition = commit.parts.remove(bad).partition;
                    self.inner.commit(commit).await?;
                    return Err(CommitError::Fenced { partition });
                }
            }
            Fault::TakesOldEpochs => {
                for part in &mut commit.parts {
                    part.trailer.epoch = epoch(part.partition);
                }
            }
            Fault::TakesAnyPrevious => {
                for part in &mut commit.parts {
                    part.trailer.previous = self.next_of(part.partition);
                }
            }
            _another => {}
        }
        let trailers: Vec<(u32, Trailer)> =
            commit.parts.iter().map(|part| (part.partition, part.trailer.clone())).collect();
        let value = Bytes::from_static(b"refused");
        let done = self.inner.commit(commit).await;
        let mut memory = self.remember();
        match &done {
            Ok(_) => {
                for (partition, trailer) in trailers {
                    memory.trailers.entry(partition).or_default().push(trailer);
                }
            }
            Err(_) => memory.refused.push(value),
        }
        done
    }

    async fn take_over(&self, partition: u32, owner: &Owner) -> Result<Takeover, JournalError> {
        if self.fault == Fault::GivesWhatNobodyAskedFor {
            self.inner.flow(partition).await?;
        }
        if self.fault == Fault::TakesWhatWasLeft {
            let (inner, owner) = (self.inner.clone(), owner.clone());
            actix::spawn(async move {
                tokio::time::sleep(OnLossyDisk::MOMENT / 2).await;
                inner.take_over(partition, &owner).await
            });
        }
        let mut taken = self.inner.take_over(partition, owner).await?;
        let mut memory = self.remember();
        memory.epochs.insert(partition, taken.epoch);
        match self.fault {
            Fault::RepeatsAnEpoch if taken.epoch > 1 => taken.epoch -= 1,
            Fault::HandsOutAStaleTrailer => {
                let all = memory.trailers.get(&partition);
                taken.trailer = all.and_then(|all| all.iter().rev().nth(1)).cloned();
            }
            Fault::ForgetsTheTrailer => taken.trailer = None,
            Fault::ForgetsWhoEnded => taken.tries.ended = 0,
            Fault::CountsItself => taken.tries.ended = taken.epoch as u32 - 1,
            _another => {}
        }
        Ok(taken)
    }

    async fn flow(&self, partition: u32) -> Result<(), JournalError> {
        self.inner.flow(partition).await
    }

    async fn release(&self, partitions: &[u32]) {
        self.inner.release(partitions).await;
    }

    fn replay(
        &self,
        partition: u32,
        from: u64,
        each: &mut dyn FnMut(Replayed) -> ControlFlow<()>,
    ) -> Result<u64, JournalError> {
        let from = if self.fault == Fault::ReplaysFromTheStart { 0 } else { from };
        let mut all = vec![];
        let end = self.inner.replay(partition, from, &mut |replayed| {
            all.push(replayed);
            ControlFlow::Continue(())
        })?;
        let traces =
            matches!(self.fault, Fault::ReplaysTheUncommitted | Fault::LeavesATraceOfOldEpochs);
        if traces {
            for value in &self.remember().refused {
                all.push(Replayed::State { key: Bytes::from_static(b"a"), value: value.clone() });
            }
        }
        if self.fault == Fault::ReplaysBackwards {
            all.reverse();
        }
        if self.fault == Fault::ReplaysTooLittle {
            let last = all.iter().rposition(|one| matches!(one, Replayed::State { .. }));
            last.map(|last| all.remove(last));
        }
        let _over_either_way = all.into_iter().try_for_each(each);
        Ok(end)
    }

    fn intake(&self, seat: Seat) -> BrokenIntake {
        BrokenIntake {
            inner: self.inner.intake(seat),
            fault: self.fault,
            memory: Arc::clone(&self.memory),
            fetches: 0,
        }
    }
}

impl BrokenIntake {
    async fn signals(&mut self, most: usize) -> Vec<Fetched> {
        match self.inner.next(most).await {
            Incoming::Signals(signals) => signals,
            other => panic!("{other:?} in the middle"),
        }
    }
}

impl Intake for BrokenIntake {
    async fn next(&mut self, most: usize) -> Incoming {
        let mut come = match self.inner.next(most).await {
            Incoming::Signals(signals) => signals,
            other => return other,
        };
        self.fetches += 1;
        let first = self.fetches == 1;
        if first && self.fault == Fault::RepeatsTheDecided {
            // As if the position of the last life had not been kept.
            let before = std::mem::take(&mut self.memory.lock().unwrap().fetched);
            come.splice(0..0, before);
        }
        self.memory.lock().unwrap().fetched.extend(come.iter().cloned());
        match self.fault {
            // The promise is per partition: two of one change places.
            Fault::Reorders => {
                while come.len() < 8 {
                    come.extend(self.signals(most).await);
                }
                come.reverse();
            }
            Fault::DeliversTwice if first => come.extend(come.clone()),
            Fault::LosesOne | Fault::LosesTheUndecided if first => {
                come.remove(0);
            }
            _another => {}
        }
        Incoming::Signals(come)
    }
}

macro_rules! caught {
    ($($test:ident: $fault:ident breaks $promise:ident;)+) => {
        $(#[actix::test]
        async fn $test() {
            let kept = journal::$promise(&BrokenHome::new(Fault::$fault)).await;
            assert!(kept.is_err(), "the suite does not see it");
        })+
    };
}

caught! {
    a_journal_that_acknowledges_early:
        AcknowledgesBeforeItIsDurable breaks acknowledged_appends_survive_the_process;
    a_journal_that_reorders: Reorders breaks appends_are_fetched_once_in_order_without_gaps;
    a_journal_that_delivers_twice:
        DeliversTwice breaks appends_are_fetched_once_in_order_without_gaps;
    a_journal_that_loses_one: LosesOne breaks appends_are_fetched_once_in_order_without_gaps;
    a_journal_that_gives_what_nobody_asked_for:
        GivesWhatNobodyAskedFor breaks nothing_comes_of_a_partition_before_it_is_asked_for;
    a_journal_that_drops_forwards:
        DropsForwards breaks a_commit_is_whole_over_partitions_and_forwards;
    a_journal_that_commits_half:
        CommitsTheFirstPartOnly breaks a_commit_is_whole_over_partitions_and_forwards;
    a_journal_that_commits_the_good_parts:
        CommitsTheGoodParts breaks a_commit_with_one_bad_part_leaves_no_trace;
    a_journal_that_takes_old_epochs:
        TakesOldEpochs breaks an_old_epoch_is_refused_without_trace;
    a_journal_that_leaves_traces:
        LeavesATraceOfOldEpochs breaks an_old_epoch_is_refused_without_trace;
    a_journal_that_takes_any_previous:
        TakesAnyPrevious breaks a_commit_must_follow_the_one_before;
    a_journal_that_repeats_an_epoch:
        RepeatsAnEpoch breaks a_take_over_hands_out_a_new_epoch_and_the_last_trailer;
    a_journal_that_forgets_who_ended:
        ForgetsWhoEnded breaks
        a_take_over_counts_the_processes_that_ended_before_the_next_signal;
    a_journal_that_counts_the_living:
        CountsItself breaks a_take_over_counts_the_processes_that_ended_before_the_next_signal;
    a_journal_that_takes_what_was_left:
        TakesWhatWasLeft breaks a_take_over_that_was_left_does_not_come_after_the_next;
    a_journal_that_hands_out_a_stale_trailer:
        HandsOutAStaleTrailer breaks a_take_over_hands_out_a_new_epoch_and_the_last_trailer;
    a_journal_that_forgets_the_trailer:
        ForgetsTheTrailer breaks a_take_over_hands_out_a_new_epoch_and_the_last_trailer;
    a_journal_that_repeats_the_decided:
        RepeatsTheDecided breaks undecided_signals_come_again_and_decided_ones_do_not;
    a_journal_that_loses_the_undecided:
        LosesTheUndecided breaks undecided_signals_come_again_and_decided_ones_do_not;
    a_journal_that_replays_the_uncommitted:
        ReplaysTheUncommitted breaks
        a_replay_has_every_committed_state_in_order_and_nothing_else;
    a_journal_that_replays_backwards:
        ReplaysBackwards breaks a_replay_has_every_committed_state_in_order_and_nothing_else;
    a_journal_that_replays_too_little:
        ReplaysTooLittle breaks a_replay_has_every_committed_state_in_order_and_nothing_else;
    a_journal_that_replays_from_the_start:
        ReplaysFromTheStart breaks a_replay_has_every_committed_state_in_order_and_nothing_else;
}
