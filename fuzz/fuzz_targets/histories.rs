//! The input is a history: one byte for the policy, then six for each signal, over alphabets so
//! small that ids, sessions and transactions meet each other all the time.
//!
//! - At most one fulfillment, and only on the word of a completion or of an operator.
//! - `fulfilled` absorbs.
//! - Sequences are gapless, and every transition is counted.
//! - A step is a function: the same signal to the same attempt is the same step.
//! - A signal shown again at once brings no second fulfillment.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::Arc;
use tidegate::attempt::{
    Amount, Attempt, AttemptId, Code, Decision, Digest, EVIDENCE_MAX, Effect, EndpointName, Facts,
    Flow, GateClient, LateCompletion, News, OnFailed, OperatorId, Origin, Policy, Position, Ruling,
    SessionId, Signal, SignalId, Source, StateName, Terms, Timeliness, Timestamp, TransactionRef,
    UnknownSession, Verdict,
};

/// One signal, as drawn.
#[derive(Clone, Copy)]
struct Told {
    word: u8,
    /// Which of 128 ids, and in the high bit which of two bodies it comes with.
    id: u8,
    session: u8,
    terms: u8,
    by: u8,
    /// The transaction of a completion, or an operator's ruling and how late it comes.
    detail: u8,
}

impl From<[u8; 6]> for Told {
    fn from([word, id, session, terms, by, detail]: [u8; 6]) -> Self {
        Self { word, id, session, terms, by, detail }
    }
}

fn terms(drawn: u8) -> Terms {
    Terms {
        account: None,
        flow: [None, Some(Flow::OnRamp), Some(Flow::Payment), Some(Flow::Swap)]
            [usize::from(drawn & 3)],
        amount: [None, Some("100.00"), Some("100.0"), Some("99")][usize::from(drawn >> 2 & 3)]
            .map(|text| Amount::parse(text).expect("it is an amount")),
        currency: [None, Some("EUR")][usize::from(drawn >> 4 & 1)]
            .map(|text| Code::parse(text).expect("it is a code")),
        target_token: None,
        target_network: None,
    }
}

impl Told {
    fn news(&self, attempt: &Attempt) -> News {
        match self.word % 17 {
            0 => News::SessionCreated,
            1 => News::KycRequired,
            2 => News::Processing,
            3 => News::Completed {
                transaction: [None, Some("tx_1"), Some("tx_2")][usize::from(self.detail % 3)]
                    .map(|text| TransactionRef::parse(text).expect("it is an id")),
            },
            4 => News::Failed { reason: None },
            5 => News::Expired,
            6 => News::Cancelled,
            7 => News::StillOpen,
            8 => News::Unknown { name: Arc::from("rail.new") },
            9 => News::Created { terms: terms(self.terms), endpoint: None },
            10 => News::Attached { endpoint: None },
            11 => News::ClaimGranted,
            12 => News::ClaimRefused { holder: AttemptId::parse("att_2").expect("it is an id") },
            13 => News::BrowserReturned,
            14 => News::BrowserLeft,
            15 => News::CancelRequested,
            _decided => News::Decided(Decision {
                operator: OperatorId::parse("op_1").expect("it is an id"),
                reason: Arc::from("looked"),
                ruling: if self.detail & 1 == 0 { Ruling::Fulfill } else { Ruling::Close },
                saw: attempt.sequence.saturating_sub(u64::from(self.detail >> 1 & 1)),
            }),
        }
    }

    fn source(&self, news: &News) -> Source {
        let ours = matches!(
            news,
            News::Created { .. }
                | News::Attached { .. }
                | News::ClaimGranted
                | News::ClaimRefused { .. }
                | News::BrowserReturned
                | News::BrowserLeft
                | News::CancelRequested
                | News::Decided(_)
        );
        let webhook = |name, timeliness| Source::Webhook {
            endpoint: EndpointName::parse(name).expect("it is a name"),
            timeliness,
        };
        match self.by % 8 {
            _any if ours => Source::Command,
            0 | 1 => Source::Reading,
            2 => webhook("main", Timeliness::OutOfTime),
            3 => webhook("other", Timeliness::InTime),
            _usual => webhook("main", Timeliness::InTime),
        }
    }

    fn signal(&self, attempt: &Attempt, offset: usize) -> Signal {
        let news = self.news(attempt);
        let session = [None, Some("gs_1"), Some("gs_1"), Some("gs_2")]
            [usize::from(self.session & 3)]
        .map(|text| SessionId::parse(text).expect("it is an id"))
        // An operator speaks of the attempt, not of a session.
        .filter(|_| !matches!(news, News::Decided(_)));
        let mut digest = [0; 32];
        digest[0] = self.id;
        Signal {
            id: SignalId::parse(&format!("evt_{}", self.id & 127)).expect("it is an id"),
            source: self.source(&news),
            news,
            facts: Facts {
                session,
                terms: terms(self.terms),
                reference: None,
                mode: None,
                unreadable: self.session & 0xf0 == 0xf0,
            },
            provider_at: None,
            received_at: Timestamp(0),
            position: Position { partition: 0, offset: offset as u64 },
            digest: Digest(digest),
        }
    }
}

fn fulfillments(effects: &[Effect]) -> usize {
    effects.iter().filter(|effect| matches!(effect, Effect::Fulfill(_))).count()
}

fuzz_target!(|input: &[u8]| {
    let Some((drawn, told)) = input.split_first() else { return };
    let chosen = |bit: u8| usize::from(drawn >> bit & 1);
    let policy = Policy {
        late_completion: LateCompletion::ALL[chosen(0)],
        failed: OnFailed::ALL[chosen(1)],
        unknown_session: UnknownSession::Adopt,
        gate: GateClient::ALL[chosen(2)],
    };
    let origin = [Origin::Minted, Origin::Adopted][chosen(3)];
    let mut attempt = Attempt::unseen(AttemptId::parse("att_1").expect("it is an id"), origin);
    let mut fulfilled = 0;

    let (told, _rest) = told.as_chunks::<6>();
    for (offset, told) in told.iter().enumerate() {
        let signal = Told::from(*told).signal(&attempt, offset);
        let step = attempt.step(&signal, &policy);
        assert_eq!(step, attempt.step(&signal, &policy), "a step is a function");

        let now = fulfillments(&step.effects);
        if now > 0 {
            let proven = match &signal.news {
                News::Completed { .. } => step.verdict == Verdict::Applied,
                News::Decided(decision) => decision.ruling == Ruling::Fulfill,
                _proves_nothing => false,
            };
            assert!(proven, "fulfilled by {signal:?}");
            assert_eq!(step.next.state.name(), StateName::Fulfilled);
        }
        fulfilled += now;
        assert!(fulfilled <= 1, "fulfilled {fulfilled} times");
        assert_eq!(fulfilled == 1, step.next.state.name() == StateName::Fulfilled, "absorbs");

        let mut sequence = attempt.sequence;
        for effect in &step.effects {
            if let Effect::Moved(moved) = effect {
                sequence += 1;
                assert_eq!(moved.sequence, sequence, "gapless");
                assert_eq!(moved.to, step.next.state.name());
            }
        }
        assert_eq!(step.next.sequence, sequence, "every transition is told");
        if attempt.state.name() != step.next.state.name() {
            assert!(sequence > attempt.sequence, "a change of state is told");
        }
        // A full record still takes the first completion and the decision that ends a review.
        assert!(step.next.evidence.entries().len() <= EVIDENCE_MAX + 2);

        let again = step.next.step(&signal, &policy);
        assert_eq!(fulfillments(&again.effects), 0, "the same signal again");
        attempt = step.next;
    }
});
