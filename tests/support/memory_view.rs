//! The View port in memory: the simplest thing that keeps its promises.

use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use tidegate::ports::{Apply, Looked, View, ViewError, ViewPosition};

#[derive(Clone, Debug, Default)]
pub struct MemoryView(Arc<Mutex<BTreeMap<u32, Shown>>>);

#[derive(Debug, Default)]
struct Shown {
    position: ViewPosition,
    states: BTreeMap<Bytes, Bytes>,
}

impl MemoryView {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, Shown>> {
        self.0.lock().unwrap()
    }

    /// Everything is gone, as if it had never been there.
    pub fn forget(&self) {
        self.lock().clear();
    }
}

impl View for MemoryView {
    async fn position(&self, partition: u32) -> Result<ViewPosition, ViewError> {
        Ok(self.lock().entry(partition).or_default().position)
    }

    async fn look_up(&self, partition: u32, keys: Vec<Bytes>) -> Result<Looked, ViewError> {
        let mut all = self.lock();
        let shown = all.entry(partition).or_default();
        let values = keys.iter().map(|key| shown.states.get(key).cloned()).collect();
        Ok(Looked { position: shown.position, values })
    }

    async fn apply(&self, apply: Apply) -> Result<(), ViewError> {
        let Apply { partition, after, position, states } = apply;
        let mut all = self.lock();
        let shown = all.entry(partition).or_default();
        let has = shown.position;
        if has.epoch > position.epoch {
            return Err(ViewError::Fenced { partition, has: has.epoch, ours: position.epoch });
        }
        if has.changelog > position.changelog {
            return Ok(());
        }
        if has.changelog < after {
            return Err(ViewError::Regressed { partition, has: has.changelog, had: after });
        }
        shown.position = position;
        shown.states.extend(states);
        Ok(())
    }

    async fn scan(
        &self,
        partition: u32,
        after: Bytes,
        limit: usize,
    ) -> Result<Vec<(Bytes, Bytes)>, ViewError> {
        let mut all = self.lock();
        let states = &all.entry(partition).or_default().states;
        let found = states.iter().filter(|(key, _)| **key > after).take(limit);
        Ok(found.map(|(key, state)| (key.clone(), state.clone())).collect())
    }
}
