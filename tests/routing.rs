//! Every race between an attempt's home and its session's, through the real engine, and over all
//! interleavings of short scripts without one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::wildcard_enum_match_arm,
    reason = "a test says what it expects by failing, and speaks of one variant at a time"
)]

#[path = "routing/parked.rs"]
mod parked;
#[path = "routing/pure.rs"]
mod pure;

mod support;

use support::ledger::Ledger;
use support::memory_view::MemoryView;
use support::says::{self, COMPLETED, CREATED, Event, FAILED, PROCESSING, minted, session};
use support::world::{Plan, World};
use tempfile::TempDir;
use tidegate::attempt::{AttemptId, Position, SessionId, SourceKind};
use tidegate::lane::home::home;
use tidegate::ports::Append;
use tidegate::wire::prove::{Proven, Said};
use tidegate::wire::signal::{Arrival, HopTo, SignalRecord};

const PARTITIONS: u32 = 5;

type Saying = (SignalRecord, Proven);

async fn world(folder: &TempDir) -> World {
    World::start(folder.path(), &MemoryView::default(), &Plan::new(PARTITIONS)).await
}

async fn parking_world(folder: &TempDir) -> World {
    let plan = Plan::new(PARTITIONS).parking();
    World::start(folder.path(), &MemoryView::default(), &plan).await
}

fn event(id: &str, kind: &str, of: &SessionId) -> Saying {
    Event::new(id, kind, of.as_str()).taken()
}

fn referring(id: &str, kind: &str, of: &SessionId, to: &AttemptId) -> Saying {
    Event::new(id, kind, of.as_str()).of(to.as_str()).taken()
}

/// An attempt and a session whose homes differ.
fn two_homes(name: &str) -> (AttemptId, SessionId) {
    let attempt = minted(name);
    let at = home(attempt.as_str().as_bytes(), PARTITIONS);
    let apart = (0..).map(|n| session(&format!("gs_{name}_{n}")));
    let mut apart = apart.filter(|s| home(s.as_str().as_bytes(), PARTITIONS) != at);
    (attempt, apart.next().unwrap())
}

/// Tells one after the other, each decided before the next is told.
async fn tell_slowly(world: &World, said: Vec<Saying>) {
    for one in said {
        world.tell(one).await;
        world.settle().await;
    }
}

async fn run(world: World, said: Vec<Saying>, slowly: bool) -> Ledger {
    if slowly {
        tell_slowly(&world, said).await;
    } else {
        world.tell_together(said).await;
    }
    let ledger = world.stop().await;
    ledger.assert_conserved();
    ledger
}

fn permutations<T: Clone>(items: &[T]) -> Vec<Vec<T>> {
    let Some((first, rest)) = items.split_first() else { return vec![vec![]] };
    let mut all = vec![];
    for shorter in permutations(rest) {
        for at in 0..=shorter.len() {
            let mut longer = shorter.clone();
            longer.insert(at, first.clone());
            all.push(longer);
        }
    }
    all
}

#[actix::test]
async fn an_event_before_the_claim_is_adopted_and_the_claim_hears_who_holds_it() {
    for slowly in [false, true] {
        let folder = TempDir::new().unwrap();
        let (attempt, session) = two_homes("early");
        let said = vec![
            says::created(&attempt),
            event("evt_1", COMPLETED, &session),
            says::attached(&attempt, &session),
        ];
        let world = world(&folder).await;
        if slowly {
            let ledger = run(world, said, true).await;
            assert_eq!(ledger.fulfilled(), [session.as_str()], "adopted, so it is the attempt");
            let held = ledger.story(attempt.as_str());
            assert_eq!(
                held,
                ["pending_session", "pending_session!session_held"],
                "the reservation is freed"
            );
        } else {
            let ledger = run(world, said, false).await;
            assert_eq!(ledger.fulfillments.len(), 1, "{:?}", ledger.transitions);
        }
    }
}

#[actix::test]
async fn an_event_before_the_claim_waits_parked_and_is_decided_once_by_whoever_claims() {
    for slowly in [false, true] {
        let folder = TempDir::new().unwrap();
        let (attempt, session) = two_homes("parked");
        let said = vec![
            event("evt_1", CREATED, &session),
            event("evt_2", COMPLETED, &session),
            event("evt_2", COMPLETED, &session),
            says::created(&attempt),
            says::attached(&attempt, &session),
        ];
        let ledger = run(parking_world(&folder).await, said, slowly).await;
        assert_eq!(ledger.fulfilled(), [attempt.as_str()]);
        let counts = ledger.counts();
        assert_eq!(counts.parked(), 0, "{counts:?}");
        assert_eq!(counts.duplicate, 1, "the copy takes no room of its own: {counts:?}");
        assert!(ledger.dead_letters.is_empty(), "{:?}", ledger.why_dead());
    }
}

#[actix::test]
async fn of_two_attempts_that_claim_one_session_the_first_wins_and_the_other_hears_of_it() {
    for slowly in [false, true] {
        let folder = TempDir::new().unwrap();
        let (first, session) = two_homes("first");
        let second = minted("second");
        let said = vec![
            says::created(&first),
            says::created(&second),
            says::attached(&first, &session),
            says::attached(&second, &session),
            event("evt_1", COMPLETED, &session),
        ];
        let ledger = run(parking_world(&folder).await, said, slowly).await;
        assert_eq!(ledger.fulfillments.len(), 1, "{:?}", ledger.transitions);
        let winner = ledger.fulfilled()[0].clone();
        if slowly {
            assert_eq!(winner, first.as_str());
        }
        let loser = if winner == first.as_str() { &second } else { &first };
        assert_eq!(
            ledger.story(loser.as_str()),
            ["pending_session", "pending_session!session_held"]
        );
    }
}

#[actix::test]
async fn an_attempt_that_lost_one_session_can_attach_another() {
    let folder = TempDir::new().unwrap();
    let (first, taken) = two_homes("holder");
    let (second, free) = two_homes("patient");
    let attach_again = {
        let trust = says::trust();
        let news = tidegate::attempt::News::Attached { endpoint: None };
        let what = tidegate::wire::own::What::Command {
            attempt: second.clone(),
            session: Some(free.clone()),
            news,
        };
        let id = tidegate::attempt::SignalId::parse("cmd_attached_again").unwrap();
        trust.write(&tidegate::wire::own::Own { id, at: says::now(), what })
    };
    let said = vec![
        says::created(&first),
        says::created(&second),
        says::attached(&first, &taken),
        says::attached(&second, &taken),
        attach_again,
        event("evt_1", COMPLETED, &free),
    ];
    let ledger = run(parking_world(&folder).await, said, true).await;
    assert_eq!(ledger.fulfilled(), [second.as_str()]);
    let story = ledger.story(second.as_str());
    assert_eq!(
        story,
        ["pending_session", "pending_session!session_held", "requires_action", "fulfilled"]
    );
}

#[actix::test]
async fn the_same_key_mints_the_same_attempt_and_creates_it_once() {
    let folder = TempDir::new().unwrap();
    let world = world(&folder).await;
    assert_eq!(minted("key"), says::trust().keys.mint("acct", "key"));
    let attempt = minted("key");
    // Two processes answer the same caller; the second one's record is of a later moment.
    world.tell(says::created(&attempt)).await;
    tokio::time::sleep(std::time::Duration::from_millis(3)).await;
    world.tell(says::created(&attempt)).await;
    world.tell(referring("evt_1", COMPLETED, &session("gs_key"), &attempt)).await;
    let ledger = world.stop().await;
    ledger.assert_conserved();
    assert_eq!(ledger.fulfilled(), [attempt.as_str()]);
    let states = ledger.states.keys().filter(|(_, key)| key.starts_with(b"a/")).count();
    assert_eq!(states, 1, "one attempt");
    assert_eq!(ledger.story(attempt.as_str()).last().unwrap(), "fulfilled");
}

#[actix::test]
async fn a_record_in_the_wrong_partition_goes_home_once() {
    let folder = TempDir::new().unwrap();
    let world = world(&folder).await;
    let session = session("gs_wrong");
    let at = home(session.as_str().as_bytes(), PARTITIONS);
    let (record, proven) = event("evt_1", COMPLETED, &session);
    for partition in 0..PARTITIONS {
        // Half of them without what the door knew, as a producer of somebody else's would.
        let proven = (partition % 2 == 0).then(|| proven.clone());
        world.put(Append { partition, record: record.clone(), proven }).await;
    }
    let ledger = world.stop().await;
    ledger.assert_conserved();
    let counts = ledger.counts();
    assert_eq!(ledger.fulfilled(), [session.as_str()]);
    assert_eq!(counts.forwarded_out, u64::from(PARTITIONS) - 1);
    assert_eq!(counts.accepted, u64::from(PARTITIONS), "each counts once, and at home");
    assert_eq!(counts.duplicate, u64::from(PARTITIONS) - 1);
    assert_eq!(ledger.trailers[&at].counts.accepted, u64::from(PARTITIONS));
}

#[actix::test]
async fn a_record_that_has_made_its_hop_and_is_not_at_home_is_misrouted() {
    let folder = TempDir::new().unwrap();
    let world = world(&folder).await;
    let trust = says::trust();
    let (attempt, session) = two_homes("lost");
    let (record, _) = event("evt_1", COMPLETED, &session);
    let from = Position { partition: 0, offset: 0 };
    let claim = HopTo::Claim {
        session: session.clone(),
        attempt: attempt.clone(),
        arrival: Arrival::Fresh,
    };
    for (hop, key) in [(HopTo::Home, session.as_str()), (claim, attempt.as_str())] {
        let wrong = (home(key.as_bytes(), PARTITIONS) + 1) % PARTITIONS;
        let record = trust.forward(&record, hop, from);
        world.put(Append { partition: wrong, record, proven: None }).await;
    }
    let ledger = world.stop().await;
    assert_eq!(ledger.why_dead(), ["misrouted", "misrouted"]);
    assert!(ledger.fulfillments.is_empty());
    assert_eq!(ledger.counts().forwarded_out, 0, "it is not sent on again");
}

#[actix::test]
async fn a_forged_hop_or_seal_is_unproven() {
    let folder = TempDir::new().unwrap();
    let world = world(&folder).await;
    let (attempt, session) = two_homes("forged");
    let (record, _) = event("evt_1", COMPLETED, &session);
    let from = Position { partition: 0, offset: 0 };
    let at = |key: &str| home(key.as_bytes(), PARTITIONS);
    let claim = HopTo::Claim {
        session: session.clone(),
        attempt: attempt.clone(),
        arrival: Arrival::Released,
    };

    let strangers_hop = says::trust_of(8).forward(&record, claim.clone(), from);
    let (strangers_seal, _) = says::take(&says::trust_of(8), record.value.clone());
    let mut other_bytes = record.clone();
    other_bytes.value = Event::new("evt_1", COMPLETED, session.as_str()).of("x").body();
    let mut redirected = says::trust().forward(&record, claim, from);
    let other = minted("thief");
    redirected.hop.as_mut().unwrap().to = HopTo::Claim {
        session: session.clone(),
        attempt: other.clone(),
        arrival: Arrival::Released,
    };
    let (mut command, _) = says::created(&attempt);
    command.value = serde_json::from_slice::<serde_json::Value>(&command.value)
        .map(|mut json| {
            json["at"] = 1.into();
            bytes::Bytes::from(serde_json::to_vec(&json).unwrap())
        })
        .unwrap();
    for (record, partition) in [
        (strangers_hop, at(attempt.as_str())),
        (strangers_seal, at(session.as_str())),
        (other_bytes, at(session.as_str())),
        (redirected, at(other.as_str())),
        (command, at(attempt.as_str())),
    ] {
        world.put(Append { partition, record, proven: None }).await;
    }
    let ledger = world.stop().await;
    assert_eq!(ledger.why_dead(), ["unproven"; 5]);
    assert!(ledger.fulfillments.is_empty() && ledger.transitions.is_empty());
    ledger.assert_conserved();
}

#[actix::test]
async fn events_of_a_claimed_session_go_to_its_attempt_before_and_after() {
    let folder = TempDir::new().unwrap();
    let (attempt, session) = two_homes("claimed");
    let said = vec![
        event("evt_1", CREATED, &session),
        says::created(&attempt),
        says::attached(&attempt, &session),
        event("evt_2", PROCESSING, &session),
        event("evt_3", COMPLETED, &session),
        event("evt_3", COMPLETED, &session),
        event("evt_4", FAILED, &session),
    ];
    let ledger = run(parking_world(&folder).await, said, true).await;
    assert_eq!(ledger.fulfilled(), [attempt.as_str()]);
    assert_eq!(
        ledger.story(attempt.as_str()),
        [
            "pending_session",
            "requires_action",
            "processing",
            "fulfilled",
            "fulfilled!after_fulfilled"
        ]
    );
    assert!(ledger.story(session.as_str()).is_empty(), "nobody else was made of the session");
}

/// With `created` first, every order of the rest ends the same; a completion before `created`
/// (which is acknowledged before 0Gate is asked) goes to a person, and never nowhere.
#[actix::test]
async fn every_order_of_created_attached_and_completed_by_reference_ends_in_one_decision() {
    for (index, order) in permutations(&[0, 1, 2, 3]).into_iter().enumerate() {
        let folder = TempDir::new().unwrap();
        let (attempt, session) = two_homes(&format!("order_{index}"));
        let all = [
            says::created(&attempt),
            says::attached(&attempt, &session),
            referring("evt_1", COMPLETED, &session, &attempt),
            referring("evt_0", CREATED, &session, &attempt),
        ];
        let said = order.iter().map(|n| all[*n].clone()).collect();
        let ledger = run(parking_world(&folder).await, said, index % 2 == 0).await;
        let place = |what| order.iter().position(|n| *n == what).unwrap();
        let story = ledger.story(attempt.as_str());
        if place(0) < place(2) {
            assert_eq!(ledger.fulfilled(), [attempt.as_str()], "{order:?}: {story:?}");
        } else {
            assert_eq!(story.last().unwrap(), "review", "{order:?}");
            assert!(ledger.fulfillments.is_empty());
        }
        assert!(ledger.dead_letters.is_empty(), "{order:?}: {:?}", ledger.why_dead());
    }
}

#[actix::test]
async fn a_reading_finds_its_attempt_by_reference_and_its_session_by_id() {
    let folder = TempDir::new().unwrap();
    let (attempt, session) = two_homes("read");
    let reading = says::read_complete(&session, Some(&attempt));
    assert_eq!(reading.1.kind, SourceKind::Reading);
    assert!(matches!(reading.1.said, Said::Signal(_)));
    let said = vec![
        event("evt_1", PROCESSING, &session),
        says::created(&attempt),
        says::attached(&attempt, &session),
        reading.clone(),
        reading,
        says::read_complete(&session, None),
        event("evt_2", COMPLETED, &session),
    ];
    let ledger = run(parking_world(&folder).await, said, true).await;
    assert_eq!(ledger.fulfilled(), [attempt.as_str()]);
    assert_eq!(ledger.fulfillments[0]["proof"]["kind"], "reading");
}
