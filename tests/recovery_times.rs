//! How long a cluster takes to recover, with many attempts in state. Measures, and prints; fails only
//! where something is lost or doubled. `tests/recovery-times` runs it; not among the other tests,
//! since what it measures wants the machine for itself.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that cannot go on fails")]

mod support;

mod recovery_times {
    pub mod eye;
    pub mod payers;
    pub mod stage;
    pub mod table;
}

use recovery_times::payers::{Sent, Steady};
use recovery_times::stage::Stage;
use recovery_times::table::{Figure, heading, quantile};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use support::cluster::Cluster;
use support::says::{COMPLETED, CREATED};
use support::services::kafka::Kafka;
use tidegate::lane::home::home;

const PARTITIONS: u32 = 6;
const LANES: u32 = 2;

/// What a member may be silent for, in `serve`, and one second on top.
const GIVEN_UP: Duration = Duration::from_secs(7);
const SOON: Duration = Duration::from_secs(1);
const VIEW_PER_MILLION: Duration = Duration::from_secs(8);

/// More than a steady load needs in a round.
const STEADY: usize = 20_000;

/// A steady load runs so long before and after what is measured under it.
const AROUND: Duration = Duration::from_secs(2);

fn asked(name: &str, otherwise: usize) -> usize {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

#[actix::test]
async fn recovery_times_on_kafka() {
    let (attempts, rounds) = (asked("RECOVERY_ATTEMPTS", 200_000), asked("RECOVERY_ROUNDS", 5));
    let kafka = Kafka::start(1);
    let cluster = Cluster::make_on(&kafka, "recovery", PARTITIONS, LANES).await;
    let mut stage = Stage::set(cluster);
    stage.start("a");
    stage.start("b");
    stage.settle();
    let began = Instant::now();
    stage.load(attempts);
    println!("{attempts} attempts in {PARTITIONS} partitions, loaded in {:.1?}", began.elapsed());
    println!(
        "two `serve` processes with {LANES} lanes each, a session timeout of 6 s\n{}",
        heading()
    );
    restarts(&mut stage, rounds);
    deaths(&mut stage, rounds);
    hand_overs(&mut stage, rounds);
    rebuilds(&mut stage, rounds);
    stage.all_are_fulfilled();
    stage.end();
}

/// kill -9, and the same instance again at once.
fn restarts(stage: &mut Stage, rounds: usize) {
    let mut first = Figure::new("killed and restarted, to its first new fulfillment", Some(SOON));
    let mut all = Figure::new("    to one in each of its partitions", None);
    for _ in 0..rounds {
        let theirs = stage.has("a");
        stage.take("a").kill();
        let paid = stage.pay_in(&theirs);
        let began = Instant::now();
        stage.start("a");
        note(stage, &paid, began, &mut first, &mut all);
        stage.settle();
        stage.tell("a");
    }
    println!("{first}\n{all}");
}

/// kill -9, and it does not come back.
fn deaths(stage: &mut Stage, rounds: usize) {
    let mut first = Figure::new("killed for good, to a peer's first fulfillment", Some(GIVEN_UP));
    let mut all = Figure::new("    to one in each of its partitions", None);
    for _ in 0..rounds {
        let theirs = stage.has("a");
        stage.take("a").kill();
        let began = Instant::now();
        let paid = stage.pay_in(&theirs);
        note(stage, &paid, began, &mut first, &mut all);
        stage.settle();
        stage.tell("b");
        stage.start("a");
        stage.settle();
    }
    println!("{first}\n{all}");
}

fn note(stage: &Stage, paid: &[String], began: Instant, first: &mut Figure, all: &mut Figure) {
    let took: Vec<Duration> =
        paid.iter().map(|session| stage.eye.sees(session).duration_since(began)).collect();
    first.rounds.push(*took.iter().min().unwrap());
    all.rounds.push(*took.iter().max().unwrap());
}

/// One leaves in good order and comes again, under a light load.
fn hand_overs(stage: &mut Stage, rounds: usize) {
    let mut left = Figure::new("one leaves: longest gap in a partition that moved", Some(SOON));
    let mut joined = Figure::new("one joins: longest gap in a partition that moved", Some(SOON));
    let mut quiet = Figure::new("    beside it: in a partition that did not move", None);
    for _ in 0..rounds {
        let moved = stage.has("a");
        let (moving, staying) = longest_gaps(stage, |stage| {
            assert_eq!(stage.take("a").end(), Some(0));
            stage.settle();
            moved
        });
        left.rounds.push(moving);
        quiet.rounds.push(staying);
        let (moving, staying) = longest_gaps(stage, |stage| {
            stage.start("a");
            stage.settle();
            stage.has("a")
        });
        stage.tell("a");
        stage.tell("b");
        joined.rounds.push(moving);
        quiet.rounds.push(staying);
    }
    println!("{left}\n{joined}\n{quiet}");
}

/// The longest time without a fulfillment while something happens, in partitions that it moves and
/// in the others.
fn longest_gaps(
    stage: &mut Stage,
    happens: impl FnOnce(&mut Stage) -> BTreeSet<u32>,
) -> (Duration, Duration) {
    let sessions = stage.sessions.spread(STEADY);
    let steady = Steady::begin(&stage.payer, COMPLETED, sessions);
    std::thread::sleep(AROUND);
    let moved = happens(stage);
    std::thread::sleep(AROUND);
    let sent = steady.stop();
    stage.expects(sent.len());
    let longest = |partition: u32| {
        let there = sent.iter().filter(|it| home(it.session.as_bytes(), PARTITIONS) == partition);
        let mut seen: Vec<Instant> = there.map(|it| stage.eye.sees(&it.session)).collect();
        seen.sort_unstable();
        seen.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap()
    };
    let of = |moves: bool| {
        let some = (0..PARTITIONS).filter(|partition| moved.contains(partition) == moves);
        some.map(longest).max().unwrap_or_default()
    };
    (of(true), of(false))
}

/// FLUSHALL, while attempts that are in memory go on.
fn rebuilds(stage: &mut Stage, rounds: usize) {
    let mut whole = Figure::new("view emptied, to all of it", None);
    let mut per_million = Figure::new("    for a million attempts", Some(VIEW_PER_MILLION));
    let mut before = Figure::new("    hot attempts before, p99", None);
    let mut median = Figure::new("    hot attempts meanwhile, p50", None);
    let mut worst = Figure::new("    hot attempts meanwhile, p99", None);
    for _ in 0..rounds {
        let hot = hot(stage);
        let steady = Steady::begin(&stage.payer, COMPLETED, hot);
        std::thread::sleep(AROUND);
        let had = stage.view();
        let began = Instant::now();
        stage.cluster.redis.says("FLUSHALL");
        let enough = |has: &[(u64, u64)]| {
            has.iter().zip(&had).all(|(has, had)| has.0 >= had.0 && has.1 >= had.1)
        };
        while !enough(&stage.view()) {
            assert!(began.elapsed() < Duration::from_secs(60), "the view stays {:?}", stage.view());
            std::thread::sleep(Duration::from_millis(20));
        }
        let ended = Instant::now();
        std::thread::sleep(AROUND);
        let sent = steady.stop();
        stage.expects(sent.len());
        let states: u64 = had.iter().map(|(_, states)| states).sum();
        let took = ended - began;
        whole.rounds.push(took);
        per_million.rounds.push(took.mul_f64(1e6 / states as f64));
        let latencies = |during: &dyn Fn(&Sent) -> bool| {
            let sent = sent.iter().filter(|sent| during(sent));
            let mut took: Vec<Duration> =
                sent.map(|sent| stage.eye.sees(&sent.session) - sent.at).collect();
            took.sort_unstable();
            took
        };
        let meanwhile = latencies(&|sent| (began..ended).contains(&sent.at));
        before.rounds.push(quantile(&latencies(&|sent| sent.at < began), 99));
        median.rounds.push(quantile(&meanwhile, 50));
        worst.rounds.push(quantile(&meanwhile, 99));
    }
    println!("{whole}\n{per_million}\n{before}\n{median}\n{worst}");
}

/// Attempts that have begun and live in memory.
fn hot(stage: &mut Stage) -> Vec<String> {
    let hot = stage.sessions.spread(STEADY / 5);
    hot.iter().for_each(|session| stage.payer.says(CREATED, session));
    // What comes after them in each partition was decided after them.
    let every = (0..PARTITIONS).collect();
    let paid = stage.pay_in(&every);
    paid.iter().for_each(|session| {
        stage.eye.sees(session);
    });
    hot
}
