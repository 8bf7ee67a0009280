//! Processes of a cluster are killed, frozen and restarted, brokers die, Redis is emptied and killed,
//! members come and go, while payments come in: none is lost, none is fulfilled twice. Prints what it
//! did. A short form runs with the other tests; `tests/run-chaos` runs it long.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that cannot go on fails")]

mod support;

mod chaos {
    pub mod checker;
    pub mod payers;
    pub mod plan;
    pub mod troupe;
}

mod chaos_on_kafka {
    use super::chaos::checker::Checker;
    use super::chaos::payers::{Doors, Payers};
    use super::chaos::plan::{Fault, Plan};
    use super::chaos::troupe::Troupe;
    use super::support::Dice;
    use super::support::cluster::Cluster;
    use super::support::served::Configured;
    use super::support::services::kafka::Kafka;
    use std::collections::BTreeMap;
    use std::time::{Duration, Instant};

    /// How long the last payments may take to be fulfilled once nothing is broken any more.
    const HEALS: Duration = Duration::from_secs(180);

    #[actix::test]
    async fn nothing_is_lost_and_nothing_is_doubled() {
        let plan = Plan::asked();
        println!("CHAOS_SEED={} {plan:?}", plan.seed);
        let mut dice = Dice(plan.seed);
        let mut kafka = Kafka::start(plan.brokers);
        let mut cluster = Cluster::make_on(&kafka, "chaos", 6, 2).await;
        let configured = Configured::of(&cluster, &cluster.redis.url());
        let doors = Doors::default();
        let mut troupe = Troupe::start(&configured, &doors);
        let checker = Checker::start(&cluster);
        let payers = Payers::start(&cluster, &doors, &plan);
        let mut done: BTreeMap<&'static str, u32> = BTreeMap::new();
        let began = Instant::now();
        for fault in plan.faults(&mut dice) {
            tokio::time::sleep(Duration::from_millis(300 + dice.below(900))).await;
            troupe.thaw_who_is_due();
            troupe.replace_who_ended();
            match fault {
                Fault::Kill => troupe.kill(&mut dice),
                Fault::Freeze => troupe.freeze(&mut dice, plan.freeze_most),
                Fault::Restart => troupe.restart_all(),
                Fault::Storm => troupe.storm(),
                Fault::EmptyView => {
                    cluster.redis.says("FLUSHALL");
                }
                Fault::KillRedis => {
                    cluster.redis.stop();
                    tokio::time::sleep(Duration::from_millis(500 + dice.below(4_000))).await;
                    cluster.redis.start_again();
                }
                Fault::KillBroker => {
                    let node = dice.below(plan.brokers as u64) as usize;
                    kafka.kill(node);
                    tokio::time::sleep(Duration::from_millis(1_000 + dice.below(8_000))).await;
                    kafka.start_again(node);
                }
            }
            *done.entry(fault.word()).or_default() += 1;
        }
        while payers.paid() < plan.attempts {
            tokio::time::sleep(Duration::from_millis(200)).await;
            troupe.thaw_who_is_due();
            troupe.replace_who_ended();
        }
        let paid = payers.stop();
        troupe.thaw_all();
        troupe.replace_who_ended();
        let healed = Instant::now();
        println!("{:?} of faults: {done:?}", began.elapsed());
        println!("ended by themselves: {:?}", troupe.ended);
        println!("{} payments, {} events", paid.attempts.len(), paid.events);
        assert!(paid.attempts.len() >= plan.attempts, "too few payments: this run says nothing");
        while checker.seen() < paid.attempts.len() && healed.elapsed() < HEALS {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        println!("every payment was fulfilled {:?} after the last fault", healed.elapsed());
        tokio::time::sleep(Duration::from_secs(1)).await;
        let verdict = checker.stop();
        let lost: Vec<&String> = paid.attempts.difference(&verdict.fulfilled).take(10).collect();
        let made_up: Vec<&String> = verdict.fulfilled.difference(&paid.attempts).take(10).collect();
        println!(
            "{} fulfilled, {} lost, {} doubled",
            verdict.fulfilled.len(),
            paid.attempts.len() - verdict.fulfilled.len(),
            verdict.doubled.len()
        );
        assert!(lost.is_empty() && made_up.is_empty(), "lost {lost:?}, made up {made_up:?}");
        assert!(verdict.doubled.is_empty(), "{:?}", verdict.doubled);
        assert_eq!(cluster.dead_letters(), BTreeMap::new());
        troupe.end();
        let audit = configured.run(&["audit"]);
        println!("{}", String::from_utf8_lossy(&audit.stdout));
        let told = String::from_utf8_lossy(&audit.stderr);
        assert_eq!(audit.status.code(), Some(0), "the audit is clean: {told}");
    }
}
