//! How a Redis is: what `doctor` asks, and whoever watches it.

use super::dial::{PRIMARY, Reached, infos, reach, told};
use super::options::{RedisError, RedisOptions};

/// What a server says of itself, as far as it matters here; of a cluster, what the worst of its
/// primaries says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisHealth {
    /// Who answered: `host:port`.
    pub at: String,
    /// How many did: one, or the primaries of a cluster.
    pub servers: usize,
    /// What it does when its memory is full.
    pub policy: String,
    /// Keys that it has thrown away since it started.
    pub evicted: u64,
    /// `master`, or a copy of one, which takes no writes.
    pub role: String,
    /// Another one after each start.
    pub run_id: String,
    /// The history that it follows: another one after a failover.
    pub replication: String,
    /// Bytes that it uses, and may use; 0 where it has no limit.
    pub memory: u64,
    pub memory_limit: u64,
    /// Its clock, in seconds.
    pub seconds: i64,
}

/// Asks a server what `doctor` wants to know.
pub async fn examine(options: &RedisOptions) -> Result<RedisHealth, RedisError> {
    health(&reach(options).await?).await
}

pub(super) async fn health(reached: &Reached) -> Result<RedisHealth, RedisError> {
    let infos = infos(reached).await?;
    let time = redis::cmd("TIME").query_async(&mut reached.connection.clone()).await;
    let (seconds, _micros): (i64, i64) = time.map_err(|error| told(&reached.at, &error))?;
    // One that is as it must be says nothing about the others.
    let differing = |key: &str, well: &str| {
        let mut all = infos.iter().filter_map(|info| info.get::<String>(key));
        all.clone().find(|text| text != well).or_else(|| all.next()).unwrap_or_default()
    };
    // Primaries come in no order.
    let together = |key: &str| {
        let mut all: Vec<String> = infos.iter().filter_map(|info| info.get(key)).collect();
        all.sort_unstable();
        all.join(",")
    };
    let sum = |key: &str| infos.iter().filter_map(|info| info.get::<u64>(key)).sum();
    Ok(RedisHealth {
        policy: differing("maxmemory_policy", super::NO_EVICTION),
        evicted: sum("evicted_keys"),
        role: differing("role", PRIMARY),
        run_id: together("run_id"),
        replication: together("master_replid"),
        memory: sum("used_memory"),
        memory_limit: sum("maxmemory"),
        seconds,
        servers: infos.len(),
        at: reached.at.clone(),
    })
}
