//! A second, naive model of an attempt, written from the table of decisions alone.
//!
//! It shares no code with the product. The policy is data: the first row that matches answers.
//! What a row does is carried out by an interpreter too small to have opinions.

use News::*;
use State::*;
use Then::*;
use When::*;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum State {
    PendingSession,
    RequiresAction,
    Processing,
    Fulfilled,
    Failed,
    Expired,
    Cancelled,
    Review,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum News {
    SessionCreated,
    KycRequired,
    Progressed,
    Completed,
    HasFailed,
    HasExpired,
    WasCancelled,
    StillOpen,
    Unknown,
    Created,
    Attached,
    Granted,
    Refused,
    Returned,
    Left,
    CancelRequested,
    RuledFulfill,
    RuledClose,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Source {
    Webhook,
    Reading,
    Command,
}

/// One signal, in plain numbers.
#[derive(Clone, Copy, Debug)]
pub struct Said {
    pub source: Source,
    pub news: News,
    pub id: usize,
    pub bytes: usize,
    pub session: Option<usize>,
    /// Of a webhook: where it came in. Of `created` and `attached`: what they name, if anything.
    pub endpoint: Option<usize>,
    pub late: bool,
    pub terms: Terms,
    pub unreadable: bool,
    pub transaction: Option<usize>,
    pub saw: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Terms {
    pub cents: Option<usize>,
    /// 0 and 1 are two spellings of one currency.
    pub currency: Option<usize>,
    /// 0 is the flow that agrees with any other.
    pub flow: Option<usize>,
}

impl Terms {
    fn or(self, agreed: Self) -> Self {
        Self {
            cents: self.cents.or(agreed.cents),
            currency: self.currency.or(agreed.currency),
            flow: self.flow.or(agreed.flow),
        }
    }

    fn spelled_alike(self) -> Self {
        Self { currency: self.currency.map(|word| word / 2), ..self }
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub late_fulfills: bool,
    pub keeps_open: bool,
    pub can_ask: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum When {
    Always,
    /// The signal came through an endpoint that is not the attempt's.
    OtherEndpoint,
    /// It names a session that is not the attempt's.
    OtherSession,
    OutOfTime,
    NamesNoSession,
    NoSessionAtAll,
    HasSession,
    /// Another transaction than the payment's; where that has none, other terms than it was for.
    OtherTransaction,
    /// Another session than the one under review names, another transaction, or other terms.
    OtherPayment,
    IsReading,
    KeepsOpen,
    LateFulfills,
    Doubtful,
    OldDecision,
    FirstCreated,
    OtherTerms,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Then {
    Becomes(State),
    /// Into review, for the first doubt there is, or else because it is late.
    GoesToReview,
    /// Back to the end that a review came from.
    GoesBack,
    Reserves,
    LetsGo,
    Notes,
    Stale(&'static str),
    Clash(&'static str),
}

struct Row(&'static [State], &'static [News], When, Then);

const ANY: &[State] =
    &[PendingSession, RequiresAction, Processing, Fulfilled, Failed, Expired, Cancelled, Review];
const OPEN: &[State] = &[PendingSession, RequiresAction, Processing];
const CLOSED: &[State] = &[Failed, Expired, Cancelled];
const SETTLED: &[State] = &[Fulfilled, Failed, Expired, Cancelled, Review];
const ATTACHED: &[State] =
    &[RequiresAction, Processing, Fulfilled, Failed, Expired, Cancelled, Review];

const EVERYTHING: &[News] = &[
    SessionCreated,
    KycRequired,
    Progressed,
    Completed,
    HasFailed,
    HasExpired,
    WasCancelled,
    StillOpen,
    Unknown,
    Created,
    Attached,
    Granted,
    Refused,
    Returned,
    Left,
    CancelRequested,
    RuledFulfill,
    RuledClose,
];
const ANSWERS: &[News] = &[Granted, Refused];
const OPENS: &[News] = &[SessionCreated, KycRequired, StillOpen];
const ENDS: &[News] = &[HasFailed, HasExpired, WasCancelled];
const RULINGS: &[News] = &[RuledFulfill, RuledClose];

const TABLE: &[Row] = &[
    // Not ours, or not in time. Only a completion is looked into all the same.
    Row(ANY, EVERYTHING, OtherEndpoint, Clash("foreign_endpoint")),
    Row(ANY, ANSWERS, OtherSession, Stale("overtaken")),
    Row(ANY, &[Completed], OutOfTime, Stale("out_of_time")),
    Row(&[Review], &[Completed], OtherPayment, Clash("second_payment")),
    Row(&[Review], &[Completed], Always, Stale("nothing_new")),
    Row(&[Fulfilled], &[Completed], OtherSession, Clash("second_payment")),
    Row(ANY, &[Completed], OtherSession, GoesToReview),
    Row(ANY, EVERYTHING, OtherSession, Clash("foreign_session")),
    Row(ANY, EVERYTHING, OutOfTime, Stale("out_of_time")),
    Row(ANY, &[Unknown], Always, Stale("unknown_type")),
    // A completion.
    Row(&[Fulfilled], &[Completed], OtherTransaction, Clash("second_payment")),
    Row(&[Fulfilled], &[Completed], IsReading, Stale("nothing_new")),
    Row(&[Fulfilled], &[Completed], Always, Stale("duplicate_fulfillment_blocked")),
    Row(ANY, &[Completed], Doubtful, GoesToReview),
    Row(OPEN, &[Completed], Always, Becomes(Fulfilled)),
    Row(CLOSED, &[Completed], LateFulfills, Becomes(Fulfilled)),
    Row(CLOSED, &[Completed], Always, GoesToReview),
    // An end without one.
    Row(&[Fulfilled], ENDS, Always, Clash("after_fulfilled")),
    Row(&[Failed], &[HasFailed], Always, Stale("nothing_new")),
    Row(&[Expired], &[HasExpired], Always, Stale("nothing_new")),
    Row(&[Cancelled], &[WasCancelled], Always, Stale("nothing_new")),
    Row(SETTLED, ENDS, Always, Stale("overtaken")),
    Row(OPEN, ENDS, NoSessionAtAll, Stale("no_session")),
    Row(OPEN, &[HasFailed], KeepsOpen, Becomes(RequiresAction)),
    Row(OPEN, &[HasFailed], Always, Becomes(Failed)),
    Row(OPEN, &[HasExpired], Always, Becomes(Expired)),
    Row(OPEN, &[WasCancelled, CancelRequested], Always, Becomes(Cancelled)),
    Row(SETTLED, &[CancelRequested], Always, Stale("overtaken")),
    // The way there.
    Row(SETTLED, &[StillOpen], Always, Stale("nothing_new")),
    Row(SETTLED, &[SessionCreated, KycRequired, Progressed], Always, Stale("overtaken")),
    Row(&[PendingSession], OPENS, NoSessionAtAll, Stale("no_session")),
    Row(&[PendingSession], &[Progressed], NoSessionAtAll, Stale("no_session")),
    Row(&[PendingSession], OPENS, Always, Becomes(RequiresAction)),
    Row(&[PendingSession, RequiresAction], &[Progressed], Always, Becomes(Processing)),
    Row(&[Processing], &[SessionCreated], Always, Stale("overtaken")),
    Row(OPEN, OPENS, Always, Stale("nothing_new")),
    Row(&[Processing], &[Progressed], Always, Stale("nothing_new")),
    // The browser proves nothing.
    Row(&[RequiresAction], &[Returned], Always, Becomes(Processing)),
    Row(ANY, &[Returned, Left], Always, Stale("nothing_new")),
    // Our own record of it.
    Row(ANY, &[Created], FirstCreated, Notes),
    Row(ANY, &[Created], OtherTerms, Clash("already_created")),
    Row(ANY, &[Created], Always, Stale("nothing_new")),
    // Whose session it is.
    Row(&[PendingSession], &[Attached], HasSession, Stale("nothing_new")),
    Row(&[Cancelled, Review], &[Attached], HasSession, Stale("overtaken")),
    Row(&[PendingSession, Cancelled, Review], &[Attached], NamesNoSession, Stale("no_session")),
    Row(&[PendingSession, Cancelled, Review], &[Attached], Always, Reserves),
    Row(OPEN, &[Attached], Always, Stale("nothing_new")),
    Row(SETTLED, &[Attached], Always, Stale("overtaken")),
    Row(&[PendingSession], &[Granted], HasSession, Becomes(RequiresAction)),
    Row(&[PendingSession], &[Refused], HasSession, LetsGo),
    Row(&[PendingSession], ANSWERS, Always, Stale("overtaken")),
    Row(ATTACHED, &[Granted], Always, Stale("nothing_new")),
    Row(ATTACHED, &[Refused], Always, Clash("session_held")),
    // A person's word.
    Row(&[Review], RULINGS, OldDecision, Stale("decision_outdated")),
    Row(&[Review], &[RuledFulfill], Always, Becomes(Fulfilled)),
    Row(&[Review], &[RuledClose], Always, GoesBack),
    Row(ANY, RULINGS, Always, Stale("not_in_review")),
];

/// What the model makes of a signal: the word of the verdict, and its reason.
pub type Answer = (&'static str, Option<&'static str>);

/// Signals that a record takes before it is full.
const FULL: usize = 256;

pub struct Model {
    pub minted: bool,
    pub state: State,
    pub review: Option<&'static str>,
    pub sequence: u64,
    pub fulfilled: u32,
    session: Option<usize>,
    transaction: Option<usize>,
    came_from: State,
    created: bool,
    completed: bool,
    /// The session that the completion under review named.
    paid: Option<usize>,
    /// What the payment was for, as far as anyone has said.
    bought: Terms,
    ruled: bool,
    terms: Terms,
    endpoint: Option<usize>,
    known: Vec<Heard>,
}

struct Heard {
    source: Source,
    id: usize,
    bytes: usize,
    heeded: bool,
    /// Whether other bytes under its id are a conflict.
    holds: bool,
}

impl Model {
    pub fn new(minted: bool) -> Self {
        Self {
            minted,
            state: PendingSession,
            review: None,
            sequence: 0,
            fulfilled: 0,
            session: None,
            transaction: None,
            came_from: PendingSession,
            created: false,
            completed: false,
            paid: None,
            bought: Terms::default(),
            ruled: false,
            terms: Terms::default(),
            endpoint: None,
            known: vec![],
        }
    }

    pub fn tell(&mut self, said: &Said, settings: &Settings) -> Answer {
        let of_id = |k: &Heard| k.source == said.source && k.id == said.id;
        let known = self.known.iter().position(|k| of_id(k) && k.bytes == said.bytes);
        let holder = self.known.iter().any(|k| of_id(k) && k.bytes != said.bytes && k.holds);
        let ignored = self.is(OtherEndpoint, said, settings) || self.is(OutOfTime, said, settings);
        if let Some(known) = known
            && (self.known[known].heeded || ignored)
        {
            return ("duplicate", None);
        }
        if holder {
            if known.is_none() && self.known.len() >= FULL {
                return ("stale", Some("evidence_full"));
            }
            self.remember(known, said, true, false);
            self.sequence += 1;
            return ("contradiction", Some("event_id_conflict"));
        }
        let then = self.look_up(said, settings);
        let teaches = self.names_the_transaction(said, then);
        if said.source == Source::Reading && then == Stale("nothing_new") && !teaches {
            return ("stale", Some("nothing_new"));
        }
        if known.is_none() && self.known.len() >= FULL && !self.finds_room(said, then) {
            return ("stale", Some("evidence_full"));
        }
        let heeded = ![Stale("out_of_time"), Clash("foreign_endpoint")].contains(&then);
        self.remember(known, said, heeded, heeded);
        if teaches {
            self.transaction = said.transaction;
        }
        self.carry_out(then, said, settings)
    }

    fn remember(&mut self, known: Option<usize>, said: &Said, heeded: bool, holds: bool) {
        let heard = Heard { source: said.source, id: said.id, bytes: said.bytes, heeded, holds };
        match known {
            Some(known) => self.known[known] = heard,
            None => self.known.push(heard),
        }
    }

    fn look_up(&self, said: &Said, settings: &Settings) -> Then {
        let row = TABLE.iter().find(|Row(states, news, when, _)| {
            states.contains(&self.state)
                && news.contains(&said.news)
                && self.is(*when, said, settings)
        });
        row.unwrap_or_else(|| panic!("no row for {said:?} in {:?}", self.state)).3
    }

    fn is(&self, when: When, said: &Said, settings: &Settings) -> bool {
        match when {
            Always => true,
            OtherEndpoint => {
                said.source == Source::Webhook
                    && self.endpoint.is_some()
                    && self.endpoint != said.endpoint
            }
            OtherSession => differ(self.session, said.session),
            OutOfTime => said.late && (said.news != Completed || settings.can_ask),
            NamesNoSession => said.session.is_none(),
            NoSessionAtAll => said.session.or(self.session).is_none(),
            HasSession => self.session.is_some(),
            OtherTransaction => {
                let unnamed = self.transaction.is_none() && said.transaction.is_some();
                differ(self.transaction, said.transaction)
                    || unnamed && mismatch(self.bought, said.terms).is_some()
            }
            IsReading => said.source == Source::Reading,
            KeepsOpen => settings.keeps_open,
            OtherPayment => {
                differ(self.paid.or(self.session), said.session)
                    || self.is(OtherTransaction, said, settings)
            }
            LateFulfills => settings.late_fulfills && !self.ruled,
            Doubtful => self.doubt(said).is_some(),
            OldDecision => said.saw != self.sequence,
            FirstCreated => !self.created,
            OtherTerms => said.terms.spelled_alike() != self.terms.spelled_alike(),
        }
    }

    fn doubt(&self, said: &Said) -> Option<&'static str> {
        let doubts = [
            ("foreign_session", differ(self.session, said.session)),
            ("no_session", self.session.or(said.session).is_none()),
            ("before_created", self.minted && !self.created),
            ("out_of_time", said.late),
            ("unreadable_terms", said.unreadable),
        ];
        let first = doubts.into_iter().find(|(_, doubtful)| *doubtful).map(|(cause, _)| cause);
        first.or(mismatch(self.terms, said.terms))
    }

    /// Of a payment that is known, the first completion to name a transaction names its own.
    fn names_the_transaction(&self, said: &Said, then: Then) -> bool {
        let again = [Stale("nothing_new"), Stale("duplicate_fulfillment_blocked")].contains(&then);
        said.news == Completed && again && self.transaction.is_none() && said.transaction.is_some()
    }

    fn finds_room(&self, said: &Said, then: Then) -> bool {
        match then {
            Becomes(_) | GoesToReview | GoesBack if said.news == Completed => !self.completed,
            Becomes(_) | GoesBack => RULINGS.contains(&said.news),
            _moves_nothing => false,
        }
    }

    fn carry_out(&mut self, then: Then, said: &Said, settings: &Settings) -> Answer {
        let before = self.state;
        match then {
            Stale(why) => return ("stale", Some(why)),
            Clash(why) => {
                self.sequence += 1;
                return ("contradiction", Some(why));
            }
            LetsGo => {
                self.session = None;
                self.sequence += 1;
                return ("contradiction", Some("session_held"));
            }
            Becomes(state) => self.state = state,
            GoesToReview => {
                self.review = self.doubt(said).or(Some("late_completion"));
                self.came_from = before;
                self.state = Review;
            }
            GoesBack => {
                let ended = CLOSED.contains(&self.came_from);
                self.state = if ended { self.came_from } else { Cancelled };
            }
            Reserves | Notes => {}
        }
        if said.news == Completed {
            assert!(!self.is(OutOfTime, said, settings), "nobody else could be asked");
            self.transaction = said.transaction;
            self.completed = true;
            self.paid = said.session;
            self.bought = said.terms;
        }
        if then == Becomes(Fulfilled) {
            self.bought = self.bought.or(self.terms);
        }
        if RULINGS.contains(&said.news) {
            self.ruled = true;
        }
        if then == Becomes(Fulfilled) && before == Review {
            self.session = self.paid.or(self.session);
        }
        if self.state == Fulfilled && before != Fulfilled {
            self.fulfilled += 1;
        }
        self.session = self.session.or(said.session);
        self.learn(said);
        if self.state != before || self.sequence == 0 {
            self.sequence += 1;
        }
        ("applied", None)
    }

    fn learn(&mut self, said: &Said) {
        if said.news == Created {
            self.created = true;
            self.terms = said.terms;
            self.endpoint = said.endpoint.or(self.endpoint);
        } else if !self.minted {
            self.terms = self.terms.or(said.terms);
        }
        self.endpoint = self.endpoint.or(said.endpoint);
    }
}

fn mismatch(ours: Terms, theirs: Terms) -> Option<&'static str> {
    let (ours, theirs) = (ours.spelled_alike(), theirs.spelled_alike());
    let of_any_flow = ours.flow == Some(0) || theirs.flow == Some(0);
    let mismatches = [
        ("amount_mismatch", differ(ours.cents, theirs.cents)),
        ("currency_mismatch", differ(ours.currency, theirs.currency)),
        ("flow_mismatch", !of_any_flow && differ(ours.flow, theirs.flow)),
    ];
    mismatches.into_iter().find(|(_, mismatched)| *mismatched).map(|(cause, _)| cause)
}

/// An absent fact never disagrees.
fn differ<T: PartialEq>(ours: Option<T>, theirs: Option<T>) -> bool {
    ours.is_some() && theirs.is_some() && ours != theirs
}
