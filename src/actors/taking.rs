//! Partitions on their way to being ours: taken over in the journal, then shown to the view as far
//! as it lacks them; and those that the view has lost some of, to be shown again. One at a time,
//! beside whatever else the lane does, and let go of at any point.

use super::failing::DriverError;
use super::takeover::{Each, TakeoverError, catch_up};
use crate::ports::{Journal, JournalError, Takeover, View, ViewError, ViewPosition};
use crate::telemetry::{Metrics, TakeoverResult};
use crate::wire::trailer::Owner;
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// How long a take-over that failed waits before it is tried again: at first, and at most.
const AGAIN: Duration = Duration::from_millis(250);
const AGAIN_MOST: Duration = Duration::from_secs(4);

/// How long to wait before the permit to decide alone is asked for again: a try takes milliseconds.
const PERMIT_AGAIN: Duration = Duration::from_millis(20);

/// What is still to be done for a partition.
enum Step {
    Take,
    /// Its next signal is decided alone.
    TakeAlone,
    /// The journal knows that it is ours; the view lacks some of it.
    Show(Takeover, Option<OwnedSemaphorePermit>),
    /// It is ours, and the view had everything up to here once.
    Repair(ViewPosition),
}

pub enum Ready {
    Taken(Taken),
    /// The view has everything again that it had acknowledged.
    Repaired,
}

/// A partition that is ours, and that the view has everything of.
pub struct Taken {
    pub partition: u32,
    pub takeover: Takeover,
    /// States that the view lacked.
    pub states: u64,
    pub took: Took,
    /// Held while its next signal is decided alone.
    pub permit: Option<OwnedSemaphorePermit>,
}

/// How long the parts of a take-over took.
#[derive(Clone, Copy, Default)]
pub struct Took {
    pub journal: Duration,
    pub view: Duration,
}

enum Done {
    NotTaken(JournalError),
    NotShown(Takeover, Option<OwnedSemaphorePermit>, TakeoverError),
    Taken { takeover: Takeover, states: u64, took: Took, permit: Option<OwnedSemaphorePermit> },
    NotRepaired(ViewPosition, TakeoverError),
    Repaired { states: u64, took: Duration },
}

type Work = Pin<Box<dyn Future<Output = Done>>>;

struct Waiting {
    partition: u32,
    step: Step,
    /// Not before this.
    at: Instant,
}

pub struct Taking<J, V> {
    journal: J,
    view: V,
    metrics: Metrics,
    waiting: VecDeque<Waiting>,
    /// When each partition was given to us.
    given: BTreeMap<u32, Instant>,
    /// One permit for all lanes of the process: what is decided alone ends nobody else's try.
    one_alone: Arc<Semaphore>,
    under_way: Option<(u32, Work)>,
    /// Failures since something was last taken.
    failures: u32,
    again_at: Option<Instant>,
}

impl<J: Journal, V: View> Taking<J, V> {
    pub fn new(journal: J, view: V, metrics: Metrics, one_alone: Arc<Semaphore>) -> Self {
        Self {
            journal,
            view,
            metrics,
            waiting: VecDeque::new(),
            given: BTreeMap::new(),
            one_alone,
            under_way: None,
            failures: 0,
            again_at: None,
        }
    }

    pub fn add(&mut self, partitions: Vec<u32>) {
        // Taken over twice, it would be told of what waits there twice.
        self.forget(&partitions);
        self.given.extend(partitions.iter().map(|partition| (*partition, Instant::now())));
        partitions.into_iter().for_each(|partition| self.wait(partition, Step::Take));
    }

    /// Takes one over anew, for its next signal to be decided alone.
    pub fn add_alone(&mut self, partition: u32) {
        self.forget(&[partition]);
        self.wait(partition, Step::TakeAlone);
    }

    fn wait(&mut self, partition: u32, step: Step) {
        self.waiting.push_back(Waiting { partition, step, at: Instant::now() });
    }

    /// Takes one over anew that could not be kept for this reason, where that may help.
    pub fn again_after(&mut self, error: JournalError, partition: u32) -> Result<(), DriverError> {
        let result = not_for_ever(error, partition)?;
        self.counted(result);
        self.again(partition, Step::Take);
        Ok(())
    }

    /// Nothing more is begun before `pause` has passed.
    pub fn pause(&mut self, pause: Duration) {
        self.again_at = Some(Instant::now() + pause);
    }

    /// What is under way for them is left where it is. The journal knows whose they are.
    pub fn forget(&mut self, partitions: &[u32]) {
        self.waiting.retain(|waiting| !partitions.contains(&waiting.partition));
        self.given.retain(|partition, _| !partitions.contains(partition));
        self.under_way.take_if(|(partition, _)| partitions.contains(partition));
    }

    /// Has the view shown again what it has lost of a partition that is ours.
    pub fn repair(&mut self, partition: u32, to: ViewPosition) {
        if self.is_about(partition) {
            return;
        }
        self.metrics.view_repairs.inc();
        tracing::error!(partition, "the view forgot what it had acknowledged; repairing it");
        self.wait(partition, Step::Repair(to));
    }

    /// Whether something is to be done for a partition before the view can be relied on in it.
    pub fn is_about(&self, partition: u32) -> bool {
        let under_way = self.under_way.as_ref().is_some_and(|(it, _)| *it == partition);
        under_way || self.waiting.iter().any(|waiting| waiting.partition == partition)
    }

    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.under_way.is_none()
    }

    /// The next partition that is ours. May be dropped while it waits, and goes on when it is asked
    /// again; for ever where there is nothing to take.
    pub async fn next(&mut self, owner: impl Fn() -> Owner) -> Result<Ready, DriverError> {
        loop {
            let (partition, done) = self.work(&owner).await;
            match done {
                Done::Taken { takeover, states, took, permit } => {
                    self.failures = 0;
                    self.counted(TakeoverResult::Taken);
                    if let Some(given) = self.given.remove(&partition) {
                        let took = given.elapsed().as_secs_f64();
                        self.metrics.lanes.takeover_seconds.observe(took);
                    }
                    let taken = Taken { partition, takeover, states, took, permit };
                    return Ok(Ready::Taken(taken));
                }
                Done::Repaired { states, took } => {
                    self.failures = 0;
                    let took_ms = took.as_millis() as u64;
                    tracing::info!(partition, states, took_ms, "the view is repaired");
                    return Ok(Ready::Repaired);
                }
                Done::NotRepaired(to, error) => {
                    self.not_shown(error, partition)?;
                    self.again(partition, Step::Repair(to));
                }
                Done::NotTaken(error) => {
                    self.again_after(error, partition)?;
                }
                Done::NotShown(takeover, permit, error) => {
                    self.not_shown(error, partition)?;
                    self.again(partition, Step::Show(takeover, permit));
                }
            }
        }
    }

    async fn work(&mut self, owner: &impl Fn() -> Owner) -> (u32, Done) {
        loop {
            if let Some((partition, work)) = &mut self.under_way {
                let partition = *partition;
                let done = work.await;
                self.under_way = None;
                return (partition, done);
            }
            if let Some(at) = self.again_at {
                tokio::time::sleep_until(at).await;
                self.again_at = None;
            }
            let now = Instant::now();
            let due = self.waiting.iter().position(|waiting| waiting.at <= now);
            let Some(Waiting { partition, step, .. }) = due.and_then(|at| self.waiting.remove(at))
            else {
                let Some(next) = self.waiting.iter().map(|waiting| waiting.at).min() else {
                    return std::future::pending().await;
                };
                tokio::time::sleep_until(next).await;
                continue;
            };
            // Waited for here, it would hold up whoever has it: they may need a repair first.
            let permit = match step {
                Step::TakeAlone => match Arc::clone(&self.one_alone).try_acquire_owned() {
                    Ok(permit) => Some(permit),
                    Err(_taken) => {
                        let at = now + PERMIT_AGAIN;
                        self.waiting.push_back(Waiting { partition, step, at });
                        continue;
                    }
                },
                Step::Take | Step::Show(..) | Step::Repair(_) => None,
            };
            let (journal, view) = (self.journal.clone(), self.view.clone());
            let work = take(journal, view, partition, step, owner(), permit);
            self.under_way = Some((partition, Box::pin(work)));
        }
    }

    fn again(&mut self, partition: u32, step: Step) {
        let pause = AGAIN.saturating_mul(1 << self.failures.min(16)).min(AGAIN_MOST);
        self.failures += 1;
        self.waiting.push_back(Waiting { partition, step, at: Instant::now() + pause });
    }

    fn counted(&self, result: TakeoverResult) {
        self.metrics.lanes.takeovers.with_label_values(&[result.word()]).inc();
    }

    /// What the view could not do now it may do later; what it never will ends the lane.
    fn not_shown(&self, error: TakeoverError, partition: u32) -> Result<(), DriverError> {
        match error {
            TakeoverError::View(
                error @ (ViewError::Unavailable(_) | ViewError::Regressed { .. }),
            ) => {
                self.metrics.view_unanswered.inc();
                self.counted(TakeoverResult::ViewUnanswered);
                tracing::warn!(partition, %error, "the view is not brought up to date; waiting");
                Ok(())
            }
            TakeoverError::Journal(error) => {
                let result = not_for_ever(error, partition)?;
                self.counted(result);
                Ok(())
            }
            error @ (TakeoverError::View(_) | TakeoverError::ViewAhead { .. }) => Err(error.into()),
        }
    }
}

async fn take<J: Journal, V: View>(
    journal: J,
    view: V,
    partition: u32,
    step: Step,
    mut owner: Owner,
    permit: Option<OwnedSemaphorePermit>,
) -> Done {
    owner.tries.now_alone = permit.is_some();
    let began = Instant::now();
    let past = {
        let journal = journal.clone();
        move |from: u64, each: Each<'_>| journal.replay(partition, from, each)
    };
    let (takeover, permit) = match step {
        Step::Repair(to) => {
            return match catch_up(past, &view, partition, to).await {
                Ok(states) => Done::Repaired { states, took: began.elapsed() },
                Err(error) => Done::NotRepaired(to, error),
            };
        }
        Step::Show(takeover, permit) => (takeover, permit),
        Step::Take | Step::TakeAlone => match journal.take_over(partition, &owner).await {
            Ok(takeover) => (takeover, permit),
            Err(error) => return Done::NotTaken(error),
        },
    };
    let of_journal = began.elapsed();
    let to = ViewPosition { epoch: takeover.epoch, changelog: takeover.changelog_end };
    match catch_up(past, &view, partition, to).await {
        Ok(states) => {
            let took = Took { journal: of_journal, view: began.elapsed() - of_journal };
            Done::Taken { takeover, states, took, permit }
        }
        Err(error) => Done::NotShown(takeover, permit, error),
    }
}

/// Passes on what trying again does not mend.
fn not_for_ever(error: JournalError, partition: u32) -> Result<TakeoverResult, DriverError> {
    if let JournalError::NotAssigned { .. } = error {
        // It went to somebody else meanwhile; the word of that is on its way.
        tracing::info!(partition, "gone before it was taken over");
        return Ok(TakeoverResult::Gone);
    }
    if let JournalError::Brokers(why) = error {
        tracing::warn!(partition, why, "not taken over; trying again");
        return Ok(TakeoverResult::JournalUnanswered);
    }
    Err(TakeoverError::Journal(error).into())
}
