//! The signals that an attempt has verified, kept for ever: dedupe memory, support timeline and
//! audit trail in one.

use super::ids::{Digest, Position, SignalId, Timestamp};
use super::signal::{EventName, NewsName, Signal};
use super::verdict::{Contradiction, Stale, Verdict};
use super::words::SourceKind;
use std::sync::Arc;

/// Distinct signals that an attempt keeps. A real one has 3 to 15; a record of 256 stays below
/// 40 KB with ids as 0Gate makes them, and below 120 KB with the longest that we take: far inside
/// what a topic or a frame takes. What comes after is a dead letter, `evidence_full`, but for the
/// first completion and for the decision that ends a review.
pub const EVIDENCE_MAX: usize = 256;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub kind: SourceKind,
    pub id: SignalId,
    pub name: EventName,
    pub provider_at: Option<Timestamp>,
    pub received_at: Timestamp,
    pub position: Position,
    pub digest: Digest,
    pub verdict: Verdict,
}

/// Shared, because a step hands the next attempt back as a value and most steps append once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    entries: Arc<Vec<Entry>>,
}

/// What the evidence already knows of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    No,
    /// The very same bytes: a duplicate.
    Same,
    /// Known only from a delivery that was out of time, or came through another's endpoint; a
    /// proper one still has to be heard.
    Unheeded {
        index: usize,
    },
    /// A proper delivery had the same id and other bytes. These bytes may be known too, from a
    /// delivery that was not heeded.
    Conflicting {
        unheeded: Option<usize>,
    },
}

impl Evidence {
    pub fn from_entries(entries: Vec<Entry>) -> Self {
        Self { entries: Arc::new(entries) }
    }

    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub fn is_full(&self) -> bool {
        self.entries.len() >= EVIDENCE_MAX
    }

    /// Whether news of this name has had its effect. What came through another's endpoint, or out
    /// of time, has had none.
    pub fn has_applied(&self, name: NewsName) -> bool {
        let name = EventName::Known(name);
        self.entries.iter().any(|e| e.name == name && e.verdict == Verdict::Applied)
    }

    /// A delivery that had no effect holds no id: what comes properly under it later is heard,
    /// whatever its bytes.
    pub fn knows(&self, signal: &Signal) -> Known {
        let kind = signal.source.kind();
        let of_id = || self.entries.iter().enumerate().filter(|(_, e)| e.is(&signal.id, kind));
        let same = of_id().find(|(_, entry)| entry.digest == signal.digest);
        let taken = of_id().any(|(_, entry)| entry.digest != signal.digest && entry.holds_its_id());
        match same {
            Some((_, entry)) if !was_unheeded(entry.verdict) => Known::Same,
            Some((index, _)) if taken => Known::Conflicting { unheeded: Some(index) },
            Some((index, _)) => Known::Unheeded { index },
            None if taken => Known::Conflicting { unheeded: None },
            None => Known::No,
        }
    }

    /// With one more entry; in place of an unheeded one where `replacing` says so.
    pub fn with(&self, signal: &Signal, verdict: Verdict, replacing: Option<usize>) -> Self {
        let entry = Entry {
            kind: signal.source.kind(),
            id: signal.id.clone(),
            name: signal.news.name(),
            provider_at: signal.provider_at,
            received_at: signal.received_at,
            position: signal.position,
            digest: signal.digest,
            verdict,
        };
        let mut entries = Vec::with_capacity(self.entries.len() + 1);
        entries.extend(self.entries.iter().cloned());
        match replacing {
            Some(index) => entries[index] = entry,
            None => entries.push(entry),
        }
        Self { entries: Arc::new(entries) }
    }
}

impl Entry {
    fn is(&self, id: &SignalId, kind: SourceKind) -> bool {
        self.id == *id && self.kind == kind
    }

    fn holds_its_id(&self) -> bool {
        let lost_it = Verdict::Contradiction(Contradiction::EventIdConflict);
        !was_unheeded(self.verdict) && self.verdict != lost_it
    }
}

fn was_unheeded(verdict: Verdict) -> bool {
    verdict == Verdict::Stale(Stale::OutOfTime)
        || verdict == Verdict::Contradiction(Contradiction::ForeignEndpoint)
}
