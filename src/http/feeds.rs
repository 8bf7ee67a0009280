//! Outputs as feeds: NDJSON, or server-sent events for who asks for them. Resumable from any line.

use super::api::{Api, Caller, query};
use super::ops::Readiness;
use super::problem::Problem;
use crate::ports::{Feed, FeedError, FeedReader, FeedRecord, Feeds, View};
use crate::wire::published::{FULFILLED_TYPE, METRIC_TYPE, MOVED_TYPE, rfc3339};
use actix_web::http::StatusCode;
use actix_web::http::header::{ACCEPT, CACHE_CONTROL};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures_util::stream;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, watch};

/// Records read at a time. The next ones are read when these have gone out, so a slow client costs
/// this much memory and no more.
const RECORDS_MAX: usize = 256;

/// Between two signs of life to a follower by server-sent events, which proxies and browsers want
/// more often than once in half a minute.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FeedQuery {
    #[serde(default)]
    after: String,
    limit: Option<u64>,
    #[serde(default)]
    follow: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Lines,
    Events,
}

pub(super) async fn read<V: View, F: Feeds>(
    _caller: Caller,
    api: web::Data<Api<V, F>>,
    feed: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let feed = Feed::from_word(&feed).ok_or_else(|| {
        let words = Feed::ALL.map(Feed::word).join(", ");
        Problem::new(StatusCode::NOT_FOUND, "no_such_feed", "There is no such feed")
            .detail(format!("feeds are {words}"))
    })?;
    let asked: FeedQuery = query(&request, "after, limit (a number) and follow (true or false)")?;
    let text_of = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let form = match text_of(ACCEPT.as_str()) {
        Some(accept) if accept.contains("text/event-stream") => Form::Events,
        Some(_) | None => Form::Lines,
    };
    // A browser that lost its connection says by itself where it was, and that is newer.
    let after = text_of("last-event-id").filter(|_| form == Form::Events).unwrap_or(&asked.after);
    let permit = if asked.follow {
        Arc::clone(&api.followers).try_acquire_owned().map_err(|_| {
            Problem::unavailable("too_many_followers", "as many follow as may; try again later")
        })
    } else {
        Arc::clone(&api.readers).try_acquire_owned().map_err(|_| {
            Problem::unavailable("too_many_readers", "as many read feeds as may; try again later")
        })
    }?;
    let reader = api.feeds.open(feed, after).await.map_err(|error| match error {
        FeedError::NoSuchPosition => Problem::bad_request(
            "bad_position",
            "`after` is not a position of this feed: take one from a line of it, or leave `after` \
             out to start from the beginning",
        ),
        FeedError::Unreadable(_) => Problem::internal(error),
    })?;
    let following = Following {
        reader,
        feed,
        form,
        left: asked.limit.unwrap_or(u64::MAX),
        follow: asked.follow,
        readiness: api.readiness.clone(),
        _permit: permit,
    };
    let kind = match form {
        Form::Lines => "application/x-ndjson",
        Form::Events => "text/event-stream",
    };
    Ok(HttpResponse::Ok()
        .content_type(kind)
        .insert_header((CACHE_CONTROL, "no-store"))
        .streaming(stream::try_unfold(following, Following::next)))
}

/// What is to be done after waiting at the committed end.
enum Woken {
    Read,
    End,
    Speak,
}

/// One reader on its way through a feed. Dropped with its connection.
struct Following<R> {
    reader: R,
    feed: Feed,
    form: Form,
    left: u64,
    follow: bool,
    readiness: watch::Receiver<Readiness>,
    _permit: OwnedSemaphorePermit,
}

impl<R: FeedReader> Following<R> {
    /// The next lines, asked for when the ones before have gone out.
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, Problem> {
        loop {
            if self.left == 0 {
                return Ok(None);
            }
            let most = self.left.min(RECORDS_MAX as u64) as usize;
            let records = self.reader.read(most).await.map_err(|error| self.broke_off(error))?;
            if !records.is_empty() {
                self.left -= records.len() as u64;
                let bytes = self.written(&records).map_err(|error| self.broke_off(error))?;
                return Ok(Some((bytes, self)));
            }
            if !self.follow {
                return Ok(None);
            }
            let woken = tokio::select! {
                grown = self.reader.grown() => if grown { Woken::Read } else { Woken::End },
                _ending = self.readiness.wait_for(|now| *now != Readiness::Ready) => Woken::End,
                () = tokio::time::sleep(SIGN_OF_LIFE), if self.form == Form::Events => {
                    Woken::Speak
                }
            };
            match woken {
                Woken::Read => {}
                Woken::End => return Ok(None),
                Woken::Speak => return Ok(Some((Bytes::from_static(b":\n\n"), self))),
            }
        }
    }

    /// The answer has begun: nobody can be told of a problem any more, and nothing else logs it.
    fn broke_off(&self, cause: impl fmt::Display) -> Problem {
        tracing::error!(feed = self.feed.word(), %cause, "a feed broke off");
        Problem::internal(cause)
    }

    fn written(&self, records: &[FeedRecord]) -> Result<Bytes, &'static str> {
        let mut out = vec![];
        for record in records {
            let line = Line::of(self.feed, record).ok_or("a committed output is no JSON")?;
            if self.form == Form::Events {
                out.extend_from_slice(b"id: ");
                out.extend_from_slice(record.position.as_bytes());
                out.extend_from_slice(b"\nevent: ");
                out.extend_from_slice(line.kind.as_bytes());
                out.extend_from_slice(b"\ndata: ");
            }
            serde_json::to_writer(&mut out, &line).map_err(|_| "a line cannot be written")?;
            out.extend_from_slice(match self.form {
                Form::Lines => b"\n",
                Form::Events => b"\n\n",
            });
        }
        Ok(Bytes::from(out))
    }
}

/// One record of a feed, as it is told to whoever reads it.
#[derive(Serialize)]
pub struct Line<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    key: &'a str,
    position: &'a str,
    time: String,
    data: &'a RawValue,
}

impl<'a> Line<'a> {
    pub fn of(feed: Feed, record: &'a FeedRecord) -> Option<Self> {
        Some(Self {
            id: std::str::from_utf8(&record.id).ok()?,
            kind: match feed {
                Feed::Fulfillments => FULFILLED_TYPE,
                Feed::Transitions => MOVED_TYPE,
                Feed::Metrics => METRIC_TYPE,
            },
            key: std::str::from_utf8(&record.key).ok()?,
            position: &record.position,
            time: rfc3339(record.at),
            data: serde_json::from_slice(&record.value).ok()?,
        })
    }
}
