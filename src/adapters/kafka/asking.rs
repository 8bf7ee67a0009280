//! Asking the brokers something once, and hearing why they do not answer: what a connection came to
//! is told to whoever polls, and a question that was not answered only says that it was not.

use super::settings::{KafkaOptions, PATIENCE};
use super::telling::{complain, tell};
use super::topics::TopicsError;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::metadata::Metadata;
use rdkafka::producer::{BaseProducer, Producer, ProducerContext};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long one question waits before we look at what the connections came to.
const LOOK: Duration = Duration::from_secs(1);

/// How long what the connections came to may take to be told.
const TOLD: Duration = Duration::from_millis(20);

/// A broker that comes up, or goes down, may hang up on whoever asks; one that speaks otherwise
/// still does after this.
const COMES_UP: Duration = Duration::from_secs(3);

/// What the client calls a connection that it lost, or did not get.
const LOST: &str = "FAIL";

/// What stands in the way to the brokers, as far as their client can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Obstacle {
    /// Nobody is there, or nobody answers.
    Network,
    /// Whoever is there speaks something else on that port.
    Protocol,
    /// Their certificate is not one that we trust, or not of that name.
    Certificate,
    /// They do not know this user, or not with this password.
    Authentication,
}

#[derive(Clone, Default)]
struct Hearing(Arc<Mutex<Heard>>);

#[derive(Default)]
struct Heard {
    /// What says most about it, in the client's words.
    worst: Option<(Obstacle, String)>,
    all_down: bool,
}

impl Hearing {
    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what says most about it; of two that say as much, the first.
    fn came_to(&self, obstacle: Obstacle, why: &str) {
        let mut heard = self.heard();
        if heard.worst.as_ref().is_none_or(|(worst, _)| *worst < obstacle) {
            heard.worst = Some((obstacle, why.to_owned()));
        }
    }

    /// No broker is left to be tried, and what they came to does not pass by waiting.
    fn is_hopeless(&self, waited: Duration) -> bool {
        let heard = self.heard();
        let settled = match heard.worst.as_ref().map(|(worst, _)| *worst) {
            Some(Obstacle::Authentication | Obstacle::Certificate) => true,
            Some(Obstacle::Protocol) => waited >= COMES_UP,
            Some(Obstacle::Network) | None => false,
        };
        heard.all_down && settled
    }

    fn verdict(&self, unanswered: KafkaError) -> TopicsError {
        match self.heard().worst.take() {
            Some((obstacle, why)) => TopicsError::Unreached { obstacle, why },
            None => TopicsError::Brokers(unanswered),
        }
    }
}

impl ClientContext for Hearing {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tell(level, facility, message);
        if facility == LOST {
            // Before it stands the name of a thread.
            let why = message.split_once("]: ").map_or(message, |(_, why)| why);
            self.came_to(obstacle(why), why);
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        complain(&error, reason);
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::AllBrokersDown) => self.heard().all_down = true,
            Some(RDKafkaErrorCode::Authentication) => {
                self.came_to(Obstacle::Authentication, reason);
            }
            Some(_) | None => self.came_to(obstacle(reason), reason),
        }
    }
}

impl ProducerContext for Hearing {
    type DeliveryOpaque = ();

    fn delivery(&self, _nothing_is_sent: &DeliveryResult<'_>, (): ()) {}
}

/// What the client's own words say: a lost connection has no code.
fn obstacle(why: &str) -> Obstacle {
    let says = |words: &[&str]| words.iter().any(|word| why.contains(word));
    if says(&["SASL authentication error"]) {
        Obstacle::Authentication
    } else if says(&["certificate"]) {
        Obstacle::Certificate
    } else if says(&["SSL", "SASL", "ApiVersion", "APIVERSION"]) {
        // Whoever hangs up before the first question is answered did not understand it.
        Obstacle::Protocol
    } else {
        Obstacle::Network
    }
}

/// What the brokers say of themselves and of every topic that we may see. Blocks.
pub(super) fn metadata(options: &KafkaOptions) -> Result<Metadata, TopicsError> {
    let hearing = Hearing::default();
    let asking: BaseProducer<Hearing> = options.base().create_with_context(hearing.clone())?;
    let began = Instant::now();
    loop {
        let unanswered = match asking.client().fetch_metadata(None, LOOK) {
            Ok(metadata) => return Ok(metadata),
            Err(error) => error,
        };
        // What the connections came to is told from in here.
        asking.poll(TOLD);
        let waited = began.elapsed();
        if hearing.is_hopeless(waited) || waited >= PATIENCE {
            return Err(hearing.verdict(unanswered));
        }
    }
}
