//! The one consumer of a process: which partitions are its, what comes in them, and letting go.

use super::inbox::{Flow, Inbox};
use super::native;
use super::records;
use super::rejoin::Rejoin;
use super::settings::{KafkaOptions, PATIENCE, TRANSACTION};
use super::telling::{complain, tell};
use super::topics::{number, offset};
use super::writer::{RELEASE, Writers};
use crate::attempt::Position;
use crate::ports::{Fetched, LettingGo, Seat};
use crate::safeguard::Safeguard;
use crate::wire::admit::Admission;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, TopicPartitionList};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a lane may take to let go of partitions: a transaction may be under way, or a take-over
/// that asks the brokers once more. Until then they go on counting them as ours, for minutes; past
/// it something hangs, and the process ends rather than hold up the group.
const LET_GO: Duration = Duration::from_secs(60);
const _: () = assert!(LET_GO.as_secs() > TRANSACTION.as_secs() + 3 * PATIENCE.as_secs());

/// How long joining the group may take: a member that died must have been given up before.
const JOIN: Duration = Duration::from_secs(30);

/// How long the place of a partition is asked for, before librdkafka is left to find it.
const SOON: Duration = Duration::from_secs(2);

/// How long leaving the group may take, once the lanes have nothing under way, with what is said to
/// whoever comes next. Others wait no longer than for a process that died.
pub const LEAVE_PATIENCE: Duration = Duration::from_secs(2);
const LEAVE: Duration = LEAVE_PATIENCE.saturating_sub(RELEASE);

const POLL: Duration = Duration::from_millis(100);

/// A partition that is assigned to this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Assigned {
    /// Nobody here has taken it over since it was given to us.
    Fresh,
    /// It is to be taken over anew: nothing comes of it.
    Waiting,
    /// What comes of it is the lane's, from this signal on. `since` numbers the flow: a message
    /// that was polled for before that may be of before the seek that began it.
    Flowing { next: u64, since: u64 },
}

pub(super) struct Group {
    topic: String,
    inboxes: Vec<Inbox>,
    writers: Arc<Writers>,
    admission: Arc<Admission>,
    assigned: Mutex<BTreeMap<u32, Assigned>>,
    /// Flows that have begun.
    flows: AtomicU64,
    /// Whether the group has said once what is ours.
    joined: AtomicBool,
    closing: AtomicBool,
    /// Partitions that somebody waits for us to let go of.
    leaving: Mutex<BTreeSet<u32>>,
    /// The client did not do what it must: nothing of this process can be relied on any more.
    broken: AtomicBool,
}

impl ClientContext for Group {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tell(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        complain(&error, reason);
    }
}

impl ConsumerContext for Group {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        event: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        let partitions: Vec<u32> =
            list.elements().iter().filter_map(|one| u32::try_from(one.partition()).ok()).collect();
        let done = if event == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            self.given(consumer, &partitions)
        } else if event == RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS {
            self.let_go(&partitions);
            consumer.incremental_unassign(list)
        } else {
            consumer.unassign()
        };
        if let Err(error) = done {
            tracing::error!(%error, ?partitions, "the group's assignment was not taken");
            self.broken.store(true, Ordering::SeqCst);
        }
    }
}

impl Group {
    fn assigned(&self) -> MutexGuard<'_, BTreeMap<u32, Assigned>> {
        self.assigned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seat(&self, partition: u32) -> usize {
        self.writers.seat(partition)
    }

    /// Those of the partitions that one lane works.
    fn of_seat(&self, partitions: &[u32], seat: usize) -> Vec<u32> {
        partitions.iter().copied().filter(|partition| self.seat(*partition) == seat).collect()
    }

    fn list(&self, partitions: &[u32]) -> KafkaResult<TopicPartitionList> {
        self.places(partitions.iter().map(|partition| (*partition, Offset::Invalid)))
    }

    fn places(
        &self,
        places: impl IntoIterator<Item = (u32, Offset)>,
    ) -> KafkaResult<TopicPartitionList> {
        let mut list = TopicPartitionList::new();
        for (partition, offset) in places {
            list.add_partition_offset(&self.topic, number(partition), offset)?;
        }
        Ok(list)
    }

    /// Takes an assignment. Nothing flows until the lane has taken the partition over. Until then it
    /// is read at its end: a partition that is paused takes up to a second to come to life again,
    /// and one whose place must be asked for half a second.
    fn given(&self, consumer: &BaseConsumer<Self>, partitions: &[u32]) -> KafkaResult<()> {
        let end = |partition| match consumer.fetch_watermarks(&self.topic, number(partition), SOON)
        {
            Ok((_, end)) => Offset::Offset(end),
            Err(_unanswered) => Offset::End,
        };
        let ends: Vec<_> =
            partitions.iter().map(|partition| (*partition, end(*partition))).collect();
        consumer.incremental_assign(&self.places(ends)?)?;
        self.assigned().extend(partitions.iter().map(|p| (*p, Assigned::Fresh)));
        for (at, inbox) in self.inboxes.iter().enumerate() {
            inbox.assign(self.of_seat(partitions, at));
        }
        self.joined.store(true, Ordering::SeqCst);
        Ok(())
    }

    /// Returns when no lane has anything under way for these partitions.
    fn let_go(&self, partitions: &[u32]) {
        self.leaving().extend(partitions);
        let mut waits = vec![];
        for (at, inbox) in self.inboxes.iter().enumerate() {
            let theirs = self.of_seat(partitions, at);
            if !theirs.is_empty() {
                let (letting_go, gone) = LettingGo::new();
                inbox.revoke(theirs, letting_go);
                waits.push(gone);
            }
        }
        let began = Instant::now();
        let mut seats: BTreeSet<usize> = partitions.iter().map(|p| self.seat(*p)).collect();
        if !Safeguard::LetGoWhenDone.is_on() {
            (waits, seats) = (vec![], BTreeSet::new());
        }
        for mut gone in waits {
            while let Err(tokio::sync::oneshot::error::TryRecvError::Empty) = gone.try_recv() {
                if self.closing.load(Ordering::SeqCst) {
                    return;
                }
                if began.elapsed() > LET_GO {
                    tracing::error!(?partitions, "a lane does not let go; ending the process");
                    std::process::abort();
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        // A lane that ended in the middle of a transaction let go without waiting for it.
        seats.into_iter().for_each(|seat| self.writers.wait(seat));
        self.assigned().retain(|partition, _| !partitions.contains(partition));
        self.leaving().retain(|partition| !partitions.contains(partition));
    }

    /// Lets lanes that have enough get on with it, for a moment.
    fn wait_for_room(&self) {
        let began = Instant::now();
        while self.inboxes.iter().any(Inbox::is_full)
            && began.elapsed() < ROOM_PATIENCE
            && !self.closing.load(Ordering::SeqCst)
        {
            std::thread::sleep(ROOM_LOOK);
        }
    }

    fn change_flows(&self, consumer: &BaseConsumer<Self>) {
        for (at, inbox) in self.inboxes.iter().enumerate() {
            let Some(flow) = inbox.flow() else { continue };
            let theirs: Vec<u32> = self
                .assigned()
                .iter()
                .filter(|(p, how)| {
                    let flows = matches!(how, Assigned::Flowing { .. });
                    self.seat(**p) == at && (flows || flow == Flow::Resume)
                })
                .map(|(p, _)| *p)
                .collect();
            let done = self.list(&theirs).and_then(|list| match flow {
                Flow::Pause => consumer.pause(&list),
                Flow::Resume => consumer.resume(&list),
            });
            if let Err(error) = done {
                tracing::error!(%error, ?flow, "the flow of signals was not changed");
            }
        }
    }

    fn leaving(&self) -> MutexGuard<'_, BTreeSet<u32>> {
        self.leaving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a message on to its lane. `polled_at` says how many flows had begun when it was polled
    /// for. Answers with where to read on, where it cannot be told whether something is missing.
    fn take(&self, message: &BorrowedMessage<'_>, polled_at: u64) -> Option<(u32, u64)> {
        let partition = u32::try_from(message.partition()).ok()?;
        let offset = u64::try_from(message.offset()).ok()?;
        let (record, proven) = records::read(message, &self.admission);
        // Held until it is pushed, so that nothing of a partition comes after its flow was stopped.
        let mut assigned = self.assigned();
        let Some(Assigned::Flowing { next, since }) = assigned.get_mut(&partition) else {
            return None;
        };
        if offset < *next {
            return None;
        }
        if offset > *next && polled_at < *since {
            return Some((partition, *next));
        }
        *next = offset + 1;
        let position = Position { partition, offset };
        self.inboxes[self.seat(partition)].push(Fetched { position, record, proven });
        None
    }
}

pub(super) struct Membership {
    consumer: Arc<BaseConsumer<Group>>,
    thread: Option<JoinHandle<()>>,
    #[cfg(feature = "loose-safeguards")]
    group_name: String,
}

impl Membership {
    /// Joins the group, and waits until something is known of what is ours.
    pub(super) fn join(
        options: &KafkaOptions,
        topic: String,
        inboxes: Vec<Inbox>,
        writers: Arc<Writers>,
        admission: Arc<Admission>,
    ) -> KafkaResult<Self> {
        let group = Group {
            topic: topic.clone(),
            inboxes,
            writers,
            admission,
            assigned: Mutex::default(),
            flows: AtomicU64::new(0),
            joined: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            leaving: Mutex::default(),
            broken: AtomicBool::new(false),
        };
        let consumer: BaseConsumer<Group> = options.member().create_with_context(group)?;
        consumer.subscribe(&[&topic])?;
        let consumer = Arc::new(consumer);
        let polled = Arc::clone(&consumer);
        let thread = std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || poll(&polled))
            .map_err(|error| KafkaError::ClientCreation(error.to_string()))?;
        let joined = Self {
            consumer,
            thread: Some(thread),
            #[cfg(feature = "loose-safeguards")]
            group_name: options.group.clone(),
        };
        let began = Instant::now();
        while !joined.group().joined.load(Ordering::SeqCst) {
            if began.elapsed() > JOIN {
                let silent = RDKafkaErrorCode::OperationTimedOut;
                return Err(KafkaError::Subscription(silent.to_string()));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(joined)
    }

    fn group(&self) -> &Group {
        self.consumer.context()
    }

    /// Whether this process can never be a member again: the brokers gave its name to another.
    pub(super) fn is_replaced(&self) -> bool {
        Safeguard::EndWhenReplaced.is_on() && self.consumer.client().fatal_error().is_some()
    }

    pub(super) fn has(&self, partition: u32) -> bool {
        self.group().assigned().contains_key(&partition)
    }

    /// Whether somebody waits for us to let go of it.
    pub(super) fn is_leaving(&self, partition: u32) -> bool {
        self.group().leaving().contains(&partition)
    }

    /// The oldest signal of a partition that is still there.
    pub(super) fn begins(&self, partition: u32) -> KafkaResult<u64> {
        let topic = &self.group().topic;
        let (low, _) = self.consumer.fetch_watermarks(topic, number(partition), PATIENCE)?;
        Ok(u64::try_from(low).unwrap_or_default())
    }

    /// The end of a partition of ours, as it came with the last signals. Asks nobody.
    pub(super) fn known_end(&self, partition: u32) -> Option<u64> {
        self.has(partition)
            .then(|| native::known_end(&self.consumer, &self.group().topic, number(partition)))?
    }

    /// Whether this is the first take-over since the group gave us the partition. Whoever wrote last
    /// before that has lost it; whoever wrote after that has it.
    pub(super) fn is_fresh(&self, partition: u32) -> bool {
        self.group().assigned().get(&partition) == Some(&Assigned::Fresh)
    }

    pub(super) fn inbox(&self, seat: Seat) -> Inbox {
        self.group().inboxes[seat.lane as usize].clone()
    }

    /// Leaves the group, so that others need not wait until we are given up. Returns when nothing is
    /// ours any more.
    pub(super) fn leave(&self) {
        self.consumer.unsubscribe();
        let began = Instant::now();
        while !self.group().assigned().is_empty() && began.elapsed() < LEAVE {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The group's committed position of a partition.
    pub(super) fn committed(&self, partition: u32) -> KafkaResult<Option<u64>> {
        let asked = self.group().list(&[partition])?;
        let answered = self.consumer.committed_offsets(asked, PATIENCE)?;
        let offset = answered.elements().first().map(|one| one.offset());
        let Some(Offset::Offset(offset)) = offset else { return Ok(None) };
        Ok(u64::try_from(offset).ok())
    }

    /// Lets the signals of a partition come to its lane, from `next` on.
    pub(super) fn flow(&self, partition: u32, next: u64) -> KafkaResult<()> {
        let group = self.group();
        // Held, so that what comes after the seek finds the flow begun.
        let mut assigned = group.assigned();
        self.consumer.seek(&group.topic, number(partition), offset(next), PATIENCE)?;
        if let Some(assigned) = assigned.get_mut(&partition) {
            let since = group.flows.fetch_add(1, Ordering::SeqCst) + 1;
            *assigned = Assigned::Flowing { next, since };
        }
        if group.inboxes[group.seat(partition)].is_paused() {
            self.consumer.pause(&group.list(&[partition])?)?;
        }
        Ok(())
    }

    /// Nothing more comes of a partition until it is taken over again.
    pub(super) fn stop_flow(&self, partition: u32) {
        let group = self.group();
        let mut assigned = group.assigned();
        if let Some(flowing @ Assigned::Flowing { .. }) = assigned.get_mut(&partition) {
            *flowing = Assigned::Waiting;
        }
        group.inboxes[group.seat(partition)].forget(partition);
    }

    /// In which assignment of the group this process is a member; none where it is none.
    pub(super) fn generation(&self) -> Option<i32> {
        native::generation(&self.consumer)
    }

    /// What a transaction must carry so that it is refused once we are no member any more. Offsets
    /// under the metadata of nobody are taken from anybody: then there is none.
    pub(super) fn metadata(&self) -> Option<ConsumerGroupMetadata> {
        #[cfg(feature = "loose-safeguards")]
        if !Safeguard::OffsetsAsMember.is_on() {
            return native::of_nobody(&self.group_name);
        }
        let before = native::generation(&self.consumer)?;
        let metadata = self.consumer.group_metadata()?;
        (native::generation(&self.consumer) == Some(before)).then_some(metadata)
    }

    pub(super) fn offsets(&self, next: &[(u32, u64)]) -> KafkaResult<TopicPartitionList> {
        self.group().places(next.iter().map(|(partition, next)| (*partition, offset(*next))))
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.group().closing.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

/// Says to every lane that nothing more comes, however the thread that reads ends.
struct Closes<'a>(&'a [Inbox]);

impl Drop for Closes<'_> {
    fn drop(&mut self) {
        self.0.iter().for_each(Inbox::close);
    }
}

/// Whether a partition does not have what it is read from on, or something unlike it happened: it
/// would stand still without a word.
fn is_gone(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{AutoOffsetReset, OffsetOutOfRange};
    matches!(error.rdkafka_error_code(), Some(AutoOffsetReset | OffsetOutOfRange))
}

/// Messages after which the poller looks at the rest of its duties, if more wait.
const DUTIES_EVERY: u32 = 64;

/// How long the poller waits for a lane that has enough before it pauses what comes of its
/// partitions. What has been fetched ahead of a pause is thrown away and fetched again; a lane that
/// is only slower than the brokers has room again within a batch or two.
const ROOM_PATIENCE: Duration = Duration::from_millis(200);
const ROOM_LOOK: Duration = Duration::from_millis(1);

fn poll(consumer: &Arc<BaseConsumer<Group>>) {
    let group = consumer.context();
    let _at_the_end = Closes(&group.inboxes);
    let (mut since_duties, mut rejoin) = (0, Rejoin::default());
    while !group.closing.load(Ordering::SeqCst) {
        let polled_at = group.flows.load(Ordering::SeqCst);
        let polled = consumer.poll(POLL);
        since_duties = if polled.is_some() { since_duties + 1 } else { DUTIES_EVERY };
        match polled {
            Some(Ok(message)) => {
                if let Some((partition, next)) = group.take(&message, polled_at)
                    && let Err(error) =
                        consumer.seek(&group.topic, number(partition), offset(next), PATIENCE)
                {
                    tracing::error!(%error, partition, "cannot read on; this process ends");
                    break;
                }
            }
            Some(Err(error)) if is_gone(&error) => {
                tracing::error!(%error, "signals that were to be read are gone; this process ends");
                break;
            }
            Some(Err(error)) => {
                tracing::warn!(%error, "the brokers gave an error for a signal");
                since_duties = DUTIES_EVERY;
            }
            None => {}
        }
        if since_duties < DUTIES_EVERY {
            continue;
        }
        since_duties = 0;
        // librdkafka looks once a second whether a heartbeat is due, unless somebody asks it
        // something, as this does: an idle member would hear late that the group moves.
        rejoin.look(consumer, &group.topic);
        if let Some((_, why)) = consumer.client().fatal_error()
            && Safeguard::EndWhenReplaced.is_on()
        {
            tracing::error!(why, "the brokers have given this process's name to another");
            break;
        }
        if group.broken.load(Ordering::SeqCst) {
            break;
        }
        group.wait_for_room();
        group.change_flows(consumer);
    }
}
