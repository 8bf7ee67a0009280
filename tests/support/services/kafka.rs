//! A real Apache Kafka: KRaft nodes of its own for each test program, as `tests/setup/kafka.sh`
//! fetched it into `target/kafka`, or of `KAFKA_HOME`; or brokers that are named in
//! `TIDEGATE_TEST_BROKERS`.

use super::proxy::Proxy;
use super::{free_port, within};
use crate::support::kept::KeptFolder;
use std::io::Write;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

const TRIES: usize = 3;

pub struct Kafka {
    pub brokers: String,
    nodes: Vec<Node>,
    /// Where the first one speaks TLS and asks for a user.
    secured: Option<u16>,
}

/// A second listener, that speaks TLS and asks for a user; on the first one everything is allowed.
#[derive(Clone, Default)]
pub struct Secured {
    /// More settings of the broker.
    pub settings: Vec<String>,
    /// Users that are known by SCRAM, as `kafka-storage format --add-scram` takes them.
    pub scram_users: Vec<String>,
}

impl Kafka {
    /// The broker that the tests of this program share. Each test takes topics of its own.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Kafka> = OnceLock::new();
        SHARED.get_or_init(|| match std::env::var("TIDEGATE_TEST_BROKERS") {
            Ok(brokers) => Self { brokers, nodes: vec![], secured: None },
            Err(_) => Self::start(1),
        })
    }

    /// One node with a second listener.
    pub fn start_secured(secured: &Secured) -> Self {
        Self::start_with(1, Some(secured))
    }

    /// `localhost:port` of the listener that is secured.
    pub fn secured(&self) -> String {
        format!("localhost:{}", self.secured.unwrap())
    }

    /// The same, or one of our own where ours is not shared: what stands before a broker must be
    /// known to it.
    pub fn behind_a_proxy() -> &'static Self {
        static OWN: OnceLock<Kafka> = OnceLock::new();
        let shared = Self::shared();
        if shared.nodes.is_empty() { OWN.get_or_init(|| Self::start(1)) } else { shared }
    }

    /// What stands before its first node. Clients that begin there stay behind it.
    pub fn proxy(&self) -> &Proxy {
        &self.nodes[0].proxy
    }

    /// So many nodes, each a broker and a controller.
    pub fn start(count: usize) -> Self {
        Self::start_with(count, None)
    }

    fn start_with(count: usize, secured: Option<&Secured>) -> Self {
        let libraries = libraries();
        let come_up = || Node::all(count, &libraries, secured);
        let nodes = (0..TRIES).find_map(|_| come_up()).unwrap_or_else(|| {
            panic!("Kafka does not come up within {PATIENCE:?}, {TRIES} times");
        });
        let addresses: Vec<String> = nodes.iter().map(Node::address).collect();
        let secured = nodes.first().and_then(|node| node.secured);
        Self { brokers: addresses.join(","), nodes, secured }
    }

    /// Ends a node at once, as a machine that loses its power.
    pub fn kill(&mut self, node: usize) {
        self.nodes[node].shell = None;
    }

    /// Starts a node again where it was, and waits until it serves.
    pub fn start_again(&mut self, node: usize) {
        let libraries = libraries();
        self.nodes[node].run(&libraries);
        assert!(self.nodes[node].comes_up(), "node {node} does not come up again");
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

/// A shell around a broker. It ends the broker when its input ends: with this, or with the test,
/// however that ends.
struct Shell(Child);

impl Drop for Shell {
    fn drop(&mut self) {
        if let Some(mut input) = self.0.stdin.take() {
            let _gone = input.write_all(b"\n");
        }
        let _gone = self.0.wait();
    }
}

struct Node {
    /// None while it is killed.
    shell: Option<Shell>,
    port: u16,
    secured: Option<u16>,
    scram_users: Vec<String>,
    proxy: Proxy,
    folder: KeptFolder,
}

impl Node {
    fn all(count: usize, libraries: &Path, secured: Option<&Secured>) -> Option<Vec<Self>> {
        let ports: Vec<(u16, u16)> = (0..count).map(|_| (free_port(), free_port())).collect();
        let voters: Vec<String> =
            (1..).zip(&ports).map(|(id, (_, at))| format!("{id}@127.0.0.1:{at}")).collect();
        let mut nodes: Vec<Self> =
            (1..).zip(&ports).map(|(id, ports)| Self::made(id, *ports, &voters, secured)).collect();
        nodes.iter_mut().for_each(|node| node.run(libraries));
        nodes.iter_mut().all(Self::comes_up).then_some(nodes)
    }

    fn made(
        id: usize,
        (port, controller): (u16, u16),
        voters: &[String],
        more: Option<&Secured>,
    ) -> Self {
        let folder = KeptFolder::make();
        let log = folder.path().join("log");
        let copies = voters.len();
        let insync = copies.div_ceil(2);
        let secured = more.map(|_| free_port());
        let second = secured.map(|port| format!(",SASL_SSL://localhost:{port}"));
        let second = second.unwrap_or_default();
        let through = free_port();
        let proxy = Proxy::before(through);
        let mut lines = vec![
            "process.roles=broker,controller".to_owned(),
            format!("node.id={id}"),
            format!("controller.quorum.voters={}", voters.join(",")),
            "controller.listener.names=CONTROLLER".to_owned(),
            format!(
                "listeners=PLAINTEXT://127.0.0.1:{port},PROXIED://127.0.0.1:{through},\
                 CONTROLLER://127.0.0.1:{controller}{second}"
            ),
            format!(
                "advertised.listeners=PLAINTEXT://127.0.0.1:{port},PROXIED://{}{second}",
                proxy.address()
            ),
            "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,\
             CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL"
                .to_owned(),
            format!("log.dirs={}", log.display()),
            "auto.create.topics.enable=false".to_owned(),
            format!("offsets.topic.replication.factor={copies}"),
            "offsets.topic.num.partitions=4".to_owned(),
            format!("transaction.state.log.replication.factor={copies}"),
            format!("transaction.state.log.min.isr={insync}"),
            "transaction.state.log.num.partitions=4".to_owned(),
            "group.initial.rebalance.delay.ms=0".to_owned(),
        ];
        lines.extend(more.iter().flat_map(|more| more.settings.iter().cloned()));
        std::fs::write(folder.path().join("server.properties"), lines.join("\n")).unwrap();
        let scram_users = more.map(|more| more.scram_users.clone()).unwrap_or_default();
        Self { shell: None, port, secured, scram_users, proxy, folder }
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn run(&mut self, libraries: &Path) {
        let said = std::fs::File::create(self.folder.path().join("said")).unwrap();
        let script = r#"
            libraries=$1 id=$2 settings=$3 log=$4
            shift 4
            [ -e "$log" ] \
              || java -cp "$libraries/*" kafka.tools.StorageTool format -t "$id" -c "$settings" "$@" \
              || exit 1
            java ${KAFKA_HEAP_OPTS:--Xmx384m -XX:+UseSerialGC -XX:TieredStopAtLevel=1} -cp "$libraries/*" \
              kafka.Kafka "$settings" &
            read -r _ended
            kill -9 $!
            wait
        "#;
        let shell = Command::new("bash")
            .args(["-c", script, "kafka"])
            .arg(libraries)
            .arg("tidegateTestsCluster__")
            .arg(self.folder.path().join("server.properties"))
            .arg(self.folder.path().join("log"))
            .args(self.scram_users.iter().flat_map(|user| ["--add-scram", user]))
            .stdin(Stdio::piped())
            .stdout(said.try_clone().unwrap())
            .stderr(said)
            .spawn()
            .unwrap();
        self.shell = Some(Shell(shell));
    }

    fn comes_up(&mut self) -> bool {
        within(PATIENCE, || self.has_ended() || self.is_started()) && !self.has_ended()
    }

    fn has_ended(&mut self) -> bool {
        self.shell.as_mut().is_none_or(|shell| shell.0.try_wait().unwrap().is_some())
    }

    fn is_started(&self) -> bool {
        let said = std::fs::read_to_string(self.folder.path().join("said")).unwrap_or_default();
        said.contains("Kafka Server started")
            && TcpStream::connect(("127.0.0.1", self.port)).is_ok()
    }
}
