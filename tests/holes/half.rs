//! Half of a transaction that became visible without its trailer, planted by hand: how it comes about is
//! told in `late_commit`.

use super::story::{ALL_ON, Off, Refusal, Story, session, sessions, told};
use tidegate::cli::exit;
use tidegate::safeguard::Safeguard::NothingAfterTheTrailer;
use tidegate::wire::Topic;

/// Payments 0 and 1 are fulfilled. What the last batch left of payment 1 in a topic is there of payment 2
/// as well, of a batch without a trailer.
async fn half_is_visible(off: Off, topic: Topic) -> Result<Vec<String>, Refusal> {
    let story = Story::at_rest(&format!("half-{}", topic.word()), off, 2).await;
    story.completes(2);
    let (before, planted) = (session(1), session(2));
    let is_of_before = |key: &[u8]| String::from_utf8_lossy(key).ends_with(&before);
    let records = story.cluster.records(topic);
    let (key, value) = records.into_iter().rfind(|(key, _)| is_of_before(key)).unwrap();
    let key = String::from_utf8(key).unwrap().replace(&before, &planted);
    story.cluster.plant(topic, 0, &[("tg-txn", b"9.9")], key.as_bytes(), &renamed(value));
    let process = story.outcome("first", &[])?;
    story.complete(&process, 3);
    story.settled().await;
    Ok(story.cluster.fulfilled())
}

/// The same of payment 2: the names are of one length.
fn renamed(mut value: Vec<u8>) -> Vec<u8> {
    let (before, after) = (session(1).into_bytes(), session(2).into_bytes());
    while let Some(at) = value.windows(before.len()).position(|some| some == before) {
        value[at..at + after.len()].copy_from_slice(&after);
    }
    value
}

/// The batch is decided again, and its fulfillment stands there already.
#[test]
fn a_fulfillment_without_its_trailer_stops_the_lane() {
    let off: [Off; 2] = [ALL_ON, &[NothingAfterTheTrailer]];
    let [stopped, doubled] = told(off, |off| half_is_visible(off, Topic::Fulfillments));
    let refusal = stopped.unwrap_err();
    assert!(refusal.says(exit::DATA, "half of a transaction"), "{refusal:?}");
    assert_eq!(doubled.unwrap(), sessions(&[0, 1, 2, 2, 3]));
}

/// The batch is decided again, and whoever it concerns is said to be done already.
#[test]
fn a_state_without_its_trailer_stops_the_lane() {
    let off: [Off; 2] = [ALL_ON, &[NothingAfterTheTrailer]];
    let [stopped, lost] = told(off, |off| half_is_visible(off, Topic::Attempts));
    let refusal = stopped.unwrap_err();
    assert!(refusal.says(exit::DATA, "half of a transaction"), "{refusal:?}");
    assert_eq!(lost.unwrap(), sessions(&[0, 1, 3]), "payment 2 is lost");
}
