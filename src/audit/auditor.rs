//! What an audit knows while it goes through a journal part by part, whatever the journal is kept
//! in; and what it says of it all at the end.

use super::AuditError;
use super::counts;
use super::difference::attempt_of;
use super::history::{Completed, History};
use super::invariant::Invariant;
use super::partition::{Medium, Partition, Place, Seals, StoredPart, StoredRun, of_topic};
use super::proof::Fulfilled;
use super::report::{Extent, Findings, Report};
use crate::attempt::{DeadLetter, Policy};
use crate::ports::{Append, Fetched};
use crate::wire::Topic;
use crate::wire::prove::{Said, Trust};
use crate::wire::seal::SigningKeys;
use crate::wire::section::records;
use crate::wire::state::StateKey;
use crate::wire::trailer::Counts;

/// Why a signal was never decided, and is not decided again either.
const UNDECIDABLE: [DeadLetter; 2] = [DeadLetter::Panicked, DeadLetter::EndedTheProcess];

/// Signals after which keys that have proven none of them are taken to be another journal's.
const UNPROVEN_MAX: u64 = 64;

pub struct Auditor {
    keys: SigningKeys,
    medium: Medium,
    whole: bool,
    pub partitions: Vec<Partition>,
    history: History,
    pub findings: Findings,
    pub warnings: Vec<String>,
    seals: Seals,
    parts: u64,
    /// Parts that could not be decided again, because of what is missing before them.
    undecided: u64,
    pub signals: u64,
    undecidable: u64,
    waiting: Waiting,
}

/// Signals that nobody has decided yet.
#[derive(Clone, Copy, Debug, Default)]
struct Waiting {
    signals: u64,
    hops: u64,
    counts: Counts,
}

impl Auditor {
    /// `whole`: the journal is kept from its beginning.
    pub fn new(keys: SigningKeys, partitions: u32, whole: bool, medium: Medium) -> Self {
        let partition = |index| Partition::new(index, whole, medium);
        Self {
            keys,
            medium,
            whole,
            partitions: (0..partitions).map(partition).collect(),
            history: History::new(whole),
            findings: Findings::default(),
            warnings: vec![],
            seals: Seals::default(),
            parts: 0,
            undecided: 0,
            signals: 0,
            undecidable: 0,
            waiting: Waiting::default(),
        }
    }

    pub fn refuse_other_keys(&self) -> Result<(), AuditError> {
        if self.seals.hold == 0 && self.seals.broken >= UNPROVEN_MAX {
            return Err(AuditError::OtherKeys { signals: self.seals.broken });
        }
        Ok(())
    }

    /// Proves one part by all that is known before it. Says what it sends on; `None` where it could
    /// not be decided again.
    pub fn part(&mut self, stored: &StoredPart) -> Option<Vec<Append>> {
        self.parts += 1;
        let place = stored.place;
        let mut topics: Vec<Topic> = stored.runs.iter().map(|run| run.topic).collect();
        topics.sort_unstable();
        topics.dedup();
        if topics.len() != stored.runs.len() {
            let what = format!("a topic stands twice in one batch: {place}");
            self.findings.add(Invariant::Atomic, None, what);
        }
        self.undecidable += records(stored.bytes(Topic::DeadLetters))
            .map_while(Result::ok)
            .filter(|record| UNDECIDABLE.iter().any(|why| record.key == why.word().as_bytes()))
            .count() as u64;

        let partition = &mut self.partitions[place.partition as usize];
        let (inputs, complete) = partition.take(stored, &mut self.findings);
        let policy = partition.owner.as_ref().map(|owner| owner.policy);
        self.told(place, &stored.runs, policy, &inputs);

        let inputs = complete.then_some(inputs);
        let partition = &mut self.partitions[place.partition as usize];
        let (keys, seals) = (&self.keys, &mut self.seals);
        let written = partition.prove(stored, inputs, keys, seals, &mut self.findings);
        partition.follow(stored);
        self.undecided += u64::from(written.is_none());
        Some(written?.forwards)
    }

    /// Holds what a part told the world against what it was told before, and against its signals.
    fn told(
        &mut self,
        place: Place,
        runs: &[StoredRun],
        policy: Option<Policy>,
        inputs: &[Fetched],
    ) {
        let transitions = of_topic(runs, Topic::Transitions);
        let completed = self.history.transitions(transitions, place, policy, &mut self.findings);
        let fulfillments = of_topic(runs, Topic::Fulfillments);
        self.history.fulfillments(fulfillments, place, inputs, completed, &mut self.findings);
    }

    /// By what the signals of a partition are believed.
    pub fn trust(&self, partition: u32) -> Trust {
        self.partitions[partition as usize].trust(&self.keys)
    }

    pub fn decided_everything(&self) -> bool {
        self.undecided == 0
    }

    /// Outputs of a part that is gone but for them. Its signals are those read so far.
    pub fn compacted(&mut self, place: Place, runs: &[StoredRun]) {
        self.parts += 1;
        self.undecided += 1;
        let waiting = &mut self.partitions[place.partition as usize].waiting;
        let inputs: Vec<Fetched> = waiting.drain(..).collect();
        self.told(place, runs, None, &inputs);
    }

    /// The offset of the last signal that a fulfillment among `runs` rests on.
    pub fn last_proof(&self, runs: &[StoredRun]) -> Option<u64> {
        let bytes = of_topic(runs, Topic::Fulfillments);
        let proofs = records(bytes).map_while(Result::ok).filter_map(|record| {
            serde_json::from_slice::<Fulfilled<'_>>(record.value).ok()?.proven_at()
        });
        proofs.map(|at| at.offset).max()
    }

    /// Outputs that nothing closes: a reader of them saw what was never committed.
    pub fn orphaned(&mut self, place: Place, runs: &[StoredRun]) {
        for run in runs {
            let first = records(&run.bytes).find_map(Result::ok);
            let of = first.as_ref().and_then(|record| attempt_of(run.topic, record));
            let what = format!("{} without a trailer: {place}", run.topic.word());
            self.findings.add(Invariant::Atomic, of.as_deref(), what);
            match run.topic {
                Topic::Transitions => {
                    self.history.transitions(&run.bytes, place, None, &mut self.findings);
                }
                Topic::Fulfillments => {
                    let nothing = Completed::new();
                    let findings = &mut self.findings;
                    self.history.fulfillments(&run.bytes, place, &[], nothing, findings);
                }
                Topic::Signals | Topic::Metrics | Topic::DeadLetters | Topic::Attempts => {}
            }
        }
    }

    /// A signal that nobody has decided yet.
    pub fn in_flight(&mut self, trust: &Trust, signal: &Fetched) {
        let proven = trust.prove(&signal.record);
        if proven.said == Said::Refused(DeadLetter::Unproven) {
            self.seals.broken += 1;
            if self.medium == Medium::Log {
                let at = signal.position;
                let what = format!("the seal of signal {at}, which waits, does not hold");
                self.findings.add(Invariant::NoLostAck, None, what);
            }
        } else {
            self.seals.hold += 1;
        }
        self.waiting.signals += 1;
        self.waiting.hops += u64::from(signal.record.hop.is_some());
        if !counts::is_released(&signal.record) {
            self.waiting.counts.accept(proven.kind);
        }
    }

    /// Everything has been read.
    pub fn finish(mut self, extent: Extent) -> Result<Report, AuditError> {
        if self.seals.hold == 0 && self.seals.broken > 0 {
            return Err(AuditError::OtherKeys { signals: self.seals.broken });
        }
        let counts = self.partitions.iter().fold(self.waiting.counts, |sum, partition| {
            sum.plus(&partition.standing.unwrap_or_default().counts)
        });
        for wrong in counts::total(&counts, self.waiting.signals, self.waiting.hops) {
            self.findings.add(Invariant::Conservation, None, wrong);
        }
        self.judge_undecided();
        let attempts = self.settle();
        self.warn(&counts);
        let (violations, unshown) = self.findings.finish();
        Ok(Report {
            attempts,
            fulfillments: self.history.fulfillments,
            counts,
            in_flight: self.waiting.signals,
            violations,
            unshown,
            warnings: self.warnings,
            parts: self.parts,
            undecided: self.undecided,
            signals: self.signals,
            extent,
        })
    }

    fn judge_undecided(&mut self) {
        let (undecided, parts) = (self.undecided, self.parts);
        if undecided == 0 {
            return;
        }
        match self.medium {
            Medium::Log if self.whole => {
                let what = format!("{undecided} batches could not be decided again");
                self.findings.add(Invariant::Fold, None, what);
            }
            Medium::Log | Medium::Topics => self.warnings.push(format!(
                "{undecided} of {parts} batches could not be decided again, because of what is no \
                 longer there before them"
            )),
        }
    }

    /// Holds every stored attempt against what the world was told of it; counts them.
    fn settle(&mut self) -> u64 {
        let mut attempts = 0;
        let mut unread: Vec<String> = vec![];
        for partition in &self.partitions {
            let (history, findings) = (&mut self.history, &mut self.findings);
            partition.attempts(
                |attempt| {
                    attempts += 1;
                    history.settle(attempt, findings);
                },
                |key| unread.push(key.to_owned()),
            );
        }
        unread.sort_unstable();
        for key in unread {
            let what = "its stored state cannot be read".to_owned();
            let of = StateKey::read(key.as_bytes()).map(StateKey::id);
            self.findings.add(Invariant::Fold, of, what);
        }
        self.history.unsettled(&mut self.findings);
        attempts
    }

    fn warn(&mut self, counts: &Counts) {
        if self.undecidable > 0 {
            self.warnings.push(format!(
                "{} signals are dead letters because deciding them panicked or ended the process; \
                 they were not decided again",
                self.undecidable
            ));
        }
        if self.medium == Medium::Topics && self.seals.broken > 0 {
            self.warnings.push(format!(
                "{} signals are signed by nobody whom these secrets and keys know",
                self.seals.broken
            ));
        }
        if counts.accepted == 0 {
            self.warnings.push("no signal has been taken yet".to_owned());
        }
    }
}
