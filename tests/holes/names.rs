//! Two processes that are taken for one, and two groups that take the same topics for their own.

use super::story::{ALL_ON, Off, Refusal, Story, sessions, told};
use std::time::Duration;
use tidegate::cli::exit;
use tidegate::safeguard::Safeguard::{EndWhenReplaced, FenceTheOwnerBefore, OneGroup};

const A_WHILE: Duration = Duration::from_secs(5);

async fn two_processes_have_one_name(off: Off) -> Option<Refusal> {
    let story = Story::new("one-name", 1, off).await;
    let mut first = story.serve("a");
    story.complete(&first, 0);
    story.cluster.fulfills(1).await;
    let name = story.instance("a");
    let second = story.launch_with("a-too", &[("TIDEGATE_INSTANCE_ID", &name)]).ready();
    let ended = first.ends_within(A_WHILE);
    story.complete(&second, 1);
    assert_eq!(story.cluster.fulfills(2).await, sessions(&[0, 1]));
    assert!(story.settled().await.is_clean());
    ended.map(|code| Refusal { code, said: story.said("a") })
}

#[test]
fn of_two_processes_with_one_name_the_first_ends_and_says_why() {
    let [ended, goes_on] = told([ALL_ON, &[EndWhenReplaced]], two_processes_have_one_name);
    let refusal = ended.unwrap();
    assert!(refusal.says(exit::BUSY, "instance_id"), "{refusal:?}");
    assert!(goes_on.is_none(), "{goes_on:?}");
}

async fn two_groups_decide(off: Off) -> (Option<Refusal>, Vec<String>, bool) {
    let story = Story::new("two-groups", 1, off).await;
    let first = story.serve("a");
    story.complete(&first, 0);
    story.cluster.fulfills(1).await;
    // Of another view: where the two share one, the later may find there what the earlier decided.
    let view = format!("{}/1", story.cluster.redis.url());
    let other = [("TIDEGATE_KAFKA__GROUP", "somebody-else"), ("TIDEGATE_REDIS__URL", &view)];
    let second = story.outcome("b", &other);
    story.complete(&first, 1);
    story.cluster.fulfills(if off.is_empty() { 2 } else { 3 }).await;
    let report = story.settled().await;
    (second.err(), story.cluster.fulfilled(), report.is_clean())
}

/// Where the second group does not even fence the first, both decide everything.
#[test]
fn another_group_on_the_same_topics_is_refused() {
    let off: [Off; 2] = [ALL_ON, &[OneGroup, FenceTheOwnerBefore]];
    let [(refusal, once, clean), (taken, twice, _)] = told(off, two_groups_decide);
    let refusal = refusal.unwrap();
    assert!(refusal.says(exit::CONFIG, "one group alone"), "{refusal:?}");
    assert_eq!((once, clean), (sessions(&[0, 1]), true));
    assert!(taken.is_none(), "{taken:?}");
    assert_eq!(twice, sessions(&[0, 1, 1]));
}
