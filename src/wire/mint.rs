//! Attempt ids that only we can make, and that a retry makes again.
//!
//! `att_` and 39 characters: 128 bits derived from the root key, the account and the caller's
//! idempotency key, then 64 bits of a keyed tag over them. Two processes, or a retry after a lost
//! answer, mint the same id; a stranger cannot make one that passes.

use super::seal::SigningKeys;
use crate::attempt::AttemptId;
use data_encoding::{Encoding, Specification};
use std::sync::LazyLock;
use subtle::ConstantTimeEq;

const PREFIX: &str = "att_";
const CORE_BYTES: usize = 16;
const TAG_BYTES: usize = 8;
/// 24 bytes in base 32.
const TEXT_CHARS: usize = 39;

static BASE32: LazyLock<Encoding> = LazyLock::new(|| {
    let mut specification = Specification::new();
    specification.symbols.push_str("0123456789abcdefghjkmnpqrstvwxyz");
    match specification.encoding() {
        Ok(encoding) => encoding,
        Err(_) => unreachable!("32 different symbols make an encoding"),
    }
});

impl SigningKeys {
    pub fn mint(&self, account: &str, idempotency_key: &str) -> AttemptId {
        let derived = self.rooted(b"attempt\0", &[account.as_bytes(), idempotency_key.as_bytes()]);
        let mut bytes = [0_u8; CORE_BYTES + TAG_BYTES];
        bytes[..CORE_BYTES].copy_from_slice(&derived[..CORE_BYTES]);
        let tag = self.tag(&bytes[..CORE_BYTES]);
        bytes[CORE_BYTES..].copy_from_slice(&tag);
        let text = format!("{PREFIX}{}", BASE32.encode(&bytes));
        match AttemptId::parse(&text) {
            Ok(id) => id,
            Err(_) => unreachable!("a minted id is short printable text"),
        }
    }

    /// `text` as an attempt id, if it is one that we minted.
    pub fn minted(&self, text: &str) -> Option<AttemptId> {
        let encoded = text.strip_prefix(PREFIX).filter(|rest| rest.len() == TEXT_CHARS)?;
        let bytes = BASE32.decode(encoded.as_bytes()).ok()?;
        let (core, tag) = bytes.split_at_checked(CORE_BYTES)?;
        let ours: bool = self.tag(core).ct_eq(tag).into();
        ours.then(|| AttemptId::parse(text).ok()).flatten()
    }

    fn tag(&self, core: &[u8]) -> [u8; TAG_BYTES] {
        let mac = self.rooted(b"tag\0", &[core]);
        let mut tag = [0_u8; TAG_BYTES];
        tag.copy_from_slice(&mac[..TAG_BYTES]);
        tag
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(byte: u8) -> SigningKeys {
        SigningKeys::new([[byte; 32].as_slice()]).unwrap()
    }

    #[test]
    fn the_same_account_and_key_mint_the_same_id() {
        let id = keys(1).mint("acct", "key-1");
        assert_eq!(id, keys(1).mint("acct", "key-1"));
        assert_ne!(id, keys(1).mint("acct", "key-2"));
        assert_ne!(id, keys(1).mint("other", "key-1"));
        assert_ne!(keys(1).mint("a", "bc"), keys(1).mint("ab", "c"), "parts do not run together");
    }

    #[test]
    fn only_we_can_mint() {
        let id = keys(1).mint("acct", "key-1");
        assert_eq!(keys(1).minted(id.as_str()), Some(id.clone()));
        assert_eq!(keys(2).minted(id.as_str()), None, "another root");
        for at in PREFIX.len()..id.as_str().len() {
            let mut forged = id.as_str().to_owned().into_bytes();
            forged[at] = if forged[at] == b'0' { b'1' } else { b'0' };
            let forged = String::from_utf8(forged).unwrap();
            assert_eq!(keys(1).minted(&forged), None, "{forged}");
        }
        for text in ["", "att_", "att_01", "gs_test_123"] {
            assert_eq!(keys(1).minted(text), None, "{text}");
        }
    }

    #[test]
    fn a_new_sealing_key_leaves_ids_as_they_were() {
        let id = keys(1).mint("acct", "key-1");
        let rotated = SigningKeys::new([[1; 32].as_slice(), [2; 32].as_slice()]).unwrap();
        assert_eq!(rotated.mint("acct", "key-1"), id);
        assert_eq!(rotated.minted(id.as_str()), Some(id));
    }
}
