//! A real redis-server.

use super::certificates::Certificate;
use super::{free_port, within};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(10);

const TRIES: usize = 3;

pub struct Redis {
    process: Child,
    pub port: u16,
    /// Where it speaks TLS, if it does.
    pub tls_port: Option<u16>,
    folder: TempDir,
    settings: Vec<String>,
}

impl Redis {
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts it with a second port, that speaks TLS.
    pub fn start_tls(certificate: &Certificate, settings: &[&str]) -> Self {
        let (key, certificate) = (&certificate.key, &certificate.certificate);
        let start = |_| {
            let tls_port = free_port();
            let port = tls_port.to_string();
            let tls = ["--tls-port", &port, "--tls-auth-clients", "no", "--tls-key-file"];
            let files = [key.to_str()?, "--tls-cert-file", certificate.to_str()?];
            let mut server = Self::try_start(&[&tls[..], &files, settings].concat())?;
            server.tls_port = Some(tls_port);
            Some(server)
        };
        (0..TRIES).find_map(start).unwrap_or_else(|| {
            panic!("redis-server does not come up with TLS within {PATIENCE:?}, {TRIES} times");
        })
    }

    /// Starts it with more of its own settings.
    pub fn start_with(settings: &[&str]) -> Self {
        (0..TRIES).find_map(|_| Self::try_start(settings)).unwrap_or_else(|| {
            panic!("redis-server does not come up within {PATIENCE:?}, {TRIES} times");
        })
    }

    fn try_start(settings: &[&str]) -> Option<Self> {
        let folder = TempDir::new().unwrap();
        let settings: Vec<String> = settings.iter().map(|word| (*word).to_owned()).collect();
        let port = free_port();
        let process = spawn(port, folder.path(), &settings);
        let mut server = Self { process, port, tls_port: None, folder, settings };
        server.comes_up().then_some(server)
    }

    fn comes_up(&mut self) -> bool {
        let ended = |process: &mut Child| process.try_wait().unwrap().is_some();
        // One that wants a password is up as well.
        let answers = |it: &Self| ["PONG", "NOAUTH"].iter().any(|a| it.says("PING").contains(a));
        within(PATIENCE, || ended(&mut self.process) || answers(self)) && !ended(&mut self.process)
    }

    /// Kills it. What it held is gone.
    pub fn stop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts it on the same port, empty.
    pub fn start_again(&mut self) {
        self.process = spawn(self.port, self.folder.path(), &self.settings);
        assert!(self.comes_up(), "redis-server does not come up again on port {}", self.port);
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Where it speaks TLS, by a name.
    pub fn tls(&self) -> String {
        format!("localhost:{}", self.tls_port.unwrap())
    }

    /// What it answers to a command in its own plain form; nothing while it is not there.
    pub fn says(&self, command: &str) -> String {
        let asked = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.write_all(format!("{command}\r\nQUIT\r\n").as_bytes())?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        asked().unwrap_or_default()
    }
}

fn spawn(port: u16, folder: &Path, settings: &[String]) -> Child {
    Command::new("redis-server")
        .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
        .args(["--port", &port.to_string()])
        .arg("--dir")
        .arg(folder)
        .args(settings)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server cannot be started; on Debian: apt-get install redis-server")
}

/// A server that copies another one.
pub fn replica_of(primary: &Redis) -> Redis {
    let settings = ["--replicaof", "127.0.0.1", &primary.port.to_string()];
    Redis::start_with(&settings)
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _gone = self.process.wait();
    }
}
