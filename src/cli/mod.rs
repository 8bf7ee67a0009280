//! The command line: the only place that joins everything.

pub mod audit;
pub mod bench;
pub mod check;
pub mod client;
pub mod cluster;
pub mod config_command;
pub mod doctor;
pub mod embedded;
mod endings;
mod failure;
mod files;
mod host;
mod kept;
pub mod keys;
mod logging;
mod process;
mod progress;
pub mod rebuild;
mod redis_watch;
pub mod serve;
pub mod topics;

pub use failure::Failure;

use crate::adapters::kafka::{Library, library};
use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use std::fmt;
use std::io::{self, Write};

/// What a process tells the one that started it; above 63 the words of sysexits.
pub mod exit {
    /// All is well.
    pub const OK: u8 = 0;
    /// What was looked for was found: an invariant is violated, a delivery was refused.
    pub const FOUND: u8 = 1;
    /// The command line makes no sense, or the command could not run.
    pub const USAGE: u8 = 2;
    /// What was stored or received cannot be read (`EX_DATAERR`).
    pub const DATA: u8 = 65;
    /// Something that is needed does not answer (`EX_UNAVAILABLE`).
    pub const UNAVAILABLE: u8 = 69;
    /// Something stopped that should not have (`EX_SOFTWARE`).
    pub const INTERNAL: u8 = 70;
    /// A file could not be read or written (`EX_IOERR`).
    pub const IO: u8 = 74;
    /// Someone else uses it now; the same may succeed later (`EX_TEMPFAIL`).
    pub const BUSY: u8 = 75;
    /// The key was not accepted (`EX_NOPERM`).
    pub const FORBIDDEN: u8 = 77;
    /// The configuration cannot be used (`EX_CONFIG`).
    pub const CONFIG: u8 = 78;
    /// It was asked to end at once.
    pub const INTERRUPTED: u8 = 130;
}

/// How a command answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

const EXAMPLES: &str = "\
Examples:
  tidegate dev                        # everything on this machine, nothing to set up
  tidegate send completed             # a customer pays
  tidegate tail fulfillments          # what your ledger is told
  tidegate serve --config tidegate.toml
";

const EXIT_CODES: &str = "\
Exit codes:
  0   all is well
  1   what was looked for was found: a violated invariant, a refused delivery
  2   the command line makes no sense, or the command could not run
  65  what was stored or received cannot be read
  69  something that is needed does not answer
  70  something stopped that should not have
  74  a file could not be read or written
  75  someone else uses the folder or the port; the same may succeed later
  77  the key was not accepted
  78  the configuration cannot be used
  130 it was asked to end at once";

/// Turns signed payment webhooks into exactly one fulfillment per attempt.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version, long_version = long_version())]
#[command(before_long_help = EXAMPLES, after_long_help = EXIT_CODES)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

/// What `--version` adds to `-V`.
fn long_version() -> String {
    let Library { version, features } = library();
    format!("{}\nlibrdkafka {version} ({features})", env!("CARGO_PKG_VERSION"))
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Dev(serve::DevArgs),
    Serve(serve::ServeArgs),
    Send(client::send::SendArgs),
    Tail(client::tail::TailArgs),
    Attempts(client::attempts::AttemptsArgs),
    Health(client::health::HealthArgs),
    Check(check::CheckArgs),
    Config(config_command::ConfigArgs),
    /// Measures this machine with an honest load
    Bench(bench::BenchArgs),
    Audit(audit::AuditArgs),
    Doctor(doctor::DoctorArgs),
    Rebuild(rebuild::RebuildArgs),
    Topics(topics::TopicsArgs),
    Completions(CompletionsArgs),
}

/// Print what a shell needs to complete commands.
#[derive(Debug, clap::Args)]
#[command(before_long_help = "\
Examples:
  tidegate completions bash > /etc/bash_completion.d/tidegate
  tidegate completions zsh > ~/.zfunc/_tidegate
")]
pub struct CompletionsArgs {
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// Tells somebody on standard error, where anybody can be told.
fn say(words: fmt::Arguments<'_>) {
    let _nobody_listens = writeln!(io::stderr(), "{words}");
}

/// For an answer whose exit code is a verdict, which stands although whoever read the answer, such
/// as `head`, has seen enough of it.
pub fn unless_closed(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Runs one command against the process's environment and says how it ended.
pub fn run(cli: &Cli, out: &mut impl Write) -> io::Result<u8> {
    let done = match &cli.command {
        Command::Check(args) => return check::run(args, crate::config::environment(), out),
        Command::Config(args) => return config_command::run(args, out),
        Command::Bench(args) => return bench::run(args, out),
        Command::Doctor(args) => return doctor::run(args, crate::config::environment(), out),
        Command::Audit(args) => {
            let environment = crate::config::environment();
            return audit::run(args, environment, out, &mut io::stderr());
        }
        Command::Dev(args) => serve::dev(args, out).map(|()| exit::OK),
        Command::Serve(args) => serve::serve(args).map(|()| exit::OK),
        Command::Send(args) => client::send::run(args, out),
        Command::Tail(args) => client::tail::run(args, out),
        Command::Rebuild(args) => rebuild::run(args, out),
        Command::Topics(args) => topics::run(args, out),
        Command::Attempts(args) => client::attempts::run(args, out),
        Command::Health(args) => client::health::run(args, crate::config::environment(), out),
        Command::Completions(args) => {
            // The library panics where it cannot write, such as into a pipe that has ended.
            let mut script = vec![];
            clap_complete::generate(args.shell, &mut Cli::command(), "tidegate", &mut script);
            out.write_all(&script)?;
            Ok(exit::OK)
        }
    };
    Ok(done.unwrap_or_else(|failure| failure.tell()))
}
