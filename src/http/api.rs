//! The api listener: the partner's own backend, known by bearer keys.

use super::frame::only;
use super::ops::Readiness;
use super::problem::Problem;
use super::seen::Seen;
use super::{attempts, feeds};
use crate::ports::{Feeds, View};
use crate::wire::prove::Trust;
use actix_web::dev::Payload;
use actix_web::http::header::AUTHORIZATION;
use actix_web::{FromRequest, HttpRequest, web};
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use std::future::{Ready, ready};
use std::sync::{Arc, PoisonError, RwLock};
use subtle::{Choice, ConstantTimeEq};
use tokio::sync::{Semaphore, watch};

/// The keys that open this listener. Swapped whole when secrets are re-read.
#[derive(Clone, Default)]
pub struct ApiKeys(Arc<RwLock<Arc<Vec<[u8; 32]>>>>);

impl ApiKeys {
    pub fn new<'a>(keys: impl IntoIterator<Item = &'a str>) -> Self {
        let these = Self::default();
        these.replace(keys);
        these
    }

    pub fn replace<'a>(&self, keys: impl IntoIterator<Item = &'a str>) {
        let digests = keys.into_iter().map(digest).collect();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(digests);
    }

    /// Digests are compared, of one length whatever was sent, all of them and to their ends: the
    /// time taken tells neither how much of a key was right nor which one it was.
    fn holds(&self, key: &str) -> bool {
        let sent = digest(key);
        let keys = Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner));
        keys.iter().fold(Choice::from(0), |found, key| found | key.ct_eq(&sent)).into()
    }
}

fn digest(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

/// Followers at a time. Each holds a connection, up to a chunk of the log, and now and then one of
/// the threads that read files; a ledger and a few consoles need far fewer.
pub const FOLLOWERS_MAX: usize = 64;

/// Readers at a time of what is committed so far. Each costs what a follower costs, for as long as
/// its client takes to read; they are counted apart, so that neither keep out the others.
pub const READERS_MAX: usize = 64;

pub struct Api<V, F> {
    pub trust: Trust,
    pub partitions: u32,
    pub view: V,
    pub feeds: F,
    pub seen: Seen,
    pub followers: Arc<Semaphore>,
    pub readers: Arc<Semaphore>,
    /// A follower would hold up the end of the process for as long as it likes.
    pub readiness: watch::Receiver<Readiness>,
}

pub fn configure<V: View, F: Feeds>(app: &mut web::ServiceConfig) {
    app.service(only("/v1/attempts", "GET", web::get().to(attempts::list::<V, F>)))
        .service(only("/v1/attempts/{id}", "GET", web::get().to(attempts::get::<V, F>)))
        .service(only("/v1/attempts/{id}/status", "GET", web::get().to(attempts::status::<V, F>)))
        .service(only("/v1/feeds/{feed}", "GET", web::get().to(feeds::read::<V, F>)));
}

/// Someone with a key. A handler that takes one first answers nobody else.
pub struct Caller(());

impl FromRequest for Caller {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let sent = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let key = sent.and_then(|text| {
            let (scheme, key) = text.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
        });
        let keys = request.app_data::<web::Data<ApiKeys>>();
        let known = keys.zip(key).is_some_and(|(keys, key)| keys.holds(key));
        ready(if known { Ok(Self(())) } else { Err(Problem::unauthorized()) })
    }
}

/// The query of a request, or what may stand in it.
pub(super) fn query<T: DeserializeOwned>(
    request: &HttpRequest,
    known: &'static str,
) -> Result<T, Problem> {
    web::Query::<T>::from_query(request.query_string())
        .map(web::Query::into_inner)
        .map_err(|_| Problem::bad_request("bad_query", format!("the query may hold {known}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_opens_until_it_is_replaced() {
        let keys = ApiKeys::new(["one", "two"]);
        assert!(keys.holds("one") && keys.holds("two"));
        assert!(!keys.holds("") && !keys.holds("on") && !keys.holds("onee"));
        keys.replace(["three"]);
        assert!(!keys.holds("one") && keys.holds("three"));
    }
}
