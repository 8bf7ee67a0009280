//! A view that fails over, and one that is spread over the nodes of a Redis Cluster.

use crate::support::cluster::{Cluster, sessions};
use crate::support::services::sentinels::Watched;
use std::time::Duration;

/// Time for what was committed to be shown to the view.
const SHOWN: Duration = Duration::from_secs(1);

/// The replica that becomes the primary lacks what was acknowledged last: it is shown that again
/// before anything is decided from it.
#[actix::test]
async fn a_failover_that_loses_what_was_acknowledged_fulfills_nothing_twice() {
    let mut watched = Watched::start();
    let mut cluster = Cluster::make("failover", 4, 2).await;
    cluster.view = watched.url();
    let process = cluster.start("a").await;
    process.pay(0, 50).await;
    cluster.fulfills(50).await;
    watched.cut_off(1);
    process.pay(50, 100).await;
    cluster.fulfills(100).await;
    tokio::time::sleep(SHOWN).await;
    watched.servers[0].stop();
    // Payments of before, the ones that the new primary never heard of among them, and new ones.
    process.pay(0, 200).await;
    assert_eq!(cluster.fulfills(200).await, sessions(0, 200));
    watched.becomes(1, "master");
    assert!(process.metrics.view_repairs.get() > 0, "nothing was lost: this says nothing");
    // The old one comes back, and does not know yet that it is to be a copy.
    watched.servers[0].start_again();
    process.pay(150, 250).await;
    assert_eq!(cluster.fulfills(250).await, sessions(0, 250));
    let asked = watched.servers[0].says("INFO commandstats");
    assert!(asked.contains("cmdstat_") && !asked.contains("cmdstat_evalsha"), "{asked}");
    process.stop().await;
}

#[cfg(feature = "redis-cluster")]
#[actix::test]
async fn a_view_in_a_redis_cluster_is_a_view() {
    use crate::support::services::redis_cluster::RedisCluster;
    let redis = RedisCluster::shared();
    let mut cluster = Cluster::make("spread", 8, 2).await;
    cluster.view = redis.url();
    let process = cluster.start("a").await;
    process.pay(0, 100).await;
    assert_eq!(cluster.fulfills(100).await, sessions(0, 100));
    process.stop().await;
    let process = cluster.start("a").await;
    process.pay(50, 150).await;
    assert_eq!(cluster.fulfills(150).await, sessions(0, 150));
    process.stop().await;
    let sizes = redis.sizes();
    assert!(sizes.iter().filter(|size| **size > 0).count() > 1, "all on one node: {sizes:?}");
}
