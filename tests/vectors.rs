//! Every worked signature of `tests/data/signature-vectors.json` is judged as it says.
//!
//! The vectors were computed apart from this code, so they hold both the scheme and its edges: an
//! implementation that signs and verifies in the same wrong way passes its own stories, not these.

use secrecy::SecretString;
use serde::Deserialize;
use tidegate::attempt::{Timeliness, Timestamp};
use tidegate::webhook::{Keyring, SignatureError, Unverified, WebhookSecret};

const TOLERANCE_SECONDS: u32 = 300;

/// How many cases the file has. A case that is lost on the way must fail, not pass unseen.
const CASES: usize = 25;

#[derive(Deserialize)]
struct Vectors {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    secret: String,
    body: String,
    header: String,
    /// Seconds, as the verifier's clock shows them.
    now: i64,
    expect: Expected,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Expected {
    Accept,
    /// Authentic, and its signed time is out of tolerance.
    RejectStale,
    RejectMismatch,
    RejectMalformed,
    /// The provider's own implementations disagree, so both answers are right.
    Either,
}

/// The one place that knows the API of the door.
fn judge(case: &Case) -> Expected {
    let secret = WebhookSecret::new(SecretString::from(case.secret.as_str()));
    let unverified = Unverified { body: case.body.as_bytes(), signature: &case.header };
    match unverified.verify(&Keyring::of_one(secret)) {
        Ok(verified) => {
            match verified.timeliness(Timestamp::from_seconds(case.now), TOLERANCE_SECONDS) {
                Timeliness::InTime => Expected::Accept,
                Timeliness::OutOfTime => Expected::RejectStale,
            }
        }
        Err(SignatureError::Mismatch) => Expected::RejectMismatch,
        Err(SignatureError::Missing | SignatureError::Malformed(_)) => Expected::RejectMalformed,
    }
}

#[test]
fn every_vector_is_judged_as_it_says() {
    let text = include_str!("data/signature-vectors.json");
    let Vectors { cases } = serde_json::from_str(text).unwrap();

    let mut wrong = Vec::new();
    for case in &cases {
        let judged = judge(case);
        let right = match case.expect {
            Expected::Either => matches!(judged, Expected::Accept | Expected::RejectMismatch),
            expected => judged == expected,
        };
        if !right {
            wrong.push(format!("{}: expected {:?}, judged {judged:?}", case.name, case.expect));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert_eq!(cases.len(), CASES, "cases tried");
}

/// The HMAC comes before the tolerance: an old delivery with a wrong signature is a forgery, and
/// only an authentic one may be called late.
#[test]
fn a_forgery_is_never_called_stale() {
    let text = include_str!("data/signature-vectors.json");
    let Vectors { cases } = serde_json::from_str(text).unwrap();
    let forged = cases.into_iter().filter(|case| case.expect == Expected::RejectMismatch);

    let mut tried = 0;
    for case in forged {
        let long_after = Case { now: case.now + 86_400, ..case };
        assert_eq!(judge(&long_after), Expected::RejectMismatch, "{}", long_after.name);
        tried += 1;
    }
    assert_eq!(tried, 4);
}
