//! The input is a body that the provider signed, whatever it is.
//!
//! - Reading it ends without a panic, and the same way twice.
//! - The id and the type of an event that was read are usable, and are found again when they are
//!   written as JSON by somebody else's writer.
//! - So is every fact that is a text.

#![no_main]

use libfuzzer_sys::fuzz_target;
use secrecy::SecretString;
use serde_json::{Map, Value, json};
use std::sync::LazyLock;
use tidegate::attempt::{ID_BYTES_MAX, SignalId};
use tidegate::webhook::{
    EnvelopeError, Event, Fact, Keyring, SecretIndex, SessionData, UnsignedHeaders, Unverified,
    WebhookSecret,
};

static KEYRING: LazyLock<Keyring> =
    LazyLock::new(|| Keyring::of_one(WebhookSecret::new(SecretString::from("whsec_test_fuzz"))));

/// Signs `body`, takes it through the door, and shows what was read.
fn read<T>(body: &[u8], look: impl FnOnce(Result<Event<'_>, EnvelopeError>) -> T) -> T {
    let secret = KEYRING.get(SecretIndex(0)).expect("it was put there");
    let signature = secret.sign(1_782_475_200, body);
    let verified = Unverified { body, signature: &signature }.verify(&KEYRING);
    look(verified.unwrap_or_else(|error| panic!("our own signature: {error}")).event())
}

fuzz_target!(|body: &[u8]| {
    read(body, |first| {
        read(body, |second| assert_eq!(first, second));
        let Ok(event) = first else { return };

        assert!((1..=ID_BYTES_MAX).contains(&event.id.len()));
        assert!(SignalId::parse(&event.id).is_ok(), "{:?} is no id", event.id);
        assert!(!event.kind.as_str().is_empty());
        let said =
            UnsignedHeaders { event_id: Some(&event.id), event_type: Some(event.kind.as_str()) };
        assert_eq!(event.disagreements(&said), 0);

        let rewritten = json!({
            "id": event.id,
            "type": event.kind.as_str(),
            "created_at": event.created_at.seconds(),
            "data": written(&event.data),
        });
        read(rewritten.to_string().as_bytes(), |again| {
            let again = again.unwrap_or_else(|error| panic!("{rewritten}: {error}"));
            assert_eq!(again, event);
        });
    });
});

fn written(data: &SessionData<Fact<'_>>) -> Value {
    let facts = [
        ("id", &data.id),
        ("session_id", &data.session_id),
        ("user_reference", &data.user_reference),
        ("mode", &data.mode),
        ("flow", &data.flow),
        ("amount", &data.amount),
        ("currency", &data.currency),
        ("target_token", &data.target_token),
        ("target_network", &data.target_network),
        ("tx_refid", &data.tx_refid),
        ("failure_reason", &data.failure_reason),
    ];
    let mut object = Map::new();
    for (name, fact) in facts {
        match fact {
            Fact::Absent => {}
            Fact::Text(text) => drop(object.insert(name.to_owned(), json!(text))),
            Fact::Unreadable => drop(object.insert(name.to_owned(), json!([]))),
        }
    }
    Value::Object(object)
}
