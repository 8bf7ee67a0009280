//! Random histories, and what the model's plain numbers mean to the product.

use crate::model::{News as Told, Said, Settings, Source as From, State as Stands, Terms as Money};
use std::fmt;
use std::sync::Arc;
use tidegate::attempt::*;

/// SplitMix64: small, and the same everywhere.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.roll() % bound as u64) as usize
    }

    fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// A signal as drawn; a decision's sequence is filled in when it is said.
#[derive(Clone, Copy, Debug)]
pub struct Drawn {
    said: Said,
    outdated: bool,
}

impl Drawn {
    pub fn said_at(&self, sequence: u64) -> Said {
        Said { saw: sequence + u64::from(self.outdated), ..self.said }
    }
}

#[derive(Clone, Debug)]
pub struct History {
    pub minted: bool,
    pub settings: Settings,
    pub told: Vec<Drawn>,
}

const PROVIDER: [Told; 12] = [
    Told::Completed,
    Told::Completed,
    Told::Completed,
    Told::SessionCreated,
    Told::KycRequired,
    Told::Progressed,
    Told::HasFailed,
    Told::HasExpired,
    Told::WasCancelled,
    Told::StillOpen,
    Told::Unknown,
    Told::Progressed,
];
/// Of long histories, where most signals must say little for the record to fill.
const CHATTER: [Told; 4] =
    [Told::Unknown, Told::KycRequired, Told::StillOpen, Told::SessionCreated];
const OURS: [Told; 12] = [
    Told::Created,
    Told::Created,
    Told::Created,
    Told::Attached,
    Told::Attached,
    Told::Granted,
    Told::Refused,
    Told::Returned,
    Told::Left,
    Told::CancelRequested,
    Told::RuledFulfill,
    Told::RuledClose,
];

impl History {
    /// Tells `length` deliveries out of a pool of distinct signals, so that some come twice.
    pub fn draw(dice: &mut Dice, pool: usize, length: usize) -> Self {
        let long = pool > 100;
        let signals: Vec<Drawn> = (0..pool).map(|at| draw(dice, at, long)).collect();
        // `created` stands first in the pool, and mostly in the history.
        let begins = usize::from(!dice.one_in(3));
        let told = (0..length)
            .map(|at| {
                let drawn = if at < begins { signals[0] } else { dice.pick(&signals) };
                deliver(dice, drawn)
            })
            .collect();
        Self {
            minted: !dice.one_in(3),
            settings: Settings {
                late_fulfills: dice.one_in(2),
                keeps_open: dice.one_in(2),
                can_ask: dice.one_in(2),
            },
            told,
        }
    }

    pub fn without(&self, left_out: usize) -> Self {
        let mut shorter = self.clone();
        shorter.told.remove(left_out);
        shorter
    }

    pub fn policy(&self) -> Policy {
        let Settings { late_fulfills, keeps_open, can_ask } = self.settings;
        Policy {
            late_completion: match late_fulfills {
                true => LateCompletion::Fulfill,
                false => LateCompletion::Review,
            },
            failed: if keeps_open { OnFailed::KeepOpen } else { OnFailed::Close },
            gate: if can_ask { GateClient::Present } else { GateClient::Absent },
            unknown_session: UnknownSession::Adopt,
        }
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "minted: {}, {:?}", self.minted, self.settings)?;
        self.told.iter().try_for_each(|drawn| writeln!(f, "{drawn:?}"))
    }
}

fn draw(dice: &mut Dice, at: usize, long: bool) -> Drawn {
    let ours = !long && (at == 0 || dice.one_in(3)) || long && dice.one_in(40);
    let (source, news) = match (ours, long && !dice.one_in(30)) {
        (true, _) => (From::Command, if at == 0 { Told::Created } else { dice.pick(&OURS) }),
        (false, true) => (From::Webhook, dice.pick(&CHATTER)),
        (false, false) if dice.one_in(5) => (From::Reading, dice.pick(&PROVIDER)),
        (false, false) => (From::Webhook, dice.pick(&PROVIDER)),
    };
    let of_a_session =
        source != From::Command || matches!(news, Told::Attached | Told::Granted | Told::Refused);
    let speaks_of_money = matches!(news, Told::Completed | Told::Created);
    let completes = news == Told::Completed;
    let names_an_endpoint = matches!(news, Told::Created | Told::Attached);
    Drawn {
        said: Said {
            source,
            news,
            // Sometimes the id of another signal: a conflict, if it came the same way.
            id: if dice.one_in(12) { dice.below(at + 1) } else { at },
            bytes: at,
            session: match dice.below(12) {
                _none if !of_a_session => None,
                0 => None,
                1 | 2 => Some(1),
                _usual => Some(0),
            },
            endpoint: if names_an_endpoint && dice.one_in(2) { Some(0) } else { None },
            late: false,
            terms: if speaks_of_money { money(dice) } else { Money::default() },
            unreadable: completes && dice.one_in(20),
            transaction: match dice.below(6) {
                _none if !completes => None,
                0 => None,
                1 => Some(1),
                _usual => Some(0),
            },
            saw: 0,
        },
        outdated: dice.one_in(4),
    }
}

fn money(dice: &mut Dice) -> Money {
    let one_of = |roll: usize, usual: usize, other: usize| match roll {
        0 => None,
        1 => Some(other),
        _usual => Some(usual),
    };
    let spelling = dice.below(2);
    Money {
        cents: one_of(dice.below(14), 10_000, 9_900),
        currency: one_of(dice.below(14), spelling, 2),
        flow: match dice.below(14) {
            0 => None,
            1 => Some(2),
            2 => Some(0),
            _usual => Some(1),
        },
    }
}

/// The same signal may come out of time, or through another endpoint.
fn deliver(dice: &mut Dice, mut drawn: Drawn) -> Drawn {
    if drawn.said.source == From::Webhook {
        drawn.said.endpoint = Some(usize::from(dice.one_in(8)));
        drawn.said.late = dice.one_in(8);
    }
    drawn
}

/// The names behind the numbers, made once.
pub struct World {
    ids: Vec<SignalId>,
    sessions: [SessionId; 2],
    endpoints: [EndpointName; 2],
    currencies: [Code; 3],
    /// Of one value each, in two spellings.
    amounts: [[Amount; 2]; 2],
    transactions: [TransactionRef; 2],
    attempt: AttemptId,
    operator: OperatorId,
    unknown: Arc<str>,
}

impl World {
    pub fn new() -> Self {
        let amount = |text| Amount::parse(text).unwrap();
        let transaction = |text| TransactionRef::parse(text).unwrap();
        Self {
            ids: (0..400).map(|n| SignalId::parse(&format!("sig_{n}")).unwrap()).collect(),
            sessions: ["ses_0", "ses_1"].map(|text| SessionId::parse(text).unwrap()),
            endpoints: ["shop", "mall"].map(|text| EndpointName::parse(text).unwrap()),
            currencies: ["EUR", "eur", "USD"].map(|text| Code::parse(text).unwrap()),
            amounts: [["100.00", "100"].map(amount), ["99.00", "99.0"].map(amount)],
            transactions: ["tx_0", "tx_1"].map(transaction),
            attempt: AttemptId::parse("att_1").unwrap(),
            operator: OperatorId::parse("op_1").unwrap(),
            unknown: Arc::from("gate_session.dreamt"),
        }
    }

    pub fn attempt(&self, minted: bool) -> Attempt {
        match minted {
            true => Attempt::unseen(self.attempt.clone(), Origin::Minted),
            false => Attempt::unseen(AttemptId::from(&self.sessions[0]), Origin::Adopted),
        }
    }

    pub fn signal(&self, said: &Said) -> Signal {
        let endpoint = said.endpoint.map(|at| self.endpoints[at].clone());
        let terms = self.terms(said);
        let facts_terms = if said.news == Told::Created { Terms::default() } else { terms.clone() };
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&said.bytes.to_le_bytes());
        Signal {
            id: self.ids[said.id].clone(),
            source: match (said.source, &endpoint) {
                (From::Webhook, Some(endpoint)) => Source::Webhook {
                    endpoint: endpoint.clone(),
                    timeliness: match said.late {
                        true => Timeliness::OutOfTime,
                        false => Timeliness::InTime,
                    },
                },
                (From::Webhook, None) => unreachable!("a webhook comes through an endpoint"),
                (From::Reading, _) => Source::Reading,
                (From::Command, _) => Source::Command,
            },
            news: self.news(said, terms, endpoint),
            facts: Facts {
                session: said.session.map(|at| self.sessions[at].clone()),
                terms: facts_terms,
                reference: None,
                mode: None,
                unreadable: said.unreadable,
            },
            provider_at: None,
            received_at: Timestamp(0),
            position: Position { partition: 0, offset: 0 },
            digest: Digest(digest),
        }
    }

    fn terms(&self, said: &Said) -> Terms {
        let spelling = said.bytes % 2;
        Terms {
            flow: said.terms.flow.map(|at| [Flow::Payment, Flow::OnRamp, Flow::Swap][at]),
            amount: said.terms.cents.map(|cents| match cents {
                10_000 => self.amounts[0][spelling].clone(),
                _less => self.amounts[1][spelling].clone(),
            }),
            currency: said.terms.currency.map(|at| self.currencies[at].clone()),
            ..Terms::default()
        }
    }

    fn news(&self, said: &Said, terms: Terms, endpoint: Option<EndpointName>) -> News {
        let ruled = |ruling| {
            News::Decided(Decision {
                operator: self.operator.clone(),
                reason: Arc::clone(&self.unknown),
                ruling,
                saw: said.saw,
            })
        };
        match said.news {
            Told::SessionCreated => News::SessionCreated,
            Told::KycRequired => News::KycRequired,
            Told::Progressed => News::Processing,
            Told::Completed => News::Completed {
                transaction: said.transaction.map(|at| self.transactions[at].clone()),
            },
            Told::HasFailed => News::Failed { reason: None },
            Told::HasExpired => News::Expired,
            Told::WasCancelled => News::Cancelled,
            Told::StillOpen => News::StillOpen,
            Told::Unknown => News::Unknown { name: Arc::clone(&self.unknown) },
            Told::Created => News::Created { terms, endpoint },
            Told::Attached => News::Attached { endpoint },
            Told::Granted => News::ClaimGranted,
            Told::Refused => News::ClaimRefused { holder: self.attempt.clone() },
            Told::Returned => News::BrowserReturned,
            Told::Left => News::BrowserLeft,
            Told::CancelRequested => News::CancelRequested,
            Told::RuledFulfill => ruled(Ruling::Fulfill),
            Told::RuledClose => ruled(Ruling::Close),
        }
    }
}

/// The product's word for a state of the model.
pub fn word(state: Stands) -> &'static str {
    match state {
        Stands::PendingSession => "pending_session",
        Stands::RequiresAction => "requires_action",
        Stands::Processing => "processing",
        Stands::Fulfilled => "fulfilled",
        Stands::Failed => "failed",
        Stands::Expired => "expired",
        Stands::Cancelled => "cancelled",
        Stands::Review => "review",
    }
}
