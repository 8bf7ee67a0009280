//! What `redis.url` may say: one server, sentinels that name one, or some nodes of a Redis Cluster.

use super::options::{RedisError, RedisOptions};
use redis::io::tcp::TcpSettings;
use redis::{ConnectionInfo, IntoConnectionInfo};
use secrecy::{ExposeSecret, SecretString};

/// Where the Redis of a configuration is.
#[derive(Clone, Debug)]
pub(super) enum Address {
    Server(ConnectionInfo),
    Sentinels {
        sentinels: Vec<ConnectionInfo>,
        /// What the sentinels call the primary that they watch.
        service: String,
        /// How that is spoken to; its host is theirs to say.
        primary: ConnectionInfo,
    },
    Cluster(
        #[cfg_attr(
            not(feature = "redis-cluster"),
            expect(dead_code, reason = "a build without it only says that it has none")
        )]
        Vec<ConnectionInfo>,
    ),
}

const SERVER_FORM: &str = "write redis://host:6379, or rediss:// for TLS";
const SENTINEL_FORM: &str = "write redis+sentinel://one:26379,two:26379/SERVICE";
const CLUSTER_FORM: &str = "write redis+cluster://one:6379,two:6379";

impl Address {
    /// Says what is wrong without showing any of it.
    pub(super) fn of(options: &RedisOptions) -> Result<Self, RedisError> {
        let url = options.url.expose_secret();
        let (scheme, rest) = url.split_once("://").ok_or_else(|| refused(SERVER_FORM))?;
        let (scheme, kind) = scheme.split_once('+').unwrap_or((scheme, ""));
        let password = options.password.as_ref();
        if kind.is_empty() {
            return Ok(Self::Server(node(url, password).ok_or_else(|| refused(SERVER_FORM))?));
        }
        let (user, rest) = rest.rsplit_once('@').unwrap_or(("", rest));
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        let each = |user: &str, password: Option<&SecretString>| -> Option<Vec<ConnectionInfo>> {
            let at = if user.is_empty() { "" } else { "@" };
            let hosts = hosts.split(',').map(str::trim);
            hosts.map(|host| node(&format!("{scheme}://{user}{at}{host}"), password)).collect()
        };
        match kind {
            "sentinel" => {
                let nodes = each("", options.sentinel_password.as_ref());
                let primary = each(user, password).and_then(|nodes| nodes.into_iter().next());
                match (nodes, primary) {
                    (Some(sentinels), Some(primary)) if !path.is_empty() => {
                        Ok(Self::Sentinels { sentinels, service: path.to_owned(), primary })
                    }
                    _incomplete => Err(refused(SENTINEL_FORM)),
                }
            }
            "cluster" if path.is_empty() => {
                each(user, password).map(Self::Cluster).ok_or_else(|| refused(CLUSTER_FORM))
            }
            _unknown => Err(refused(CLUSTER_FORM)),
        }
    }
}

fn refused(form: &str) -> RedisError {
    RedisError::Address(form.to_owned())
}

fn node(url: &str, password: Option<&SecretString>) -> Option<ConnectionInfo> {
    let info = url.into_connection_info().ok()?;
    // Without it a small request may wait for the answer to the one before.
    let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true));
    let Some(password) = password else { return Some(info) };
    let who = info.redis_settings().clone().set_password(password.expose_secret());
    Some(info.set_redis_settings(who))
}
