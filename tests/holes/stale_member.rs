//! A member that loses a partition while it is slow with it: hung in the middle of a transaction, or
//! still taking it over.

use super::story::{ALL_ON, Off, Refusal, Story, session, sessions, told};
use crate::support::served::Served;
use crate::support::services::proxy::{Api, Line};
use std::time::{Duration, Instant};
use tidegate::cli::exit;
use tidegate::safeguard::Safeguard::{
    FenceTheOwnerBefore, LetGoWhenDone, NothingOpen, OffsetsAsMember,
};

/// Longer than a rebalance takes, shorter than a lane waits for the brokers.
const A_WHILE: Duration = Duration::from_secs(6);

/// Time for a commit whose fulfillment is there.
const A_MOMENT: Duration = Duration::from_secs(1);

/// A payment whose home is each of two partitions.
fn one_in_each() -> [u32; 2] {
    let home = |n: &u32| tidegate::lane::home::home(session(*n).as_bytes(), 2);
    [0, 1].map(|partition| (0..).find(|n| home(n) == partition).unwrap())
}

/// Each lane of the first process hangs in send-offsets with a payment; a second process joins, and
/// one partition is to be its.
async fn a_lane_hangs_across_a_revoke(off: Off) -> (Vec<String>, bool) {
    let story = Story::new("hung", 2, off).await;
    let line = story.line("a");
    let hung = story.launch_through("a").ready();
    line.hold(Api::AddOffsetsToTxn);
    let payments = one_in_each();
    payments.iter().for_each(|n| story.complete(&hung, *n));
    line.holds(Api::AddOffsetsToTxn, 2);
    story.are_on_their_way(2);
    let began = Instant::now();
    let second = story.serve("b");
    let has_taken = || story.said("b").contains("took over");
    while began.elapsed() < A_WHILE && !has_taken() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    if has_taken() {
        // It decides what waits there. What the first has open hides that from who reads committed.
        story.are_on_their_way(3);
        tokio::time::sleep(A_MOMENT).await;
    }
    line.let_through(Api::AddOffsetsToTxn);
    story.cluster.fulfills(2).await;
    let report = story.settled().await;
    while !has_taken() {
        assert!(began.elapsed() < 4 * A_WHILE, "nothing was revoked");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    drop((hung, second));
    (story.cluster.fulfilled(), report.is_clean())
}

fn once() -> Vec<String> {
    let mut once = sessions(&one_in_each());
    once.sort_unstable();
    once
}

/// Four rules stand before this one: the lane is waited for; whoever takes over ends what it has
/// open, and begins nothing before; and its offsets are those of a member that the group has moved on
/// from.
#[test]
fn a_lane_that_hangs_across_a_revoke_commits_nothing_that_is_anothers() {
    const NONE: Off = &[LetGoWhenDone, FenceTheOwnerBefore, NothingOpen, OffsetsAsMember];
    let [kept, (doubled, clean)] = told([ALL_ON, NONE], a_lane_hangs_across_a_revoke);
    assert_eq!(kept, (once(), true));
    assert!(doubled.len() > 2 && !clean, "{doubled:?}");
}

#[test]
fn each_of_the_four_rules_before_a_lane_that_hangs_is_enough() {
    let off: [Off; 4] = [
        &[FenceTheOwnerBefore, NothingOpen, OffsetsAsMember],
        &[LetGoWhenDone, NothingOpen, OffsetsAsMember],
        &[LetGoWhenDone, FenceTheOwnerBefore, OffsetsAsMember],
        &[LetGoWhenDone, FenceTheOwnerBefore, NothingOpen],
    ];
    for (off, (fulfilled, clean)) in off.iter().zip(told(off, a_lane_hangs_across_a_revoke)) {
        assert_eq!(fulfilled, once(), "with {off:?} off");
        // A lane's last word in a partition comes without an offset. Where it was neither waited for nor
        // fenced, that word stands behind the next owner's, and the audit says so.
        let strays = [LetGoWhenDone, FenceTheOwnerBefore].iter().all(|rule| off.contains(rule));
        assert!(clean || strays, "with {off:?} off");
    }
}

/// A member hangs in its take-over and is not heard of any more, so that the group gives the partition
/// to another, who decides the payment that waits there.
async fn another_decides_meanwhile(
    story: &Story,
    line: &Line,
    hangs_at: &[Api],
) -> (Served, Served) {
    story.completes(1);
    line.hold(Api::Heartbeat);
    hangs_at.iter().for_each(|api| line.hold(*api));
    let slow = story.launch_through("slow").served;
    hangs_at.iter().for_each(|api| line.holds(*api, 1));
    let quick = story.serve("quick");
    assert_eq!(story.cluster.fulfills(2).await, sessions(&[0, 1]));
    (slow, quick)
}

async fn a_take_over_is_finished_late(off: Off) -> Result<Vec<String>, Refusal> {
    let story = Story::at_rest("slow", off, 1).await;
    let line = story.line("slow");
    let transaction = [Api::AddPartitionsToTxn, Api::AddOffsetsToTxn];
    let (slow, quick) = another_decides_meanwhile(&story, &line, &transaction).await;
    // Whatever it commits after this would cover the traces.
    quick.kill();
    transaction.iter().for_each(|api| line.let_through(*api));
    line.rests(Api::EndTxn, 2 * A_MOMENT);
    slow.kill();
    line.lose(Api::Heartbeat);
    let next = story.outcome("quick", &[])?;
    story.complete(&next, 2);
    let fulfilled = story.cluster.fulfills(3).await;
    assert!(story.settled().await.is_clean());
    Ok(fulfilled)
}

/// Its owner record comes with the offset that it found. Taken from nobody in particular, that takes
/// the group back to before what the true owner decided.
#[test]
fn a_take_over_that_is_finished_late_is_refused() {
    let [kept, moved] = told([ALL_ON, &[OffsetsAsMember]], a_take_over_is_finished_late);
    assert_eq!(kept.unwrap(), sessions(&[0, 1, 2]));
    let refusal = moved.unwrap_err();
    assert!(refusal.says(exit::DATA, "the group stands at 1"), "{refusal:?}");
}

/// It read the last trailer before, and the group's offset after the true owner's commit: together
/// they look like a torn transaction, for which a process ends.
#[actix::test]
async fn what_a_slow_take_over_reads_in_pieces_is_no_torn_transaction() {
    let story = Story::at_rest("pieces", ALL_ON, 1).await;
    let line = story.line("slow");
    let (mut slow, quick) = another_decides_meanwhile(&story, &line, &[Api::OffsetFetch]).await;
    line.let_through(Api::OffsetFetch);
    line.let_through(Api::Heartbeat);
    let ended = slow.ends_within(A_WHILE);
    assert_eq!(ended, None, "{}", story.said("slow"));
    drop(quick);
}
