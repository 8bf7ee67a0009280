//! The real binary on a data folder, started and killed and started again.

use crate::client::Client;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub const BINARY: &str = env!("CARGO_BIN_EXE_tidegate");

/// A folder and the addresses that every process on it uses.
pub struct Site {
    pub data: PathBuf,
    public: String,
    api: String,
    ops: String,
    variables: Vec<(String, String)>,
}

/// What the process says about itself in `dev.json`.
pub struct Dev {
    pub webhook_url: String,
    pub secret: String,
    pub api: String,
    pub api_key: String,
}

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// How long a start may take, recovery included.
const START_MAX: Duration = Duration::from_secs(20);

impl Site {
    pub fn new(data: &Path) -> Self {
        let (public, api, ops) = (free_address(), free_address(), free_address());
        Self { data: data.to_owned(), public, api, ops, variables: vec![] }
    }

    /// What every process on it finds in its environment.
    pub fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts the process; `crash_at` is where it shall kill itself, as `name:n`.
    pub fn start(&self, crash_at: Option<&str>) -> Child {
        let mut command = Command::new(BINARY);
        command.arg("dev").arg("--data").arg(&self.data);
        command.args(["--public", &self.public, "--api", &self.api, "--ops", &self.ops]);
        command.env_remove("TIDEGATE_CRASH_AT").stdin(Stdio::null());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.data.with_extension("log"))
            .unwrap();
        command.stdout(Stdio::null()).stderr(log);
        if let Some(place) = crash_at {
            command.env("TIDEGATE_CRASH_AT", place);
        }
        command.spawn().expect("the binary runs")
    }

    /// Waits until the process is ready; false where it died before.
    pub fn ready(&self, child: &mut Child) -> bool {
        let since = Instant::now();
        loop {
            if child.try_wait().unwrap().is_some() {
                return false;
            }
            let answer = Client::new(&self.ops).ask("GET", "/readyz", &[], b"");
            if answer.is_ok_and(|answer| answer.status == 200) {
                return true;
            }
            assert!(since.elapsed() < START_MAX, "not ready; see its log:\n{}", self.log_tail());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn dev(&self) -> Dev {
        let bytes = std::fs::read(self.data.join("dev.json")).unwrap();
        let dev: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        let text = |name: &str| dev[name].as_str().expect(name).to_owned();
        Dev {
            webhook_url: text("webhook_url"),
            secret: text("webhook_secret"),
            api: text("api"),
            api_key: text("api_key"),
        }
    }

    pub fn log_tail(&self) -> String {
        let log = std::fs::read_to_string(self.data.with_extension("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(20).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// Runs the audit on the folder.
    pub fn audit(&self) -> (Option<i32>, serde_json::Value) {
        let ran = Command::new(BINARY)
            .args(["audit", "-o", "json", "--data"])
            .arg(&self.data)
            .output()
            .unwrap();
        let said = serde_json::from_slice(&ran.stdout)
            .unwrap_or_else(|_| String::from_utf8_lossy(&ran.stderr).into_owned().into());
        (ran.status.code(), said)
    }
}
