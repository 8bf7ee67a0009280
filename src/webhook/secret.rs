//! Webhook secrets: keyed once, never printed, several at a time so that they can be rotated.

use super::signature::{SignatureHeader, mac_of};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use std::fmt;

/// Which secret of an endpoint, by its place in the configuration. Safe to log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretIndex(pub u8);

/// One `whsec_…` secret. The whole string is the key, prefix included.
pub struct WebhookSecret {
    text: SecretString,
    keyed: Hmac<Sha256>,
}

impl WebhookSecret {
    /// Any length keys an HMAC, so this takes every text.
    pub fn new(text: SecretString) -> Self {
        let keyed = keyed(text.expose_secret().as_bytes());
        Self { text, keyed }
    }

    /// The `Gate-Signature` header that 0Gate would send with `body` at `seconds`.
    pub fn sign(&self, seconds: i64, body: &[u8]) -> String {
        let mac = mac_of(&self.keyed, seconds.to_string().as_bytes(), body);
        format!("t={seconds},v1={}", data_encoding::HEXLOWER.encode(&mac))
    }

    /// For handing the secret to a person who asked for it: `dev.json`, a sandbox's info file.
    pub fn expose(&self) -> &str {
        self.text.expose_secret()
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret(***)")
    }
}

/// HMAC takes a key of any length, so the fallible constructor cannot fail.
pub(crate) fn keyed(key: &[u8]) -> Hmac<Sha256> {
    match Hmac::<Sha256>::new_from_slice(key) {
        Ok(keyed) => keyed,
        Err(_) => unreachable!("HMAC takes a key of any length"),
    }
}

/// The secrets of one endpoint.
#[derive(Debug)]
pub struct Keyring {
    secrets: Vec<(SecretIndex, WebhookSecret)>,
}

/// Secrets that one endpoint may hold at a time. Rotation needs two, an overlap gone wrong three;
/// each one costs a whole HMAC per delivery.
pub const ENDPOINT_SECRETS_MAX: usize = 8;

impl Keyring {
    /// Keeps the first `ENDPOINT_SECRETS_MAX` secrets under their places.
    pub fn new(secrets: impl IntoIterator<Item = (SecretIndex, WebhookSecret)>) -> Self {
        Self { secrets: secrets.into_iter().take(ENDPOINT_SECRETS_MAX).collect() }
    }

    pub fn of_one(secret: WebhookSecret) -> Self {
        Self::new([(SecretIndex(0), secret)])
    }

    /// The places that its secrets have in the configuration.
    pub fn places(&self) -> impl Iterator<Item = SecretIndex> {
        self.secrets.iter().map(|(place, _)| *place)
    }

    /// The first secret with the place `index`, for signing as 0Gate would.
    pub fn get(&self, index: SecretIndex) -> Option<&WebhookSecret> {
        self.secrets.iter().find(|(at, _)| *at == index).map(|(_, secret)| secret)
    }

    /// Tries every secret against every `v1`, with no early way out, so that the time taken does
    /// not tell which of them was near.
    pub(super) fn matching(
        &self,
        header: &SignatureHeader<'_>,
        body: &[u8],
    ) -> Option<SecretIndex> {
        let mut matched = None;
        for (index, secret) in &self.secrets {
            let mac = mac_of(&secret.keyed, header.time_text(), body);
            if header.carries(&mac) && matched.is_none() {
                matched = Some(*index);
            }
        }
        matched
    }
}

/// The MAC of `parts` in their order, under an already keyed state.
pub(crate) fn mac_of_parts(keyed: &Hmac<Sha256>, parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = keyed.clone();
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}
