//! What must be true of every single step, whatever came before. Each holds for a whole history
//! if it holds for each of its steps and for the attempt that nothing was told yet.

use crate::attempt::*;

/// Checks one step. `ruled` says whether an operator has closed a review of this attempt: then
/// its completion has had its answer, and a copy of it need not bring it back.
#[track_caller]
pub(super) fn hold(before: &Attempt, signal: &Signal, policy: &Policy, step: &Step, ruled: bool) {
    let context = || format!("{signal:#?}\nshown to\n{before:#?}\ncame to\n{step:#?}");
    one_fulfillment(before, step, &context);
    no_unproven_fulfillment(before, signal, policy, step, &context);
    terminal_absorbs(before, signal, step, &context);
    gapless_transitions(before, step, &context);
    completions_are_never_dropped(before, signal, policy, step, ruled, &context);
    what_is_old_changes_nothing(before, signal, step, &context);
    a_reference_is_kept(before, signal, step, &context);
}

pub(super) fn is_ruling(signal: &Signal, step: &Step) -> bool {
    matches!(signal.news, News::Decided(_)) && step.verdict == Verdict::Applied
}

fn name(attempt: &Attempt) -> StateName {
    attempt.state.name()
}

fn is_closed(name: StateName) -> bool {
    matches!(name, StateName::Failed | StateName::Expired | StateName::Cancelled)
}

/// The sequences that its fulfillments carry.
fn fulfillments(step: &Step) -> Vec<u64> {
    let fulfillment = |effect: &Effect| match effect {
        Effect::Fulfill(it) => Some(it.sequence),
        _another => None,
    };
    step.effects.iter().filter_map(fulfillment).collect()
}

fn one_fulfillment(before: &Attempt, step: &Step, context: &dyn Fn() -> String) {
    let becomes = name(before) != StateName::Fulfilled && name(&step.next) == StateName::Fulfilled;
    // Fulfilled is never left, so one for each time it is entered is one for ever.
    assert_eq!(fulfillments(step).len(), usize::from(becomes), "one_fulfillment: {}", context());
    for sequence in fulfillments(step) {
        assert_eq!(sequence, step.next.sequence, "{}", context());
    }
}

fn no_unproven_fulfillment(
    before: &Attempt,
    signal: &Signal,
    policy: &Policy,
    step: &Step,
    context: &dyn Fn() -> String,
) {
    if fulfillments(step).is_empty() {
        return;
    }
    let proven = match &signal.news {
        News::Completed { .. } => {
            name(before) != StateName::Review
                && (!is_closed(name(before)) || policy.late_completion == LateCompletion::Fulfill)
        }
        News::Decided(decision) => {
            name(before) == StateName::Review
                && decision.ruling == Ruling::Fulfill
                && decision.saw == before.sequence
        }
        _proves_nothing => false,
    };
    assert!(proven, "no_unproven_fulfillment: {}", context());
}

fn terminal_absorbs(before: &Attempt, signal: &Signal, step: &Step, context: &dyn Fn() -> String) {
    let (from, to) = (name(before), name(&step.next));
    if from == StateName::Fulfilled {
        assert!(stays(before, signal, step), "terminal_absorbs: {}", context());
    }
    if is_closed(from) && from != to {
        let completes = matches!(signal.news, News::Completed { .. });
        assert!(completes, "terminal_absorbs: {}", context());
        let heard = step.effects.contains(&Effect::Alarm(Alarm::LateCompletion));
        assert!(heard, "a late completion must not be silent: {}", context());
    }
    if from == StateName::Review && to != StateName::Review {
        assert!(is_ruling(signal, step), "only a person ends a review: {}", context());
    }
}

fn gapless_transitions(before: &Attempt, step: &Step, context: &dyn Fn() -> String) {
    let mut last = before.sequence;
    let mut stood = (before.sequence > 0).then(|| name(before));
    for effect in &step.effects {
        if let Effect::Moved(moved) = effect {
            last += 1;
            assert_eq!(moved.sequence, last, "gapless: {}", context());
            assert_eq!(moved.from, stood, "from is where the one before led: {}", context());
            stood = Some(moved.to);
        }
    }
    assert_eq!(step.next.sequence, last, "gapless: {}", context());
    let untold = last == 0 && name(&step.next) == StateName::PendingSession;
    assert!(untold || stood == Some(name(&step.next)), "each change is told: {}", context());
}

fn completions_are_never_dropped(
    before: &Attempt,
    signal: &Signal,
    policy: &Policy,
    step: &Step,
    ruled: bool,
    context: &dyn Fn() -> String,
) {
    if !matches!(signal.news, News::Completed { .. }) || ruled {
        return;
    }
    let conflict = Verdict::Contradiction(Contradiction::EventIdConflict);
    let full = Verdict::Stale(Stale::EvidenceFull);
    if step.verdict == conflict || step.verdict == full {
        let dead_letter = step.effects.iter().any(|effect| matches!(effect, Effect::DeadLetter(_)));
        assert!(dead_letter, "its bytes must not be lost: {}", context());
        return;
    }
    // These bytes went to a person before.
    let told = |entry: &Entry| entry.digest == signal.digest && entry.verdict == conflict;
    if step.verdict == Verdict::Duplicate && before.evidence.entries().iter().any(told) {
        return;
    }
    if let Source::Webhook { endpoint, timeliness } = &signal.source {
        if before.endpoint.as_ref().is_some_and(|ours| ours != endpoint) {
            return;
        }
        if *timeliness == Timeliness::OutOfTime && policy.gate == GateClient::Present {
            let asked = step.effects.iter().any(|effect| matches!(effect, Effect::Read { .. }));
            let repeated = step.verdict == Verdict::Duplicate;
            let nobodys = signal.facts.session.is_none() && before.state.session().is_none();
            assert!(asked || repeated || nobodys, "0Gate must be asked: {}", context());
            return;
        }
    }
    let ends = matches!(name(&step.next), StateName::Fulfilled | StateName::Review);
    assert!(ends, "a completion ends fulfilled or in review: {}", context());
}

/// The same state as before; only a completion may have named the transaction that it lacked.
fn stays(before: &Attempt, signal: &Signal, step: &Step) -> bool {
    if before.state == step.next.state {
        return true;
    }
    // A completion may name the payment's transaction where none was known, and change nothing else.
    let News::Completed { transaction: named } = &signal.news else { return false };
    let (had, has) = (transaction(before), transaction(&step.next));
    had.is_none()
        && has == named.as_ref()
        && without_transaction(&before.state) == without_transaction(&step.next.state)
}

fn without_transaction(state: &State) -> State {
    let mut state = state.clone();
    match &mut state {
        State::Fulfilled { payment, .. } => *payment = Payment::Unnamed(Terms::default()),
        State::Review { completion, .. } => completion.transaction = None,
        _has_none => {}
    }
    state
}

fn transaction(attempt: &Attempt) -> Option<&TransactionRef> {
    match &attempt.state {
        State::Fulfilled { payment, .. } => payment.transaction(),
        State::Review { completion, .. } => completion.transaction.as_ref(),
        _has_none => None,
    }
}

/// The first reference that a completion names is the payment's. Another is never merely old.
fn a_reference_is_kept(
    before: &Attempt,
    signal: &Signal,
    step: &Step,
    context: &dyn Fn() -> String,
) {
    let (had, has) = (transaction(before), transaction(&step.next));
    let paid = matches!(name(&step.next), StateName::Fulfilled | StateName::Review);
    if had.is_some() && paid {
        assert_eq!(had, has, "{}", context());
    }
    let again = [Stale::NothingNew, Stale::DuplicateFulfillmentBlocked].map(Verdict::Stale);
    if let News::Completed { transaction: Some(said) } = &signal.news
        && again.contains(&step.verdict)
    {
        assert_eq!(has, Some(said), "{}", context());
    }
}

fn what_is_old_changes_nothing(
    before: &Attempt,
    signal: &Signal,
    step: &Step,
    context: &dyn Fn() -> String,
) {
    let grown = step.next.evidence.entries().len() - before.evidence.entries().len();
    match step.verdict {
        Verdict::Duplicate => {
            let counted = Attempt { duplicates: before.duplicates + 1, ..before.clone() };
            assert_eq!(step.next, counted, "a duplicate only counts: {}", context());
            assert!(step.effects.is_empty(), "a duplicate has no effect: {}", context());
        }
        Verdict::Stale(_) => {
            assert!(stays(before, signal, step), "{}", context());
            assert_eq!(step.next.sequence, before.sequence, "{}", context());
            assert!(grown <= 1, "{}", context());
        }
        Verdict::Contradiction(_) => {
            assert_eq!(name(&step.next), name(before), "{}", context());
            assert_eq!(step.next.sequence, before.sequence + 1, "{}", context());
        }
        Verdict::Applied => assert!(grown <= 1, "{}", context()),
    }
}
