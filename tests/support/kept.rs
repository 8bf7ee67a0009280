//! A folder of a test. Where `TIDEGATE_TESTS_KEEP` is set and the test fails it stays, to be looked
//! at: what a process said, what a broker has on its disk.

use std::path::Path;
use tempfile::TempDir;

pub struct KeptFolder(TempDir);

impl KeptFolder {
    pub fn make() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for KeptFolder {
    fn drop(&mut self) {
        if std::thread::panicking() && std::env::var_os("TIDEGATE_TESTS_KEEP").is_some() {
            self.0.disable_cleanup(true);
            println!("kept {}", self.path().display());
        }
    }
}
