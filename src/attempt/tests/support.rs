//! A small language for stories: one signal a line, `id what [fact=value]...`.
//!
//! `evt_` is a webhook, `read_` a reading, anything else a command. What a line does not say is
//! what an untroubled payment would say: session `ses_1`, transaction `tx_1`, 100.00 EUR.

use crate::attempt::*;
use expect_test::Expect;
use std::fmt::Write as _;
use std::sync::Arc;

pub(super) fn minted() -> Attempt {
    Attempt::unseen(AttemptId::parse("att_1").unwrap(), Origin::Minted)
}

pub(super) fn adopted() -> Attempt {
    Attempt::unseen(AttemptId::from(&session("ses_1")), Origin::Adopted)
}

pub(super) fn session(text: &str) -> SessionId {
    SessionId::parse(text).unwrap()
}

pub(super) fn careful() -> Policy {
    Policy::default()
}

pub(super) fn late_fulfills() -> Policy {
    Policy { late_completion: LateCompletion::Fulfill, ..Policy::default() }
}

pub(super) fn keeps_open() -> Policy {
    Policy { failed: OnFailed::KeepOpen, ..Policy::default() }
}

pub(super) fn can_ask() -> Policy {
    Policy { gate: GateClient::Present, ..Policy::default() }
}

/// Each choice that an attempt's own decision depends on.
pub(super) fn every_policy() -> Vec<Policy> {
    let mut all = vec![];
    for &late_completion in LateCompletion::ALL {
        for &failed in OnFailed::ALL {
            for &gate in GateClient::ALL {
                all.push(Policy { late_completion, failed, gate, ..Policy::default() });
            }
        }
    }
    all
}

/// Tells `attempt` the story and compares what it made of each line. The one place that calls
/// the core on behalf of the stories.
#[track_caller]
pub(super) fn story(attempt: Attempt, policy: Policy, script: &str, transcript: Expect) {
    let (mut attempt, mut rendered) = (attempt, String::new());
    for line in lines(script) {
        let signal = signal(line, &attempt);
        let step = attempt.step(&signal, &policy);
        writeln!(rendered, "{}", render(&signal, &step)).unwrap();
        attempt = step.next;
    }
    transcript.assert_eq(&rendered);
}

/// The attempt after the story.
pub(super) fn after(attempt: Attempt, policy: Policy, script: &str) -> Attempt {
    lines(script).fold(attempt, |attempt, line| {
        let signal = signal(line, &attempt);
        attempt.step(&signal, &policy).next
    })
}

fn lines(script: &str) -> impl Iterator<Item = &str> {
    script.lines().map(str::trim).filter(|line| !line.is_empty())
}

/// `attempt` is only asked for the sequence that an operator would have seen by now.
pub(super) fn signal(line: &str, attempt: &Attempt) -> Signal {
    let mut words = line.split_whitespace();
    let (id, what) = (words.next().unwrap(), words.next().unwrap());
    let said: Vec<(&str, &str)> = words.map(|w| w.split_once('=').unwrap_or((w, ""))).collect();
    for (name, _) in &said {
        assert!(FACTS.contains(name), "no story knows {name}, in: {line}");
    }
    let fact = |name: &str| said.iter().find(|(n, _)| *n == name).map(|(_, value)| *value);
    let or = |name: &str, usual: &'static str| match fact(name) {
        None => Some(usual),
        Some("none") => None,
        Some(value) => Some(value),
    };

    let by_webhook = id.starts_with("evt_");
    let source = if by_webhook {
        Source::Webhook {
            endpoint: EndpointName::parse(or("endpoint", "shop").unwrap()).unwrap(),
            timeliness: match fact("out_of_time") {
                Some(_) => Timeliness::OutOfTime,
                None => Timeliness::InTime,
            },
        }
    } else if id.starts_with("read_") {
        Source::Reading
    } else {
        Source::Command
    };
    let spoken = Terms {
        account: fact("account").map(|text| AccountId::parse(text).unwrap()),
        flow: or("flow", "on_ramp").map(|word| Flow::from_word(word).unwrap()),
        amount: or("amount", "100.00").map(|text| Amount::parse(text).unwrap()),
        currency: or("currency", "EUR").map(|text| Code::parse(text).unwrap()),
        target_token: fact("token").map(|text| Code::parse(text).unwrap()),
        target_network: None,
    };
    let endpoint = || fact("endpoint").map(|text| EndpointName::parse(text).unwrap());
    let reason = fact("reason").map(|text| Reason::parse(text).unwrap());
    let ruling = |ruling| {
        News::Decided(Decision {
            operator: OperatorId::parse("op_1").unwrap(),
            reason: Arc::from("looked into it"),
            ruling,
            saw: fact("saw").map_or(attempt.sequence, |text| text.parse().unwrap()),
        })
    };
    let news = match what {
        "session_created" => News::SessionCreated,
        "kyc" => News::KycRequired,
        "processing" => News::Processing,
        "completed" => News::Completed {
            transaction: or("tx", "tx_1").map(|text| TransactionRef::parse(text).unwrap()),
        },
        "failed" => News::Failed { reason },
        "expired" => News::Expired,
        "cancelled" => News::Cancelled,
        "still_open" => News::StillOpen,
        "unknown" => News::Unknown { name: Arc::from("gate_session.dreamt") },
        "created" => News::Created { terms: spoken.clone(), endpoint: endpoint() },
        "attached" => News::Attached { endpoint: endpoint() },
        "granted" => News::ClaimGranted,
        "refused" => News::ClaimRefused { holder: AttemptId::parse("att_9").unwrap() },
        "returned" => News::BrowserReturned,
        "left" => News::BrowserLeft,
        "cancel" => News::CancelRequested,
        "fulfill" => ruling(Ruling::Fulfill),
        "close" => ruling(Ruling::Close),
        other => panic!("no story knows the news {other}, in: {line}"),
    };
    let of_a_session = source != Source::Command
        || matches!(news, News::Attached { .. } | News::ClaimGranted | News::ClaimRefused { .. });
    Signal {
        id: SignalId::parse(id).unwrap(),
        facts: Facts {
            session: if of_a_session { or("session", "ses_1") } else { fact("session") }
                .map(session),
            terms: match &news {
                News::Completed { .. } => spoken,
                _says_nothing_of_money => Terms::default(),
            },
            reference: fact("reference").map(Arc::from),
            mode: Some(Mode::Live),
            unreadable: fact("unreadable").is_some(),
        },
        provider_at: by_webhook.then_some(Timestamp(1_000)),
        received_at: Timestamp(2_000),
        position: Position { partition: 0, offset: 7 },
        digest: bytes(id, fact("bytes").unwrap_or("")),
        source,
        news,
    }
}

const FACTS: [&str; 14] = [
    "session",
    "endpoint",
    "out_of_time",
    "account",
    "flow",
    "amount",
    "currency",
    "token",
    "tx",
    "reason",
    "saw",
    "reference",
    "unreadable",
    "bytes",
];

/// Stands for the hash of what arrived: the same id and `bytes=` are the same bytes.
fn bytes(id: &str, variant: &str) -> Digest {
    let mut digest = [0; 32];
    for (slot, byte) in digest.iter_mut().zip(id.bytes().chain([b'/']).chain(variant.bytes())) {
        *slot = byte;
    }
    Digest(digest)
}

pub(super) fn render(signal: &Signal, step: &Step) -> String {
    let verdict = match step.verdict.reason() {
        Some(reason) => reason,
        None => step.verdict.word(),
    };
    let mut line = format!("{:<7} {:<12} {}", signal.id.as_str(), verdict, stands(&step.next));
    for effect in &step.effects {
        write!(line, " | {}", told(effect)).unwrap();
    }
    line
}

/// The state, and what is true in it.
pub(super) fn stands(attempt: &Attempt) -> String {
    let mut text = attempt.state.name().word().to_owned();
    if let Some(session) = attempt.state.session() {
        write!(text, " {session}").unwrap();
    }
    match &attempt.state {
        State::RequiresAction { setback: Some(reason), .. }
        | State::Failed { reason: Some(reason), .. } => {
            write!(text, " ({})", reason.as_str()).unwrap();
        }
        State::Fulfilled { payment: Payment::Named(transaction), .. } => {
            write!(text, " {transaction}").unwrap();
        }
        State::Review { cause, .. } => write!(text, " ({})", cause.word()).unwrap(),
        _nothing_more => {}
    }
    text
}

pub(super) fn told(effect: &Effect) -> String {
    match effect {
        Effect::Fulfill(it) => {
            let amount = it.terms.amount.as_ref().map_or("?", Amount::as_str);
            let currency = it.terms.currency.as_ref().map_or("?", Code::as_str);
            format!("fulfill {amount} {currency} by {}", it.proof.kind.word())
        }
        Effect::Moved(moved) => {
            let from = moved.from.map_or("nothing", StateName::word);
            format!("{}: {from} > {}", moved.sequence, moved.to.word())
        }
        Effect::Outcome(_) => "outcome".to_owned(),
        Effect::Claim { session } => format!("claim {session}"),
        Effect::Read { session } => format!("read {session}"),
        Effect::DeadLetter(why) => format!("dead letter: {}", why.word()),
        Effect::Alarm(alarm) => format!("alarm {}", alarm.word()),
    }
}
