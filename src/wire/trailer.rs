//! What closes every batch, and who owns a partition. Both stand in the `attempts` topic under a
//! key of their own, so that a reader meets them in one order with the states that they cover.

use super::WireError;
use crate::attempt::{GateClient, LateCompletion, Mode, OnFailed, Policy, UnknownSession};
use crate::attempt::{SourceKind, Timestamp};
use serde::{Deserialize, Serialize};

/// The key of trailers and owner records. No attempt or session key begins with `~`.
pub const TRAILER_KEY: &[u8] = b"~trailer";

/// The routing rules that this build decides by. Another number means another home for some keys.
pub const ROUTING_VERSION: u32 = 1;

/// Cumulative counts of a partition since its beginning. They only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub accepted: u64,
    pub applied: u64,
    pub duplicate: u64,
    pub stale: u64,
    pub contradiction: u64,
    pub parked_in: u64,
    pub parked_out: u64,
    pub dead_lettered: u64,
    pub forwarded_in: u64,
    pub forwarded_out: u64,
    /// Accepted signals by kind: webhook, reading, command.
    pub by_kind: [u64; 3],
}

macro_rules! each_count {
    ($op:ident, $this:ident, $other:ident) => {
        Counts {
            accepted: $this.accepted.$op($other.accepted),
            applied: $this.applied.$op($other.applied),
            duplicate: $this.duplicate.$op($other.duplicate),
            stale: $this.stale.$op($other.stale),
            contradiction: $this.contradiction.$op($other.contradiction),
            parked_in: $this.parked_in.$op($other.parked_in),
            parked_out: $this.parked_out.$op($other.parked_out),
            dead_lettered: $this.dead_lettered.$op($other.dead_lettered),
            forwarded_in: $this.forwarded_in.$op($other.forwarded_in),
            forwarded_out: $this.forwarded_out.$op($other.forwarded_out),
            by_kind: [
                $this.by_kind[0].$op($other.by_kind[0]),
                $this.by_kind[1].$op($other.by_kind[1]),
                $this.by_kind[2].$op($other.by_kind[2]),
            ],
        }
    };
}

impl Counts {
    pub fn plus(&self, other: &Self) -> Self {
        each_count!(saturating_add, self, other)
    }

    pub fn minus(&self, earlier: &Self) -> Self {
        each_count!(saturating_sub, self, earlier)
    }

    pub fn accept(&mut self, kind: SourceKind) {
        self.accepted += 1;
        self.by_kind[usize::from(kind.code())] += 1;
    }

    /// Signals that still wait, parked.
    pub fn parked(&self) -> u64 {
        self.parked_in.saturating_sub(self.parked_out)
    }
}

/// Closes a batch of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trailer {
    /// Which lane of which instance wrote it.
    pub writer: String,
    pub epoch: u64,
    /// Counts the transactions of this partition within the epoch, from 1.
    pub transaction: u64,
    /// Signals `previous..next` were decided by this batch.
    pub previous: u64,
    pub next: u64,
    pub counts: Counts,
    /// The counts when the last metric summary was written, and the second it was for.
    pub summarized: Counts,
    pub summary_second: i64,
    /// Over every byte that this partition's outputs ever had, in order.
    pub hash: u64,
    /// The time that every decision of this batch was given.
    pub at: Timestamp,
}

/// Says who decides for a partition from here on, and by which rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    pub writer: String,
    pub epoch: u64,
    /// Decisions from here on begin at this signal.
    pub next: u64,
    pub partitions: u32,
    pub routing: u32,
    pub policy: Policy,
    pub mode: Mode,
    pub tries: Tries,
    pub at: Timestamp,
}

/// What the take-overs of a partition tell of the signal that is next in it: whether processes end
/// again and again before it is decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tries {
    /// Which life of a process this is. Whoever takes over anew in the same life has not ended.
    pub life: u64,
    /// Lives in a row that had the partition at this signal, and decided nothing.
    pub ended: u32,
    /// Those of them that were deciding this signal alone.
    pub ended_alone: u32,
    /// Whether this life decides it alone.
    pub now_alone: bool,
}

impl Tries {
    /// The life of a record that says that a partition was let go of in good order: nothing ended.
    pub const LET_GO: u64 = 0;

    /// What whoever takes over at `next` has to write down. `before` is the newest owner record, where
    /// nothing was decided after it.
    pub fn after(before: Option<&Owner>, next: u64, asked: Self) -> Self {
        let Some(before) = before.filter(|before| before.next == next) else {
            return Self { ended: 0, ended_alone: 0, ..asked };
        };
        let Self { life, ended, ended_alone, now_alone } = before.tries;
        if life == asked.life || life == Self::LET_GO {
            return Self { ended, ended_alone, ..asked };
        }
        let ended_alone = ended_alone.saturating_add(u32::from(now_alone));
        Self { ended: ended.saturating_add(1), ended_alone, ..asked }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    Owner(Owner),
    Trailer(Trailer),
}

/// What every owner record says first.
#[derive(Serialize, Deserialize)]
struct OwnerV1<'a> {
    #[serde(borrow)]
    writer: &'a str,
    epoch: u64,
    next: u64,
    partitions: u32,
    routing: u32,
    policy: [u8; 4],
    mode: u8,
}

#[derive(Serialize, Deserialize)]
struct TriesV1 {
    life: u64,
    ended: u32,
    ended_alone: u32,
    now_alone: bool,
}

#[derive(Serialize, Deserialize)]
enum MarkV1<'a> {
    /// As builds wrote it that did not count lives. Read for ever, written no more.
    Owner(#[serde(borrow)] OwnerV1<'a>, i64),
    Trailer {
        #[serde(borrow)]
        writer: &'a str,
        epoch: u64,
        transaction: u64,
        previous: u64,
        next: u64,
        counts: Counts,
        summarized: Counts,
        summary_second: i64,
        hash: u64,
        at: i64,
    },
    OwnerThatCounts(#[serde(borrow)] OwnerV1<'a>, TriesV1, i64),
}

/// The first byte of a stored mark.
const VERSION: u8 = 1;

impl Mark {
    pub fn encode(&self, out: &mut Vec<u8>) {
        let dto = match self {
            Self::Owner(owner) => {
                let Tries { life, ended, ended_alone, now_alone } = owner.tries;
                let tries = TriesV1 { life, ended, ended_alone, now_alone };
                MarkV1::OwnerThatCounts(OwnerV1::of(owner), tries, owner.at.0)
            }
            Self::Trailer(trailer) => MarkV1::Trailer {
                writer: &trailer.writer,
                epoch: trailer.epoch,
                transaction: trailer.transaction,
                previous: trailer.previous,
                next: trailer.next,
                counts: trailer.counts,
                summarized: trailer.summarized,
                summary_second: trailer.summary_second,
                hash: trailer.hash,
                at: trailer.at.0,
            },
        };
        out.push(VERSION);
        super::state::put_postcard(out, &dto);
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let malformed = WireError::Malformed("a trailer");
        let (version, rest) = bytes.split_first().ok_or(WireError::Short("a trailer"))?;
        if *version != VERSION {
            return Err(WireError::Unknown("the version of a trailer"));
        }
        let dto: MarkV1<'_> = postcard::from_bytes(rest).map_err(|_| malformed)?;
        Ok(match dto {
            MarkV1::Owner(owner, at) => {
                Self::Owner(owner.read(Tries::default(), at).ok_or(malformed)?)
            }
            MarkV1::OwnerThatCounts(owner, tries, at) => {
                let TriesV1 { life, ended, ended_alone, now_alone } = tries;
                let tries = Tries { life, ended, ended_alone, now_alone };
                Self::Owner(owner.read(tries, at).ok_or(malformed)?)
            }
            MarkV1::Trailer {
                writer,
                epoch,
                transaction,
                previous,
                next,
                counts,
                summarized,
                summary_second,
                hash,
                at,
            } => Self::Trailer(Trailer {
                writer: writer.to_owned(),
                epoch,
                transaction,
                previous,
                next,
                counts,
                summarized,
                summary_second,
                hash,
                at: Timestamp(at),
            }),
        })
    }
}

impl<'a> OwnerV1<'a> {
    fn of(owner: &'a Owner) -> Self {
        let Policy { late_completion, failed, unknown_session, gate } = &owner.policy;
        Self {
            writer: &owner.writer,
            epoch: owner.epoch,
            next: owner.next,
            partitions: owner.partitions,
            routing: owner.routing,
            policy: [late_completion.code(), failed.code(), unknown_session.code(), gate.code()],
            mode: owner.mode.code(),
        }
    }

    fn read(self, tries: Tries, at: i64) -> Option<Owner> {
        let [late_completion, failed, unknown_session, gate] = self.policy;
        (self.partitions > 0).then_some(Owner {
            writer: self.writer.to_owned(),
            epoch: self.epoch,
            next: self.next,
            partitions: self.partitions,
            routing: self.routing,
            policy: Policy {
                late_completion: LateCompletion::from_code(late_completion)?,
                failed: OnFailed::from_code(failed)?,
                unknown_session: UnknownSession::from_code(unknown_session)?,
                gate: GateClient::from_code(gate)?,
            },
            mode: Mode::from_code(self.mode)?,
            tries,
            at: Timestamp(at),
        })
    }
}
