//! What every answer of every listener has: an id, a count, and a body that says what went wrong.

use super::problem::Problem;
use crate::telemetry::Metrics;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Service, ServiceRequest, ServiceResponse};
use actix_web::http::ConnectionType;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::rt::time::{Sleep, sleep};
use actix_web::{Error, HttpMessage, Resource, Route, web};
use bytes::Bytes;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Names one request in answers and in the log.
#[derive(Clone, Debug)]
pub(super) struct RequestId(String);

impl RequestId {
    /// A random beginning per process and a count: unique without asking the system each time.
    fn next() -> Self {
        static PROCESS: LazyLock<u32> = LazyLock::new(|| getrandom::u32().unwrap_or(0));
        static COUNT: AtomicU64 = AtomicU64::new(1);
        Self(format!("req_{:08x}{:08x}", *PROCESS, COUNT.fetch_add(1, Ordering::Relaxed)))
    }
}

/// Wraps every request of a listener. Used with `wrap_fn`.
pub(super) fn framed<S, B>(
    listener: &'static str,
    metrics: Metrics,
    request: ServiceRequest,
    service: &S,
) -> impl Future<Output = Result<ServiceResponse<BoxBody>, Error>> + use<S, B>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody + 'static,
{
    let id = RequestId::next();
    request.extensions_mut().insert(id.clone());
    let answering = service.call(request);
    async move {
        let mut answer = match answering.await {
            Ok(answer) => explained(answer, &id),
            // Nothing can be framed without the request; actix answers by the error itself.
            Err(error) => return Err(error),
        };
        if let Ok(value) = HeaderValue::from_str(&id.0) {
            answer.headers_mut().insert(REQUEST_ID.clone(), value);
        }
        metrics.http_requests.with_label_values(&[listener, answer.status().as_str()]).inc();
        Ok(answer)
    }
}

/// Puts a problem in the place of an error that has none, or whose problem lacks the id.
fn explained<B: MessageBody + 'static>(
    answer: ServiceResponse<B>,
    id: &RequestId,
) -> ServiceResponse<BoxBody> {
    let Some(error) = answer.response().error() else { return answer.map_into_boxed_body() };
    let problem = match error.as_error::<Problem>() {
        Some(problem) => problem.clone(),
        None => foreign(answer.status()),
    };
    if problem.status.is_server_error() {
        match &problem.cause {
            Some(cause) => {
                tracing::error!(
                    request_id = id.0,
                    code = problem.code,
                    cause,
                    "answered with a problem"
                );
            }
            // A flood or a start answers so many times over; the counters tell how often.
            None => {
                tracing::debug!(request_id = id.0, code = problem.code, "answered with a problem");
            }
        }
    }
    let endless = answer.request().chunked().unwrap_or(true);
    let (request, _) = answer.into_parts();
    let mut response = problem.respond(&id.0);
    if endless {
        response = response.map_body(|head, body| {
            head.set_connection_type(ConnectionType::Close);
            LastWords::before_hanging_up(body)
        });
    }
    ServiceResponse::new(request, response)
}

/// How long a client may take to hear why it is hung up on.
const HEARING: Duration = Duration::from_secs(1);

/// An answer after which the connection ends, whatever the client goes on sending. The server by
/// itself waits without a deadline for the end of a body that has no announced length.
struct LastWords {
    words: Option<Bytes>,
    length: u64,
    hang_up: Pin<Box<Sleep>>,
}

impl LastWords {
    fn before_hanging_up(body: BoxBody) -> BoxBody {
        match body.try_into_bytes() {
            Ok(words) => BoxBody::new(Self {
                length: words.len() as u64,
                words: Some(words),
                hang_up: Box::pin(sleep(HEARING)),
            }),
            Err(body) => body,
        }
    }
}

impl MessageBody for LastWords {
    type Error = io::Error;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.length)
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, io::Error>>> {
        match self.words.take() {
            Some(words) => Poll::Ready(Some(Ok(words))),
            None => self
                .hang_up
                .as_mut()
                .poll(context)
                .map(|()| Some(Err(io::ErrorKind::ConnectionAborted.into()))),
        }
    }
}

/// An error of the framework's own, whose text may quote what a stranger sent.
fn foreign(status: StatusCode) -> Problem {
    if status.is_client_error() {
        Problem { status, ..Problem::bad_request("malformed", "the request cannot be read") }
    } else {
        Problem::internal(format_args!("the server itself answered {status}"))
    }
}

/// A resource that answers one method and says so to every other.
pub(super) fn only(path: &str, allow: &'static str, route: Route) -> Resource {
    web::resource(path).route(route).default_service(web::to(move || async move {
        Err::<&str, _>(Problem::wrong_method(allow))
    }))
}

/// What is on no path.
pub(super) async fn nowhere() -> Result<&'static str, Problem> {
    Err(Problem::no_such_path())
}
