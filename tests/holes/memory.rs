//! What a process remembers that is not so: what the view has lost, and what it decided itself in a
//! batch that never was.

use super::story::{ALL_ON, Off, Story, sessions, told};
use crate::support::services::proxy::Api;
use tidegate::safeguard::Safeguard::{CountedView, ForgetTheDoubtful};

/// One key of the view is deleted, with all that it holds; then everything is delivered once more.
async fn a_key_of_the_view_is_deleted(off: Off) -> (Vec<String>, bool) {
    let story = Story::at_rest("view-key", off, 5).await;
    let redis = &story.cluster.redis;
    let keys = redis.says("KEYS *");
    let holds = |key: &&str| redis.says(&format!("HKEYS {key}")).contains("gs_00003");
    let lost = keys.lines().filter(|line| line.starts_with('{')).find(holds).unwrap();
    assert!(redis.says(&format!("DEL {lost}")).contains(":1"));
    let process = story.serve("first");
    (0..6).for_each(|n| story.complete(&process, n));
    story.cluster.fulfills(6).await;
    let report = story.settled().await;
    (story.cluster.fulfilled(), report.is_clean())
}

#[test]
fn a_payment_that_the_view_has_lost_is_not_fulfilled_again() {
    let [kept, (doubled, clean)] = told([ALL_ON, &[CountedView]], a_key_of_the_view_is_deleted);
    assert_eq!(kept, (sessions(&[0, 1, 2, 3, 4, 5]), true));
    assert!(doubled.len() > 6 && !clean, "{doubled:?}");
}

/// Somebody takes the lane's name while a batch is on its way: the batch is decided, and is aborted.
async fn a_batch_is_aborted(off: Off) -> (Vec<String>, bool) {
    let story = Story::new("aborted", 1, off).await;
    let line = story.line("a");
    let process = story.launch_through("a").ready();
    line.hold(Api::AddOffsetsToTxn);
    story.complete(&process, 0);
    line.holds(Api::AddOffsetsToTxn, 1);
    story.are_on_their_way(1);
    drop(story.takes_the_name("a", 0));
    line.let_through(Api::AddOffsetsToTxn);
    story.complete(&process, 1);
    story.cluster.fulfills(if off.is_empty() { 2 } else { 1 }).await;
    let report = story.settled().await;
    (story.cluster.fulfilled(), report.is_clean())
}

/// Remembered as done, it would be a duplicate of itself.
#[test]
fn a_batch_that_was_aborted_is_decided_anew() {
    let [kept, lost] = told([ALL_ON, &[ForgetTheDoubtful]], a_batch_is_aborted);
    assert_eq!(kept, (sessions(&[0, 1]), true));
    assert_eq!(lost, (sessions(&[1]), false), "payment 0 is lost");
}
