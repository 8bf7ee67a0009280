//! The three listeners, each with a trust of its own: public (webhooks), api (bearer keys), ops
//! (metrics and health, loopback by default). Nothing here decides; the door verifies and appends,
//! everything else reads what is committed.
//!
//! | file          | what it does                                                           |
//! |---------------|------------------------------------------------------------------------|
//! | `door`        | verifies a delivery and appends it durably                             |
//! | `public`      | `POST /webhooks/{endpoint}`                                            |
//! | `bodies`      | bodies on their way in, and the memory that they may take              |
//! | `api`         | who may ask, and where                                                 |
//! | `attempts`    | attempts, as they are committed                                        |
//! | `feeds`       | outputs, as NDJSON or server-sent events                               |
//! | `ops`         | health, readiness, metrics                                             |
//! | `seen`        | how much was shown: nobody is shown less after                         |
//! | `listen`      | the three servers, with their bounds                                   |
//! | `connections` | how many they hold, by the files that a process may open               |
//! | `frame`       | what every answer has: an id, a count                                  |
//! | `problem`     | what went wrong, as a stranger may hear it                             |

pub mod api;
mod attempts;
mod bodies;
pub mod connections;
pub mod door;
mod feeds;
mod frame;
pub mod listen;
pub mod ops;
pub mod problem;

pub mod public;
pub mod seen;

pub use feeds::Line as FeedLine;

#[cfg(test)]
mod tests;
