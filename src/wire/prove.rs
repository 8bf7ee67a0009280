//! From a record of `signals` to what it says, and the proof that somebody we trust said it.
//!
//! Every record is signed: a webhook by 0Gate and countersigned by our door, everything else by
//! us. What does not hold is refused with a reason; nothing reaches an attempt on trust.

use super::own::{Own, What};
use super::seal::{Sealed, SigningKeys};
use super::signal::{Form, Hop, HopTo, SignalRecord, Stamp, hop_bytes};
use crate::attempt::{
    Amount, AttemptId, Claim, Code, DeadLetter, Digest, Facts, Flow, Mode, News, Position,
    SessionId, Signal, SignalId, Source, SourceKind, Terms, TransactionRef,
};
use crate::webhook::{self, EnvelopeError, Event, EventType, Fact};
use bytes::Bytes;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// What it takes to believe a record.
#[derive(Clone, Debug)]
pub struct Trust {
    pub keys: SigningKeys,
    /// One deployment serves one of 0Gate's two worlds.
    pub mode: Mode,
}

/// A record that has been proven, or refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proven {
    pub to: Address,
    pub said: Said,
    pub kind: SourceKind,
    pub digest: Digest,
}

/// Whom it concerns.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    /// An attempt whose id we minted.
    Attempt(AttemptId),
    /// A session's home: whose it is stands there.
    Session(SessionId),
    Nobody,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    Signal(Box<Signal>),
    Claim(Claim),
    /// `webhook.test`: proves plumbing, touches nothing.
    Test,
    Refused(DeadLetter),
}

impl Trust {
    /// Takes a webhook at the door: what goes into the journal, and what it says.
    pub fn take(&self, body: Bytes, stamp: Stamp) -> (SignalRecord, Proven) {
        let digest = webhook::digest(&body);
        let proven = self.webhook(&body, &stamp, digest);
        let seal = self.keys.seal(&sealed_webhook(&stamp, &digest));
        (SignalRecord { value: body, form: Form::Webhook(stamp), seal, hop: None }, proven)
    }

    /// Puts something of our own into the form that the journal takes.
    pub fn write(&self, own: &Own) -> (SignalRecord, Proven) {
        let json = Bytes::from(own.to_json());
        let seal = self.keys.seal(&Sealed::Own { json: &json });
        let digest = webhook::digest(&json);
        let proven = self.own(own.clone(), digest);
        (SignalRecord { value: json, form: Form::Own, seal, hop: None }, proven)
    }

    /// Seals one more hop onto a record.
    pub fn forward(&self, record: &SignalRecord, to: HopTo, from: Position) -> SignalRecord {
        let digest = webhook::digest(&record.value);
        let seal = self.keys.seal(&Sealed::Hop { digest: &digest, hop: &hop_bytes(&to, from) });
        SignalRecord { hop: Some(Hop { to, from, seal }), ..record.clone() }
    }

    /// Whether somebody whom we trust said it, whatever it says.
    pub fn believes(&self, signal: &SignalRecord, proven: Option<&Proven>) -> bool {
        let refused = Said::Refused(DeadLetter::Unproven);
        match proven {
            Some(proven) => proven.said != refused,
            None => self.prove(signal).said != refused,
        }
    }

    /// Proves a record that was read back. One that makes it panic would do so for whoever reads it
    /// next: it is a dead letter.
    pub fn prove(&self, record: &SignalRecord) -> Proven {
        catch_unwind(AssertUnwindSafe(|| self.proven(record)))
            .unwrap_or_else(|_| Proven::refused_unread(record, DeadLetter::Panicked))
    }

    fn proven(&self, record: &SignalRecord) -> Proven {
        let digest = webhook::digest(&record.value);
        let holds = match &record.form {
            Form::Webhook(stamp) => self.keys.holds(&record.seal, &sealed_webhook(stamp, &digest)),
            Form::Own => self.keys.holds(&record.seal, &Sealed::Own { json: &record.value }),
        };
        let hop_holds = record.hop.as_ref().is_none_or(|hop| {
            self.keys.holds(&hop.seal, &Sealed::Hop { digest: &digest, hop: &hop.sealed_bytes() })
        });
        if !holds || !hop_holds {
            return refused(record.kind(), digest, DeadLetter::Unproven);
        }
        match &record.form {
            Form::Webhook(stamp) => self.webhook(&record.value, stamp, digest),
            Form::Own => match Own::from_json(&record.value) {
                Ok(own) => self.own(own, digest),
                Err(_) => refused(SourceKind::Command, digest, DeadLetter::Unparseable),
            },
        }
    }

    fn webhook(&self, body: &[u8], stamp: &Stamp, digest: Digest) -> Proven {
        let refuse = |why| refused(SourceKind::Webhook, digest, why);
        let event = match webhook::event_of_sealed(body) {
            Ok(event) => event,
            Err(EnvelopeError::NotAnEnvelope | EnvelopeError::Unusable(_)) => {
                return refuse(DeadLetter::Unparseable);
            }
        };
        if event.kind == EventType::Test {
            let to = Address::Nobody;
            return Proven { to, said: Said::Test, kind: SourceKind::Webhook, digest };
        }
        let mode = match &event.data.mode {
            Fact::Absent => None,
            Fact::Text(word) => match Mode::from_word(word) {
                Some(mode) if mode == self.mode => Some(mode),
                Some(_) | None => return refuse(DeadLetter::WrongEnvironment),
            },
            Fact::Unreadable => return refuse(DeadLetter::WrongEnvironment),
        };
        let Some(signal) = signal(&event, stamp, digest, mode) else {
            return refuse(DeadLetter::Unparseable);
        };
        let minted = signal.facts.reference.as_deref().and_then(|text| self.keys.minted(text));
        let to = match (minted, &signal.facts.session) {
            (Some(attempt), _) => Address::Attempt(attempt),
            (None, Some(session)) => Address::Session(session.clone()),
            (None, None) => return refuse(DeadLetter::Unaddressed),
        };
        let said = Said::Signal(Box::new(signal));
        Proven { to, said, kind: SourceKind::Webhook, digest }
    }

    fn own(&self, own: Own, digest: Digest) -> Proven {
        let Own { id, at, what } = own;
        let signal = |source, news, facts| {
            Said::Signal(Box::new(Signal {
                id: id.clone(),
                source,
                news,
                facts,
                provider_at: None,
                received_at: at,
                position: UNPLACED,
                digest,
            }))
        };
        let facts = |session| Facts { session, ..Facts::default() };
        let (to, said, kind) = match what {
            What::Command { attempt, session, news } => (
                self.address(&attempt),
                signal(Source::Command, news, facts(session)),
                SourceKind::Command,
            ),
            What::Reading { session, attempt, news, terms, mode } => {
                let to = match attempt.as_ref().and_then(|id| self.keys.minted(id.as_str())) {
                    Some(attempt) => Address::Attempt(attempt),
                    None => Address::Session(session.clone()),
                };
                let reference = attempt.map(|id| Arc::from(id.as_str()));
                let facts = Facts {
                    session: Some(session),
                    terms: *terms,
                    reference,
                    mode,
                    unreadable: false,
                };
                (to, signal(Source::Reading, news, facts), SourceKind::Reading)
            }
            What::Claim { session, attempt } => (
                Address::Session(session.clone()),
                Said::Claim(Claim { session, attempt }),
                SourceKind::Command,
            ),
            What::Answer { session, attempt, holder } => {
                let news = if holder == attempt {
                    News::ClaimGranted
                } else {
                    News::ClaimRefused { holder }
                };
                let to = self.address(&attempt);
                (to, signal(Source::Command, news, facts(Some(session))), SourceKind::Command)
            }
        };
        Proven { to, said, kind, digest }
    }

    /// Where an attempt of this id lives: its own home, or its session's where it was adopted.
    pub fn address(&self, attempt: &AttemptId) -> Address {
        match self.keys.minted(attempt.as_str()) {
            Some(attempt) => Address::Attempt(attempt),
            None => match SessionId::parse(attempt.as_str()) {
                Ok(session) => Address::Session(session),
                Err(_) => Address::Nobody,
            },
        }
    }
}

/// Where a signal stands until the journal has given it its place.
pub const UNPLACED: Position = Position { partition: u32::MAX, offset: u64::MAX };

impl SignalRecord {
    fn kind(&self) -> SourceKind {
        match self.form {
            Form::Webhook(_) => SourceKind::Webhook,
            Form::Own => SourceKind::Command,
        }
    }
}

impl Proven {
    /// A record that nobody looks into any more: a person has to.
    pub fn refused_unread(record: &SignalRecord, why: DeadLetter) -> Self {
        refused(record.kind(), webhook::digest(&record.value), why)
    }
}

fn refused(kind: SourceKind, digest: Digest, why: DeadLetter) -> Proven {
    Proven { to: Address::Nobody, said: Said::Refused(why), kind, digest }
}

fn sealed_webhook<'a>(stamp: &'a Stamp, digest: &'a Digest) -> Sealed<'a> {
    Sealed::Webhook {
        digest,
        endpoint: &stamp.endpoint,
        secret: stamp.secret,
        signed_at: stamp.signed_at,
        received_at: stamp.received_at,
        timeliness: stamp.timeliness,
    }
}

/// `None` where the event cannot be told apart from others: its own id is unusable.
fn signal(event: &Event<'_>, stamp: &Stamp, digest: Digest, mode: Option<Mode>) -> Option<Signal> {
    let mut unreadable = false;
    let facts = facts(event, mode, &mut unreadable);
    let news = news(event, &mut unreadable);
    Some(Signal {
        id: SignalId::parse(&event.id).ok()?,
        source: Source::Webhook { endpoint: stamp.endpoint.clone(), timeliness: stamp.timeliness },
        news,
        facts: Facts { unreadable, ..facts },
        provider_at: Some(event.created_at),
        received_at: stamp.received_at,
        position: UNPLACED,
        digest,
    })
}

fn news(event: &Event<'_>, unreadable: &mut bool) -> News {
    match &event.kind {
        EventType::SessionCreated => News::SessionCreated,
        EventType::SessionProcessing => News::Processing,
        EventType::SessionCompleted => News::Completed {
            transaction: read(&event.data.tx_refid, unreadable, |text| {
                TransactionRef::parse(text).ok()
            }),
        },
        EventType::SessionFailed => News::Failed {
            // A reason that is no plain code stays out: it may hold the provider's own words.
            reason: event.data.failure_reason.text().and_then(|text| Code::parse(text).ok()),
        },
        EventType::SessionExpired => News::Expired,
        EventType::SessionCancelled => News::Cancelled,
        EventType::KycRequired => News::KycRequired,
        EventType::Test => News::Unknown { name: Arc::from(event.kind.as_str()) },
        EventType::Unknown(name) => News::Unknown { name: Arc::from(name.as_ref()) },
    }
}

/// A reference longer than this is not kept: it is an opaque id of the partner's.
const REFERENCE_BYTES_MAX: usize = 200;

fn facts(event: &Event<'_>, mode: Option<Mode>, unreadable: &mut bool) -> Facts {
    let data = &event.data;
    let mut session = |fact| read(fact, unreadable, |text| SessionId::parse(text).ok());
    let named = session(&data.session_id);
    // What `kyc.required` is about is nobody's promise: where it names an attempt, `id` may be
    // anything, and must not become the attempt's session.
    let is_session = event.kind != EventType::KycRequired || data.user_reference.text().is_none();
    let session = named.or_else(|| session(&data.id).filter(|_| is_session));
    Facts {
        session,
        terms: Terms {
            account: None,
            flow: read(&data.flow, unreadable, Flow::from_word),
            amount: read(&data.amount, unreadable, |text| Amount::parse(text).ok()),
            currency: read(&data.currency, unreadable, |text| Code::parse(text).ok()),
            target_token: read(&data.target_token, unreadable, |text| Code::parse(text).ok()),
            target_network: read(&data.target_network, unreadable, |text| Code::parse(text).ok()),
        },
        reference: data
            .user_reference
            .text()
            .filter(|text| !text.is_empty() && text.len() <= REFERENCE_BYTES_MAX)
            .map(Arc::from),
        mode,
        unreadable: false,
    }
}

fn read<T>(fact: &Fact<'_>, unreadable: &mut bool, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
    match fact {
        Fact::Absent => None,
        Fact::Unreadable => {
            *unreadable = true;
            None
        }
        Fact::Text(text) => {
            let parsed = parse(text);
            *unreadable |= parsed.is_none();
            parsed
        }
    }
}
