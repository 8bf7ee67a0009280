//! The real process, killed without warning again and again under load, and what those who sent
//! the webhooks find afterwards.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::wildcard_enum_match_arm,
    reason = "a test says what it expects by failing, and speaks of one variant at a time"
)]

#[path = "crash/client.rs"]
mod client;
#[path = "crash/deadly.rs"]
mod deadly;
#[path = "crash/judge.rs"]
mod judge;
#[path = "crash/process.rs"]
mod process;
#[path = "crash/sender.rs"]
mod sender;

mod support;

use process::Site;
use sender::Shared;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use support::Dice;
use tempfile::TempDir;
use tidegate::crash;

const KILLS_AT_RANDOM: u64 = 100;
const KILLS_AT_POINTS: u64 = 100;
const SENDERS: u64 = 8;
/// How long a process gets to reach the point where it kills itself.
const REACH_MAX: Duration = Duration::from_millis(1_500);

/// What one life of the process came to.
struct Death {
    /// The named point, or a moment.
    point: Option<&'static str>,
    in_flight: bool,
}

/// The points that a process under this load passes often. Rolling a file of the log takes more
/// bytes than a life of a second writes; `power` cuts there.
fn points() -> Vec<&'static str> {
    let often = |name: &&&str| !name.contains("roll") && !name.starts_with("snapshot");
    crash::POINTS.iter().filter(often).copied().collect()
}

fn live_and_die(
    site: &Site,
    shared: &Shared,
    point: Option<&'static str>,
    dice: &mut Dice,
) -> Death {
    let place = point.map(|name| format!("{name}:{}", 1 + dice.below(40)));
    let broken_before = shared.broken.load(Ordering::SeqCst);
    let mut child = site.start(place.as_deref());
    let mut died_itself = !site.ready(&mut child);
    if !died_itself {
        let ready = Instant::now();
        let lives = match point {
            Some(_) => REACH_MAX,
            None => Duration::from_millis(20 + dice.below(180)),
        };
        while !died_itself && ready.elapsed() < lives {
            std::thread::sleep(Duration::from_millis(2));
            died_itself = child.try_wait().unwrap().is_some();
        }
    }
    if point.is_none() && died_itself {
        panic!("the process died by itself; its log:\n{}", site.log_tail());
    }
    let under_way = shared.under_way.load(Ordering::SeqCst) > 0;
    let _dead_already = child.kill();
    child.wait().unwrap();
    let broke = shared.broken.load(Ordering::SeqCst) > broken_before;
    Death { point: point.filter(|_| died_itself), in_flight: broke || under_way && !died_itself }
}

#[test]
fn a_process_that_is_killed_again_and_again_loses_nothing_and_doubles_nothing() {
    let since = Instant::now();
    let root = TempDir::new().unwrap();
    let site = Site::new(&root.path().join("data"));
    std::fs::create_dir_all(&site.data).unwrap();
    let mut first = site.start(None);
    assert!(site.ready(&mut first), "it does not start:\n{}", site.log_tail());
    let shared = Arc::new(Shared::new(site.dev()));
    let senders: Vec<_> = (0..SENDERS)
        .map(|number| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || sender::run(&shared, number))
        })
        .collect();
    std::thread::sleep(Duration::from_millis(100));
    first.kill().unwrap();
    first.wait().unwrap();

    let mut dice = Dice(2_026);
    let mut deaths = vec![];
    let points = points();
    let mut at_points: BTreeMap<&str, u64> = BTreeMap::new();
    let mut turn = 0;
    while at_points.values().sum::<u64>() < KILLS_AT_POINTS
        || (deaths.len() as u64) < KILLS_AT_RANDOM + KILLS_AT_POINTS
    {
        let named = turn % 2 == 1;
        let point = named.then(|| points[(turn / 2) % points.len()]);
        let death = live_and_die(&site, &shared, point, &mut dice);
        if let Some(point) = death.point {
            *at_points.entry(point).or_default() += 1;
        }
        deaths.push(death);
        turn += 1;
        assert!(turn < 400, "the named points are not reached: {at_points:?}");
    }

    let mut last = site.start(None);
    assert!(site.ready(&mut last), "it does not start any more:\n{}", site.log_tail());
    shared.enough.store(true, Ordering::SeqCst);
    let sent = senders.into_iter().map(|sender| sender.join().unwrap()).collect();
    let judged = judge::judge(&shared, sent);

    for (point, kills) in &at_points {
        println!("{point}: {kills} kills");
    }
    let in_flight = deaths.iter().filter(|death| death.in_flight).count();
    println!(
        "{} kills ({in_flight} in flight, {} at named points), {} events, {} duplicates, {} attempts, {} fulfillments, {:.0?}",
        deaths.len(),
        at_points.values().sum::<u64>(),
        judged.events,
        judged.duplicates,
        judged.attempts,
        judged.fulfillments,
        since.elapsed()
    );
    judge::agrees(&site, &judged);
    last.kill().unwrap();
    last.wait().unwrap();
    assert!(in_flight * 100 >= deaths.len() * 80, "too many kills while nothing was under way");
    let never: Vec<_> = points.iter().filter(|point| !at_points.contains_key(**point)).collect();
    assert!(never.is_empty(), "never killed at {never:?}");
}
