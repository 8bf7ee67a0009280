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
            // A journal may hand over again what is held back already.
            let last = held_back.back().map(|last| last.position.offset);
            if last.is_none_or(|last| last < signal.position.offset) {
                held_back.push_back(signal);
            }
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

    /// Puts what was held back before everything else. Says how many that are, and from where on what
    /// comes is new.
    pub(super) fn bring_back(&mut self, partition: u32) -> Option<(u32, u64)> {
        let held_back = self.held_back.remove(&partition)?;
        let count = u32::try_from(held_back.len()).unwrap_or(u32::MAX);
        let beyond = held_back.back()?.position.offset + 1;
        held_back.into_iter().rev().for_each(|signal| self.put_back(signal));
        Some((count, beyond))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attempt::Position;
    use crate::wire::seal::Seal;
    use crate::wire::signal::{Form, SignalRecord};

    fn signal(partition: u32, offset: u64) -> Fetched {
        let seal = Seal { key: 0, mac: [0; 32] };
        let record = SignalRecord { value: bytes::Bytes::new(), form: Form::Own, seal, hop: None };
        Fetched { position: Position { partition, offset }, record, proven: None }
    }

    fn offsets(inbox: &mut Inbox) -> Vec<(u32, u64)> {
        let position = |signal: &mut Fetched| (signal.position.partition, signal.position.offset);
        inbox.iter_mut().map(position).collect()
    }

    #[test]
    fn what_is_held_back_is_not_taken_and_comes_back_once_and_first() {
        let mut inbox = Inbox::default();
        for (partition, offset) in [(0, 5), (1, 1), (0, 6)] {
            inbox.push(signal(partition, offset));
        }
        inbox.hold_back(0);
        assert_eq!(offsets(&mut inbox), [(1, 1)]);
        // Handed over again, from the beginning.
        for offset in 5..8 {
            inbox.push(signal(0, offset));
        }
        assert_eq!((inbox.len(), inbox.held()), (1, 4));
        assert_eq!(inbox.bring_back(0), Some((3, 8)));
        assert_eq!(offsets(&mut inbox), [(0, 5), (0, 6), (0, 7), (1, 1)]);
        assert_eq!(inbox.bring_back(0), None);
        inbox.forget(&[0]);
        assert_eq!(offsets(&mut inbox), [(1, 1)]);
    }
}
