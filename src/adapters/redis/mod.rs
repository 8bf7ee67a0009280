//! The view of a cluster, in Redis or Valkey. It may be lost at any time, in whole or in part: what
//! it answers carries how much it has, and its owner shows it again what it has lost.
//!
//! | file           | what it holds                                                        |
//! |----------------|----------------------------------------------------------------------|
//! | `view`         | the View port                                                        |
//! | `names`        | which key a state stands under                                       |
//! | `connection`   | how it is reached, and the settings of a server that may be used     |
//! | `position.lua` | how much it has; clears what nobody counts any more                  |
//! | `apply.lua`    | shows it committed states                                            |
//! | `look_up.lua`  | asks it for states, and finds what has gone missing                  |

mod connection;
mod names;
mod view;

pub use connection::{NO_EVICTION, RedisError, RedisHealth, RedisOptions, examine};
pub use view::{Account, RedisView};
