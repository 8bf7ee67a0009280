//! The command line: the only place that joins everything.

pub mod bench;
pub mod check;
pub mod config_command;
pub mod embedded;

use clap::{Parser, Subcommand, ValueEnum};
use std::io::{self, Write};

/// What a process tells the one that started it.
pub mod exit {
    /// All is well.
    pub const OK: u8 = 0;
    /// What was looked for was found: an invariant is violated.
    pub const FOUND: u8 = 1;
    /// The command line makes no sense, or the command could not run.
    pub const USAGE: u8 = 2;
    /// The configuration cannot be used (`EX_CONFIG` of sysexits).
    pub const CONFIG: u8 = 78;
}

/// How a command answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

const EXIT_CODES: &str = "\
Exit codes:
  0   all is well
  1   what was looked for was found, such as a violated invariant
  2   the command line makes no sense, or the command could not run
  78  the configuration cannot be used";

/// Turns signed payment webhooks into exactly one fulfillment per attempt.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version, after_long_help = EXIT_CODES)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Check(check::CheckArgs),
    Config(config_command::ConfigArgs),
    /// Measures this machine with an honest load
    Bench(bench::BenchArgs),
}

/// Runs one command against the process's environment and says how it ended.
pub fn run(cli: &Cli, out: &mut impl Write) -> io::Result<u8> {
    match &cli.command {
        Command::Check(args) => check::run(args, crate::config::environment(), out),
        Command::Config(args) => config_command::run(args, out),
        Command::Bench(args) => bench::run(args, out),
    }
}
