//! Watches the server that the view is kept in for what it does by itself: throwing keys away,
//! starting again, giving way to a copy. None of it makes a decision wrong, since the view notices
//! what it lacks; all of it costs, and a person should hear of it.

use super::dial::NO_EVICTION;
use super::health::RedisHealth;
use super::view::RedisView;
use std::time::Duration;

/// How often a server is asked how it is: a few kilobytes of answer, and well under a millisecond of
/// its time.
pub const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How long one look may take. While a server is down the connection waits for it.
const LOOK_PATIENCE: Duration = Duration::from_secs(5);

/// How a server was when it was last looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub health: RedisHealth,
    /// The connection that the view uses, as the server numbers it. Not every server may be asked.
    connection: Option<u64>,
}

/// What became of a server since it was last looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It threw so many keys away.
    Evicted(u64),
    /// Another run of it: what it had not saved is gone.
    Restarted,
    /// It follows another history: another server took over, or it follows another one.
    ReplicationChanged,
    /// It became a copy, which takes no writes, or is one no more.
    RoleChanged,
    /// What it does when its memory is full.
    PolicyChanged,
    /// The view's connection was lost, and made anew.
    Reconnected,
}

impl Seen {
    /// What became of the server since `before`.
    pub fn since(&self, before: &Self) -> Vec<Change> {
        let (now, was) = (&self.health, &before.health);
        let another_run = now.run_id != was.run_id;
        // Another server may answer by now: it threw away what it did before that.
        let moved = now.at != was.at || (now.servers > 1 && another_run);
        let restarted = another_run && !moved;
        let already = match (moved, restarted) {
            (true, _) => now.evicted,
            (false, true) => 0,
            (false, false) => was.evicted,
        };
        let evicted = now.evicted.saturating_sub(already);
        let connections = self.connection.zip(before.connection);
        let reconnected = connections.is_some_and(|(now, was)| now != was);
        let found = [
            (evicted > 0, Change::Evicted(evicted)),
            (restarted, Change::Restarted),
            // A run begins a history of its own.
            (
                moved || (!restarted && now.replication != was.replication),
                Change::ReplicationChanged,
            ),
            (now.role != was.role, Change::RoleChanged),
            (now.policy != was.policy, Change::PolicyChanged),
            (restarted || moved || reconnected, Change::Reconnected),
        ];
        found.into_iter().filter_map(|(happened, change)| happened.then_some(change)).collect()
    }

    /// Says it to whoever reads the log.
    pub fn tell(&self, change: &Change) {
        let RedisHealth { role, policy, .. } = &self.health;
        match change {
            Change::Evicted(keys) => tracing::error!(
                keys,
                policy,
                "Redis threw keys away: the view is shown again what it lacks, and that is slow; \
                 give Redis memory, and set maxmemory-policy to noeviction"
            ),
            Change::Restarted => {
                tracing::warn!("Redis was started again; what it lost is shown to it again");
            }
            Change::ReplicationChanged => tracing::warn!(
                "Redis follows another history, as after a failover; what it lost is shown to it \
                 again"
            ),
            Change::RoleChanged if role == "master" => {
                tracing::warn!("Redis is a master again, and takes writes");
            }
            Change::RoleChanged => tracing::error!(
                role,
                "Redis became a copy, which takes no writes; name its master in `redis.url`"
            ),
            Change::PolicyChanged if policy == NO_EVICTION => {
                tracing::warn!("Redis throws no keys away any more (maxmemory-policy)");
            }
            Change::PolicyChanged => tracing::error!(
                policy,
                "Redis may throw keys away from now on; set maxmemory-policy to noeviction"
            ),
            Change::Reconnected => tracing::warn!("the connection to Redis was made anew"),
        }
    }
}

/// One who looks now and then.
pub struct RedisWatch {
    view: RedisView,
    last: Option<Seen>,
}

impl RedisWatch {
    pub fn new(view: RedisView) -> Self {
        Self { view, last: None }
    }

    /// How the server is, and what became of it since the last look that it answered. `None` where
    /// it did not answer.
    pub async fn look(&mut self) -> Option<(Seen, Vec<Change>)> {
        let looking = tokio::time::timeout(LOOK_PATIENCE, self.view.health());
        let (health, connection) = looking.await.ok()?.ok()?;
        let seen = Seen { health, connection };
        let changes = self.last.as_ref().map(|last| seen.since(last)).unwrap_or_default();
        self.last = Some(seen.clone());
        Some((seen, changes))
    }
}

#[cfg(test)]
mod tests {
    use super::{Change, Seen};
    use crate::adapters::redis::RedisHealth;

    fn seen() -> Seen {
        let health = RedisHealth {
            at: "redis:6379".to_owned(),
            servers: 1,
            policy: "noeviction".to_owned(),
            evicted: 5,
            role: "master".to_owned(),
            run_id: "run-1".to_owned(),
            replication: "history-1".to_owned(),
            memory: 1_000,
            memory_limit: 0,
            seconds: 1_790_000_000,
        };
        Seen { health, connection: Some(7) }
    }

    /// What becomes of a server that changes like this.
    fn after(change: impl FnOnce(&mut Seen)) -> Vec<Change> {
        let (before, mut now) = (seen(), seen());
        change(&mut now);
        now.since(&before)
    }

    #[test]
    fn time_and_memory_are_no_news() {
        let none = after(|now| {
            now.health.seconds += 2;
            now.health.memory += 1_000;
        });
        assert_eq!(none, []);
    }

    #[test]
    fn keys_that_were_thrown_away_are_counted_since_the_last_look() {
        assert_eq!(after(|now| now.health.evicted = 12), [Change::Evicted(7)]);
    }

    #[test]
    fn a_new_run_counts_what_it_threw_away_from_its_beginning() {
        let changes = after(|now| {
            now.health.run_id = "run-2".to_owned();
            now.health.replication = "history-2".to_owned();
            now.health.evicted = 3;
            now.connection = Some(2);
        });
        assert_eq!(changes, [Change::Evicted(3), Change::Restarted, Change::Reconnected]);
    }

    #[test]
    fn another_server_that_answers_is_a_failover_and_threw_nothing_away_now() {
        let changes = after(|now| {
            now.health.at = "other:6379".to_owned();
            now.health.run_id = "run-of-another".to_owned();
            now.health.evicted = 900;
        });
        assert_eq!(changes, [Change::ReplicationChanged, Change::Reconnected]);
    }

    #[test]
    fn a_failover_shows_by_its_history_and_its_role() {
        let changes = after(|now| {
            now.health.replication = "history-2".to_owned();
            now.health.role = "slave".to_owned();
        });
        assert_eq!(changes, [Change::ReplicationChanged, Change::RoleChanged]);
    }

    #[test]
    fn a_policy_that_is_changed_while_it_runs_is_news() {
        let changes = after(|now| now.health.policy = "allkeys-lru".to_owned());
        assert_eq!(changes, [Change::PolicyChanged]);
    }

    #[test]
    fn a_connection_that_was_made_anew_is_news_and_one_of_unknown_number_is_not() {
        assert_eq!(after(|now| now.connection = Some(8)), [Change::Reconnected]);
        assert_eq!(after(|now| now.connection = None), []);
    }
}
