//! Two processes of a cluster, and what is done to them.

use super::eye::Eye;
use super::payers::{Payer, Sessions};
use crate::support::cluster::Cluster;
use crate::support::says::{COMPLETED, CREATED, PROCESSING};
use crate::support::served::{Configured, Served};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

/// How long partitions have to stay where they are before a round begins: librdkafka
/// looks once a second whether a heartbeat is due, and the answer must come.
const AT_REST: Duration = Duration::from_millis(1_500);

/// Events that may wait in the topics while attempts are loaded.
const AHEAD: usize = 20_000;

pub struct Stage {
    pub cluster: Cluster,
    configured: Configured,
    pub payer: Arc<Payer>,
    pub sessions: Sessions,
    pub eye: Eye,
    running: BTreeMap<&'static str, Served>,
    expected: usize,
}

impl Stage {
    pub fn set(cluster: Cluster) -> Self {
        Self {
            configured: Configured::of(&cluster, &cluster.redis.url()),
            payer: Arc::new(Payer::of(&cluster)),
            sessions: Sessions::new(cluster.partitions),
            eye: Eye::open(&cluster),
            running: BTreeMap::new(),
            expected: 0,
            cluster,
        }
    }

    /// Brings so many attempts to their end.
    pub fn load(&mut self, attempts: usize) {
        for n in 1..=attempts {
            let session = self.sessions.one();
            [CREATED, PROCESSING, COMPLETED]
                .iter()
                .for_each(|kind| self.payer.says(kind, &session));
            if n % AHEAD == 0 {
                self.eye.counts(self.expected + n - AHEAD);
            }
        }
        self.expects(attempts);
        self.eye.counts(self.expected);
    }

    /// So many fulfillments more are owed.
    pub fn expects(&mut self, more: usize) {
        self.expected += more;
    }

    /// Waits until everything owed is there. The eye refuses one that comes twice.
    pub fn all_are_fulfilled(&self) {
        self.eye.counts(self.expected);
    }

    pub fn start(&mut self, name: &'static str) {
        self.running.insert(name, self.configured.serve(name));
    }

    pub fn take(&mut self, name: &str) -> Served {
        self.running.remove(name).unwrap()
    }

    /// Tells what a process has logged since it started, where somebody asked for it: from there it
    /// can be seen what took how long.
    pub fn tell(&self, name: &str) {
        if std::env::var_os("RECOVERY_LOGS").is_none() {
            return;
        }
        for line in self.configured.log_lines(name) {
            eprintln!("{name} {line}");
        }
    }

    /// Pays once in each of these partitions, and says which sessions those are.
    pub fn pay_in(&mut self, partitions: &BTreeSet<u32>) -> Vec<String> {
        let paid: Vec<String> = partitions.iter().map(|p| self.sessions.one_in(*p)).collect();
        paid.iter().for_each(|session| self.payer.says(COMPLETED, session));
        self.payer.flush();
        self.expects(paid.len());
        paid
    }

    /// The partitions that a process has, as its log tells.
    pub fn has(&self, name: &str) -> BTreeSet<u32> {
        let mut has = BTreeSet::new();
        for line in self.configured.log_lines(name) {
            if line["message"] == "took over" {
                has.insert(line["partition"].as_u64().unwrap() as u32);
            } else if line["message"] == "let go" {
                let gone = line["partitions"].as_str().unwrap().trim_matches(['[', ']']);
                let gone = gone.split(", ").filter_map(|number| number.parse().ok());
                gone.for_each(|partition: u32| {
                    has.remove(&partition);
                });
            }
        }
        has
    }

    /// Waits until every partition has one owner among those that run, each of them has some, and
    /// they stay where they are.
    pub fn settle(&self) {
        let began = Instant::now();
        let (mut before, mut since) = (vec![], Instant::now());
        loop {
            let now: Vec<BTreeSet<u32>> = self.running.keys().map(|name| self.has(name)).collect();
            let fair = self.cluster.partitions as usize / now.len();
            let is_shared = now.iter().map(BTreeSet::len).sum::<usize>()
                == self.cluster.partitions as usize
                && now.iter().all(|has| has.len() >= fair);
            if now != before {
                (before, since) = (now, Instant::now());
            } else if is_shared && since.elapsed() > AT_REST {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "the partitions do not settle: {before:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// How much the view has of each partition: its changelog position, and its states.
    pub fn view(&self) -> Vec<(u64, u64)> {
        (0..self.cluster.partitions).map(|partition| self.view_of(partition)).collect()
    }

    fn view_of(&self, partition: u32) -> (u64, u64) {
        let meta = format!("HGETALL {{{}:{partition}}}:meta", self.cluster.name);
        let said = self.cluster.redis.says(&meta);
        let words: Vec<&str> =
            said.lines().filter(|line| !line.starts_with(['*', '$', '+'])).collect();
        let (mut changelog, mut states) = (0, 0);
        for pair in words.chunks_exact(2) {
            let number = || pair[1].parse::<u64>().unwrap();
            match pair[0] {
                "changelog" => changelog = number(),
                bucket if bucket.starts_with("b:") => states += number(),
                _other => {}
            }
        }
        (changelog, states)
    }

    pub fn end(mut self) {
        for (name, served) in std::mem::take(&mut self.running) {
            assert_eq!(served.end(), Some(0), "{name}: {}", self.configured.complaint(name));
        }
        self.eye.close();
        let audit = self.configured.run(&["audit"]);
        println!("{}", String::from_utf8_lossy(&audit.stdout));
        let told = String::from_utf8_lossy(&audit.stderr);
        assert_eq!(audit.status.code(), Some(0), "the audit is clean: {told}");
    }
}
