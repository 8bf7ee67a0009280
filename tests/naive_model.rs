//! The core against a second, naive model, over a million random histories.
//!
//! They must agree, signal by signal, on the state, the verdict and its reason, the cause of a
//! review, the sequence, and how often the attempt was fulfilled.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test: it shows what it compared, and may fail loudly"
)]

#[path = "naive_model/model.rs"]
mod model;
#[path = "naive_model/world.rs"]
mod world;

use model::Model;
use std::collections::BTreeMap;
use tidegate::attempt::*;
use world::{Dice, History, World};

const HISTORIES: u64 = 1_000_000;
const THREADS: u64 = 2;
/// One history in so many is long enough to fill the evidence.
const LONG_ONE_IN: u64 = 4_000;
const SEED: u64 = 0x7164_6567_6174_6531;

#[test]
fn a_million_histories_end_alike_in_the_naive_model() {
    let world = World::new();
    let share = |thread| {
        let world = &world;
        move || {
            let mut reached = Reached::default();
            for number in (thread..HISTORIES).step_by(THREADS as usize) {
                let mut dice = Dice::new(SEED ^ number);
                let history = match number % LONG_ONE_IN {
                    0 => History::draw(&mut dice, 400, 600),
                    _ordinary => History::draw(&mut dice, 12, 12),
                };
                if let Err(difference) = compare(world, &history, &mut reached) {
                    report(world, number, history, &difference);
                }
            }
            reached
        }
    };
    let reached = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(share(thread))).collect();
        let shares = threads.into_iter().map(|thread| thread.join().unwrap());
        shares.fold(Reached::default(), Reached::with)
    });
    reached.print();
    reached.assert_everything();
}

/// Shows the history to both. The difference names the signal at which they part.
fn compare(world: &World, history: &History, reached: &mut Reached) -> Result<(), String> {
    let policy = history.policy();
    let mut attempt = world.attempt(history.minted);
    let mut model = Model::new(history.minted);
    let mut fulfilled = 0;
    reached.histories += 1;
    for (told, drawn) in history.told.iter().enumerate() {
        let said = drawn.said_at(model.sequence);
        let signal = world.signal(&said);
        let step = attempt.step(&signal, &policy);
        let answer = model.tell(&said, &history.settings);
        fulfilled += step.effects.iter().filter(|e| matches!(e, Effect::Fulfill(_))).count();

        let cause = match &step.next.state {
            State::Review { cause, .. } => Some(cause.word()),
            _not_in_review => None,
        };
        let verdict = (step.verdict.word(), step.verdict.reason());
        let core = (step.next.state.name().word(), verdict, cause, step.next.sequence, fulfilled);
        let in_review = (model.state == model::State::Review).then_some(model.review).flatten();
        let naive =
            (world::word(model.state), answer, in_review, model.sequence, model.fulfilled as usize);
        if core != naive {
            return Err(format!("after {} signals\n  core  {core:?}\n  naive {naive:?}", told + 1));
        }
        reached.note(core.0, verdict, cause);
        attempt = step.next;
    }
    reached.fulfillments += fulfilled;
    Ok(())
}

/// Leaves out what the difference does not need, then shows what is left.
fn report(world: &World, number: u64, mut history: History, difference: &str) -> ! {
    let fails = |history: &History| compare(world, history, &mut Reached::default()).err();
    let whole = history.told.len();
    while let Some(shorter) = (0..history.told.len())
        .map(|left_out| history.without(left_out))
        .find(|shorter| fails(shorter).is_some())
    {
        history = shorter;
    }
    let difference = fails(&history).unwrap_or(difference.to_owned());
    panic!(
        "history {number} of seed {SEED:#x}, {} of its {whole} signals: {difference}\n{history}",
        history.told.len()
    );
}

/// What the comparison has come across: agreement about nothing would prove nothing.
#[derive(Default)]
struct Reached {
    histories: usize,
    fulfillments: usize,
    states: BTreeMap<&'static str, usize>,
    verdicts: BTreeMap<(&'static str, Option<&'static str>), usize>,
    causes: BTreeMap<&'static str, usize>,
}

impl Reached {
    fn note(
        &mut self,
        state: &'static str,
        verdict: (&'static str, Option<&'static str>),
        cause: Option<&'static str>,
    ) {
        *self.states.entry(state).or_default() += 1;
        *self.verdicts.entry(verdict).or_default() += 1;
        if let Some(cause) = cause {
            *self.causes.entry(cause).or_default() += 1;
        }
    }

    fn with(mut self, other: Self) -> Self {
        self.histories += other.histories;
        self.fulfillments += other.fulfillments;
        other.states.into_iter().for_each(|(k, n)| *self.states.entry(k).or_default() += n);
        other.verdicts.into_iter().for_each(|(k, n)| *self.verdicts.entry(k).or_default() += n);
        other.causes.into_iter().for_each(|(k, n)| *self.causes.entry(k).or_default() += n);
        self
    }

    fn print(&self) {
        let steps: usize = self.states.values().sum();
        println!(
            "{} histories, {steps} steps, {} fulfillments compared",
            self.histories, self.fulfillments
        );
        self.states.iter().for_each(|(state, count)| println!("  {count:>8} in {state}"));
        self.causes
            .iter()
            .for_each(|(cause, count)| println!("  {count:>8} in review for {cause}"));
        for ((word, reason), count) in &self.verdicts {
            println!("  {count:>8} {word} {}", reason.unwrap_or_default());
        }
    }

    fn assert_everything(&self) {
        assert_eq!(self.histories, HISTORIES as usize);
        assert!(self.fulfillments > self.histories / 10, "too few end well to prove anything");
        for state in StateName::ALL {
            assert!(self.states.contains_key(state.word()), "never reached {state:?}");
        }
        for cause in ReviewCause::ALL {
            assert!(self.causes.contains_key(cause.word()), "never in review for {cause:?}");
        }
        let stale = Stale::ALL.iter().map(|reason| Verdict::Stale(*reason));
        let contradictions = Contradiction::ALL.iter().map(|why| Verdict::Contradiction(*why));
        for verdict in stale.chain(contradictions).chain([Verdict::Applied, Verdict::Duplicate]) {
            // A test event belongs to no attempt.
            let reachable = verdict != Verdict::Stale(Stale::TestEvent);
            let seen = self.verdicts.contains_key(&(verdict.word(), verdict.reason()));
            assert_eq!(seen, reachable, "{verdict:?}");
        }
    }
}
