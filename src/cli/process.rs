//! A process that takes traffic: starts the engine, opens the listeners, and ends in the order in
//! which nothing is lost.

use super::host::{Host, HostPlan};
use super::{Failure, exit, files};
use crate::config::{Http, Listen};
use crate::http::api::{Api, ApiKeys, FOLLOWERS_MAX, READERS_MAX};
use crate::http::door::{Door, Endpoints};
use crate::http::listen::{self, Bound};
use crate::http::ops::{Ops, Readiness};
use crate::http::public::Public;
use crate::http::seen::Seen;
use crate::ports::{Journal, SystemClock};
use crate::telemetry::Metrics;
use crate::wire::prove::Trust;
use futures_util::future::join;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Semaphore, watch};

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
    pub(super) open: Open,
}

/// Where the listeners are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Addresses {
    pub(super) public: SocketAddr,
    pub(super) api: SocketAddr,
    pub(super) ops: SocketAddr,
}

/// Runs until it is told to end, or cannot go on.
///
/// `reload` reads the secrets again; `ready` is told where the listeners are, once traffic may
/// come.
pub(super) fn run<E: HostPlan>(
    plan: Plan<E>,
    reload: impl Fn() -> Result<Open, Failure>,
    ready: impl FnOnce(Addresses) -> Result<(), Failure>,
) -> Result<(), Failure> {
    actix::System::new().block_on(serve(plan, reload, ready))
}

async fn serve<E: HostPlan>(
    plan: Plan<E>,
    reload: impl Fn() -> Result<Open, Failure>,
    ready: impl FnOnce(Addresses) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    let mut hangup = listen_for(SignalKind::hangup())?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let connections = files::connections(cores);
    let metrics = Metrics::new().map_err(|error| Failure::new(exit::INTERNAL, error, ""))?;
    let (readiness, ready_now) = watch::channel(Readiness::Starting);
    let numbers: Arc<OnceLock<Arc<dyn Fn() + Send + Sync>>> = Arc::new(OnceLock::new());
    let ops = Ops {
        metrics: metrics.clone(),
        readiness: ready_now.clone(),
        refresh: refresh(Arc::clone(&numbers)),
    };
    // Health is answered while a long journal is read. Whose folder it is matters more than whose
    // port, so a port in use is told only when the folder is ours.
    let ops =
        bound("ops", plan.listen.ops, listen::ops(plan.listen.ops, plan.http, connections, ops));
    let ops = ops.map(Running::spawn);
    let trust = plan.trust;
    let started = plan.engine.start(metrics.clone());
    let mut host = tokio::select! {
        started = started => started?,
        // A long journal is read; nothing was taken yet that an end could lose.
        () = signals.end() => {
            return Err(Failure::new(exit::INTERRUPTED, "ended while it started, as asked", ""));
        }
    };
    let ops = ops?;
    let journal = host.journal();
    let _once = numbers.set(host.refresh());

    let api_keys = ApiKeys::new(plan.open.api_keys.iter().map(|key| key.expose()));
    let door = Door::new(
        plan.open.endpoints,
        trust.clone(),
        plan.tolerance,
        journal.clone(),
        SystemClock,
        metrics.clone(),
    );
    let api = Api {
        trust,
        partitions: journal.partitions(),
        view: host.view(),
        feeds: host.feeds(),
        seen: Seen::new(journal.partitions()),
        followers: Arc::new(Semaphore::new(FOLLOWERS_MAX)),
        readers: Arc::new(Semaphore::new(READERS_MAX)),
        readiness: ready_now,
    };
    let public = Public { door: door.clone(), bounds: plan.http };
    let at = plan.listen.public;
    let public =
        bound("public", at, listen::public(at, cores, connections, public, metrics.clone()))?;
    let at = plan.listen.api;
    let api =
        bound("api", at, listen::api(at, plan.http, connections, api_keys.clone(), api, metrics))?;
    let addresses = Addresses { public: public.at, api: api.at, ops: ops.at };
    let (public, api) = (Running::spawn(public), Running::spawn(api));
    // Whoever waits for readiness reads the addresses next: they are written down first.
    ready(addresses)?;
    readiness.send_replace(Readiness::Ready);
    tracing::info!(public = %addresses.public, api = %addresses.api, ops = %addresses.ops, "ready");

    let stopped = host.stopped();
    tokio::pin!(stopped);
    let broken = loop {
        tokio::select! {
            () = signals.end() => break None,
            _again = hangup.recv() => match reload() {
                Ok(open) => {
                    api_keys.replace(open.api_keys.iter().map(|key| key.expose()));
                    door.replace_endpoints(open.endpoints);
                    tracing::info!("secrets were read again");
                }
                Err(failure) => tracing::error!(
                    what = failure.what, "secrets could not be read again; the old ones stay"
                ),
            },
            error = host.engine().broken() => {
                break Some((Failure::from(error), Readiness::Stopped("the engine has stopped")));
            }
            why = &mut stopped => {
                let failure = Failure::new(
                    exit::INTERNAL,
                    format!("the journal has stopped: {why}"),
                    "everything that was acknowledged is in it; mend the cause and start again",
                );
                break Some((failure, Readiness::Stopped("the journal has stopped")));
            }
        }
    };
    if let Some((failure, stopped)) = broken {
        readiness.send_replace(stopped);
        tracing::error!(what = failure.what, "cannot go on");
        join(public.handle.stop(false), api.handle.stop(false)).await;
        return Err(failure);
    }
    readiness.send_replace(Readiness::Draining);
    tracing::info!("ending: requests that were taken are finished first");
    let ending = async {
        join(public.handle.stop(true), api.handle.stop(true)).await;
        let ended = host.stop().await;
        ops.handle.stop(true).await;
        ended
    };
    tokio::select! {
        ended = ending => ended?,
        () = signals.end() => {
            tracing::warn!("ended at once; what was acknowledged is in the journal");
            return Err(Failure::new(exit::INTERRUPTED, "ended at once, as asked", ""));
        }
    }
    tracing::info!("ended");
    Ok(())
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
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Self, Failure> {
        Ok(Self {
            terminate: listen_for(SignalKind::terminate())?,
            interrupt: listen_for(SignalKind::interrupt())?,
        })
    }

    async fn end(&mut self) {
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
