//! The engines behind the ports. Each folder knows the ports and the wire, and nothing above.

pub mod embedded;
pub mod kafka;
pub mod redis;

use crate::ports::FeedError;

/// Reading a feed is waiting, and must not hold up whoever answers requests on this thread.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FeedError> + Send + 'static,
) -> Result<T, FeedError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Err(gone()))
}

fn gone() -> FeedError {
    FeedError::Unreadable("its reader ended in the middle".to_owned())
}
