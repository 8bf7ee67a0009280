//! The live attempts of a lane: activated by their first signal, asked in batches, passivated when
//! the memory budget is full. One may leave at any time between batches, because what it committed
//! is with the lane until the view has it.

use super::attempt::{AttemptActor, Core, Decide, Replied, Reply};
use crate::attempt::Policy;
use crate::lane::batch::Group;
use crate::lane::resident::Resident;
use actix::{Actor, Addr};
use hashbrown::HashMap;
use smol_str::SmolStr;
use std::collections::VecDeque;
use tokio::sync::mpsc;

/// What an actor costs beside its state: itself, its mailbox, its place here. Measured.
const ACTOR_BYTES: usize = 1_400;
/// A state takes about this many times its stored size in memory.
const STATE_FACTOR: usize = 3;

struct Live {
    addr: Addr<AttemptActor>,
    partition: u32,
    weight: usize,
    touched: u64,
}

pub struct Residents {
    live: HashMap<SmolStr, Live>,
    /// Touches in order, newest last; an entry that is not its key's newest is passed over.
    order: VecDeque<(u64, SmolStr)>,
    clock: u64,
    weight: usize,
    budget: usize,
    core: Core,
}

impl Residents {
    pub fn new(budget: usize, core: Core) -> Self {
        Self { live: HashMap::new(), order: VecDeque::new(), clock: 0, weight: 0, budget, core }
    }

    pub fn is_live(&self, key: &str) -> bool {
        self.live.contains_key(key)
    }

    pub fn count(&self) -> usize {
        self.live.len()
    }

    pub fn weight(&self) -> usize {
        self.weight
    }

    /// Brings a resident to life, stored as so many bytes.
    pub fn activate(&mut self, group: &Group, resident: Resident, stored: usize) {
        let weight = weigh(stored) + resident.parked_bytes();
        let addr = AttemptActor::new(resident, self.core).start();
        self.weight += weight;
        let live = Live { addr, partition: group.partition, weight, touched: self.clock };
        if let Some(before) = self.live.insert(group.key.clone(), live) {
            self.weight -= before.weight;
        }
    }

    /// Shows the tasks of the groups in `which` to their residents, and waits for all answers.
    pub async fn ask(
        &mut self,
        groups: &mut [Group],
        which: &[usize],
        policy: &Policy,
    ) -> Vec<(usize, Replied)> {
        self.clock += 1;
        let (to, mut answers) = mpsc::unbounded_channel();
        for &index in which {
            let group = &mut groups[index];
            let decide = Decide {
                tasks: std::mem::take(&mut group.tasks),
                policy: *policy,
                reply: Reply::new(to.clone(), index),
            };
            if let Some(live) = self.live.get_mut(&group.key) {
                live.touched = self.clock;
                self.order.push_back((self.clock, group.key.clone()));
                // A mailbox that is full or closed drops the message, and the reply in it says so.
                let _dropped = live.addr.try_send(decide);
            }
        }
        drop(to);
        let mut replies = Vec::with_capacity(which.len());
        while let Some((index, replied)) = answers.recv().await {
            let key = &groups[index].key;
            match &replied {
                Replied::Decided { decided, parked_bytes } => {
                    self.reweigh(key, weigh(decided.state.len()) + parked_bytes);
                }
                Replied::Panicked { .. } | Replied::Died => self.forget(key),
            }
            replies.push((index, replied));
        }
        replies
    }

    fn reweigh(&mut self, key: &str, weight: usize) {
        if let Some(live) = self.live.get_mut(key) {
            self.weight -= live.weight;
            live.weight = weight;
            self.weight += live.weight;
        }
    }

    /// Lets go of one, whatever it holds: the next one is made of what was committed.
    pub fn forget(&mut self, key: &str) {
        if let Some(live) = self.live.remove(key) {
            self.weight -= live.weight;
        }
    }

    /// Lets go of everyone in these partitions: they live elsewhere from now on.
    pub fn forget_partitions(&mut self, partitions: &[u32]) {
        self.live.retain(|_, live| !partitions.contains(&live.partition));
        self.weight = self.live.values().map(|live| live.weight).sum();
    }

    /// Lets go of the attempts that were longest idle, until the rest is within the budget.
    pub fn passivate(&mut self) {
        while self.weight > self.budget {
            let Some((touched, key)) = self.order.pop_front() else { break };
            if self.live.get(&key).is_some_and(|live| live.touched == touched) {
                self.forget(&key);
            }
        }
        // Touches that newer ones have overtaken are swept when they outnumber the rest.
        if self.order.len() > 4 * self.live.len() + 4096 {
            let live = &self.live;
            self.order.retain(|(touched, key)| {
                live.get(key).is_some_and(|live| live.touched == *touched)
            });
        }
    }
}

fn weigh(state: usize) -> usize {
    ACTOR_BYTES + STATE_FACTOR * state
}
