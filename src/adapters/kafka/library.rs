//! The client library in this program, and what it was built with.

use rdkafka::ClientConfig;
use rdkafka::util::get_rdkafka_version;

pub struct Library {
    pub version: String,
    /// Words of its own: with `ssl` and `sasl_scram` brokers may ask for TLS and a password.
    pub features: String,
}

pub fn library() -> Library {
    let asked = ClientConfig::new().create_native_config();
    let features = asked.and_then(|config| config.get("builtin.features"));
    Library {
        version: get_rdkafka_version().1,
        features: features.unwrap_or_else(|error| error.to_string()),
    }
}
