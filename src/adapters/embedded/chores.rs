//! What the log needs done and no acknowledgement should wait for: the next segment made ready, the
//! last one cut to size, a snapshot saved. One thread does it, in order.
//!
//! Nothing here is needed for what was acknowledged to be there after a crash: a spare that was
//! never finished is made again, a segment that was not cut is cut by the next start, and a
//! snapshot only saves time.

use super::disk::{Disk, DiskFile, make_ready};
use super::segment::is_no_room;
use super::snapshot::Snapshot;
use crate::crash;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// Chores that may wait. A log rolls and is summed up every some ten thousand signals, so more than
/// one only wait behind a disk that is in trouble; then the writer waits too.
const CHORES_MAX: usize = 4;

/// What the next segment is called until it has an address.
const SPARE: &str = "spare";

enum Chore {
    /// Make a file ready for `bytes`, and hand it over.
    Spare {
        bytes: u64,
    },
    /// Cut a segment to what it holds.
    Cut {
        file: Arc<dyn DiskFile>,
        length: u64,
        path: PathBuf,
    },
    Save(Snapshot),
}

/// The writer's side.
pub struct Chores {
    ask: Option<SyncSender<Chore>>,
    spares: Receiver<io::Result<Arc<dyn DiskFile>>>,
    /// Whether a spare was asked for and not yet taken.
    spare_comes: bool,
    spare: PathBuf,
    thread: Option<JoinHandle<()>>,
}

impl Chores {
    pub fn start(disk: Arc<dyn Disk>, folder: PathBuf) -> io::Result<Self> {
        let (ask, chores) = sync_channel(CHORES_MAX);
        let (spares_to, spares) = sync_channel(1);
        let spare = folder.join(SPARE);
        let thread = std::thread::Builder::new()
            .name("journal-chores".to_owned())
            .spawn(move || work(disk.as_ref(), &folder, &chores, &spares_to))?;
        Ok(Self { ask: Some(ask), spares, spare_comes: false, spare, thread: Some(thread) })
    }

    fn ask(&self, chore: Chore) {
        if let Some(ask) = &self.ask {
            // A thread that is gone has said why, and the writer can do without.
            let _gone = ask.send(chore);
        }
    }

    /// Has a spare segment of `bytes` made, unless one was asked for already.
    pub fn ask_spare(&mut self, bytes: u64) {
        if !self.spare_comes {
            self.spare_comes = true;
            self.ask(Chore::Spare { bytes });
        }
    }

    /// The spare and where it lies, if one was asked for and could be made. One that is being made
    /// is waited for: making another would take longer.
    pub fn take_spare(&mut self) -> Option<(Arc<dyn DiskFile>, &Path)> {
        if !std::mem::take(&mut self.spare_comes) {
            return None;
        }
        let file = self.spares.recv().ok()?.ok()?;
        Some((file, &self.spare))
    }

    pub fn cut(&self, file: Arc<dyn DiskFile>, length: u64, path: PathBuf) {
        self.ask(Chore::Cut { file, length, path });
    }

    pub fn save(&self, snapshot: Snapshot) {
        self.ask(Chore::Save(snapshot));
    }
}

impl Drop for Chores {
    /// Whoever has closed the log may count on its files being as they stay.
    fn drop(&mut self) {
        self.ask = None;
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

/// Removes what an earlier life had made ready: it takes room, and may be of another size.
pub fn remove_spare(disk: &dyn Disk, folder: &Path) -> io::Result<()> {
    if disk.list(folder)?.iter().any(|name| name == SPARE) {
        disk.remove(&folder.join(SPARE))?;
    }
    Ok(())
}

fn work(
    disk: &dyn Disk,
    folder: &Path,
    chores: &Receiver<Chore>,
    spares: &SyncSender<io::Result<Arc<dyn DiskFile>>>,
) {
    while let Ok(chore) = chores.recv() {
        match chore {
            Chore::Spare { bytes } => {
                let made = make_ready(disk, &folder.join(SPARE), bytes);
                if let Err(error) = &made {
                    tracing::warn!(%error, "the next segment of the journal cannot be made yet");
                }
                let _writer_is_gone = spares.send(made);
            }
            Chore::Cut { file, length, path } => {
                crash::point("journal.roll.before_cut");
                if let Err(error) = file.truncate(length).and_then(|()| file.sync()) {
                    let path = path.display();
                    tracing::warn!(%error, %path, "a full segment was not cut; a start will do it");
                }
                crash::point("journal.roll.after_cut");
            }
            Chore::Save(snapshot) => match snapshot.save(disk, folder) {
                Ok(()) => {}
                Err(error) if is_no_room(&error) => {
                    tracing::warn!(%error, "no room for a snapshot")
                }
                Err(error) => tracing::error!(%error, "cannot save a snapshot"),
            },
        }
    }
}
