//! Lanes, actors and core on a real Kafka and a real Redis.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "cluster/redis_ways.rs"]
mod redis_ways_on_kafka;
mod support;

mod on_kafka {
    use super::support::cluster::{Cluster, PATIENCE, sessions};
    use super::support::says;
    use std::time::Duration;
    use tidegate::adapters::kafka::{Changed, Past};
    use tidegate::wire::Topic;
    use tidegate::wire::trailer::Mark;

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
        assert!(second.metrics.commit_seconds.get_sample_count() > 0, "it was given nothing");
        second.stop().await;
        first.pay(100, 200).await;
        assert_eq!(cluster.fulfills(200).await, sessions(0, 200));
        first.stop().await;
    }

    /// Who wrote owner records in a partition, in order.
    fn owners(cluster: &Cluster, partition: u32) -> Vec<String> {
        let past = Past::open(cluster.options("judge"), says::admission()).unwrap();
        let mut changelog = past.changelog().unwrap();
        let (from, end) = past.bounds(Topic::Attempts, partition).unwrap();
        changelog.aim(partition, from, end).unwrap();
        let mut owners = vec![];
        while let Some((_, changed)) = changelog.take().unwrap() {
            if let Changed::Mark { mark: Mark::Owner(owner), .. } = changed {
                owners.push(
                    owner.writer.strip_prefix(&format!("{}/", cluster.group)).unwrap().to_owned(),
                );
            }
        }
        owners
    }

    /// Fenced by the newcomer, it would have to take over anew what it kept.
    #[actix::test]
    async fn who_hands_partitions_over_keeps_the_others_undisturbed() {
        let cluster = Cluster::make("hands-over", 6, 2).await;
        let first = cluster.start("a").await;
        first.pay(0, 60).await;
        cluster.fulfills(60).await;
        // Past the last second with traffic nothing is written but what a hand-over writes.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let second = cluster.start("b").await;
        first.pay(60, 120).await;
        assert_eq!(cluster.fulfills(120).await, sessions(0, 120));
        let of_b = |partition: u32| {
            let lane = partition % 2;
            vec![format!("a/{lane}"), format!("a/{lane}/released"), format!("b/{lane}")]
        };
        let of_a = |partition: u32| vec![format!("a/{}", partition % 2)];
        let found: Vec<_> = (0..6).map(|partition| owners(&cluster, partition)).collect();
        let moved = (0..6).filter(|p| found[*p as usize] == of_b(*p)).count();
        let stayed = (0..6).filter(|p| found[*p as usize] == of_a(*p)).count();
        assert_eq!((moved, stayed), (3, 3), "{found:?}");
        second.stop().await;
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
    async fn a_process_without_a_partition_stands_by() {
        let cluster = Cluster::make("spare", 1, 2).await;
        let first = cluster.start("a").await;
        let second = cluster.start("b").await;
        first.pay(0, 20).await;
        cluster.fulfills(20).await;
        first.stop().await;
        second.pay(10, 40).await;
        assert_eq!(cluster.fulfills(40).await, sessions(0, 40));
        second.stop().await;
    }

    /// Both would decide everything, and each payment would be fulfilled by each.
    #[actix::test]
    async fn another_group_on_the_same_topics_is_refused() {
        let mut cluster = Cluster::make("two-groups", 2, 1).await;
        let first = cluster.start("a").await;
        first.pay(0, 10).await;
        cluster.fulfills(10).await;
        cluster.group = "somebody-else".to_owned();
        let refused = cluster.try_start("b").await.err().unwrap();
        assert!(refused.contains("one group alone"), "{refused}");
        first.pay(10, 20).await;
        assert_eq!(cluster.fulfills(20).await, sessions(0, 20));
        first.stop().await;
    }

    #[actix::test]
    async fn while_redis_is_down_nothing_is_decided_wrongly_and_then_it_goes_on() {
        let mut cluster = Cluster::make("down", 4, 2).await;
        let process = cluster.start("a").await;
        process.pay(0, 50).await;
        cluster.fulfills(50).await;
        cluster.redis.stop();
        // Payments of before, of which nobody may remember anything, and new ones.
        process.pay(0, 100).await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        let meanwhile = cluster.fulfilled();
        let once: std::collections::BTreeSet<_> = meanwhile.iter().collect();
        assert_eq!(once.len(), meanwhile.len(), "none twice");
        cluster.redis.start_again();
        assert_eq!(cluster.fulfills(100).await, sessions(0, 100));
        process.stop().await;
    }

    #[actix::test]
    async fn the_lag_of_a_partition_is_what_nobody_has_decided() {
        let mut cluster = Cluster::make("lag", 1, 1).await;
        let process = cluster.start("a").await;
        process.pay(0, 20).await;
        cluster.fulfills(20).await;
        process.lags(0).await;
        cluster.redis.stop();
        process.pay(20, 30).await;
        process.lags(40).await;
        cluster.redis.start_again();
        cluster.fulfills(30).await;
        process.lags(0).await;
        process.stop().await;
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

mod produced_on_kafka {
    use super::support::cluster::{Cluster, PATIENCE, sessions};
    use super::support::says::{self, COMPLETED, Event};
    use std::collections::BTreeMap;
    use std::time::{Duration, Instant};

    /// Somebody else's producer knows the body and 0Gate's signature, and keys as it likes.
    #[actix::test]
    async fn a_body_and_its_signature_are_enough_wherever_they_are_put() {
        let cluster = Cluster::make("foreign", 3, 1).await;
        let process = cluster.start("a").await;
        for n in 0..9 {
            let (id, session) = (format!("evt_{n}"), format!("gs_{n:05}"));
            let body = Event::new(&id, COMPLETED, &session).body();
            // Signed long ago: it may have waited in the topic.
            let signature = says::secret().sign(says::now().seconds() - 90_000, &body);
            cluster.produce(n % 3, &[("gate-signature", signature.as_bytes())], Some(&body));
        }
        assert_eq!(cluster.fulfills(9).await, sessions(0, 9));
        process.stop().await;
    }

    #[actix::test]
    async fn what_nobody_signed_is_a_dead_letter_and_stops_nothing() {
        let cluster = Cluster::make("garbage", 3, 1).await;
        let process = cluster.start("a").await;
        let body = Event::new("evt_1", COMPLETED, "gs_1").body();
        let forged = format!("t={},v1={}", says::now().seconds(), "0".repeat(64));
        let signed = says::secret().sign(says::now().seconds(), &body);
        let large = vec![b'x'; 1_900_000];
        cluster.produce(0, &[], Some(&body));
        cluster.produce(1, &[("gate-signature", forged.as_bytes())], Some(&body));
        cluster.produce(2, &[("gate-signature", b"\xff\xfe")], Some(b"\x00\x01"));
        cluster.produce(0, &[("gate-signature", signed.as_bytes())], None);
        cluster.produce(1, &[("tg-signature", b"0.00"), ("tg-hop", b"x")], Some(&body));
        cluster.produce(
            2,
            &[("gate-signature", signed.as_bytes()), ("tg-endpoint", b"nobody")],
            Some(&body),
        );
        cluster.produce(0, &[("gate-signature", signed.as_bytes())], Some(&large));
        let authentic = says::secret().sign(says::now().seconds(), b"not json");
        cluster.produce(1, &[("gate-signature", authentic.as_bytes())], Some(b"not json"));
        process.pay(0, 5).await;
        assert_eq!(cluster.fulfills(5).await, sessions(0, 5));
        let expected = [("unparseable", 1), ("unproven", 7)];
        let expected: BTreeMap<_, _> = expected.map(|(why, n)| (why.to_owned(), n)).into();
        let began = Instant::now();
        while cluster.dead_letters() != expected && began.elapsed() < PATIENCE {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(cluster.dead_letters(), expected);
        process.stop().await;
    }
}

mod served_on_kafka {
    use super::support::cluster::Cluster;
    use super::support::says::{COMPLETED, CREATED, Event, PROCESSING};
    use super::support::served::{Configured, Served};
    use super::support::services::redis::Redis;

    /// Delivers a payment's three events to whoever takes them, until each is acknowledged.
    fn pay(processes: &[&Served], n: usize) {
        let session = format!("gs_{n:05}");
        for (at, kind) in [CREATED, PROCESSING, COMPLETED].into_iter().enumerate() {
            let id = format!("evt_{n}_{at}");
            let event = Event::new(&id, kind, &session);
            let took =
                processes.iter().cycle().skip(n).take(20).any(|process| {
                    process.deliver(&event).is_some_and(|answer| answer.status == 200)
                });
            assert!(took, "nobody takes {id}");
        }
    }

    #[actix::test]
    async fn processes_come_and_go_and_every_payment_is_fulfilled_once() {
        let cluster = Cluster::make("served", 6, 2).await;
        let configured = Configured::of(&cluster, &cluster.redis.url());
        let (first, second) = (configured.serve("a"), configured.serve("b"));
        (0..40).for_each(|n| pay(&[&first, &second], n));
        first.kill();
        (40..60).for_each(|n| pay(&[&second], n));
        let first = configured.serve("a");
        (60..100).for_each(|n| pay(&[&first, &second], n));
        // What was delivered before comes again, to the other one.
        (0..100).for_each(|n| pay(&[&second, &first], n));
        let expected: Vec<String> = (0..100).map(|n| format!("gs_{n:05}")).collect();
        assert_eq!(cluster.fulfills(100).await, expected);
        let feed = first.ask("/v1/feeds/fulfillments");
        assert_eq!(feed.lines().len(), 100, "{}", feed.body);
        let shown = second.ask("/v1/attempts/gs_00007");
        assert_eq!(shown.json()["state"], "fulfilled", "{}", shown.body);
        assert_eq!(first.end(), Some(0));
        assert_eq!(second.end(), Some(0));
    }

    #[actix::test]
    async fn a_feed_goes_on_from_any_position() {
        let cluster = Cluster::make("feed", 3, 1).await;
        let configured = Configured::of(&cluster, &cluster.redis.url());
        let process = configured.serve("a");
        (0..30).for_each(|n| pay(&[&process], n));
        cluster.fulfills(30).await;
        let whole = process.ask("/v1/feeds/fulfillments").lines();
        assert_eq!(whole.len(), 30);
        let mut keys: Vec<String> = vec![];
        let mut after = String::new();
        loop {
            let part = process.ask(&format!("/v1/feeds/fulfillments?limit=7&after={after}"));
            let lines = part.lines();
            let Some(last) = lines.last() else { break };
            after = last["position"].as_str().unwrap().to_owned();
            keys.extend(lines.iter().map(|line| line["key"].as_str().unwrap().to_owned()));
        }
        keys.sort_unstable();
        let expected: Vec<String> = (0..30).map(|n| format!("gs_{n:05}")).collect();
        assert_eq!(keys, expected, "each once, none left out");
        for bad in ["x", "1.2", "9999.9999.9999"] {
            let refused = process.ask(&format!("/v1/feeds/fulfillments?after={bad}"));
            assert_eq!((refused.status, refused.code().as_str()), (400, "bad_position"));
        }
    }

    #[actix::test]
    async fn what_is_missing_is_said_with_what_to_do() {
        let cluster = Cluster::make("missing", 3, 1).await;
        let configured = Configured::of(&cluster, &cluster.redis.url());
        let told = |words: &[&str]| {
            let output = configured.run(words);
            let said = [output.stdout, output.stderr].concat();
            (output.status.code(), String::from_utf8(said).unwrap())
        };
        let (code, said) = told(&["topics", "verify"]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("replicas is 1 and must be 3"), "{said}");
        let (code, said) = told(&["topics", "init", "--partitions", "3"]);
        assert_eq!((code, said.contains("there already")), (Some(0), true), "{said}");

        let elsewhere = Cluster { name: "nobody-made-these".to_owned(), ..cluster };
        let configured = Configured::of(&elsewhere, &elsewhere.redis.url());
        let output = configured.run(&["serve"]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(78), "{said}");
        assert!(said.contains("there is no topic") && said.contains("topics init"), "{said}");
    }

    #[actix::test]
    async fn the_doctor_names_what_is_ill_and_what_to_do() {
        let cluster = Cluster::make("doctor", 3, 1).await;
        let looks = |redis: &str| {
            let output = Configured::of(&cluster, redis).run(&["doctor", "-o", "json"]);
            let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            (output.status.code(), said)
        };
        let of = |said: &serde_json::Value, what: &str| -> Vec<(bool, String)> {
            let checks = said["checks"].as_array().unwrap().iter();
            let found = |it: &serde_json::Value| it["found"].as_str().unwrap().to_owned();
            checks.filter(|it| it["what"] == what).map(|it| (it["ok"] == true, found(it))).collect()
        };
        let (code, said) = looks(&cluster.redis.url());
        // The test's topics have one copy, and that is all that is ill.
        assert_eq!((code, said["ok"].as_bool()), (Some(1), Some(false)), "{said:#}");
        let topics = of(&said, "topics");
        assert!(topics.iter().all(|(ok, found)| !ok && found.contains("replicas")), "{topics:?}");
        for well in ["configuration", "signing keys", "brokers", "transactions", "Redis", "clock"] {
            let looked = of(&said, well);
            assert!(!looked.is_empty() && looked.iter().all(|(ok, _)| *ok), "{well}: {said:#}");
        }
        let evicting = Redis::start_with(&["--maxmemory-policy", "allkeys-lru"]);
        let (_, said) = looks(&evicting.url());
        assert_eq!(of(&said, "Redis"), [(false, "maxmemory-policy is allkeys-lru".to_owned())]);
        let (_, said) = looks("redis://:a-password@127.0.0.1:1");
        let looked = of(&said, "Redis");
        assert!(!looked[0].0 && looked[0].1.contains("127.0.0.1:1"), "{looked:?}");
        assert!(!said.to_string().contains("a-password"), "{said:#}");
    }

    #[actix::test]
    async fn a_redis_that_cannot_be_used_is_said_with_what_to_do() {
        let cluster = Cluster::make("redis", 3, 1).await;
        let evicting = Redis::start_with(&["--maxmemory-policy", "allkeys-lru"]);
        let locked = Redis::start_with(&["--requirepass", "right-password"]);
        let wrong = format!("redis://:wrong-password@127.0.0.1:{}", locked.port);
        let nobody = "redis://127.0.0.1:1".to_owned();
        for (url, code, says) in
            [(evicting.url(), 78, "noeviction"), (wrong, 69, "password"), (nobody, 69, "is up")]
        {
            let output = Configured::of(&cluster, &url).run(&["serve"]);
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(code), "{said}");
            assert!(said.contains(says) && !said.contains("wrong-password"), "{said}");
        }
    }
}
