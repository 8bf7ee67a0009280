//! What was measured, beside what was to be reached.

use std::fmt;
use std::time::Duration;

pub struct Figure {
    pub what: &'static str,
    /// None for what is told only beside another.
    pub goal: Option<Duration>,
    pub rounds: Vec<Duration>,
}

impl Figure {
    pub fn new(what: &'static str, goal: Option<Duration>) -> Self {
        Self { what, goal, rounds: vec![] }
    }

    fn reached(&self) -> String {
        let Some(goal) = self.goal else { return String::new() };
        let within = self.rounds.iter().filter(|took| **took <= goal).count();
        let all = self.rounds.len();
        if within == all { "yes".to_owned() } else { format!("{within} of {all}") }
    }
}

pub fn quantile(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() - 1) * percent / 100]
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rounds = self.rounds.clone();
        rounds.sort_unstable();
        let show = |took: Duration| format!("{:.3}", took.as_secs_f64());
        write!(
            f,
            "{:<66} {:>6} {:>8} {:>3} {:>7} {:>7} {:>7}",
            self.what,
            self.goal.map(show).unwrap_or_default(),
            self.reached(),
            rounds.len(),
            show(rounds[0]),
            show(quantile(&rounds, 50)),
            show(quantile(&rounds, 100)),
        )
    }
}

pub fn heading() -> String {
    format!(
        "{:<66} {:>6} {:>8} {:>3} {:>7} {:>7} {:>7}",
        "seconds", "goal", "reached", "n", "min", "median", "max"
    )
}
