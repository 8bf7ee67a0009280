//! `tidegate bench`: an honest load of signed events through the whole engine, durability on.

pub mod cluster;
pub mod embedded;
pub mod http;
mod latency;
mod load;
mod on_folder;
mod process;
mod report;
mod stage;

use clap::{Args, Subcommand};
use std::io::{self, Write};

#[derive(Debug, Args)]
#[command(
    before_long_help = "\
Examples:
  tidegate bench embedded --events 1000000
  tidegate bench embedded --events 300000 --rate 75000 -o json
  tidegate bench http --events 200000
  tidegate bench cluster --brokers localhost:9092 --redis redis://localhost:6379
",
    after_long_help = "\
The load is signed here and verified at the door: the HMAC is inside the clock. Each attempt gets
four events of about 1.2 KB; some are delivered twice, one copy in ten of them long afterwards; some
come out of order."
)]
pub struct BenchArgs {
    #[command(subcommand)]
    pub what: What,
}

#[derive(Debug, Subcommand)]
pub enum What {
    /// Through the door, the journal, the lanes and the view, in process
    Embedded(LoadArgs),
    /// The same through the public HTTP listener, one delivery per request
    Http(LoadArgs),
    /// Through the door, Kafka, the lanes and Redis, and an audit of it all at the end
    Cluster(ClusterArgs),
}

#[derive(Clone, Debug, Args)]
pub struct ClusterArgs {
    #[command(flatten)]
    pub load: LoadArgs,
    /// Brokers; topics are made there, and removed afterwards
    #[arg(long, default_value = "127.0.0.1:9092")]
    pub brokers: String,
    /// Redis or Valkey
    #[arg(long, default_value = "redis://127.0.0.1:6379")]
    pub redis: String,
    /// Partitions of each topic
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub partitions: u32,
}

#[derive(Clone, Debug, Args)]
pub struct LoadArgs {
    /// Events to send
    #[arg(long, default_value_t = 1_000_000)]
    pub events: u64,
    /// Attempts that they belong to [default: what four events each come to]
    #[arg(long)]
    pub attempts: Option<u64>,
    /// Events per second; 0 goes as fast as it can
    #[arg(long, default_value_t = 0)]
    pub rate: u64,
    /// Percent of events that are delivered a second time: more where there are more events than
    /// the attempts have to tell
    #[arg(long, default_value_t = 10)]
    pub duplicates: u32,
    /// Percent of events that overtake the one before
    #[arg(long, default_value_t = 5)]
    pub reordered: u32,
    /// Events per append, as a producer would batch them
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub chunk: u32,
    /// Connections of the HTTP bench
    #[arg(long, default_value_t = 64)]
    pub connections: usize,
    /// Memory for live attempts
    #[arg(long, default_value_t = 64)]
    pub attempts_memory_mb: usize,
    /// Lanes [default: the cores]
    #[arg(long)]
    pub lanes: Option<u32>,
    /// Seed of the load
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Folder for the journal; kept afterwards [default: a temporary one, removed]
    #[arg(long)]
    pub data: Option<std::path::PathBuf>,
    #[arg(short, long, value_enum, default_value = "text")]
    pub output: super::Output,
}

impl LoadArgs {
    /// Attempts that the events are enough for, duplicates set apart.
    pub fn attempt_count(&self) -> u64 {
        self.attempts.unwrap_or_else(|| {
            let fresh = self.events * 100 / (100 + u64::from(self.duplicates));
            (fresh / load::STEPS).max(1)
        })
    }
}

/// Runs a bench and prints what it found.
pub fn run(args: &BenchArgs, out: &mut impl Write) -> io::Result<u8> {
    let system = actix::System::new();
    let (load, done) = match &args.what {
        What::Embedded(load) => (load, system.block_on(embedded::run(load))),
        What::Http(load) => (load, system.block_on(http::run(load))),
        What::Cluster(args) => (&args.load, system.block_on(cluster::run(args))),
    };
    match done {
        Ok(report) => {
            match load.output {
                super::Output::Json => report.write_json(out)?,
                super::Output::Text => report.write_text(out)?,
            }
            Ok(super::exit::OK)
        }
        Err(error) => {
            super::say(format_args!("tidegate: the bench did not finish: {error}"));
            Ok(super::exit::INTERNAL)
        }
    }
}
