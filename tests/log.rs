//! The embedded log against torn tails, damage, full and dying disks.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::wildcard_enum_match_arm,
    reason = "a test says what it expects by failing, and speaks of one variant at a time"
)]

#[path = "log/faults.rs"]
mod faults;
#[path = "log/folder.rs"]
mod folder;
#[path = "log/roll.rs"]
mod roll;
#[path = "log/snapshot.rs"]
mod snapshot;
#[path = "log/stopping.rs"]
mod stopping;
#[path = "log/tail.rs"]
mod tail;

mod support;

use bytes::Bytes;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use support::ledger::Ledger;
use support::says;
use tidegate::adapters::embedded::disk::{Disk, RealDisk};
use tidegate::adapters::embedded::{EmbeddedJournal, JournalOptions};
use tidegate::attempt::{EndpointName, Timeliness};
use tidegate::ports::{Append, Journal, JournalError, SystemClock};
use tidegate::webhook::SecretIndex;
use tidegate::wire::seal::Seal;
use tidegate::wire::signal::{Form, SignalRecord, Stamp};

/// A signal of this many bytes. Nobody decides it here, so it need not be signed.
fn signal(partition: u32, value: Bytes) -> Append {
    let stamp = Stamp {
        gate_signature: Bytes::from_static(b"t=1,v1=00"),
        endpoint: EndpointName::parse(says::ENDPOINT).unwrap(),
        secret: SecretIndex(0),
        signed_at: says::now(),
        received_at: says::now(),
        timeliness: Timeliness::InTime,
    };
    let seal = Seal { key: 0, mac: [0; 32] };
    let record = SignalRecord { value, form: Form::Webhook(stamp), seal, hop: None };
    Append { partition, record, proven: None }
}

fn filled(byte: u8, length: usize) -> Bytes {
    Bytes::from(vec![byte; length])
}

struct Opened {
    journal: EmbeddedJournal,
    writer: JoinHandle<()>,
}

fn options(partitions: u32) -> JournalOptions {
    JournalOptions { segment_bytes: 64 << 10, ..JournalOptions::new(partitions) }
}

fn try_open(
    disk: Arc<dyn Disk>,
    folder: &Path,
    options: JournalOptions,
) -> Result<Opened, JournalError> {
    let opened = EmbeddedJournal::open(disk, folder.to_owned(), options, SystemClock);
    opened.map(|(journal, writer)| Opened { journal, writer })
}

fn open(folder: &Path) -> Opened {
    try_open(Arc::new(RealDisk), folder, options(1)).unwrap()
}

impl Opened {
    /// Each as a frame of its own.
    async fn append(&self, values: &[Bytes]) {
        for value in values {
            self.journal.append(vec![signal(0, value.clone())]).await.unwrap();
        }
    }

    async fn close(self) {
        self.journal.close().await;
        self.writer.join().unwrap();
    }
}

/// The segments of a folder, oldest first.
fn segments(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|suffix| suffix == "seg"))
        .collect();
    found.sort();
    found
}

fn ledger(folder: &Path) -> Ledger {
    Ledger::read(Arc::new(RealDisk), folder)
}

fn values(folder: &Path) -> Vec<Bytes> {
    ledger(folder).signals.into_iter().map(|(_, record)| record.value).collect()
}

/// Cuts a segment down to what was written, so that a test can copy it often.
fn trim(path: &Path, length: u64) {
    std::fs::File::options().write(true).open(path).unwrap().set_len(length).unwrap();
}
