//! The public listener: webhooks from a world that is not trusted before its signature holds.

use super::door::{Delivery, Door, Refused, Taken};
use super::frame::only;
use super::problem::Problem;
use crate::config::Http;
use crate::ports::{AppendError, Clock, Journal};
use crate::webhook::UnsignedHeaders;
use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_LENGTH;
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;

pub struct Public<J, C> {
    pub door: Door<J, C>,
    pub bounds: Http,
}

pub fn configure<J: Journal, C: Clock>(app: &mut web::ServiceConfig) {
    app.service(only("/webhooks/{endpoint}", "POST", web::post().to(webhook::<J, C>)));
}

/// Answers 2xx to what is authentic, once it is durable, and to nothing else.
async fn webhook<J: Journal, C: Clock>(
    public: web::Data<Public<J, C>>,
    endpoint: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let body = read_body(&request, payload, &public.bounds).await?;
    // A header that is no text cannot be a signature; it is refused as an unreadable one.
    let header = |name: &str| request.headers().get(name).map(|value| value.to_str());
    let signature = match header("gate-signature") {
        None => "",
        Some(text) => text.unwrap_or("unreadable"),
    };
    let unsigned = UnsignedHeaders {
        event_id: header("x-0bit-event-id").and_then(Result::ok),
        event_type: header("x-0bit-event-type").and_then(Result::ok),
    };
    let delivery = Delivery { endpoint: &endpoint, body, signature, unsigned };
    match public.door.take(delivery).await {
        Ok(Taken::InTime | Taken::OutOfTime | Taken::Quarantined) => {
            Ok(HttpResponse::Ok().content_type("application/json").body(r#"{"received":true}"#))
        }
        Err(refused) => Err(problem(&refused)),
    }
}

fn problem(refused: &Refused) -> Problem {
    match refused {
        Refused::NoSuchEndpoint => {
            Problem::new(StatusCode::NOT_FOUND, "no_such_endpoint", "There is no such endpoint")
                .detail("deliver to /webhooks/NAME with a name from `endpoints`")
        }
        Refused::Signature(error) => Problem::new(
            StatusCode::UNAUTHORIZED,
            error.word(),
            "The signature does not prove this delivery",
        )
        .detail(error.to_string()),
        Refused::NotTaken(error) => {
            let detail = match error {
                AppendError::Overloaded => "more deliveries wait than can be held; deliver again",
                AppendError::Full => "there is no room to keep deliveries; deliver again later",
                AppendError::Closed => "the journal is closed; deliver again",
            };
            Problem::unavailable("not_taken", detail)
        }
    }
}

/// Reads a body by hand, because the bytes must be whole, few, and not late: a client that sends
/// forever, or never, must not hold a connection for longer than the deadline.
async fn read_body(
    request: &HttpRequest,
    payload: web::Payload,
    bounds: &Http,
) -> Result<Bytes, Problem> {
    let most = usize::try_from(bounds.max_body_bytes).unwrap_or(usize::MAX);
    let announced = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let announced = announced.and_then(|text| text.parse::<usize>().ok()).unwrap_or(0);
    if announced > most {
        return Err(too_large(most));
    }
    let reading = async {
        let mut payload = payload;
        let mut body = BytesMut::with_capacity(announced);
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|_| Problem {
                hang_up: true,
                ..Problem::bad_request("broken_body", "the body ended before it was whole")
            })?;
            if body.len() + chunk.len() > most {
                return Err(too_large(most));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    };
    match actix_web::rt::time::timeout(bounds.body_deadline, reading).await {
        Ok(read) => read,
        Err(_late) => {
            let late = Problem::new(
                StatusCode::REQUEST_TIMEOUT,
                "body_too_slow",
                "The body did not arrive in time",
            );
            Err(Problem { hang_up: true, ..late.detail("send the whole body at once") })
        }
    }
}

fn too_large(most: usize) -> Problem {
    let problem =
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "The body is too large");
    Problem { hang_up: true, ..problem.detail(format!("at most {most} bytes are taken")) }
}
