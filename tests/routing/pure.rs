//! The same without an engine: a batch at a time over states in memory, so that every order in
//! which records may come to their partitions, and every order in which the partitions may work,
//! can be tried.

use super::*;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use tidegate::attempt::{GateClient, LateCompletion, OnFailed, Policy, Timestamp, UnknownSession};
use tidegate::lane::batch::{Batch, Decided};
use tidegate::lane::part::{Hand, Scene, Standing, write};
use tidegate::lane::resident::Resident;
use tidegate::ports::Fetched;
use tidegate::wire::Topic;
use tidegate::wire::prove::Trust;
use tidegate::wire::section::records;
use tidegate::wire::trailer::Counts;

const FEW: u32 = 3;

#[derive(Clone)]
struct Small {
    policy: Policy,
    states: Arc<BTreeMap<String, Bytes>>,
    queues: BTreeMap<u32, VecDeque<Append>>,
    offsets: BTreeMap<u32, u64>,
    counts: Counts,
    fulfilled: Vec<String>,
    dead: usize,
}

impl Small {
    fn new(policy: Policy) -> Self {
        Self {
            policy,
            states: Arc::default(),
            queues: BTreeMap::new(),
            offsets: BTreeMap::new(),
            counts: Counts::default(),
            fulfilled: vec![],
            dead: 0,
        }
    }

    fn come(&mut self, said: &Saying) {
        let append = says::homeward(said.clone(), FEW);
        self.queues.entry(append.partition).or_default().push_back(append);
    }

    fn busy(&self) -> Vec<u32> {
        self.queues.iter().filter(|(_, queue)| !queue.is_empty()).map(|(at, _)| *at).collect()
    }

    /// One partition decides the first record that waits there.
    fn work(&mut self, trust: &Trust, partition: u32) {
        let Some(append) = self.queues.get_mut(&partition).and_then(VecDeque::pop_front) else {
            return;
        };
        let offset = self.offsets.entry(partition).or_default();
        let position = Position { partition, offset: *offset };
        *offset += 1;
        let fetched = Fetched { position, record: append.record, proven: append.proven };
        let at = Timestamp(1_790_000_000_000);
        let batch = Batch::new(at, vec![fetched], trust, FEW);
        let decided: Vec<Decided> = batch.groups.iter().map(|group| self.decide(group)).collect();
        let scene = Scene { trust, partitions: FEW, at, at_text: "2026-09-21T14:13:20.000Z" };
        let hand = Hand { writer: "", epoch: 1, transaction: 1 };
        let standing =
            Standing { next: position.offset, counts: self.counts, ..Standing::default() };
        let mut written = write(scene, hand, &batch, &decided, partition, &standing, false);
        self.counts = written.trailer.counts;
        for forward in std::mem::take(&mut written.forwards) {
            self.queues.entry(forward.partition).or_default().push_back(forward);
        }
        self.dead += written.dead.len();
        let states = Arc::make_mut(&mut self.states);
        states.extend(written.states.iter().map(|(key, state)| (key.to_string(), state.clone())));
        for run in written.runs.iter().filter(|run| run.topic == Topic::Fulfillments) {
            for record in records(&run.bytes) {
                let key = record.unwrap().key.to_vec();
                self.fulfilled.push(String::from_utf8(key).unwrap());
            }
        }
    }

    fn decide(&self, group: &tidegate::lane::batch::Group) -> Decided {
        let mut resident = match self.states.get(&*group.key) {
            Some(stored) => Resident::decode(&group.address, stored).unwrap(),
            None => Resident::unseen(&group.address).unwrap(),
        };
        let parked = resident.parked_keys().iter().map(|key| self.states[key].clone()).collect();
        resident = resident.with_parked(parked);
        let tasks = group.tasks.iter();
        let outcomes = tasks.map(|task| resident.decide(task, &self.policy)).collect();
        let mut state = vec![];
        resident.encode(&mut state);
        Decided { outcomes, state: Bytes::from(state) }
    }
}

/// How many ends a script has, and what they were.
#[derive(Default)]
struct Ends {
    walked: u64,
    fulfilled: BTreeSet<Vec<String>>,
}

/// Walks every interleaving: at each step a next record of some source comes in, or some
/// partition works. Records of one source come in its order.
fn walk(small: &Small, trust: &Trust, sources: &[&[Saying]], ends: &mut Ends) {
    let busy = small.busy();
    if busy.is_empty() && sources.iter().all(|source| source.is_empty()) {
        ends.walked += 1;
        let counts = small.counts;
        let decided = counts.applied
            + counts.duplicate
            + counts.stale
            + counts.contradiction
            + counts.parked();
        assert_eq!(counts.accepted, decided + counts.dead_lettered, "{counts:?}");
        assert_eq!(counts.forwarded_in, counts.forwarded_out + counts.parked_out, "{counts:?}");
        let mut fulfilled = small.fulfilled.clone();
        fulfilled.sort();
        let once: BTreeSet<_> = fulfilled.iter().collect();
        assert_eq!(once.len(), fulfilled.len(), "fulfilled twice: {fulfilled:?}");
        ends.fulfilled.insert(fulfilled);
        return;
    }
    for (at, source) in sources.iter().enumerate() {
        if let Some((first, rest)) = source.split_first() {
            let mut next = small.clone();
            next.come(first);
            let mut sources = sources.to_vec();
            sources[at] = rest;
            walk(&next, trust, &sources, ends);
        }
    }
    for partition in busy {
        let mut next = small.clone();
        next.work(trust, partition);
        walk(&next, trust, sources, ends);
    }
}

fn ends(policy: Policy, sources: &[Vec<Saying>]) -> Ends {
    let mut ends = Ends::default();
    let sources: Vec<&[Saying]> = sources.iter().map(Vec::as_slice).collect();
    walk(&Small::new(policy), &says::trust(), &sources, &mut ends);
    println!("{} interleavings, {} different ends", ends.walked, ends.fulfilled.len());
    ends
}

fn policy(unknown_session: UnknownSession) -> Policy {
    Policy {
        unknown_session,
        late_completion: LateCompletion::Fulfill,
        failed: OnFailed::KeepOpen,
        gate: GateClient::Absent,
    }
}

/// Three keys with three homes.
fn apart(name: &str) -> (AttemptId, SessionId) {
    let attempt = (0..).map(|n| minted(&format!("{name}_{n}")));
    let attempt = attempt.into_iter().find(|a| home(a.as_str().as_bytes(), FEW) == 0).unwrap();
    let session = (0..).map(|n| session(&format!("gs_{name}_{n}")));
    let session = session.into_iter().find(|s| home(s.as_str().as_bytes(), FEW) == 1).unwrap();
    (attempt, session)
}

#[test]
fn a_completion_without_reference_races_the_claim() {
    let (attempt, session) = apart("race");
    let ours = vec![says::created(&attempt), says::attached(&attempt, &session)];
    let theirs = vec![event("evt_1", COMPLETED, &session)];
    let parked = ends(policy(UnknownSession::Park), &[ours.clone(), theirs.clone()]);
    let by_the_attempt = BTreeSet::from([vec![attempt.to_string()]]);
    assert_eq!(parked.fulfilled, by_the_attempt, "whenever it came");
    let adopted = ends(policy(UnknownSession::Adopt), &[ours, theirs]);
    let either = BTreeSet::from([vec![attempt.to_string()], vec![session.to_string()]]);
    assert_eq!(adopted.fulfilled, either, "the first at the session's home wins");
}

#[test]
fn a_completion_delivered_twice_races_the_claim() {
    let (attempt, session) = apart("twice");
    let ours = vec![says::created(&attempt), says::attached(&attempt, &session)];
    let copy = event("evt_1", COMPLETED, &session);
    let ends = ends(policy(UnknownSession::Park), &[ours, vec![copy.clone()], vec![copy]]);
    assert_eq!(ends.fulfilled, BTreeSet::from([vec![attempt.to_string()]]));
}

#[test]
fn two_attempts_race_for_one_session() {
    let (first, session) = apart("duel");
    let second = (0..).map(|n| minted(&format!("rival_{n}")));
    let second = second.into_iter().find(|a| home(a.as_str().as_bytes(), FEW) == 2).unwrap();
    let attaching = |attempt: &AttemptId| vec![says::attached(attempt, &session)];
    let mut small = Small::new(policy(UnknownSession::Park));
    let trust = says::trust();
    for attempt in [&first, &second] {
        small.come(&says::created(attempt));
    }
    while let Some(partition) = small.busy().first().copied() {
        small.work(&trust, partition);
    }
    let completed = vec![event("evt_1", COMPLETED, &session)];
    let sources = [attaching(&first), attaching(&second), completed];
    let sources: Vec<&[Saying]> = sources.iter().map(Vec::as_slice).collect();
    let mut ends = Ends::default();
    walk(&small, &trust, &sources, &mut ends);
    println!("{} interleavings", ends.walked);
    let either = BTreeSet::from([vec![first.to_string()], vec![second.to_string()]]);
    assert_eq!(ends.fulfilled, either, "one of them, and nobody else");
}

#[test]
fn a_completion_by_reference_races_one_without() {
    let (attempt, session) = apart("both");
    let mut small = Small::new(policy(UnknownSession::Park));
    let trust = says::trust();
    small.come(&says::created(&attempt));
    small.work(&trust, 0);
    let sources = [
        vec![event("evt_1", PROCESSING, &session)],
        vec![referring("evt_2", COMPLETED, &session, &attempt)],
    ];
    let sources: Vec<&[Saying]> = sources.iter().map(Vec::as_slice).collect();
    let mut ends = Ends::default();
    walk(&small, &trust, &sources, &mut ends);
    assert_eq!(ends.fulfilled, BTreeSet::from([vec![attempt.to_string()]]));
}
