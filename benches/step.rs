//! What one decision costs: a signal shown to a typical attempt.

use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use tidegate::attempt::{
    Amount, Attempt, AttemptId, Code, Digest, EndpointName, Facts, Flow, Mode, News, Origin,
    Policy, Position, SessionId, Signal, SignalId, Source, State, Terms, Timeliness, Timestamp,
    TransactionRef,
};

fn terms() -> Terms {
    Terms {
        account: None,
        flow: Some(Flow::OnRamp),
        amount: Some(Amount::parse("1249.90").expect("it is an amount")),
        currency: Some(Code::parse("EUR").expect("it is a code")),
        target_token: Some(Code::parse("USDC").expect("it is a code")),
        target_network: Some(Code::parse("arbitrum").expect("it is a code")),
    }
}

/// The `number`th thing that the attempt is told.
fn signal(number: u8, source: Source, news: News) -> Signal {
    Signal {
        id: SignalId::parse(&format!("6f1c1d6e-0c3b-4a51-9a57-3f6d0b8f2a{number:02x}"))
            .expect("it is an id"),
        source,
        news,
        facts: Facts {
            session: Some(
                SessionId::parse("gs_live_01JYN4Q6W3T8Z5B7C9D1E2F3G4").expect("it is an id"),
            ),
            terms: terms(),
            reference: Some("att_01JYN4PZK2M3N4P5Q6R7S8T9V0".into()),
            mode: Some(Mode::Live),
            unreadable: false,
        },
        provider_at: Some(Timestamp::from_seconds(1_782_475_200)),
        received_at: Timestamp::from_seconds(1_782_475_201),
        position: Position { partition: 3, offset: u64::from(number) },
        digest: Digest([number; 32]),
    }
}

fn webhook(number: u8, news: News) -> Signal {
    let endpoint = EndpointName::parse("live").expect("it is a name");
    signal(number, Source::Webhook { endpoint, timeliness: Timeliness::InTime }, news)
}

fn step(c: &mut Criterion) {
    let policy = Policy::default();
    let id = AttemptId::parse("att_01JYN4PZK2M3N4P5Q6R7S8T9V0").expect("it is an id");
    let ours = signal(1, Source::Command, News::Created { terms: terms(), endpoint: None });
    let created = webhook(2, News::SessionCreated);
    let processing = webhook(3, News::Processing);
    let transaction = TransactionRef::parse("tx_01JYN4V8B0C2D4E6F8G0H2J4K6").ok();
    let completed = webhook(4, News::Completed { transaction });

    let known = Attempt::unseen(id, Origin::Minted).step(&ours, &policy).next;
    let open = known.step(&created, &policy).next;
    let paying = open.step(&processing, &policy).next;
    let paid = paying.step(&completed, &policy).next;
    assert!(matches!(paid.state, State::Fulfilled { .. }), "a typical attempt is fulfilled");

    let mut group = c.benchmark_group("step");
    for (name, attempt, signal) in [
        ("created", &known, &created),
        ("processing", &open, &processing),
        ("completed", &paying, &completed),
        ("duplicate", &paid, &completed),
    ] {
        group.bench_function(name, |b| {
            b.iter(|| black_box(attempt).step(black_box(signal), &policy));
        });
    }
    group.finish();
}

criterion_group!(benches, step);
criterion_main!(benches);
