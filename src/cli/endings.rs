//! How the processes of one name ended, counted in their data folder: what ends by itself is hardly
//! ever scraped again, and the next one tells.

use super::kept;
use crate::telemetry::{Ending, Metrics};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

pub(super) struct Endings {
    folder: PathBuf,
    name: String,
    kept: Kept,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    /// A process of this name runs, or has ended without a word.
    running: bool,
    ended: BTreeMap<String, u64>,
}

impl Endings {
    /// Those of an instance, which may share its folder with others.
    pub(super) fn of(folder: PathBuf, instance: &str) -> Self {
        Self { folder, name: format!("ends-{instance}.json"), kept: Kept::default() }
    }

    /// Tells how those before this one ended. From here on this one runs. Without a folder nothing is
    /// known of them, and nothing is kept.
    pub(super) fn begin(&mut self, metrics: &Metrics) {
        match std::fs::read(self.folder.join(&self.name)) {
            Ok(bytes) => match serde_json::from_slice(&bytes) {
                Ok(kept) => self.kept = kept,
                Err(error) => tracing::warn!(%error, self.name, "cannot be read; counting anew"),
            },
            // The first of its name.
            Err(_not_there) => {}
        }
        if self.kept.running {
            self.count(Ending::Killed);
        }
        for how in Ending::ALL {
            let count = self.kept.ended.get(how.word()).copied().unwrap_or(0);
            metrics.process.ends.with_label_values(&[how.word()]).inc_by(count);
        }
        self.kept.running = true;
        self.keep();
    }

    pub(super) fn end(mut self, how: Ending) {
        self.count(how);
        self.kept.running = false;
        self.keep();
    }

    fn count(&mut self, how: Ending) {
        *self.kept.ended.entry(how.word().to_owned()).or_default() += 1;
    }

    fn keep(&self) {
        if !self.folder.is_dir() {
            return;
        }
        let bytes = serde_json::to_vec(&self.kept).unwrap_or_default();
        if let Err(failure) = kept::replace_private(&self.folder, &self.name, &bytes) {
            tracing::warn!(what = failure.what, "how this process ends will not be known");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Endings;
    use crate::telemetry::{Ending, Metrics};
    use tempfile::TempDir;

    /// How those before ended, as the next one tells it.
    fn told(folder: &TempDir, name: &str) -> (Endings, Vec<(&'static str, u64)>) {
        let metrics = Metrics::new().unwrap();
        let mut ends = Endings::of(folder.path().to_owned(), name);
        ends.begin(&metrics);
        let count = |how: Ending| metrics.process.ends.with_label_values(&[how.word()]).get();
        let all = Ending::ALL.map(|how| (how.word(), count(how)));
        (ends, all.into_iter().filter(|(_, count)| *count > 0).collect())
    }

    #[test]
    fn the_next_process_tells_how_those_before_it_ended() {
        let folder = TempDir::new().unwrap();
        let (first, none) = told(&folder, "a");
        assert_eq!(none, []);
        first.end(Ending::Asked);
        let (second, asked) = told(&folder, "a");
        assert_eq!(asked, [("asked", 1)]);
        second.end(Ending::InDoubt);
        assert_eq!(told(&folder, "a").1, [("asked", 1), ("in_doubt", 1)]);
    }

    #[test]
    fn one_that_ended_without_a_word_was_killed() {
        let folder = TempDir::new().unwrap();
        drop(told(&folder, "a"));
        assert_eq!(told(&folder, "a").1, [("killed", 1)]);
    }

    #[test]
    fn those_of_another_name_are_not_counted_and_what_is_damaged_counts_anew() {
        let folder = TempDir::new().unwrap();
        told(&folder, "a").0.end(Ending::Asked);
        assert_eq!(told(&folder, "b").1, []);
        std::fs::write(folder.path().join("ends-a.json"), "{").unwrap();
        assert_eq!(told(&folder, "a").1, []);
    }

    #[test]
    fn without_a_folder_none_is_made() {
        let folder = TempDir::new().unwrap();
        let nowhere = folder.path().join("nowhere");
        let mut ends = Endings::of(nowhere.clone(), "a");
        ends.begin(&Metrics::new().unwrap());
        ends.end(Ending::Asked);
        assert!(!nowhere.exists());
    }
}
