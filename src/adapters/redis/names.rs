//! Which key a state stands under. Everything of one partition shares a hash tag, so that one
//! script reaches it on one node of a Redis Cluster.

use xxhash_rust::xxh3::xxh3_64;

/// Hashes that a partition's states are spread over. The fields of each are counted, so that a
/// lost one shows; a scan reads one whole, so not too few; a view that begins anew unlinks all, so
/// not too many.
const BUCKETS: u16 = 1024;

#[derive(Clone, Debug)]
pub(super) struct Names {
    prefix: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Bucket(u16);

impl Names {
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    pub(super) fn meta(&self, partition: u32) -> String {
        format!("{{{}:{partition}}}:meta", self.prefix)
    }

    pub(super) fn bucket(&self, partition: u32, bucket: Bucket) -> String {
        format!("{{{}:{partition}}}:{}", self.prefix, bucket.0)
    }
}

impl Bucket {
    pub(super) const FIRST: Self = Self(0);

    pub(super) fn of(field: &[u8]) -> Self {
        Self((xxh3_64(field) % u64::from(BUCKETS)) as u16)
    }

    pub(super) fn next(self) -> Option<Self> {
        Some(Self(self.0 + 1)).filter(|next| next.0 < BUCKETS)
    }

    pub(super) fn all() -> impl Iterator<Item = Self> {
        (0..BUCKETS).map(Self)
    }
}
