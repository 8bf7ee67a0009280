//! The signal that a fulfillment rests on, read for itself: not by the code that decided.

use super::body;
use crate::attempt::{Position, SessionId};
use crate::ports::Fetched;
use crate::webhook::digest;
use crate::wire::signal::{Form, SignalRecord};
use serde::Deserialize;
use serde_json::Value;
use std::borrow::Cow;

/// A stored fulfillment, as far as its proof is concerned.
#[derive(Debug, Deserialize)]
pub struct Fulfilled<'a> {
    #[serde(borrow)]
    pub attempt_id: Cow<'a, str>,
    #[serde(borrow)]
    session_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    transaction_ref: Option<Cow<'a, str>>,
    #[serde(borrow)]
    amount: Option<Cow<'a, str>>,
    #[serde(borrow)]
    currency: Option<Cow<'a, str>>,
    pub sequence: u64,
    #[serde(borrow)]
    proof: Proof<'a>,
}

#[derive(Debug, Deserialize)]
struct Proof<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    event_id: Cow<'a, str>,
    #[serde(borrow)]
    body_sha256: Cow<'a, str>,
    #[serde(borrow)]
    position: Cow<'a, str>,
}

impl Fulfilled<'_> {
    /// Where the signal stands that it rests on.
    pub fn proven_at(&self) -> Option<Position> {
        position(&self.proof.position)
    }

    /// Finds the proof among the signals of the fulfillment's own batch, and reads it.
    pub fn rests_on(&self, inputs: &[Fetched]) -> Result<(), String> {
        let at = position(&self.proof.position)
            .ok_or_else(|| format!("its proof names no position: {:?}", self.proof.position))?;
        let signal = inputs
            .iter()
            .find(|signal| signal.position == at)
            .ok_or_else(|| format!("no signal {at} was decided with it"))?;
        let says = |what: &str| Err(format!("the signal {at} {what}"));
        if digest(&signal.record.value).to_string() != self.proof.body_sha256 {
            return says("has another digest than its proof names");
        }
        let said = match &signal.record.form {
            Form::Webhook(_) => body::read(&signal.record.value),
            Form::Own => serde_json::from_slice::<Value>(&signal.record.value).ok(),
        };
        let Some(said) = said else { return says("cannot be read") };
        if said["id"].as_str() != Some(&self.proof.event_id) {
            return says("has another id than its proof names");
        }
        match (self.proof.kind.as_ref(), &signal.record.form) {
            ("webhook", Form::Webhook(_)) => self.by_webhook(&said, &signal.record),
            ("reading", Form::Own) => self.by_reading(&said["what"]["reading"], &signal.record),
            ("operator", Form::Own) => self.by_operator(&said["what"]["command"]),
            _ => says("is of another kind than its proof names"),
        }
    }

    fn by_webhook(&self, said: &Value, record: &SignalRecord) -> Result<(), String> {
        if said["type"] != "gate_session.completed" {
            return Err("its proof is no completion".to_owned());
        }
        let data = &said["data"];
        let named = |name: &str| data[name].as_str().filter(|id| SessionId::parse(id).is_ok());
        let session = named("session_id").or_else(|| named("id"));
        self.is_of(session, data["user_reference"].as_str(), record)?;
        self.agrees("amount", self.amount.as_deref(), &data["amount"])?;
        self.agrees("currency", self.currency.as_deref(), &data["currency"])?;
        self.agrees("transaction", self.transaction_ref.as_deref(), &data["tx_refid"])
    }

    fn by_reading(&self, said: &Value, record: &SignalRecord) -> Result<(), String> {
        let completed = &said["status"]["completed"];
        if !completed.is_object() {
            return Err("its proof is no completion".to_owned());
        }
        self.is_of(said["session"].as_str(), said["attempt"].as_str(), record)?;
        self.agrees("amount", self.amount.as_deref(), &said["terms"]["amount"])?;
        self.agrees("currency", self.currency.as_deref(), &said["terms"]["currency"])?;
        let transaction = self.transaction_ref.as_deref();
        self.agrees("transaction", transaction, &completed["transaction"])
    }

    /// What an operator fulfills was said earlier; the word for it is what must be there.
    fn by_operator(&self, said: &Value) -> Result<(), String> {
        if said["say"]["decided"]["ruling"] != "fulfill" {
            return Err("its proof is no decision to fulfill".to_owned());
        }
        if said["attempt"].as_str() != Some(&self.attempt_id) {
            return Err("its proof is a decision about another attempt".to_owned());
        }
        Ok(())
    }

    /// The signal names the fulfillment's session; or, naming none, its attempt.
    fn is_of(
        &self,
        session: Option<&str>,
        reference: Option<&str>,
        record: &SignalRecord,
    ) -> Result<(), String> {
        let of_session = match session {
            Some(session) => Some(session) == self.session_id.as_deref(),
            None => reference == Some(&self.attempt_id),
        };
        let of_attempt = session == Some(&self.attempt_id)
            || reference == Some(&self.attempt_id)
            || record.hop.is_some();
        if of_session && of_attempt {
            Ok(())
        } else {
            Err("its proof is of another session or attempt".to_owned())
        }
    }

    /// What the proof says of the money is what was fulfilled; what it is silent about is not.
    fn agrees(&self, what: &str, ours: Option<&str>, said: &Value) -> Result<(), String> {
        match said.as_str() {
            Some(said) if ours != Some(said) => Err(format!("its proof names another {what}")),
            Some(_) | None => Ok(()),
        }
    }
}

fn position(text: &str) -> Option<Position> {
    let (partition, offset) = text.split_once(':')?;
    Some(Position { partition: partition.parse().ok()?, offset: offset.parse().ok()? })
}
