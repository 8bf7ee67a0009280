//! `tidegate tail --config`: what is committed in the topics of a cluster, with nobody to ask but the
//! brokers.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

mod on_kafka {
    use super::support::cluster::{Cluster, sessions};
    use super::support::running::tidegate;
    use super::support::says::{COMPLETED, Event};
    use super::support::served::Configured;
    use rdkafka::ClientConfig;
    use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
    use serde_json::Value;
    use std::io::{BufRead, BufReader};
    use std::process::{Child, Output, Stdio};
    use std::time::{Duration, Instant};

    const PATIENCE: Duration = Duration::from_secs(30);

    fn lines(output: &Output) -> Vec<Value> {
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{said}");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// A fulfillment of nobody, in a transaction that was aborted.
    fn plant_an_aborted_one(cluster: &Cluster) {
        let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
            .set("bootstrap.servers", &cluster.brokers)
            .set("transactional.id", format!("{}-stranger", cluster.name))
            .create()
            .unwrap();
        producer.init_transactions(PATIENCE).unwrap();
        producer.begin_transaction().unwrap();
        let topic = format!("{}.fulfillments", cluster.name);
        let record = BaseRecord::to(&topic).partition(0).key("gs_never").payload("{}");
        producer.send(record).map_err(|(error, _)| error).unwrap();
        producer.flush(PATIENCE).unwrap();
        producer.abort_transaction(PATIENCE).unwrap();
    }

    #[actix::test]
    async fn it_tells_the_lines_of_the_feed_and_goes_on_after_any_of_them() {
        let cluster = Cluster::at_rest("tail-lines", 3, 20).await;
        plant_an_aborted_one(&cluster);
        let configured = Configured::of(&cluster, &cluster.redis.url());
        let tail = |words: &[&str]| {
            lines(&configured.run(&[&["tail", "fulfillments", "-o", "json"], words].concat()))
        };
        let all = tail(&[]);
        let mut keys: Vec<&str> = all.iter().map(|line| line["key"].as_str().unwrap()).collect();
        keys.sort_unstable();
        assert_eq!(keys, sessions(0, 20), "and nothing that was never committed");
        let position = all[6]["position"].as_str().unwrap();
        let rest = tail(&["--after", position]);
        assert_eq!(rest.len(), 13, "{rest:?}");
        assert!(all[..7].iter().all(|line| rest.iter().all(|it| it["key"] != line["key"])));
        assert_eq!(tail(&["--limit", "2"]).len(), 2);
        assert_eq!(lines(&configured.run(&["tail", "transitions", "-o", "json"])).len(), 60);
        let served = configured.serve("a");
        let mut told = served.ask("/v1/feeds/fulfillments").lines();
        // Partitions have no order among each other, and a position says how far each was read.
        let mut all = all;
        for lines in [&mut told, &mut all] {
            lines.iter_mut().for_each(|line| line["position"] = Value::Null);
            lines.sort_by_key(|line| line["key"].as_str().unwrap().to_owned());
        }
        assert_eq!(told, all, "the same as a process tells over HTTP");
    }

    struct Following(Child);

    impl Drop for Following {
        fn drop(&mut self) {
            let _gone = self.0.kill();
            let _gone = self.0.wait();
        }
    }

    #[actix::test]
    async fn who_follows_is_told_of_what_comes_until_nobody_listens() {
        let cluster = Cluster::at_rest("tail-follow", 2, 1).await;
        let configured = Configured::of(&cluster, &cluster.redis.url());
        let mut following = Following(
            tidegate()
                .args(["tail", "fulfillments", "--follow", "-o", "json", "--config"])
                .arg(&configured.file)
                .stdout(Stdio::piped())
                .spawn()
                .unwrap(),
        );
        let mut lines = BufReader::new(following.0.stdout.take().unwrap()).lines();
        let mut next = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap();
        assert_eq!(next()["key"], "gs_00000");
        let served = configured.serve("a");
        let pay = |session: &str| {
            let id = format!("evt_{session}");
            served.deliver(&Event::new(&id, COMPLETED, session)).unwrap();
        };
        pay("gs_later");
        assert_eq!(next()["key"], "gs_later");
        drop(lines);
        let began = Instant::now();
        let ended = loop {
            // It learns that nobody listens when it has something to say.
            pay(&format!("gs_{}", began.elapsed().as_millis()));
            if let Some(ended) = following.0.try_wait().unwrap() {
                break ended;
            }
            assert!(began.elapsed() < PATIENCE, "it goes on for nobody");
            std::thread::sleep(Duration::from_millis(50));
        };
        assert_eq!(ended.code(), Some(0));
    }

    #[actix::test]
    async fn what_is_wrong_is_said() {
        let cluster = Cluster::at_rest("tail-wrong", 2, 3).await;
        let configured = Configured::of(&cluster, &cluster.redis.url());
        let refused = |words: &[&str], set: (&str, &str), code: i32, why: &str| {
            let output = tidegate()
                .args([&["tail", "fulfillments"], words].concat())
                .arg("--config")
                .arg(&configured.file)
                .env(set.0, set.1)
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(code), "{said}");
            assert!(said.contains(why), "{said}");
        };
        let nothing = ("NOTHING_IS_SET", "1");
        for position in ["1", "0.99999", "x.y", "0.0.0"] {
            refused(&["--after", position], nothing, 2, "has no position");
        }
        let elsewhere = ("TIDEGATE_KAFKA__TOPIC_PREFIX", "nobodys");
        refused(&[], elsewhere, 78, "there is no topic nobodys.");
        refused(&[], ("TIDEGATE_KAFKA__BROKERS", "127.0.0.1:1"), 69, "cannot be reached");
        refused(&[], ("TIDEGATE_ENGINE", "embedded"), 2, "embedded engine");
    }
}
