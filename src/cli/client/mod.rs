//! The commands that ask a running process over HTTP, as any other client would.
//!
//! They find it by the file that `tidegate dev` writes, or are told where it is. Keys and secrets
//! come from files: what stands on a command line is seen by everyone on the machine.

pub mod attempts;
mod event;
pub mod health;
pub mod send;
mod sense;
mod storm;
pub mod tail;

use super::serve::{DEV_FILE, refuse_file};
use super::{Failure, exit};
use crate::config::Secret;
use serde::Deserialize;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Duration;
use ureq::Agent;
use ureq::http::Response;

/// What `dev` says about itself. Fields that a client does not need are passed over.
#[derive(Deserialize)]
struct DevFile {
    api: String,
    webhook_url: String,
    webhook_secret: String,
    api_key: String,
}

const DATA_DEFAULT: &str = "./tidegate-data";

#[derive(Clone, Debug, clap::Args)]
pub struct DataArgs {
    /// The folder of a running `tidegate dev` [default: ./tidegate-data]
    #[arg(long, value_name = "DIR", help_heading = "Where it runs")]
    pub data: Option<PathBuf>,
}

impl DataArgs {
    fn read(&self) -> Result<DevFile, Failure> {
        let root = self.data.as_deref().unwrap_or(Path::new(DATA_DEFAULT));
        refuse_file(root)?;
        let path = root.join(DEV_FILE);
        let text = std::fs::read(&path).map_err(|error| {
            Failure::new(
                exit::USAGE,
                format!("cannot read {}: {error}", path.display()),
                "start `tidegate dev` first, name its folder with --data DIR, or say where the \
                 process is (see --help)",
            )
        })?;
        serde_json::from_slice(&text).map_err(|error| {
            let fix = "start `tidegate dev` again: it writes the file anew";
            Failure::new(exit::DATA, format!("{} cannot be read: {error}", path.display()), fix)
        })
    }
}

/// Where the api listener is, and the key to it.
#[derive(Clone, Debug, clap::Args)]
pub struct ApiArgs {
    #[command(flatten)]
    pub data: DataArgs,
    /// The api listener, such as http://127.0.0.1:8481; asks for --api-key-file.
    #[arg(long, value_name = "URL", conflicts_with = "data")]
    #[arg(help_heading = "Where it runs")]
    pub url: Option<String>,
    /// A file that holds an API key and nothing else.
    #[arg(long, value_name = "FILE", requires = "url", help_heading = "Where it runs")]
    pub api_key_file: Option<PathBuf>,
    /// Taken only to be refused with advice.
    #[arg(long, value_name = "KEY", hide = true)]
    pub api_key: Option<String>,
}

/// The advice to whoever has given no key, or one that is not accepted.
const KEY_ADVICE: &str = "name a file that holds it with --api-key-file FILE; dev's is \
                          tidegate-data/api-key";

pub(super) struct Api {
    base: String,
    key: Secret,
    agent: Agent,
}

impl ApiArgs {
    pub(super) fn open(&self) -> Result<Api, Failure> {
        if self.api_key.is_some() {
            let what = "no key is taken on a command line, which everyone on the machine sees";
            return Err(Failure::usage(what, KEY_ADVICE));
        }
        let (base, key) = match (&self.url, &self.api_key_file) {
            (Some(_), None) => return Err(Failure::usage("--url asks for a key", KEY_ADVICE)),
            (Some(url), Some(file)) => {
                refuse_bare(url)?;
                (url.clone(), secret_file(file)?)
            }
            _dev => {
                let dev = self.data.read()?;
                (dev.api, Secret::new(dev.api_key))
            }
        };
        Ok(Api { base: base.trim_end_matches('/').to_owned(), key, agent: agent() })
    }
}

impl Api {
    /// Answers with what is there; a 404 is `None`.
    pub(super) fn get(&self, path: &str) -> Result<Option<Response<ureq::Body>>, Failure> {
        self.get_or(path, |_code| None)
    }

    /// The same for a caller who knows better what to say of a refusal with some code.
    pub(super) fn get_or(
        &self,
        path: &str,
        known: impl FnOnce(&str) -> Option<Failure>,
    ) -> Result<Option<Response<ureq::Body>>, Failure> {
        let url = format!("{}{path}", self.base);
        let key = format!("Bearer {}", self.key.expose());
        let mut answer = self
            .agent
            .get(&url)
            .header("authorization", &key)
            .call()
            .map_err(|error| unreachable(&self.base, &error))?;
        match answer.status().as_u16() {
            200 => Ok(Some(answer)),
            status => {
                let said = answer.body_mut().read_json::<Value>().unwrap_or(Value::Null);
                if status == 404 && said["code"] == "no_such_attempt" {
                    return Ok(None);
                }
                if status == 404 && said["code"] == "no_such_path" {
                    let what = format!("this listener has no {path}");
                    return Err(Failure::usage(what, LISTENER_ADVICE));
                }
                let known = said["code"].as_str().and_then(known);
                Err(known.unwrap_or_else(|| refused(status, &said)))
            }
        }
    }

    pub(super) fn json(&self, path: &str) -> Result<Option<Value>, Failure> {
        let Some(mut answer) = self.get(path)? else { return Ok(None) };
        answer.body_mut().read_json().map(Some).map_err(|error| unreachable(&self.base, &error))
    }
}

const LISTENER_ADVICE: &str = "give the api listener and no path (dev: http://127.0.0.1:8481)";

fn refused(status: u16, said: &Value) -> Failure {
    let detail = said["detail"].as_str().unwrap_or("it gave no reason");
    let id = said["request_id"].as_str().unwrap_or("none");
    let (code, advice) = match status {
        401 | 403 => (exit::FORBIDDEN, format!("{KEY_ADVICE}; ")),
        400..=499 => (exit::USAGE, String::new()),
        _other => (exit::UNAVAILABLE, String::new()),
    };
    let what = format!("the process answered {status}: {detail}");
    Failure::new(code, what, format!("{advice}request {id}"))
}

fn unreachable(base: &str, error: &ureq::Error) -> Failure {
    let fix = if base.starts_with("https://") {
        "Tidegate speaks no TLS here; use http://, or name what speaks it in front of it"
    } else {
        "see that the process runs (`tidegate dev`) and that the address is right"
    };
    Failure::new(exit::UNAVAILABLE, format!("no answer from {base}: {error}"), fix)
}

/// The library's own words for an address without a scheme do not say what is missing.
fn refuse_bare(url: &str) -> Result<(), Failure> {
    if url.contains("://") {
        return Ok(());
    }
    Err(Failure::usage(
        "the URL lacks http://",
        "write http://HOST:PORT, with a path to deliver to",
    ))
}

fn agent() -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        .timeout_connect(Some(Duration::from_secs(5)))
        .build()
        .into()
}

fn secret_file(path: &Path) -> Result<Secret, Failure> {
    match std::fs::read_to_string(path) {
        Ok(text) if text.trim().is_empty() => Err(Failure::usage(
            format!("{} is empty", path.display()),
            "put the key in it, and nothing else",
        )),
        Ok(text) => Ok(Secret::new(text.trim())),
        Err(error) => Err(Failure::file("read", path, &error)),
    }
}

/// `text` as a part of a path or a query.
fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::encoded;

    #[test]
    fn what_is_not_plain_is_escaped() {
        assert_eq!(encoded("gs_test_1"), "gs_test_1");
        assert_eq!(encoded("a/b ?é"), "a%2Fb%20%3F%C3%A9");
    }
}
