//! Attempts, as they are committed.
//!
//! Everything is read through the view, which is told a state only after its commit. No reader is
//! ever shown an older sequence of an attempt than before: the view takes states of a partition in
//! the order of their commits and drops an apply that is older than what it has; where it forgot
//! something, this process refuses to answer from it until it has been shown everything again.

use super::api::{Api, Caller, query};
use super::problem::Problem;
use crate::attempt::{
    Attempt, AttemptId, EVIDENCE_MAX, Entry, Origin, ReviewCause, State, StateName, Terms,
};
use crate::lane::resident::Resident;
use crate::ports::{Feeds, Looked, View, ViewError};
use crate::wire::prove::Trust;
use crate::wire::published::rfc3339;
use crate::wire::seal::{Seal, Sealed};
use crate::wire::state::decode_attempt_at;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};

/// Between two looks of a waiting page: people notice three seconds, the view does not.
const NEXT_POLL_MS: u32 = 3000;

/// Attempts in one answer, unless the caller asks for fewer or more.
const LIST_DEFAULT: usize = 50;
const LIST_MAX: usize = 500;

/// States that one listing looks at. A filter that matches little must not make one request read
/// the whole view; the cursor goes on from there.
const LOOKED_AT_MAX: usize = 5000;

pub(super) async fn get<V: View, F: Feeds>(
    _caller: Caller,
    api: web::Data<Api<V, F>>,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    match api.attempt(&id).await? {
        Some(attempt) => Ok(HttpResponse::Ok().json(Shown::of(&attempt, true))),
        None => Err(no_such_attempt()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StatusQuery {
    account_id: Option<String>,
}

pub(super) async fn status<V: View, F: Feeds>(
    _caller: Caller,
    api: web::Data<Api<V, F>>,
    id: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let StatusQuery { account_id } = query(&request, "account_id")?;
    let attempt = api.attempt(&id).await?.filter(|attempt| {
        let account = attempt.terms.account.as_ref().map(|account| account.as_str());
        account_id.is_none() || account_id.as_deref() == account
    });
    Ok(match attempt {
        Some(attempt) => HttpResponse::Ok().json(Status::of(attempt.state.name())),
        // A foreign attempt looks as if it were not there.
        None => HttpResponse::NotFound().json(Status::NOT_FOUND),
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    view: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_poll_ms: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    can_retry: Option<bool>,
}

impl Status {
    const NOT_FOUND: Self = Self { view: "not_found", next_poll_ms: None, can_retry: None };

    fn of(state: StateName) -> Self {
        let closed = |view| Self { view, next_poll_ms: None, can_retry: Some(true) };
        match state {
            StateName::Fulfilled => Self { view: "success", next_poll_ms: None, can_retry: None },
            StateName::Failed => closed("failed"),
            StateName::Expired => closed("expired"),
            StateName::Cancelled => closed("cancelled"),
            // Money may have moved under review: nobody is invited to pay again.
            StateName::PendingSession
            | StateName::RequiresAction
            | StateName::Processing
            | StateName::Review => {
                Self { view: "processing", next_poll_ms: Some(NEXT_POLL_MS), can_retry: None }
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    state: Option<String>,
    limit: Option<usize>,
    after: Option<String>,
}

#[derive(Serialize)]
struct Listing<'a> {
    attempts: Vec<Shown<'a>>,
    /// What `after` takes for the next part; absent at the end.
    next: Option<String>,
}

pub(super) async fn list<V: View, F: Feeds>(
    _caller: Caller,
    api: web::Data<Api<V, F>>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let asked: ListQuery = query(&request, "state, limit (a number) and after")?;
    let state = match asked.state.as_deref().filter(|word| !word.is_empty()) {
        None => None,
        Some(word) => Some(StateName::from_word(word).ok_or_else(|| {
            let words: Vec<_> = StateName::ALL.iter().map(|state| state.word()).collect();
            Problem::bad_request("bad_state", format!("state is one of {}", words.join(", ")))
        })?),
    };
    let limit = asked.limit.unwrap_or(LIST_DEFAULT).clamp(1, LIST_MAX);
    let mut cursor = match asked.after.as_deref().filter(|text| !text.is_empty()) {
        None => Cursor { partition: 0, key: Bytes::new() },
        Some(text) => Cursor::open(text, &api.trust).ok_or_else(|| {
            Problem::bad_request("bad_cursor", "after is not a cursor that came from here")
        })?,
    };
    let mut found = vec![];
    let mut looked_at = 0;
    while cursor.partition < api.partitions && found.len() < limit && looked_at < LOOKED_AT_MAX {
        let most = (limit - found.len()).max(PAGE_MIN);
        let page = api.view.scan(cursor.partition, cursor.key.clone(), most).await;
        let page = page.map_err(view_unavailable)?;
        // Asked after the page: what it lacked, this lacks as well.
        let looked = api.view.look_up(cursor.partition, vec![]).await;
        api.admit(cursor.partition, &looked.map_err(view_unavailable)?)?;
        if page.is_empty() {
            cursor = Cursor { partition: cursor.partition + 1, key: Bytes::new() };
        }
        for (key, value) in page {
            if found.len() == limit {
                break;
            }
            looked_at += 1;
            let attempt = attempt_at(&key, &value)?;
            found.extend(
                attempt.filter(|attempt| state.is_none_or(|state| attempt.state.name() == state)),
            );
            cursor.key = key;
        }
    }
    let next = (cursor.partition < api.partitions).then(|| cursor.seal(&api.trust));
    let attempts = found.iter().map(|attempt| Shown::of(attempt, false)).collect();
    Ok(HttpResponse::Ok().json(Listing { attempts, next }))
}

/// States read at a time while looking for the last few attempts of an answer.
const PAGE_MIN: usize = 64;

/// Where a listing goes on. Sealed, so that only what came from here is ever looked up.
struct Cursor {
    partition: u32,
    key: Bytes,
}

impl Cursor {
    fn text(&self) -> Vec<u8> {
        [&self.partition.to_be_bytes(), self.key.as_ref()].concat()
    }

    fn seal(&self, trust: &Trust) -> String {
        let text = self.text();
        let seal = trust.keys.seal(&Sealed::Cursor { text: &text });
        BASE64URL_NOPAD.encode(&[&[seal.key], seal.mac.as_slice(), &text].concat())
    }

    fn open(text: &str, trust: &Trust) -> Option<Self> {
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
        let (key, rest) = bytes.split_first()?;
        let (mac, text) = rest.split_first_chunk::<32>()?;
        let seal = Seal { key: *key, mac: *mac };
        let (partition, key) = text.split_first_chunk::<4>()?;
        trust.keys.holds(&seal, &Sealed::Cursor { text }).then(|| Self {
            partition: u32::from_be_bytes(*partition),
            key: Bytes::copy_from_slice(key),
        })
    }
}

impl<V: View, F> Api<V, F> {
    /// The attempt of this id, as it was last committed.
    async fn attempt(&self, id: &str) -> Result<Option<Attempt>, Problem> {
        let Ok(id) = AttemptId::parse(id) else { return Ok(None) };
        let address = self.trust.address(&id);
        let Some(partition) = address.home(self.partitions) else { return Ok(None) };
        let Some(key) = Resident::key(&address) else { return Ok(None) };
        let key = Bytes::copy_from_slice(key.as_bytes());
        let looked = self.view.look_up(partition, vec![key.clone()]).await;
        let looked = looked.map_err(view_unavailable)?;
        self.admit(partition, &looked)?;
        match looked.values.into_iter().next().flatten() {
            Some(value) => attempt_at(&key, &value),
            None => Ok(None),
        }
    }
}

impl<V, F> Api<V, F> {
    fn admit(&self, partition: u32, looked: &Looked) -> Result<(), Problem> {
        if self.seen.admits(partition, looked.position) {
            return Ok(());
        }
        let title = "the view is being brought up to the journal";
        Err(Problem::unavailable("view_behind", title))
    }
}

/// The attempt that stands under a key, if it is one's place.
fn attempt_at(key: &[u8], value: &[u8]) -> Result<Option<Attempt>, Problem> {
    decode_attempt_at(key, value).map_err(|error| {
        Problem::internal(format_args!("a state of the view cannot be read: {error}"))
    })
}

fn no_such_attempt() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "no_such_attempt", "There is no such attempt")
        .detail("no attempt of this id is committed here")
}

fn view_unavailable(error: ViewError) -> Problem {
    Problem::unavailable("view_unavailable", "the view cannot be read now").because(error)
}

/// An attempt as people and programs are shown it, in the words of the outputs.
#[derive(Serialize)]
struct Shown<'a> {
    attempt_id: &'a str,
    origin: &'static str,
    state: &'static str,
    sequence: u64,
    session_id: Option<&'a str>,
    account_id: Option<&'a str>,
    user_reference: Option<&'a str>,
    endpoint: Option<&'a str>,
    mode: Option<&'static str>,
    terms: ShownTerms<'a>,
    transaction_ref: Option<&'a str>,
    failure_reason: Option<&'a str>,
    /// Why a person must look, in review.
    review: Option<&'static str>,
    signals: usize,
    duplicates: u64,
    evidence_full: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<Vec<ShownEntry<'a>>>,
}

#[derive(Serialize)]
struct ShownTerms<'a> {
    flow: Option<&'static str>,
    amount: Option<&'a str>,
    currency: Option<&'a str>,
    target_token: Option<&'a str>,
    target_network: Option<&'a str>,
}

#[derive(Serialize)]
struct ShownEntry<'a> {
    kind: &'static str,
    event_id: &'a str,
    #[serde(rename = "type")]
    name: &'a str,
    provider_at: Option<String>,
    received_at: String,
    position: String,
    body_sha256: String,
    verdict: &'static str,
    reason: Option<&'static str>,
}

impl<'a> Shown<'a> {
    fn of(attempt: &'a Attempt, with_evidence: bool) -> Self {
        let entries = attempt.evidence.entries();
        let (transaction, failure, review) = particulars(&attempt.state);
        Self {
            attempt_id: attempt.id.as_str(),
            origin: match attempt.origin {
                Origin::Minted => "minted",
                Origin::Adopted => "adopted",
            },
            state: attempt.state.name().word(),
            sequence: attempt.sequence,
            session_id: attempt.state.session().map(|session| session.as_str()),
            account_id: attempt.terms.account.as_ref().map(|id| id.as_str()),
            user_reference: attempt.reference.as_deref(),
            endpoint: attempt.endpoint.as_ref().map(|name| name.as_str()),
            mode: attempt.mode.map(|mode| mode.word()),
            terms: ShownTerms::of(&attempt.terms),
            transaction_ref: transaction,
            failure_reason: failure,
            review: review.map(ReviewCause::word),
            signals: entries.len(),
            duplicates: attempt.duplicates,
            evidence_full: entries.len() >= EVIDENCE_MAX,
            evidence: with_evidence.then(|| entries.iter().map(ShownEntry::of).collect()),
        }
    }
}

fn particulars(state: &State) -> (Option<&str>, Option<&str>, Option<ReviewCause>) {
    match state {
        State::Fulfilled { payment, .. } => {
            (payment.transaction().map(|id| id.as_str()), None, None)
        }
        State::RequiresAction { setback: reason, .. } | State::Failed { reason, .. } => {
            (None, reason.as_ref().map(|code| code.as_str()), None)
        }
        State::Review { cause, completion, .. } => {
            (completion.transaction.as_ref().map(|id| id.as_str()), None, Some(*cause))
        }
        State::PendingSession { .. }
        | State::Processing { .. }
        | State::Expired { .. }
        | State::Cancelled { .. } => (None, None, None),
    }
}

impl<'a> ShownTerms<'a> {
    fn of(terms: &'a Terms) -> Self {
        Self {
            flow: terms.flow.map(|flow| flow.word()),
            amount: terms.amount.as_ref().map(|amount| amount.as_str()),
            currency: terms.currency.as_ref().map(|code| code.as_str()),
            target_token: terms.target_token.as_ref().map(|code| code.as_str()),
            target_network: terms.target_network.as_ref().map(|code| code.as_str()),
        }
    }
}

impl<'a> ShownEntry<'a> {
    fn of(entry: &'a Entry) -> Self {
        Self {
            kind: entry.kind.word(),
            event_id: entry.id.as_str(),
            name: entry.name.as_str(),
            provider_at: entry.provider_at.map(rfc3339),
            received_at: rfc3339(entry.received_at),
            position: entry.position.to_string(),
            body_sha256: entry.digest.to_string(),
            verdict: entry.verdict.word(),
            reason: entry.verdict.reason(),
        }
    }
}
