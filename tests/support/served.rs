//! Real `serve` processes of one cluster.

use super::cluster::Cluster;
use super::kept::KeptFolder;
use super::running::{Answer, request, send_signal, tidegate, try_request};
use super::says::{self, Event};
use rustix::process::Signal;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

/// A configuration of a cluster, with its secrets.
pub struct Configured {
    pub file: PathBuf,
    folder: KeptFolder,
    variables: Vec<(String, String)>,
}

pub struct Served {
    pub child: Child,
    pub public: String,
    api: String,
    pub ops: String,
}

const API_KEY: &str = "tgk_test_0123456789abcdef0123456789abcdef";

impl Configured {
    pub fn of(cluster: &Cluster, redis: &str) -> Self {
        Self::reaching(cluster, &cluster.brokers, &format!("[redis]\nurl = \"{redis}\""))
    }

    /// The same by another way: tables of the configuration say which.
    pub fn reaching(cluster: &Cluster, brokers: &str, tables: &str) -> Self {
        let folder = KeptFolder::make();
        let kafka = cluster.options("nobody");
        let signing = "07".repeat(32);
        let secrets = [("webhook", says::SECRET), ("api", API_KEY), ("signing", signing.as_str())];
        for (name, secret) in secrets {
            fs::write(folder.path().join(name), secret).unwrap();
        }
        let at = |name: &str| folder.path().join(name).display().to_string();
        let text = format!(
            r#"
engine = "cluster"
data_dir = "{data}"
[kafka]
brokers = "{brokers}"
group = "{group}"
topic_prefix = "{prefix}"
{tables}
[endpoints.{endpoint}]
secrets = [{{ file = "{webhook}" }}]
[api]
keys = [{{ file = "{api}" }}]
[signing]
keys = [{{ file = "{signing}" }}]
[log]
format = "json"
"#,
            data = at("data"),
            group = kafka.group,
            prefix = kafka.topic_prefix,
            endpoint = says::ENDPOINT,
            webhook = at("webhook"),
            api = at("api"),
            signing = at("signing"),
        );
        let file = folder.path().join("tidegate.toml");
        fs::write(&file, text).unwrap();
        Self { file, folder, variables: vec![] }
    }

    /// What every process of it finds in its environment.
    pub fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    fn tidegate(&self) -> Command {
        let mut command = tidegate();
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    pub fn run(&self, words: &[&str]) -> Output {
        self.tidegate().args(words).arg("--config").arg(&self.file).output().unwrap()
    }

    /// What a process has said so far.
    pub fn said(&self, instance: &str) -> String {
        fs::read_to_string(self.log(instance)).unwrap_or_default()
    }

    fn log(&self, instance: &str) -> PathBuf {
        self.folder.path().join(format!("log-{instance}"))
    }

    /// What a process has said, whole lines of it.
    pub fn log_lines(&self, instance: &str) -> Vec<serde_json::Value> {
        lines_of(&self.log(instance))
    }

    /// The last thing that a process complained of.
    pub fn complaint(&self, instance: &str) -> String {
        let said = self.said(instance);
        let error = said.lines().rev().find(|line| line.contains("\"ERROR\""));
        error.unwrap_or("nothing").to_owned()
    }

    pub fn serve(&self, instance: &str) -> Served {
        self.launch(instance, &[]).ready()
    }

    /// What was said in an earlier life stays beside the newest.
    fn put_aside(log: &Path) {
        let mut aside = (1_u32..).map(|life| log.with_extension(life.to_string()));
        if log.exists()
            && let Some(free) = aside.find(|aside| !aside.exists())
        {
            fs::rename(log, free).unwrap();
        }
    }

    /// Starts one with more in its environment, and does not wait for it.
    pub fn launch(&self, instance: &str, environment: &[(&str, &str)]) -> Launched {
        let log = self.log(instance);
        Self::put_aside(&log);
        let child = self
            .tidegate()
            .args(["serve", "--public", "127.0.0.1:0", "--api", "127.0.0.1:0"])
            .args(["--ops", "127.0.0.1:0", "--config"])
            .arg(&self.file)
            .env("TIDEGATE_INSTANCE_ID", instance)
            .envs(environment.iter().copied())
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let served =
            Served { child, public: String::new(), api: String::new(), ops: String::new() };
        Launched { served, log }
    }
}

fn lines_of(log: &Path) -> Vec<serde_json::Value> {
    let said = fs::read_to_string(log).unwrap_or_default();
    said.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// A process that has been started and may not be ready yet.
pub struct Launched {
    pub served: Served,
    log: PathBuf,
}

impl Launched {
    pub fn ready(self) -> Served {
        let log = self.log.clone();
        let ended = |ended| panic!("it ended: {ended:?}\n{}", fs::read_to_string(log).unwrap());
        self.outcome(PATIENCE).unwrap_or_else(ended)
    }

    /// Ready, or the code with which it ended; none where it goes on without being ready.
    pub fn outcome(self, patience: Duration) -> Result<Served, Option<i32>> {
        let Self { mut served, log } = self;
        let began = Instant::now();
        loop {
            let said = lines_of(&log);
            let ready = said.iter().find(|line| line["message"] == "ready");
            if let Some(ready) = ready {
                served.public = ready["public"].as_str().unwrap().to_owned();
                served.api = ready["api"].as_str().unwrap().to_owned();
                served.ops = ready["ops"].as_str().unwrap().to_owned();
                return Ok(served);
            }
            if let Some(ended) = served.child.try_wait().unwrap() {
                return Err(ended.code());
            }
            if began.elapsed() > patience {
                return Err(None);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Served {
    pub fn deliver(&self, event: &Event<'_>) -> Option<Answer> {
        Self::deliver_to(&self.public, event)
    }

    /// `None` where it was killed in the middle, and gave no answer at all.
    pub fn deliver_to(public: &str, event: &Event<'_>) -> Option<Answer> {
        let body = event.body();
        let signature = says::secret().sign(says::now().seconds(), &body);
        let head = format!("Gate-Signature: {signature}\r\n");
        let path = format!("/webhooks/{}", says::ENDPOINT);
        try_request(public, "POST", &path, &head, &body).ok()
    }

    pub fn ask(&self, path: &str) -> Answer {
        let head = format!("Authorization: Bearer {API_KEY}\r\n");
        request(&self.api, "GET", path, &head, b"")
    }

    /// With what code it ends by itself, if it does in time.
    pub fn ends_within(&mut self, patience: Duration) -> Option<i32> {
        let began = Instant::now();
        while began.elapsed() < patience {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Some(status.code().unwrap_or(-1));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        None
    }

    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to end, and says with what code it did.
    pub fn end(mut self) -> Option<i32> {
        send_signal(&self.child, Signal::TERM);
        self.child.wait().unwrap().code()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}
