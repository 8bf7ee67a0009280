//! `tidegate config`: the annotated example and the schema, from the binary itself.

use super::exit;
use crate::config::{EXAMPLE, schema};
use clap::Subcommand;
use std::io::{self, Write};

const EXAMPLES: &str = "\
Examples:
  tidegate config example > tidegate.toml
  tidegate config schema > tidegate.schema.json
";

/// Print the annotated example, or the schema for editors.
#[derive(Clone, Debug, clap::Args)]
#[command(before_long_help = EXAMPLES)]
pub struct ConfigArgs {
    #[command(subcommand)]
    pub what: ConfigWhat,
}

#[derive(Clone, Copy, Debug, Subcommand)]
pub enum ConfigWhat {
    /// Print a configuration with every key, its default and why it is there.
    #[command(before_long_help = "Examples:\n  tidegate config example > tidegate.toml\n")]
    Example,
    /// Print the JSON Schema of the configuration, for editors that complete and check TOML.
    #[command(before_long_help = "Examples:\n  tidegate config schema > tidegate.schema.json\n")]
    Schema,
}

/// Answers on `out` and returns the exit code.
pub fn run(args: &ConfigArgs, out: &mut impl Write) -> io::Result<u8> {
    match args.what {
        ConfigWhat::Example => out.write_all(EXAMPLE.as_bytes())?,
        ConfigWhat::Schema => out.write_all(schema::text().as_bytes())?,
    }
    Ok(exit::OK)
}
