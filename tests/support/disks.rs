//! Disks that fail in one way, over one that works.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use tidegate::adapters::embedded::disk::{Disk, DiskFile};

/// What a full disk refuses.
#[derive(Clone, Debug, Default)]
pub struct Full {
    /// Making room: a file system that preallocates.
    pub allocating: Arc<AtomicBool>,
    /// Writing: one that copies on write, or cannot preallocate. Half of it gets through.
    pub writing: Arc<AtomicBool>,
    /// Opening or making a file: the system's error for it, when there is one.
    pub opening: Arc<AtomicI32>,
}

pub struct FullDisk {
    pub inner: Arc<dyn Disk>,
    pub full: Full,
}

struct FullFile {
    inner: Arc<dyn DiskFile>,
    full: Full,
}

fn no_room() -> io::Error {
    io::Error::from(io::ErrorKind::StorageFull)
}

impl FullDisk {
    fn may_open(&self) -> io::Result<()> {
        match self.full.opening.load(Ordering::SeqCst) {
            0 => Ok(()),
            code => Err(io::Error::from_raw_os_error(code)),
        }
    }

    fn wrap(&self, inner: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(FullFile { inner, full: self.full.clone() })
    }
}

impl Disk for FullDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.may_open()?;
        self.inner.create(path).map(|file| self.wrap(file))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.may_open()?;
        self.inner.open(path).map(|file| self.wrap(file))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.inner.list(folder)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.inner.remove(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.inner.sync_folder(folder)
    }
}

impl DiskFile for FullFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.inner.read_at(buffer, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if self.full.writing.load(Ordering::SeqCst) {
            self.inner.write_all_at(&bytes[..bytes.len() / 2], offset)?;
            return Err(no_room());
        }
        self.inner.write_all_at(bytes, offset)
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        if self.full.allocating.load(Ordering::SeqCst) {
            return Err(no_room());
        }
        self.inner.allocate(length)
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.inner.truncate(length)
    }

    fn length(&self) -> io::Result<u64> {
        self.inner.length()
    }

    fn sync(&self) -> io::Result<()> {
        self.inner.sync()
    }
}
