//! A batch: which records are decided together, and by whom. The audit runs the same code over the
//! same journal and must come to the same bytes.

use super::home::{Route, route};
use super::resident::{Outcome, Resident};
use crate::attempt::{DeadLetter, Position, SessionId, SourceKind, Timestamp};
use crate::ports::Fetched;
use crate::wire::prove::{Address, Proven, Said, Trust};
use crate::wire::signal::{Arrival, Form, Hop, HopTo, SignalRecord};
use bytes::Bytes;
use hashbrown::HashMap;
use smol_str::SmolStr;

/// Records decided together, in the order in which they were fetched.
#[derive(Debug)]
pub struct Batch {
    pub at: Timestamp,
    pub items: Vec<Item>,
    /// Work per resident, in the order of each one's first record.
    pub groups: Vec<Group>,
}

/// One record, and what happens to it.
#[derive(Debug)]
pub struct Item {
    pub position: Position,
    pub record: SignalRecord,
    pub kind: SourceKind,
    pub goes: Goes,
}

#[derive(Debug)]
pub enum Goes {
    /// To a resident: task `task` of group `group`.
    To { group: usize, task: usize },
    /// On, to the partition where its key lives.
    On { partition: u32, proven: Proven },
    /// Nowhere: `webhook.test`.
    Nowhere,
    /// To a person.
    DeadLetter(DeadLetter),
}

/// Everything in a batch that concerns one resident.
#[derive(Clone, Debug)]
pub struct Group {
    pub address: Address,
    pub key: SmolStr,
    pub partition: u32,
    pub tasks: Vec<Task>,
}

impl Group {
    /// A decision that panics would panic again: its signal is a dead letter from here on.
    pub fn refuse_panicked(&mut self, task: usize) {
        self.tasks[task].said = Said::Refused(DeadLetter::Panicked);
    }
}

#[derive(Clone, Debug)]
pub struct Task {
    pub said: Said,
    pub record: SignalRecord,
}

/// What a group came to: one outcome per task, and the resident as it is stored from now on.
#[derive(Debug)]
pub struct Decided {
    pub outcomes: Vec<Outcome>,
    pub state: Bytes,
}

impl Batch {
    pub fn new(at: Timestamp, fetched: Vec<Fetched>, trust: &Trust, partitions: u32) -> Self {
        let mut batch = Self { at, items: Vec::with_capacity(fetched.len()), groups: vec![] };
        let mut by_key = HashMap::with_capacity(fetched.len());
        for Fetched { position, record, proven } in fetched {
            let proven = proven.unwrap_or_else(|| trust.prove(&record));
            let kind = proven.kind;
            let goes = batch.goes(position, &record, proven, partitions, &mut by_key);
            batch.items.push(Item { position, record, kind, goes });
        }
        batch
    }

    fn goes(
        &mut self,
        position: Position,
        record: &SignalRecord,
        proven: Proven,
        partitions: u32,
        by_key: &mut HashMap<SmolStr, usize>,
    ) -> Goes {
        match &proven.said {
            Said::Refused(why) => return Goes::DeadLetter(*why),
            Said::Test => return Goes::Nowhere,
            Said::Signal(_) | Said::Claim(_) => {}
        }
        match route(&proven.to, record.hop.as_ref(), position.partition, partitions) {
            Route::Here(address) => {
                let mut said = proven.said;
                if let Said::Signal(signal) = &mut said {
                    signal.position = position;
                }
                let task = Task { said, record: record.clone() };
                self.place(address, position.partition, task, by_key)
            }
            Route::Home { partition } => Goes::On { partition, proven },
            Route::Stands => Goes::DeadLetter(DeadLetter::Unaddressed),
            Route::DeadLetter(why) => Goes::DeadLetter(why),
        }
    }

    fn place(
        &mut self,
        address: Address,
        partition: u32,
        task: Task,
        by_key: &mut HashMap<SmolStr, usize>,
    ) -> Goes {
        let Some(key) = Resident::key(&address) else {
            return Goes::DeadLetter(DeadLetter::Unaddressed);
        };

        let group = *by_key.entry(key.clone()).or_insert_with(|| {
            self.groups.push(Group { address, key, partition, tasks: vec![] });
            self.groups.len() - 1
        });
        let tasks = &mut self.groups[group].tasks;
        tasks.push(task);
        Goes::To { group, task: tasks.len() - 1 }
    }
}

impl Item {
    /// The hop that brought this copy here. What could not be proven says nothing about itself:
    /// a forged hop must not keep a record from being counted.
    pub fn hop(&self) -> Option<&Hop> {
        match self.goes {
            Goes::DeadLetter(DeadLetter::Unproven) => None,
            Goes::To { .. } | Goes::On { .. } | Goes::Nowhere | Goes::DeadLetter(_) => {
                self.record.hop.as_ref()
            }
        }
    }

    /// Whether this copy waited, parked, and was counted as accepted then.
    pub fn was_released(&self) -> bool {
        matches!(
            self.hop().map(|hop| &hop.to),
            Some(HopTo::Claim { arrival: Arrival::Released, .. })
        )
    }

    /// The bytes that this record takes in the journal, near enough to bound a batch by.
    pub fn weight(&self) -> usize {
        weight(&self.record)
    }
}

/// The bytes that a record takes in the journal, near enough to bound memory by.
pub fn weight(record: &SignalRecord) -> usize {
    const FIXED: usize = 200;
    let signature = match &record.form {
        Form::Webhook(stamp) => stamp.gate_signature.len(),
        Form::Own => 0,
    };
    record.value.len() + signature + FIXED
}

/// The session at whose home a group's tasks are decided, if it is one.
pub fn session_of(group: &Group) -> Option<&SessionId> {
    match &group.address {
        Address::Session(session) => Some(session),
        Address::Attempt(_) | Address::Nobody => None,
    }
}
