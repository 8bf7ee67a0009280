//! Primaries that are demoted, by hand or by sentinels.

use crate::on_redis::{PARTITION, apply, has, text};
use crate::support::services::redis::{Redis, replica_of};
use crate::support::services::sentinels::Watched;
use secrecy::ExposeSecret;
use std::time::{Duration, Instant};
use tidegate::adapters::redis::{RedisError, RedisOptions, RedisView};
use tidegate::ports::{View, ViewError, ViewPosition};

const PATIENCE: Duration = Duration::from_secs(30);

/// Asks again while the server is being changed for another.
async fn position(view: &RedisView) -> ViewPosition {
    let began = Instant::now();
    loop {
        match view.position(PARTITION).await {
            Ok(position) => return position,
            Err(_) if began.elapsed() < PATIENCE => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

fn demote(server: &Redis, to: &Redis) {
    let said = server.says(&format!("REPLICAOF 127.0.0.1 {}", to.port));
    assert!(said.contains("OK"), "{said}");
}

#[actix::test]
async fn a_replica_is_no_place_for_a_view() {
    let primary = Redis::start();
    let replica = replica_of(&primary);
    let refused = RedisView::open(&RedisOptions::new(replica.url(), "t")).await.err().unwrap();
    assert!(matches!(refused, RedisError::Replica { .. }), "{refused}");
}

#[actix::test]
async fn a_primary_that_is_demoted_under_us_is_left_and_found_again() {
    let (first, second) = (Redis::start(), Redis::start());
    let view = RedisView::open(&RedisOptions::new(first.url(), "t")).await.unwrap();
    view.apply(apply(0, 10, 3, "first")).await.unwrap();
    demote(&first, &second);
    let refused = view.apply(apply(10, 20, 3, "second")).await;
    assert!(matches!(refused, Err(ViewError::Unavailable(_))), "it came to {refused:?}");
    let refused = view.position(PARTITION).await;
    let told = matches!(&refused, Err(ViewError::Unavailable(why)) if why.contains("is a replica"));
    assert!(told, "it came to {refused:?}");
    first.says("REPLICAOF NO ONE");
    position(&view).await;
}

/// Such a replica takes what it is told, and forgets it when it copies its primary.
#[actix::test]
async fn a_replica_that_takes_writes_is_left_as_well() {
    let first = Redis::start_with(&["--replica-read-only", "no"]);
    let second = Redis::start();
    let view = RedisView::open(&RedisOptions::new(first.url(), "t")).await.unwrap();
    view.apply(apply(0, 10, 3, "first")).await.unwrap();
    demote(&first, &second);
    let began = Instant::now();
    while view.position(PARTITION).await.is_ok() {
        assert!(began.elapsed() < PATIENCE, "it goes on as if nothing had happened");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let refused = view.apply(apply(0, 20, 3, "second")).await;
    assert!(matches!(refused, Err(ViewError::Unavailable(_))), "it came to {refused:?}");
}

#[actix::test]
async fn the_primary_that_sentinels_name_is_followed() {
    let watched = Watched::start_with("canary-of-the-sentinels");
    let mut options = RedisOptions::new(watched.url(), "t");
    let refused = RedisView::open(&options).await.err().unwrap();
    assert!(matches!(refused, RedisError::Refused { .. }), "{refused}");
    options.sentinel_password = Some("canary-of-the-sentinels".into());
    let another = options.url.expose_secret().replace("/tide", "/another");
    let another = RedisOptions { url: another.into(), ..options.clone() };
    let refused = RedisView::open(&another).await.err().unwrap();
    assert!(matches!(&refused, RedisError::NoPrimary { service, .. } if service == "another"));
    let view = RedisView::open(&options).await.unwrap();
    view.apply(apply(0, 10, 3, "first")).await.unwrap();
    watched.fail_over();
    watched.becomes(1, "master");
    // The old one is up and thinks that it is the primary, until somebody tells it; only the
    // sentinels know better.
    let (meta, began) = (format!("HGET {{t:{PARTITION}}}:meta changelog"), Instant::now());
    while !watched.servers[1].says(&meta).contains("20") {
        assert!(began.elapsed() < PATIENCE, "the new primary is never told anything");
        // The owner of a partition shows again what a view lacks; here it is the test.
        let _told_again = view.apply(apply(0, 20, 3, "second")).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(has(&view, "name2").await, (20, Some(text("second"))));
}
