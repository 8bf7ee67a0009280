//! The promises of a view.

use crate::support::memory_view::MemoryView;
use crate::support::services::redis::Redis;
#[cfg(feature = "redis-cluster")]
use crate::support::services::redis_cluster::RedisCluster;
use crate::{Kept, told};
use bytes::Bytes;
use std::sync::Arc;
#[cfg(feature = "redis-cluster")]
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::TempDir;
use tidegate::adapters::embedded::FjallView;
use tidegate::adapters::redis::{RedisOptions, RedisView};
use tidegate::ports::{Apply, View, ViewError, ViewPosition};

/// Where an empty view is made.
pub trait Place {
    type View: View;

    async fn make(&self) -> Self::View;
}

/// Makes a test of every promise for one adapter.
macro_rules! every_promise {
    ($name:ident, $place:expr) => {
        mod $name {
            use super::*;
            $crate::view::every_promise!(@ $place;
                what_was_applied_is_found
                the_newest_state_is_found
                states_and_position_become_visible_together
                an_older_epoch_is_refused_and_changes_nothing
                an_older_position_changes_nothing
                an_apply_over_a_gap_is_refused_and_changes_nothing
                partitions_are_apart
                a_scan_is_bounded_and_meets_every_state_once
            );
        }
    };
    (@ $place:expr; $($promise:ident)+) => {
        $(#[actix::test]
        async fn $promise() {
            let kept = $crate::view::$promise(&$place).await;
            assert!(kept.is_ok(), "{}", kept.unwrap_err());
        })+
    };
}
pub(crate) use every_promise;

pub struct InMemory(pub MemoryView);

impl Place for InMemory {
    type View = MemoryView;

    async fn make(&self) -> MemoryView {
        self.0.clone()
    }
}

pub struct OnFjall(TempDir);

impl Default for OnFjall {
    fn default() -> Self {
        Self(TempDir::new().unwrap())
    }
}

impl Place for OnFjall {
    type View = FjallView;

    async fn make(&self) -> FjallView {
        FjallView::open(&self.0.path().join("view")).unwrap()
    }
}

pub struct OnRedis(Redis);

impl Default for OnRedis {
    fn default() -> Self {
        Self(Redis::start())
    }
}

impl Place for OnRedis {
    type View = RedisView;

    async fn make(&self) -> RedisView {
        let options = RedisOptions::new(self.0.url(), "contract");
        RedisView::open(&options).await.unwrap()
    }
}

/// Each promise on keys of its own.
#[cfg(feature = "redis-cluster")]
pub struct OnRedisCluster;

#[cfg(feature = "redis-cluster")]
impl Place for OnRedisCluster {
    type View = RedisView;

    async fn make(&self) -> RedisView {
        static PLACES: AtomicUsize = AtomicUsize::new(0);
        let place = PLACES.fetch_add(1, Ordering::SeqCst);
        let url = RedisCluster::shared().url();
        RedisView::open(&RedisOptions::new(url, format!("contract-{place}"))).await.unwrap()
    }
}

fn key(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn apply(partition: u32, epoch: u64, changelog: u64, states: &[(&str, &str)]) -> Apply {
    let states = states.iter().map(|(name, state)| (key(name), key(state))).collect();
    Apply { partition, after: 0, position: ViewPosition { epoch, changelog }, states }
}

async fn found<V: View>(view: &V, partition: u32, name: &str) -> Result<Option<Bytes>, String> {
    let looked = view.look_up(partition, vec![key(name)]).await.map_err(told)?;
    looked.values.into_iter().next().ok_or_else(|| "no answer for a key".to_owned())
}

pub async fn what_was_applied_is_found<P: Place>(place: &P) -> Kept {
    let view = place.make().await;
    let empty = view.position(0).await.map_err(told)?;
    crate::keep!(empty == ViewPosition::default(), "an empty view has {empty:?}");
    let position = ViewPosition { epoch: 1, changelog: 10 };
    view.apply(apply(0, 1, 10, &[("a", "1"), ("b", "2")])).await.map_err(told)?;
    let keys = ["b", "nobody", "a"].map(key).to_vec();
    let looked = view.look_up(0, keys).await.map_err(told)?;
    let values = [Some(key("2")), None, Some(key("1"))];
    crate::keep!(looked.values == values, "found {:?}", looked.values);
    crate::keep!(looked.position == position, "answered from {:?}", looked.position);
    let position_now = view.position(0).await.map_err(told)?;
    crate::keep!(position_now == position, "the position is {position_now:?}");
    Ok(())
}

pub async fn the_newest_state_is_found<P: Place>(place: &P) -> Kept {
    let view = place.make().await;
    for round in 1..50_u64 {
        let text = round.to_string();
        view.apply(apply(0, 1, round, &[("a", &text)])).await.map_err(told)?;
        let has = found(&view, 0, "a").await?;
        crate::keep!(has == Some(key(&text)), "round {round} found {has:?}");
    }
    Ok(())
}

/// However a look-up falls between two applies: what it shows is never older than its position.
pub async fn states_and_position_become_visible_together<P: Place>(place: &P) -> Kept {
    const NAMES: [&str; 4] = ["a", "b", "c", "d"];
    let view = place.make().await;
    let over = Arc::new(AtomicBool::new(false));
    let looker = {
        let (view, over) = (view.clone(), Arc::clone(&over));
        std::thread::spawn(move || {
            let looking = async {
                let mut seen: u64 = 0;
                loop {
                    let last = over.load(Ordering::SeqCst);
                    let keys = NAMES.map(key).to_vec();
                    let looked = view.look_up(0, keys).await.map_err(told)?;
                    let least = looked.position.changelog;
                    crate::keep!(least >= seen, "the position went back from {seen} to {least}");
                    seen = least;
                    for (name, state) in NAMES.iter().zip(&looked.values) {
                        let text =
                            state.as_deref().map_or("0", |s| std::str::from_utf8(s).unwrap());
                        let has: u64 = text.parse().unwrap();
                        crate::keep!(has >= least, "{name} is of {has} under position {least}");
                    }
                    if last {
                        return Ok(());
                    }
                }
            };
            actix_rt::System::new().block_on(looking)
        })
    };
    for round in 1..400_u64 {
        let text = round.to_string();
        let states = NAMES.map(|name| (name, text.as_str()));
        view.apply(apply(0, 1, round, &states)).await.map_err(told)?;
    }
    over.store(true, Ordering::SeqCst);
    looker.join().map_err(|_| "the looker panicked".to_owned())?
}

pub async fn an_older_epoch_is_refused_and_changes_nothing<P: Place>(place: &P) -> Kept {
    let view = place.make().await;
    view.apply(apply(0, 5, 10, &[("a", "new")])).await.map_err(told)?;
    let refused = view.apply(apply(0, 4, 20, &[("a", "old"), ("b", "old")])).await;
    crate::keep!(
        matches!(refused, Err(ViewError::Fenced { partition: 0, has: 5, ours: 4 })),
        "a former owner's apply came to {refused:?}"
    );
    let (a, b) = (found(&view, 0, "a").await?, found(&view, 0, "b").await?);
    crate::keep!((a == Some(key("new"))) && b.is_none(), "now a is {a:?} and b is {b:?}");
    let position = view.position(0).await.map_err(told)?;
    crate::keep!(position == ViewPosition { epoch: 5, changelog: 10 }, "now at {position:?}");
    Ok(())
}

pub async fn an_older_position_changes_nothing<P: Place>(place: &P) -> Kept {
    let view = place.make().await;
    view.apply(apply(0, 1, 20, &[("a", "new")])).await.map_err(told)?;
    view.apply(apply(0, 1, 10, &[("a", "old")])).await.map_err(told)?;
    let has = found(&view, 0, "a").await?;
    crate::keep!(has == Some(key("new")), "a late apply left {has:?}");
    let position = view.position(0).await.map_err(told)?;
    crate::keep!(position.changelog == 20, "a late apply moved the position to {position:?}");
    Ok(())
}

pub async fn an_apply_over_a_gap_is_refused_and_changes_nothing<P: Place>(place: &P) -> Kept {
    let view = place.make().await;
    view.apply(apply(0, 1, 10, &[("a", "1")])).await.map_err(told)?;
    let refused = view.apply(Apply { after: 15, ..apply(0, 1, 20, &[("a", "2")]) }).await;
    crate::keep!(
        matches!(refused, Err(ViewError::Regressed { partition: 0, has: 10, had: 15 })),
        "an apply after what the view never had came to {refused:?}"
    );
    let (has, position) = (found(&view, 0, "a").await?, view.position(0).await.map_err(told)?);
    crate::keep!(has == Some(key("1")), "now a is {has:?}");
    crate::keep!(position.changelog == 10, "now at {position:?}");
    view.apply(Apply { after: 10, ..apply(0, 1, 20, &[("a", "2")]) }).await.map_err(told)?;
    let has = found(&view, 0, "a").await?;
    crate::keep!(has == Some(key("2")), "what comes next left {has:?}");
    Ok(())
}

pub async fn partitions_are_apart<P: Place>(place: &P) -> Kept {
    let view = place.make().await;
    view.apply(apply(0, 1, 10, &[("a", "zero")])).await.map_err(told)?;
    view.apply(apply(256, 9, 90, &[("a", "other")])).await.map_err(told)?;
    let (zero, one) = (found(&view, 0, "a").await?, found(&view, 1, "a").await?);
    crate::keep!(zero == Some(key("zero")) && one.is_none(), "0 has {zero:?}, 1 has {one:?}");
    let scanned = view.scan(0, Bytes::new(), 10).await.map_err(told)?;
    crate::keep!(scanned.len() == 1, "a scan of one partition found {scanned:?}");
    let position = view.position(0).await.map_err(told)?;
    crate::keep!(position.changelog == 10, "0 is at {position:?}");
    Ok(())
}

pub async fn a_scan_is_bounded_and_meets_every_state_once<P: Place>(place: &P) -> Kept {
    let view = place.make().await;
    let names = ["s/b", "a/1", "s/a", "a/10", "a/2", "p/x/0"];
    let states = names.map(|name| (name, name));
    view.apply(apply(0, 1, 1, &states)).await.map_err(told)?;
    let mut sorted = names.to_vec();
    sorted.sort_unstable();
    let mut before: Option<Vec<Bytes>> = None;
    for pages_of in [1, 2, 9] {
        let mut walked: Vec<Bytes> = vec![];
        loop {
            let after = walked.last().cloned().unwrap_or_default();
            let page = view.scan(0, after, pages_of).await.map_err(told)?;
            crate::keep!(page.len() <= pages_of, "a page of {pages_of} had {}", page.len());
            if page.is_empty() {
                break;
            }
            crate::keep!(page.iter().all(|(name, state)| name == state), "mixed up: {page:?}");
            walked.extend(page.into_iter().map(|(name, _)| name));
            crate::keep!(walked.len() <= names.len(), "a page began before its cursor: {walked:?}");
        }
        crate::keep!(before.is_none_or(|before| before == walked), "another order: {walked:?}");
        before = Some(walked.clone());
        walked.sort_unstable();
        crate::keep!(walked == sorted, "walked {walked:?}");
    }
    Ok(())
}
