//! Coming back into a group that moves without waiting for it. A cooperative rebalance takes two
//! rounds, and librdkafka sends a member's second JoinGroup no sooner than a second after its first:
//! what moves is nobody's meanwhile. What it hears of the topics in between makes it send it at once,
//! so that is asked for, as long as the group may go on moving.

use super::native;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long after its last move a group may go on moving. A second round begins within a heartbeat
/// or two of the first.
const MAY_GO_ON: Duration = Duration::from_secs(3);

/// The least time between two looks: each waits for librdkafka's main thread.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How long one question may take. It is asked again soon.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(super) struct Rejoin {
    looked: Option<Instant>,
    generation: Option<i32>,
    until: Option<Instant>,
    asking: Option<JoinHandle<()>>,
}

impl Rejoin {
    /// To be called every now and then. Asks on a thread of its own.
    pub(super) fn look<C>(&mut self, consumer: &Arc<BaseConsumer<C>>, topic: &str)
    where
        C: ConsumerContext + 'static,
    {
        let now = Instant::now();
        if self.looked.is_some_and(|looked| now - looked < LOOK_EVERY) {
            return;
        }
        self.looked = Some(now);
        let generation = native::generation(consumer);
        if generation != self.generation {
            self.generation = generation;
            self.until = Some(now + MAY_GO_ON);
        }
        let over = self.until.is_none_or(|until| until < now);
        if over || self.asking.as_ref().is_some_and(|asking| !asking.is_finished()) {
            return;
        }
        let (consumer, topic) = (Arc::clone(consumer), topic.to_owned());
        let asks = move || drop(consumer.client().fetch_metadata(Some(&topic), ANSWER_WITHIN));
        self.asking = std::thread::Builder::new().name("rejoin".to_owned()).spawn(asks).ok();
    }
}

impl Drop for Rejoin {
    /// Whoever holds a consumer last closes it: that is not for this thread to do.
    fn drop(&mut self) {
        if let Some(asking) = self.asking.take() {
            let _panicked = asking.join();
        }
    }
}
