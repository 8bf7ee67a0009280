//! The journal of a cluster, in Kafka. What a lane decides is one transaction: forwarded signals,
//! outputs, states, trailers and the offsets that it has consumed.
//!
//! | file        | what it holds                                                             |
//! |-------------|---------------------------------------------------------------------------|
//! | `journal`   | the Journal port: joins the others                                        |
//! | `settings`  | how clients are made, and what exactly-once rests on                      |
//! | `asking`    | asking once, and hearing why nobody answers                               |
//! | `topics`    | their names, and making them                                              |
//! | `rights`    | what the user of a process must be allowed                                |
//! | `records`   | a signal as a Kafka record                                                |
//! | `ingress`   | the door's producer: acknowledged only when the brokers have it           |
//! | `membership`| the one consumer: what is assigned, what comes, and letting go            |
//! | `inbox`     | what waits for a lane                                                     |
//! | `changelog` | reading one partition of `attempts`: last marks, replay                   |
//! | `writer`    | one lane's transactional producer                                         |
//! | `telling`   | what the client says of itself, in our log                                |
//! | `feeds`     | committed outputs, for whoever reads them over HTTP                       |
//! | `past`      | the whole journal again, for whoever proves it                            |
//! | `rejoin`    | coming back soon into a group that moves                                  |
//! | `library`   | what librdkafka was built with                                            |
//! | `native`    | what rdkafka does not offer; all `unsafe` is there                        |

mod asking;
mod changelog;
mod feeds;
mod inbox;
mod ingress;
mod journal;
mod library;
mod membership;
mod native;
mod past;
mod records;
mod rejoin;
mod rights;
mod settings;
mod telling;
mod topics;
mod writer;

pub use asking::Obstacle;
pub use changelog::Changelogs;
pub use feeds::KafkaFeeds;
pub use inbox::InboxIntake;
pub use journal::KafkaJournal;
pub use library::{Library, library};
pub use membership::LEAVE_PATIENCE;
pub use past::{Changed, Output, Past, PastError, Tail, Watch};
pub use rights::{Right, allow, rights};
pub use settings::{KafkaOptions, Refusal};
pub use topics::{Deviation, TopicsError, brokers, create, partitions, remove, verify};
pub use writer::{MayNotCommit, may_commit};
