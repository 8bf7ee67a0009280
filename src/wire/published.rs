//! What consumers of the outputs read: JSON values, one struct per record type. The JSON Schemas
//! in `docs/schema` are made from these; a change of theirs shows there.

use super::trailer::Counts;
use crate::attempt::{Fulfillment, Moved, Outcome, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

pub const FULFILLED_TYPE: &str = "tidegate.attempt.fulfilled.v1";
pub const MOVED_TYPE: &str = "tidegate.attempt.moved.v1";
pub const METRIC_TYPE: &str = "tidegate.metric.v1";

/// RFC 3339 in UTC with milliseconds.
pub fn rfc3339(at: Timestamp) -> String {
    match jiff::Timestamp::from_millisecond(at.0) {
        Ok(time) => format!("{time:.3}"),
        // Beyond the year 9999, which the door refuses to believe.
        Err(_) => rfc3339(Timestamp(0)),
    }
}

/// The one event that tells the ledger to act.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FulfillmentV1<'a> {
    /// `ful_` and the attempt id: the same in every copy, so that a consumer can drop the second.
    pub fulfillment_id: &'a str,
    pub attempt_id: &'a str,
    pub account_id: Option<&'a str>,
    pub user_reference: Option<&'a str>,
    /// `payment`, `on_ramp`, `off_ramp` or `swap`.
    pub flow: Option<&'a str>,
    /// `test` or `live`.
    pub mode: Option<&'a str>,
    pub session_id: Option<&'a str>,
    pub transaction_ref: Option<&'a str>,
    /// A decimal number as text, as 0Gate wrote it.
    pub amount: Option<&'a str>,
    pub currency: Option<&'a str>,
    pub target_token: Option<&'a str>,
    pub target_network: Option<&'a str>,
    /// The number of the transition that this came with.
    pub sequence: u64,
    pub proof: ProofV1<'a>,
    pub occurred_at: Option<&'a str>,
    pub received_at: &'a str,
    pub decided_at: &'a str,
}

/// The signal that a fulfillment rests on.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ProofV1<'a> {
    /// `webhook`, `reading` or `operator`.
    pub kind: &'a str,
    pub event_id: &'a str,
    pub body_sha256: &'a str,
    /// Where the signal stands in `signals`: partition and offset.
    pub position: &'a str,
}

/// A change of state, or a contradiction (`from` equals `to`).
#[derive(Debug, Serialize, JsonSchema)]
pub struct TransitionV1<'a> {
    pub attempt_id: &'a str,
    pub account_id: Option<&'a str>,
    pub user_reference: Option<&'a str>,
    pub session_id: Option<&'a str>,
    /// Gapless from 1 within an attempt.
    pub sequence: u64,
    pub from: Option<&'a str>,
    pub to: &'a str,
    /// `applied` or `contradiction`.
    pub verdict: &'a str,
    /// Which contradiction.
    pub reason: Option<&'a str>,
    /// Why a person must look, where `to` is `review`.
    pub review: Option<&'a str>,
    pub cause: CauseV1<'a>,
    pub at: &'a str,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct CauseV1<'a> {
    pub kind: &'a str,
    pub event_id: &'a str,
    #[serde(rename = "type")]
    pub name: &'a str,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "metric", rename_all = "snake_case")]
pub enum MetricV1<'a> {
    /// One per outcome of an attempt.
    AttemptOutcome {
        attempt_id: &'a str,
        flow: Option<&'a str>,
        outcome: &'a str,
        sequence: u64,
        provider_to_received_ms: Option<i64>,
        received_to_decided_ms: i64,
        signals: u64,
        duplicates: u64,
        at: &'a str,
    },
    /// One per partition and second with traffic: how much the counts grew.
    PartitionSecond { partition: u32, counts: CountsV1, at: &'a str },
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct CountsV1 {
    pub accepted: u64,
    pub applied: u64,
    pub duplicate: u64,
    pub stale: u64,
    pub contradiction: u64,
    pub parked_in: u64,
    pub parked_out: u64,
    pub dead_lettered: u64,
    pub forwarded_in: u64,
    pub forwarded_out: u64,
    pub by_kind: ByKindV1,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct ByKindV1 {
    pub webhook: u64,
    pub reading: u64,
    pub command: u64,
}

impl From<&Counts> for CountsV1 {
    fn from(counts: &Counts) -> Self {
        Self {
            accepted: counts.accepted,
            applied: counts.applied,
            duplicate: counts.duplicate,
            stale: counts.stale,
            contradiction: counts.contradiction,
            parked_in: counts.parked_in,
            parked_out: counts.parked_out,
            dead_lettered: counts.dead_lettered,
            forwarded_in: counts.forwarded_in,
            forwarded_out: counts.forwarded_out,
            by_kind: ByKindV1 {
                webhook: counts.by_kind[0],
                reading: counts.by_kind[1],
                command: counts.by_kind[2],
            },
        }
    }
}

pub fn put_fulfillment(out: &mut Vec<u8>, fulfillment: &Fulfillment, decided_at: &str) {
    let terms = &fulfillment.terms;
    let occurred_at = fulfillment.occurred_at.map(rfc3339);
    put_json(
        out,
        &FulfillmentV1 {
            fulfillment_id: &fulfillment.attempt.fulfillment_id(),
            attempt_id: fulfillment.attempt.as_str(),
            account_id: terms.account.as_ref().map(|id| id.as_str()),
            user_reference: fulfillment.reference.as_deref(),
            flow: terms.flow.map(|flow| flow.word()),
            mode: fulfillment.mode.map(|mode| mode.word()),
            session_id: fulfillment.session.as_ref().map(|id| id.as_str()),
            transaction_ref: fulfillment.transaction.as_ref().map(|id| id.as_str()),
            amount: terms.amount.as_ref().map(|amount| amount.as_str()),
            currency: terms.currency.as_ref().map(|code| code.as_str()),
            target_token: terms.target_token.as_ref().map(|code| code.as_str()),
            target_network: terms.target_network.as_ref().map(|code| code.as_str()),
            sequence: fulfillment.sequence,
            proof: ProofV1 {
                kind: fulfillment.proof.kind.word(),
                event_id: fulfillment.proof.event.as_str(),
                body_sha256: &fulfillment.proof.digest.to_string(),
                position: &fulfillment.proof.position.to_string(),
            },
            occurred_at: occurred_at.as_deref(),
            received_at: &rfc3339(fulfillment.received_at),
            decided_at,
        },
    );
}

pub fn put_transition(out: &mut Vec<u8>, moved: &Moved, at: &str) {
    put_json(
        out,
        &TransitionV1 {
            attempt_id: moved.attempt.as_str(),
            account_id: moved.account.as_ref().map(|id| id.as_str()),
            user_reference: moved.reference.as_deref(),
            session_id: moved.session.as_ref().map(|id| id.as_str()),
            sequence: moved.sequence,
            from: moved.from.map(|state| state.word()),
            to: moved.to.word(),
            verdict: moved.verdict.word(),
            reason: moved.verdict.reason(),
            review: moved.review.map(|cause| cause.word()),
            cause: CauseV1 {
                kind: moved.cause_kind.word(),
                event_id: moved.cause_id.as_str(),
                name: moved.cause_name.as_str(),
            },
            at,
        },
    );
}

pub fn put_outcome(out: &mut Vec<u8>, outcome: &Outcome, decided: Timestamp, at: &str) {
    put_json(
        out,
        &MetricV1::AttemptOutcome {
            attempt_id: outcome.attempt.as_str(),
            flow: outcome.flow.map(|flow| flow.word()),
            outcome: outcome.state.word(),
            sequence: outcome.sequence,
            provider_to_received_ms: outcome.provider_at.map(|at| outcome.received_at.since(at)),
            received_to_decided_ms: decided.since(outcome.received_at),
            signals: outcome.signals,
            duplicates: outcome.duplicates,
            at,
        },
    );
}

pub fn put_summary(out: &mut Vec<u8>, partition: u32, grown: &Counts, at: &str) {
    put_json(out, &MetricV1::PartitionSecond { partition, counts: grown.into(), at });
}

fn put_json<T: Serialize>(out: &mut Vec<u8>, value: &T) {
    match serde_json::to_writer(out, value) {
        Ok(()) => {}
        Err(_) => unreachable!("texts and numbers always have a JSON form"),
    }
}
