//! `tidegate health`: whether the process beside this one is well, for whoever supervises it in a
//! container that has no other client.

use super::unreachable;
use crate::cli::serve::address;
use crate::cli::{Failure, exit};
use crate::config::{Document, Loaded, Purpose};
use serde_json::Value;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;
use ureq::Agent;

const EXAMPLES: &str = "\
Examples:
  tidegate health                                 # where it listens by default
  tidegate health --config tidegate.toml
  tidegate health --ready --ops 127.0.0.1:8482    # whether traffic may come
";

const EXIT_CODES: &str = "\
Exit codes:
  0   it is well
  1   it is not, or it does not answer
  2   the command line makes no sense
  78  the configuration cannot be used, or does not say where the listener is";

/// The whole question, within the five seconds that a supervisor usually gives.
const PATIENCE: Duration = Duration::from_secs(3);

/// Ask the process on this machine whether it is up, or ready for traffic.
///
/// Finds its ops listener as the process itself does: in the file and the environment. Up says that
/// it answers; ready says that it owns its partitions and its journal writes. A process that starts
/// or drains is up and not ready, and nothing is mended by starting it again.
#[derive(Clone, Debug, clap::Args)]
#[command(before_long_help = EXAMPLES, after_long_help = EXIT_CODES)]
pub struct HealthArgs {
    /// The configuration file; without it only the environment is read.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The ops listener, where the process was told another one by `--ops`.
    #[arg(long, value_name = "ADDR", value_parser = address, conflicts_with = "config")]
    pub ops: Option<SocketAddr>,
    /// Whether traffic may come, and not only whether the process is up.
    #[arg(long)]
    pub ready: bool,
}

pub fn run(
    args: &HealthArgs,
    environment: impl IntoIterator<Item = (String, String)>,
    out: &mut impl Write,
) -> Result<u8, Failure> {
    let ops = match args.ops {
        Some(ops) => ops,
        None => {
            let document = Document::open(args.config.as_deref(), environment)?;
            Loaded::read(&document, Purpose::Inspect)?.config.listen.ops
        }
    };
    let base = format!("http://{}", reached(ops)?);
    let path = if args.ready { "/readyz" } else { "/healthz" };
    let agent: Agent = Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(PATIENCE))
        .build()
        .into();
    let answer = agent.get(format!("{base}{path}")).call();
    let mut answer =
        answer.map_err(|error| Failure { code: exit::FOUND, ..unreachable(&base, &error) })?;
    let said = answer.body_mut().read_json::<Value>().unwrap_or(Value::Null);
    match (answer.status().as_u16(), said["status"].as_str()) {
        (200, Some(status @ ("up" | "ready"))) => {
            writeln!(out, "{status}").map_err(|error| Failure::answer(&error))?;
            Ok(exit::OK)
        }
        (503, _) if said["code"] == "not_ready" => {
            // Another program may have answered, and a terminal obeys what it may have said.
            let why = said["detail"].as_str().unwrap_or("it gave no reason");
            let why: String = why.chars().filter(|letter| !letter.is_control()).collect();
            Err(Failure::new(exit::FOUND, format!("{base} is not ready: {why}"), ""))
        }
        (status, _) => {
            let what =
                format!("{base} answered {path} with {status}, and not as an ops listener does");
            let fix = "give the address of `listen.ops` (its default is 127.0.0.1:8482)";
            Err(Failure::new(exit::FOUND, what, fix))
        }
    }
}

/// Where a client on the same machine reaches a listener.
fn reached(listens: SocketAddr) -> Result<SocketAddr, Failure> {
    if listens.port() == 0 {
        let what = "port 0 takes any free one, and only the process knows which";
        return Err(Failure::new(
            exit::CONFIG,
            what,
            "give `listen.ops` a port, or name it: --ops",
        ));
    }
    let ip = match listens.ip() {
        IpAddr::V4(any) if any.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(any) if any.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        one @ (IpAddr::V4(_) | IpAddr::V6(_)) => one,
    };
    Ok(SocketAddr::new(ip, listens.port()))
}

#[cfg(test)]
mod tests {
    use super::reached;

    #[test]
    fn a_listener_of_every_address_is_reached_on_this_machine() {
        for (listens, expected) in [
            ("0.0.0.0:8482", "127.0.0.1:8482"),
            ("[::]:8482", "[::1]:8482"),
            ("10.0.0.7:9000", "10.0.0.7:9000"),
        ] {
            assert_eq!(reached(listens.parse().unwrap()).unwrap(), expected.parse().unwrap());
        }
        assert!(reached("127.0.0.1:0".parse().unwrap()).is_err(), "nobody can say which");
    }
}
