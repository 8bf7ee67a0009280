//! Where the view is, and what can be wrong with it.

use super::address::Address;
use secrecy::{ExposeSecret, SecretString};
use std::path::{Path, PathBuf};

/// Where the view is.
#[derive(Clone, Debug)]
pub struct RedisOptions {
    /// May carry a password.
    pub url: SecretString,
    /// The beginning of every key.
    pub prefix: String,
    pub password: Option<SecretString>,
    pub sentinel_password: Option<SecretString>,
    /// Whoever signed the certificates of the servers, instead of whom the public trusts.
    pub ca_file: Option<PathBuf>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedisError {
    #[error("redis.url is no address of a Redis: {0}")]
    Address(String),
    #[error("this build does not speak to a Redis Cluster, which `redis.url` names")]
    NoCluster,
    #[error("the file {file} of `redis.ca_file` cannot be used: {why}")]
    Authority { file: PathBuf, why: String },
    #[error("Redis at {at} cannot be used: {why}")]
    Unreachable { at: String, why: String },
    #[error("Redis at {at} cannot be trusted: {why}")]
    Untrusted { at: String, why: String },
    #[error("Redis at {at} refuses us: {why}")]
    Refused { at: String, why: String },
    #[error("Redis at {at} is a replica, which takes no writes")]
    Replica { at: String },
    #[error("the sentinels at {at} name no primary for {service}: {why}")]
    NoPrimary { at: String, service: String, why: String },
    #[error(
        "Redis may throw away keys (maxmemory-policy is {policy}); set maxmemory-policy to noeviction"
    )]
    Evicts { policy: String },
}

impl RedisError {
    /// What the reader is to do.
    pub fn fix(&self) -> &'static str {
        match self {
            Self::Address(_) => "mend `redis.url`",
            Self::NoCluster => {
                "use a build with the feature `redis-cluster` (cargo build --release --features \
                 redis-cluster), or name one server"
            }
            Self::Authority { .. } => "name a file of certificates in PEM form",
            Self::Unreachable { .. } => {
                "see that the Redis of `redis.url` is up; one that speaks TLS on this port needs \
                 rediss://, one that does not needs redis://"
            }
            Self::Untrusted { .. } => {
                "name whoever signed its certificate with `redis.ca_file`, and let `redis.url` use \
                 a name that stands in the certificate"
            }
            Self::Refused { .. } => {
                "mend the user of `redis.url` or `redis.password`, or what the user may do \
                 (docs/operating.md lists it)"
            }
            Self::Replica { .. } => "name its primary, or the sentinels that know it",
            Self::NoPrimary { .. } => {
                "see that the sentinels of `redis.url` are up and watch a primary by this name"
            }
            Self::Evicts { .. } => {
                "redis-cli CONFIG SET maxmemory-policy noeviction, and set it in its file"
            }
        }
    }

    /// Whether it may be otherwise in a moment, without anybody's doing.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Replica { .. } | Self::NoPrimary { .. })
    }
}

impl RedisOptions {
    pub fn new(url: impl Into<SecretString>, prefix: impl Into<String>) -> Self {
        let (url, prefix) = (url.into(), prefix.into());
        Self { url, prefix, password: None, sentinel_password: None, ca_file: None }
    }

    /// Hosts and ports, without whoever asks and their password.
    pub fn place(&self) -> String {
        let url = self.url.expose_secret();
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
        rest.split(['/', '?']).next().unwrap_or_default().to_owned()
    }

    /// Why they cannot be used, if they cannot. Asks no server.
    pub fn refusal(&self) -> Option<RedisError> {
        let address = match Address::of(self) {
            Ok(address) => address,
            Err(error) => return Some(error),
        };
        if matches!(address, Address::Cluster(_)) && !cfg!(feature = "redis-cluster") {
            return Some(RedisError::NoCluster);
        }
        self.authority().err()
    }

    pub(super) fn unreachable(&self, why: impl ToString) -> RedisError {
        RedisError::Unreachable { at: self.place(), why: why.to_string() }
    }

    /// The certificates of `ca_file`. Read for each connection, so that it may be replaced.
    pub(super) fn authority(&self) -> Result<Option<Vec<u8>>, RedisError> {
        self.ca_file.as_deref().map(read_authority).transpose()
    }
}

fn read_authority(file: &Path) -> Result<Vec<u8>, RedisError> {
    let refuse = |why: &str| RedisError::Authority { file: file.to_owned(), why: why.to_owned() };
    let pem = std::fs::read(file).map_err(|error| refuse(&error.to_string()))?;
    let begins = b"-----BEGIN CERTIFICATE-----";
    if !pem.windows(begins.len()).any(|window| window == begins) {
        return Err(refuse("there is no certificate in it"));
    }
    Ok(pem)
}
