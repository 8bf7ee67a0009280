//! Lanes, actors and core on a real Kafka and a real Redis.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

mod on_kafka {
    use super::support::cluster::{Cluster, PATIENCE, sessions};

    #[actix::test]
    async fn what_is_paid_is_fulfilled_once() {
        let cluster = Cluster::make("once", 6, 2).await;
        let process = cluster.start("a").await;
        process.pay(0, 200).await;
        assert_eq!(cluster.fulfills(200).await, sessions(0, 200));
        process.stop().await;
    }

    #[actix::test]
    async fn a_start_goes_on_where_the_last_one_ended() {
        let cluster = Cluster::make("goes-on", 6, 2).await;
        let process = cluster.start("a").await;
        process.pay(0, 50).await;
        cluster.fulfills(50).await;
        process.stop().await;
        let process = cluster.start("a").await;
        process.pay(25, 75).await;
        assert_eq!(cluster.fulfills(75).await, sessions(0, 75));
        process.stop().await;
    }

    #[actix::test]
    async fn a_second_process_takes_its_share_and_hands_it_back() {
        let cluster = Cluster::make("shares", 6, 2).await;
        let first = cluster.start("a").await;
        first.pay(0, 100).await;
        let second = cluster.start("b").await;
        second.pay(50, 150).await;
        cluster.fulfills(150).await;
        second.stop().await;
        first.pay(100, 200).await;
        assert_eq!(cluster.fulfills(200).await, sessions(0, 200));
        first.stop().await;
    }

    #[actix::test]
    async fn what_a_process_left_is_finished_by_the_next_of_its_name() {
        let cluster = Cluster::make("left", 6, 2).await;
        let mut first = cluster.start("a").await;
        first.pay(0, 100).await;
        // The first one still lives, and thinks that all of it is its own.
        let second = cluster.start("a").await;
        second.pay(50, 150).await;
        assert_eq!(cluster.fulfills(150).await, sessions(0, 150));
        let broken = tokio::time::timeout(PATIENCE, first.engine.broken()).await;
        assert!(broken.is_ok(), "the first one goes on as if it were alone");
        second.stop().await;
    }

    #[actix::test]
    async fn a_view_that_is_emptied_fulfills_nothing_twice() {
        let cluster = Cluster::make("emptied", 6, 2).await;
        let process = cluster.start("a").await;
        process.pay(0, 100).await;
        cluster.fulfills(100).await;
        cluster.redis.says("FLUSHALL");
        process.pay(0, 150).await;
        assert_eq!(cluster.fulfills(150).await, sessions(0, 150));
        process.stop().await;
    }
}
