//! The embedded engine in this process, in one folder, life after life.

use super::webhooks;
use bytes::Bytes;
use std::path::Path;
use std::time::Duration;
use tidegate::attempt::{AttemptId, EndpointName, Mode, News, Policy, SessionId, SignalId};
use tidegate::cli::embedded::{Embedded, EmbeddedOptions};
use tidegate::http::door::{Delivery, Door, Endpoints};
use tidegate::lane::home::home;
use tidegate::ports::{Append, Clock, SystemClock};
use tidegate::telemetry::Metrics;
use tidegate::webhook::UnsignedHeaders;
use tidegate::wire::own::{Own, What};
use tidegate::wire::prove::Trust;
use tidegate::wire::seal::SigningKeys;

pub const PARTITIONS: u32 = 3;
const SIGNING_KEY: [u8; 32] = [7; 32];

pub fn keys() -> SigningKeys {
    SigningKeys::new([SIGNING_KEY.as_slice()]).unwrap()
}

pub fn trust() -> Trust {
    Trust { keys: keys(), mode: Mode::Test }
}

pub fn session(id: &str) -> SessionId {
    SessionId::parse(id).unwrap()
}

/// One life of the process.
pub struct World {
    engine: Embedded,
    door: Door<tidegate::adapters::embedded::EmbeddedJournal, SystemClock>,
}

impl World {
    pub async fn start(root: &Path, policy: Policy) -> Self {
        let options = EmbeddedOptions {
            partitions: Some(PARTITIONS),
            lanes: Some(2),
            instance: "test".to_owned(),
            trust: trust(),
            policy,
            segment_bytes: 16 << 10,
            snapshot_bytes: 8 << 10,
            attempts_memory: 1 << 20,
        };
        let metrics = Metrics::new().unwrap();
        let engine = Embedded::start(root, options, metrics.clone()).await.unwrap();
        let shop = EndpointName::parse("shop").unwrap();
        let endpoints = Endpoints::from([(shop, webhooks::keyring())]);
        let journal = engine.journal.clone();
        let door = Door::new(endpoints, trust(), 300, journal, SystemClock, metrics);
        Self { engine, door }
    }

    /// Waits until everything that was taken is decided, and what that led to as well.
    pub async fn settle(&self) {
        for _ in 0..2_000 {
            if self.engine.journal.held() == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("the engine does not decide what it took");
    }

    /// Lets a second with traffic be over, so that the lanes sum it up.
    pub async fn pass_a_second(&self) {
        tokio::time::sleep(Duration::from_millis(1_500)).await;
    }

    pub async fn stop(self) {
        self.engine.stop().await.unwrap();
    }

    /// Ends without finishing: what was taken last may wait undecided.
    pub async fn append_and_stop(self, body: Vec<u8>) {
        let taken = self.verified(body, 0);
        self.engine.engine.drain(Duration::from_secs(20)).await.unwrap();
        self.door.take_together(vec![taken]).await.unwrap();
        self.engine.journal.close().await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    /// Delivers one event and waits until it is decided, so that its place in the story is known.
    pub async fn webhook(&self, id: &str, kind: &str, session: &str, data: &[(&str, &str)]) {
        self.deliver(webhooks::event(id, kind, session, data)).await;
    }

    pub async fn deliver(&self, body: Vec<u8>) {
        self.deliver_signed(body, 0).await;
    }

    /// As 0Gate signed it `ago` seconds before now.
    pub async fn deliver_signed(&self, body: Vec<u8>, ago: i64) {
        let taken = self.verified(body, ago);
        self.door.take_together(vec![taken]).await.unwrap();
        self.settle().await;
    }

    /// To a partition where it does not belong, as a stranger's producer would.
    pub async fn misplace(&self, body: Vec<u8>) {
        let taken = self.verified(body, 0);
        let partition = (taken.partition + 1) % PARTITIONS;
        self.door.take_together(vec![Append { partition, ..taken }]).await.unwrap();
        self.settle().await;
    }

    /// Many at once, so that a batch holds several.
    pub async fn burst(&self, bodies: Vec<Vec<u8>>) {
        let taken = bodies.into_iter().map(|body| self.verified(body, 0)).collect();
        self.door.take_together(taken).await.unwrap();
        self.settle().await;
    }

    fn verified(&self, body: Vec<u8>, ago: i64) -> Append {
        let body = Bytes::from(body);
        let signature = webhooks::secret().sign(SystemClock.now().seconds() - ago, &body);
        let unsigned = UnsignedHeaders::default();
        let delivery = Delivery { endpoint: "shop", body, signature: &signature, unsigned };
        self.door.verify(delivery).unwrap().0
    }

    pub async fn command(&self, id: &str, attempt: &AttemptId, of: Option<&str>, news: News) {
        let what = What::Command { attempt: attempt.clone(), session: of.map(session), news };
        self.own(id, what).await;
    }

    pub async fn own(&self, id: &str, what: What) {
        let id = SignalId::parse(id).unwrap();
        let (record, proven) = trust().write(&Own { id, at: SystemClock.now(), what });
        let partition =
            proven.to.home(PARTITIONS).unwrap_or_else(|| home(&proven.digest.0, PARTITIONS));
        let append = Append { partition, record, proven: Some(proven) };
        self.door.take_together(vec![append]).await.unwrap();
        self.settle().await;
    }
}
