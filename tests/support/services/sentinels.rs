//! Two real servers, one a copy of the other, and three real sentinels that watch them.

use super::certificates::{Authority, Certificate};
use super::redis::{Redis, replica_of};
use super::{free_port, within};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(30);

/// What the sentinels call the primary.
pub const SERVICE: &str = "tide";

/// Two of three must agree that a primary is gone.
const SENTINELS: usize = 3;
const QUORUM: usize = 2;

pub struct Watched {
    pub servers: Vec<Redis>,
    sentinels: Vec<Sentinel>,
}

/// A sentinel that speaks TLS alone, and watches a server that does.
pub struct Secured {
    process: Child,
    port: u16,
    _folder: TempDir,
}

impl Secured {
    pub fn watch(server: &Redis, authority: &Authority, certificate: &Certificate) -> Self {
        let folder = TempDir::new().unwrap();
        let port = free_port();
        let watches = server.tls_port.unwrap();
        let text = format!(
            "port 0\ntls-port {port}\nbind 127.0.0.1\ndir {dir}\ntls-replication yes\n\
             tls-auth-clients no\ntls-ca-cert-file {ca}\ntls-cert-file {certificate}\n\
             tls-key-file {key}\nsentinel monitor {SERVICE} 127.0.0.1 {watches} 1\n",
            dir = folder.path().display(),
            ca = authority.file().display(),
            certificate = certificate.certificate.display(),
            key = certificate.key.display(),
        );
        let process = run(&folder, &text);
        let is_up = || TcpStream::connect(("127.0.0.1", port)).is_ok();
        assert!(within(PATIENCE, is_up), "no sentinel with TLS");
        Self { process, port, _folder: folder }
    }

    pub fn url(&self) -> String {
        format!("rediss+sentinel://127.0.0.1:{}/{SERVICE}", self.port)
    }
}

impl Drop for Secured {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _gone = self.process.wait();
    }
}

/// Starts a sentinel with these settings.
fn run(folder: &TempDir, text: &str) -> Child {
    // It writes into them what it learns.
    let settings = folder.path().join("sentinel.conf");
    fs::write(&settings, text).unwrap();
    Command::new("redis-server")
        .arg(&settings)
        .arg("--sentinel")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

struct Sentinel {
    process: Child,
    port: u16,
    password: &'static str,
    _folder: TempDir,
}

impl Watched {
    /// Up, and all of them know each other.
    pub fn start() -> Self {
        Self::start_with("")
    }

    /// Sentinels that ask for a password.
    pub fn start_with(password: &'static str) -> Self {
        let primary = Redis::start();
        let replica = replica_of(&primary);
        assert!(within(PATIENCE, || replica.says("INFO replication").contains("link_status:up")));
        let sentinels = (0..SENTINELS).map(|_| Sentinel::start(&primary, password)).collect();
        let watched = Self { servers: vec![primary, replica], sentinels };
        let others = format!("num-other-sentinels\r\n${}\r\n{}\r\n", 1, SENTINELS - 1);
        for sentinel in &watched.sentinels {
            let knows_all = || {
                let said = sentinel.says(&format!("SENTINEL MASTER {SERVICE}"));
                said.contains("num-slaves\r\n$1\r\n1\r\n") && said.contains(&others)
            };
            assert!(within(PATIENCE, knows_all), "a sentinel does not know the others");
        }
        watched
    }

    pub fn url(&self) -> String {
        let at: Vec<String> =
            self.sentinels.iter().map(|one| format!("127.0.0.1:{}", one.port)).collect();
        format!("redis+sentinel://{}/{SERVICE}", at.join(","))
    }

    /// Lets a replica hear nothing more of its primary.
    pub fn cut_off(&self, replica: usize) {
        let said = self.servers[replica].says("REPLICAOF 127.0.0.1 1");
        assert!(said.contains("OK"), "{said}");
    }

    /// Asks for another primary while the old one is well.
    pub fn fail_over(&self) {
        let said = self.sentinels[0].says(&format!("SENTINEL FAILOVER {SERVICE}"));
        assert!(said.contains("OK"), "{said}");
    }

    /// Waits until a server calls itself so.
    pub fn becomes(&self, server: usize, role: &str) {
        let role = format!("role:{role}");
        let says = || self.servers[server].says("INFO replication").contains(&role);
        assert!(within(PATIENCE, says), "server {server} does not become {role}");
    }
}

impl Sentinel {
    fn start(primary: &Redis, password: &'static str) -> Self {
        let folder = TempDir::new().unwrap();
        let port = free_port();
        let guard = match password {
            "" => String::new(),
            word => format!("requirepass {word}\nsentinel sentinel-pass {word}\n"),
        };
        let text = format!(
            "{guard}port {port}\nbind 127.0.0.1\ndir {dir}\n\
             sentinel monitor {SERVICE} 127.0.0.1 {watches} {QUORUM}\n\
             sentinel down-after-milliseconds {SERVICE} 1000\n\
             sentinel failover-timeout {SERVICE} 4000\n",
            dir = folder.path().display(),
            watches = primary.port,
        );
        let process = run(&folder, &text);
        let sentinel = Self { process, port, password, _folder: folder };
        assert!(within(PATIENCE, || sentinel.says("PING").contains("PONG")), "no sentinel");
        sentinel
    }

    fn says(&self, command: &str) -> String {
        let asked = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
            stream.set_read_timeout(Some(Duration::from_millis(500)))?;
            if !self.password.is_empty() {
                stream.write_all(format!("AUTH {}\r\n", self.password).as_bytes())?;
            }
            stream.write_all(format!("{command}\r\n").as_bytes())?;
            stream.shutdown(std::net::Shutdown::Write)?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        asked().unwrap_or_default()
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _gone = self.process.wait();
    }
}
