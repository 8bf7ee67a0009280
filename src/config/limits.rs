//! Every bound on a configured value, with the reason for its size.

use std::time::Duration;

/// Smallest body limit. A completion with all its facts is near 2 KiB; a smaller limit would
/// refuse real deliveries.
pub const BODY_BYTES_MIN: u64 = 4 * 1024;

/// Largest body limit. A body travels whole in one record of the journal, and a Kafka topic takes
/// records of 1 MiB unless someone has raised that.
pub const BODY_BYTES_MAX: u64 = 1024 * 1024;

/// Least memory for all bodies on their way in or not answered yet: eight of the largest that can be
/// allowed. Real ones are near 2 KiB, so the default of 64 MiB is thirty thousand at once.
pub const BODIES_MEMORY_MIN: u64 = 8 * BODY_BYTES_MAX;

/// The widest window for the age of a delivery. A captured delivery can be replayed for as long
/// as this, so a wide window gives away what the signed time is for.
pub const TOLERANCE_MAX: Duration = Duration::from_secs(3600);

/// A client that has not finished its headers or its body by then holds a connection for nothing.
pub const DEADLINE_MAX: Duration = Duration::from_secs(60);

/// Partitions are pinned when a folder is made, and each costs memory and a trailer per commit
/// that touches it. A thousand is far past what one process can feed.
pub const PARTITIONS_MAX: u32 = 1024;

/// A secret is a short text. The bound keeps a wrong path, such as a log or a device, from being
/// read to its end.
pub const SECRET_BYTES_MAX: u64 = 4096;

/// Shortest API key that passes without a warning. Bearer keys are guessed online; 24 characters
/// of base64 are 144 bits.
pub const API_KEY_CHARS_MIN: usize = 24;

/// Segments below this make a directory of thousands of files within a day of ordinary traffic.
pub const SEGMENT_BYTES_MIN: u64 = 1024 * 1024;

/// A segment is copied whole when the journal is opened, before anything is served.
pub const SEGMENT_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// Below this not even the attempts of one batch fit, at about 3 KiB each.
pub const ATTEMPTS_MEMORY_MIN: u64 = 8 * 1024 * 1024;

/// What the journal forgets can neither be audited nor be recovered from. An hour keeps a slip of
/// the unit ("90s" for "90d") from emptying it.
pub const RETENTION_MIN: Duration = Duration::from_secs(3600);

/// Longest name that becomes part of a topic or of a transactional id. Kafka ends topic names at
/// 249 characters, and the longest suffix is `.fulfillments`.
pub const NAME_CHARS_MAX: usize = 200;

const _: () = assert!(BODY_BYTES_MIN < BODY_BYTES_MAX);
const _: () = assert!(BODY_BYTES_MAX <= SEGMENT_BYTES_MIN);
const _: () = assert!(SEGMENT_BYTES_MIN < SEGMENT_BYTES_MAX);

/// A signing key: as long as the hash that it keys.
pub const SIGNING_KEY_BYTES_MIN: usize = 32;
