//! What the actor layer costs per signal, beside the same decision made by a plain struct in a map.
//!
//! Both show one signal each to a thousand attempts, as a lane's batch does when its attempts are
//! interleaved, and encode the state afterwards. The signal is a duplicate, so that the decision
//! itself is as cheap as it gets and the layer shows.

use actix::{Actor, Addr};
use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;
use tidegate::actors::{AttemptActor, Decide, Reply};
use tidegate::attempt::{EndpointName, Mode, Policy, SessionId, Timeliness, Timestamp};
use tidegate::lane::Resident;
use tidegate::lane::batch::{Decided, Task};
use tidegate::webhook::SecretIndex;
use tidegate::wire::prove::{Address, Said, Trust};
use tidegate::wire::seal::SigningKeys;
use tidegate::wire::signal::Stamp;

const ATTEMPTS: usize = 1_000;

fn task(trust: &Trust, attempt: usize) -> Task {
    let body = format!(
        r#"{{"id":"evt_{attempt}","type":"gate_session.processing","created_at":1782475200,"data":{{"id":"gs_{attempt}","mode":"test","flow":"on_ramp","amount":"100.00","currency":"EUR"}}}}"#
    );
    let stamp = Stamp {
        gate_signature: Bytes::from_static(b"t=1782475200,v1=00"),
        endpoint: EndpointName::parse("main").expect("a name"),
        secret: SecretIndex(0),
        signed_at: Timestamp::from_seconds(1_782_475_200),
        received_at: Timestamp::from_seconds(1_782_475_200),
        timeliness: Timeliness::InTime,
    };
    let (record, proven) = trust.take(Bytes::from(body), stamp);
    Task { said: proven.said, record }
}

fn told_once(attempt: usize, task: &Task) -> Resident {
    let session = SessionId::parse(&format!("gs_{attempt}")).expect("a session");
    let mut resident = Resident::unseen(&Address::Session(session)).expect("somebody");
    let _first = resident.decide(task, &Policy::default());
    assert!(matches!(task.said, Said::Signal(_)));
    resident
}

fn layers(criterion: &mut Criterion) {
    let keys = SigningKeys::new([[7; 32].as_slice()]).expect("a key");
    let trust = Trust { keys, mode: Mode::Test };
    let tasks: Vec<Task> = (0..ATTEMPTS).map(|attempt| task(&trust, attempt)).collect();
    let policy = Policy::default();
    let mut group = criterion.benchmark_group("one signal to each of 1000 attempts");
    group.throughput(Throughput::Elements(ATTEMPTS as u64));

    let mut plain: HashMap<Arc<str>, Resident> = tasks
        .iter()
        .enumerate()
        .map(|(attempt, task)| (Arc::from(format!("s/gs_{attempt}")), told_once(attempt, task)))
        .collect();
    let names: Vec<Arc<str>> = (0..ATTEMPTS).map(|n| Arc::from(format!("s/gs_{n}"))).collect();
    group.bench_function("plain structs in a map", |bencher| {
        bencher.iter(|| {
            for (name, task) in names.iter().zip(&tasks) {
                let resident = plain.get_mut(name).expect("a resident");
                let tasks = [task.clone()];
                let outcomes =
                    tasks.iter().map(|task| resident.decide(task, &policy)).collect::<Vec<_>>();
                let mut state = Vec::with_capacity(1024);
                resident.encode(&mut state);
                black_box(Decided { outcomes, state: Bytes::from(state) });
            }
        });
    });

    let system = actix::System::new();
    let actors: Vec<Addr<AttemptActor>> = system.block_on(async {
        tasks
            .iter()
            .enumerate()
            .map(|(n, task)| AttemptActor::new(told_once(n, task), Resident::decide).start())
            .collect()
    });
    group.bench_function("one actor each", |bencher| {
        bencher.iter(|| {
            system.block_on(async {
                let (to, mut answers) = tokio::sync::mpsc::unbounded_channel();
                for (index, (actor, task)) in actors.iter().zip(&tasks).enumerate() {
                    let decide = Decide {
                        tasks: vec![task.clone()],
                        policy,
                        reply: Reply::new(to.clone(), index),
                    };
                    actor.try_send(decide).expect("a live actor with room");
                }
                drop(to);
                let mut count = 0;
                while let Some(answer) = answers.recv().await {
                    black_box(answer);
                    count += 1;
                }
                assert_eq!(count, ATTEMPTS);
            });
        });
    });

    group.bench_function("starting and stopping an actor each", |bencher| {
        bencher.iter(|| {
            system.block_on(async {
                let started: Vec<_> = tasks
                    .iter()
                    .enumerate()
                    .map(|(n, task)| {
                        AttemptActor::new(told_once(n, task), Resident::decide).start()
                    })
                    .collect();
                black_box(&started);
                drop(started);
                tokio::task::yield_now().await;
            });
        });
    });
    group.finish();
}

criterion_group!(benches, layers);
criterion_main!(benches);
