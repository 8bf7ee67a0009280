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
    #[error("Redis cannot be reached: {0}")]
    Unreachable(String),
    #[error(
        "Redis may throw away keys (maxmemory-policy is {policy}); set maxmemory-policy to noeviction"
    )]
    Evicts { policy: String },
}

/// Connects, and makes sure that what is shown to this server is not thrown away behind our back.
pub(super) async fn connect(options: &RedisOptions) -> Result<ConnectionManager, RedisError> {
    let address = |error: redis::RedisError| RedisError::Address(error.category().to_owned());
    let info = options.url.expose_secret().into_connection_info().map_err(address)?;
    let tcp = TcpSettings::default().set_nodelay(true);
    let client = Client::open(info.set_tcp_settings(tcp)).map_err(address)?;
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(CONNECT_PATIENCE))
        .set_response_timeout(Some(REPLY_PATIENCE))
        .set_max_delay(PAUSE_MAX);
    let mut connection =
        ConnectionManager::new_with_config(client, config).await.map_err(unreachable)?;
    refuse_eviction(&mut connection).await?;
    Ok(connection)
}

async fn refuse_eviction(connection: &mut ConnectionManager) -> Result<(), RedisError> {
    let memory: InfoDict =
        redis::cmd("INFO").arg("memory").query_async(connection).await.map_err(unreachable)?;
    match memory.get::<String>("maxmemory_policy") {
        Some(policy) if policy != "noeviction" => Err(RedisError::Evicts { policy }),
        Some(_) | None => Ok(()),
    }
}

fn unreachable(error: redis::RedisError) -> RedisError {
    RedisError::Unreachable(error.to_string())
}
