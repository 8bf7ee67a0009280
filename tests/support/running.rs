//! A real process in a folder of its own, and a client that sees every byte.
#![allow(unreachable_pub, reason = "shared by files that are crates of their own")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use rustix::process::{Pid, Signal};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tidegate::webhook::WebhookSecret;

pub const PATIENCE: Duration = Duration::from_secs(30);

pub struct Dev {
    pub child: Child,
    pub info: Value,
    pub folder: PathBuf,
}

pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }

    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap().to_owned()
    }

    pub fn lines(&self) -> Vec<Value> {
        self.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

pub fn tidegate() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.env_remove("RUST_LOG");
    command
}

pub fn send_signal(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

pub fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

impl Dev {
    pub fn start(folder: &Path) -> Self {
        Self::start_with(folder, &[])
    }

    pub fn start_with(folder: &Path, environment: &[(&str, &str)]) -> Self {
        Self::start_as(folder, &[], environment)
    }

    pub fn start_as(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        Self::start_by(tidegate(), folder, arguments, environment)
    }

    pub fn start_by(
        mut command: Command,
        folder: &Path,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let file = folder.join("dev.json");
        let _not_there = std::fs::remove_file(&file);
        let mut child = command
            .args(["dev", "--public", "127.0.0.1:0", "--api", "127.0.0.1:0"])
            .args(["--ops", "127.0.0.1:0", "--data"])
            .arg(folder)
            .args(arguments)
            .envs(environment.iter().copied())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(folder.join("log")).unwrap())
            .spawn()
            .unwrap();
        let began = Instant::now();
        let info = loop {
            if let Ok(text) = std::fs::read(&file) {
                break serde_json::from_slice(&text).unwrap();
            }
            if let Some(ended) = child.try_wait().unwrap() {
                panic!("dev ended: {ended}\n{}", log(folder));
            }
            assert!(began.elapsed() < PATIENCE, "dev is not ready\n{}", log(folder));
            std::thread::sleep(Duration::from_millis(20));
        };
        Self { child, info, folder: folder.to_owned() }
    }

    pub fn text(&self, name: &str) -> String {
        self.info[name].as_str().unwrap().to_owned()
    }

    /// `host:port` of a listener.
    pub fn at(&self, name: &str) -> String {
        self.text(name).trim_start_matches("http://").to_owned()
    }

    pub fn sign(&self, body: &[u8]) -> String {
        self.sign_at(now(), body)
    }

    pub fn sign_at(&self, seconds: i64, body: &[u8]) -> String {
        WebhookSecret::new(self.text("webhook_secret").into()).sign(seconds, body)
    }

    pub fn deliver(&self, body: &str) -> Answer {
        self.deliver_signed(body.as_bytes(), &self.sign(body.as_bytes()))
    }

    pub fn deliver_signed(&self, body: &[u8], signature: &str) -> Answer {
        let head = format!("Gate-Signature: {signature}\r\n");
        request(&self.at("public"), "POST", "/webhooks/dev", &head, body)
    }

    pub fn api(&self, path: &str) -> Answer {
        self.api_with(path, "")
    }

    pub fn api_with(&self, path: &str, more: &str) -> Answer {
        let head = format!("Authorization: Bearer {}\r\n{more}", self.text("api_key"));
        request(&self.at("api"), "GET", path, &head, b"")
    }

    pub fn ops(&self, path: &str) -> Answer {
        request(&self.at("ops"), "GET", path, "", b"")
    }

    /// The value of a series, by its name and labels as written.
    pub fn metric(&self, series: &str) -> f64 {
        let text = self.ops("/metrics").body;
        let line = text.lines().find(|line| line.starts_with(&format!("{series} ")));
        let line = line.unwrap_or_else(|| panic!("no series {series} in\n{text}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    /// The attempt once it is committed in `state`.
    pub fn attempt_in(&self, id: &str, state: &str) -> Value {
        let began = Instant::now();
        loop {
            let answer = self.api(&format!("/v1/attempts/{id}"));
            if answer.status == 200 && answer.json()["state"] == state {
                return answer.json();
            }
            assert!(began.elapsed() < PATIENCE, "{id} is not {state}: {}", answer.body);
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        tidegate().args(arguments).arg("--data").arg(&self.folder).output().unwrap()
    }

    pub fn signal(&self, signal: Signal) {
        send_signal(&self.child, signal);
    }

    /// Asks it to end and says with what code it did.
    pub fn end(mut self) -> i32 {
        self.signal(Signal::TERM);
        self.ended()
    }

    pub fn ended(&mut self) -> i32 {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            assert!(began.elapsed() < PATIENCE, "it does not end\n{}", log(&self.folder));
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

fn log(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("log")).unwrap_or_default()
}

pub fn now() -> i64 {
    let now = tidegate::ports::Clock::now(&tidegate::ports::SystemClock);
    now.seconds()
}

pub fn request(at: &str, method: &str, path: &str, head: &str, body: &[u8]) -> Answer {
    try_request(at, method, path, head, body).unwrap()
}

/// The same of somebody who may not be there, or die in the middle.
pub fn try_request(
    at: &str,
    method: &str,
    path: &str,
    head: &str,
    body: &[u8],
) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(at)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: t\r\nConnection: close\r\nContent-Length: \
         {length}\r\n{head}\r\n"
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    Ok(read_answer(&mut stream))
}

/// Reads until the other side closes.
pub fn read_answer(stream: &mut TcpStream) -> Answer {
    let mut bytes = vec![];
    // A reset after the answer is no news: the answer is what counts.
    let _reset = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let body = if chunked { unchunked(body) } else { body.to_owned() };
    Answer { status, head: head.to_owned(), body }
}

fn unchunked(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((size, more)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            break;
        }
        body.push_str(&more[..size]);
        rest = &more[size + 2..];
    }
    body
}

pub fn event(id: &str, name: &str, session: &str) -> String {
    event_with(id, name, session, &serde_json::json!({}))
}

pub fn event_with(id: &str, name: &str, session: &str, more: &Value) -> String {
    let mut data = serde_json::json!({
        "id": session, "mode": "test", "flow": "on_ramp", "amount": "100.00", "currency": "EUR",
    });
    data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::json!({ "id": id, "type": name, "created_at": now(), "data": data }).to_string()
}
