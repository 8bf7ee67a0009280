//! Tidegate: turns signed payment webhooks into exactly one fulfillment per attempt.
//!
//! Imports point down only; `tests/tidy.rs` holds every folder to its row.
//!
//! | folder     | layer | what it does                                                     |
//! |------------|-------|------------------------------------------------------------------|
//! | `attempt`  | L0    | decides what a signal means; pure                                |
//! | `webhook`  | L0    | bytes to verified events; pure                                   |
//! | `wire`     | L1    | stored and published forms, versioned                            |
//! | `ports`    | L1    | Journal, View, Feeds, Clock: what the engines must promise       |
//! | `lane`     | L1    | proving, routing, batching, trailers; pure                       |
//! | `config`   | L1    | what an operator has written, understood and explained           |
//! | `adapters` | L2    | the engines behind the ports: embedded, and Kafka with Redis     |
//! | `actors`   | L3    | who runs when: the lane's driver, one actor per live attempt     |
//! | `http`     | L3    | the three listeners                                              |
//! | `audit`    | L3    | recomputes the fold from a log or topics, proves the invariants  |
//! | `cli`      | L4    | the only place that joins everything                             |
//!
//! Beside the layers: `telemetry`, the numbers that a process tells, `crash`, the places where a test
//! may end it, and `safeguard`, the rules that a test may switch off.
//!
//! Start reading at [`attempt::Attempt::step`].

// A new variant must be decided everywhere; an error must be handled or explained.
#![cfg_attr(
    not(test),
    warn(clippy::wildcard_enum_match_arm, clippy::unwrap_used, clippy::print_stdout)
)]

pub mod actors;
pub mod adapters;
pub mod attempt;
pub mod audit;
pub mod cli;
pub mod config;
pub mod crash;
pub mod http;
pub mod lane;
pub mod ports;
pub mod safeguard;
pub mod telemetry;
pub mod webhook;
pub mod wire;
