//! The view of a cluster, in Redis or Valkey. It may be lost at any time, in whole or in part: what
//! it answers carries how much it has, and its owner shows it again what it has lost.
//!
//! | file           | what it holds                                                        |
//! |----------------|----------------------------------------------------------------------|
//! | `view`         | the View port                                                        |
//! | `names`        | which key a state stands under                                       |
//! | `options`      | where it is, and what can be wrong with it                           |
//! | `address`      | what `redis.url` may say: a server, sentinels, nodes of a cluster    |
//! | `dial`         | connecting, and which servers may be used                            |
//! | `cluster`      | the same for a Redis Cluster (feature `redis-cluster`)               |
//! | `link`         | keeping the connection, and leaving one that leads to the wrong one  |
//! | `health`       | what `doctor` asks                                                   |
//! | `watch`        | what the server does by itself: evictions, restarts, failovers       |
//! | `position.lua` | how much it has; clears what nobody counts any more                  |
//! | `apply.lua`    | shows it committed states                                            |
//! | `look_up.lua`  | asks it for states, and finds what has gone missing                  |

mod address;
#[cfg(feature = "redis-cluster")]
mod cluster;
mod dial;
mod health;
mod link;
mod names;
mod options;
mod view;
mod watch;

pub use dial::NO_EVICTION;
pub use health::{RedisHealth, examine};
pub use options::{RedisError, RedisOptions};
pub use view::{Account, RedisView};
pub use watch::{Change, LOOK_EVERY, RedisWatch, Seen};
