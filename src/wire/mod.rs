//! Stored and published forms, each with a version in front. Frames of a log are their
//! adapter's.
//!
//! | file          | what it holds                                                       |
//! |---------------|---------------------------------------------------------------------|
//! | `codec`       | lengths and small integers, read without trusting them              |
//! | `seal`        | our own signature: countersigned webhooks, commands, hops, cursors  |
//! | `signal`      | a record of the `signals` topic                                     |
//! | `own`         | commands, readings, claims: what our own side writes there          |
//! | `state`       | what the `attempts` topic keeps of an attempt or a session          |
//! | `state_v1`    | the first form of it                                                |
//! | `trailer`     | what closes every batch, and who owns a partition                   |
//! | `prove`       | from a record to what it says, and the proof of it                  |
//! | `admit`       | webhooks that somebody else wrote into the journal                  |
//! | `section`     | many records of one topic and partition, as one run of bytes        |
//! | `published`   | what consumers of the outputs read                                  |
//! | `cloudevents` | the headers beside an output                                        |
//! | `documents`   | JSON Schemas and AsyncAPI, made from the types                      |
//! | `mint`        | attempt ids that only we can make                                   |

pub mod admit;
pub mod cloudevents;
pub mod codec;
pub mod documents;
pub mod mint;
pub mod own;
pub mod prove;
pub mod published;
pub mod seal;
pub mod section;
pub mod signal;
pub mod state;
mod state_v1;
pub mod trailer;

pub use codec::WireError;

/// The topics, in a cluster under the configured prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Topic {
    Signals = 1,
    Fulfillments = 2,
    Transitions = 3,
    Metrics = 4,
    Attempts = 5,
    DeadLetters = 6,
}

impl Topic {
    /// What a lane writes, in the order in which its bytes enter the rolling hash.
    pub const OUTPUTS: [Self; 5] =
        [Self::Fulfillments, Self::Transitions, Self::Metrics, Self::DeadLetters, Self::Attempts];

    pub fn word(self) -> &'static str {
        match self {
            Self::Signals => "signals",
            Self::Fulfillments => "fulfillments",
            Self::Transitions => "transitions",
            Self::Metrics => "metrics",
            Self::Attempts => "attempts",
            Self::DeadLetters => "dead-letters",
        }
    }

    pub fn from_code(code: u8) -> Option<Self> {
        [
            Self::Signals,
            Self::Fulfillments,
            Self::Transitions,
            Self::Metrics,
            Self::Attempts,
            Self::DeadLetters,
        ]
        .into_iter()
        .find(|topic| *topic as u8 == code)
    }
}

#[cfg(test)]
mod tests;
