//! The public listener: webhooks from a world that is not trusted before its signature holds.

use super::bodies::{self, Bodies};
use super::door::{Delivery, Door, Refused, Taken};
use super::frame::only;
use super::problem::Problem;
use crate::config::Http;
use crate::ports::{AppendError, Clock, Journal};
use crate::webhook::UnsignedHeaders;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};

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
    bodies: web::Data<Bodies>,
    endpoint: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    // What the body holds is let go of with the answer; by then the journal counts it.
    let (body, _held) = bodies::read(&request, payload, &public.bounds, &bodies).await?;
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
        Ok(Taken::InTime | Taken::OutOfTime | Taken::DeadLetter) => {
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
                AppendError::Unknown => "whether it is kept is not known; deliver again",
                AppendError::Closed => "the journal is closed; deliver again",
            };
            Problem::unavailable("not_taken", detail)
        }
    }
}
