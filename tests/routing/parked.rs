//! What waits at a session that nobody has claimed.

use super::*;
use tidegate::attempt::PARKED_MAX;

/// The records that were sent on from a session's home after they had waited there.
fn released(ledger: &Ledger) -> Vec<&HopTo> {
    let hops = ledger.signals.iter().filter_map(|(_, record)| record.hop.as_ref());
    hops.map(|hop| &hop.to)
        .filter(|to| matches!(to, HopTo::Claim { arrival: Arrival::Released, .. }))
        .collect()
}

#[actix::test]
async fn the_sixty_fifth_parked_event_goes_to_a_person_and_the_rest_are_released() {
    let folder = TempDir::new().unwrap();
    let world = parking_world(&folder).await;
    let (attempt, session) = two_homes("crowd");
    for n in 0..PARKED_MAX + 3 {
        let kind = if n == 10 { COMPLETED } else { PROCESSING };
        world.tell(event(&format!("evt_{n}"), kind, &session)).await;
    }
    world.settle().await;
    let parked = world.ledger().counts();
    assert_eq!((parked.parked(), parked.dead_lettered), (PARKED_MAX as u64, 3), "{parked:?}");
    tell_slowly(&world, vec![says::created(&attempt), says::attached(&attempt, &session)]).await;
    let ledger = world.stop().await;
    ledger.assert_conserved();
    assert_eq!(ledger.why_dead(), ["parked_full"; 3]);
    assert_eq!(ledger.fulfilled(), [attempt.as_str()]);
    assert_eq!(ledger.counts().parked(), 0);
    assert_eq!(released(&ledger).len(), PARKED_MAX, "each once");
}

#[actix::test]
async fn copies_of_what_waits_take_no_room_and_are_released_once() {
    for slowly in [false, true] {
        let folder = TempDir::new().unwrap();
        let (attempt, session) = two_homes("copies");
        let world = parking_world(&folder).await;
        let copies = 3 * PARKED_MAX;
        let many = vec![event("evt_1", PROCESSING, &session); copies];
        if slowly {
            tell_slowly(&world, many).await;
        } else {
            world.tell_together(many).await;
        }
        let ledger = world.stop().await;
        let counts = ledger.counts();
        assert_eq!((counts.parked(), counts.duplicate), (1, copies as u64 - 1), "{counts:?}");

        // In another life what waits is read back, and a copy is known by that.
        let world = parking_world(&folder).await;
        let said = vec![
            event("evt_1", PROCESSING, &session),
            event("evt_2", COMPLETED, &session),
            says::created(&attempt),
            says::attached(&attempt, &session),
        ];
        let ledger = run(world, said, slowly).await;
        assert_eq!(ledger.fulfilled(), [attempt.as_str()]);
        assert!(ledger.dead_letters.is_empty(), "{:?}", ledger.why_dead());
        assert_eq!((ledger.counts().parked(), ledger.counts().duplicate), (0, copies as u64));
        assert_eq!(released(&ledger).len(), 2);
    }
}

/// Parked under one policy and adopted under another: what waited is sent to the attempt that the
/// session has become, which lives in the session's home and not beside it under the same id.
#[actix::test]
async fn what_waited_at_a_session_that_is_adopted_reaches_it_at_the_sessions_home() {
    let folder = TempDir::new().unwrap();
    let sessions: Vec<_> = (0..10).map(|n| session(&format!("gs_adopted_{n}"))).collect();
    let world = parking_world(&folder).await;
    for session in &sessions {
        let id = format!("evt_early_{session}");
        world.tell(event(&id, COMPLETED, session)).await;
    }
    let ledger = world.stop().await;
    assert_eq!(ledger.counts().parked(), sessions.len() as u64);
    assert!(ledger.fulfillments.is_empty());

    let world = self::world(&folder).await;
    for session in &sessions {
        let id = format!("evt_late_{session}");
        world.tell(event(&id, PROCESSING, session)).await;
    }
    let ledger = world.stop().await;
    ledger.assert_conserved();
    assert!(ledger.dead_letters.is_empty(), "{:?}", ledger.why_dead());
    assert_eq!(ledger.counts().parked(), 0);
    let ids: Vec<_> = sessions.iter().map(|session| session.as_str()).collect();
    assert_eq!(ledger.fulfilled(), ids);
    for session in &sessions {
        assert_eq!(ledger.story(session.as_str()), ["processing", "fulfilled"]);
    }
    let released = released(&ledger);
    assert_eq!(released.len(), sessions.len());
    for to in released {
        let HopTo::Claim { session, attempt, .. } = to else { panic!("{to:?}") };
        assert_eq!(session.as_str(), attempt.as_str());
    }
}
