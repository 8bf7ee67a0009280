//! What the group says of itself: forgotten, moved, or about signals that are gone. The trailer says
//! where decisions ended.

use super::story::{ALL_ON, Off, Refusal, SOON, Story, sessions, told};
use crate::support::cluster::Cluster;
use rdkafka::admin::AdminOptions;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tidegate::cli::exit;
use tidegate::safeguard::Safeguard::{
    NothingAfterTheTrailer, OffsetAgrees, TrailerOutlivesOffsets,
};

fn signals(cluster: &Cluster, offset: Offset) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&format!("{}.signals", cluster.name), 0, offset).unwrap();
    list
}

async fn offsets_are_forgotten(off: Off) -> (Vec<String>, bool) {
    let story = Story::at_rest("forgotten", off, 5).await;
    let options = AdminOptions::new().operation_timeout(Some(SOON));
    let forgotten = story.admin().delete_groups(&[&story.cluster.group], &options).await.unwrap();
    assert!(forgotten.iter().all(Result::is_ok), "{forgotten:?}");
    let process = story.serve("first");
    story.complete(&process, 5);
    let fulfilled = story.cluster.fulfills(6).await;
    (fulfilled, story.settled().await.is_clean())
}

/// Begun anew, the partition counts what it has counted already, and says so in its outputs.
#[test]
fn offsets_that_the_group_forgot_decide_nothing_twice() {
    // Outputs after no trailer at all would stop it.
    let off: [Off; 2] = [ALL_ON, &[TrailerOutlivesOffsets, NothingAfterTheTrailer]];
    let [kept, again] = told(off, offsets_are_forgotten);
    assert_eq!(kept, (sessions(&[0, 1, 2, 3, 4, 5]), true));
    assert!(!again.1, "{again:?}");
}

/// Half of a transaction, or somebody's hand: either way the lane must not guess.
async fn an_offset_is_moved(off: Off) -> Result<Vec<String>, Refusal> {
    let story = Story::at_rest("moved", off, 2).await;
    story.completes(2);
    let hand: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &story.cluster.brokers)
        .set("group.id", &story.cluster.group)
        .create()
        .unwrap();
    hand.commit(&signals(&story.cluster, Offset::Offset(3)), CommitMode::Sync).unwrap();
    let process = story.outcome("first", &[])?;
    story.complete(&process, 3);
    Ok(story.cluster.fulfills(3).await)
}

#[test]
fn an_offset_that_disagrees_with_the_trailer_stops_the_lane() {
    let [stopped, lost] = told([ALL_ON, &[OffsetAgrees]], an_offset_is_moved);
    let refusal = stopped.unwrap_err();
    assert!(refusal.says(exit::DATA, "the group stands at 3"), "{refusal:?}");
    assert_eq!(lost.unwrap(), sessions(&[0, 1, 3]), "payment 2 is lost");
}

/// Retention, or a broker that lost its disk: what was acknowledged is not there to be decided.
#[actix::test]
async fn signals_that_are_gone_before_they_were_decided_stop_the_lane() {
    let story = Story::at_rest("gone", ALL_ON, 2).await;
    (2..4).for_each(|n| story.completes(n));
    let gone = signals(&story.cluster, Offset::Offset(3));
    story.admin().delete_records(&gone, &AdminOptions::new()).await.unwrap();
    let refusal = story.outcome("first", &[]).map(drop).unwrap_err();
    assert!(refusal.says(exit::DATA, "what stood between is gone"), "{refusal:?}");
}
