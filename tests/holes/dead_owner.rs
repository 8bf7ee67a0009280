//! An owner that died with a transaction open: it would hide everything behind it until it times out,
//! and what it commits after its heir looked would be missed.

use super::story::{ALL_ON, Off, SOON, Story, sessions, told};
use crate::support::commits;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use std::time::Duration;
use tidegate::safeguard::Safeguard::{FenceEveryHolder, FenceTheOwnerBefore};
use tidegate::wire::trailer::{Mark, Owner};

const AT_ONCE: Duration = Duration::from_secs(5);

struct Came {
    /// Whether the heir is ready at once.
    ready: bool,
    /// Whether what was open could be committed after that.
    committed: bool,
    fulfilled: Vec<String>,
}

async fn an_owner_died_with_a_transaction_open(off: Off) -> Came {
    let story = Story::at_rest("dead-owner", off, 2).await;
    let dead = story.takes_the_name("first", 0);
    dead.begin_transaction().unwrap();
    for topic in ["attempts", "fulfillments"] {
        let topic = format!("{}.{topic}", story.cluster.name);
        let record = BaseRecord::to(&topic).partition(0).key("gs_00000");
        let half_done = record.payload(r#"{"attempt_id": "gs_00000"}"#);
        dead.send(half_done).map_err(|(error, _)| error).unwrap();
    }
    dead.flush(SOON).unwrap();
    let heir = story.launch_with("heir", &[]).outcome(AT_ONCE);
    let committed = dead.commit_transaction(SOON).is_ok();
    let fulfilled = match &heir {
        Ok(heir) => {
            story.complete(heir, 2);
            story.cluster.fulfills(3).await
        }
        Err(_waits) => story.cluster.fulfilled(),
    };
    Came { ready: heir.is_ok(), committed, fulfilled }
}

#[test]
fn what_a_dead_owner_has_open_is_ended_at_once() {
    let [ended, open] =
        told([ALL_ON, &[FenceTheOwnerBefore]], an_owner_died_with_a_transaction_open);
    assert!(ended.ready && !ended.committed, "who was fenced commits nothing more");
    assert_eq!(ended.fulfilled, sessions(&[0, 1, 2]), "and nothing of it is visible");
    assert!(!open.ready && open.committed);
    assert_eq!(open.fulfilled, sessions(&[0, 0, 1]));
}

/// The owner has sent a fulfillment, and nothing else yet, when somebody else begins to take over;
/// both die.
async fn an_owner_died_after_somebody_else_had_begun(off: Off) -> Came {
    let story = Story::at_rest("second-owner", off, 2).await;
    let owns = |who: &str, epoch: u64| {
        let writer = format!("{}/{}/0", story.cluster.group, story.instance(who));
        let mut record = vec![];
        let owner = Owner { writer, epoch, next: 2, ..commits::owner(1) };
        Mark::Owner(owner).encode(&mut record);
        record
    };
    let attempts = format!("{}.attempts", story.cluster.name);
    let took = |producer: &ThreadedProducer<DefaultProducerContext>, record: Vec<u8>| {
        producer.begin_transaction().unwrap();
        let record = BaseRecord::to(&attempts).partition(0).key("~owner").payload(&record);
        producer.send(record).map_err(|(error, _)| error).unwrap();
        producer.flush(SOON).unwrap();
    };
    let dead = story.takes_the_name("dead", 0);
    took(&dead, owns("dead", 9));
    dead.commit_transaction(SOON).unwrap();
    dead.begin_transaction().unwrap();
    let fulfillments = format!("{}.fulfillments", story.cluster.name);
    let record = BaseRecord::to(&fulfillments).partition(0).key("gs_00000");
    let half_done = record.payload(r#"{"attempt_id": "gs_00000"}"#);
    dead.send(half_done).map_err(|(error, _)| error).unwrap();
    dead.flush(SOON).unwrap();
    let beginner = story.takes_the_name("beginner", 0);
    took(&beginner, owns("beginner", 10));
    let heir = story.launch_with("heir", &[]).outcome(AT_ONCE);
    let committed = dead.commit_transaction(SOON).is_ok();
    let fulfilled = story.cluster.fulfilled();
    Came { ready: heir.is_ok(), committed, fulfilled }
}

#[test]
fn what_the_owner_before_the_newest_has_open_is_ended_too() {
    let [ended, open] =
        told([ALL_ON, &[FenceEveryHolder]], an_owner_died_after_somebody_else_had_begun);
    assert!(ended.ready && !ended.committed, "who was fenced commits nothing more");
    assert_eq!(ended.fulfilled, sessions(&[0, 1]));
    assert!(!open.ready, "it stands still until the transaction times out");
    assert!(open.committed, "what nobody fenced can be committed");
    assert_eq!(open.fulfilled, sessions(&[0, 0, 1]));
}
