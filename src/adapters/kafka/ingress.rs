//! The door's producer. A webhook is answered when the brokers have it, and not before.

use super::records;
use super::settings::KafkaOptions;
use super::telling::{complain, tell};
use super::topics::number;
use crate::attempt::Position;
use crate::ports::{Append, AppendError};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::oneshot;

type Delivered = oneshot::Sender<Result<Position, KafkaError>>;

pub(super) struct Answers;

impl ClientContext for Answers {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tell(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        complain(&error, reason);
    }
}

impl ProducerContext for Answers {
    type DeliveryOpaque = Box<Delivered>;

    fn delivery(&self, result: &DeliveryResult<'_>, delivered: Box<Delivered>) {
        let at = match result {
            Ok(message) => Ok(Position {
                partition: u32::try_from(message.partition()).unwrap_or_default(),
                offset: u64::try_from(message.offset()).unwrap_or_default(),
            }),
            Err((error, _)) => Err(error.clone()),
        };
        let _nobody_waits = delivered.send(at);
    }
}

type Client = Arc<ThreadedProducer<Answers>>;

pub(super) struct Ingress {
    options: KafkaOptions,
    producer: RwLock<Client>,
    topic: String,
}

impl Ingress {
    pub(super) fn open(options: &KafkaOptions, topic: String) -> KafkaResult<Self> {
        let producer = RwLock::new(Self::client(options)?);
        Ok(Self { options: options.clone(), producer, topic })
    }

    fn client(options: &KafkaOptions) -> KafkaResult<Client> {
        Ok(Arc::new(options.ingress().create_with_context(Answers)?))
    }

    /// The producer; another one where the last has failed for good, as an idempotent one does when
    /// it cannot tell any more what the brokers have.
    fn producer(&self) -> Client {
        let current = Arc::clone(&self.producer.read().unwrap_or_else(PoisonError::into_inner));
        let Some((_, why)) = current.client().fatal_error() else { return current };
        let mut slot = self.producer.write().unwrap_or_else(PoisonError::into_inner);
        if Arc::ptr_eq(&slot, &current) {
            tracing::warn!(why, "the door's producer has failed for good; making another");
            match Self::client(&self.options) {
                Ok(fresh) => *slot = fresh,
                Err(error) => tracing::error!(%error, "it cannot be made"),
            }
        }
        Arc::clone(&slot)
    }

    pub(super) async fn append(&self, signals: Vec<Append>) -> Result<Vec<Position>, AppendError> {
        let producer = self.producer();
        let mut answers = Vec::with_capacity(signals.len());
        for Append { partition, record, .. } in &signals {
            let (delivered, answer) = oneshot::channel();
            let kafka = BaseRecord::<(), [u8], _>::with_opaque_to(&self.topic, Box::new(delivered))
                .partition(number(*partition))
                .payload(record.value.as_ref())
                .headers(records::headers(record));
            producer.send(kafka).map_err(|(error, _)| refused(error))?;
            answers.push(answer);
        }
        let mut places = Vec::with_capacity(answers.len());
        for answer in answers {
            places.push(answer.await.map_err(|_| AppendError::Closed)?.map_err(refused)?);
        }
        Ok(places)
    }
}

fn refused(error: KafkaError) -> AppendError {
    if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) {
        return AppendError::Overloaded;
    }
    tracing::warn!(%error, "a webhook may not have reached the brokers");
    AppendError::Unknown
}
