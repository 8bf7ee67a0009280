//! What an attempt made of a signal. Duplicates, stale news and contradictions are ordinary
//! weather: values, not errors.

use super::words::words;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    Applied,
    Duplicate,
    Stale(Stale),
    Contradiction(Contradiction),
}

impl Verdict {
    pub fn word(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Duplicate => "duplicate",
            Self::Stale(_) => "stale",
            Self::Contradiction(_) => "contradiction",
        }
    }

    /// The reason within the verdict, where it has one.
    pub fn reason(self) -> Option<&'static str> {
        match self {
            Self::Applied | Self::Duplicate => None,
            Self::Stale(reason) => Some(reason.word()),
            Self::Contradiction(reason) => Some(reason.word()),
        }
    }
}

words! {
    /// News that changes nothing, and why.
    Stale {
        NothingNew = "nothing_new",
        Overtaken = "overtaken",
        DuplicateFulfillmentBlocked = "duplicate_fulfillment_blocked",
        UnknownType = "unknown_type",
        TestEvent = "test_event",
        OutOfTime = "out_of_time",
        NoSession = "no_session",
        NotInReview = "not_in_review",
        DecisionOutdated = "decision_outdated",
        EvidenceFull = "evidence_full",
    }
}

words! {
    /// Signals that cannot both be true, or not of this attempt.
    Contradiction {
        AfterFulfilled = "after_fulfilled",
        SecondPayment = "second_payment",
        ForeignSession = "foreign_session",
        ForeignEndpoint = "foreign_endpoint",
        EventIdConflict = "event_id_conflict",
        SessionHeld = "session_held",
        AlreadyCreated = "already_created",
    }
}

words! {
    /// Why a person must look before anything is fulfilled.
    ReviewCause {
        LateCompletion = "late_completion",
        AmountMismatch = "amount_mismatch",
        CurrencyMismatch = "currency_mismatch",
        FlowMismatch = "flow_mismatch",
        BeforeCreated = "before_created",
        OutOfTime = "out_of_time",
        ForeignSession = "foreign_session",
        NoSession = "no_session",
        UnreadableTerms = "unreadable_terms",
    }
}

words! {
    /// Why a signal is a dead letter, kept with its bytes for a person to look at.
    DeadLetter {
        EventIdConflict = "event_id_conflict",
        EvidenceFull = "evidence_full",
        ParkedFull = "parked_full",
        WrongEnvironment = "wrong_environment",
        Unaddressed = "unaddressed",
        Unparseable = "unparseable",
        Unproven = "unproven",
        Misrouted = "misrouted",
        Panicked = "panicked",
        TooLarge = "too_large",
        UnknownToProvider = "unknown_to_provider",
        EndedTheProcess = "ended_the_process",
    }
}
