//! What `doctor` asks of a Redis.

use super::dial::{infos, reach, told};
use super::options::{RedisError, RedisOptions};

/// What a server says of itself, as far as it matters here; of a cluster, what the worst of its
/// primaries says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisHealth {
    /// Who answered: `host:port`.
    pub at: String,
    /// What it does when its memory is full.
    pub policy: String,
    /// Keys that it has thrown away since it started.
    pub evicted: u64,
    /// `master`, or a copy of one, which takes no writes.
    pub role: String,
    /// Its clock, in seconds.
    pub seconds: i64,
}

/// Asks a server what `doctor` wants to know.
pub async fn examine(options: &RedisOptions) -> Result<RedisHealth, RedisError> {
    let reached = reach(options).await?;
    let infos = infos(&reached).await?;
    let time = redis::cmd("TIME").query_async(&mut reached.connection.clone()).await;
    let (seconds, _micros): (i64, i64) = time.map_err(|error| told(&reached.at, &error))?;
    // One that is as it must be says nothing about the others.
    let differing = |key: &str, well: &str| {
        let mut all = infos.iter().filter_map(|info| info.get::<String>(key));
        all.clone().find(|text| text != well).or_else(|| all.next()).unwrap_or_default()
    };
    Ok(RedisHealth {
        policy: differing("maxmemory_policy", super::NO_EVICTION),
        evicted: infos.iter().filter_map(|info| info.get::<u64>("evicted_keys")).sum(),
        role: differing("role", super::dial::PRIMARY),
        seconds,
        at: reached.at,
    })
}
