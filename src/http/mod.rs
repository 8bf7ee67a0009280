//! The three listeners, each with a trust of its own: public (webhooks), api (bearer keys), ops
//! (metrics and health, loopback by default). Nothing here decides; the door verifies and appends,
//! everything else reads what is committed.

pub mod door;
