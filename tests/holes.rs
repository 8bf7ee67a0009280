//! The holes that a cluster's rules close, each provoked on a real broker.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

mod on_kafka {
    use super::support::cluster::{Cluster, Process, sessions};
    use rdkafka::ClientConfig;
    use rdkafka::admin::{AdminClient, AdminOptions};
    use rdkafka::client::DefaultClientContext;
    use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
    use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
    use rdkafka::{Offset, TopicPartitionList};
    use std::time::{Duration, Instant};

    const SOON: Duration = Duration::from_secs(10);

    fn signals(cluster: &Cluster, offset: Offset) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&format!("{}.signals", cluster.name), 0, offset).unwrap();
        list
    }

    fn admin(cluster: &Cluster) -> AdminClient<DefaultClientContext> {
        ClientConfig::new().set("bootstrap.servers", &cluster.brokers).create().unwrap()
    }

    async fn goes_on(cluster: &Cluster, process: Process, from: u32, to: u32) {
        process.pay(0, to).await;
        assert_eq!(cluster.fulfills(to as usize).await, sessions(0, to), "{from} were there");
        process.stop().await;
    }

    /// It would hide everything behind it until it times out; and what it commits after we looked
    /// would be missed.
    #[actix::test]
    async fn what_a_dead_owner_has_open_is_ended_at_once() {
        let cluster = Cluster::at_rest("dead-owner", 1, 20).await;
        let dead: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
            .set("bootstrap.servers", &cluster.brokers)
            .set("transactional.id", format!("{0}-{0}/a/0", cluster.name))
            .set("transaction.timeout.ms", "60000")
            .create()
            .unwrap();
        dead.init_transactions(SOON).unwrap();
        dead.begin_transaction().unwrap();
        for topic in ["attempts", "fulfillments"] {
            let topic = format!("{}.{topic}", cluster.name);
            let record = BaseRecord::to(&topic).partition(0).key("gs_00000").payload("half done");
            dead.send(record).map_err(|(error, _)| error).unwrap();
        }
        dead.flush(SOON).unwrap();
        let began = Instant::now();
        let process = cluster.start("b").await;
        assert!(began.elapsed() < SOON, "it was waited for: {:?}", began.elapsed());
        goes_on(&cluster, process, 20, 30).await;
        assert!(dead.commit_transaction(SOON).is_err(), "who was fenced commits nothing more");
        assert_eq!(cluster.fulfilled(), sessions(0, 30), "and nothing of it is visible");
    }

    /// The trailer says where decisions ended; the group's offset only agrees with it.
    #[actix::test]
    async fn offsets_that_the_group_forgot_decide_nothing_twice() {
        let cluster = Cluster::at_rest("forgotten", 1, 20).await;
        let forgotten =
            admin(&cluster).delete_groups(&[&cluster.group], &AdminOptions::new()).await.unwrap();
        assert!(forgotten.iter().all(Result::is_ok), "{forgotten:?}");
        let process = cluster.start("a").await;
        goes_on(&cluster, process, 20, 30).await;
    }

    /// Half of a transaction, or somebody's hand: either way the lane must not guess.
    #[actix::test]
    async fn an_offset_that_disagrees_with_the_trailer_stops_the_lane() {
        for wrong in [3, 79] {
            let cluster = Cluster::at_rest(&format!("torn-{wrong}"), 1, 20).await;
            let hand: BaseConsumer = ClientConfig::new()
                .set("bootstrap.servers", &cluster.brokers)
                .set("group.id", &cluster.group)
                .create()
                .unwrap();
            hand.commit(&signals(&cluster, Offset::Offset(wrong)), CommitMode::Sync).unwrap();
            let refused = cluster.try_start("a").await.map(drop).unwrap_err();
            assert!(refused.contains(&format!("the group stands at {wrong}")), "{refused}");
            assert_eq!(cluster.fulfilled(), sessions(0, 20));
        }
    }

    /// Retention, or a broker that lost its disk: what was acknowledged is not there to be decided.
    #[actix::test]
    async fn signals_that_are_gone_before_they_were_decided_stop_the_lane() {
        let cluster = Cluster::at_rest("gone", 1, 10).await;
        for n in 0..8 {
            cluster.produce(0, &[], Some(format!("later {n}").as_bytes()));
        }
        let deleted = admin(&cluster)
            .delete_records(&signals(&cluster, Offset::Offset(45)), &AdminOptions::new())
            .await;
        deleted.unwrap();
        let refused = cluster.try_start("a").await.map(drop).unwrap_err();
        assert!(refused.contains("what stood between is gone"), "{refused}");
    }
}
