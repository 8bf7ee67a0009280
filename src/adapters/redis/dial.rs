//! Connecting: to one server, to the one that sentinels name, or to a Redis Cluster; and making sure
//! that it is one that may be used.

use super::address::Address;
use super::options::{RedisError, RedisOptions};
use futures_util::future::join_all;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, InfoDict, Pipeline,
    RedisFuture, TlsCertificates, Value,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// A reply that takes longer is given up. Every script may be repeated.
pub(super) const REPLY_PATIENCE: Duration = Duration::from_secs(2);

/// Name, TCP, TLS and the password together.
pub(super) const CONNECT_PATIENCE: Duration = Duration::from_secs(2);

/// The only policy under which a view may be kept.
pub const NO_EVICTION: &str = "noeviction";

/// To whom we speak. Cheap to clone: all clones share what they send on.
#[derive(Clone)]
pub(super) enum Connection {
    One(MultiplexedConnection),
    #[cfg(feature = "redis-cluster")]
    Cluster(redis::cluster_async::ClusterConnection),
}

impl Connection {
    pub(super) fn is_of_a_cluster(&self) -> bool {
        !matches!(self, Self::One(_))
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::One(connection) => connection.req_packed_command(cmd),
            #[cfg(feature = "redis-cluster")]
            Self::Cluster(connection) => connection.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::One(connection) => connection.req_packed_commands(pipeline, offset, count),
            #[cfg(feature = "redis-cluster")]
            Self::Cluster(connection) => connection.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::One(connection) => connection.get_db(),
            #[cfg(feature = "redis-cluster")]
            Self::Cluster(connection) => connection.get_db(),
        }
    }
}

/// Who was reached, and where.
pub(super) struct Reached {
    pub(super) connection: Connection,
    /// `host:port`; of a cluster, those that were named.
    pub(super) at: String,
}

/// Connects, and makes sure that it is a primary.
pub(super) async fn dial(options: &RedisOptions) -> Result<Reached, RedisError> {
    let reached = reach(options).await?;
    for info in infos(&reached).await? {
        if info.get::<String>("role").is_some_and(|role| role != PRIMARY) {
            return Err(RedisError::Replica { at: reached.at });
        }
    }
    Ok(reached)
}

/// Refuses one that throws keys away when its memory is full. Asked at a start: a process that works
/// is better off with such a server than with none, and is told of it.
pub(super) async fn refuse_eviction(reached: &Reached) -> Result<(), RedisError> {
    for info in infos(reached).await? {
        match info.get::<String>("maxmemory_policy") {
            Some(policy) if policy != NO_EVICTION => return Err(RedisError::Evicts { policy }),
            Some(_) | None => {}
        }
    }
    Ok(())
}

/// How a server calls itself that is no replica.
pub(super) const PRIMARY: &str = "master";

/// Connects, whatever it finds there.
pub(super) async fn reach(options: &RedisOptions) -> Result<Reached, RedisError> {
    match Address::of(options)? {
        Address::Server(info) => to_server(options, info).await,
        Address::Sentinels { sentinels, service, primary } => {
            let mut why = RedisError::NoPrimary {
                at: options.place(),
                service: service.clone(),
                why: "they know none".to_owned(),
            };
            for at in named(options, &sentinels, &service).await? {
                match to_server(options, primary.clone().set_addr(at)).await {
                    Ok(reached) => return Ok(reached),
                    Err(error) => why = error,
                }
            }
            Err(why)
        }
        #[cfg(feature = "redis-cluster")]
        Address::Cluster(nodes) => super::cluster::reach(options, nodes).await,
        #[cfg(not(feature = "redis-cluster"))]
        Address::Cluster(_) => Err(RedisError::NoCluster),
    }
}

/// What the servers say of themselves: one, or each primary of a cluster.
pub(super) async fn infos(reached: &Reached) -> Result<Vec<InfoDict>, RedisError> {
    let asked = match reached.connection.clone() {
        Connection::One(mut connection) => {
            redis::cmd("INFO").query_async(&mut connection).await.map(|info| vec![info])
        }
        #[cfg(feature = "redis-cluster")]
        Connection::Cluster(connection) => super::cluster::infos(connection).await,
    };
    asked.map_err(|error| told(&reached.at, &error))
}

/// Where the sentinels say that the primary is, whom most of them name first. All are asked at once,
/// because one that is cut off with an old primary still names that.
pub(super) async fn named(
    options: &RedisOptions,
    sentinels: &[ConnectionInfo],
    service: &str,
) -> Result<Vec<ConnectionAddr>, RedisError> {
    let asking = sentinels.iter().map(|sentinel| ask(options, sentinel, service));
    let mut votes: BTreeMap<(String, u16), usize> = BTreeMap::new();
    let mut failed = None;
    for answer in join_all(asking).await {
        match answer {
            Ok(Some(at)) => *votes.entry(at).or_default() += 1,
            Ok(None) => {}
            Err(error) => failed = Some(error),
        }
    }
    if votes.is_empty()
        && let Some(error) = failed
    {
        return Err(error);
    }
    let mut votes: Vec<_> = votes.into_iter().collect();
    votes.sort_by_key(|(_, votes)| std::cmp::Reverse(*votes));
    let tls = sentinels.first().is_some_and(|one| is_tls(one.addr()));
    Ok(votes.into_iter().map(|((host, port), _)| address(host, port, tls)).collect())
}

async fn ask(
    options: &RedisOptions,
    sentinel: &ConnectionInfo,
    service: &str,
) -> Result<Option<(String, u16)>, RedisError> {
    let at = sentinel.addr().to_string();
    let mut connection = open(options, sentinel.clone()).await?;
    let mut question = redis::cmd("SENTINEL");
    question.arg("GET-MASTER-ADDR-BY-NAME").arg(service);
    question.query_async(&mut connection).await.map_err(|error| told(&at, &error))
}

fn address(host: String, port: u16, tls: bool) -> ConnectionAddr {
    if tls {
        ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
    } else {
        ConnectionAddr::Tcp(host, port)
    }
}

fn is_tls(at: &ConnectionAddr) -> bool {
    matches!(at, ConnectionAddr::TcpTls { .. })
}

async fn to_server(options: &RedisOptions, info: ConnectionInfo) -> Result<Reached, RedisError> {
    let at = info.addr().to_string();
    let connection = Connection::One(open(options, info).await?);
    Ok(Reached { connection, at })
}

async fn open(
    options: &RedisOptions,
    info: ConnectionInfo,
) -> Result<MultiplexedConnection, RedisError> {
    let at = info.addr().to_string();
    let address = |error: redis::RedisError| RedisError::Address(error.category().to_owned());
    let client = if is_tls(info.addr()) {
        Client::build_with_tls(info, certificates(options)?)
    } else {
        Client::open(info)
    };
    let patience = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_PATIENCE))
        .set_response_timeout(Some(REPLY_PATIENCE));
    let connecting = client.map_err(address)?;
    let connecting = connecting.get_multiplexed_async_connection_with_config(&patience);
    connecting.await.map_err(|error| told(&at, &error))
}

pub(super) fn certificates(options: &RedisOptions) -> Result<TlsCertificates, RedisError> {
    Ok(TlsCertificates { client_tls: None, root_cert: options.authority()? })
}

/// Sorts out what the reader can do something about. Neither the client's words nor the server's
/// hold the password.
pub(super) fn told(at: &str, error: &redis::RedisError) -> RedisError {
    let (at, why) = (at.to_owned(), error.to_string());
    let refused = error.kind() == redis::ErrorKind::AuthenticationFailed
        || error.code().is_some_and(|code| ["NOAUTH", "WRONGPASS", "NOPERM"].contains(&code));
    if refused {
        RedisError::Refused { at, why }
    } else if why.contains("certificate") {
        RedisError::Untrusted { at, why }
    } else {
        RedisError::Unreachable { at, why }
    }
}
