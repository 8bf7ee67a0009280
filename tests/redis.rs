//! The view on a real Redis that loses things: nothing that is gone is taken for nothing that was.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "redis/failover.rs"]
mod failover_on_redis;
#[path = "redis/secured.rs"]
mod secured_on_redis;
mod support;

use tidegate::adapters::redis::{RedisError, RedisOptions};

#[test]
fn an_address_that_cannot_be_meant_is_refused_without_showing_it() {
    let refusal = |url: &str| RedisOptions::new(url, "t").refusal();
    for url in [
        "canary",
        "redis://",
        "redis+sentinel://u:canary@one:26379,two:26379",
        "redis+sentinel://u:canary@one:26379,:,/service",
        "redis+cluster://u:canary@one:6379/path",
        "redis+other://u:canary@one:6379",
    ] {
        let refused = refusal(url).unwrap();
        assert!(matches!(refused, RedisError::Address(_)), "{refused}");
        assert!(!format!("{refused} {refused:?}").contains("canary"), "{refused}");
    }
    assert_eq!(refusal("rediss://u:canary@one:6379/2"), None);
    assert_eq!(refusal("rediss+sentinel://u@one:26379,two:26379/service"), None);
    let cluster = refusal("redis+cluster://u@one:6379,two:6379");
    let built = cfg!(feature = "redis-cluster");
    assert_eq!(cluster, if built { None } else { Some(RedisError::NoCluster) });
}

mod on_redis {
    use super::support::services::redis::Redis;
    use bytes::Bytes;
    use std::time::{Duration, Instant};
    use tidegate::adapters::redis::{RedisError, RedisOptions, RedisView};
    use tidegate::ports::{Apply, View, ViewError, ViewPosition};

    pub const PARTITION: u32 = 3;

    async fn view(server: &Redis) -> RedisView {
        let options = RedisOptions::new(server.url(), "t");
        RedisView::open(&options).await.unwrap()
    }

    pub fn text(text: &str) -> Bytes {
        Bytes::copy_from_slice(text.as_bytes())
    }

    /// An apply of the states `name0..name<count>`, each as `value`.
    pub fn apply(after: u64, changelog: u64, count: usize, value: &str) -> Apply {
        let states = (0..count).map(|n| (text(&format!("name{n}")), text(value))).collect();
        let position = ViewPosition { epoch: 1, changelog };
        Apply { partition: PARTITION, after, position, states }
    }

    pub async fn has(view: &RedisView, name: &str) -> (u64, Option<Bytes>) {
        let looked = view.look_up(PARTITION, vec![text(name)]).await.unwrap();
        (looked.position.changelog, looked.values.into_iter().next().unwrap())
    }

    /// The keys of hashes that hold states.
    fn buckets(server: &Redis) -> Vec<String> {
        let keys = server.says("KEYS *");
        let names = keys.lines().filter(|line| line.starts_with('{') && !line.ends_with("meta"));
        names.map(str::to_owned).collect()
    }

    #[actix::test]
    async fn an_apply_of_many_states_is_whole() {
        let server = Redis::start();
        let view = view(&server).await;
        view.apply(apply(0, 10, 5_000, "first")).await.unwrap();
        view.apply(apply(10, 20, 2_500, "second")).await.unwrap();
        assert_eq!(has(&view, "name2499").await, (20, Some(text("second"))));
        assert_eq!(has(&view, "name4999").await, (20, Some(text("first"))));
        assert_eq!(has(&view, "name5000").await, (20, None));
    }

    #[actix::test]
    async fn a_single_lost_state_is_noticed_and_can_be_shown_again() {
        let server = Redis::start();
        let view = view(&server).await;
        view.apply(apply(0, 10, 300, "first")).await.unwrap();
        let lost = buckets(&server).into_iter().find_map(|bucket| {
            let fields = server.says(&format!("HKEYS {bucket}"));
            let name = fields.lines().find(|line| line.starts_with("name"))?.to_owned();
            Some((bucket, name))
        });
        let (bucket, name) = lost.unwrap();
        server.says(&format!("HDEL {bucket} {name}"));
        assert_eq!(has(&view, &name).await, (0, None), "it answers from its beginning");
        assert_eq!(view.position(PARTITION).await.unwrap().changelog, 0);
        view.apply(apply(0, 10, 300, "first")).await.unwrap();
        for n in 0..300 {
            let found = has(&view, &format!("name{n}")).await;
            assert_eq!(found, (10, Some(text("first"))), "name{n}");
        }
    }

    #[actix::test]
    async fn a_view_that_was_emptied_answers_from_its_beginning_and_takes_no_later_apply() {
        let server = Redis::start();
        let view = view(&server).await;
        view.apply(apply(0, 10, 300, "first")).await.unwrap();
        server.says("FLUSHALL");
        assert_eq!(has(&view, "name7").await, (0, None));
        let refused = view.apply(apply(10, 20, 1, "second")).await;
        let lost = matches!(refused, Err(ViewError::Regressed { has: 0, had: 10, .. }));
        assert!(lost, "it came to {refused:?}");
    }

    /// What the buckets hold then is counted by nobody; counting on would call it lost for ever.
    #[actix::test]
    async fn a_view_that_lost_only_its_position_begins_anew() {
        let server = Redis::start();
        let view = view(&server).await;
        view.apply(apply(0, 10, 300, "first")).await.unwrap();
        server.says(&format!("DEL {{t:{PARTITION}}}:meta"));
        // Whoever only looks makes no position: that would hide that the rest is counted by nobody.
        assert_eq!(has(&view, "name7").await, (0, None));
        let refused = view.apply(apply(10, 20, 1, "second")).await;
        assert!(matches!(refused, Err(ViewError::Regressed { .. })), "it came to {refused:?}");
        view.apply(apply(0, 20, 10, "again")).await.unwrap();
        assert_eq!(has(&view, "name9").await, (20, Some(text("again"))));
        assert_eq!(has(&view, "name10").await, (20, None), "nothing of before is left");
    }

    /// Whoever else begins it anew meanwhile, such as `rebuild` beside an owner that repairs.
    #[actix::test]
    async fn an_apply_that_lost_its_first_pieces_is_refused() {
        let server = Redis::start();
        let (view, other) = (view(&server).await, view(&server).await);
        let all = 100_000;
        let long = view.apply(apply(0, 10, all, "first"));
        let emptied = async {
            while buckets(&server).len() < 100 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            server.says("FLUSHALL");
            other.position(PARTITION).await.unwrap()
        };
        let (done, begun) = Box::pin(futures_util::future::join(long, emptied)).await;
        assert_eq!(begun.changelog, 0, "it was emptied before the apply was through");
        assert!(matches!(done, Err(ViewError::Regressed { .. })), "it came to {done:?}");
        assert_eq!(has(&other, "name0").await.0, 0, "nobody believes what is left");
        view.apply(apply(0, 10, all, "first")).await.unwrap();
        for name in ["name0", "name99999"] {
            assert_eq!(has(&other, name).await, (10, Some(text("first"))));
        }
    }

    /// As a replica does that had not heard everything when it became the primary: its position is the
    /// old one, and what it lacks stood before nothing that it has.
    #[actix::test]
    async fn an_apply_of_which_a_failover_lost_some_is_refused() {
        let server = Redis::start();
        let view = view(&server).await;
        let all = 100_000;
        view.apply(apply(0, 10, 3, "before")).await.unwrap();
        let long = view.apply(apply(10, 20, all, "first"));
        let failed_over = async {
            let gathered = |count: usize| {
                let (server, meta) = (&server, format!("{{t:{PARTITION}}}:meta"));
                async move {
                    let began = Instant::now();
                    while server.says(&format!("HGET {meta} gathered")).matches('+').count() < count
                    {
                        assert!(began.elapsed() < Duration::from_secs(20), "not {count} pieces");
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                }
            };
            gathered(20).await;
            let copied =
                "for _, k in ipairs(redis.call('KEYS','*')) do redis.call('COPY',k,k,'DB',1) end";
            server.says(&format!("EVAL \"{copied}\" 0"));
            gathered(60).await;
            server.says("SWAPDB 0 1");
        };
        let (done, ()) = Box::pin(futures_util::future::join(long, failed_over)).await;
        assert!(matches!(done, Err(ViewError::Regressed { has: 10, .. })), "it came to {done:?}");
        assert_eq!(view.position(PARTITION).await.unwrap().changelog, 10);
        view.apply(apply(10, 20, all, "first")).await.unwrap();
        for n in 0..all / 50 {
            let name = format!("name{}", n * 50);
            assert_eq!(has(&view, &name).await, (20, Some(text("first"))), "{name}");
        }
    }

    #[actix::test]
    async fn a_late_copy_of_an_apply_changes_nothing() {
        let server = Redis::start();
        let view = view(&server).await;
        view.apply(apply(0, 10, 300, "first")).await.unwrap();
        view.apply(apply(10, 20, 300, "second")).await.unwrap();
        view.apply(apply(0, 10, 300, "first")).await.unwrap();
        assert_eq!(has(&view, "name3").await, (20, Some(text("second"))));
    }

    #[actix::test]
    async fn while_redis_is_down_it_is_said_soon_and_it_goes_on_when_redis_is_back() {
        let mut server = Redis::start();
        let view = view(&server).await;
        view.apply(apply(0, 10, 3, "first")).await.unwrap();
        server.stop();
        let began = Instant::now();
        let refused = view.look_up(PARTITION, vec![text("name0")]).await;
        assert!(matches!(refused, Err(ViewError::Unavailable(_))), "it came to {refused:?}");
        assert!(began.elapsed() < Duration::from_secs(5), "after {:?}", began.elapsed());
        server.start_again();
        let back = loop {
            match view.position(PARTITION).await {
                Ok(position) => break position,
                Err(_) if began.elapsed() < Duration::from_secs(30) => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Err(error) => panic!("{error}"),
            }
        };
        assert_eq!(back, ViewPosition::default(), "and it has lost everything");
    }

    #[actix::test]
    async fn a_redis_that_may_throw_keys_away_is_refused() {
        let server = Redis::start_with(&["--maxmemory-policy", "allkeys-lru"]);
        let options = RedisOptions::new(server.url(), "t");
        let refused = RedisView::open(&options).await.err();
        let evicts =
            matches!(&refused, Some(RedisError::Evicts { policy }) if policy == "allkeys-lru");
        assert!(evicts, "it came to {refused:?}");
    }

    #[actix::test]
    async fn an_error_never_shows_the_password() {
        let server = Redis::start_with(&["--requirepass", "right-password"]);
        for user in ["", "someone"] {
            let url = format!("redis://{user}:wrong-password@127.0.0.1:{}", server.port);
            let options = RedisOptions::new(url, "t");
            let refused = RedisView::open(&options).await.err().unwrap();
            let said = format!("{refused} {refused:?} {options:?}");
            assert!(!said.contains("password@") && !said.contains("wrong-password"), "{said}");
        }
    }
}

mod watched_on_redis {
    use super::support::services::redis::Redis;
    use std::time::{Duration, Instant};
    use tidegate::adapters::redis::{Change, RedisOptions, RedisView, RedisWatch};

    const PATIENCE: Duration = Duration::from_secs(30);

    /// One who has looked once.
    async fn watch(server: &Redis) -> RedisWatch {
        let options = RedisOptions::new(server.url(), "t");
        let mut watch = RedisWatch::new(RedisView::open(&options).await.unwrap());
        let (_, news) = watch.look().await.unwrap();
        assert_eq!(news, [], "how it was before is no news");
        watch
    }

    /// What the next look that is answered finds.
    async fn news(watch: &mut RedisWatch) -> Vec<Change> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if let Some((_, news)) = watch.look().await {
                return news;
            }
        }
        panic!("no answer in {PATIENCE:?}");
    }

    #[actix::test]
    async fn keys_that_are_thrown_away_and_the_policy_that_lets_them_are_news() {
        let server = Redis::start();
        let mut watch = watch(&server).await;
        server.says("CONFIG SET maxmemory-policy allkeys-random");
        assert_eq!(news(&mut watch).await, [Change::PolicyChanged]);
        let filled =
            server.says(r#"EVAL "for n=1,2000 do redis.call('SET',n,string.rep('x',1000)) end" 0"#);
        assert!(!filled.contains("ERR"), "{filled}");
        server.says("CONFIG SET maxmemory 1000000");
        server.says("SET one more");
        let evicted = news(&mut watch).await;
        assert!(matches!(evicted[..], [Change::Evicted(1..)]), "{evicted:?}");
        assert_eq!(news(&mut watch).await, [], "and are told once");
    }

    #[actix::test]
    async fn a_restart_is_news_and_so_is_a_lost_connection() {
        let mut server = Redis::start();
        let mut watch = watch(&server).await;
        server.says("CLIENT KILL TYPE normal SKIPME yes");
        assert_eq!(news(&mut watch).await, [Change::Reconnected]);
        server.stop();
        assert!(watch.look().await.is_none(), "it is down");
        server.start_again();
        assert_eq!(news(&mut watch).await, [Change::Restarted, Change::Reconnected]);
    }

    #[actix::test]
    async fn a_server_that_becomes_a_copy_is_news_and_is_left() {
        let (server, master) = (Redis::start(), Redis::start());
        let mut watch = watch(&server).await;
        server.says(&format!("REPLICAOF 127.0.0.1 {}", master.port));
        assert!(news(&mut watch).await.contains(&Change::RoleChanged));
        let began = Instant::now();
        while watch.look().await.is_some() {
            assert!(began.elapsed() < PATIENCE, "it is still asked");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
