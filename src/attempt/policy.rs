//! What a merchant may choose. Passed in as a value, so that the same history under the same
//! policy always ends the same way.

use super::words::words;

words! {
    /// A completion after the attempt had closed. Money moved, so it is never dropped.
    LateCompletion { Review = "review", Fulfill = "fulfill" }
}

words! {
    /// What one failed action means for its attempt.
    OnFailed {
        /// The attempt is over for the customer; a new one may be started.
        Close = "close",
        /// A session may hold several tries, so the attempt waits for the next one.
        KeepOpen = "keep_open",
    }
}

words! {
    /// An event of a session that no attempt of ours has claimed.
    UnknownSession { Adopt = "adopt", Park = "park" }
}

words! {
    /// Whether this deployment can ask 0Gate what is true.
    GateClient { Absent = "absent", Present = "present" }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    pub late_completion: LateCompletion,
    pub failed: OnFailed,
    pub unknown_session: UnknownSession,
    pub gate: GateClient,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            late_completion: LateCompletion::Review,
            failed: OnFailed::Close,
            unknown_session: UnknownSession::Adopt,
            gate: GateClient::Absent,
        }
    }
}
