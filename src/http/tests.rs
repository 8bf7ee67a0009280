//! The api over stores that fail.

use super::api::{self, Api, ApiKeys};
use super::frame::framed;
use super::ops::Readiness;
use super::seen::Seen;
use crate::attempt::Mode;
use crate::ports::{
    Apply, Feed, FeedError, FeedReader, FeedRecord, Feeds, Looked, View, ViewError, ViewPosition,
};
use crate::telemetry::Metrics;
use crate::wire::prove::Trust;
use crate::wire::seal::SigningKeys;
use actix_web::dev::Service;
use actix_web::http::header::{AUTHORIZATION, RETRY_AFTER};
use actix_web::{App, test, web};
use bytes::Bytes;
use serde_json::Value;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use tokio::sync::{Semaphore, watch};
use tracing_subscriber::fmt::MakeWriter;

/// A store of which nothing can be read, and which says why.
#[derive(Clone)]
struct Broken;

const CAUSE: &str = "the disk has gone";

fn broken() -> ViewError {
    ViewError::Unavailable(CAUSE.to_owned())
}

impl View for Broken {
    async fn position(&self, _: u32) -> Result<ViewPosition, ViewError> {
        Err(broken())
    }

    async fn look_up(&self, _: u32, _: Vec<Bytes>) -> Result<Looked, ViewError> {
        Err(broken())
    }

    async fn apply(&self, _: Apply) -> Result<(), ViewError> {
        Err(broken())
    }

    async fn scan(&self, _: u32, _: Bytes, _: usize) -> Result<Vec<(Bytes, Bytes)>, ViewError> {
        Err(broken())
    }
}

impl Feeds for Broken {
    type Reader = Self;

    async fn open(&self, feed: Feed, _: &str) -> Result<Self, FeedError> {
        match feed {
            Feed::Fulfillments => Ok(Self),
            Feed::Transitions | Feed::Metrics => Err(FeedError::Unreadable(CAUSE.to_owned())),
        }
    }
}

impl FeedReader for Broken {
    async fn read(&mut self, _: usize) -> Result<Vec<FeedRecord>, FeedError> {
        Err(FeedError::Unreadable(CAUSE.to_owned()))
    }

    async fn grown(&mut self) -> bool {
        false
    }
}

/// What was logged, line by line.
#[derive(Clone, Default)]
struct Logged(Arc<Mutex<Vec<u8>>>);

impl Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Logged {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Logged {
    fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut self.0.lock().unwrap())).unwrap()
    }
}

struct Answer {
    status: u16,
    retry_after: bool,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// Asks the api for `path`, as somebody with a key.
async fn ask(path: &str) -> Answer {
    ask_beside(path, 1, 1).await
}

/// The same where so many more may follow feeds, and read them.
async fn ask_beside(path: &str, followers: usize, readers: usize) -> Answer {
    let api = Api {
        trust: Trust { keys: SigningKeys::new([&[1_u8; 32][..]]).unwrap(), mode: Mode::Test },
        partitions: 1,
        view: Broken,
        feeds: Broken,
        seen: Seen::new(1),
        followers: Arc::new(Semaphore::new(followers)),
        readers: Arc::new(Semaphore::new(readers)),
        readiness: watch::channel(Readiness::Ready).1,
    };
    let metrics = Metrics::new().unwrap();
    let app = App::new()
        .wrap_fn(move |request, service| framed("api", metrics.clone(), request, service))
        .app_data(web::Data::new(ApiKeys::new(["key"])))
        .app_data(web::Data::new(api))
        .configure(api::configure::<Broken, Broken>);
    let app = test::init_service(app).await;
    let request = test::TestRequest::get().uri(path).insert_header((AUTHORIZATION, "Bearer key"));
    let answer = app.call(request.to_request()).await.unwrap();
    let status = answer.status().as_u16();
    let retry_after = answer.headers().contains_key(RETRY_AFTER);
    // An answer that breaks off in the middle has no body that could be read.
    let body = test::try_read_body(answer).await.unwrap_or_default();
    Answer { status, retry_after, body: body.to_vec() }
}

#[actix_web::test]
async fn the_log_knows_why_under_the_request_id_and_a_stranger_does_not() {
    let logged = Logged::default();
    let subscriber = tracing_subscriber::fmt().with_writer(logged.clone()).with_ansi(false);
    let _here = tracing::subscriber::set_default(subscriber.finish());
    for (path, status) in [
        ("/v1/attempts", 503),
        ("/v1/attempts/gs_1", 503),
        ("/v1/attempts/gs_1/status", 503),
        ("/v1/feeds/transitions", 500),
    ] {
        let answer = ask(path).await;
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(answer.retry_after, status == 503, "{path}");
        let body = answer.json();
        assert!(!body.to_string().contains(CAUSE), "{body}");
        let said = logged.take();
        assert!(said.contains("ERROR") && said.contains(CAUSE), "{path}: {said}");
        assert!(said.contains(body["request_id"].as_str().unwrap()), "{path}: {said}");
    }
    let begun = ask("/v1/feeds/fulfillments").await;
    assert_eq!((begun.status, begun.body.len()), (200, 0));
    let said = logged.take();
    assert!(said.contains("a feed broke off") && said.contains(CAUSE), "{said}");
}

#[actix_web::test]
async fn readers_and_followers_of_feeds_are_bounded_and_do_not_keep_each_other_out() {
    let (reading, following) = ("/v1/feeds/fulfillments", "/v1/feeds/fulfillments?follow=true");
    for (followers, readers, refused, code, taken) in [
        (1, 0, reading, "too_many_readers", following),
        (0, 1, following, "too_many_followers", reading),
    ] {
        let answer = ask_beside(refused, followers, readers).await;
        assert_eq!((answer.status, answer.retry_after), (503, true));
        assert_eq!(answer.json()["code"], code);
        assert_eq!(ask_beside(taken, followers, readers).await.status, 200);
    }
}
