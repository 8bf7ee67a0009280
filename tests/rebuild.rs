//! `tidegate rebuild`: whatever the view has become, it is what the journal says again.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::process::Output;

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn answer(output: &Output) -> serde_json::Value {
    assert_eq!(output.status.code(), Some(0), "{}", said(output));
    serde_json::from_slice(&output.stdout).unwrap()
}

mod on_kafka {
    use super::support::cluster::{Cluster, sessions};
    use super::support::running::tidegate;
    use super::support::says::{COMPLETED, CREATED, Event};
    use super::support::served::Configured;
    use super::{answer, said};
    use bytes::Bytes;
    use std::collections::BTreeMap;
    use std::process::Stdio;
    use std::time::{Duration, Instant};
    use tidegate::adapters::redis::{RedisOptions, RedisView};
    use tidegate::ports::View;

    const PARTITIONS: u32 = 3;
    const PATIENCE: Duration = Duration::from_secs(30);

    /// All that the view shows.
    async fn shown(cluster: &Cluster) -> BTreeMap<Bytes, Bytes> {
        let options = RedisOptions::new(cluster.redis.url(), cluster.name.clone());
        let view = RedisView::open(&options).await.unwrap();
        let mut all = BTreeMap::new();
        for partition in 0..cluster.partitions {
            all.extend(view.scan(partition, Bytes::new(), usize::MAX).await.unwrap());
        }
        all
    }

    async fn shows_what_is_committed(cluster: &Cluster) {
        let began = Instant::now();
        let committed = cluster.states();
        loop {
            let shown = shown(cluster).await;
            if shown == committed {
                return;
            }
            let (has, must) = (shown.len(), committed.len());
            assert!(began.elapsed() < PATIENCE, "{has} states, and {must} are committed");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Takes a state away, plants one of nobody, and makes the view believe that it is far ahead.
    fn spoil(cluster: &Cluster) {
        let redis = &cluster.redis;
        let keys = redis.says(&format!("KEYS {{{}:*}}:*", cluster.name));
        let buckets: Vec<&str> =
            keys.lines().filter(|key| key.starts_with('{') && !key.ends_with("meta")).collect();
        let fields = redis.says(&format!("HKEYS {}", buckets[0]));
        let field = fields.lines().find(|line| line.starts_with("a/") || line.starts_with("s/"));
        assert!(redis.says(&format!("HDEL {} {}", buckets[0], field.unwrap())).starts_with(":1"));
        redis.says(&format!("HSET {} s/gs_nobody 12345678nonsense", buckets[1]));
        for partition in 0..cluster.partitions {
            redis.says(&format!("HSET {{{}:{partition}}}:meta changelog 99999999", cluster.name));
        }
        redis.says("SET of-somebody-else 1");
    }

    #[actix::test]
    async fn a_view_that_lost_some_and_holds_what_nobody_wrote_is_right_again() {
        let cluster = Cluster::at_rest("rebuild-spoilt", PARTITIONS, 200).await;
        let configured = Configured::of(&cluster, &cluster.redis.url());
        shows_what_is_committed(&cluster).await;
        spoil(&cluster);
        let plan = configured.run(&["rebuild", "--dry-run", "-o", "json"]);
        assert_eq!(answer(&plan)["dry_run"], true);
        assert_ne!(shown(&cluster).await, cluster.states(), "a plan changes nothing");
        let done = answer(&configured.run(&["rebuild", "--yes", "-o", "json"]));
        assert_eq!(done["partitions"].as_array().unwrap().len(), 3);
        assert_eq!(shown(&cluster).await, cluster.states());
        assert!(cluster.redis.says("GET of-somebody-else").contains('1'), "it is nobody's of ours");
        let process = cluster.start("a").await;
        process.pay(200, 220).await;
        assert_eq!(cluster.fulfills(220).await, sessions(0, 220));
        process.stop().await;
        shows_what_is_committed(&cluster).await;
    }

    #[actix::test]
    async fn beside_a_running_process_nothing_is_lost_and_nothing_doubled() {
        let cluster = Cluster::make("rebuild-beside", PARTITIONS, 2).await;
        let configured = Configured::of(&cluster, &cluster.redis.url());
        let process = configured.serve("a");
        let pay = |n: u32| {
            let (session, first) = (format!("gs_{n:05}"), format!("evt_{n}_0"));
            let second = format!("evt_{n}_1");
            process.deliver(&Event::new(&first, CREATED, &session)).unwrap();
            let completed = Event::new(&second, COMPLETED, &session);
            process.deliver(&completed).unwrap();
            // Long after it was decided, while its partition is rebuilt: only the view knows it.
            process.deliver(&completed).unwrap();
        };
        (0..100).for_each(pay);
        cluster.fulfills(100).await;
        for round in 0..3 {
            let rebuilding = tidegate()
                .args(["rebuild", "--yes", "--config"])
                .arg(&configured.file)
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            (100 + 20 * round..120 + 20 * round).for_each(pay);
            let rebuilt = rebuilding.wait_with_output().unwrap();
            assert_eq!(rebuilt.status.code(), Some(0), "{}", said(&rebuilt));
        }
        assert_eq!(cluster.fulfills(160).await, sessions(0, 160));
        shows_what_is_committed(&cluster).await;
        assert_eq!(process.end(), Some(0));
        assert_eq!(configured.run(&["audit"]).status.code(), Some(0));
    }

    #[actix::test]
    async fn one_that_was_killed_half_way_is_made_whole_by_the_next() {
        let cluster = Cluster::at_rest("rebuild-killed", PARTITIONS, 1_000).await;
        let configured = Configured::of(&cluster, &cluster.redis.url());
        let committed = cluster.states();
        let (mut left, mut half_way, mut millis) = (committed.clone(), 0, 20);
        let began = Instant::now();
        while half_way < 3 {
            let mut child = tidegate()
                .args(["rebuild", "--yes", "--config"])
                .arg(&configured.file)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            std::thread::sleep(Duration::from_millis(millis));
            child.kill().unwrap();
            let finished = child.wait().unwrap().success();
            millis = if finished { 20 } else { millis + 10 };
            let shows = shown(&cluster).await;
            half_way += usize::from(shows != left && shows != committed);
            left = shows;
            assert!(began.elapsed() < 2 * PATIENCE, "none was killed in the middle of its work");
        }
        let again = configured.run(&["rebuild", "--yes", "--partition", "1", "-o", "json"]);
        assert_eq!(answer(&again)["partitions"][0]["partition"], 1);
        answer(&configured.run(&["rebuild", "--yes", "-o", "json"]));
        assert_eq!(shown(&cluster).await, committed);
    }

    #[actix::test]
    async fn what_stands_in_the_way_is_said() {
        let mut cluster = Cluster::at_rest("rebuild-refused", 1, 5).await;
        let configured = Configured::of(&cluster, &cluster.redis.url());
        let refused = |words: &[&str], code: i32, why: &str| {
            let output = configured.run(words);
            assert_eq!(output.status.code(), Some(code), "{}", said(&output));
            assert!(said(&output).contains(why), "{}", said(&output));
        };
        refused(&["rebuild"], 2, "nobody can be asked");
        refused(&["rebuild", "--yes", "--partition", "7"], 2, "there is no partition 7");
        shows_what_is_committed(&cluster).await;
        cluster.redis.stop();
        refused(&["rebuild", "--yes"], 69, "cannot be used");
    }
}

mod embedded {
    use super::support::running::{Dev, event, folder};
    use super::{answer, said};

    /// The folder's own view, spoilt under the command's hands or gone, is of no account.
    #[test]
    fn the_view_of_a_folder_is_made_anew_from_its_log() {
        let folder = folder();
        let dev = Dev::start(folder.path());
        for n in 0..50 {
            dev.deliver(&event(&format!("evt_{n}"), "gate_session.completed", &format!("gs_{n}")));
        }
        dev.attempt_in("gs_49", "fulfilled");
        let beside = dev.run(&["rebuild", "--yes"]);
        assert_eq!(beside.status.code(), Some(75), "{}", said(&beside));
        let before = dev.api("/v1/attempts?limit=100").json();
        assert_eq!(dev.end(), 0);
        let view = folder.path().join("view");
        std::fs::remove_dir_all(&view).unwrap();
        std::fs::create_dir(&view).unwrap();
        std::fs::write(view.join("version"), "nonsense").unwrap();
        let again = || {
            let output = super::support::running::tidegate()
                .args(["rebuild", "--yes", "-o", "json", "--data"])
                .arg(folder.path())
                .output()
                .unwrap();
            answer(&output)
        };
        assert_eq!(again()["shown"], 50);
        assert_eq!(again()["shown"], 50, "and it is all there as often as it is asked for");
        let dev = Dev::start(folder.path());
        assert_eq!(dev.api("/v1/attempts?limit=100").json(), before);
        let took_over = std::fs::read_to_string(folder.path().join("log")).unwrap();
        assert!(!took_over.contains("states=50"), "a start has nothing left to show: {took_over}");
        assert_eq!(dev.end(), 0);
    }
}
