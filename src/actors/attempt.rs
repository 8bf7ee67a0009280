//! One actor per live attempt (or session's home). Thin: it holds a resident, shows it its tasks in
//! order, and hands back what came of them.

use crate::attempt::Policy;
use crate::lane::batch::{Decided, Task};
use crate::lane::resident::{Outcome, Resident};
use actix::{Actor, ActorContext, Context, Handler, Message};
use bytes::Bytes;
use std::panic::{AssertUnwindSafe, catch_unwind};
use tokio::sync::mpsc;

/// The decision, as a value: a test may put one here that panics.
pub type Core = fn(&mut Resident, &Task, &Policy) -> Outcome;

pub struct AttemptActor {
    resident: Resident,
    core: Core,
}

/// Everything in a batch that concerns this attempt.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Decide {
    pub tasks: Vec<Task>,
    pub policy: Policy,
    pub reply: Reply,
}

#[derive(Debug)]
pub enum Replied {
    Decided {
        decided: Decided,
        /// What the resident holds beside its state.
        parked_bytes: usize,
    },
    /// The task at this place panicked. The actor is gone.
    Panicked { task: usize, tasks: Vec<Task> },
    /// The actor went without a word.
    Died,
}

/// Where an answer goes. Dropped unanswered, it says so: nobody waits for a dead actor.
pub struct Reply {
    to: mpsc::UnboundedSender<(usize, Replied)>,
    group: Option<usize>,
}

impl Reply {
    pub fn new(to: mpsc::UnboundedSender<(usize, Replied)>, group: usize) -> Self {
        Self { to, group: Some(group) }
    }

    fn send(mut self, replied: Replied) {
        if let Some(group) = self.group.take() {
            let _lane_is_gone = self.to.send((group, replied));
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if let Some(group) = self.group.take() {
            let _lane_is_gone = self.to.send((group, Replied::Died));
        }
    }
}

impl AttemptActor {
    pub fn new(resident: Resident, core: Core) -> Self {
        Self { resident, core }
    }
}

impl Actor for AttemptActor {
    type Context = Context<Self>;
}

impl Handler<Decide> for AttemptActor {
    type Result = ();

    fn handle(&mut self, decide: Decide, ctx: &mut Context<Self>) {
        let Decide { tasks, policy, reply } = decide;
        let mut outcomes = Vec::with_capacity(tasks.len());
        for (place, task) in tasks.iter().enumerate() {
            let (core, resident) = (self.core, &mut self.resident);
            match catch_unwind(AssertUnwindSafe(|| core(resident, task, &policy))) {
                Ok(outcome) => outcomes.push(outcome),
                // What the resident holds now may be wrong: it goes, and the next one is made
                // from what was committed.
                Err(_panic) => {
                    reply.send(Replied::Panicked { task: place, tasks });
                    ctx.stop();
                    return;
                }
            }
        }
        let mut state = Vec::with_capacity(STATE_BYTES_TYPICAL);
        self.resident.encode(&mut state);
        let decided = Decided { outcomes, state: Bytes::from(state) };
        let parked_bytes = self.resident.parked_bytes();
        reply.send(Replied::Decided { decided, parked_bytes });
    }
}

/// Room for a state as it usually is, to spare most growing.
const STATE_BYTES_TYPICAL: usize = 1024;
