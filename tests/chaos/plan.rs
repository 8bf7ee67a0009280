//! What is to be broken, how often, and for how long.

use crate::support::Dice;
use crate::support::says;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// kill -9 of a process, which is started again at once.
    Kill,
    /// SIGSTOP: it comes back to partitions that are somebody else's.
    Freeze,
    /// Every process ends in good order and starts again, one after the other.
    Restart,
    /// A process more joins and leaves, again and again.
    Storm,
    EmptyView,
    KillRedis,
    /// kill -9 of a broker, which is down for a while.
    KillBroker,
}

impl Fault {
    pub fn word(self) -> &'static str {
        match self {
            Self::Kill => "processes killed",
            Self::Freeze => "processes frozen",
            Self::Restart => "rolling restarts",
            Self::Storm => "rebalance storms",
            Self::EmptyView => "views emptied",
            Self::KillRedis => "Redis killed",
            Self::KillBroker => "brokers killed",
        }
    }
}

#[derive(Debug)]
pub struct Plan {
    pub seed: u64,
    pub brokers: usize,
    kills: u64,
    freezes: u64,
    restarts: u64,
    storms: u64,
    empties: u64,
    redis_kills: u64,
    broker_kills: u64,
    pub freeze_most: Duration,
    /// Payments that must have been made for a run to say anything.
    pub attempts: usize,
    /// Payments a second that come through Kafka; more come through the doors.
    pub rate: u64,
}

impl Plan {
    /// As the environment asks; else the short form.
    pub fn asked() -> Self {
        let number = |name: &str, otherwise: u64| {
            std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
        };
        Self {
            seed: number("CHAOS_SEED", says::now().seconds().unsigned_abs()),
            // One that is killed alone may forget the end of a transaction: see docs/operating.md.
            brokers: number("CHAOS_BROKERS", 3) as usize,
            kills: number("CHAOS_KILLS", 5),
            freezes: number("CHAOS_FREEZES", 2),
            restarts: number("CHAOS_RESTARTS", 1),
            storms: number("CHAOS_STORMS", 1),
            empties: number("CHAOS_EMPTIES", 2),
            redis_kills: number("CHAOS_REDIS_KILLS", 1),
            broker_kills: number("CHAOS_BROKER_KILLS", 1),
            freeze_most: Duration::from_secs(number("CHAOS_FREEZE_SECONDS", 10)),
            attempts: number("CHAOS_ATTEMPTS", 2_000) as usize,
            rate: number("CHAOS_RATE", 60),
        }
    }

    pub fn faults(&self, dice: &mut Dice) -> Vec<Fault> {
        let mut faults = vec![];
        for (fault, times) in [
            (Fault::Kill, self.kills),
            (Fault::Freeze, self.freezes),
            (Fault::Restart, self.restarts),
            (Fault::Storm, self.storms),
            (Fault::EmptyView, self.empties),
            (Fault::KillRedis, self.redis_kills),
            (Fault::KillBroker, self.broker_kills),
        ] {
            faults.extend((0..times).map(|_| fault));
        }
        dice.shuffle(&mut faults);
        faults
    }
}
