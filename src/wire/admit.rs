//! Webhooks that come by a Kafka producer of somebody else: the raw body and 0Gate's signature, and
//! no door of ours that has seen them. They are verified here as the door would, and sealed, so that
//! from then on they are like any other.

use super::prove::{Proven, Said, Trust};
use super::signal::{SignalRecord, Stamp};
use crate::attempt::{DeadLetter, EndpointName, Timeliness, Timestamp};
use crate::webhook::{Keyring, Unverified};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

/// What it takes to believe somebody else's record: the secrets of every endpoint, retired ones
/// among them, for what was signed before.
pub struct Admission {
    trust: Trust,
    endpoints: RwLock<Arc<BTreeMap<EndpointName, Keyring>>>,
}

/// A record as somebody else wrote it.
#[derive(Clone, Copy, Debug)]
pub struct Foreign<'a> {
    pub body: &'a Bytes,
    pub gate_signature: &'a str,
    /// The endpoint that the producer says it came through; without it all are tried.
    pub endpoint: Option<&'a str>,
    pub received_at: Timestamp,
}

impl Admission {
    pub fn new(trust: Trust, endpoints: BTreeMap<EndpointName, Keyring>) -> Self {
        Self { trust, endpoints: RwLock::new(Arc::new(endpoints)) }
    }

    /// Puts other secrets in place: what is read from here on is verified against these.
    pub fn replace(&self, endpoints: BTreeMap<EndpointName, Keyring>) {
        *self.endpoints.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(endpoints);
    }

    /// What a record says that somebody of ours sealed; `None` where nobody did.
    pub fn prove(&self, record: &SignalRecord) -> Option<Proven> {
        let proven = self.trust.prove(record);
        (proven.said != Said::Refused(DeadLetter::Unproven)).then_some(proven)
    }

    /// The record as the journal knows records, and what it says; `None` where nobody whom we know
    /// signed it. When it was signed matters at a door alone: here it may have waited for long.
    pub fn admit(&self, foreign: Foreign<'_>) -> Option<(SignalRecord, Proven)> {
        let endpoints = Arc::clone(&self.endpoints.read().unwrap_or_else(PoisonError::into_inner));
        let unverified = Unverified { body: foreign.body, signature: foreign.gate_signature };
        let asked = |name: &&EndpointName| foreign.endpoint.is_none_or(|e| e == name.as_str());
        let (endpoint, verified) = endpoints
            .iter()
            .filter(|(name, _)| asked(name))
            .find_map(|(name, keyring)| Some((name, unverified.verify(keyring).ok()?)))?;
        let stamp = Stamp {
            gate_signature: Bytes::copy_from_slice(foreign.gate_signature.as_bytes()),
            endpoint: endpoint.clone(),
            secret: verified.secret(),
            signed_at: verified.signed_at(),
            received_at: foreign.received_at,
            timeliness: Timeliness::InTime,
        };
        Some(self.trust.take(foreign.body.clone(), stamp))
    }
}
