//! The engines behind the ports. Each folder knows the ports and the wire, and nothing above.

pub mod embedded;
pub mod kafka;
pub mod redis;
