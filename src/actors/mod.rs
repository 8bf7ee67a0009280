//! Who runs when: a driver per lane, and one actix actor per live attempt on the lane's arbiter.
//! The only folder beside the wiring that names actix.
//!
//! ```text
//!  journal ─▶ intake ─▶ driver ──told──▶ Lane (pure) ──todo──▶ driver
//!                          │ Decide: one message per resident        │ Commit ─▶ journal
//!                          ▼                                         │ Apply  ─▶ view
//!                    attempt actors (LRU, within a memory budget)    ▼ Report ─▶ metrics
//! ```
//!
//! | file        | what it does                                                     |
//! |-------------|------------------------------------------------------------------|
//! | `attempt`   | the actor: one resident, one message at a time                   |
//! | `residents` | activates, asks and passivates the attempts of a lane            |
//! | `taking`    | takes partitions over, one at a time, beside everything else     |
//! | `takeover`  | brings the view up to the journal                                |
//! | `measured`  | a lane's journal and view, with what passes through them counted |
//! | `driver`    | carries out what a lane wants                                    |
//! | `failing`   | why a lane ends without being asked to                           |
//! | `engine`    | starts the lanes over a journal and a view, and drains them      |

mod attempt;
mod driver;
mod engine;
mod failing;
mod measured;
mod residents;
mod takeover;
mod taking;

pub use attempt::{AttemptActor, Core, Decide, Replied, Reply};
pub use driver::DriverOptions;
pub use engine::{Engine, EngineError, EngineOptions};
pub use takeover::{Each, TakeoverError, catch_up};
