//! Why a lane ends without being asked to.

use super::takeover::TakeoverError;
use crate::ports::ViewError;
use smol_str::SmolStr;

#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    #[error(transparent)]
    Takeover(#[from] TakeoverError),
    #[error(transparent)]
    View(#[from] ViewError),
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    #[error("partition {partition} has a newer owner; this process must not write to it")]
    Fenced { partition: u32 },
    #[error(
        "{commits} commits in a row ended without a word whether they happened; the log says what \
         the journal said of each"
    )]
    InDoubt { commits: u32 },
    #[error("the journal has stopped")]
    JournalClosed,
    #[error("an attempt's actor went without a word")]
    ActorDied,
}

/// Stored bytes that do not give a resident: only damage of the view or of the journal does this.
#[derive(Debug, thiserror::Error)]
#[error("the stored state under {key} cannot be read")]
pub struct Unreadable {
    pub key: SmolStr,
}
