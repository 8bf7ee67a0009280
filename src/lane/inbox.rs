//! Signals that wait to be decided, in the order in which they came; and those of partitions that
//! are taken over anew meanwhile, held back.

use super::batch::weight;
use crate::ports::Fetched;
use std::collections::{BTreeMap, VecDeque};

#[derive(Debug, Default)]
pub(super) struct Inbox {
    waiting: VecDeque<Fetched>,
    bytes: usize,
    held_back: BTreeMap<u32, VecDeque<Fetched>>,
}

impl Inbox {
    /// Signals that may be taken.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Everything that is held.
    pub(super) fn held(&self) -> usize {
        self.waiting.len() + self.held_back.values().map(VecDeque::len).sum::<usize>()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn has(&self, partition: u32) -> bool {
        self.waiting.iter().any(|signal| signal.position.partition == partition)
    }

    pub(super) fn push(&mut self, signal: Fetched) {
        if let Some(held_back) = self.held_back.get_mut(&signal.position.partition) {
            held_back.push_back(signal);
            return;
        }
        self.bytes += weight(&signal.record);
        self.waiting.push_back(signal);
    }

    /// Puts back what was taken last.
    pub(super) fn put_back(&mut self, signal: Fetched) {
        self.bytes += weight(&signal.record);
        self.waiting.push_front(signal);
    }

    pub(super) fn is_held_back(&self, partition: u32) -> bool {
        self.held_back.contains_key(&partition)
    }

    /// Nothing of this partition is taken until it is back.
    pub(super) fn hold_back(&mut self, partition: u32) {
        let (held_back, waiting) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|signal| signal.position.partition == partition);
        self.waiting = waiting;
        self.held_back.insert(partition, held_back);
        self.weigh();
    }

    /// Puts what was held back before everything else. Says from where on what comes is new.
    pub(super) fn bring_back(&mut self, partition: u32) -> Option<u64> {
        let held_back = self.held_back.remove(&partition)?;
        let beyond = held_back.back().map(|signal| signal.position.offset + 1);
        held_back.into_iter().rev().for_each(|signal| self.put_back(signal));
        beyond
    }

    pub(super) fn forget(&mut self, partitions: &[u32]) {
        self.waiting.retain(|signal| !partitions.contains(&signal.position.partition));
        self.held_back.retain(|partition, _| !partitions.contains(partition));
        self.weigh();
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Fetched> {
        self.waiting.iter_mut()
    }

    /// The first so many, which weigh so much.
    pub(super) fn take(&mut self, count: usize, bytes: usize) -> Vec<Fetched> {
        self.bytes -= bytes;
        self.waiting.drain(..count).collect()
    }

    fn weigh(&mut self) {
        self.bytes = self.waiting.iter().map(|signal| weight(&signal.record)).sum();
    }
}
