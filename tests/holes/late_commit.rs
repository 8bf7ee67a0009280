//! librdkafka repeats a commit whose connection broke, by itself. The first copy names nothing but
//! its producer: where it arrives late, it ends whatever that producer has open by then.

use super::story::{ALL_ON, Off, Refusal, Story, sessions, told};
use crate::support::services::proxy::Api;
use std::time::Duration;
use tidegate::cli::exit;
use tidegate::safeguard::Safeguard::{NothingAfterTheTrailer, PoisonOnLostConnection};

/// Longer than a lane waits until it sums up a second with traffic.
const QUIET: Duration = Duration::from_millis(1_600);

const FENCED: [i16; 2] = [47, 90];

struct Came {
    /// What the broker made of the late copy.
    answer: i16,
    /// What the next start made of what it found.
    start: Result<Vec<String>, Refusal>,
    clean: bool,
}

/// The commit of the first payment is kept on its way.
async fn a_commit_arrives_late(off: Off) -> Came {
    let story = Story::new("late-commit", 1, off).await;
    let line = story.line("a");
    let process = story.launch_through("a").ready();
    line.keep_next(Api::EndTxn);
    story.complete(&process, 0);
    let late = line.kept();
    // It was asked for again, and was done.
    assert_eq!(story.cluster.fulfills(1).await, sessions(&[0]));
    line.rests(Api::EndTxn, QUIET);
    // The next transaction gets as far as its fulfillment, and not to its state and trailer.
    line.hold(Api::AddOffsetsToTxn);
    line.hold_naming(Api::Produce, ".attempts");
    story.complete(&process, 1);
    line.holds(Api::AddOffsetsToTxn, 1);
    line.holds(Api::Produce, 1);
    story.are_on_their_way(2);
    let answer = late.arrives();
    process.kill();
    line.lose(Api::AddOffsetsToTxn);
    line.lose(Api::Produce);
    let start = match story.outcome("a", &[]) {
        Ok(_goes_on) => Ok(story.cluster.fulfills(2).await),
        Err(refusal) => Err(refusal),
    };
    let clean = match start {
        Ok(_) => story.settled().await.is_clean(),
        Err(_) => story.audit().is_clean(),
    };
    Came { answer, start, clean }
}

#[test]
fn a_commit_that_arrives_late_ends_nothing_of_the_next_transaction() {
    let off: [Off; 3] =
        [ALL_ON, &[PoisonOnLostConnection], &[PoisonOnLostConnection, NothingAfterTheTrailer]];
    let [kept, torn, doubled] = told(off, a_commit_arrives_late);
    assert!(FENCED.contains(&kept.answer), "the late copy came to {}", kept.answer);
    assert_eq!(kept.start.unwrap(), sessions(&[0, 1]));
    assert!(kept.clean);
    // Without its rule half a transaction is committed, and the next start refuses to go on.
    assert_eq!(torn.answer, 0);
    let refusal = torn.start.unwrap_err();
    assert!(refusal.says(exit::DATA, "half of a transaction"), "{refusal:?}");
    assert!(!torn.clean);
    // And without that as well, it is paid twice.
    assert_eq!(doubled.start.unwrap(), sessions(&[0, 1, 1]));
    assert!(!doubled.clean);
}
