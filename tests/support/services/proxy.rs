//! A proxy between clients and a broker: it holds what a client asks for, or keeps one request and
//! cuts the connection, so that the client asks again and the first copy can arrive late.
//!
//! It knows as much of Kafka's protocol as that takes: a request is a length, what is asked for, and
//! in its header who asks (`client.id`).

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);

/// What a client may ask for, by its number in the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i16)]
pub enum Api {
    Produce = 0,
    OffsetFetch = 9,
    Heartbeat = 12,
    InitProducerId = 22,
    AddPartitionsToTxn = 24,
    AddOffsetsToTxn = 25,
    EndTxn = 26,
}

pub struct Proxy {
    port: u16,
    broker: u16,
    plans: Arc<Plans>,
}

#[derive(Default)]
struct Plans {
    by_client: Mutex<BTreeMap<String, Plan>>,
    changed: Condvar,
}

/// What happens to the requests of one client.
#[derive(Default)]
struct Plan {
    holds: BTreeMap<i16, Hold>,
    /// The next one of these is kept, and its connection cut.
    keeps: Option<i16>,
    kept: Option<Vec<u8>>,
    last: BTreeMap<i16, Instant>,
}

#[derive(Default)]
struct Hold {
    /// Only of those that name this.
    naming: &'static str,
    waiting: usize,
    over: Option<Verdict>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Pass,
    Cut,
}

impl Proxy {
    /// Before the broker that listens on a port of this machine, now or later.
    pub fn before(broker: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let plans = Arc::new(Plans::default());
        let shared = Arc::clone(&plans);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let plans = Arc::clone(&shared);
                std::thread::spawn(move || join(client, broker, &plans));
            }
        });
        Self { port, broker, plans }
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// What the process of this name has with the broker.
    pub fn line(&self, instance: &str) -> Line {
        let client = format!("tidegate-{instance}");
        Line { client, broker: self.broker, plans: Arc::clone(&self.plans) }
    }
}

/// Everything that one process asks the broker for, on all of its connections.
pub struct Line {
    client: String,
    broker: u16,
    plans: Arc<Plans>,
}

impl Line {
    fn plan<T>(&self, change: impl FnOnce(&mut Plan) -> T) -> T {
        let changed = change(self.plans.lock().entry(self.client.clone()).or_default());
        self.plans.changed.notify_all();
        changed
    }

    fn wait<T>(&self, what: &str, mut ready: impl FnMut(&mut Plan) -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            if let Some(ready) = self.plan(&mut ready) {
                return ready;
            }
            assert!(began.elapsed() < PATIENCE, "{}: {what} does not come", self.client);
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Holds every request of this kind from now on. What comes behind it overtakes it.
    pub fn hold(&self, api: Api) {
        self.hold_naming(api, "");
    }

    /// Only those that name this topic, or whatever else stands in them as it is.
    pub fn hold_naming(&self, api: Api, naming: &'static str) {
        self.plan(|plan| plan.holds.insert(api as i16, Hold { naming, ..Hold::default() }));
    }

    /// Returns when so many of them are held.
    pub fn holds(&self, api: Api, count: usize) {
        self.wait(&format!("{api:?} number {count}"), |plan| {
            (plan.holds.get(&(api as i16))?.waiting >= count).then_some(())
        });
    }

    /// Lets through what is held, and what comes.
    pub fn let_through(&self, api: Api) {
        self.end(api, Verdict::Pass);
    }

    /// What is held never reaches the broker.
    pub fn lose(&self, api: Api) {
        self.end(api, Verdict::Cut);
    }

    fn end(&self, api: Api, how: Verdict) {
        self.plan(|plan| plan.holds.get_mut(&(api as i16)).unwrap().over = Some(how));
        self.wait(&format!("the end of every {api:?}"), |plan| {
            let none = plan.holds.get(&(api as i16))?.waiting == 0;
            none.then(|| plan.holds.remove(&(api as i16)))
        });
    }

    /// Keeps the next request of this kind to itself, and cuts its connection.
    pub fn keep_next(&self, api: Api) {
        self.plan(|plan| plan.keeps = Some(api as i16));
    }

    /// What was kept, once it is.
    pub fn kept(&self) -> Late {
        let request = self.wait("what is to be kept", |plan| plan.kept.take());
        Late { request, broker: self.broker }
    }

    /// Returns when nothing of this kind was asked for so long, from now on.
    pub fn rests(&self, api: Api, long: Duration) {
        let asked = Instant::now();
        self.wait(&format!("rest of {api:?}"), |plan| {
            let last = plan.last.get(&(api as i16)).copied();
            (asked.max(last.unwrap_or(asked)).elapsed() > long).then_some(())
        });
    }
}

/// A request that has been on its way for long.
pub struct Late {
    request: Vec<u8>,
    broker: u16,
}

impl Late {
    /// Reaches the broker, and says what the broker makes of it: 0, or its error.
    pub fn arrives(self) -> i16 {
        let mut broker = TcpStream::connect(("127.0.0.1", self.broker)).unwrap();
        broker.set_read_timeout(Some(PATIENCE)).unwrap();
        broker.write_all(&self.request).unwrap();
        let answer = read_frame(&mut broker).unwrap();
        // Its length, whose answer it is, how long to hold back.
        i16::from_be_bytes(answer[12..14].try_into().unwrap())
    }
}

impl Plans {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Plan>> {
        self.by_client.lock().unwrap()
    }

    /// What is to be done with a request; nothing yet where it is to be held.
    fn judge(&self, client: &str, api: i16, request: &[u8]) -> Option<Verdict> {
        let mut plans = self.lock();
        let plan = plans.entry(client.to_owned()).or_default();
        plan.last.insert(api, Instant::now());
        if plan.keeps == Some(api) {
            plan.keeps = None;
            plan.kept = Some(request.to_vec());
            return Some(Verdict::Cut);
        }
        let hold = plan.holds.get_mut(&api).filter(|hold| names(request, hold.naming));
        let Some(hold) = hold else { return Some(Verdict::Pass) };
        hold.waiting += 1;
        None
    }

    /// Returns when a request that is held may go on, or must not.
    fn held(&self, client: &str, api: i16) -> Verdict {
        let mut plans = self.lock();
        loop {
            let hold = plans.get_mut(client).and_then(|plan| plan.holds.get_mut(&api)).unwrap();
            if let Some(verdict) = hold.over {
                hold.waiting -= 1;
                return verdict;
            }
            plans = self.changed.wait(plans).unwrap();
        }
    }
}

/// Who asks, and for what.
fn asked(request: &[u8]) -> (String, i16) {
    let number = |at: usize| i16::from_be_bytes([request[at], request[at + 1]]);
    let name = usize::try_from(number(12)).unwrap_or(0);
    (String::from_utf8_lossy(&request[14..14 + name]).into_owned(), number(4))
}

fn names(request: &[u8], name: &str) -> bool {
    name.is_empty() || request.windows(name.len()).any(|some| some == name.as_bytes())
}

fn read_frame(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut frame = vec![0; 4];
    stream.read_exact(&mut frame).ok()?;
    let length = u32::from_be_bytes(frame[..4].try_into().unwrap());
    frame.resize(4 + length as usize, 0);
    stream.read_exact(&mut frame[4..]).ok()?;
    Some(frame)
}

/// Both ends of a connection.
#[derive(Clone)]
struct Joined {
    client: Arc<TcpStream>,
    /// Requests go to it whole.
    broker: Arc<Mutex<TcpStream>>,
}

impl Joined {
    fn carry_out(&self, verdict: Verdict, request: &[u8]) {
        let mut broker = self.broker.lock().unwrap();
        if verdict == Verdict::Cut || broker.write_all(request).is_err() {
            let _gone = self.client.shutdown(Shutdown::Both);
            let _gone = broker.shutdown(Shutdown::Both);
        }
    }
}

/// Passes on what a client and the broker say until one of them ends, or it is cut.
fn join(mut client: TcpStream, broker: u16, plans: &Arc<Plans>) {
    let Ok(broker) = TcpStream::connect(("127.0.0.1", broker)) else { return };
    for stream in [&client, &broker] {
        stream.set_nodelay(true).unwrap();
    }
    let (mut answers, mut asker) = (broker.try_clone().unwrap(), client.try_clone().unwrap());
    std::thread::spawn(move || {
        let _ended = std::io::copy(&mut answers, &mut asker);
        let _gone = asker.shutdown(Shutdown::Both);
    });
    let ends = client.try_clone().unwrap();
    let joined = Joined { client: Arc::new(ends), broker: Arc::new(Mutex::new(broker)) };
    while let Some(request) = read_frame(&mut client) {
        let (name, api) = asked(&request);
        match plans.judge(&name, api, &request) {
            Some(verdict) => joined.carry_out(verdict, &request),
            None => {
                let (joined, plans) = (joined.clone(), Arc::clone(plans));
                std::thread::spawn(move || joined.carry_out(plans.held(&name, api), &request));
            }
        }
    }
    joined.carry_out(Verdict::Cut, &[]);
}
