//! What lives under one key: an attempt that we minted, or a session's home (which may be an
//! adopted attempt). One resident decides about everything that concerns its key, in order.

use super::batch::Task;
use crate::attempt::{
    Attempt, AttemptId, Claim, DeadLetter, Effect, Fate, Home, HomeEffect, News, Origin, Policy,
    SessionId, Signal, Source, UnknownSession, Verdict,
};
use crate::wire::prove::{Address, Said};
use crate::wire::signal::{Form, SignalRecord};
use crate::wire::{WireError, state};
use bytes::Bytes;
use smol_str::SmolStr;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resident {
    Attempt(Box<Attempt>),
    Session {
        id: SessionId,
        home: Home,
        /// The records that wait here, oldest first, as they are stored.
        parked: Vec<Bytes>,
    },
}

/// What one record led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub fate: Fate,
    pub outputs: Vec<Output>,
}

/// Something that must be written, sent on, or told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    Effect(Effect),
    /// Tell who claimed a session who holds it.
    Answer {
        claim: Claim,
        holder: AttemptId,
    },
    /// Send a parked record to the attempt that now holds its session.
    Release {
        session: SessionId,
        to: AttemptId,
        record: Bytes,
    },
    /// Ask 0Gate once about a session that nobody has claimed.
    Read {
        session: SessionId,
    },
}

impl Resident {
    /// The key under which the resident at `address` is stored.
    pub fn key(address: &Address) -> Option<SmolStr> {
        match address {
            Address::Attempt(id) => Some(state::attempt_key(id)),
            Address::Session(id) => Some(state::session_key(id)),
            Address::Nobody => None,
        }
    }

    /// Who lives at `address` before anything was told there.
    pub fn unseen(address: &Address) -> Option<Self> {
        match address {
            Address::Attempt(id) => {
                Some(Self::Attempt(Box::new(Attempt::unseen(id.clone(), Origin::Minted))))
            }
            Address::Session(id) => {
                Some(Self::Session { id: id.clone(), home: Home::Unknown, parked: vec![] })
            }
            Address::Nobody => None,
        }
    }

    /// Reads a stored resident. What waits parked is read beside it and given with [`Self::with_parked`].
    pub fn decode(address: &Address, stored: &[u8]) -> Result<Self, WireError> {
        match address {
            Address::Attempt(_) => {
                state::decode_attempt(stored).map(|attempt| Self::Attempt(Box::new(attempt)))
            }
            Address::Session(id) => state::decode_home(stored).map(|home| Self::Session {
                id: id.clone(),
                home,
                parked: vec![],
            }),
            Address::Nobody => Err(WireError::Malformed("an address")),
        }
    }

    /// Keys of the records that wait here.
    pub fn parked_keys(&self) -> Vec<String> {
        match self {
            Self::Session { id, home: Home::Parked { waiting }, .. } => {
                (0..*waiting).map(|slot| state::parked_key(id, slot)).collect()
            }
            Self::Attempt(_) | Self::Session { .. } => vec![],
        }
    }

    #[must_use]
    pub fn with_parked(self, records: Vec<Bytes>) -> Self {
        match self {
            Self::Session { id, home, parked: _ } => Self::Session { id, home, parked: records },
            Self::Attempt(attempt) => Self::Attempt(attempt),
        }
    }

    /// What it holds beside its stored state.
    pub fn parked_bytes(&self) -> usize {
        match self {
            Self::Session { parked, .. } => bytes(parked),
            Self::Attempt(_) => 0,
        }
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Attempt(attempt) => state::encode_attempt(attempt, out),
            Self::Session { home, .. } => state::encode_home(home, out),
        }
    }

    /// The attempt that this is, if it is one.
    pub fn attempt(&self) -> Option<&Attempt> {
        match self {
            Self::Attempt(attempt) => Some(attempt),
            Self::Session { home: Home::Adopted(attempt), .. } => Some(attempt),
            Self::Session { .. } => None,
        }
    }

    /// Decides one record, and becomes what it is afterwards.
    pub fn decide(&mut self, task: &Task, policy: &Policy) -> Outcome {
        match (self, &task.said) {
            (Self::Attempt(attempt), Said::Signal(signal)) => {
                let step = attempt.step(signal, policy);
                **attempt = step.next;
                Outcome {
                    fate: Fate::Decided(step.verdict),
                    outputs: step.effects.into_iter().map(Output::Effect).collect(),
                }
            }
            // A copy of what waits already takes no room of its own.
            (Self::Session { home: Home::Parked { .. }, parked, .. }, Said::Signal(signal))
                if waits(signal, policy) && parked.iter().any(|waiting| is_copy(waiting, task)) =>
            {
                Outcome { fate: Fate::Decided(Verdict::Duplicate), outputs: vec![] }
            }
            (
                Self::Session { home: Home::Parked { .. } | Home::Unknown, parked, .. },
                Said::Signal(signal),
            ) if !parked.is_empty()
                && waits(signal, policy)
                && bytes(parked) + task.record.value.len() > PARKED_BYTES_MAX =>
            {
                dead_letter(DeadLetter::ParkedFull)
            }
            (Self::Session { id, home, parked }, Said::Signal(signal)) => {
                let step = home.step(id, signal, policy);
                *home = step.next;
                if matches!(step.fate, Fate::Parked { .. }) {
                    parked.push(encoded(&task.record));
                }
                let outputs = outputs(step.effects, id, parked);
                Outcome { fate: step.fate, outputs }
            }
            (Self::Session { id, home, parked }, Said::Claim(claim)) => {
                let step = home.claim(claim);
                *home = step.next;
                let outputs = outputs(step.effects, id, parked);
                Outcome { fate: step.fate, outputs }
            }
            // Routing sends nothing else to a resident; what comes all the same goes to a person.
            (Self::Attempt(_), Said::Claim(_) | Said::Test)
            | (Self::Session { .. }, Said::Test) => dead_letter(DeadLetter::Misrouted),
            (Self::Attempt(_) | Self::Session { .. }, Said::Refused(why)) => dead_letter(*why),
        }
    }
}

/// Bytes that wait at one session, beside the first record, which always finds room. They are held
/// in memory with their session and released into one frame together with others'.
pub const PARKED_BYTES_MAX: usize = 256 << 10;

fn bytes(parked: &[Bytes]) -> usize {
    parked.iter().map(Bytes::len).sum()
}

/// The same bytes, as good as these: one that came through another's endpoint, or out of time, is
/// believed less, and must not stand for one that came properly.
fn is_copy(waiting: &Bytes, task: &Task) -> bool {
    let came = |form: &Form| match form {
        Form::Webhook(stamp) => Some((stamp.endpoint.clone(), stamp.timeliness)),
        Form::Own => None,
    };
    SignalRecord::decode(waiting).is_ok_and(|waiting| {
        waiting.value == task.record.value && came(&waiting.form) == came(&task.record.form)
    })
}

/// Whether an unclaimed session would park this.
fn waits(signal: &Signal, policy: &Policy) -> bool {
    let event = matches!(signal.source, Source::Webhook { .. });
    let known = !matches!(signal.news, News::Unknown { .. });
    event && known && policy.unknown_session == UnknownSession::Park
}

fn dead_letter(why: DeadLetter) -> Outcome {
    Outcome { fate: Fate::DeadLetter(why), outputs: vec![] }
}

fn encoded(record: &SignalRecord) -> Bytes {
    Bytes::from(record.encoded())
}

fn outputs(effects: Vec<HomeEffect>, session: &SessionId, parked: &mut Vec<Bytes>) -> Vec<Output> {
    let mut outputs = vec![];
    for effect in effects {
        match effect {
            HomeEffect::OfAttempt(effect) => outputs.push(Output::Effect(effect)),
            HomeEffect::Answer { claim, holder } => {
                outputs.push(Output::Answer { claim, holder });
            }
            HomeEffect::Release { to, .. } => {
                outputs.extend(parked.drain(..).map(|record| Output::Release {
                    session: session.clone(),
                    to: to.clone(),
                    record,
                }));
            }
            HomeEffect::Read { session } => outputs.push(Output::Read { session }),
        }
    }
    outputs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attempt::{EndpointName, Mode, Timeliness, Timestamp};
    use crate::webhook::SecretIndex;
    use crate::wire::prove::Trust;
    use crate::wire::seal::SigningKeys;
    use crate::wire::signal::Stamp;

    fn task(endpoint: &str, timeliness: Timeliness) -> Task {
        let trust =
            Trust { keys: SigningKeys::new([[7; 32].as_slice()]).unwrap(), mode: Mode::Test };
        let body = br#"{"id":"evt_1","type":"gate_session.completed","created_at":1,"data":{"id":"gs_1"}}"#;
        let stamp = Stamp {
            gate_signature: Bytes::new(),
            endpoint: EndpointName::parse(endpoint).unwrap(),
            secret: SecretIndex(0),
            signed_at: Timestamp(0),
            received_at: Timestamp(0),
            timeliness,
        };
        let (record, proven) = trust.take(Bytes::from_static(body), stamp);
        Task { said: proven.said, record }
    }

    /// Whoever claims the session is told of it as it was: a copy that is believed less must not
    /// have taken the place of the one that proves.
    #[test]
    fn a_copy_that_came_another_way_waits_beside_the_proper_one() {
        use Timeliness::{InTime, OutOfTime};
        let address = Address::Session(SessionId::parse("gs_1").unwrap());
        let policy = Policy { unknown_session: UnknownSession::Park, ..Policy::default() };
        let mut resident = Resident::unseen(&address).unwrap();
        let ways = [("side", InTime), ("main", OutOfTime), ("main", InTime)];
        for (endpoint, timeliness) in ways {
            let fate = resident.decide(&task(endpoint, timeliness), &policy).fate;
            assert!(matches!(fate, Fate::Parked { .. }), "{endpoint} {timeliness:?}: {fate:?}");
        }
        for (endpoint, timeliness) in ways {
            let fate = resident.decide(&task(endpoint, timeliness), &policy).fate;
            assert_eq!(fate, Fate::Decided(Verdict::Duplicate), "{endpoint} {timeliness:?}");
        }
        assert!(resident.parked_bytes() > 3 * 80, "what waits is held, and weighs");
    }
}
