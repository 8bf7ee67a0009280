//! The lane, without I/O: proving, routing, batching, trailers, what is held until the view has
//! it. What it is told goes in, what is to be done comes out as data; `actors` carries it out.
//!
//! ```text
//!  fetched ─▶ [inbox] ─▶ batch ─▶ Todo::Decide ─▶ decided ─▶ Todo::Commit ─▶ committed
//!                                                                │ newest states
//!                                                                ▼
//!                                              [dirty] ─▶ Todo::Apply ─▶ applied
//! ```
//!
//! | file       | what it decides                                              |
//! |------------|--------------------------------------------------------------|
//! | `home`     | which partition a key lives in, and where a record goes      |
//! | `resident` | what an attempt or a session's home makes of one record      |
//! | `batch`    | which records are decided together, and by whom              |
//! | `part`     | what becomes of them in one partition, in bytes              |
//! | `dirty`    | committed states that the view has not acknowledged yet      |
//! | `phase`    | how far a lane is with a batch                               |
//! | `inbox`    | signals that wait                                            |
//! | `owned`    | where a partition stands, and what ended processes before    |
//! | `told`     | what a lane is told and asks for, its rules and bounds       |
//! | `machine`  | what to do next                                              |

pub mod batch;
pub mod dirty;
pub mod home;
mod inbox;
pub mod machine;
mod owned;
pub mod part;
mod phase;
pub mod resident;
pub mod told;

pub use batch::{Batch, Decided, Group, Task};
pub use home::Route;
pub use machine::{Lane, Limits, Rules, Stop, Todo, Told};
pub use resident::{Output, Resident};
