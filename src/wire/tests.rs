//! Stored bytes are a promise: what is written today is read in ten years. Each golden value here
//! is a line that a reviewer sees change.

use super::own::{Own, What};
use super::prove::{Address, Said, Trust};
use super::seal::SigningKeys;
use super::signal::{Arrival, Form, HopTo, SignalRecord, Stamp};
use super::state::StateKey;
use super::trailer::{Counts, Mark, Owner, Trailer, Tries};
use super::{published, state};
use crate::attempt::{
    Amount, Attempt, AttemptId, Code, DeadLetter, EndpointName, Home, Mode, News, Origin, Payment,
    Policy, Position, SessionId, Signal, SignalId, Source, SourceKind, State, Terms, Timeliness,
    Timestamp, TransactionRef,
};
use crate::webhook::{SecretIndex, digest};
use bytes::Bytes;
use data_encoding::HEXLOWER;
use expect_test::{Expect, expect};

fn trust() -> Trust {
    Trust { keys: SigningKeys::new([[7; 32].as_slice()]).unwrap(), mode: Mode::Test }
}

fn stamp() -> Stamp {
    Stamp {
        gate_signature: Bytes::from("t=1,v1=00"),
        endpoint: EndpointName::parse("main").unwrap(),
        secret: SecretIndex(1),
        signed_at: Timestamp::from_seconds(1_782_475_200),
        received_at: Timestamp(1_782_475_200_250),
        timeliness: Timeliness::InTime,
    }
}

const BODY: &str = r#"{"id":"evt_1","type":"gate_session.completed","created_at":1782475200,"data":{"id":"gs_1","mode":"test","flow":"on_ramp","amount":"100.00","currency":"EUR","tx_refid":"tx_1","user_reference":"order-1"}}"#;

fn completed() -> Signal {
    let (_, proven) = trust().take(Bytes::from(BODY), stamp());
    match proven.said {
        Said::Signal(signal) => {
            Signal { position: Position { partition: 1, offset: 9 }, ..*signal }
        }
        other => panic!("{other:?}"),
    }
}

fn fulfilled() -> (Attempt, crate::attempt::Step) {
    let session = SessionId::parse("gs_1").unwrap();
    let attempt = Attempt::unseen(AttemptId::from(&session), Origin::Adopted);
    let step = attempt.step(&completed(), &Policy::default());
    (step.next.clone(), step)
}

fn is(expected: Expect, bytes: &[u8]) {
    let lines: Vec<String> = bytes.chunks(32).map(|line| HEXLOWER.encode(line)).collect();
    expected.assert_eq(&lines.join("\n"));
}

#[test]
fn a_stored_attempt_keeps_its_bytes() {
    let (attempt, _) = fulfilled();
    let mut bytes = vec![];
    state::encode_attempt(&attempt, &mut bytes);
    is(
        expect![[r#"
        010467735f310100010001046d61696e00010101063130302e30300103455552
        000001076f726465722d3103010467735f31010474785f310100010005657674
        5f3100030180d8e8bce067f4dbe8bce0670109518cd473af6bc356acac56b313
        937b15c0021dcf0a2d3506ccecb15e0e78400400"#]],
        &bytes,
    );
    assert_eq!(state::decode_attempt(&bytes).unwrap(), attempt);
}

#[test]
fn a_stored_home_keeps_its_bytes() {
    for (home, expected) in [
        (Home::Unknown, expect!["0100"]),
        (Home::Claimed { by: AttemptId::parse("att_x").unwrap() }, expect!["0101056174745f78"]),
        (Home::Parked { waiting: 3 }, expect!["010203"]),
    ] {
        let mut bytes = vec![];
        state::encode_home(&home, &mut bytes);
        is(expected, &bytes);
        assert_eq!(state::decode_home(&bytes).unwrap(), home);
    }
}

#[test]
fn a_stored_signal_keeps_its_bytes() {
    let (record, _) = trust().take(Bytes::from("{}"), stamp());
    let hopped = trust().forward(
        &record,
        HopTo::Claim {
            session: SessionId::parse("gs_1").unwrap(),
            attempt: AttemptId::parse("att_1").unwrap(),
            arrival: Arrival::Released,
        },
        Position { partition: 3, offset: 300 },
    );
    is(
        expect![[r#"
        010109743d312c76313d3030046d61696e01000016cd039f010000fa16cd039f
        01000000fee41a91615f8efdf9de6de3347fa96b40325588be5f602f2ff6c44b
        f20ab7cf00027b7d"#]],
        &record.encoded(),
    );
    is(
        expect![[r#"
        010109743d312c76313d3030046d61696e01000016cd039f010000fa16cd039f
        01000000fee41a91615f8efdf9de6de3347fa96b40325588be5f602f2ff6c44b
        f20ab7cf010f0303ac020467735f31056174745f3100c4f3803a4aff5fdd6bb9
        b42b4dd5b1b765193d4969b1a3fe1e4d43ac84286b12027b7d"#]],
        &hopped.encoded(),
    );
    for record in [record, hopped] {
        assert_eq!(SignalRecord::decode(&Bytes::from(record.encoded())).unwrap(), record);
    }
}

#[test]
fn a_stored_trailer_keeps_its_bytes() {
    let counts = Counts { accepted: 300, applied: 200, by_kind: [290, 6, 4], ..Counts::default() };
    let trailer = Mark::Trailer(Trailer {
        writer: "dev/0".to_owned(),
        epoch: 3,
        transaction: 17,
        previous: 280,
        next: 300,
        counts,
        summarized: Counts::default(),
        summary_second: 1_782_475_200,
        hash: 0x0123_4567_89ab_cdef,
        at: Timestamp(1_782_475_200_300),
    });
    let owner = Mark::Owner(Owner {
        writer: "dev/0".to_owned(),
        epoch: 3,
        next: 280,
        partitions: 2,
        routing: 1,
        policy: Policy::default(),
        mode: Mode::Test,
        tries: Tries { life: 0x1122_3344, ended: 3, ended_alone: 1, now_alone: true },
        at: Timestamp(1_782_475_200_300),
    });
    for (mark, expected) in [
        (
            trailer,
            expect![[r#"
        0101056465762f3003119802ac02ac02c8010000000000000000a20206040000
        000000000000000000000080a7f3a30def9bafcdf8acd19101d8dce8bce067"#]],
        ),
        (
            owner.clone(),
            expect!["0102056465762f3003980202010000000000c4e6888901030101d8dce8bce067"],
        ),
    ] {
        let mut bytes = vec![];
        mark.encode(&mut bytes);
        is(expected, &bytes);
        assert_eq!(Mark::decode(&bytes).unwrap(), mark);
    }
    // Of before processes that end were counted.
    let old = HEXLOWER.decode(b"0100056465762f3003980202010000000000d8dce8bce067").unwrap();
    let Mark::Owner(owner) = owner else { unreachable!() };
    let before = Mark::Owner(Owner { tries: Tries::default(), ..owner });
    assert_eq!(Mark::decode(&old).unwrap(), before);
}

#[test]
fn our_own_records_are_json_that_a_person_can_read() {
    let own = Own {
        id: SignalId::parse("cmd_1").unwrap(),
        at: Timestamp(1_782_475_200_300),
        what: What::Command {
            attempt: AttemptId::parse("att_1").unwrap(),
            session: None,
            news: News::Created {
                terms: Terms {
                    amount: Some(Amount::parse("100.00").unwrap()),
                    currency: Some(Code::parse("EUR").unwrap()),
                    ..Terms::default()
                },
                endpoint: None,
            },
        },
    };
    let json = own.to_json();
    expect![[r#"{"v":1,"id":"cmd_1","at":1782475200300,"what":{"command":{"attempt":"att_1","session":null,"say":{"created":{"terms":{"account":null,"flow":null,"amount":"100.00","currency":"EUR","target_token":null,"target_network":null},"endpoint":null}}}}}"#]].assert_eq(std::str::from_utf8(&json).unwrap());
    assert_eq!(Own::from_json(&json).unwrap(), own);
}

#[test]
fn a_published_fulfillment_keeps_its_form() {
    let (_, step) = fulfilled();
    let mut json = vec![];
    for effect in &step.effects {
        if let crate::attempt::Effect::Fulfill(fulfillment) = effect {
            published::put_fulfillment(&mut json, fulfillment, "2026-06-26T12:00:00.300Z");
        }
    }
    let value: serde_json::Value = serde_json::from_slice(&json).unwrap();
    expect![[r#"
        {
          "account_id": null,
          "amount": "100.00",
          "attempt_id": "gs_1",
          "currency": "EUR",
          "decided_at": "2026-06-26T12:00:00.300Z",
          "flow": "on_ramp",
          "fulfillment_id": "ful_gs_1",
          "mode": "test",
          "occurred_at": "2026-06-26T12:00:00.000Z",
          "proof": {
            "body_sha256": "518cd473af6bc356acac56b313937b15c0021dcf0a2d3506ccecb15e0e784004",
            "event_id": "evt_1",
            "kind": "webhook",
            "position": "1:9"
          },
          "received_at": "2026-06-26T12:00:00.250Z",
          "sequence": 1,
          "session_id": "gs_1",
          "target_network": null,
          "target_token": null,
          "transaction_ref": "tx_1",
          "user_reference": "order-1"
        }"#]]
    .assert_eq(&format!("{value:#}"));
}

#[test]
fn a_published_transition_keeps_its_form() {
    let (_, step) = fulfilled();
    let mut json = vec![];
    for effect in &step.effects {
        if let crate::attempt::Effect::Moved(moved) = effect {
            published::put_transition(&mut json, moved, "2026-06-26T12:00:00.300Z");
        }
    }
    let value: serde_json::Value = serde_json::from_slice(&json).unwrap();
    expect![[r#"
        {
          "account_id": null,
          "at": "2026-06-26T12:00:00.300Z",
          "attempt_id": "gs_1",
          "cause": {
            "event_id": "evt_1",
            "kind": "webhook",
            "type": "gate_session.completed"
          },
          "from": null,
          "reason": null,
          "review": null,
          "sequence": 1,
          "session_id": "gs_1",
          "to": "fulfilled",
          "user_reference": "order-1",
          "verdict": "applied"
        }"#]]
    .assert_eq(&format!("{value:#}"));
}

#[test]
fn a_record_that_is_read_back_is_proven_to_the_same_value() {
    let (record, taken) = trust().take(Bytes::from(BODY), stamp());
    let read = SignalRecord::decode(&Bytes::from(record.encoded())).unwrap();
    assert_eq!(trust().prove(&read), taken);
    assert_eq!(taken.to, Address::Session(SessionId::parse("gs_1").unwrap()));
}

#[test]
fn what_is_changed_after_the_door_is_not_believed() {
    let (record, _) = trust().take(Bytes::from(BODY), stamp());
    let unproven =
        |record: &SignalRecord| trust().prove(record).said == Said::Refused(DeadLetter::Unproven);
    assert!(!unproven(&record));
    let changed = |change: &dyn Fn(&mut Stamp)| {
        let mut stamp = stamp();
        change(&mut stamp);
        SignalRecord { form: Form::Webhook(stamp), ..record.clone() }
    };
    assert!(unproven(&SignalRecord {
        value: Bytes::from(BODY.replace("100.00", "900.00")),
        ..record.clone()
    }));
    assert!(unproven(&changed(&|stamp| stamp.received_at = Timestamp(1))));
    assert!(unproven(&changed(&|stamp| stamp.signed_at = Timestamp(1))));
    assert!(unproven(&changed(&|stamp| stamp.timeliness = Timeliness::OutOfTime)));
    assert!(unproven(&changed(&|stamp| stamp.secret = SecretIndex(0))));
    assert!(unproven(&changed(&|stamp| stamp.endpoint = EndpointName::parse("other").unwrap())));
    assert!(unproven(&SignalRecord { form: Form::Own, ..record.clone() }), "another form");
    let strange = Trust { keys: SigningKeys::new([[8; 32].as_slice()]).unwrap(), ..trust() };
    assert_eq!(strange.prove(&record).said, Said::Refused(DeadLetter::Unproven));
}

#[test]
fn an_event_of_the_other_world_is_dead_lettered() {
    let (_, live) = trust().take(Bytes::from(BODY.replace("\"test\"", "\"live\"")), stamp());
    assert_eq!(live.said, Said::Refused(DeadLetter::WrongEnvironment));
}

#[test]
fn a_reference_of_ours_leads_to_its_attempt_and_no_other_does() {
    let minted = trust().keys.mint("acct", "key");
    let (_, ours) = trust().take(Bytes::from(BODY.replace("order-1", minted.as_str())), stamp());
    assert_eq!(ours.to, Address::Attempt(minted));
    let forged = format!("att_{}", "0".repeat(39));
    let (_, theirs) = trust().take(Bytes::from(BODY.replace("order-1", &forged)), stamp());
    assert_eq!(theirs.to, Address::Session(SessionId::parse("gs_1").unwrap()));
}

#[test]
fn what_cannot_be_read_about_the_money_is_never_silence() {
    for amount in [r#""1e3""#, r#""-5""#, "1.5", "{}", "true"] {
        let body = BODY.replace(r#""100.00""#, amount);
        let (_, proven) = trust().take(Bytes::from(body), stamp());
        let Said::Signal(signal) = proven.said else { panic!("{amount}") };
        assert!(signal.facts.unreadable, "{amount}");
    }
    let (_, whole) = trust().take(Bytes::from(BODY.replace(r#""100.00""#, "100")), stamp());
    let Said::Signal(signal) = whole.said else { panic!("a whole number is plain") };
    assert_eq!(signal.facts.terms.amount, Amount::parse("100").ok());
}

#[test]
fn every_stored_state_comes_back() {
    let (attempt, _) = fulfilled();
    let session = SessionId::parse("gs_1").unwrap();
    for state in [
        State::PendingSession { reserved: Some(session.clone()) },
        State::RequiresAction { session: session.clone(), setback: Code::parse("declined").ok() },
        State::Processing { session: session.clone() },
        State::Failed { session: session.clone(), reason: None },
        State::Expired { session: session.clone() },
        State::Cancelled { session: None },
        State::Fulfilled {
            session: Some(session.clone()),
            payment: Payment::Named(TransactionRef::parse("t").unwrap()),
        },
        State::Fulfilled {
            session: Some(session),
            payment: Payment::Unnamed(attempt.terms.clone()),
        },
    ] {
        let attempt = Attempt { state, ..attempt.clone() };
        let mut bytes = vec![];
        state::encode_attempt(&attempt, &mut bytes);
        assert_eq!(state::decode_attempt(&bytes).unwrap(), attempt);
    }
    assert_eq!(attempt.evidence.entries()[0].kind, SourceKind::Webhook);
    assert_eq!(attempt.evidence.entries()[0].digest, digest(BODY.as_bytes()));
    assert!(matches!(completed().source, Source::Webhook { .. }));
}

/// Before a payment kept what it was for, nothing followed where no transaction was named.
#[test]
fn an_unnamed_payment_of_before_is_still_read() {
    let (fulfilled, _) = fulfilled();
    let stored = |payment| {
        let state = State::Fulfilled { session: None, payment };
        let mut bytes = vec![];
        state::encode_attempt(&Attempt { state, ..fulfilled.clone() }, &mut bytes);
        bytes
    };
    let named = stored(Payment::Named(TransactionRef::parse("tx_of_before").unwrap()));
    let text = named.windows(12).position(|window| window == b"tx_of_before").unwrap();
    // The tag of the variant and the length of the text stand before it.
    let before = [&named[..text - 2], &[0], &named[text + 12..]].concat();
    let read = state::decode_attempt(&before).unwrap().state;
    let nothing_known = Payment::Unnamed(Terms::default());
    assert_eq!(read, State::Fulfilled { session: None, payment: nothing_known });
}

#[test]
fn a_key_says_what_stands_under_it() {
    let session = SessionId::parse("gs_1").unwrap();
    let id = AttemptId::parse("att_1").unwrap();
    for (key, text, read) in [
        (state::attempt_key(&id).to_string(), "a/att_1", StateKey::Attempt("att_1")),
        (state::session_key(&session).to_string(), "s/gs_1", StateKey::Session("gs_1")),
        (state::parked_key(&session, 7), "p/gs_1/7", StateKey::Parked("gs_1")),
    ] {
        assert_eq!(key, text);
        assert_eq!(StateKey::read(key.as_bytes()), Some(read));
    }
    for none in ["", "a", "p/gs_1", "x/gs_1"] {
        assert_eq!(StateKey::read(none.as_bytes()), None, "{none}");
    }
}

#[test]
fn garbage_is_refused_and_never_panics() {
    for length in 0..200_usize {
        let garbage: Vec<u8> = (0..length).map(|at| (at * 7 + length) as u8).collect();
        let _refused = SignalRecord::decode(&Bytes::from(garbage.clone()));
        let _refused = state::decode_attempt(&garbage);
        let _refused = state::decode_home(&garbage);
        let _refused = Mark::decode(&garbage);
        let _refused = Own::from_json(&garbage);
    }
}

/// Lives are counted while nothing is decided, once each, and those apart that decided alone.
#[test]
fn an_owner_record_counts_the_lives_that_ended_at_its_signal() {
    let owner = |next, tries| Owner {
        writer: "dev/0".to_owned(),
        epoch: 3,
        next,
        partitions: 2,
        routing: 1,
        policy: Policy::default(),
        mode: Mode::Test,
        tries,
        at: Timestamp(0),
    };
    let asks = |life, now_alone| Tries { life, now_alone, ..Tries::default() };
    let tries = |life, ended, ended_alone, now_alone| Tries { life, ended, ended_alone, now_alone };
    for (before, next, asked, expected) in [
        (None, 5, asks(1, false), tries(1, 0, 0, false)),
        (Some(owner(5, tries(1, 0, 0, false))), 5, asks(2, false), tries(2, 1, 0, false)),
        (Some(owner(5, tries(2, 1, 0, false))), 5, asks(2, true), tries(2, 1, 0, true)),
        (Some(owner(5, tries(2, 1, 0, true))), 5, asks(2, false), tries(2, 1, 0, false)),
        (Some(owner(5, tries(2, 1, 0, true))), 5, asks(3, false), tries(3, 2, 1, false)),
        (Some(owner(5, tries(Tries::LET_GO, 2, 1, false))), 5, asks(3, true), tries(3, 2, 1, true)),
        (Some(owner(4, tries(2, 9, 9, true))), 5, asks(3, false), tries(3, 0, 0, false)),
    ] {
        assert_eq!(Tries::after(before.as_ref(), next, asked), expected);
    }
}
