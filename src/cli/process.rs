//! A process that takes traffic: starts the engine, opens the listeners, and ends in the order in
//! which nothing is lost.

use super::endings::Endings;
use super::host::{Host, HostPlan};
use super::{Failure, exit, files};
use crate::adapters::kafka::LEAVE_PATIENCE;
use crate::config::{Http, Listen};
use crate::http::api::{Api, ApiKeys, FOLLOWERS_MAX, READERS_MAX};
use crate::http::connections::Connections;
use crate::http::door::{Door, Endpoints};
use crate::http::listen::{self, Bound, REQUESTS_PATIENCE};
use crate::http::ops::{Ops, Readiness};
use crate::http::public::Public;
use crate::http::seen::Seen;
use crate::ports::{Journal, SystemClock};
use crate::telemetry::{Ending, Metrics};
use crate::wire::prove::Trust;
use futures_util::future::{OptionFuture, join};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot::error::RecvError;
use tokio::sync::{Semaphore, oneshot, watch};

/// Secrets that can be exchanged while the process runs.
pub(super) struct Open {
    pub(super) endpoints: Endpoints,
    pub(super) api_keys: Vec<crate::config::Secret>,
}

pub(super) struct Plan<E> {
    pub(super) listen: Listen,
    pub(super) http: Http,
    pub(super) tolerance: u32,
    pub(super) trust: Trust,
    pub(super) engine: E,
    pub(super) endings: Endings,
    pub(super) open: Open,
}

/// Where the listeners are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Addresses {
    pub(super) public: SocketAddr,
    pub(super) api: SocketAddr,
    pub(super) ops: SocketAddr,
}

/// Reads the secrets again, from files that may be slow.
pub(super) type Reload = Arc<dyn Fn() -> Result<Open, Failure> + Send + Sync>;

/// How long an end waits for what the lanes have taken, once the listeners have ended. A lane needs
/// milliseconds unless its disk is full or its view does not answer.
pub(super) const DRAIN_PATIENCE: Duration = Duration::from_secs(15);

/// Supervisors commonly kill after 30 s.
const _: () =
    assert!(REQUESTS_PATIENCE.as_secs() + DRAIN_PATIENCE.as_secs() + LEAVE_PATIENCE.as_secs() < 30);

/// Runs until it is told to end, or cannot go on. `ready` is told where the listeners are, once
/// traffic may come.
pub(super) fn run<E: HostPlan>(
    plan: Plan<E>,
    reload: Reload,
    ready: impl FnOnce(Addresses) -> Result<(), Failure>,
) -> Result<(), Failure> {
    actix::System::new().block_on(serve(plan, reload, ready))
}

async fn serve<E: HostPlan>(
    plan: Plan<E>,
    reload: Reload,
    ready: impl FnOnce(Addresses) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    let (readiness, ready_now) = watch::channel(Readiness::Starting);
    let Plan { listen, http, tolerance, trust, engine, mut endings, open } = plan;
    let mode = trust.mode.word();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let bounds = Bounds { http, cores, connections: files::connections(cores) };
    let (mut host, ops, metrics) =
        start(engine, &mut signals, listen.ops, bounds, &ready_now).await?;
    let listeners = Listeners::open(
        &host,
        Opening {
            listen,
            bounds,
            tolerance,
            trust,
            open,
            metrics: metrics.clone(),
            readiness: ready_now,
        },
    )?;
    let addresses = Addresses { ops: ops.at, ..listeners.at };
    endings.begin(&metrics);
    // Whoever waits for readiness reads the addresses next: they are written down first.
    ready(addresses)?;
    readiness.send_replace(Readiness::Ready);
    let Addresses { public, api, ops: ops_at } = addresses;
    tracing::info!(mode, %public, %api, ops = %ops_at, "ready");

    let told = until_told(&mut host, &mut signals, &listeners, &reload).await;
    if let Err(Stopped { failure, shown, ending }) = told {
        readiness.send_replace(Readiness::Stopped(shown));
        tracing::error!(what = failure.what, "cannot go on");
        endings.end(ending);
        listeners.stop(Stopping::AtOnce).await;
        return Err(failure);
    }
    readiness.send_replace(Readiness::Draining);
    tracing::info!("ending: requests that were taken are finished first");
    let ending = async {
        listeners.stop(Stopping::InOrder).await;
        let ended = host.stop().await;
        ops.handle.stop(true).await;
        ended
    };
    tokio::select! {
        ended = ending => {
            endings.end(if ended.is_ok() { Ending::Asked } else { Ending::Hurried });
            ended?;
        }
        () = signals.ends.asked() => {
            tracing::warn!("ended at once; what was acknowledged is in the journal");
            endings.end(Ending::Hurried);
            return Err(Failure::new(exit::INTERRUPTED, "ended at once, as asked", ""));
        }
    }
    tracing::info!("ended");
    Ok(())
}

/// Brings the engine up, with health and numbers from the beginning.
async fn start<E: HostPlan>(
    engine: E,
    signals: &mut Signals,
    ops_at: SocketAddr,
    bounds: Bounds,
    readiness: &watch::Receiver<Readiness>,
) -> Result<(E::Host, Running, Metrics), Failure> {
    let metrics = Metrics::new().map_err(|error| Failure::new(exit::INTERNAL, error, ""))?;
    let numbers: Arc<OnceLock<Arc<dyn Fn() + Send + Sync>>> = Arc::new(OnceLock::new());
    let ops = Ops {
        metrics: metrics.clone(),
        readiness: readiness.clone(),
        refresh: refresh(Arc::clone(&numbers)),
    };
    // Health is answered while a long journal is read. Whose folder it is matters more than whose
    // port, so a port in use is told only when the folder is ours.
    let ops = listen::ops(ops_at, bounds.http, bounds.connections, ops);
    let ops = bound("ops", ops_at, ops);
    let ops = ops.map(Running::spawn);
    let started = engine.start(metrics.clone());
    let host = tokio::select! {
        started = started => started?,
        // A long journal is read; nothing was taken yet that an end could lose.
        () = signals.ends.asked() => {
            return Err(Failure::new(exit::INTERRUPTED, "ended while it started, as asked", ""));
        }
    };
    let _once = numbers.set(host.refresh());
    Ok((host, ops?, metrics))
}

/// Why it cannot go on.
struct Stopped {
    failure: Failure,
    /// What whoever asks for readiness is told.
    shown: &'static str,
    ending: Ending,
}

/// Reads secrets again whenever it is asked to, until it is told to end. An error where it cannot go
/// on.
async fn until_told<H: Host>(
    host: &mut H,
    signals: &mut Signals,
    listeners: &Listeners<H>,
    reload: &Reload,
) -> Result<(), Stopped> {
    let Signals { ends, hangup } = signals;
    let mut reloading = None;
    let stopped = host.stopped();
    tokio::pin!(stopped);
    loop {
        tokio::select! {
            () = ends.asked() => return Ok(()),
            // One at a time: a file that does not answer holds up no more than its own reading.
            _again = hangup.recv(), if reloading.is_none() => reloading = Some(begin(reload)),
            Some(read) = OptionFuture::from(reloading.as_mut()) => {
                reloading = None;
                listeners.exchange(read);
            }
            error = host.engine().broken() => {
                let (ending, shown) = (error.ending(), "the engine has stopped");
                return Err(Stopped { failure: host.explain(error), shown, ending });
            }
            why = &mut stopped => {
                let failure = Failure::new(
                    exit::INTERNAL,
                    format!("the journal has stopped: {why}"),
                    "everything that was acknowledged is in it; mend the cause and start again",
                );
                let (ending, shown) = (Ending::Journal, "the journal has stopped");
                return Err(Stopped { failure, shown, ending });
            }
        }
    }
}

/// Reads the secrets on a thread that nobody waits for when the process ends.
fn begin(reload: &Reload) -> oneshot::Receiver<Result<Open, Failure>> {
    let (read_to, read) = oneshot::channel();
    let reload = Arc::clone(reload);
    std::thread::spawn(move || {
        let _process_ended = read_to.send(reload());
    });
    read
}

/// What the public and the api listener are opened with.
struct Opening {
    listen: Listen,
    bounds: Bounds,
    tolerance: u32,
    trust: Trust,
    open: Open,
    metrics: Metrics,
    readiness: watch::Receiver<Readiness>,
}

/// How much the listeners hold together.
#[derive(Clone, Copy)]
struct Bounds {
    http: Http,
    cores: usize,
    connections: Connections,
}

/// The listeners that traffic comes through, and the secrets that open them.
struct Listeners<H: Host> {
    door: Door<H::Journal, SystemClock>,
    api_keys: ApiKeys,
    public: Running,
    api: Running,
    at: Addresses,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stopping {
    InOrder,
    AtOnce,
}

impl<H: Host> Listeners<H> {
    fn open(host: &H, opening: Opening) -> Result<Self, Failure> {
        let Opening { listen, bounds, tolerance, trust, open, metrics, readiness } = opening;
        let Bounds { http, cores, connections } = bounds;
        let journal = host.journal();
        let api_keys = ApiKeys::new(open.api_keys.iter().map(|key| key.expose()));
        let (clock, of_door) = (SystemClock, metrics.clone());
        let door =
            Door::new(open.endpoints, trust.clone(), tolerance, journal.clone(), clock, of_door);
        let api = Api {
            trust,
            partitions: journal.partitions(),
            view: host.view(),
            feeds: host.feeds(),
            seen: Seen::new(journal.partitions()),
            followers: Arc::new(Semaphore::new(FOLLOWERS_MAX)),
            readers: Arc::new(Semaphore::new(READERS_MAX)),
            readiness,
        };
        let public = Public { door: door.clone(), bounds: http };
        let at = listen.public;
        let public =
            bound("public", at, listen::public(at, cores, connections, public, metrics.clone()))?;
        let at = listen.api;
        let api =
            bound("api", at, listen::api(at, http, connections, api_keys.clone(), api, metrics))?;
        let at = Addresses { public: public.at, api: api.at, ops: listen.ops };
        let (public, api) = (Running::spawn(public), Running::spawn(api));
        Ok(Self { door, api_keys, public, api, at })
    }

    /// Puts secrets in place that were read again.
    fn exchange(&self, read: Result<Result<Open, Failure>, RecvError>) {
        match read {
            Ok(Ok(open)) => {
                self.api_keys.replace(open.api_keys.iter().map(|key| key.expose()));
                self.door.replace_endpoints(open.endpoints);
                tracing::info!("secrets were read again; other changes wait for a restart");
            }
            Ok(Err(failure)) => tracing::error!(
                what = failure.what,
                "secrets could not be read again; the old ones stay"
            ),
            Err(error) => {
                tracing::error!(%error, "secrets could not be read again; the old ones stay");
            }
        }
    }

    async fn stop(&self, how: Stopping) {
        let in_order = how == Stopping::InOrder;
        join(self.public.handle.stop(in_order), self.api.handle.stop(in_order)).await;
    }
}

struct Running {
    handle: actix_web::dev::ServerHandle,
    at: SocketAddr,
}

impl Running {
    fn spawn(bound: Bound) -> Self {
        let (handle, at) = (bound.handle(), bound.at);
        actix_rt::spawn(async move {
            if let Err(error) = bound.server.await {
                tracing::error!(%error, %at, "a listener ended");
            }
        });
        Self { handle, at }
    }
}

fn bound(name: &str, at: SocketAddr, bound: io::Result<Bound>) -> Result<Bound, Failure> {
    bound.map_err(|error| {
        if error.kind() == io::ErrorKind::AddrInUse {
            Failure::new(
                exit::BUSY,
                format!("cannot listen on {at} ({name}): another process does"),
                format!("stop that process, or choose another port with `--{name} HOST:PORT`"),
            )
        } else {
            Failure::new(
                exit::UNAVAILABLE,
                format!("cannot listen on {at} ({name}): {error}"),
                format!("choose an address of this machine with `--{name} HOST:PORT`"),
            )
        }
    })
}

/// What a scrape calls first: the engine's numbers, once there is an engine.
fn refresh(numbers: Arc<OnceLock<Arc<dyn Fn() + Send + Sync>>>) -> Arc<dyn Fn() + Send + Sync> {
    Arc::new(move || {
        if let Some(refresh) = numbers.get() {
            refresh();
        }
    })
}

/// What asks the process to end.
struct Signals {
    ends: Ends,
    hangup: Signal,
}

struct Ends {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Self, Failure> {
        let ends = Ends {
            terminate: listen_for(SignalKind::terminate())?,
            interrupt: listen_for(SignalKind::interrupt())?,
        };
        Ok(Self { ends, hangup: listen_for(SignalKind::hangup())? })
    }
}

impl Ends {
    async fn asked(&mut self) {
        tokio::select! {
            _told = self.terminate.recv() => {}
            _told = self.interrupt.recv() => {}
        }
    }
}

fn listen_for(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|error| {
        Failure::new(exit::INTERNAL, format!("cannot listen for signals: {error}"), "")
    })
}
