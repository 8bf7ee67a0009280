//! Whose session is it? What a session's home makes of what comes there.
//!
//! An event that carries no reference of ours is decided where its session lives. There stands
//! whether an attempt has *claimed* the session (then its events are sent on), whether the session
//! *is* the attempt (*adopted*), or whether its events wait (*parked*) for someone to claim it.
//! Claims are serialized here: the first wins, and everybody hears who holds it.

use super::ids::{AttemptId, SessionId};
use super::policy::{Policy, UnknownSession};
use super::signal::{News, Signal, Source};
use super::verdict::{DeadLetter, Stale, Verdict};
use super::{Attempt, Effect, Origin};

/// Events that wait at one unclaimed session. A real one has fewer than ten; each waits as a
/// record of its own, so the bound keeps a flood of one session from filling a lane's memory.
pub const PARKED_MAX: usize = 64;

/// What a session's home knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Home {
    Unknown,
    Claimed { by: AttemptId },
    Parked { waiting: usize },
    Adopted(Box<Attempt>),
}

/// An attempt says that this session is its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    pub session: SessionId,
    pub attempt: AttemptId,
}

/// What became of one signal, or one claim, at a session's home.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct HomeStep {
    pub fate: Fate,
    pub next: Home,
    pub effects: Vec<HomeEffect>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    Decided(Verdict),
    /// To be decided by the attempt that claimed the session.
    SentTo(AttemptId),
    /// Waits as the parked record of this number.
    Parked {
        slot: usize,
    },
    DeadLetter(DeadLetter),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HomeEffect {
    /// The adopted attempt's own.
    OfAttempt(Effect),
    /// Tell who claimed whether the session is theirs.
    Answer { claim: Claim, holder: AttemptId },
    /// Send everything parked to the attempt that now holds the session.
    Release { to: AttemptId, waiting: usize },
    /// Ask 0Gate once whose session this is.
    Read { session: SessionId },
}

impl Home {
    pub fn step(&self, session: &SessionId, signal: &Signal, policy: &Policy) -> HomeStep {
        match self {
            Self::Adopted(attempt) => adopted(attempt, signal, policy),
            Self::Claimed { by } => match signal.source {
                Source::Webhook { .. } | Source::Reading => self.stay(Fate::SentTo(by.clone())),
                Source::Command => self.stay(Fate::DeadLetter(DeadLetter::Unaddressed)),
            },
            Self::Unknown | Self::Parked { .. } => self.unclaimed(session, signal, policy),
        }
    }

    fn unclaimed(&self, session: &SessionId, signal: &Signal, policy: &Policy) -> HomeStep {
        match (&signal.source, &signal.news) {
            // A command can only be for an attempt, and there is none.
            (Source::Command, _) => self.stay(Fate::DeadLetter(DeadLetter::Unaddressed)),
            // It need not even be a session that an unknown type speaks of.
            (Source::Webhook { .. } | Source::Reading, News::Unknown { .. }) => {
                self.stay(Fate::Decided(Verdict::Stale(Stale::UnknownType)))
            }
            // A reading answers a question; where nothing waits for it, it says nothing new.
            (Source::Reading, _) if policy.unknown_session == UnknownSession::Park => {
                self.stay(Fate::Decided(Verdict::Stale(Stale::NothingNew)))
            }
            (Source::Webhook { .. } | Source::Reading, _) => match policy.unknown_session {
                UnknownSession::Adopt => self.adopt(session, signal, policy),
                UnknownSession::Park => self.park(session),
            },
        }
    }

    fn adopt(&self, session: &SessionId, signal: &Signal, policy: &Policy) -> HomeStep {
        let id = AttemptId::from(session);
        let attempt = Attempt::unseen(id.clone(), Origin::Adopted);
        let mut step = adopted(&attempt, signal, policy);
        // Parked under another policy: what waited must not be left behind.
        let waiting = self.waiting();
        if waiting > 0 {
            step.effects.push(HomeEffect::Release { to: id, waiting });
        }
        step
    }

    fn park(&self, session: &SessionId) -> HomeStep {
        let waiting = self.waiting();
        if waiting >= PARKED_MAX {
            return self.stay(Fate::DeadLetter(DeadLetter::ParkedFull));
        }
        let effects = match waiting {
            0 => vec![HomeEffect::Read { session: session.clone() }],
            _already_asked => vec![],
        };
        HomeStep {
            fate: Fate::Parked { slot: waiting },
            next: Self::Parked { waiting: waiting + 1 },
            effects,
        }
    }

    /// The first claim wins; every later one hears who holds the session.
    pub fn claim(&self, claim: &Claim) -> HomeStep {
        let answer = |holder: &AttemptId| HomeEffect::Answer {
            claim: claim.clone(),
            holder: holder.clone(),
        };
        match self {
            Self::Unknown => HomeStep {
                fate: Fate::Decided(Verdict::Applied),
                next: Self::Claimed { by: claim.attempt.clone() },
                effects: vec![answer(&claim.attempt)],
            },
            Self::Parked { waiting } => HomeStep {
                fate: Fate::Decided(Verdict::Applied),
                next: Self::Claimed { by: claim.attempt.clone() },
                effects: vec![
                    answer(&claim.attempt),
                    HomeEffect::Release { to: claim.attempt.clone(), waiting: *waiting },
                ],
            },
            Self::Claimed { by } => HomeStep {
                fate: Fate::Decided(Verdict::Duplicate),
                next: self.clone(),
                effects: vec![answer(by)],
            },
            Self::Adopted(attempt) => HomeStep {
                fate: Fate::Decided(Verdict::Duplicate),
                next: self.clone(),
                effects: vec![answer(&attempt.id)],
            },
        }
    }

    fn waiting(&self) -> usize {
        match self {
            Self::Parked { waiting } => *waiting,
            Self::Unknown | Self::Claimed { .. } | Self::Adopted(_) => 0,
        }
    }

    fn stay(&self, fate: Fate) -> HomeStep {
        HomeStep { fate, next: self.clone(), effects: vec![] }
    }
}

fn adopted(attempt: &Attempt, signal: &Signal, policy: &Policy) -> HomeStep {
    let step = attempt.step(signal, policy);
    HomeStep {
        fate: Fate::Decided(step.verdict),
        next: Home::Adopted(Box::new(step.next)),
        effects: step.effects.into_iter().map(HomeEffect::OfAttempt).collect(),
    }
}
