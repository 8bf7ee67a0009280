//! The webhook door: verify over the raw bytes, countersign, append durably, and only then say yes.

use crate::attempt::{EndpointName, Timeliness};
use crate::crash;
use crate::lane::home::home;
use crate::ports::{Append, AppendError, Clock, Journal};
use crate::telemetry::Metrics;
use crate::webhook::{Keyring, SecretIndex, SignatureError, UnsignedHeaders, Unverified};
use crate::wire::prove::{Address, Said, Trust};
use crate::wire::signal::Stamp;
use bytes::Bytes;
use prometheus::IntCounter;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

/// The configured endpoints, each with its current secrets.
pub type Endpoints = BTreeMap<EndpointName, Keyring>;

/// One endpoint, with its counters made once: a label look-up per delivery would cost more than
/// the counting.
struct Entrance {
    name: EndpointName,
    keyring: Keyring,
    matched: BTreeMap<SecretIndex, IntCounter>,
}

type Entrances = BTreeMap<String, Entrance>;

#[derive(Clone)]
pub struct Door<J, C> {
    /// Swapped whole when secrets are re-read.
    entrances: Arc<RwLock<Arc<Entrances>>>,
    trust: Trust,
    /// Seconds that a signed time may differ from ours, both ways.
    tolerance: u32,
    journal: J,
    clock: C,
    metrics: Metrics,
}

/// A delivery as it came in.
pub struct Delivery<'a> {
    pub endpoint: &'a str,
    pub body: Bytes,
    pub signature: &'a str,
    pub unsigned: UnsignedHeaders<'a>,
}

#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("there is no endpoint of this name")]
    NoSuchEndpoint,
    #[error(transparent)]
    Signature(#[from] SignatureError),
    #[error(transparent)]
    NotTaken(#[from] AppendError),
}

/// What was taken: authentic in any case, but not always good news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    InTime,
    /// Authentic, and signed at another time than ours.
    OutOfTime,
    /// Authentic, and a dead letter: it could not be read, or is for nobody here.
    DeadLetter,
}

impl Taken {
    pub fn word(self) -> &'static str {
        match self {
            Self::InTime => "taken",
            Self::OutOfTime => "taken_out_of_time",
            Self::DeadLetter => "taken_dead_letter",
        }
    }
}

impl Refused {
    pub fn word(&self) -> &'static str {
        match self {
            Self::NoSuchEndpoint => "no_such_endpoint",
            Self::Signature(error) => error.word(),
            Self::NotTaken(AppendError::Overloaded) => "overloaded",
            Self::NotTaken(AppendError::Full) => "no_room",
            Self::NotTaken(AppendError::Unknown) => "unknown",
            Self::NotTaken(AppendError::Closed) => "journal_closed",
        }
    }
}

impl<J: Journal, C: Clock> Door<J, C> {
    pub fn new(
        endpoints: Endpoints,
        trust: Trust,
        tolerance: u32,
        journal: J,
        clock: C,
        metrics: Metrics,
    ) -> Self {
        let entrances = Arc::new(RwLock::new(Arc::new(entrances(endpoints, &metrics))));
        Self { entrances, trust, tolerance, journal, clock, metrics }
    }

    /// Puts other secrets in place: what is verified from here on is verified against these.
    pub fn replace_endpoints(&self, endpoints: Endpoints) {
        let entrances = Arc::new(entrances(endpoints, &self.metrics));
        *self.entrances.write().unwrap_or_else(PoisonError::into_inner) = entrances;
    }

    /// Takes one delivery. `Ok` means that its bytes are durable.
    pub async fn take(&self, delivery: Delivery<'_>) -> Result<Taken, Refused> {
        let taken = match self.verify(delivery) {
            Ok((append, taken)) => {
                let timer = self.metrics.ack_seconds.start_timer();
                crash::point("door.before_append");
                let appended = self.journal.append(vec![append]).await;
                timer.observe_duration();
                crash::point("door.before_answer");
                appended.map(|_| taken).map_err(Refused::from)
            }
            Err(refused) => Err(refused),
        };
        let word = taken.as_ref().map_or_else(Refused::word, |taken| taken.word());
        self.metrics.door.with_label_values(&[word]).inc();
        taken
    }

    /// Takes several deliveries as one append: all of them are durable, or none is acknowledged.
    pub async fn take_together(&self, appends: Vec<Append>) -> Result<(), Refused> {
        self.journal.append(appends).await?;
        Ok(())
    }

    /// Verifies a delivery and makes it ready for the journal.
    pub fn verify(&self, delivery: Delivery<'_>) -> Result<(Append, Taken), Refused> {
        let entrances = {
            let current = self.entrances.read().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(&current)
        };
        let entrance = entrances.get(delivery.endpoint).ok_or(Refused::NoSuchEndpoint)?;
        let unverified = Unverified { body: &delivery.body, signature: delivery.signature };
        let verified = unverified.verify(&entrance.keyring)?;
        if let Some(matched) = entrance.matched.get(&verified.secret()) {
            matched.inc();
        }
        let received_at = self.clock.now();
        let timeliness = verified.timeliness(received_at, self.tolerance);
        let stamp = Stamp {
            gate_signature: Bytes::copy_from_slice(delivery.signature.as_bytes()),
            endpoint: entrance.name.clone(),
            secret: verified.secret(),
            signed_at: verified.signed_at(),
            received_at,
            timeliness,
        };
        self.count_disagreements(&verified, &delivery.unsigned);
        let (record, proven) = self.trust.take(delivery.body.clone(), stamp);
        let taken = match (&proven.said, timeliness) {
            (Said::Refused(_), _) => Taken::DeadLetter,
            (Said::Signal(_) | Said::Claim(_) | Said::Test, Timeliness::InTime) => Taken::InTime,
            (Said::Signal(_) | Said::Claim(_) | Said::Test, Timeliness::OutOfTime) => {
                Taken::OutOfTime
            }
        };
        let partition = self.partition(&proven.to, &proven.digest.0);
        Ok((Append { partition, record, proven: Some(proven) }, taken))
    }

    fn count_disagreements(
        &self,
        verified: &crate::webhook::Verified<'_>,
        unsigned: &UnsignedHeaders<'_>,
    ) {
        if unsigned.event_id.is_none() && unsigned.event_type.is_none() {
            return;
        }
        if let Ok(event) = verified.event() {
            let disagreements = event.disagreements(unsigned);
            self.metrics.header_disagreements.inc_by(disagreements as u64);
        }
    }

    /// Home, or where nobody's bytes happen to fall.
    fn partition(&self, to: &Address, digest: &[u8]) -> u32 {
        let partitions = self.journal.partitions();
        to.home(partitions).unwrap_or_else(|| home(digest, partitions))
    }
}

/// Every secret has its counter from the start: one that appears with its first delivery has no
/// increase that a rule could see.
fn entrances(endpoints: Endpoints, metrics: &Metrics) -> Entrances {
    let entrance = |(name, keyring): (EndpointName, Keyring)| {
        let matched = keyring
            .places()
            .map(|index| {
                let labels = [name.as_str(), &index.0.to_string()];
                (index, metrics.door_secret.with_label_values(&labels))
            })
            .collect();
        (name.to_string(), Entrance { name, keyring, matched })
    };
    endpoints.into_iter().map(entrance).collect()
}
