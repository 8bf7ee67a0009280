//! What a lane does next. Told things go in, things to do come out; nothing here waits, sleeps or
//! asks the time.

pub use super::owned::LIVES_UNSUSPECTED;
pub use super::told::{Limits, Report, Rules, Stop, Todo, Told};

use super::batch::{Batch, Decided, Item, weight};
use super::dirty::Dirty;
use super::inbox::Inbox;
use super::owned::{Care, Owned};
use super::part::{self, Hand, Scene, Standing};
use super::phase::{Phase, Proposed, weight_of};
use crate::attempt::{DeadLetter, Position, Timestamp};
use crate::ports::{Apply, Commit, Committed, Fetched, Part, ViewPosition};
use crate::wire::prove::{Proven, Said};
use crate::wire::published;
use crate::wire::trailer::Owner;
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};

#[derive(Debug)]
pub struct Lane {
    /// Which lane of which instance this is.
    writer: String,
    rules: Rules,
    limits: Limits,
    owned: BTreeMap<u32, Owned>,
    inbox: Inbox,
    phase: Phase,
    dirty: Dirty,
    /// What the view is being given: up to where it will have each partition.
    applying: Option<BTreeMap<u32, ViewPosition>>,
    /// Up to where the view has said that it has everything.
    shown: BTreeMap<u32, ViewPosition>,
    last_commit: Timestamp,
    last_apply: Timestamp,
    /// Signals in the newest batch.
    last_batch: usize,
    /// Signals that the next batch takes at most: fewer after one that had to be split.
    batch_most: usize,
    /// Nothing is decided before this: the view did not answer.
    view_again_at: Option<Timestamp>,
    /// Commits in a row that were in doubt.
    doubts: u32,
    /// The newest signal of each partition that this life decided without ending of it.
    survived: BTreeMap<u32, u64>,
    ready: VecDeque<Todo>,
    draining: bool,
    stopped: bool,
}

impl Lane {
    pub fn new(writer: String, rules: Rules, limits: Limits) -> Self {
        Self {
            writer,
            rules,
            limits,
            owned: BTreeMap::new(),
            inbox: Inbox::default(),
            phase: Phase::Idle,
            dirty: Dirty::default(),
            applying: None,
            shown: BTreeMap::new(),
            last_commit: Timestamp(0),
            last_apply: Timestamp(0),
            last_batch: 0,
            batch_most: limits.batch_signals,
            view_again_at: None,
            doubts: 0,
            survived: BTreeMap::new(),
            ready: VecDeque::new(),
            draining: false,
            stopped: false,
        }
    }

    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The owner record that a take-over writes.
    pub fn owner(&self, at: Timestamp) -> Owner {
        self.rules.owner(&self.writer, at)
    }

    /// The newest committed state of `key`, where the view may not have it.
    pub fn dirty(&self, key: &str) -> Option<&Bytes> {
        self.dirty.get(key)
    }

    pub fn dirty_bytes(&self) -> usize {
        self.dirty.bytes()
    }

    /// Signals that wait to be decided.
    pub fn backlog(&self) -> usize {
        self.inbox.held()
    }

    /// Signals that are wanted now: two batches are kept ready.
    pub fn wants(&self) -> usize {
        let batch = self.limits.batch_signals;
        let full = self.inbox.held() >= 2 * batch;
        if self.draining || self.stopped || full { 0 } else { batch }
    }

    /// Up to where the view has a partition once the newest states are in.
    fn committed_to(&self, partition: u32) -> Option<ViewPosition> {
        self.owned
            .get(&partition)
            .map(|owned| ViewPosition { epoch: owned.epoch, changelog: owned.changelog })
    }

    /// Up to where the view must be brought before its answer may be used: an answer from before
    /// what it had acknowledged is one from the past. `None` where the answer is good.
    pub fn view_lacks(&self, partition: u32, answered_at: ViewPosition) -> Option<ViewPosition> {
        let shown = self.shown.get(&partition)?;
        (answered_at.changelog < shown.changelog).then_some(*shown)
    }

    pub fn told(&mut self, told: Told, now: Timestamp) {
        match told {
            Told::Owns { partition, epoch, trailer, changelog, tries } => {
                // Whoever took over has shown the view everything up to here.
                self.shown.insert(partition, ViewPosition { epoch, changelog });
                let survived = self.survived.get(&partition).copied();
                let mut owned = Owned::from_trailer(epoch, trailer, changelog, tries, survived);
                if let Some((count, beyond)) = self.inbox.bring_back(partition) {
                    owned.brings_back(count, beyond);
                }
                self.owned.insert(partition, owned);
            }
            Told::Fetched(fetched) => {
                // What comes of a partition before it is owned comes again once it is.
                for signal in fetched {
                    self.fetched(signal);
                }
            }
            Told::NotDecided(batch) => {
                // Fewer at a time: what is in memory at the front need not wait for what is not.
                self.view_again_at = Some(Timestamp(now.0 + self.limits.view_again_ms));
                self.split(batch);
            }
            Told::Decided { batch, decided } => {
                self.view_again_at = None;
                self.propose(batch, &decided);
            }
            Told::Committed(committed) => self.committed(&committed, now),
            Told::NoRoom(commit) => self.no_room(commit, now),
            Told::InDoubt => self.in_doubt(),
            Told::Fenced { partition } => self.stop(Stop::Fenced { partition }),
            Told::JournalClosed => self.stop(Stop::JournalClosed),
            Told::Lost(partitions) => self.lose(&partitions),
            Told::Applied => {
                self.dirty.done();
                let applied = self.applying.take().into_iter().flatten();
                applied.for_each(|(partition, position)| self.shown(partition, position));
            }
            Told::AppliedOf(partitions) => {
                self.dirty.done_of(&partitions);
                for partition in partitions {
                    let applying = self.applying.as_mut();
                    if let Some(position) = applying.and_then(|it| it.remove(&partition)) {
                        self.shown(partition, position);
                    }
                }
            }
            Told::NotApplied => self.not_applied(),
            Told::ViewAnswers => self.view_again_at = None,
            Told::ViewFenced { partition, ours } => {
                let owned = self.owned.get(&partition);
                if owned.is_some_and(|owned| owned.epoch == ours) {
                    self.stop(Stop::Fenced { partition });
                } else {
                    // It was lost meanwhile, or taken over anew. The newer owner is right.
                    self.not_applied();
                }
            }
            Told::Drain => self.draining = true,
        }
    }

    fn fetched(&mut self, signal: Fetched) {
        let Position { partition, offset } = signal.position;
        if self.inbox.is_held_back(partition) {
            return self.inbox.push(signal);
        }
        // A journal may hand over again what was held back while the partition was taken over anew.
        let owned = self.owned.get_mut(&partition).filter(|owned| owned.fetched_to <= offset);
        if let Some(owned) = owned {
            owned.fetched_to = offset + 1;
            self.inbox.push(signal);
        }
    }

    fn in_doubt(&mut self) {
        self.phase = Phase::Idle;
        self.doubts += 1;
        let partitions: Vec<u32> = self.owned.keys().copied().collect();
        self.lose(&partitions);
        if self.doubts > self.limits.doubts {
            return self.stop(Stop::InDoubt { commits: self.doubts });
        }
        let after_ms = self.limits.doubt_again_ms << (self.doubts - 1);
        self.ready.push_back(Todo::TakeOver { partitions, after_ms });
    }

    fn shown(&mut self, partition: u32, applied: ViewPosition) {
        // Of an epoch before, it says nothing of what the view has now.
        let shown = self.shown.get_mut(&partition);
        if let Some(shown) = shown.filter(|shown| shown.epoch == applied.epoch) {
            shown.changelog = shown.changelog.max(applied.changelog);
        }
    }

    fn not_applied(&mut self) {
        self.dirty.undo();
        self.applying = None;
    }

    /// Drops everything that is held of these partitions. Whoever has them now reads it from the
    /// journal. A lane is told between two commits: there is nothing proposed that they are part of.
    fn lose(&mut self, partitions: &[u32]) {
        debug_assert!(matches!(self.phase, Phase::Idle), "a lane loses nothing within a commit");
        self.inbox.forget(partitions);
        self.let_go(partitions);
    }

    fn let_go(&mut self, partitions: &[u32]) {
        let lost = |partition: u32| partitions.contains(&partition);
        self.owned.retain(|partition, _| !lost(*partition));
        self.shown.retain(|partition, _| !lost(*partition));
        self.dirty.drop_partitions(partitions);
    }

    /// The next thing to do, if there is one now.
    pub fn next(&mut self, now: Timestamp) -> Option<Todo> {
        if let Some(todo) = self.ready.pop_front() {
            return Some(todo);
        }
        if self.stopped {
            return None;
        }
        if self.may_apply(now) {
            return Some(self.apply(now));
        }
        if let Phase::NoRoom { since, .. } = &self.phase
            && now.is_past(*since, self.limits.no_room_ms)
        {
            return self.try_again();
        }
        if !matches!(self.phase, Phase::Idle) {
            return None;
        }
        if let Some(partition) = self.wants_care() {
            self.inbox.hold_back(partition);
            self.let_go(&[partition]);
            return Some(Todo::TryAlone { partition });
        }
        if self.may_begin(now) {
            self.phase = Phase::Deciding;
            let fetched = self.take();
            let batch = Batch::new(now, fetched, &self.rules.trust, self.rules.partitions);
            return Some(Todo::Decide(batch));
        }
        if self.summary_due(now) {
            let batch = Batch { at: now, items: vec![], groups: vec![] };
            self.propose(batch, &[]);
            return self.ready.pop_front();
        }
        if self.draining
            && self.inbox.is_empty()
            && self.dirty.is_clean()
            && self.applying.is_none()
        {
            self.stop(Stop::Drained);
            return self.ready.pop_front();
        }
        None
    }

    /// When [`Self::next`] may have something without being told anything.
    pub fn wakes_at(&self) -> Option<Timestamp> {
        let apply = (self.applying.is_none() && self.dirty.has_gathered())
            .then(|| Timestamp(self.last_apply.0 + self.apply_floor_ms()));
        let work = match &self.phase {
            Phase::NoRoom { since, .. } => Some(Timestamp(since.0 + self.limits.no_room_ms)),
            Phase::Deciding | Phase::Committing(_) => None,
            Phase::Idle if self.blocked_by_view() => None,
            Phase::Idle if !self.inbox.is_empty() => {
                let floor = Timestamp(self.last_commit.0 + self.limits.commit_floor_ms);
                Some(self.view_again_at.map_or(floor, |again| again.max(floor)))
            }
            Phase::Idle => self.owned.values().filter_map(Owned::summary_at).min(),
        };
        work.into_iter().chain(apply).min()
    }

    fn blocked_by_view(&self) -> bool {
        self.dirty.bytes() > self.limits.dirty_bytes
    }

    fn may_begin(&self, now: Timestamp) -> bool {
        let view_silent = self.view_again_at.is_some_and(|at| now < at);
        if self.inbox.is_empty() || self.blocked_by_view() || view_silent {
            return false;
        }
        let full = self.inbox.len() >= self.limits.batch_signals
            || self.inbox.bytes() >= self.limits.batch_bytes;
        full || self.draining || now.is_past(self.last_commit, self.limits.commit_floor_ms)
    }

    /// A partition whose next signal is here, and is not to be looked at before it is written down
    /// that it is decided alone.
    fn wants_care(&self) -> Option<u32> {
        let mut suspects = self.owned.iter().filter(|(_, owned)| owned.care == Care::Suspect);
        suspects.find(|(partition, _)| self.inbox.has(**partition)).map(|(partition, _)| *partition)
    }

    fn take(&mut self) -> Vec<Fetched> {
        let (mut bytes, mut claims, mut count) = (0, 0, 0);
        for signal in self.inbox.iter_mut().take(self.batch_most) {
            let owned = self.owned.get(&signal.position.partition);
            let care = owned.map_or(Care::Plain, |owned| owned.care);
            // What is decided alone is the first in a batch, and the last.
            if count > 0 && care != Care::Plain {
                break;
            }
            if care == Care::Condemned {
                let why = DeadLetter::EndedTheProcess;
                signal.proven = Some(Proven::refused_unread(&signal.record, why));
            }
            let heavy = bytes + weight(&signal.record) > self.limits.batch_bytes;
            // Kept, so that the batch need not prove it again.
            let prove = || self.rules.trust.prove(&signal.record);
            let proven = signal.proven.get_or_insert_with(prove);
            claims += usize::from(matches!(proven.said, Said::Claim(_)));
            // The first one is always taken, however large.
            if count > 0 && (heavy || claims > self.limits.batch_claims) {
                break;
            }
            bytes += weight(&signal.record);
            count += 1;
            if care != Care::Plain {
                break;
            }
        }
        self.last_batch = count;
        self.inbox.take(count, bytes)
    }

    /// Puts a decided batch into one commit over every partition that it concerns.
    fn propose(&mut self, batch: Batch, decided: &[Decided]) {
        let at = batch.at;
        let at_text = published::rfc3339(at);
        let scene = Scene {
            trust: &self.rules.trust,
            partitions: self.rules.partitions,
            at,
            at_text: &at_text,
        };
        let mut commit = Commit { parts: vec![], forwards: vec![] };
        let mut proposed =
            Proposed { owned: BTreeMap::new(), states: vec![], report: Report::default() };
        for (&partition, owned) in &self.owned {
            let input = || batch.items.iter().filter(|i| i.position.partition == partition);
            let sums_up = owned.summary_due(at);
            if input().next().is_none() && !sums_up {
                continue;
            }
            let transaction = owned.transaction + 1;
            let hand = Hand { writer: &self.writer, epoch: owned.epoch, transaction };
            let before = &owned.standing;
            let mut written = part::write(scene, hand, &batch, decided, partition, before, sums_up);
            commit.forwards.append(&mut written.forwards);
            proposed.report.alarms.append(&mut written.alarms);
            proposed.report.dead_letters.append(&mut written.dead);
            proposed.report.reads.append(&mut written.reads);
            let standing = Standing::from(&written.trailer);
            let grown = standing.counts.minus(&before.counts);
            proposed.report.grown = proposed.report.grown.plus(&grown);
            let states = written.states.into_iter();
            proposed.states.extend(states.map(|(key, state)| (partition, key, state)));
            commit.parts.push(Part {
                partition,
                trailer: written.trailer,
                input_bytes: input().map(|item| item.weight() as u64).sum(),
                runs: written.runs,
            });
            let mut care = owned.care;
            if input().next().is_some() {
                self.survived.insert(partition, owned.standing.next);
                care = care.after_one();
            }
            let after = Owned { transaction, standing, care, ..owned.clone() };
            proposed.owned.insert(partition, after);
        }
        if weight_of(&commit) > self.limits.commit_bytes && batch.items.len() > 1 {
            self.split(batch);
            return;
        }
        self.phase = Phase::Committing(Box::new(proposed));
        self.ready.push_back(Todo::Commit(commit));
    }

    /// A batch that cannot be committed as it is is decided again in smaller ones: what was decided
    /// is forgotten, and the signals go back to the front.
    fn split(&mut self, batch: Batch) {
        self.batch_most = (batch.items.len() / 2).max(1);
        let keys = batch.groups.into_iter().map(|group| group.key).collect();
        for Item { position, record, .. } in batch.items.into_iter().rev() {
            self.inbox.put_back(Fetched { position, record, proven: None });
        }
        self.phase = Phase::Idle;
        self.ready.push_back(Todo::Forget(keys));
    }

    fn committed(&mut self, committed: &Committed, now: Timestamp) {
        let Phase::Committing(mut proposed) = std::mem::replace(&mut self.phase, Phase::Idle)
        else {
            return;
        };
        for &(partition, changelog) in &committed.changelog {
            if let Some(after) = proposed.owned.get_mut(&partition) {
                after.changelog = changelog;
            }
        }
        self.owned.append(&mut proposed.owned);
        for (partition, key, state) in proposed.states {
            self.dirty.put(partition, key, state);
        }
        self.last_commit = now;
        self.doubts = 0;
        self.batch_most = (self.batch_most * 2).min(self.limits.batch_signals);
        self.ready.push_back(Todo::Report(proposed.report));
    }

    fn no_room(&mut self, commit: Commit, now: Timestamp) {
        let Phase::Committing(proposed) = std::mem::replace(&mut self.phase, Phase::Idle) else {
            return;
        };
        self.phase = Phase::NoRoom { proposed, commit: Box::new(commit), since: now };
    }

    fn try_again(&mut self) -> Option<Todo> {
        match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::NoRoom { proposed, commit, .. } => {
                self.phase = Phase::Committing(proposed);
                Some(Todo::Commit(*commit))
            }
            other @ (Phase::Idle | Phase::Deciding | Phase::Committing(_)) => {
                self.phase = other;
                None
            }
        }
    }

    fn may_apply(&self, now: Timestamp) -> bool {
        let due = self.draining
            || now.is_past(self.last_apply, self.apply_floor_ms())
            || 2 * self.dirty.bytes() > self.limits.dirty_bytes;
        self.applying.is_none() && self.dirty.has_gathered() && due
    }

    fn apply_floor_ms(&self) -> i64 {
        if self.last_batch >= self.limits.busy_signals { self.limits.apply_floor_ms } else { 0 }
    }

    fn apply(&mut self, now: Timestamp) -> Todo {
        self.last_apply = now;
        let applies: Vec<Apply> = self
            .dirty
            .begin()
            .into_iter()
            .filter_map(|(partition, states)| {
                let position = self.committed_to(partition)?;
                let after = self.shown.get(&partition).map_or(0, |shown| shown.changelog);
                Some(Apply { partition, after, position, states })
            })
            .collect();
        self.applying = Some(applies.iter().map(|a| (a.partition, a.position)).collect());
        Todo::Apply(applies)
    }

    fn summary_due(&self, now: Timestamp) -> bool {
        self.owned.values().any(|owned| owned.summary_due(now))
    }

    fn stop(&mut self, stop: Stop) {
        if !self.stopped {
            self.stopped = true;
            self.ready.push_back(Todo::Stop(stop));
        }
    }
}
