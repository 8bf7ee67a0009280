//! Committed states that the view has not acknowledged yet. They win over whatever the view says,
//! and nobody may forget them before it has them.

use bytes::Bytes;
use hashbrown::HashMap;
use smol_str::SmolStr;

/// Newest committed state per key, in two generations: gathered since the last apply began, and
/// being applied now. Writing behind in generations coalesces: however often a state changed in
/// between, the view sees only the newest.
#[derive(Debug, Default)]
pub struct Dirty {
    gathered: HashMap<SmolStr, Entry>,
    applying: HashMap<SmolStr, Entry>,
    bytes: usize,
    applying_bytes: usize,
}

#[derive(Clone, Debug)]
struct Entry {
    partition: u32,
    state: Bytes,
}

impl Dirty {
    pub fn put(&mut self, partition: u32, key: SmolStr, state: Bytes) {
        self.bytes += weight(&key, &state);
        let had = self.gathered.insert(key.clone(), Entry { partition, state });
        if let Some(had) = had {
            self.bytes -= weight(&key, &had.state);
        }
    }

    /// The newest committed state of `key`, where the view may not have it yet.
    pub fn get(&self, key: &str) -> Option<&Bytes> {
        self.gathered.get(key).or_else(|| self.applying.get(key)).map(|entry| &entry.state)
    }

    /// Bytes held in both generations.
    pub fn bytes(&self) -> usize {
        self.bytes + self.applying_bytes
    }

    pub fn is_clean(&self) -> bool {
        self.gathered.is_empty() && self.applying.is_empty()
    }

    pub fn has_gathered(&self) -> bool {
        !self.gathered.is_empty()
    }

    /// Begins an apply: hands out what was gathered, by partition, and goes on serving it.
    pub fn begin(&mut self) -> Vec<(u32, Vec<(Bytes, Bytes)>)> {
        debug_assert!(self.applying.is_empty(), "one apply at a time");
        self.applying = std::mem::take(&mut self.gathered);
        self.applying_bytes = std::mem::take(&mut self.bytes);
        let mut by_partition: Vec<(u32, Vec<(Bytes, Bytes)>)> = vec![];
        for (key, entry) in self.applying.clone() {
            let state = (Bytes::copy_from_slice(key.as_bytes()), entry.state);
            match by_partition.iter_mut().find(|(partition, _)| *partition == entry.partition) {
                Some((_, states)) => states.push(state),
                None => by_partition.push((entry.partition, vec![state])),
            }
        }
        by_partition.sort_by_key(|(partition, _)| *partition);
        by_partition
    }

    /// The view has everything that [`Self::begin`] handed out.
    pub fn done(&mut self) {
        self.applying.clear();
        self.applying_bytes = 0;
    }

    /// The view has what was handed out of these partitions.
    pub fn done_of(&mut self, partitions: &[u32]) {
        self.applying.retain(|_, entry| !partitions.contains(&entry.partition));
        self.applying_bytes = weight_of(&self.applying);
    }

    /// Somebody else shows the view these partitions from now on.
    pub fn drop_partitions(&mut self, partitions: &[u32]) {
        let lost = |entry: &Entry| partitions.contains(&entry.partition);
        self.gathered.retain(|_, entry| !lost(entry));
        self.applying.retain(|_, entry| !lost(entry));
        self.bytes = weight_of(&self.gathered);
        self.applying_bytes = weight_of(&self.applying);
    }

    /// The view could not take it: it is gathered again, under whatever is newer.
    pub fn undo(&mut self) {
        for (key, entry) in std::mem::take(&mut self.applying) {
            if !self.gathered.contains_key(&key) {
                self.put(entry.partition, key, entry.state);
            }
        }
        self.applying_bytes = 0;
    }
}

fn weight_of(held: &HashMap<SmolStr, Entry>) -> usize {
    held.iter().map(|(key, entry)| weight(key, &entry.state)).sum()
}

/// What holding an entry costs. A state is a slice of a whole commit, which stays in memory as
/// long as one of its slices does; coalescing keeps that to a few commits.
fn weight(key: &str, state: &Bytes) -> usize {
    const FIXED: usize = 96;
    key.len() + state.len() + FIXED
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> SmolStr {
        SmolStr::new(text)
    }

    #[test]
    fn the_newest_state_wins_over_the_one_being_applied() {
        let mut dirty = Dirty::default();
        dirty.put(0, key("a"), Bytes::from("1"));
        let handed = dirty.begin();
        assert_eq!(handed, [(0, vec![(Bytes::from("a"), Bytes::from("1"))])]);
        assert_eq!(dirty.get("a").unwrap(), "1", "still served while it is applied");
        dirty.put(0, key("a"), Bytes::from("2"));
        assert_eq!(dirty.get("a").unwrap(), "2");
        dirty.done();
        assert_eq!(dirty.get("a").unwrap(), "2", "the newer one is still to be applied");
        assert_eq!(dirty.begin(), [(0, vec![(Bytes::from("a"), Bytes::from("2"))])]);
        dirty.done();
        assert!(dirty.is_clean());
        assert_eq!(dirty.bytes(), 0);
    }

    #[test]
    fn a_failed_apply_gives_nothing_up() {
        let mut dirty = Dirty::default();
        dirty.put(0, key("a"), Bytes::from("1"));
        dirty.put(1, key("b"), Bytes::from("1"));
        assert_eq!(dirty.begin().len(), 2);
        dirty.put(0, key("a"), Bytes::from("2"));
        dirty.undo();
        assert_eq!(dirty.get("a").unwrap(), "2");
        assert_eq!(dirty.get("b").unwrap(), "1");
        assert_eq!(dirty.begin().len(), 2);
    }

    #[test]
    fn what_is_in_is_not_applied_again() {
        let mut dirty = Dirty::default();
        dirty.put(0, key("a"), Bytes::from("1"));
        dirty.put(1, key("b"), Bytes::from("1"));
        dirty.begin();
        dirty.done_of(&[0]);
        dirty.undo();
        assert_eq!(dirty.get("a"), None);
        assert_eq!(dirty.begin(), [(1, vec![(Bytes::from("b"), Bytes::from("1"))])]);
        dirty.done();
        assert_eq!(dirty.bytes(), 0);
    }
}
