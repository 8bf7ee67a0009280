//! An audit of a journal that the real engine wrote: clean as it is, and never clean once somebody
//! has changed it.

#[path = "audit/clean.rs"]
mod clean;
#[path = "audit/forged.rs"]
mod forged;
#[path = "audit/history.rs"]
mod history;
#[path = "audit/planted.rs"]
mod planted;
#[path = "audit/world.rs"]
mod world;

#[path = "support/webhooks.rs"]
mod webhooks;

use std::path::Path;
use tidegate::audit::{AuditError, Report};

fn audit(root: &Path) -> Result<Report, AuditError> {
    tidegate::audit::audit(root, &world::keys(), &mut |_| {})
}
