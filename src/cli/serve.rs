//! `tidegate serve` and `tidegate dev`: what is configured, and the process that comes of it.

use super::check::not_built_yet;
use super::cluster::ClusterPlan;
use super::embedded::{EmbeddedOptions, EmbeddedPlan};
use super::endings::Endings;
use super::process::{self, Addresses, Open, Plan, Reload};
use super::{Failure, exit, kept, keys, logging, say};
use crate::adapters::embedded::DataFolder;
use crate::adapters::kafka::KafkaOptions;
use crate::adapters::redis::RedisOptions;
use crate::attempt::EndpointName;
use crate::config::{
    Config, Document, KeptSecret, Loaded, Private, Property, Purpose, Secret, Secrets,
    ServiceSecrets,
};
use crate::http::door::Endpoints;
use crate::webhook::{Keyring, SecretIndex, WebhookSecret};
use crate::wire::admit::Admission;
use crate::wire::prove::Trust;
use serde_json::json;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const SERVE_EXAMPLES: &str = "\
Examples:
  tidegate serve --config tidegate.toml
  tidegate serve --config tidegate.toml --public 0.0.0.0:8480
  kill -HUP PID      # read the secrets again
  kill -TERM PID     # finish what was taken, then end
";

const DEV_EXAMPLES: &str = "\
Examples:
  tidegate dev
  tidegate dev --data /tmp/try --public 127.0.0.1:0 --api 127.0.0.1:0 --ops 127.0.0.1:0
  tidegate send completed     # in another terminal
";

const EXIT_CODES: &str = "\
Exit codes:
  0   it was asked to end, and everything taken is decided
  65  the journal is damaged, or lacks something that was acknowledged
  69  an address cannot be listened on, or Redis or the brokers do not answer or refuse
  70  the engine or the journal has stopped
  74  the folder cannot be used
  75  another process uses the folder or a port
  78  the configuration cannot be used, or not with this folder (partitions, mode, signing keys)
  130 it was asked to end twice, and did so at once";

#[derive(Clone, Debug, clap::Args)]
pub struct ListenArgs {
    /// Where webhooks come in; port 0 takes any free one.
    #[arg(long, value_name = "ADDR", value_parser = address, help_heading = "Listeners")]
    pub public: Option<SocketAddr>,
    /// Where your backend asks.
    #[arg(long, value_name = "ADDR", value_parser = address, help_heading = "Listeners")]
    pub api: Option<SocketAddr>,
    /// Where health and metrics are.
    #[arg(long, value_name = "ADDR", value_parser = address, help_heading = "Listeners")]
    pub ops: Option<SocketAddr>,
}

pub(super) fn address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "write a numeric address and a port, such as 127.0.0.1:8480")
}

/// A file in the place of a data folder would be told as something that cannot be made in it.
pub(super) fn refuse_file(data: &Path) -> Result<(), Failure> {
    if !data.is_file() {
        return Ok(());
    }
    let fix = "name the folder that is, or is to be, with --data DIR";
    Err(Failure::usage(format!("{} is a file; --data takes a folder", data.display()), fix))
}

/// Take webhooks and fulfill, as configured.
#[derive(Clone, Debug, clap::Args)]
#[command(before_long_help = SERVE_EXAMPLES, after_long_help = EXIT_CODES)]
pub struct ServeArgs {
    /// The configuration file; without it only the environment is read.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    pub listen: ListenArgs,
}

/// Try everything on this machine: no Kafka, no Redis, no configuration.
///
/// Makes a folder with a test secret and an API key, and goes on where it was when started again.
#[derive(Clone, Debug, clap::Args)]
#[command(before_long_help = DEV_EXAMPLES, after_long_help = EXIT_CODES)]
pub struct DevArgs {
    /// The folder of all that is kept [default: ./tidegate-data]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// A configuration file, for policies and bounds.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    pub listen: ListenArgs,
}

pub fn serve(args: &ServeArgs) -> Result<(), Failure> {
    let (config, secrets) = load(args.config.as_deref(), Purpose::Serve)?;
    logging::start(&config.log)?;
    let open = opened(secrets.clone());
    let trust = trust(&config, &secrets)?;
    let file = args.config.clone();
    let at = &args.listen;
    match config.engine {
        crate::config::Engine::Embedded => {
            let engine = |trust, instance| Ok(embedded(&config, trust, instance));
            let reload: Reload = Arc::new(move || {
                load(file.as_deref(), Purpose::Serve).map(|(_, secrets)| opened(secrets))
            });
            process::run(plan(&config, at, open, trust, engine)?, reload, |_| Ok(()))
        }
        crate::config::Engine::Cluster => {
            let admission = Arc::new(Admission::new(trust.clone(), every_secret(&secrets)));
            let admitting = Arc::clone(&admission);
            let reload: Reload = Arc::new(move || {
                let (_, secrets) = load(file.as_deref(), Purpose::Serve)?;
                admission.replace(every_secret(&secrets));
                Ok(opened(secrets))
            });
            let services = &secrets.services;
            let engine = |trust, instance| cluster(&config, services, trust, admitting, instance);
            process::run(plan(&config, at, open, trust, engine)?, reload, |_| Ok(()))
        }
    }
}

/// What `dev` adds to whatever is configured.
const DEV_ENDPOINT: &str = "dev";
pub const DEV_SECRET: &str = "webhook-secret";
pub const DEV_API_KEY: &str = "api-key";
pub const DEV_FILE: &str = "dev.json";

pub fn dev(args: &DevArgs, out: &mut impl Write) -> Result<(), Failure> {
    args.data.as_deref().map_or(Ok(()), refuse_file)?;
    let file = args.config.clone();
    let (mut config, secrets) = load(file.as_deref(), Purpose::Dev)?;
    logging::start(&config.log)?;
    if let Some(data) = &args.data {
        config.data_dir.clone_from(data);
    }
    let root = config.data_dir.clone();
    DataFolder::refuse_taken(&root)?;
    let open = dev_opened(&root, secrets.clone())?;
    let trust = trust(&config, &secrets)?;
    let engine = |trust, instance| Ok(embedded(&config, trust, instance));
    let plan = plan(&config, &args.listen, open, trust, engine)?;
    let folder = root.clone();
    let reload: Reload = Arc::new(move || {
        let (_, secrets) = load(file.as_deref(), Purpose::Dev)?;
        dev_opened(&folder, secrets)
    });
    process::run(plan, reload, |addresses| announce(&root, addresses, out))
}

fn dev_opened(root: &Path, secrets: Secrets) -> Result<Open, Failure> {
    let mut open = opened(secrets);
    let secret = format!("whsec_test_{}", kept::random_hex(32)?);
    let secret = kept::kept(root, DEV_SECRET, || secret)?;
    let key = format!("tgk_test_{}", kept::random_hex(32)?);
    open.api_keys.push(kept::kept(root, DEV_API_KEY, || key)?);
    let name = EndpointName::parse(DEV_ENDPOINT);
    let name = name.map_err(|error| Failure::new(exit::INTERNAL, error, ""))?;
    open.endpoints.insert(name, Keyring::of_one(WebhookSecret::new(secret.into_inner())));
    Ok(open)
}

/// Says where everything is: to programs in a file, to people on the terminal.
fn announce(root: &Path, at: Addresses, out: &mut impl Write) -> Result<(), Failure> {
    let keep = |name: &str| kept::kept(root, name, String::new);
    let webhook_url = format!("http://{}/webhooks/{DEV_ENDPOINT}", at.public);
    let info = json!({
        "public": format!("http://{}", at.public),
        "api": format!("http://{}", at.api),
        "ops": format!("http://{}", at.ops),
        "endpoint": DEV_ENDPOINT,
        "webhook_url": webhook_url,
        "webhook_secret": keep(DEV_SECRET)?.expose(),
        "api_key": keep(DEV_API_KEY)?.expose(),
    });
    kept::replace_private(root, DEV_FILE, format!("{info:#}\n").as_bytes())?;
    let data = match root.to_str() {
        Some("./tidegate-data") | Some("tidegate-data") => String::new(),
        _elsewhere => format!(" --data {}", root.display()),
    };
    writeln!(
        out,
        "Tidegate is ready.

  webhooks   {webhook_url}
  api        http://{api}
  metrics    http://{ops}/metrics
  data       {root}   (addresses and keys are in {DEV_FILE})

Try in another terminal:

  tidegate send completed{data}       a customer pays: three signed webhooks
  tidegate tail fulfillments{data}    what your ledger would be told
  tidegate attempts list{data}        where every attempt stands

Ctrl-C ends it; the next start goes on where this one was.",
        api = at.api,
        ops = at.ops,
        root = root.display(),
    )
    .and_then(|()| out.flush())
    .map_err(|error| Failure::answer(&error))
}

fn load(file: Option<&Path>, purpose: Purpose) -> Result<(Config, Secrets), Failure> {
    let document = Document::open(file, crate::config::environment())?;
    let loaded = Loaded::read(&document, purpose).map_err(|errors| {
        let failure = Failure::from(errors);
        match purpose {
            // `check` reads for `serve`, and would find other things.
            Purpose::Dev => Failure { fix: String::new(), ..failure },
            Purpose::Serve | Purpose::Inspect => failure,
        }
    })?;
    let (secrets, remarks) = loaded.secrets(&document)?;
    if let Some(problem) = not_built_yet(&loaded.config, &secrets).into_iter().next() {
        return Err(Failure::new(exit::CONFIG, loaded.point(problem), ""));
    }
    for finding in loaded.warnings.iter().chain(&remarks) {
        say(format_args!("{finding}"));
    }
    Ok((loaded.config, secrets))
}

/// The secrets that open doors. Retired ones do not any more, but keep their places: a record
/// names the one that proved it by its place.
fn opened(secrets: Secrets) -> Open {
    let current = |kept: &KeptSecret| !kept.retired;
    let endpoints: Endpoints = secrets
        .endpoints
        .into_iter()
        .map(|(name, secrets)| (name, keyring((0_u8..).zip(secrets).filter(|(_, s)| current(s)))))
        .collect();
    let api_keys = secrets.api_keys.into_iter().filter(current).map(|kept| kept.secret).collect();
    Open { endpoints, api_keys }
}

/// All of them: what somebody else wrote into the journal may have waited since before one retired.
pub(super) fn every_secret(secrets: &Secrets) -> Endpoints {
    let all = secrets.endpoints.clone().into_iter();
    all.map(|(name, secrets)| (name, keyring((0_u8..).zip(secrets)))).collect()
}

fn keyring(secrets: impl Iterator<Item = (u8, KeptSecret)>) -> Keyring {
    Keyring::new(
        secrets.map(|(place, kept)| {
            (SecretIndex(place), WebhookSecret::new(kept.secret.into_inner()))
        }),
    )
}

/// The process around an engine. What it needs to know of the engine is the caller's.
fn plan<E>(
    config: &Config,
    at: &ListenArgs,
    open: Open,
    trust: Trust,
    engine: impl FnOnce(Trust, String) -> Result<E, Failure>,
) -> Result<Plan<E>, Failure> {
    let instance = match &config.instance_id {
        Some(name) => name.clone(),
        None => {
            let fresh = format!("tidegate-{}", kept::random_hex(4)?);
            kept::kept(&config.data_dir, kept::INSTANCE, || fresh)?.expose().to_owned()
        }
    };
    let mut listen = config.listen;
    listen.public = at.public.unwrap_or(listen.public);
    listen.api = at.api.unwrap_or(listen.api);
    listen.ops = at.ops.unwrap_or(listen.ops);
    Ok(Plan {
        listen,
        http: config.http,
        tolerance: u32::try_from(config.webhook.tolerance.as_secs()).unwrap_or(u32::MAX),
        trust: trust.clone(),
        endings: Endings::of(config.data_dir.clone(), &instance),
        engine: engine(trust, instance)?,
        open,
    })
}

fn trust(config: &Config, secrets: &Secrets) -> Result<Trust, Failure> {
    let keys = keys::signing_keys(&config.data_dir, &secrets.signing_keys)?;
    Ok(Trust { keys, mode: config.mode })
}

fn attempts_memory(config: &Config) -> usize {
    usize::try_from(config.embedded.attempts_memory_bytes).unwrap_or(usize::MAX)
}

fn embedded(config: &Config, trust: Trust, instance: String) -> EmbeddedPlan {
    EmbeddedPlan {
        root: config.data_dir.clone(),
        options: EmbeddedOptions {
            partitions: config.partitions,
            lanes: config.lanes,
            instance,
            trust,
            policy: config.policy,
            segment_bytes: config.embedded.segment_bytes,
            snapshot_bytes: config.embedded.snapshot_every_bytes,
            attempts_memory: attempts_memory(config),
        },
    }
}

fn cluster(
    config: &Config,
    services: &ServiceSecrets,
    trust: Trust,
    admission: Arc<Admission>,
    instance: String,
) -> Result<ClusterPlan, Failure> {
    Ok(ClusterPlan {
        kafka: kafka(config, services, instance),
        redis: redis(config, services)?,
        trust,
        admission,
        policy: config.policy,
        attempts_memory: attempts_memory(config),
    })
}

/// How Redis is reached.
pub(super) fn redis(config: &Config, services: &ServiceSecrets) -> Result<RedisOptions, Failure> {
    let missing = || Failure::new(exit::CONFIG, "`redis.url` is needed by the cluster engine", "");
    let url = config.redis.url.as_ref().map(Private::expose).ok_or_else(missing)?;
    let password = |secret: &Option<Secret>| secret.as_ref().map(|kept| kept.expose().into());
    Ok(RedisOptions {
        password: password(&services.redis_password),
        sentinel_password: password(&services.sentinel_password),
        ca_file: config.redis.ca_file.clone(),
        ..RedisOptions::new(url, config.kafka.topic_prefix.clone())
    })
}

/// How the brokers are reached. The number of partitions is theirs to say.
pub(super) fn kafka(config: &Config, services: &ServiceSecrets, instance: String) -> KafkaOptions {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32);
    let property = |name: &String, property: &Property| {
        let text = match property {
            Property::Written(text) => Some(text.expose()),
            Property::Kept(_) => services.kafka_properties.get(name).map(Secret::expose),
        };
        text.map(|text| (name.clone(), text.into()))
    };
    let properties = config.kafka.properties.iter();
    KafkaOptions {
        brokers: config.kafka.brokers.join(","),
        group: config.kafka.group.clone(),
        topic_prefix: config.kafka.topic_prefix.clone(),
        properties: properties.filter_map(|(name, value)| property(name, value)).collect(),
        instance,
        partitions: 0,
        lanes: config.lanes.unwrap_or(cores),
    }
}
