#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use super::{MeasuredJournal, MeasuredView, measured};
use crate::attempt::{Position, Timestamp};
use crate::ports::{
    Append, AppendError, Apply, Commit, CommitError, Committed, Doubt, Incoming, Intake, Journal,
    JournalError, LettingGo, Looked, Part, Replayed, Run, Seat, Takeover, View, ViewError,
    ViewPosition,
};
use crate::telemetry::Metrics;
use crate::wire::Topic;
use crate::wire::trailer::{Counts, Owner, ROUTING_VERSION, Trailer, Tries};
use bytes::Bytes;
use std::ops::ControlFlow;

/// A journal whose commits are all in doubt from the second transaction on, and whose last trailer is
/// of the transaction that it is told.
#[derive(Clone)]
struct Doubtful {
    last: u64,
}

struct Revokes(Vec<u32>);

impl Journal for Doubtful {
    type Intake = Revokes;

    fn partitions(&self) -> u32 {
        4
    }

    async fn append(&self, _: Vec<Append>) -> Result<Vec<Position>, AppendError> {
        Err(AppendError::Closed)
    }

    async fn commit(&self, commit: Commit) -> Result<Committed, CommitError> {
        let first = commit.parts.iter().all(|part| part.trailer.transaction == 1);
        let changelog = commit.parts.iter().map(|part| (part.partition, 10)).collect();
        if first { Ok(Committed { changelog }) } else { Err(CommitError::InDoubt(Doubt::Fenced)) }
    }

    async fn take_over(&self, partition: u32, _: &Owner) -> Result<Takeover, JournalError> {
        let trailer = Some(part(partition, self.last).trailer);
        Ok(Takeover { epoch: 8, trailer, changelog_end: 20, fenced: true, tries: Tries::default() })
    }

    async fn release(&self, _partitions: &[u32]) {}

    async fn flow(&self, _: u32) -> Result<(), JournalError> {
        Ok(())
    }

    fn replay(
        &self,
        _: u32,
        _: u64,
        each: &mut dyn FnMut(Replayed) -> ControlFlow<()>,
    ) -> Result<u64, JournalError> {
        for n in 0..3 {
            let _goes_on = each(Replayed::State { key: Bytes::new(), value: Bytes::new() });
            let _goes_on = each(Replayed::Upto { changelog: n });
        }
        Ok(3)
    }

    fn intake(&self, _: Seat) -> Revokes {
        Revokes(vec![1, 2])
    }
}

impl Intake for Revokes {
    async fn next(&mut self, _: usize) -> Incoming {
        Incoming::Revoked(self.0.clone(), LettingGo::new().0)
    }
}

/// A view that does not answer.
#[derive(Clone)]
struct Silent;

impl View for Silent {
    async fn position(&self, _: u32) -> Result<ViewPosition, ViewError> {
        Err(ViewError::Unavailable(String::new()))
    }

    async fn look_up(&self, _: u32, _: Vec<Bytes>) -> Result<Looked, ViewError> {
        Err(ViewError::Unavailable(String::new()))
    }

    async fn apply(&self, _: Apply) -> Result<(), ViewError> {
        Err(ViewError::Fenced { partition: 0, has: 9, ours: 8 })
    }

    async fn scan(&self, _: u32, _: Bytes, _: usize) -> Result<Vec<(Bytes, Bytes)>, ViewError> {
        Ok(vec![])
    }
}

/// Decides five signals with two fulfillments.
fn part(partition: u32, transaction: u64) -> Part {
    let trailer = Trailer {
        writer: "group/a/0".to_owned(),
        epoch: 7,
        transaction,
        previous: 5 * (transaction - 1),
        next: 5 * transaction,
        counts: Counts::default(),
        summarized: Counts::default(),
        summary_second: 0,
        hash: 0,
        at: Timestamp(0),
    };
    let runs = vec![Run { topic: Topic::Fulfillments, count: 2, bytes: Bytes::new() }];
    Part { partition, trailer, input_bytes: 0, runs }
}

fn commit(partitions: &[u32], transaction: u64) -> Commit {
    let parts = partitions.iter().map(|partition| part(*partition, transaction)).collect();
    Commit { parts, forwards: vec![] }
}

fn owner() -> Owner {
    Owner {
        writer: "group/a/0".to_owned(),
        epoch: 0,
        next: 0,
        partitions: 4,
        routing: ROUTING_VERSION,
        policy: crate::attempt::Policy::default(),
        mode: crate::attempt::Mode::Test,
        tries: Tries::default(),
        at: Timestamp(0),
    }
}

/// Lane 0 over a journal that ends with this transaction.
fn lane(last: u64) -> (MeasuredJournal<Doubtful>, MeasuredView<Silent>, Metrics) {
    let metrics = Metrics::new().unwrap();
    let (journal, view) = measured(Doubtful { last }, Silent, 0, metrics.clone());
    (journal, view, metrics)
}

/// The value of a series, by its name and labels as written.
fn series(metrics: &Metrics, name: &str) -> f64 {
    let text = String::from_utf8(metrics.render().unwrap()).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
    line.unwrap_or_else(|| panic!("no series {name} in\n{text}")).parse().unwrap()
}

const FULFILLMENTS: &str = r#"tidegate_outputs_total{topic="fulfillments"}"#;

#[actix_rt::test]
async fn only_what_is_committed_is_counted() {
    let (journal, _, metrics) = lane(1);
    assert!(journal.commit(commit(&[1, 2], 1)).await.is_ok());
    assert!(journal.commit(commit(&[1], 2)).await.is_err());
    assert_eq!(series(&metrics, FULFILLMENTS), 4.0);
    assert_eq!(series(&metrics, "tidegate_commit_signals_sum"), 10.0);
    assert_eq!(series(&metrics, "tidegate_commit_seconds_count"), 2.0);
    assert_eq!(series(&metrics, r#"tidegate_commits_total{outcome="committed"}"#), 1.0);
    assert_eq!(series(&metrics, r#"tidegate_commits_total{outcome="in_doubt"}"#), 1.0);
    assert_eq!(series(&metrics, r#"tidegate_commit_doubts_total{cause="fenced"}"#), 1.0);
}

#[actix_rt::test]
async fn a_commit_in_doubt_counts_when_a_take_over_finds_that_it_happened() {
    for (last, found, fulfillments) in [(2, "committed", 2.0), (1, "aborted", 0.0)] {
        let (journal, _, metrics) = lane(last);
        assert!(journal.commit(commit(&[1], 2)).await.is_err());
        for _once_is_enough in 0..2 {
            journal.take_over(1, &owner()).await.unwrap();
        }
        let settled = format!("tidegate_commit_doubts_settled_total{{found=\"{found}\"}}");
        assert_eq!(series(&metrics, &settled), 1.0, "{found}");
        assert_eq!(series(&metrics, FULFILLMENTS), fulfillments, "{found}");
        assert_eq!(series(&metrics, "tidegate_writers_fenced_total"), 2.0);
    }
}

#[actix_rt::test]
async fn a_lane_has_the_partitions_that_flow_to_it() {
    let (journal, _, metrics) = lane(1);
    let has = |count: f64| {
        assert_eq!(series(&metrics, r#"tidegate_lane_partitions{lane="0"}"#), count);
    };
    for partition in [0, 1, 2] {
        journal.take_over(partition, &owner()).await.unwrap();
        journal.flow(partition).await.unwrap();
    }
    has(3.0);
    journal.take_over(0, &owner()).await.unwrap();
    has(2.0);
    journal.flow(0).await.unwrap();
    journal.intake(Seat { lane: 0, lanes: 1 }).next(1).await;
    has(1.0);
}

#[actix_rt::test]
async fn what_the_view_does_not_give_is_counted_by_what_and_why() {
    let (journal, view, metrics) = lane(1);
    assert!(view.position(0).await.is_err() && view.look_up(0, vec![]).await.is_err());
    let position = ViewPosition { epoch: 8, changelog: 20 };
    let apply = Apply { partition: 0, after: 0, position, states: vec![] };
    assert!(view.apply(apply).await.is_err());
    for failure in [
        r#"{asked="position",why="unavailable"}"#,
        r#"{asked="look_up",why="unavailable"}"#,
        r#"{asked="apply",why="fenced"}"#,
    ] {
        assert_eq!(series(&metrics, &format!("tidegate_view_failures_total{failure}")), 1.0);
    }
    journal.replay(0, 0, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(series(&metrics, "tidegate_replayed_records_total"), 3.0);
}
