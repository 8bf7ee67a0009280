//! Brings what becomes of Redis to the log and to the metrics.

use crate::adapters::redis::{Change, LOOK_EVERY, NO_EVICTION, RedisView, RedisWatch, Seen};
use crate::telemetry::{Look, Metrics, RedisChange, RedisMetrics};
use tokio::task::JoinHandle;

/// Somebody watches as long as this is held.
pub(super) struct Watching(JoinHandle<()>);

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Watching {
    pub(super) fn begin(view: RedisView, metrics: Metrics) -> Self {
        Self(actix_rt::spawn(watch(view, metrics)))
    }
}

async fn watch(view: RedisView, metrics: Metrics) {
    let mut watch = RedisWatch::new(view);
    loop {
        let looked = watch.look().await;
        let look = if looked.is_some() { Look::Answered } else { Look::Unanswered };
        metrics.redis.looks.with_label_values(&[look.word()]).inc();
        if let Some((seen, changes)) = looked {
            shows(&metrics.redis, &seen);
            for change in changes {
                seen.tell(&change);
                counts(&metrics.redis, &change);
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn shows(metrics: &RedisMetrics, seen: &Seen) {
    let bytes = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    metrics.may_evict.set(i64::from(seen.health.policy != NO_EVICTION));
    metrics.memory_used.set(bytes(seen.health.memory));
    metrics.memory_limit.set(bytes(seen.health.memory_limit));
}

fn counts(metrics: &RedisMetrics, change: &Change) {
    let change = match change {
        Change::Evicted(keys) => return metrics.evicted.inc_by(*keys),
        Change::Restarted => RedisChange::Restarted,
        Change::ReplicationChanged => RedisChange::ReplicationChanged,
        Change::RoleChanged => RedisChange::RoleChanged,
        Change::PolicyChanged => RedisChange::PolicyChanged,
        Change::Reconnected => RedisChange::Reconnected,
    };
    metrics.changes.with_label_values(&[change.word()]).inc();
}
