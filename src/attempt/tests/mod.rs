//! Stories of single attempts, then every history that is short enough to try.

mod disputes;
mod endings;
mod full;
mod homes;
mod reviews;
mod stories;
mod support;
mod table;
