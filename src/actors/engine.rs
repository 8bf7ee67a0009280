//! The lanes over a journal and a view: each on a thread of its own, each with a set of partitions.

use super::driver::{Driver, DriverOptions};
use super::failing::DriverError;
use super::measured::measured;
use super::takeover::TakeoverError;
use crate::lane::machine::Rules;
use crate::ports::{Clock, Journal, JournalError, Seat, View};
use crate::telemetry::{Ending, Metrics};
use actix::Arbiter;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, oneshot, watch};

#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Threads that decide. More than partitions would have nothing to do.
    pub lanes: u32,
    pub driver: DriverOptions,
    /// Names this process in owner records.
    pub instance: String,
}

#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("lane {lane}: {source}")]
    Lane { lane: u32, source: DriverError },
    #[error("lane {lane} panicked; what it held may be wrong, and a start reads it anew")]
    Panicked { lane: u32 },
    #[error(
        "lane {lane} could not finish within {} s what it had taken; all of it is in the journal, and the next start goes on with it",
        patience.as_secs()
    )]
    NotDrained { lane: u32, patience: Duration },
}

impl EngineError {
    /// Whether it is the view that has more than the journal, which no restart mends.
    pub fn is_a_view_ahead(&self) -> bool {
        let Self::Lane { source, .. } = self else { return false };
        matches!(source, DriverError::Takeover(TakeoverError::ViewAhead { .. }))
    }

    /// What is told of a process that ended for this.
    pub fn ending(&self) -> Ending {
        let source = match self {
            Self::Lane { source, .. } => source,
            Self::Panicked { .. } => return Ending::Broken,
            Self::NotDrained { .. } => return Ending::Hurried,
        };
        match source {
            DriverError::Takeover(_) => Ending::Takeover,
            DriverError::View(_) => Ending::View,
            DriverError::Fenced { .. } => Ending::Fenced,
            DriverError::InDoubt { .. } => Ending::InDoubt,
            DriverError::JournalClosed => Ending::Journal,
            DriverError::Unreadable(_) | DriverError::ActorDied => Ending::Broken,
        }
    }

    /// What the journal said of why a partition cannot be ours, where that is what ended a lane.
    pub fn into_journal_error(self) -> Result<JournalError, Self> {
        if let Self::Lane { source: DriverError::Takeover(TakeoverError::Journal(error)), .. } =
            self
        {
            return Ok(error);
        }
        Err(self)
    }
}

type Ended = Result<(), EngineError>;

struct RunningLane {
    lane: u32,
    arbiter: Arbiter,
    ended: oneshot::Receiver<Result<(), DriverError>>,
}

/// Running lanes.
pub struct Engine {
    lanes: Vec<RunningLane>,
    drain: watch::Sender<bool>,
}

impl Engine {
    /// Starts the lanes and waits until the first partitions of each are theirs.
    pub async fn start<J: Journal, V: View, C: Clock>(
        journal: &J,
        view: &V,
        clock: &C,
        rules: &Rules,
        options: &EngineOptions,
        metrics: &Metrics,
    ) -> Result<Self, EngineError> {
        let drain = watch::Sender::new(false);
        let mut engine = Self { lanes: vec![], drain: drain.clone() };
        let lanes = options.lanes.clamp(1, journal.partitions());
        metrics.begin(lanes, journal.partitions());
        let mut ready = vec![];
        let one_alone = Arc::new(Semaphore::new(1));
        for lane in 0..lanes {
            let seat = Seat { lane, lanes };
            let writer = format!("{}/{lane}", options.instance);
            let rules = rules.clone();
            let (journal, view) = measured(journal.clone(), view.clone(), lane, metrics.clone());
            let clock = clock.clone();
            let (metrics, drain) = (metrics.clone(), drain.subscribe());
            let driver_options = options.driver;
            let one_alone = Arc::clone(&one_alone);
            let (taken_to, taken) = oneshot::channel();
            let (ended_to, ended) = oneshot::channel();
            let arbiter = Arbiter::new();
            let spawned = arbiter.spawn_fn(move || {
                let driver = Driver::new(
                    journal,
                    view,
                    clock,
                    writer,
                    rules,
                    driver_options,
                    seat,
                    metrics,
                    one_alone,
                    drain,
                    taken_to,
                );
                actix::spawn(async move {
                    let _nobody = ended_to.send(driver.run().await);
                });
            });
            engine.lanes.push(RunningLane { lane, arbiter, ended });
            ready.push(taken);
            if !spawned {
                break;
            }
        }
        for (index, taken) in ready.into_iter().enumerate() {
            if taken.await.is_err() {
                let RunningLane { lane, ended, arbiter } = engine.lanes.swap_remove(index);
                let ended = ended_as(lane, ended.await);
                arbiter.stop();
                for other in engine.lanes {
                    other.abandon().await;
                }
                return Err(ended.err().unwrap_or(EngineError::Panicked { lane }));
            }
        }
        Ok(engine)
    }

    /// Resolves when a lane has ended without being asked to.
    pub async fn broken(&mut self) -> EngineError {
        let ends = self.lanes.iter_mut().map(|running| {
            let (lane, ended) = (running.lane, &mut running.ended);
            Box::pin(async move { ended_as(lane, ended.await) })
        });
        let (ended, index, _rest) = futures_util::future::select_all(ends).await;
        let lane = self.lanes.swap_remove(index).lane;
        ended.err().unwrap_or(EngineError::Panicked { lane })
    }

    /// Lets every lane finish what it has taken, then ends them. A lane that has not finished
    /// after `patience` is ended where it is: its disk is full, or its view does not answer, and
    /// nothing that was acknowledged depends on it.
    pub async fn drain(self, patience: Duration) -> Ended {
        self.drain.send_replace(true);
        let until = tokio::time::Instant::now() + patience;
        let mut all = Ok(());
        for mut running in self.lanes {
            let lane = running.lane;
            let ended = match tokio::time::timeout_at(until, &mut running.ended).await {
                Ok(ended) => {
                    running.arbiter.stop();
                    ended_as(lane, ended)
                }
                Err(_elapsed) => {
                    running.abandon().await;
                    Err(EngineError::NotDrained { lane, patience })
                }
            };
            all = all.and(ended);
        }
        all
    }
}

impl RunningLane {
    /// Ends the lane where it is, and waits until it does nothing any more.
    async fn abandon(self) {
        self.arbiter.stop();
        // Whatever it says last, or that it can say nothing any more.
        let _gone = self.ended.await;
    }
}

fn ended_as(lane: u32, ended: Result<Result<(), DriverError>, oneshot::error::RecvError>) -> Ended {
    match ended {
        Ok(Ok(())) => Ok(()),
        Ok(Err(source)) => Err(EngineError::Lane { lane, source }),
        Err(_) => Err(EngineError::Panicked { lane }),
    }
}
