//! A real Apache Kafka: one KRaft node of its own for each test program, as `tests/setup/kafka.sh`
//! fetched it into `target/kafka`, or of `KAFKA_HOME`; or brokers that are named in
//! `TIDEGATE_TEST_BROKERS`.

use super::{free_port, within};
use std::io::Write;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(60);

const TRIES: usize = 3;

pub struct Kafka {
    pub brokers: String,
    _node: Option<Node>,
}

impl Kafka {
    /// The broker that the tests of this program share. Each test takes topics of its own.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Kafka> = OnceLock::new();
        SHARED.get_or_init(|| match std::env::var("TIDEGATE_TEST_BROKERS") {
            Ok(brokers) => Self { brokers, _node: None },
            Err(_) => Self::start(),
        })
    }

    pub fn start() -> Self {
        let libraries = libraries();
        let node = (0..TRIES).find_map(|_| Node::start(&libraries)).unwrap_or_else(|| {
            panic!("a Kafka broker does not come up within {PATIENCE:?}, {TRIES} times");
        });
        Self { brokers: format!("127.0.0.1:{}", node.port), _node: Some(node) }
    }
}

/// Where the broker's own program is.
fn libraries() -> PathBuf {
    let fetched = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/kafka/libs");
    let given = std::env::var_os("KAFKA_HOME").map(|home| Path::new(&home).join("libs"));
    let libraries = given.unwrap_or(fetched);
    let found = std::fs::read_dir(&libraries).is_ok_and(|mut files| files.next().is_some());
    assert!(
        found,
        "no Kafka in {}: run `tests/setup/kafka.sh` (it needs Maven and Java 17), or set KAFKA_HOME \
         or TIDEGATE_TEST_BROKERS",
        libraries.display()
    );
    libraries
}

struct Node {
    /// A shell around the broker. It ends the broker when its input ends: with this, or with the
    /// test, however that ends.
    shell: Child,
    port: u16,
    folder: TempDir,
}

impl Node {
    fn start(libraries: &Path) -> Option<Self> {
        let folder = TempDir::new().unwrap();
        let (port, controller) = (free_port(), free_port());
        let settings = folder.path().join("server.properties");
        let log = folder.path().join("log");
        let lines = [
            "process.roles=broker,controller".to_owned(),
            "node.id=1".to_owned(),
            format!("controller.quorum.voters=1@127.0.0.1:{controller}"),
            "controller.listener.names=CONTROLLER".to_owned(),
            format!("listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}"),
            format!("advertised.listeners=PLAINTEXT://127.0.0.1:{port}"),
            format!("log.dirs={}", log.display()),
            "auto.create.topics.enable=false".to_owned(),
            "offsets.topic.replication.factor=1".to_owned(),
            "offsets.topic.num.partitions=4".to_owned(),
            "transaction.state.log.replication.factor=1".to_owned(),
            "transaction.state.log.min.isr=1".to_owned(),
            "transaction.state.log.num.partitions=4".to_owned(),
            "group.initial.rebalance.delay.ms=0".to_owned(),
        ];
        std::fs::write(&settings, lines.join("\n")).unwrap();
        let said = std::fs::File::create(folder.path().join("said")).unwrap();
        let script = r#"
            java -cp "$1/*" kafka.tools.StorageTool format -t "$2" -c "$3" || exit 1
            java -Xmx384m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "$1/*" kafka.Kafka "$3" &
            read -r _ended
            kill -9 $!
            wait
        "#;
        let shell = Command::new("bash")
            .args(["-c", script, "kafka"])
            .arg(libraries)
            .arg("tidegateTestsCluster__")
            .arg(&settings)
            .stdin(Stdio::piped())
            .stdout(said.try_clone().unwrap())
            .stderr(said)
            .spawn()
            .unwrap();
        let mut node = Self { shell, port, folder };
        let ended = |shell: &mut Child| shell.try_wait().unwrap().is_some();
        let up = within(PATIENCE, || ended(&mut node.shell) || node.is_started());
        (up && !ended(&mut node.shell)).then_some(node)
    }

    fn is_started(&self) -> bool {
        let said = std::fs::read_to_string(self.folder.path().join("said")).unwrap_or_default();
        said.contains("Kafka Server started")
            && TcpStream::connect(("127.0.0.1", self.port)).is_ok()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut input) = self.shell.stdin.take() {
            let _gone = input.write_all(b"\n");
        }
        let _gone = self.shell.wait();
    }
}
