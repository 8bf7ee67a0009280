//! A real Redis Cluster of three primaries.

use super::{free_port, within};
use std::io::Write;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(30);

const TRIES: usize = 3;

pub struct RedisCluster {
    ports: Vec<u16>,
    shell: Child,
    _folder: TempDir,
}

impl RedisCluster {
    /// That of all tests of this program; each takes keys of its own.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<RedisCluster> = OnceLock::new();
        SHARED.get_or_init(|| {
            (0..TRIES).find_map(|_| Self::try_start()).expect("no Redis Cluster comes up")
        })
    }

    fn try_start() -> Option<Self> {
        let folder = TempDir::new().unwrap();
        let ports: Vec<u16> = (0..3).map(|_| free_port()).collect();
        // The shell ends them when its input ends: with this, or with the test, however that ends.
        let script = r#"
            for port in "$@"; do
              mkdir "$port"
              redis-server --bind 127.0.0.1 --port "$port" --dir "$port" --save '' \
                --cluster-enabled yes --cluster-port "$(( port > 50000 ? port - 10000 : port + 10000 ))" &
            done
            read -r _ended
            kill -9 $(jobs -p)
            wait
        "#;
        let shell = Command::new("bash")
            .args(["-c", script, "redis"])
            .args(ports.iter().map(u16::to_string))
            .current_dir(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let cluster = Self { ports, shell, _folder: folder };
        let is_up = |port: &u16| TcpStream::connect(("127.0.0.1", *port)).is_ok();
        let is_joined = || {
            let state = cli(cluster.ports[0]).args(["cluster", "info"]).output().unwrap();
            String::from_utf8_lossy(&state.stdout).contains("cluster_state:ok")
        };
        let come_up = within(PATIENCE, || cluster.ports.iter().all(is_up)) && cluster.join();
        (come_up && within(PATIENCE, is_joined)).then_some(cluster)
    }

    fn join(&self) -> bool {
        let at = self.ports.iter().map(|port| format!("127.0.0.1:{port}"));
        let joined = Command::new("redis-cli")
            .args(["--cluster", "create"])
            .args(at)
            .arg("--cluster-yes")
            .output()
            .expect("redis-cli cannot be started; on Debian: apt-get install redis-tools");
        joined.status.success()
    }

    pub fn url(&self) -> String {
        let at: Vec<String> = self.ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        format!("redis+cluster://{}", at.join(","))
    }

    /// Keys of each node.
    pub fn sizes(&self) -> Vec<u64> {
        let size = |port: &u16| {
            let said = cli(*port).arg("dbsize").output().unwrap().stdout;
            String::from_utf8_lossy(&said).trim().parse().unwrap()
        };
        self.ports.iter().map(size).collect()
    }
}

fn cli(port: u16) -> Command {
    let mut command = Command::new("redis-cli");
    command.args(["-p", &port.to_string()]);
    command
}

impl Drop for RedisCluster {
    fn drop(&mut self) {
        if let Some(mut input) = self.shell.stdin.take() {
            let _gone = input.write_all(b"\n");
        }
        let _gone = self.shell.wait();
    }
}
