//! A view that can be made to fail, or to forget, while an engine runs on it.

use super::memory_view::MemoryView;
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tidegate::ports::{Apply, Looked, View, ViewError, ViewPosition};

/// A view with moods over one that keeps its promises.
#[derive(Clone, Default)]
pub struct Moody {
    inner: MemoryView,
    pub forgets: Arc<AtomicBool>,
    pub fails: Arc<AtomicBool>,
    pub failures: Arc<AtomicU64>,
}

impl View for Moody {
    async fn position(&self, partition: u32) -> Result<ViewPosition, ViewError> {
        self.inner.position(partition).await
    }

    async fn look_up(&self, partition: u32, keys: Vec<Bytes>) -> Result<Looked, ViewError> {
        if self.forgets.swap(false, Ordering::SeqCst) {
            self.inner.forget();
        }
        self.inner.look_up(partition, keys).await
    }

    async fn apply(&self, apply: Apply) -> Result<(), ViewError> {
        if self.fails.load(Ordering::SeqCst) {
            self.failures.fetch_add(1, Ordering::SeqCst);
            return Err(ViewError::Unavailable("it is in a mood".to_owned()));
        }
        self.inner.apply(apply).await
    }

    async fn scan(
        &self,
        partition: u32,
        after: Bytes,
        limit: usize,
    ) -> Result<Vec<(Bytes, Bytes)>, ViewError> {
        self.inner.scan(partition, after, limit).await
    }
}
