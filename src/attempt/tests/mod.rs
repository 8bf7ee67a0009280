//! Stories of single attempts, then every history that is short enough to try.

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
