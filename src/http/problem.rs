//! What went wrong, as RFC 9457 says it: a stable code for programs, a sentence for people, the
//! request's id for whoever looks into it, and nothing of the inside.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use serde_json::json;
use std::fmt;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub status: StatusCode,
    /// Stable; programs branch on it.
    pub code: &'static str,
    pub title: &'static str,
    /// What happened and what to do about it.
    pub detail: String,
    /// Seconds after which the same request may succeed.
    pub retry_after: Option<u32>,
    /// The methods that there are, where another one was used.
    pub allow: Option<&'static str>,
    /// Whether the rest of the request is not worth reading.
    pub hang_up: bool,
    /// Why, for the log alone: a stranger is told nothing of the inside.
    pub cause: Option<String>,
}

impl Problem {
    pub fn new(status: StatusCode, code: &'static str, title: &'static str) -> Self {
        Self {
            status,
            code,
            title,
            detail: String::new(),
            retry_after: None,
            allow: None,
            hang_up: false,
            cause: None,
        }
    }

    pub fn detail(self, detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), ..self }
    }

    /// The rest of the request is not worth reading.
    pub fn hanging_up(self) -> Self {
        Self { hang_up: true, ..self }
    }

    /// Keeps `cause` for the log. Whoever makes it sees to it that it quotes no secret, no body and
    /// nobody's data.
    pub fn because(self, cause: impl fmt::Display) -> Self {
        Self { cause: Some(cause.to_string()), ..self }
    }

    pub fn no_such_path() -> Self {
        Self::new(StatusCode::NOT_FOUND, "no_such_path", "There is nothing here")
            .detail("no resource has this path on this listener")
    }

    pub fn wrong_method(allow: &'static str) -> Self {
        let problem = Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "wrong_method",
            "This method is not for this resource",
        );
        Self { allow: Some(allow), ..problem.detail(format!("use {allow}")) }
    }

    pub fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "A valid API key is needed")
            .detail("send `Authorization: Bearer KEY` with a key from `api.keys`")
    }

    pub fn bad_request(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, "The request makes no sense").detail(detail)
    }

    pub fn unavailable(code: &'static str, detail: impl Into<String>) -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        let problem = Self::new(status, code, "Not now; the same request may succeed later");
        Self { retry_after: Some(RETRY_AFTER_SECONDS), ..problem.detail(detail) }
    }

    pub fn internal(cause: impl fmt::Display) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something went wrong here")
            .detail("the log knows more under this request id")
            .because(cause)
    }

    /// The answer under a request's id.
    pub fn respond(&self, request_id: &str) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        response.insert_header((CONTENT_TYPE, "application/problem+json"));
        if let Some(seconds) = self.retry_after {
            response.insert_header((RETRY_AFTER, seconds.to_string()));
        }
        if let Some(methods) = self.allow {
            response.insert_header((ALLOW, methods));
        }
        if self.status == StatusCode::UNAUTHORIZED && self.code == "unauthorized" {
            response.insert_header((WWW_AUTHENTICATE, "Bearer"));
        }
        if self.hang_up {
            response.force_close();
        }
        let body = json!({
            "type": format!("urn:tidegate:problem:{}", self.code),
            "title": self.title,
            "status": self.status.as_u16(),
            "code": self.code,
            "detail": self.detail,
            "request_id": request_id,
        });
        response.body(body.to_string())
    }
}

/// What overloads or fills a journal rarely passes within a second, and a sender has a schedule of
/// its own.
const RETRY_AFTER_SECONDS: u32 = 2;

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.detail)
    }
}

impl std::error::Error for Problem {}

impl actix_web::ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    /// The request's id is put in where it is known, by `frame`.
    fn error_response(&self) -> HttpResponse {
        self.respond("")
    }
}
