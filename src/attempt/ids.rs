//! Names of things, parsed once at the door and never re-checked inside.
//!
//! Every id is short printable text. What is inside an id means nothing here; the one id that is
//! computed is the fulfillment's, so that two processes cannot draw two of them.

use smol_str::SmolStr;
use std::fmt;

/// Longest id that is taken from outside. 0Gate's own are below 80 bytes; the bound keeps a
/// hostile body from growing a record that is kept for ever.
pub const ID_BYTES_MAX: usize = 200;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    #[error("is empty")]
    Empty,
    #[error("is longer than {ID_BYTES_MAX} bytes")]
    TooLong,
    #[error("holds a character that is not printable ASCII")]
    Unprintable,
}

fn checked(text: &str) -> Result<SmolStr, IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    if text.len() > ID_BYTES_MAX {
        return Err(IdError::TooLong);
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(IdError::Unprintable);
    }
    Ok(SmolStr::new(text))
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(SmolStr);

        impl $name {
            pub fn parse(text: &str) -> Result<Self, IdError> {
                checked(text).map(Self)
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::parse(text)
            }
        }
    };
}

id! {
    /// One customer's one try at one flow. Minted by us (`att_…`), or, for an adopted attempt,
    /// the id of its session.
    AttemptId
}
id! {
    /// 0Gate's hosted session.
    SessionId
}
id! {
    /// What a signal is known by: the event id of a webhook, the id of a reading, the id that a
    /// command's caller gave it. Dedupe is by this and the kind of its source.
    SignalId
}
id! {
    /// 0Gate's reference of the transaction that a completion reports (`tx_refid`).
    TransactionRef
}
id! {
    /// The merchant's own account that an attempt belongs to.
    AccountId
}
id! {
    /// The name of a configured webhook endpoint.
    EndpointName
}
id! {
    /// Who decided a review.
    OperatorId
}

impl From<&SessionId> for AttemptId {
    /// An adopted attempt is known by its session.
    fn from(session: &SessionId) -> Self {
        Self(session.0.clone())
    }
}

impl AttemptId {
    /// The one id that a fulfillment of this attempt can have: derived, never drawn.
    pub fn fulfillment_id(&self) -> String {
        format!("ful_{self}")
    }
}

/// SHA-256 of the bytes that a signal arrived as.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// Milliseconds since the Unix epoch. The core is told the time; it never asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub i64);

impl Timestamp {
    pub fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    pub fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Whether so many milliseconds have passed since `last`. A clock that was set back must stop
    /// nobody: then they have passed as well.
    pub fn is_past(self, last: Self, floor_ms: i64) -> bool {
        let gone = self.since(last);
        gone < 0 || gone >= floor_ms
    }
}

/// Where a signal stands in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    pub partition: u32,
    pub offset: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.partition, self.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_short_printable_text() {
        assert_eq!(SessionId::parse(""), Err(IdError::Empty));
        assert_eq!(SessionId::parse("a b"), Err(IdError::Unprintable));
        assert_eq!(SessionId::parse("a\n"), Err(IdError::Unprintable));
        assert_eq!(SessionId::parse("é"), Err(IdError::Unprintable));
        assert_eq!(SessionId::parse(&"x".repeat(ID_BYTES_MAX + 1)), Err(IdError::TooLong));
        let longest = "x".repeat(ID_BYTES_MAX);
        assert_eq!(SessionId::parse(&longest).unwrap().as_str(), longest);
    }

    #[test]
    fn the_fulfillment_id_is_a_function_of_the_attempt() {
        let id = AttemptId::parse("att_1").unwrap();
        assert_eq!(id.fulfillment_id(), "ful_att_1");
    }
}
