//! One connection for everybody, made anew when it is lost or leads to the wrong server.
//!
//! A server that was demoted is left as soon as it says so. It could say so late, or not at all:
//! whoever is connected is looked at again every now and then.

use super::address::Address;
use super::dial::{PRIMARY, Reached, dial, infos, named, refuse_eviction, told};
use super::options::{RedisError, RedisOptions};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

/// The least pause between two tries to connect. Whoever asks meanwhile hears of the last one.
const PAUSE: Duration = Duration::from_millis(200);

/// How long a start waits for a server that comes up beside it.
const OPEN_PATIENCE: Duration = Duration::from_secs(3);

/// How often we make sure that we still speak to the primary.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

pub(super) struct Link {
    options: RedisOptions,
    current: Mutex<Option<Arc<Reached>>>,
    /// Held while somebody connects. Why the last try failed, and when.
    connecting: tokio::sync::Mutex<Option<(Instant, RedisError)>>,
}

impl Link {
    /// Connects, and goes on connecting for a while where that may help. To be called where the
    /// connection is to live.
    pub(super) async fn open(options: RedisOptions) -> Result<Arc<Self>, RedisError> {
        let link = Arc::new(Self {
            options,
            current: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
        });
        let began = Instant::now();
        while let Err(error) = link.usable().await {
            if !error.may_pass() || began.elapsed() > OPEN_PATIENCE {
                return Err(error);
            }
            tokio::time::sleep(PAUSE).await;
        }
        tokio::spawn(look_again_and_again(Arc::downgrade(&link)));
        Ok(link)
    }

    async fn usable(&self) -> Result<(), RedisError> {
        refuse_eviction(&*self.reached().await?).await
    }

    /// To be told what a server answered that `reached` led to: it is left where the answer says
    /// that it is the wrong one.
    pub(super) fn heard<T>(
        &self,
        reached: &Arc<Reached>,
        answer: redis::RedisResult<T>,
    ) -> Result<T, RedisError> {
        answer.map_err(|error| {
            if is_over(&error) {
                self.leave(reached, &error.to_string());
            }
            told(&reached.at, &error)
        })
    }

    pub(super) async fn reached(&self) -> Result<Arc<Reached>, RedisError> {
        if let Some(reached) = self.current().clone() {
            return Ok(reached);
        }
        let mut last = self.connecting.lock().await;
        if let Some(reached) = self.current().clone() {
            return Ok(reached);
        }
        if let Some((when, why)) = &*last
            && when.elapsed() < PAUSE
        {
            return Err(why.clone());
        }
        match dial(&self.options).await {
            Ok(reached) => {
                if last.take().is_some() {
                    tracing::info!(at = reached.at, "connected to Redis again");
                }
                let reached = Arc::new(reached);
                *self.current() = Some(Arc::clone(&reached));
                Ok(reached)
            }
            Err(error) => {
                *last = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    fn current(&self) -> MutexGuard<'_, Option<Arc<Reached>>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Others may have left it already, and be connected elsewhere.
    fn leave(&self, left: &Arc<Reached>, why: &str) {
        let mut current = self.current();
        if current.as_ref().is_some_and(|current| Arc::ptr_eq(current, left)) {
            *current = None;
            tracing::warn!(at = left.at, why, "left this Redis; connecting again");
        }
    }

    /// Leaves a server that is no primary any more, or not the one that the sentinels name.
    async fn look_again(&self) {
        let Some(reached) = self.current().clone() else { return };
        if reached.connection.is_of_a_cluster() {
            // Its client follows the slots by itself.
            return;
        }
        match infos(&reached).await {
            Ok(infos) => {
                let role = infos.first().and_then(|info| info.get::<String>("role"));
                if role.is_some_and(|role| role != PRIMARY) {
                    return self.leave(&reached, "it is a replica now");
                }
            }
            Err(error) => return self.leave(&reached, &error.to_string()),
        }
        let Ok(Address::Sentinels { sentinels, service, .. }) = Address::of(&self.options) else {
            return;
        };
        // Sentinels that cannot be asked say nothing against a server that answers.
        if let Ok(named) = named(&self.options, &sentinels, &service).await
            && let Some(first) = named.first().map(ToString::to_string)
            && first != reached.at
        {
            self.leave(&reached, "the sentinels name another one");
        }
    }
}

async fn look_again_and_again(link: Weak<Link>) {
    loop {
        tokio::time::sleep(LOOK_AGAIN).await;
        let Some(link) = link.upgrade() else { return };
        link.look_again().await;
    }
}

/// Whether an answer says that there is nothing to be had here any more: the connection is gone, or
/// silent, or whoever is at its other end takes no writes.
fn is_over(error: &redis::RedisError) -> bool {
    const NOT_THE_PRIMARY: &[&str] = &["READONLY", "MASTERDOWN", "NOREPLICAS"];
    // Some versions wrap what a script met into an error of their own.
    let says = |word: &&str| {
        error.code() == Some(word) || error.detail().is_some_and(|detail| detail.contains(*word))
    };
    error.is_unrecoverable_error() || error.is_io_error() || NOT_THE_PRIMARY.iter().any(says)
}
