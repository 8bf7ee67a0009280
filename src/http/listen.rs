//! The three servers, with their bounds.

use super::api::{self, Api, ApiKeys};
use super::bodies::Bodies;
use super::connections::Connections;
use super::frame::{framed, nowhere};
use super::ops::{self, Ops};
use super::public::{self, Public};
use crate::config::Http;
use crate::ports::{Clock, Feeds, Journal, View};
use crate::telemetry::Metrics;
use actix_web::dev::{Server, ServerHandle};
use actix_web::{App, HttpServer, web};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// Connections that the system holds for a listener while all workers are busy: a burst of a
/// second. More would only hide that the senders' patience is over.
const BACKLOG: u32 = 1024;

/// An idle connection is kept this long. Longer than a sender's pause between two deliveries is
/// of no use, and each one is a socket.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// How long requests that were taken may go on after the process was asked to end: longer than the
/// default deadline of a body.
pub const REQUESTS_PATIENCE: Duration = Duration::from_secs(12);

/// A server that has its port and does not run yet.
pub struct Bound {
    pub server: Server,
    /// The real one, where port 0 was asked for.
    pub at: SocketAddr,
}

impl Bound {
    pub fn handle(&self) -> ServerHandle {
        self.server.handle()
    }
}

/// Takes deliveries, on as many threads as there are cores: each verifies a MAC over a whole body.
pub fn public<J: Journal, C: Clock>(
    at: SocketAddr,
    workers: usize,
    connections: Connections,
    state: Public<J, C>,
    metrics: Metrics,
) -> io::Result<Bound> {
    let (bounds, state) = (state.bounds, web::Data::new(state));
    let bodies = web::Data::new(Bodies::new(bounds.bodies_memory_bytes, metrics.clone()));
    let shape = Shape {
        listener: "public",
        workers,
        connections: connections.public,
        header_deadline: bounds.header_deadline,
        half_closed: true,
    };
    shape.bind(at, metrics, move |app| {
        app.app_data(bodies.clone()).app_data(state.clone());
        public::configure::<J, C>(app);
    })
}

pub fn api<V: View, F: Feeds>(
    at: SocketAddr,
    bounds: Http,
    connections: Connections,
    keys: ApiKeys,
    state: Api<V, F>,
    metrics: Metrics,
) -> io::Result<Bound> {
    let (keys, state) = (web::Data::new(keys), web::Data::new(state));
    let shape = Shape {
        listener: "api",
        workers: 1,
        connections: connections.private,
        header_deadline: bounds.header_deadline,
        half_closed: false,
    };
    shape.bind(at, metrics, move |app| {
        app.app_data(keys.clone()).app_data(state.clone());
        api::configure::<V, F>(app);
    })
}

pub fn ops(
    at: SocketAddr,
    bounds: Http,
    connections: Connections,
    state: Ops,
) -> io::Result<Bound> {
    let metrics = state.metrics.clone();
    let state = web::Data::new(state);
    let shape = Shape {
        listener: "ops",
        workers: 1,
        connections: connections.private,
        header_deadline: bounds.header_deadline,
        half_closed: false,
    };
    shape.bind(at, metrics, move |app| {
        app.app_data(state.clone());
        ops::configure(app);
    })
}

struct Shape {
    listener: &'static str,
    workers: usize,
    connections: usize,
    header_deadline: Duration,
    /// Whether a client that has closed its sending side still gets its answer. A sender of one
    /// delivery should; a follower that did has gone, and must not be kept.
    half_closed: bool,
}

impl Shape {
    fn bind(
        self,
        at: SocketAddr,
        metrics: Metrics,
        configure: impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
    ) -> io::Result<Bound> {
        let listener = self.listener;
        let server = HttpServer::new(move || {
            let metrics = metrics.clone();
            App::new()
                .wrap_fn(move |request, service| {
                    framed(listener, metrics.clone(), request, service)
                })
                .configure(configure.clone())
                .default_service(web::to(nowhere))
        })
        .workers(self.workers)
        .max_connections(self.connections)
        .backlog(BACKLOG)
        .keep_alive(KEEP_ALIVE)
        .client_request_timeout(self.header_deadline)
        .h1_allow_half_closed(self.half_closed)
        .shutdown_timeout(REQUESTS_PATIENCE.as_secs())
        .disable_signals()
        .bind(at)?;
        let at = server.addrs().first().copied().unwrap_or(at);
        Ok(Bound { server: server.run(), at })
    }
}
