//! Stories of single attempts, then every history that is short enough to try.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a test asks about one variant; what the others mean is decided in the policy"
)]

mod disputes;
mod endings;
mod full;
mod histories;
mod homes;
mod invariants;
pub(super) mod mutant;
mod properties;
mod reviews;
mod stories;
mod support;
mod table;
