//! The process's log: to standard error, for people on a terminal and for machines elsewhere.

use super::{Failure, exit};
use crate::config::{Log, LogFormat};
use std::io::{self, IsTerminal};
use tracing_subscriber::EnvFilter;

/// Libraries that tell their every step, unless somebody names them in a filter.
const QUIET: &str = "actix_server=warn,fjall=warn,lsm_tree=warn";

/// The filter that a process would log by.
pub(super) fn filter(log: &Log) -> Result<EnvFilter, String> {
    let named = std::env::var("RUST_LOG").ok().filter(|text| !text.is_empty());
    let filter = format!("{QUIET},{}", named.as_deref().unwrap_or(&log.filter));
    EnvFilter::try_new(filter).map_err(|error| format!("the log filter cannot be read: {error}"))
}

/// `RUST_LOG` wins over what is configured: it is what someone looking for something sets.
pub(super) fn start(log: &Log) -> Result<(), Failure> {
    let filter = filter(log).map_err(|error| {
        let fix = "write it as RUST_LOG is written, such as `info` or `info,tidegate=debug`";
        Failure::new(exit::CONFIG, error, fix)
    })?;
    let pretty = match log.format {
        LogFormat::Auto => io::stderr().is_terminal(),
        LogFormat::Pretty => true,
        LogFormat::Json => false,
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let started = if pretty {
        builder.with_ansi(io::stderr().is_terminal()).try_init()
    } else {
        builder.json().flatten_event(true).try_init()
    };
    started.map_err(|error| Failure::new(exit::INTERNAL, format!("cannot log: {error}"), ""))
}
