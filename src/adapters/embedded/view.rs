//! The View port over fjall, written behind the journal and without a sync of its own: what a
//! crash takes from it is replayed from the position that it kept.

use crate::crash;
use crate::ports::{Apply, Looked, View, ViewError, ViewPosition};
use bytes::Bytes;
use fjall::config::PartitioningPolicy;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Applies that may wait for the view's thread: each lane has one under way at a time.
const APPLIES_MAX: usize = 64;

/// Memory for the view's read cache. Hot attempts live with their actors; this serves the rest.
const CACHE_BYTES: u64 = 8 << 20;

/// Threads that flush and compact. One is enough for the states of a two-core machine, and leaves
/// the other core to the lanes.
const WORKERS: usize = 1;

/// Memory for writes that are not in a table yet. Where the worker does not keep up, the store lets
/// four more of these wait before it holds the writer back.
const WRITE_BUFFER_BYTES: u64 = 8 << 20;

struct Work {
    apply: Apply,
    reply: oneshot::Sender<Result<(), ViewError>>,
}

#[derive(Clone)]
pub struct FjallView {
    tables: Tables,
    work: mpsc::Sender<Work>,
}

#[derive(Clone)]
struct Tables {
    database: Database,
    states: Keyspace,
    positions: Keyspace,
}

impl FjallView {
    /// Opens the view of a data folder. One that cannot be opened is thrown away: it is a
    /// projection, and the journal makes it anew.
    pub fn open(folder: &Path) -> Result<Self, ViewError> {
        let (opened_to, opened) = std::sync::mpsc::channel();
        let (work, waiting) = mpsc::channel(APPLIES_MAX);
        let folder = folder.to_owned();
        std::thread::Builder::new()
            .name("view".to_owned())
            .spawn(move || {
                give_way();
                match Self::open_tables(&folder) {
                    Ok(tables) => {
                        let _nobody = opened_to.send(Ok(tables.clone()));
                        write_behind(&tables, waiting);
                    }
                    Err(error) => {
                        let _nobody = opened_to.send(Err(error));
                    }
                }
            })
            .map_err(unavailable)?;
        let tables = opened.recv().map_err(unavailable)??;
        Ok(Self { tables, work })
    }

    fn open_tables(folder: &Path) -> Result<Tables, ViewError> {
        Ok(match Tables::open(folder) {
            Ok(tables) => tables,
            Err(error) => {
                tracing::warn!(%error, "the view cannot be opened and is made anew from the journal");
                std::fs::remove_dir_all(folder).map_err(unavailable)?;
                Tables::open(folder).map_err(unavailable)?
            }
        })
    }

    /// Makes everything applied so far durable: a start after this has less to replay.
    pub fn persist(&self) -> Result<(), ViewError> {
        self.tables.database.persist(PersistMode::SyncAll).map_err(unavailable)
    }
}

/// Lowers the priority of the calling thread, and so of the threads that the store starts from it:
/// compacting what nobody waits for must not delay an acknowledgement.
fn give_way() {
    const NICE: i32 = 5;
    if let Err(error) = rustix::process::nice(NICE) {
        tracing::debug!(%error, "the view's threads keep their priority");
    }
}

fn write_behind(tables: &Tables, mut waiting: mpsc::Receiver<Work>) {
    while let Some(Work { apply, reply }) = waiting.blocking_recv() {
        crash::point("view.before_apply");
        let done = tables.apply(&apply);
        crash::point("view.after_apply");
        let _nobody = reply.send(done);
    }
}

impl Tables {
    fn open(folder: &Path) -> Result<Self, fjall::Error> {
        let database =
            Database::builder(folder).cache_size(CACHE_BYTES).worker_threads(WORKERS).open()?;
        let states = database.keyspace("states", || {
            // By parts, an index is read where it is needed: whole, one took an eighth of the cache.
            KeyspaceCreateOptions::default()
                .max_memtable_size(WRITE_BUFFER_BYTES)
                .index_block_partitioning_policy(PartitioningPolicy::all(true))
                .filter_block_partitioning_policy(PartitioningPolicy::all(true))
        })?;
        let positions = database.keyspace("positions", KeyspaceCreateOptions::default)?;
        Ok(Self { database, states, positions })
    }

    fn position(&self, partition: u32) -> Result<ViewPosition, ViewError> {
        let stored = self.positions.get(partition.to_be_bytes()).map_err(unavailable)?;
        Ok(stored.and_then(|bytes| decode_position(&bytes)).unwrap_or_default())
    }

    fn apply(&self, apply: &Apply) -> Result<(), ViewError> {
        let has = self.position(apply.partition)?;
        let partition = apply.partition;
        if has.epoch > apply.position.epoch {
            return Err(ViewError::Fenced {
                partition,
                has: has.epoch,
                ours: apply.position.epoch,
            });
        }
        if has.changelog > apply.position.changelog {
            return Ok(());
        }
        if has.changelog < apply.after {
            let (has, had) = (has.changelog, apply.after);
            return Err(ViewError::Regressed { partition, has, had });
        }
        let mut batch = self.database.batch();
        for (key, state) in &apply.states {
            batch.insert(&self.states, stored_key(partition, key), state.as_ref());
        }
        batch.insert(&self.positions, partition.to_be_bytes(), encode_position(apply.position));
        batch.commit().map_err(given_up)
    }
}

impl View for FjallView {
    async fn position(&self, partition: u32) -> Result<ViewPosition, ViewError> {
        self.tables.position(partition)
    }

    async fn look_up(&self, partition: u32, keys: Vec<Bytes>) -> Result<Looked, ViewError> {
        // The position first: what is read after it can only be newer.
        let position = self.tables.position(partition)?;
        let values = keys
            .iter()
            .map(|key| {
                let found = self.tables.states.get(stored_key(partition, key));
                found.map(|found| found.map(|value| Bytes::copy_from_slice(&value)))
            })
            .collect::<Result<_, _>>()
            .map_err(unavailable)?;
        Ok(Looked { position, values })
    }

    async fn apply(&self, apply: Apply) -> Result<(), ViewError> {
        let gone = || ViewError::Unavailable("its thread has ended".to_owned());
        let (reply, answer) = oneshot::channel();
        self.work.send(Work { apply, reply }).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    async fn scan(
        &self,
        partition: u32,
        after: Bytes,
        limit: usize,
    ) -> Result<Vec<(Bytes, Bytes)>, ViewError> {
        let prefix = partition.to_be_bytes();
        let from = stored_key(partition, &after);
        let mut found = vec![];
        for entry in self.tables.states.range(from.clone()..) {
            let (key, value) = entry.into_inner().map_err(unavailable)?;
            if !key.starts_with(&prefix) || found.len() >= limit {
                break;
            }
            if key.as_ref() != from.as_slice() {
                let key = Bytes::copy_from_slice(&key[prefix.len()..]);
                found.push((key, Bytes::copy_from_slice(&value)));
            }
        }
        Ok(found)
    }
}

fn stored_key(partition: u32, key: &[u8]) -> Vec<u8> {
    [&partition.to_be_bytes(), key].concat()
}

fn encode_position(position: ViewPosition) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&position.epoch.to_be_bytes());
    bytes[8..].copy_from_slice(&position.changelog.to_be_bytes());
    bytes
}

fn decode_position(bytes: &[u8]) -> Option<ViewPosition> {
    let (epoch, changelog) = bytes.split_at_checked(8)?;
    Some(ViewPosition {
        epoch: u64::from_be_bytes(epoch.try_into().ok()?),
        changelog: u64::from_be_bytes(changelog.try_into().ok()?),
    })
}

/// After a failed write the store refuses every later one.
fn given_up(error: fjall::Error) -> ViewError {
    if matches!(error, fjall::Error::Poisoned) {
        return ViewError::Broken(error.to_string());
    }
    unavailable(error)
}

fn unavailable(error: impl std::error::Error + Send + Sync + 'static) -> ViewError {
    ViewError::Unavailable(Arc::new(error).to_string())
}
