//! Bringing the view up to the journal: whoever takes a partition over shows it what it lacks.

use crate::ports::{Apply, JournalError, Replayed, View, ViewError, ViewPosition};
use bytes::Bytes;
use std::collections::HashMap;
use std::ops::ControlFlow;
use tokio::sync::mpsc;

#[derive(Debug, thiserror::Error)]
pub enum TakeoverError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    View(#[from] ViewError),
    #[error(
        "the view has partition {partition} up to {has}, but the journal ends at {end}: it belongs to another journal, or the journal lost something"
    )]
    ViewAhead { partition: u32, has: u64, end: u64 },
}

/// States replayed before they are applied together. Large enough to coalesce, small enough to
/// hold.
const CHUNK_BYTES: usize = 4 << 20;

/// Chunks that may wait for the view.
const CHUNKS_WAITING: usize = 2;

#[derive(Default)]
struct Chunk {
    states: HashMap<Bytes, Bytes>,
    bytes: usize,
    /// What the view has of the changelog once these are in.
    changelog: u64,
}

/// What a replay hands things over to.
pub type Each<'a> = &'a mut dyn FnMut(Replayed) -> ControlFlow<()>;

/// Shows the view what it has not of a partition, and leaves it at `to` at least. `replay` hands over
/// what was committed from a changelog position on, as a journal does. Says how many states.
///
/// Whoever else does the same meanwhile, in the same epoch, does no harm: what either brings was
/// committed, and the view takes it only where it has everything before it.
pub async fn catch_up<V: View, R>(
    replay: R,
    view: &V,
    partition: u32,
    to: ViewPosition,
) -> Result<u64, TakeoverError>
where
    R: FnOnce(u64, Each<'_>) -> Result<u64, JournalError> + Send + 'static,
{
    let from = view.position(partition).await?.changelog;
    let (chunk_to, mut chunks) = mpsc::channel::<Chunk>(CHUNKS_WAITING);
    let reading = tokio::task::spawn_blocking(move || read(replay, from, &chunk_to));
    let (mut replayed, mut after) = (0, from);
    while let Some(Chunk { states, changelog, .. }) = chunks.recv().await {
        replayed += states.len() as u64;
        let states = states.into_iter().collect();
        // In the name of who takes over, whoever decided them.
        let position = ViewPosition { epoch: to.epoch, changelog };
        view.apply(Apply { partition, after, position, states }).await?;
        after = changelog;
    }
    let end = match reading.await {
        Ok(read) => read?,
        Err(_panicked) => return Err(JournalError::Closed.into()),
    };
    if from > end {
        return Err(TakeoverError::ViewAhead { partition, has: from, end });
    }
    view.apply(Apply { partition, after, position: to, states: vec![] }).await?;
    Ok(replayed)
}

fn read(
    replay: impl FnOnce(u64, Each<'_>) -> Result<u64, JournalError>,
    from: u64,
    to: &mpsc::Sender<Chunk>,
) -> Result<u64, JournalError> {
    let mut chunk = Chunk::default();
    let send = |chunk: Chunk| match to.blocking_send(chunk) {
        Ok(()) => ControlFlow::Continue(()),
        // Nobody waits for it any more.
        Err(_) => ControlFlow::Break(()),
    };
    let end = replay(from, &mut |replayed| match replayed {
        Replayed::State { key, value } => {
            chunk.bytes += key.len() + value.len();
            // Copies, so that a chunk does not keep whole frames in memory.
            chunk.states.insert(Bytes::copy_from_slice(&key), Bytes::copy_from_slice(&value));
            ControlFlow::Continue(())
        }
        Replayed::Upto { changelog } => {
            chunk.changelog = changelog;
            if chunk.bytes < CHUNK_BYTES {
                return ControlFlow::Continue(());
            }
            send(std::mem::take(&mut chunk))
        }
    })?;
    if chunk.changelog > 0 {
        let _over_either_way = send(chunk);
    }
    Ok(end)
}
