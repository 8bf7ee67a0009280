//! Processes of a cluster are killed, frozen and restarted, and Redis is emptied, while payments
//! come in: none is lost, none is fulfilled twice. Prints what it did; `CHAOS_SEED` runs one again,
//! `CHAOS_FAULTS` makes it longer.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that cannot go on fails")]

mod support;

mod chaos_on_kafka {
    use super::support::Dice;
    use super::support::cluster::Cluster;
    use super::support::running::send_signal;
    use super::support::says::{self, COMPLETED, CREATED, Event, PROCESSING};
    use super::support::served::{Configured, Served};
    use rustix::process::Signal;
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};
    use std::time::{Duration, Instant};

    const NAMES: [&str; 3] = ["a", "b", "c"];

    /// Longer than a member may be silent: what is frozen for this long comes back to partitions
    /// that are somebody else's.
    const FREEZE: Duration = Duration::from_secs(8);

    const FAULTS: usize = 12;

    /// Payments that must have been made for a run to say anything.
    const PAYMENTS_MIN: usize = 300;

    type Doors = Arc<Mutex<BTreeMap<&'static str, String>>>;

    fn number(name: &str, otherwise: u64) -> u64 {
        std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
    }

    /// Delivers until somebody acknowledges, as 0Gate would, to whoever is there.
    fn deliver(doors: &Doors, dice: &mut Dice, event: &Event<'_>) {
        loop {
            let door = {
                let doors = doors.lock().unwrap();
                let at = dice.below(doors.len() as u64) as usize;
                doors.values().nth(at).cloned()
            };
            let answer = door.and_then(|door| Served::deliver_to(&door, event));
            if answer.is_some_and(|answer| answer.status == 200) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Makes payments until told to stop. A fifth of the events come twice, some stories backwards.
    fn pay(doors: &Doors, stop: &AtomicBool, paid: &AtomicUsize, seed: u64) {
        let mut dice = Dice(seed);
        while !stop.load(Ordering::SeqCst) {
            let n = paid.load(Ordering::SeqCst);
            let session = format!("gs_{n:05}");
            let mut story = vec![(0, CREATED), (1, PROCESSING), (2, COMPLETED)];
            if dice.chance(10) {
                dice.shuffle(&mut story);
            }
            for (at, kind) in story {
                let id = format!("evt_{n}_{at}");
                let event = Event::new(&id, kind, &session);
                deliver(doors, &mut dice, &event);
                if dice.chance(20) {
                    deliver(doors, &mut dice, &event);
                }
            }
            // An old one comes again, long after it was decided.
            if n > 0 && dice.chance(20) {
                let before = dice.below(n as u64);
                let (id, session) = (format!("evt_{before}_2"), format!("gs_{before:05}"));
                deliver(doors, &mut dice, &Event::new(&id, COMPLETED, &session));
            }
            paid.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[actix::test]
    async fn nothing_is_lost_and_nothing_is_doubled() {
        let seed = number("CHAOS_SEED", says::now().seconds().unsigned_abs());
        let faults = number("CHAOS_FAULTS", FAULTS as u64);
        println!("CHAOS_SEED={seed}");
        let mut dice = Dice(seed);
        let cluster = Cluster::make("chaos", 6, 2).await;
        let configured = Configured::of(&cluster, &cluster.redis.url());
        let doors = Doors::default();
        let open = |name: &'static str| {
            let served = configured.serve(name);
            doors.lock().unwrap().insert(name, served.public.clone());
            served
        };
        let mut running: BTreeMap<&'static str, Served> =
            NAMES.into_iter().map(|name| (name, open(name))).collect();
        let (stop, paid) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let sender = {
            let (doors, stop, paid) = (Arc::clone(&doors), Arc::clone(&stop), Arc::clone(&paid));
            std::thread::spawn(move || pay(&doors, &stop, &paid, seed))
        };
        let mut done: BTreeMap<&'static str, u32> = BTreeMap::new();
        for _ in 0..faults {
            std::thread::sleep(Duration::from_millis(300 + dice.below(900)));
            let name = NAMES[dice.below(NAMES.len() as u64) as usize];
            // One that ended by itself, fenced for good, is started again, as a supervisor would.
            let ended = running.get_mut(name).unwrap().child.try_wait().unwrap();
            if ended.is_some() {
                *done.entry("ended by itself").or_default() += 1;
                running.insert(name, open(name));
                continue;
            }
            let fault = match dice.below(10) {
                0..=4 => {
                    doors.lock().unwrap().remove(name);
                    running.remove(name).unwrap().kill();
                    running.insert(name, open(name));
                    "killed"
                }
                5 => {
                    doors.lock().unwrap().remove(name);
                    let code = running.remove(name).unwrap().end();
                    assert_eq!(code, Some(0), "{name} ends in good order");
                    running.insert(name, open(name));
                    "restarted"
                }
                6 | 7 => {
                    let frozen = running.get(name).unwrap();
                    doors.lock().unwrap().remove(name);
                    send_signal(&frozen.child, Signal::STOP);
                    std::thread::sleep(FREEZE);
                    send_signal(&frozen.child, Signal::CONT);
                    doors.lock().unwrap().insert(name, frozen.public.clone());
                    "frozen"
                }
                _ => {
                    cluster.redis.says("FLUSHALL");
                    "view emptied"
                }
            };
            *done.entry(fault).or_default() += 1;
        }
        stop.store(true, Ordering::SeqCst);
        sender.join().unwrap();
        for name in NAMES {
            if running.get_mut(name).unwrap().child.try_wait().unwrap().is_some() {
                *done.entry("ended by itself").or_default() += 1;
                running.insert(name, open(name));
            }
        }
        let paid = paid.load(Ordering::SeqCst);
        println!("{faults} faults: {done:?}; {paid} payments");
        assert!(paid >= PAYMENTS_MIN, "only {paid} payments: this run says nothing");
        let expected: Vec<String> = (0..paid).map(|n| format!("gs_{n:05}")).collect();
        let healed = Instant::now();
        let fulfilled = cluster.fulfills(paid).await;
        println!("every payment was fulfilled {:?} after the last fault", healed.elapsed());
        assert_eq!(fulfilled, expected);
        assert_eq!(cluster.dead_letters(), BTreeMap::new());
        for (name, served) in running {
            assert_eq!(served.end(), Some(0), "{name} ends in good order");
        }
        let audit = configured.run(&["audit"]);
        println!("{}", String::from_utf8_lossy(&audit.stdout));
        let told = String::from_utf8_lossy(&audit.stderr);
        assert_eq!(audit.status.code(), Some(0), "the audit is clean: {told}");
    }
}
