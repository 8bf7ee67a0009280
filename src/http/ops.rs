//! The ops listener: whether the process lives, whether it may be given traffic, and its numbers.

use super::frame::only;
use super::problem::Problem;
use crate::telemetry::Metrics;
use actix_web::{HttpResponse, web};
use serde_json::json;
use std::sync::Arc;
use tokio::sync::watch;

/// Whether traffic may come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Lanes do not own their partitions yet.
    Starting,
    /// Lanes own their partitions and the journal writes.
    Ready,
    /// What was taken is being finished.
    Draining,
    /// It does not work any more; the word says what stopped.
    Stopped(&'static str),
}

pub struct Ops {
    pub metrics: Metrics,
    pub readiness: watch::Receiver<Readiness>,
    /// Brings the numbers up to date that are only read now and then.
    pub refresh: Arc<dyn Fn() + Send + Sync>,
}

pub fn configure(app: &mut web::ServiceConfig) {
    app.service(only("/healthz", "GET", web::get().to(healthz)))
        .service(only("/readyz", "GET", web::get().to(readyz)))
        .service(only("/metrics", "GET", web::get().to(metrics)));
}

/// The process is up and answers. Restarting it mends nothing that this does not show.
async fn healthz() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "up" }))
}

async fn readyz(ops: web::Data<Ops>) -> Result<HttpResponse, Problem> {
    let readiness = ops.readiness.borrow().clone();
    let why = match readiness {
        Readiness::Ready => return Ok(HttpResponse::Ok().json(json!({ "status": "ready" }))),
        Readiness::Starting => "starting: partitions are being taken over",
        Readiness::Draining => "draining: the process finishes what it has taken and ends",
        Readiness::Stopped(why) => why,
    };
    Err(Problem::unavailable("not_ready", why))
}

async fn metrics(ops: web::Data<Ops>) -> Result<HttpResponse, Problem> {
    (ops.refresh)();
    let text = ops.metrics.render().map_err(Problem::internal)?;
    Ok(HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(text))
}
