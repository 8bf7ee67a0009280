//! Connecting to a Redis Cluster. All keys of a partition share a hash tag, so that each script finds
//! its keys on one node.

use super::dial::{CONNECT_PATIENCE, Connection, REPLY_PATIENCE, Reached, certificates, told};
use super::options::{RedisError, RedisOptions};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo};
use redis::io::tcp::TcpSettings;
use redis::{ConnectionAddr, ConnectionInfo, InfoDict, RedisResult, TlsMode};
use std::collections::HashMap;

/// How often one request follows a slot that moves, before it is given up and tried by the lane.
const FOLLOWS_MAX: u32 = 4;

pub(super) async fn reach(
    options: &RedisOptions,
    nodes: Vec<ConnectionInfo>,
) -> Result<Reached, RedisError> {
    let at = options.place();
    let tls = nodes.iter().any(|node| matches!(node.addr(), ConnectionAddr::TcpTls { .. }));
    let mut builder = ClusterClient::builder(nodes)
        .connection_timeout(CONNECT_PATIENCE)
        .response_timeout(REPLY_PATIENCE)
        .retries(FOLLOWS_MAX)
        .tcp_settings(TcpSettings::default().set_nodelay(true));
    if tls {
        builder = builder.tls(TlsMode::Secure).certs(certificates(options)?);
    }
    let address = |error: redis::RedisError| RedisError::Address(error.category().to_owned());
    let client = builder.build().map_err(address)?;
    let connection = client.get_async_connection().await.map_err(|error| told(&at, &error))?;
    Ok(Reached { connection: Connection::Cluster(connection), at })
}

/// What each primary says of itself.
pub(super) async fn infos(mut connection: ClusterConnection) -> RedisResult<Vec<InfoDict>> {
    let all = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None));
    let answer = connection.route_command(redis::cmd("INFO"), all).await?;
    let by_node: HashMap<String, InfoDict> = redis::from_redis_value(answer)?;
    Ok(by_node.into_values().collect())
}
