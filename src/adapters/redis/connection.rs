//! How a Redis is reached, and what is asked of one before it is used.

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::io::tcp::TcpSettings;
use redis::{Client, InfoDict, IntoConnectionInfo};
use secrecy::{ExposeSecret, SecretString};
use std::time::Duration;

/// Where the view is.
#[derive(Clone, Debug)]
pub struct RedisOptions {
    /// May carry a password.
    pub url: SecretString,
    /// The beginning of every key.
    pub prefix: String,
}

/// A reply that takes longer is given up. Every script may be repeated.
const REPLY_PATIENCE: Duration = Duration::from_secs(2);

const CONNECT_PATIENCE: Duration = Duration::from_secs(1);

/// The longest pause between two tries to reach a Redis that is down.
const PAUSE_MAX: Duration = Duration::from_secs(1);

#[derive(Debug, thiserror::Error)]
pub enum RedisError {
    #[error("redis.url is no address of a Redis: {0}")]
    Address(String),
    #[error("Redis at {at} cannot be used: {why}")]
    Unreachable { at: String, why: String },
    #[error(
        "Redis may throw away keys (maxmemory-policy is {policy}); set maxmemory-policy to noeviction"
    )]
    Evicts { policy: String },
}

impl RedisOptions {
    /// Host and port, without whoever asks and their password.
    pub fn place(&self) -> String {
        let url = self.url.expose_secret();
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
        rest.split(['/', '?']).next().unwrap_or_default().to_owned()
    }

    pub(super) fn unreachable(&self, why: impl ToString) -> RedisError {
        RedisError::Unreachable { at: self.place(), why: why.to_string() }
    }
}

/// What a server says of itself, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisHealth {
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
    let lost = |error: redis::RedisError| options.unreachable(error);
    let mut connection = connected(options).await?;
    let info: InfoDict = redis::cmd("INFO").query_async(&mut connection).await.map_err(lost)?;
    let (seconds, _micros): (i64, i64) =
        redis::cmd("TIME").query_async(&mut connection).await.map_err(lost)?;
    let text = |key: &str| info.get::<String>(key).unwrap_or_default();
    Ok(RedisHealth {
        policy: text("maxmemory_policy"),
        evicted: info.get("evicted_keys").unwrap_or_default(),
        role: text("role"),
        seconds,
    })
}

/// Connects, and makes sure that what is shown to this server is not thrown away behind our back.
pub(super) async fn connect(options: &RedisOptions) -> Result<ConnectionManager, RedisError> {
    let mut connection = connected(options).await?;
    let lost = |error: redis::RedisError| options.unreachable(error);
    let memory: InfoDict =
        redis::cmd("INFO").arg("memory").query_async(&mut connection).await.map_err(lost)?;
    match memory.get::<String>("maxmemory_policy") {
        Some(policy) if policy != NO_EVICTION => Err(RedisError::Evicts { policy }),
        Some(_) | None => Ok(connection),
    }
}

/// The only policy under which a view may be kept.
pub const NO_EVICTION: &str = "noeviction";

async fn connected(options: &RedisOptions) -> Result<ConnectionManager, RedisError> {
    let address = |error: redis::RedisError| RedisError::Address(error.category().to_owned());
    let info = options.url.expose_secret().into_connection_info().map_err(address)?;
    let tcp = TcpSettings::default().set_nodelay(true);
    let client = Client::open(info.set_tcp_settings(tcp)).map_err(address)?;
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(CONNECT_PATIENCE))
        .set_response_timeout(Some(REPLY_PATIENCE))
        .set_max_delay(PAUSE_MAX);
    let connecting = ConnectionManager::new_with_config(client, config);
    connecting.await.map_err(|error| options.unreachable(error))
}
