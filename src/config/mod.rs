//! The configuration: understood once, and explained to a person where it cannot be.
//!
//! ```text
//!  file + environment ──▶ Document ──▶ form (every key known, every kind right) ──▶ Config
//!                            │              │                                        │
//!                            └──────────────┴── findings, with line, caret and fix ◀─┘
//! ```
//!
//! Reading is pure: the file's text and the environment are arguments. Only [`Document::open`] and
//! [`Secrets::resolve`] touch a disk. Secrets are never part of a [`Config`], which says only where
//! they are kept; [`Secrets`] holds them, and can be resolved again while the process runs.

mod finding;
mod form;
pub mod limits;
mod quote;
mod reading;
pub mod schema;
mod secrets;
mod slips;
mod structure;
mod tree;
mod understand;
mod units;

pub use finding::{ConfigErrors, Finding, Level, Problem, Quote, Where};
pub use limits::SIGNING_KEY_BYTES_MIN;
pub use reading::Document;
pub use secrets::{KeptSecret, Secret, Secrets, ServiceSecrets};

use crate::attempt::{EndpointName, Mode, Policy, words};
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The annotated example, which says what every key is and holds every default.
pub const EXAMPLE: &str = include_str!("../../config/tidegate.toml");

words! {
    /// Where the journal is.
    Engine {
        /// In a folder of this process's own.
        Embedded = "embedded",
        /// In Kafka, with a view in Redis.
        Cluster = "cluster",
    }
}

words! {
    /// What the configuration is read for, which decides what may be missing.
    Purpose {
        /// Traffic is to be taken, so there must be someone to take it from.
        Serve = "serve",
        /// Everything in one process; its endpoint and keys are made, and it always adopts.
        Dev = "dev",
        /// Only looking: audits and the like.
        Inspect = "inspect",
    }
}

/// The configuration as understood. Holding one means that every rule has been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    pub engine: Engine,
    pub data_dir: PathBuf,
    pub mode: Mode,
    /// Kept in `data_dir` when not set.
    pub instance_id: Option<String>,
    /// Partitions of a new embedded journal; the cores when not set.
    pub partitions: Option<u32>,
    /// The cores when not set.
    pub lanes: Option<u32>,
    pub listen: Listen,
    pub endpoints: BTreeMap<EndpointName, Endpoint>,
    pub api: Api,
    pub policy: Policy,
    pub gate: Gate,
    pub webhook: Webhook,
    pub http: Http,
    pub signing: Signing,
    pub embedded: Embedded,
    pub kafka: Kafka,
    pub redis: Redis,
    pub log: Log,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    pub public: SocketAddr,
    pub api: SocketAddr,
    pub ops: SocketAddr,
}

impl Listen {
    /// On this machine alone, so that nothing is reachable before someone has decided so.
    pub const DEFAULT: Self =
        Self { public: loopback(8480), api: loopback(8481), ops: loopback(8482) };
}

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// In the order of the file: a record names the secret that proved it by its place.
    pub secrets: Vec<SecretSource>,
}

/// Where one secret is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretSource {
    pub from: SecretFrom,
    /// Only what was signed before may still use it.
    pub retired: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretFrom {
    File(PathBuf),
    /// The name of a variable.
    Env(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Api {
    pub keys: Vec<SecretSource>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gate {
    /// An origin, without `/v1` and without a slash at its end.
    pub base_url: String,
    pub key: Option<SecretSource>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// How far the signed time may be from ours, either way.
    pub tolerance: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Http {
    pub max_body_bytes: u64,
    /// For all bodies on their way in or not answered yet, together.
    pub bodies_memory_bytes: u64,
    pub header_deadline: Duration,
    pub body_deadline: Duration,
}

/// Tidegate's own keys. Empty: one is made and kept in `data_dir`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signing {
    pub keys: Vec<SecretSource>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Embedded {
    pub segment_bytes: u64,
    pub attempts_memory_bytes: u64,
    /// Bytes of journal between two snapshots.
    pub snapshot_every_bytes: u64,
    /// For ever when not set.
    pub retention: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kafka {
    /// `host:port`; empty unless the engine is the cluster.
    pub brokers: Vec<String>,
    pub properties: BTreeMap<String, Property>,
    pub group: String,
    pub topic_prefix: String,
}

/// A property of librdkafka: as written, or where it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Property {
    Written(Private),
    Kept(SecretFrom),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redis {
    pub url: Option<Private>,
    pub password: Option<SecretFrom>,
    pub sentinel_password: Option<SecretFrom>,
    /// Instead of the certificates that the public trusts.
    pub ca_file: Option<PathBuf>,
}

words! {
    LogFormat {
        /// Pretty on a terminal, JSON elsewhere.
        Auto = "auto",
        Pretty = "pretty",
        Json = "json",
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    pub format: LogFormat,
    pub filter: String,
}

/// A text of the configuration that may carry a password, such as an address. Prints as stars.
#[derive(Clone, PartialEq, Eq)]
pub struct Private(String);

impl Private {
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Private {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Private(***)")
    }
}

impl Config {
    /// The configuration of a process that takes traffic, from a file and an environment.
    pub fn load(
        path: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigErrors> {
        let document = Document::open(path, environment)?;
        Loaded::read(&document, Purpose::Serve).map(|loaded| loaded.config)
    }
}

/// A configuration with what is remarkable about it, and where each of its keys was written.
pub struct Loaded {
    pub config: Config,
    pub warnings: Vec<Finding>,
    places: reading::Places,
}

impl Loaded {
    pub fn read(document: &Document, purpose: Purpose) -> Result<Self, ConfigErrors> {
        let (config, places, findings) = examine(document, purpose);
        if findings.iter().any(Finding::is_error) {
            return Err(ConfigErrors::new(findings));
        }
        Ok(Self { config, warnings: findings, places })
    }

    /// Fetches the secrets from where the configuration says they are, and says what is remarkable
    /// about them. Called again when they are to be re-read.
    pub fn secrets(&self, document: &Document) -> Result<(Secrets, Vec<Finding>), ConfigErrors> {
        let lookup = |name: &str| document.variable(name).map(str::to_owned);
        let (secrets, problems) = Secrets::resolve(&self.config, lookup);
        let findings: Vec<_> =
            problems.into_iter().map(|problem| self.places.point(problem)).collect();
        if findings.iter().any(Finding::is_error) {
            return Err(ConfigErrors::new(findings));
        }
        Ok((secrets, findings))
    }

    /// The passwords of the brokers and of Redis alone, for who needs no others.
    pub fn service_secrets(&self, document: &Document) -> Result<ServiceSecrets, ConfigErrors> {
        let lookup = |name: &str| document.variable(name).map(str::to_owned);
        let (secrets, problems) = ServiceSecrets::resolve(&self.config, lookup);
        let findings: Vec<_> =
            problems.into_iter().map(|problem| self.places.point(problem)).collect();
        if findings.iter().any(Finding::is_error) {
            return Err(ConfigErrors::new(findings));
        }
        Ok(secrets)
    }

    /// Puts a problem that someone else found at the place of its key.
    pub fn point(&self, problem: Problem) -> Finding {
        self.places.point(problem)
    }
}

/// Everything that is wrong or remarkable, the secrets included: for telling a person all of it at
/// once. `more` adds what only the caller can know.
pub fn check(
    document: &Document,
    purpose: Purpose,
    more: impl FnOnce(&Config, &Secrets) -> Vec<Problem>,
) -> Vec<Finding> {
    let (config, places, mut findings) = examine(document, purpose);
    let lookup = |name: &str| document.variable(name).map(str::to_owned);
    let (secrets, mut problems) = Secrets::resolve(&config, lookup);
    problems.extend(more(&config, &secrets));
    problems.retain(|problem| !places.is_echo(problem, &findings));
    findings.extend(problems.into_iter().map(|problem| places.point(problem)));
    finding::sort(&mut findings);
    findings
}

/// The process's own environment, without what is not text: no key and no secret of ours is.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, text)| Some((name.into_string().ok()?, text.into_string().ok()?)))
}

/// Understands as much as can be. Where something is wrong the default stands in the result, so
/// only whoever has seen that nothing is may hand it on.
fn examine(document: &Document, purpose: Purpose) -> (Config, reading::Places, Vec<Finding>) {
    let (form, places, mut findings) = document.read();
    // Of a file that was not read nothing can be said to be missing from it.
    let unread = findings.iter().any(|finding| finding.key.is_none());
    let (config, mut problems) = understand::understand(form, purpose);
    problems.retain(|problem| !places.is_echo(problem, &findings));
    if !unread {
        findings.extend(problems.into_iter().map(|problem| places.point(problem)));
    }
    (config, places, findings)
}
