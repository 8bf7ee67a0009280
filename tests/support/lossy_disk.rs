//! A disk in memory that knows what was synced, and forgets the rest when its power is cut.

use super::Dice;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use tidegate::adapters::embedded::disk::{Disk, DiskFile};

/// What is written to the platter whole or not at all.
const SECTOR: u64 = 512;

#[derive(Clone, Debug, Default)]
pub struct LossyDisk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Names as programs see them, and as the disk has them.
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    /// Changes of names that are not durable yet, in order.
    renamings: Vec<Renaming>,
    files: Vec<Content>,
    /// Goes up with every cut: handles of an earlier life are dead.
    life: u64,
    dark: bool,
    sync_fails: bool,
    syncs: u64,
}

#[derive(Clone, Debug)]
enum Renaming {
    Made(PathBuf, usize),
    Moved(PathBuf, PathBuf),
    Gone(PathBuf),
}

#[derive(Debug, Default)]
struct Content {
    length: u64,
    sectors: BTreeMap<u64, Vec<u8>>,
    durable_length: u64,
    durable: BTreeMap<u64, Vec<u8>>,
    dirty: BTreeSet<u64>,
}

impl LossyDisk {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Cuts the power. What was not synced is gone, but for what `dice` lets through: a disk may
    /// have written any of it by itself.
    pub fn cut(&self, dice: &mut Dice) {
        let mut state = self.lock();
        if state.dark {
            return;
        }
        state.dark = true;
        state.life += 1;
        let kept = dice.below(state.renamings.len() as u64 + 1) as usize;
        let through: Vec<Renaming> = state.renamings.drain(..).take(kept).collect();
        for renaming in through {
            renaming.happen(&mut state.durable_names);
        }
        state.names = state.durable_names.clone();
        for file in &mut state.files {
            file.lose(dice);
        }
    }

    pub fn revive(&self) {
        self.lock().dark = false;
    }

    pub fn is_dark(&self) -> bool {
        self.lock().dark
    }

    /// From now on syncs fail as they do on a dying disk: the pages count as clean afterwards, and
    /// whoever reads sees them, though the disk does not have them.
    pub fn fail_syncs(&self, fail: bool) {
        self.lock().sync_fails = fail;
    }

    pub fn syncs(&self) -> u64 {
        self.lock().syncs
    }

    fn lit(&self, life: Option<u64>) -> io::Result<MutexGuard<'_, State>> {
        let state = self.lock();
        if state.dark || life.is_some_and(|life| life != state.life) {
            return Err(io::Error::other("the power is off"));
        }
        Ok(state)
    }

    fn handle(&self, file: usize, life: u64) -> Arc<dyn DiskFile> {
        Arc::new(LossyFile { disk: self.clone(), file, life })
    }
}

impl Renaming {
    fn happen(self, names: &mut BTreeMap<PathBuf, usize>) {
        match self {
            Self::Made(path, file) => {
                names.insert(path, file);
            }
            Self::Moved(from, to) => {
                if let Some(file) = names.remove(&from) {
                    names.insert(to, file);
                }
            }
            Self::Gone(path) => {
                names.remove(&path);
            }
        }
    }
}

impl Content {
    fn write(&mut self, bytes: &[u8], offset: u64) {
        let end = offset + bytes.len() as u64;
        let mut at = offset;
        while at < end {
            let inside = (at % SECTOR) as usize;
            let step = (SECTOR as usize - inside).min((end - at) as usize);
            let place = (at - offset) as usize;
            let sector =
                self.sectors.entry(at / SECTOR).or_insert_with(|| vec![0; SECTOR as usize]);
            sector[inside..inside + step].copy_from_slice(&bytes[place..place + step]);
            at += step as u64;
        }
        if !bytes.is_empty() {
            self.dirty.extend(offset / SECTOR..=(end - 1) / SECTOR);
        }
        self.length = self.length.max(end);
    }

    fn truncate(&mut self, length: u64) {
        let cut = self.sectors.split_off(&length.div_ceil(SECTOR));
        self.dirty.extend(cut.keys());
        let inside = (length % SECTOR) as usize;
        if let Some(last) = self.sectors.get_mut(&(length / SECTOR)) {
            last[inside..].fill(0);
            self.dirty.insert(length / SECTOR);
        }
        self.length = length;
    }

    fn read(&self, buffer: &mut [u8], offset: u64) -> usize {
        let count = self.length.saturating_sub(offset).min(buffer.len() as u64) as usize;
        let buffer = &mut buffer[..count];
        buffer.fill(0);
        let mut at = offset;
        while at < offset + count as u64 {
            let inside = (at % SECTOR) as usize;
            let step = (SECTOR as usize - inside).min((offset + count as u64 - at) as usize);
            if let Some(sector) = self.sectors.get(&(at / SECTOR)) {
                let place = (at - offset) as usize;
                buffer[place..place + step].copy_from_slice(&sector[inside..inside + step]);
            }
            at += step as u64;
        }
        count
    }

    fn persist(&mut self, sector: u64) {
        match self.sectors.get(&sector) {
            Some(bytes) => self.durable.insert(sector, bytes.clone()),
            None => self.durable.remove(&sector),
        };
    }

    fn sync(&mut self) {
        for sector in std::mem::take(&mut self.dirty) {
            self.persist(sector);
        }
        self.durable_length = self.length;
    }

    fn lose(&mut self, dice: &mut Dice) {
        // Often nothing gets through, sometimes nearly all of it, mostly something in between.
        let through = [0, 50, 95][dice.below(3) as usize];
        for sector in std::mem::take(&mut self.dirty) {
            if dice.chance(through) {
                self.persist(sector);
            }
        }
        if dice.chance(through) {
            self.durable_length = self.length;
        }
        self.length = self.durable_length;
        let _beyond = self.durable.split_off(&self.length.div_ceil(SECTOR));
        self.sectors = self.durable.clone();
    }
}

impl Disk for LossyDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.lit(None)?;
        let life = state.life;
        let file = match state.names.get(path) {
            Some(&file) => {
                state.files[file].truncate(0);
                file
            }
            None => {
                state.files.push(Content::default());
                let file = state.files.len() - 1;
                state.names.insert(path.to_owned(), file);
                state.renamings.push(Renaming::Made(path.to_owned(), file));
                file
            }
        };
        Ok(self.handle(file, life))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let state = self.lit(None)?;
        let file = state.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(self.handle(*file, state.life))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let state = self.lit(None)?;
        let inside = state.names.keys().filter(|path| path.parent() == Some(folder));
        Ok(inside.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.lit(None)?;
        let file = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.to_owned(), file);
        state.renamings.push(Renaming::Moved(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lit(None)?;
        state.names.remove(path).ok_or(io::ErrorKind::NotFound)?;
        state.renamings.push(Renaming::Gone(path.to_owned()));
        Ok(())
    }

    fn sync_folder(&self, _the_only_one: &Path) -> io::Result<()> {
        let mut state = self.lit(None)?;
        if state.sync_fails {
            return Err(io::Error::other("the disk is dying"));
        }
        state.renamings.clear();
        state.durable_names = state.names.clone();
        Ok(())
    }
}

struct LossyFile {
    disk: LossyDisk,
    file: usize,
    life: u64,
}

impl LossyFile {
    fn with<T>(&self, act: impl FnOnce(&mut Content) -> T) -> io::Result<T> {
        let mut state = self.disk.lit(Some(self.life))?;
        Ok(act(&mut state.files[self.file]))
    }
}

impl DiskFile for LossyFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.with(|content| content.read(buffer, offset))
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.with(|content| content.write(bytes, offset))
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        self.with(|content| content.length = content.length.max(length))
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.with(|content| content.truncate(length))
    }

    fn length(&self) -> io::Result<u64> {
        self.with(|content| content.length)
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.lit(Some(self.life))?;
        state.syncs += 1;
        if state.sync_fails {
            state.files[self.file].dirty.clear();
            return Err(io::Error::other("the disk is dying"));
        }
        state.files[self.file].sync();
        Ok(())
    }
}
