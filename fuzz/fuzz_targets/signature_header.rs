//! The first line of the input is a header, the rest is a body; so the corpus can be read.
//!
//! - Reading any header ends without a panic.
//! - A header that opens the door carries the one MAC that our secret makes of these bytes.
//! - What we sign, we accept.
//! - With any one byte of the body changed, we do not.

#![no_main]

use libfuzzer_sys::fuzz_target;
use secrecy::SecretString;
use std::sync::LazyLock;
use tidegate::webhook::{Keyring, SecretIndex, SignatureError, Unverified, WebhookSecret};

const SECRET: &str = "whsec_test_fuzz";

/// The last time that the door takes.
const SECONDS_MAX: u64 = 253_402_207_200;

static KEYRING: LazyLock<Keyring> =
    LazyLock::new(|| Keyring::of_one(WebhookSecret::new(SecretString::from(SECRET))));

fuzz_target!(|input: &[u8]| {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (line, body) = (&input[..end], input.get(end + 1..).unwrap_or_default());
    let line = String::from_utf8_lossy(line);
    let secret = KEYRING.get(SecretIndex(0)).expect("it was put there");

    if let Ok(verified) = (Unverified { body, signature: &line }).verify(&KEYRING) {
        let ours = secret.sign(verified.signed_at().seconds(), body);
        let (_, mac) = ours.split_once("v1=").expect("we sign with a v1");
        assert!(line.to_ascii_lowercase().contains(mac), "opened without the MAC: {line}");
    }

    // Any number will do for the time and for the place of the change, as long as it is a
    // function of the input.
    let drawn = line.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let seconds = i64::try_from(1 + drawn % SECONDS_MAX).expect("it is below the bound");
    let signature = secret.sign(seconds, body);
    let verified = Unverified { body, signature: &signature }.verify(&KEYRING);
    let verified = verified.unwrap_or_else(|error| panic!("our own {signature}: {error}"));
    assert_eq!(verified.signed_at().seconds(), seconds);
    assert_eq!(verified.body(), body);

    if !body.is_empty() {
        let mut changed = body.to_vec();
        let place = usize::try_from(drawn % body.len() as u64).expect("it is an index");
        changed[place] ^= u8::try_from(1 + (drawn >> 32) % 255).expect("it is below 256");
        let forged = Unverified { body: &changed, signature: &signature }.verify(&KEYRING);
        assert_eq!(forged.err(), Some(SignatureError::Mismatch), "byte {place} was changed");
    }
});
