//! The rules that keep a hole of a cluster shut, by name, so that a test can show what comes through
//! each hole without its rule.
//!
//! In a release build all of them are on, and nothing asks. With the feature `loose-safeguards`, the
//! environment variable `TIDEGATE_LOOSE=name,name` switches some of them off for a whole process.

#[cfg(all(feature = "loose-safeguards", not(debug_assertions)))]
compile_error!("`loose-safeguards` lets a variable switch off what keeps money safe: no release");

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Safeguard {
    /// A commit within which a connection was lost counts as one whose outcome nobody knows.
    PoisonOnLostConnection,
    /// A partition leaves a lane only when the lane has nothing under way for it.
    LetGoWhenDone,
    /// Whoever takes a partition over ends what its owner before has open.
    FenceTheOwnerBefore,
    /// And what anybody else has open who was the owner, or began to be.
    FenceEveryHolder,
    /// Nobody takes a partition over while a transaction is open in it.
    NothingOpen,
    /// Offsets are committed as the member of the group that this process is.
    OffsetsAsMember,
    /// A process whose name the brokers gave to another ends.
    EndWhenReplaced,
    /// One group alone decides on a set of topics.
    OneGroup,
    /// A group without an offset goes on from the last trailer.
    TrailerOutlivesOffsets,
    /// An offset that disagrees with the last trailer is a torn transaction.
    OffsetAgrees,
    /// Something committed after the last trailer is a torn transaction.
    NothingAfterTheTrailer,
    /// The view counts what it holds, and notices what has gone missing.
    CountedView,
    /// What was decided by a batch in doubt is forgotten.
    ForgetTheDoubtful,
}

impl Safeguard {
    pub const fn name(self) -> &'static str {
        match self {
            Self::PoisonOnLostConnection => "poison-on-lost-connection",
            Self::LetGoWhenDone => "let-go-when-done",
            Self::FenceTheOwnerBefore => "fence-the-owner-before",
            Self::FenceEveryHolder => "fence-every-holder",
            Self::NothingOpen => "nothing-open",
            Self::OffsetsAsMember => "offsets-as-member",
            Self::EndWhenReplaced => "end-when-replaced",
            Self::OneGroup => "one-group",
            Self::TrailerOutlivesOffsets => "trailer-outlives-offsets",
            Self::OffsetAgrees => "offset-agrees",
            Self::NothingAfterTheTrailer => "nothing-after-the-trailer",
            Self::CountedView => "counted-view",
            Self::ForgetTheDoubtful => "forget-the-doubtful",
        }
    }

    #[cfg(not(feature = "loose-safeguards"))]
    #[inline(always)]
    pub const fn is_on(self) -> bool {
        true
    }
}

#[cfg(feature = "loose-safeguards")]
mod loose {
    use super::Safeguard;
    use std::sync::LazyLock;

    static OFF: LazyLock<String> =
        LazyLock::new(|| std::env::var("TIDEGATE_LOOSE").unwrap_or_default());

    impl Safeguard {
        pub fn is_on(self) -> bool {
            !OFF.split(',').any(|off| off == self.name())
        }
    }
}
