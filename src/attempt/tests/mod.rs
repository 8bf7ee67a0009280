//! Stories of single attempts, then every history that is short enough to try.
