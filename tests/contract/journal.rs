//! The promises of a journal.

use crate::support::commits::{self, part};
use crate::support::lossy_disk::LossyDisk;
use crate::support::services::kafka::Kafka;
use crate::support::{Dice, says};
use crate::{Kept, told};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tidegate::adapters::embedded::disk::{Disk, RealDisk};
use tidegate::adapters::embedded::{EmbeddedJournal, JournalOptions};
use tidegate::adapters::kafka::{self, KafkaJournal, KafkaOptions};
use tidegate::ports::{
    Append, Commit, CommitError, Fetched, Incoming, Intake, Journal, JournalError, Part, Replayed,
    Seat, SystemClock, Takeover,
};
use tidegate::wire::trailer::{Owner, Tries};

pub const PARTITIONS: u32 = 3;

/// Where a journal lives: it can be opened, and opened again after its process has died.
pub trait Home {
    type Journal: Journal;

    /// How long to wait for a signal before it is said that no more come.
    const MOMENT: Duration = Duration::from_millis(60);

    /// Opens what is there now. Whoever had it open before is dead.
    async fn open(&self) -> Self::Journal;
}

/// Makes a test of every promise for one adapter.
macro_rules! every_promise {
    ($name:ident, $home:expr) => {
        mod $name {
            use super::*;
            $crate::journal::every_promise!(@ $home;
                acknowledged_appends_survive_the_process
                appends_are_fetched_once_in_order_without_gaps
                nothing_comes_of_a_partition_before_it_is_asked_for
                a_commit_is_whole_over_partitions_and_forwards
                a_commit_with_one_bad_part_leaves_no_trace
                an_old_epoch_is_refused_without_trace
                a_commit_must_follow_the_one_before
                a_take_over_hands_out_a_new_epoch_and_the_last_trailer
                a_take_over_that_was_left_does_not_come_after_the_next
                a_take_over_counts_the_processes_that_ended_before_the_next_signal
                undecided_signals_come_again_and_decided_ones_do_not
                a_replay_has_every_committed_state_in_order_and_nothing_else
            );
        }
    };
    (@ $home:expr; $($promise:ident)+) => {
        $(#[actix::test]
        async fn $promise() {
            let kept = $crate::journal::$promise(&$home).await;
            assert!(kept.is_ok(), "{}", kept.unwrap_err());
        })+
    };
}
pub(crate) use every_promise;

#[derive(Default)]
pub struct OnFiles {
    /// Folders of dead processes; a new one opens a copy of the last, so that the dead cannot
    /// write into it.
    folders: Mutex<Vec<TempDir>>,
}

impl Home for OnFiles {
    type Journal = EmbeddedJournal;

    async fn open(&self) -> EmbeddedJournal {
        let mut folders = self.folders.lock().unwrap();
        let folder = TempDir::new().unwrap();
        if let Some(before) = folders.last() {
            for entry in std::fs::read_dir(before.path()).unwrap() {
                let entry = entry.unwrap();
                std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
            }
        }
        let journal = open(Arc::new(RealDisk), folder.path().to_owned());
        folders.push(folder);
        journal
    }
}

pub struct OnLossyDisk(pub LossyDisk);

impl Home for OnLossyDisk {
    type Journal = EmbeddedJournal;

    async fn open(&self) -> EmbeddedJournal {
        self.0.cut(&mut Dice(1));
        self.0.revive();
        open(Arc::new(self.0.clone()), PathBuf::from("/journal"))
    }
}

fn open(disk: Arc<dyn Disk>, folder: PathBuf) -> EmbeddedJournal {
    let options = JournalOptions { segment_bytes: 16 << 10, ..JournalOptions::new(PARTITIONS) };
    EmbeddedJournal::open(disk, folder, options, SystemClock).unwrap().0
}

pub struct OnKafka(KafkaOptions);

impl Default for OnKafka {
    fn default() -> Self {
        static TESTS: AtomicU32 = AtomicU32::new(0);
        let test = TESTS.fetch_add(1, Ordering::SeqCst);
        let name = format!("contract-{}-{test}", std::process::id());
        Self(KafkaOptions {
            brokers: Kafka::shared().brokers.clone(),
            group: name.clone(),
            topic_prefix: name,
            properties: BTreeMap::new(),
            instance: "only".to_owned(),
            partitions: PARTITIONS,
            lanes: 1,
        })
    }
}

impl Home for OnKafka {
    type Journal = KafkaJournal;

    const MOMENT: Duration = Duration::from_millis(700);

    async fn open(&self) -> KafkaJournal {
        kafka::create(&self.0, 1).await.unwrap();
        KafkaJournal::open(self.0.clone(), says::admission()).await.unwrap()
    }
}

pub fn signal(partition: u32, name: &str) -> Append {
    let (record, proven) = says::Event::new(name, says::CREATED, "gs_1").taken();
    Append { partition, record, proven: Some(proven) }
}

pub fn owner() -> Owner {
    commits::owner(PARTITIONS)
}

pub fn commit(parts: Vec<Part>) -> Commit {
    Commit { parts, forwards: vec![] }
}

/// Takes a partition over, and lets its signals come.
async fn take<J: Journal>(journal: &J, partition: u32) -> Result<Takeover, JournalError> {
    let taken = journal.take_over(partition, &owner()).await?;
    journal.flow(partition).await?;
    Ok(taken)
}

/// Every signal that comes within a moment to whoever takes all partitions over, as (partition,
/// offset, value).
async fn fetched<H: Home>(journal: &H::Journal) -> Vec<(u32, u64, Bytes)> {
    let mut intake = journal.intake(Seat { lane: 0, lanes: 1 });
    let mut come = vec![];
    while let Ok(more) = tokio::time::timeout(H::MOMENT, intake.next(2)).await {
        match more {
            Incoming::Assigned(partitions) => {
                for partition in partitions {
                    take(journal, partition).await.unwrap();
                }
            }
            Incoming::Signals(signals) => {
                let plain = |f: Fetched| (f.position.partition, f.position.offset, f.record.value);
                come.extend(signals.into_iter().map(plain));
            }
            Incoming::Revoked(..) | Incoming::Closed => break,
        }
    }
    come
}

fn states<J: Journal>(journal: &J, partition: u32, from: u64) -> Result<Vec<String>, String> {
    let mut all = vec![];
    let mut each = |replayed: Replayed| {
        if let Replayed::State { key, value } = replayed {
            let text = |bytes: Bytes| String::from_utf8_lossy(&bytes).into_owned();
            all.push(format!("{}={}", text(key), text(value)));
        }
        ControlFlow::Continue(())
    };
    journal.replay(partition, from, &mut each).map_err(told)?;
    Ok(all)
}

pub async fn acknowledged_appends_survive_the_process<H: Home>(home: &H) -> Kept {
    let journal = home.open().await;
    let sent: Vec<Append> = (0..3).map(|p| signal(p, &format!("evt_{p}"))).collect();
    let values: Vec<Bytes> = sent.iter().map(|append| append.record.value.clone()).collect();
    let places = journal.append(sent).await.map_err(told)?;
    let journal = home.open().await;
    let come = fetched::<H>(&journal).await;
    for (value, place) in values.iter().zip(places) {
        let there =
            come.iter().any(|(p, o, v)| (*p, *o) == (place.partition, place.offset) && v == value);
        crate::keep!(there, "what was acknowledged at {place} is gone");
    }
    Ok(())
}

pub async fn appends_are_fetched_once_in_order_without_gaps<H: Home>(home: &H) -> Kept {
    let journal = home.open().await;
    let mut sent: Vec<Vec<Bytes>> = vec![vec![]; PARTITIONS as usize];
    for round in 0..4 {
        let appends: Vec<Append> =
            (0..5).map(|n| signal((n + round) % PARTITIONS, &format!("evt_{round}_{n}"))).collect();
        for append in &appends {
            sent[append.partition as usize].push(append.record.value.clone());
        }
        journal.append(appends).await.map_err(told)?;
    }
    let come = fetched::<H>(&journal).await;
    for (partition, sent) in sent.iter().enumerate() {
        let here: Vec<_> = come.iter().filter(|(p, ..)| *p as usize == partition).collect();
        let offsets: Vec<u64> = here.iter().map(|(_, offset, _)| *offset).collect();
        let gapless: Vec<u64> = (0..sent.len() as u64).collect();
        crate::keep!(offsets == gapless, "partition {partition} gave offsets {offsets:?}");
        let same = here.iter().map(|(.., value)| value).eq(sent.iter());
        crate::keep!(same, "partition {partition} gave other signals, or in another order");
    }
    Ok(())
}

/// Whoever is not ready for what comes drops it.
pub async fn nothing_comes_of_a_partition_before_it_is_asked_for<H: Home>(home: &H) -> Kept {
    const LAST: u32 = PARTITIONS - 1;
    let journal = home.open().await;
    let mut intake = journal.intake(Seat { lane: 0, lanes: 1 });
    let assigned = intake.next(2).await;
    crate::keep!(matches!(assigned, Incoming::Assigned(_)), "{assigned:?} came first");
    for partition in 0..PARTITIONS {
        journal.take_over(partition, &owner()).await.map_err(told)?;
    }
    for partition in 0..LAST {
        journal.flow(partition).await.map_err(told)?;
    }
    journal.append(vec![signal(LAST, "evt_early")]).await.map_err(told)?;
    if let Ok(early) = tokio::time::timeout(H::MOMENT, intake.next(2)).await {
        return Err(format!("{early:?} came unasked"));
    }
    journal.flow(LAST).await.map_err(told)?;
    let come = tokio::time::timeout(H::MOMENT * 10, intake.next(2)).await;
    crate::keep!(matches!(come, Ok(Incoming::Signals(_))), "{come:?} came when it was asked for");
    Ok(())
}

pub async fn a_commit_is_whole_over_partitions_and_forwards<H: Home>(home: &H) -> Kept {
    let journal = home.open().await;
    journal.append(vec![signal(0, "evt_0"), signal(1, "evt_1")]).await.map_err(told)?;
    let first = take(&journal, 0).await.map_err(told)?.epoch;
    let second = take(&journal, 1).await.map_err(told)?.epoch;
    let forward = signal(2, "evt_forwarded");
    let value = forward.record.value.clone();
    let whole = Commit {
        parts: vec![
            part(0, first, 0, 1, &[("a", "1")]),
            part(1, second, 0, 1, &[("b", "1"), ("c", "1")]),
        ],
        forwards: vec![forward],
    };
    journal.commit(whole).await.map_err(told)?;
    let journal = home.open().await;
    let come = fetched::<H>(&journal).await;
    crate::keep!(come.iter().map(|(p, _, v)| (*p, v)).eq([(2, &value)]), "forwards: {come:?}");
    for (partition, expected) in [(0, vec!["a=1"]), (1, vec!["b=1", "c=1"])] {
        let told_of = take(&journal, partition).await.map_err(told)?;
        let next = told_of.trailer.map(|trailer| trailer.next);
        crate::keep!(next == Some(1), "partition {partition} ends at {next:?}");
        let has = states(&journal, partition, 0)?;
        crate::keep!(has == expected, "partition {partition} has {has:?}");
    }
    Ok(())
}

pub async fn a_commit_with_one_bad_part_leaves_no_trace<H: Home>(home: &H) -> Kept {
    let journal = home.open().await;
    journal.append(vec![signal(0, "evt_0"), signal(1, "evt_1")]).await.map_err(told)?;
    let good = take(&journal, 0).await.map_err(told)?.epoch;
    let old = take(&journal, 1).await.map_err(told)?.epoch;
    take(&journal, 1).await.map_err(told)?;
    let parts = vec![part(0, good, 0, 1, &[("a", "1")]), part(1, old, 0, 1, &[("b", "1")])];
    let torn = Commit { parts, forwards: vec![signal(2, "evt_forwarded")] };
    let refused = journal.commit(torn).await;
    crate::keep!(
        matches!(refused, Err(CommitError::Fenced { partition: 1 })),
        "the commit came to {refused:?}"
    );
    let journal = home.open().await;
    let come = fetched::<H>(&journal).await;
    crate::keep!(come.len() == 2, "undecided, and nothing forwarded: {come:?}");
    for partition in [0, 1] {
        let has = states(&journal, partition, 0)?;
        crate::keep!(has.is_empty(), "partition {partition} has {has:?}");
    }
    Ok(())
}

pub async fn an_old_epoch_is_refused_without_trace<H: Home>(home: &H) -> Kept {
    let journal = home.open().await;
    journal.append(vec![signal(0, "evt_0")]).await.map_err(told)?;
    let old = take(&journal, 0).await.map_err(told)?.epoch;
    let new = take(&journal, 0).await.map_err(told)?.epoch;
    let refused = journal.commit(commit(vec![part(0, old, 0, 1, &[("a", "old")])])).await;
    crate::keep!(
        matches!(refused, Err(CommitError::Fenced { partition: 0 })),
        "a former owner's commit came to {refused:?}"
    );
    journal.commit(commit(vec![part(0, new, 0, 1, &[("a", "new")])])).await.map_err(told)?;
    let has = states(&home.open().await, 0, 0)?;
    crate::keep!(has == ["a=new"], "the changelog has {has:?}");
    Ok(())
}

pub async fn a_commit_must_follow_the_one_before<H: Home>(home: &H) -> Kept {
    let journal = home.open().await;
    journal.append((0..4).map(|n| signal(0, &format!("evt_{n}"))).collect()).await.map_err(told)?;
    let epoch = take(&journal, 0).await.map_err(told)?.epoch;
    journal.commit(commit(vec![part(0, epoch, 0, 2, &[("a", "1")])])).await.map_err(told)?;
    for (previous, next) in [(0, 2), (1, 3), (3, 4)] {
        let refused = journal.commit(commit(vec![part(0, epoch, previous, next, &[])])).await;
        crate::keep!(refused.is_err(), "{previous}..{next} was taken after 0..2");
    }
    journal.commit(commit(vec![part(0, epoch, 2, 4, &[("a", "2")])])).await.map_err(told)?;
    Ok(())
}

pub async fn a_take_over_hands_out_a_new_epoch_and_the_last_trailer<H: Home>(home: &H) -> Kept {
    let mut journal = home.open().await;
    journal.append((0..9).map(|n| signal(0, &format!("evt_{n}"))).collect()).await.map_err(told)?;
    let mut newest = 0;
    for round in 0..6_u64 {
        let told_of = take(&journal, 0).await.map_err(told)?;
        crate::keep!(told_of.epoch > newest, "epoch {} after {newest}", told_of.epoch);
        newest = told_of.epoch;
        let next = told_of.trailer.as_ref().map_or(0, |trailer| trailer.next);
        crate::keep!(next == round, "the trailer handed out ends at {next}, not at {round}");
        let mine = part(0, newest, round, round + 1, &[]);
        let trailer = mine.trailer.clone();
        journal.commit(commit(vec![mine])).await.map_err(told)?;
        if round % 2 == 1 {
            journal = home.open().await;
        }
        let again = take(&journal, 0).await.map_err(told)?;
        newest = again.epoch;
        crate::keep!(again.trailer == Some(trailer), "another trailer: {:?}", again.trailer);
    }
    Ok(())
}

/// A lane that lets go of a partition leaves its take-over where it is, and may be given the
/// partition back at once.
pub async fn a_take_over_that_was_left_does_not_come_after_the_next<H: Home>(home: &H) -> Kept {
    let journal = home.open().await;
    journal.append((0..9).map(|n| signal(0, &format!("evt_{n}"))).collect()).await.map_err(told)?;
    for round in 0..6_u64 {
        let begun = Duration::from_millis(2 * round);
        let owner = owner();
        let _left = tokio::time::timeout(begun, journal.take_over(0, &owner)).await;
        journal.release(&[0]).await;
        let epoch = take(&journal, 0).await.map_err(told)?.epoch;
        tokio::time::sleep(H::MOMENT).await;
        let mine = commit(vec![part(0, epoch, round, round + 1, &[])]);
        let committed = journal.commit(mine).await;
        crate::keep!(committed.is_ok(), "left after {begun:?}, it came between: {committed:?}");
    }
    Ok(())
}

/// A process that takes over again in the same life has not ended; one that decided something begins
/// the count anew.
pub async fn a_take_over_counts_the_processes_that_ended_before_the_next_signal<H: Home>(
    home: &H,
) -> Kept {
    let mut journal = home.open().await;
    journal.append((0..3).map(|n| signal(0, &format!("evt_{n}"))).collect()).await.map_err(told)?;
    let alone = |now_alone| Owner { tries: Tries { now_alone, ..Tries::default() }, ..owner() };
    for (ended, before, now_alone) in [(0, 0, false), (1, 0, true), (2, 1, true), (3, 2, false)] {
        for time in ["at first", "again"] {
            let tries = journal.take_over(0, &alone(now_alone)).await.map_err(told)?.tries;
            let counted = (tries.ended, tries.ended_alone, tries.now_alone);
            let right = counted == (ended, before, now_alone);
            crate::keep!(right, "after {ended} ends, {time}, it says {tries:?}");
        }
        journal = home.open().await;
    }
    let epoch = take(&journal, 0).await.map_err(told)?.epoch;
    journal.commit(commit(vec![part(0, epoch, 0, 1, &[])])).await.map_err(told)?;
    let tries = home.open().await.take_over(0, &owner()).await.map_err(told)?.tries;
    crate::keep!((tries.ended, tries.ended_alone) == (0, 0), "after a commit it says {tries:?}");
    Ok(())
}

pub async fn undecided_signals_come_again_and_decided_ones_do_not<H: Home>(home: &H) -> Kept {
    let journal = home.open().await;
    let sent = (0..6).map(|n| signal(n % 2, &format!("evt_{n}"))).collect();
    journal.append(sent).await.map_err(told)?;
    let come = fetched::<H>(&journal).await;
    crate::keep!(come.len() == 6, "at first came {come:?}");
    let epoch = take(&journal, 0).await.map_err(told)?.epoch;
    journal.commit(commit(vec![part(0, epoch, 0, 2, &[])])).await.map_err(told)?;
    for life in 0..2 {
        let journal = home.open().await;
        let come: Vec<(u32, u64)> =
            fetched::<H>(&journal).await.into_iter().map(|(p, o, _)| (p, o)).collect();
        let ours: Vec<u64> = come.iter().filter(|(p, _)| *p == 0).map(|(_, o)| *o).collect();
        let others: Vec<u64> = come.iter().filter(|(p, _)| *p == 1).map(|(_, o)| *o).collect();
        crate::keep!(ours == [2], "life {life}: of the decided partition came {ours:?}");
        crate::keep!(others == [0, 1, 2], "life {life}: of the other came {others:?}");
    }
    Ok(())
}

pub async fn a_replay_has_every_committed_state_in_order_and_nothing_else<H: Home>(
    home: &H,
) -> Kept {
    let mut journal = home.open().await;
    journal.append((0..9).map(|n| signal(0, &format!("evt_{n}"))).collect()).await.map_err(told)?;
    let mut expected = vec![];
    let mut middle = (0, 0);
    for round in 0..6_u64 {
        let epoch = take(&journal, 0).await.map_err(told)?.epoch;
        let value = round.to_string();
        let states = [("a", value.as_str()), ("b", value.as_str())];
        let gone = journal.commit(commit(vec![part(0, epoch + 9, round, 9, &[("x", "x")])])).await;
        crate::keep!(gone.is_err(), "an epoch that nobody has was taken");
        let mine = commit(vec![part(0, epoch, round, round + 1, &states)]);
        let at = journal.commit(mine).await.map_err(told)?.changelog[0].1;
        expected.extend([format!("a={round}"), format!("b={round}")]);
        if round == 2 {
            middle = (at, expected.len());
            journal = home.open().await;
        }
    }
    let has = states(&journal, 0, 0)?;
    crate::keep!(has == expected, "replayed {has:?}");
    let rest = states(&journal, 0, middle.0)?;
    crate::keep!(rest == expected[middle.1..], "from the middle on: {rest:?}");
    let other = states(&journal, 1, 0)?;
    crate::keep!(other.is_empty(), "another partition has {other:?}");
    Ok(())
}
