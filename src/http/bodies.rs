//! Request bodies on their way in: each one whole, few and not late, and all of them together
//! bounded, so that no number of bodies takes the memory of the process. Headers are bounded by the
//! server, at some 128 KiB a connection.

use super::problem::Problem;
use crate::config::Http;
use crate::telemetry::Metrics;
use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_LENGTH;
use actix_web::{HttpRequest, web};
use bytes::Bytes;
use futures_util::StreamExt;
use std::sync::atomic::{AtomicU64, Ordering};

/// What all bodies may hold, and what they hold now. One for the process.
pub struct Bodies {
    most: u64,
    held: AtomicU64,
    metrics: Metrics,
}

impl Bodies {
    pub fn new(most: u64, metrics: Metrics) -> Self {
        Self { most, held: AtomicU64::new(0), metrics }
    }

    /// Takes up `bytes` of what bodies may hold, or says to come again.
    fn hold(&self, bytes: usize) -> Result<(), Problem> {
        let bytes = bytes as u64;
        let before = self.held.fetch_add(bytes, Ordering::Relaxed);
        if before + bytes > self.most {
            self.held.fetch_sub(bytes, Ordering::Relaxed);
            self.metrics.bodies_refused.inc();
            let detail = "more bodies are on their way in than there is memory for; deliver again";
            let problem = Problem::unavailable("too_many_bodies", detail);
            return Err(problem.hanging_up());
        }
        self.metrics.bodies_bytes.add(bytes as i64);
        Ok(())
    }

    fn let_go(&self, bytes: usize) {
        self.held.fetch_sub(bytes as u64, Ordering::Relaxed);
        self.metrics.bodies_bytes.sub(bytes as i64);
    }
}

/// What one body holds, let go of when its request is answered or given up.
pub(super) struct Held<'a> {
    bodies: &'a Bodies,
    bytes: usize,
}

impl Held<'_> {
    fn grow(&mut self, to: usize) -> Result<(), Problem> {
        self.bodies.hold(to - self.bytes)?;
        self.bytes = to;
        Ok(())
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.bodies.let_go(self.bytes);
    }
}

/// Reads a body by hand, because the bytes must be whole, few, and not late: a client that sends
/// forever, or never, must not hold a connection for longer than the deadline.
pub(super) async fn read<'a>(
    request: &HttpRequest,
    payload: web::Payload,
    bounds: &Http,
    bodies: &'a Bodies,
) -> Result<(Bytes, Held<'a>), Problem> {
    let most = usize::try_from(bounds.max_body_bytes).unwrap_or(usize::MAX);
    let announced = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let announced = announced.and_then(|text| text.parse::<usize>().ok());
    if announced.is_some_and(|length| length > most) {
        return Err(too_large(most));
    }
    let expected = announced.unwrap_or(most);
    let reading = async {
        let mut payload = payload;
        let mut body = Vec::new();
        let mut held = Held { bodies, bytes: 0 };
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|_| {
                Problem::bad_request("broken_body", "the body ended before it was whole")
                    .hanging_up()
            })?;
            let length = body.len() + chunk.len();
            if length > most {
                return Err(too_large(most));
            }
            if length > body.capacity() {
                // Room for what is here, not for what was announced: announcing costs a client
                // nothing. Doubled, so that a long body is not copied with every chunk.
                let room = (2 * body.capacity()).min(expected).max(length);
                held.grow(room)?;
                body.reserve_exact(room - body.len());
            }
            body.extend_from_slice(&chunk);
        }
        Ok((Bytes::from(body), held))
    };
    match actix_web::rt::time::timeout(bounds.body_deadline, reading).await {
        Ok(read) => read,
        Err(_late) => {
            let late = Problem::new(
                StatusCode::REQUEST_TIMEOUT,
                "body_too_slow",
                "The body did not arrive in time",
            );
            Err(late.detail("send the whole body at once").hanging_up())
        }
    }
}

fn too_large(most: usize) -> Problem {
    let problem =
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "The body is too large");
    problem.detail(format!("at most {most} bytes are taken")).hanging_up()
}
