//! A real Prometheus that scrapes processes of a test.

use super::super::running::{Answer, request};
use super::{free_port, within};
use serde_json::Value;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(20);

const TRIES: usize = 3;

pub struct Prometheus {
    process: Child,
    at: String,
    folder: TempDir,
}

impl Prometheus {
    /// Scrapes `targets` twice a second, with these alert rules.
    pub fn scrape(targets: &[&str], rules: &Path) -> Self {
        (0..TRIES).find_map(|_| Self::try_start(targets, rules)).unwrap_or_else(|| {
            panic!("Prometheus does not come up within {PATIENCE:?}, {TRIES} times");
        })
    }

    fn try_start(targets: &[&str], rules: &Path) -> Option<Self> {
        let folder = TempDir::new().unwrap();
        let configuration = format!(
            "global: {{scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 1s}}\n\
             rule_files: ['{}']\n\
             scrape_configs:\n\
             - {{job_name: tidegate, static_configs: [{{targets: {targets:?}}}]}}\n",
            rules.display(),
        );
        let file = folder.path().join("prometheus.yml");
        std::fs::write(&file, configuration).unwrap();
        let at = format!("127.0.0.1:{}", free_port());
        let said = std::fs::File::create(folder.path().join("said")).unwrap();
        let process = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={at}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(said)
            .spawn()
            .expect("prometheus cannot be started; on Debian: apt-get install prometheus");
        let mut prometheus = Self { process, at, folder };
        prometheus.comes_up().then_some(prometheus)
    }

    fn comes_up(&mut self) -> bool {
        let at = self.at.clone();
        let ready =
            || std::net::TcpStream::connect(&at).is_ok() && ask(&at, "/-/ready").status == 200;
        within(PATIENCE, || self.process.try_wait().unwrap().is_some() || ready())
            && self.process.try_wait().unwrap().is_none()
    }

    /// Every value that a query gives now.
    pub fn query(&self, query: &str) -> Result<Vec<f64>, String> {
        let answer = self.get(&format!("/api/v1/query?query={}", encoded(query)))?;
        let series = answer["result"].as_array().cloned().unwrap_or_default();
        let value = |series: &Value| series["value"][1].as_str().unwrap().parse().unwrap();
        Ok(series.iter().map(value).collect())
    }

    /// The alert rules, as Prometheus has understood them.
    pub fn rules(&self) -> Vec<Value> {
        let groups = self.get("/api/v1/rules").unwrap();
        let groups = groups["groups"].as_array().unwrap().iter();
        groups.flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
    }

    fn get(&self, path: &str) -> Result<Value, String> {
        let answer = ask(&self.at, path).json();
        if answer["status"] == "success" {
            return Ok(answer["data"].clone());
        }
        Err(answer["error"].as_str().unwrap_or("no answer").to_owned())
    }

    /// What it said of itself.
    pub fn log(&self) -> PathBuf {
        self.folder.path().join("said")
    }
}

fn ask(at: &str, path: &str) -> Answer {
    request(at, "GET", path, "", b"")
}

fn encoded(query: &str) -> String {
    query.bytes().fold(String::new(), |mut all, byte| {
        if byte.is_ascii_alphanumeric() {
            all.push(char::from(byte));
        } else {
            write!(all, "%{byte:02X}").unwrap();
        }
        all
    })
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _gone = self.process.wait();
    }
}
