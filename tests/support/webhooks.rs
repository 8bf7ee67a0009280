//! 0Gate, as far as a test needs it: events as it writes them, signed with a webhook secret.

use serde_json::{Value, json};
use tidegate::webhook::{Keyring, WebhookSecret};

pub const SECRET: &str = "whsec_test_0123456789abcdef";

pub fn secret() -> WebhookSecret {
    WebhookSecret::new(SECRET.into())
}

pub fn keyring() -> Keyring {
    Keyring::of_one(secret())
}

/// The body of an event. `data` says what the session's facts are beyond its id.
pub fn event(id: &str, kind: &str, session: &str, data: &[(&str, &str)]) -> Vec<u8> {
    let mut facts = json!({"id": session, "mode": "test", "flow": "on_ramp"});
    for (name, value) in data {
        facts[*name] = json!(value);
    }
    body(id, kind, facts)
}

pub fn body(id: &str, kind: &str, data: Value) -> Vec<u8> {
    json!({"id": id, "type": kind, "created_at": 1_750_000_000, "data": data})
        .to_string()
        .into_bytes()
}
