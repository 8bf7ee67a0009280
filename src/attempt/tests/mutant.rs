//! A policy that is wrong in one place. `tests/mutate-policy` sets `TIDEGATE_MUTANT` to
//! `state/news/how`, once for every pair, and demands that a test notices. Only test builds of
//! this crate have the hook.

use crate::attempt::transition::Transition;
use crate::attempt::*;
use std::sync::OnceLock;

struct Mutant {
    state: String,
    news: String,
    how: String,
}

fn chosen() -> Option<&'static Mutant> {
    static CHOSEN: OnceLock<Option<Mutant>> = OnceLock::new();
    let read = || {
        let text = std::env::var("TIDEGATE_MUTANT").ok()?;
        let mut words = text.split('/').map(str::to_owned);
        let mut word = || words.next().expect("TIDEGATE_MUTANT is state/news/how");
        Some(Mutant { state: word(), news: word(), how: word() })
    };
    CHOSEN.get_or_init(read).as_ref()
}

/// The right answer, or, where the chosen mutant lives, a wrong one.
pub(in crate::attempt) fn twisted(
    attempt: &Attempt,
    signal: &Signal,
    right: Transition,
) -> Transition {
    let Some(mutant) = chosen() else { return right };
    let news = match signal.news.name() {
        EventName::Known(name) => name.word(),
        EventName::Other(_) => "unknown",
    };
    if attempt.state.name().word() != mutant.state || news != mutant.news {
        return right;
    }
    wrong(&mutant.how, attempt, signal, right)
}

fn wrong(how: &str, attempt: &Attempt, signal: &Signal, right: Transition) -> Transition {
    use Transition::{Clash, Noted, Old, To};
    let session = attempt.state.session().or(signal.facts.session.as_ref()).cloned();
    match how {
        "silent" if right == Old(Stale::NothingNew) => Old(Stale::Overtaken),
        "silent" => Old(Stale::NothingNew),
        "clashes" if right == Clash(Contradiction::AfterFulfilled) => {
            Clash(Contradiction::SecondPayment)
        }
        "clashes" => Clash(Contradiction::AfterFulfilled),
        "cancels" => match right {
            To(State::Cancelled { .. }) => Noted,
            _another => To(State::Cancelled { session }),
        },
        "fulfills" => match right {
            To(State::Fulfilled { .. }) => Noted,
            _another => {
                To(State::Fulfilled { session, payment: Payment::Unnamed(Terms::default()) })
            }
        },
        other => panic!("no mutant knows how to be {other}"),
    }
}
