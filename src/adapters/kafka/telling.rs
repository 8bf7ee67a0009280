//! What librdkafka says of itself, as our own log tells it.

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// The context of a client that has nothing to tell but its log.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Telling;

impl ClientContext for Telling {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tell(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        complain(&error, reason);
    }
}

impl rdkafka::consumer::ConsumerContext for Telling {}

pub(super) fn tell(level: RDKafkaLogLevel, facility: &str, message: &str) {
    use RDKafkaLogLevel as L;
    match level {
        L::Emerg | L::Alert | L::Critical | L::Error | L::Warning => {
            tracing::warn!(target: "kafka", facility, "{message}");
        }
        L::Notice | L::Info | L::Debug => {
            tracing::debug!(target: "kafka", facility, "{message}");
        }
    }
}

/// A reader that asks to be told of the end of a partition is told of it here as well.
pub(super) fn complain(error: &KafkaError, reason: &str) {
    if error.rdkafka_error_code() != Some(RDKafkaErrorCode::PartitionEOF) {
        tracing::warn!(target: "kafka", %error, "{reason}");
    }
}
