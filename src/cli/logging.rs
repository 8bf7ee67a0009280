//! The process's log: to standard error, for people on a terminal and for machines elsewhere.

use super::{Failure, exit};
use crate::config::{Log, LogFormat};
use std::io::{self, IsTerminal};
use tracing_subscriber::EnvFilter;

/// Libraries that tell their every step, unless somebody names them in a filter.
const QUIET: &str = "actix_server=warn,fjall=warn,lsm_tree=warn";

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Why nobody can log by a filter, and what to do about it.
pub(super) struct BadFilter {
    pub(super) what: String,
    pub(super) fix: String,
}

/// The filter that a process would log by.
pub(super) fn filter(log: &Log) -> Result<EnvFilter, BadFilter> {
    let named = std::env::var("RUST_LOG").ok().filter(|text| !text.is_empty());
    let (place, text) = match &named {
        Some(text) => ("RUST_LOG", text),
        None => ("the log filter", &log.filter),
    };
    if let Some(word) = bare_words(text).find(|word| !is_level(word)) {
        let what = format!("{place} cannot be used: `{word}` is no level");
        return Err(BadFilter { what, fix: instead_of(word) });
    }
    EnvFilter::try_new(format!("{QUIET},{text}")).map_err(|error| BadFilter {
        what: format!("{place} cannot be read: {error}"),
        fix: "write it as RUST_LOG is written, such as \"info,tidegate=debug\"".to_owned(),
    })
}

/// The directives that are one word.
fn bare_words(filter: &str) -> impl Iterator<Item = &str> {
    let bare = |part: &&str| !part.is_empty() && !part.contains(['=', '[', ']', '{', '}']);
    filter.split(',').map(str::trim).filter(bare)
}

fn is_level(word: &str) -> bool {
    LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word))
        || word.parse::<usize>().is_ok_and(|number| number < LEVELS.len())
}

/// The library takes a word that is no level for the name of one of its own, and then a slip in a
/// level keeps all in silence.
fn instead_of(word: &str) -> String {
    let distance = |level: &&str| strsim::damerau_levenshtein(&word.to_ascii_lowercase(), level);
    match LEVELS.into_iter().min_by_key(distance) {
        Some(level) if distance(&level) <= 2 => format!("did you mean `{level}`?"),
        _far => format!(
            "write one of {}, or `info,{word}=debug` for one part of the program",
            LEVELS.join(", ")
        ),
    }
}

/// `RUST_LOG` wins over what is configured: it is what someone looking for something sets.
pub(super) fn start(log: &Log) -> Result<(), Failure> {
    let filter = filter(log).map_err(|bad| Failure::new(exit::CONFIG, bad.what, bad.fix))?;
    let pretty = match log.format {
        LogFormat::Auto => io::stderr().is_terminal(),
        LogFormat::Pretty => true,
        LogFormat::Json => false,
    };
    // Whoever cannot be told does not end the process: the library would panic telling of that.
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .log_internal_errors(false);
    let started = if pretty {
        builder.with_ansi(io::stderr().is_terminal()).try_init()
    } else {
        builder.json().flatten_event(true).try_init()
    };
    started.map_err(|error| Failure::new(exit::INTERNAL, format!("cannot log: {error}"), ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_alone_must_be_a_level() {
        let filter = |text: &str| {
            filter(&Log { format: LogFormat::Auto, filter: text.to_owned() }).map(|_| ())
        };
        for good in ["info", "WARN", "3", "info,tidegate=debug", "a[b]=info", "tidegate=off"] {
            assert!(filter(good).is_ok(), "{good}");
        }
        let bad = filter("tidegate=debug,inof").unwrap_err();
        assert_eq!(bad.what, "the log filter cannot be used: `inof` is no level");
        assert_eq!(bad.fix, "did you mean `info`?");
        let bad = filter("tidegate").unwrap_err();
        assert!(bad.fix.contains("`info,tidegate=debug`"), "{}", bad.fix);
    }
}
