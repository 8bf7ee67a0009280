//! What must hold, by the names that the documentation, the tests and the alerts use too.

use crate::attempt::words;

words! {
    Invariant {
        OneFulfillment = "one-fulfillment",
        NoUnprovenFulfillment = "no-unproven-fulfillment",
        NoLostAck = "no-lost-ack",
        TerminalAbsorbs = "terminal-absorbs",
        Conservation = "conservation",
        Fold = "fold",
        Atomic = "atomic",
        Fenced = "fenced",
        ViewMayLie = "view-may-lie",
        OrderFree = "order-free",
        CommittedReads = "committed-reads",
        SilentSecrets = "silent-secrets",
    }
}

impl Invariant {
    /// Those that a journal alone can prove or break. The others speak of what was shown, said or
    /// looked up, which no journal keeps.
    pub const IN_THE_JOURNAL: [Self; 8] = [
        Self::OneFulfillment,
        Self::NoUnprovenFulfillment,
        Self::NoLostAck,
        Self::TerminalAbsorbs,
        Self::Conservation,
        Self::Fold,
        Self::Atomic,
        Self::Fenced,
    ];

    /// What holding it means, in a sentence for whoever reads an audit.
    pub fn says(self) -> &'static str {
        match self {
            Self::OneFulfillment => "no attempt has more than one fulfillment",
            Self::NoUnprovenFulfillment => {
                "every fulfillment rests on a verified completion that stands in the journal"
            }
            Self::NoLostAck => "every signal that was acknowledged stands in the journal unchanged",
            Self::TerminalAbsorbs => {
                "nothing leaves fulfilled, and only a completion leaves another end"
            }
            Self::Conservation => "every accepted signal is accounted for exactly once",
            Self::Fold => "deciding everything again gives the same states and outputs",
            Self::Atomic => "outputs, states and position of each batch stand together",
            Self::Fenced => "nothing was written by a former owner, and no batch is missing",
            Self::ViewMayLie => "no decision depends on what the view has forgotten",
            Self::OrderFree => "the order of signals does not change whether one is fulfilled",
            Self::CommittedReads => "nothing uncommitted is shown",
            Self::SilentSecrets => "no secret is said",
        }
    }

    /// What to do first where it is broken.
    pub fn advice(self) -> &'static str {
        match self {
            Self::OneFulfillment => {
                "hold the ledger's bookings of these attempts: the second one must not be acted on"
            }
            Self::NoUnprovenFulfillment => {
                "ask 0Gate about these sessions before anything more is paid out for them"
            }
            Self::NoLostAck => {
                "compare with 0Gate's delivery log and have the missing events delivered again"
            }
            Self::TerminalAbsorbs | Self::Fold => {
                "keep a copy of the data folder as it is, then look at these attempts by hand"
            }
            Self::Conservation => {
                "keep a copy of the data folder; the counts below do not tell what happened"
            }
            Self::Atomic | Self::Fenced => {
                "stop the process and keep a copy of the data folder: more than one writer, or a \
                 changed file, made this"
            }
            Self::ViewMayLie | Self::OrderFree | Self::CommittedReads | Self::SilentSecrets => {
                "keep a copy of the data folder"
            }
        }
    }
}
