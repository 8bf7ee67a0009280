//! The embedded engine, on a folder of its own.

use super::LoadArgs;
use super::report::Costs;
use super::stage::{Eye, Ground, SIGNING_KEY, Seen, trust};
use crate::adapters::embedded::EmbeddedJournal;
use crate::attempt::Policy;
use crate::cli::Failure;
use crate::cli::embedded::{Embedded, EmbeddedOptions};
use crate::cli::kept::random_hex;
use crate::ports::Journal;
use crate::telemetry::Metrics;
use crate::wire::Topic;
use crate::wire::section::records;
use anyhow::Context;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

pub struct OnFolder {
    embedded: Embedded,
    lanes: u32,
    folder: Folder,
}

impl OnFolder {
    pub async fn start(args: &LoadArgs, metrics: Metrics) -> anyhow::Result<Self> {
        let folder = match &args.data {
            Some(folder) => Folder::Kept(folder.clone()),
            None => Folder::temporary()?,
        };
        let options = EmbeddedOptions {
            partitions: None,
            lanes: args.lanes,
            instance: "bench".to_owned(),
            trust: trust()?,
            policy: Policy::default(),
            segment_bytes: 64 << 20,
            snapshot_bytes: 128 << 20,
            attempts_memory: args.attempts_memory_mb << 20,
        };
        let embedded = Embedded::start(folder.path(), options, metrics).await?;
        let partitions = embedded.journal.partitions();
        let lanes = args.lanes.unwrap_or(partitions).min(partitions);
        Ok(Self { embedded, lanes, folder })
    }
}

impl Ground for OnFolder {
    type Journal = EmbeddedJournal;

    fn journal(&self) -> EmbeddedJournal {
        self.embedded.journal.clone()
    }

    fn watch(&self, eye: Eye) -> anyhow::Result<JoinHandle<anyhow::Result<Seen>>> {
        let journal = self.journal();
        let reader = std::thread::Builder::new().name("reader".to_owned());
        Ok(reader.spawn(move || follow(&journal, eye))?)
    }

    fn costs(&self, events: f64, _seconds: f64) -> Costs {
        let journal = &self.embedded.journal;
        Costs::Log {
            fsyncs_per_1000_events: (journal.syncs() as f64 * 1e5 / events).round() / 100.0,
            journal_bytes_per_event: (journal.written() as f64 / events).round(),
        }
    }

    fn lanes(&self) -> u32 {
        self.lanes
    }

    async fn end(self) -> anyhow::Result<()> {
        self.embedded.stop().await?;
        if let Folder::Kept(path) = &self.folder {
            // For an audit of what the bench left behind.
            let key = data_encoding::HEXLOWER.encode(SIGNING_KEY);
            std::fs::write(path.join("signing.key"), format!("{key}\n"))?;
        }
        self.folder.clean();
        Ok(())
    }
}

fn follow(journal: &EmbeddedJournal, mut eye: Eye) -> anyhow::Result<Seen> {
    let durable = journal.durable();
    let mut reader = journal.reader(*durable.borrow());
    while !eye.is_done() {
        let until = *durable.borrow();
        let Some(frame) = reader.next(until).context("cannot read the journal back")? else {
            eye.sees_nothing()?;
            std::thread::sleep(Duration::from_micros(300));
            continue;
        };
        for run in frame.runs().flatten().filter(|run| run.topic == Topic::Fulfillments) {
            for record in records(&run.bytes) {
                eye.sees(record?.key)?;
            }
        }
    }
    Ok(eye.closes())
}

enum Folder {
    Kept(PathBuf),
    Temporary(PathBuf),
}

impl Folder {
    fn temporary() -> anyhow::Result<Self> {
        let name = random_hex(8).map_err(Failure::told)?;
        Ok(Self::Temporary(std::env::temp_dir().join(format!("tidegate-bench-{name}"))))
    }

    fn path(&self) -> &Path {
        match self {
            Self::Kept(path) | Self::Temporary(path) => path,
        }
    }

    fn clean(self) {
        if let Self::Temporary(path) = self {
            let _left_behind = std::fs::remove_dir_all(path);
        }
    }
}
