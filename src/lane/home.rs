//! Where a key lives. A pure function of signed bytes and the pinned partition count, never of a
//! look-up, so that every process agrees without asking.

use crate::attempt::DeadLetter;
use crate::wire::prove::Address;
use crate::wire::signal::{Hop, HopTo};

/// Java's murmur2, as Kafka's own default partitioner computes it.
pub fn murmur2(key: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    const SEED: u32 = 0x9747_b28c;

    let mut hash = SEED ^ key.len() as u32;
    let mut chunks = key.chunks_exact(4);
    for chunk in &mut chunks {
        let mut k = u32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]);
        k = k.wrapping_mul(M);
        k ^= k >> 24;
        k = k.wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ k;
    }
    let rest = chunks.remainder();
    if !rest.is_empty() {
        for (place, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * place);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

/// The partition of a key.
pub fn home(key: &[u8], partitions: u32) -> u32 {
    (murmur2(key) & 0x7fff_ffff) % partitions
}

impl Address {
    /// The partition where this is decided; none for what concerns nobody.
    pub fn home(&self, partitions: u32) -> Option<u32> {
        match self {
            Self::Attempt(id) => Some(home(id.as_str().as_bytes(), partitions)),
            Self::Session(id) => Some(home(id.as_str().as_bytes(), partitions)),
            Self::Nobody => None,
        }
    }
}

/// What a partition does with a record that it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// Decided here, by whom the address names.
    Here(Address),
    /// Sent on, once, to the home of its key.
    Home {
        partition: u32,
    },
    /// Concerns nobody: counted where it stands.
    Stands,
    DeadLetter(DeadLetter),
}

/// Routes a proven record that stands in partition `here`.
pub fn route(to: &Address, hop: Option<&Hop>, here: u32, partitions: u32) -> Route {
    // A claimed session's event is at home where its attempt is.
    let to = match hop.map(|hop| &hop.to) {
        // An adopted attempt lives at its session's own home.
        Some(HopTo::Claim { attempt, session, .. }) if attempt.as_str() == session.as_str() => {
            Address::Session(session.clone())
        }
        Some(HopTo::Claim { attempt, .. }) => Address::Attempt(attempt.clone()),
        Some(HopTo::Home) | None => to.clone(),
    };
    match (to.home(partitions), hop) {
        (None, _) => Route::Stands,
        (Some(home), _) if home == here => Route::Here(to),
        (Some(home), None) => Route::Home { partition: home },
        (Some(_), Some(_)) => Route::DeadLetter(DeadLetter::Misrouted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values that Kafka's own test of its Java client demands.
    #[test]
    fn the_hash_is_javas() {
        for (key, hash) in [
            ("21", -973_932_308_i32),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()) as i32, hash, "{key}");
        }
    }

    #[test]
    fn a_home_is_within_the_partitions() {
        for partitions in [1, 2, 6, 1024] {
            for key in 0..1000 {
                assert!(home(format!("gs_{key}").as_bytes(), partitions) < partitions);
            }
        }
    }
}
