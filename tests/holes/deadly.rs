//! A signal that ends every process that decides it: whoever has the partition next would end of it
//! too, and nothing behind it would ever be decided.

use super::story::{ALL_ON, Story, sessions};
use crate::support::cluster::PATIENCE;
use std::collections::BTreeMap;
use std::time::Duration;

const GOES_ON: Duration = Duration::from_secs(4);
/// What stands before it is suspected first: two lives and a try, then two and three for itself.
const DEATHS_MOST: u32 = 12;

#[actix::test]
async fn a_signal_that_ends_every_process_is_a_dead_letter_and_the_rest_goes_on() {
    let story = Story::new("deadly", 1, ALL_ON).await;
    (0..5).for_each(|n| story.completes(n));
    let deadly = [("TIDEGATE_DEADLY", "gs_00002")];
    let mut deaths = 0;
    let last = loop {
        let process = story.launch_with("a", &deadly).outcome(PATIENCE);
        if let Ok(mut process) = process
            && process.ends_within(GOES_ON).is_none()
        {
            break process;
        }
        deaths += 1;
        assert!(deaths <= DEATHS_MOST, "it goes on dying: {}", story.said("a"));
    };
    println!("{deaths} deaths");
    assert!(deaths >= 5, "it was given up after {deaths} deaths");
    assert_eq!(story.cluster.fulfills(4).await, sessions(&[0, 1, 3, 4]));
    let dead = BTreeMap::from([("ended_the_process".to_owned(), 1)]);
    assert_eq!(story.cluster.dead_letters(), dead);
    assert_eq!(last.end(), Some(0));
    assert!(story.audit().is_clean());
}
