//! What an engine is to the process that runs it: something that starts, serves and ends.

use super::Failure;
use crate::actors::{Engine, EngineError};
use crate::ports::{Feeds, Journal, View};
use crate::telemetry::Metrics;
use std::future::Future;
use std::sync::Arc;

/// How to bring an engine up.
pub(super) trait HostPlan {
    type Host: Host;

    fn start(self, metrics: Metrics) -> impl Future<Output = Result<Self::Host, Failure>>;
}

/// A running engine.
pub(super) trait Host: Sized {
    type Journal: Journal;
    type View: View;
    type Feeds: Feeds;

    fn journal(&self) -> Self::Journal;
    fn view(&self) -> Self::View;
    fn feeds(&self) -> Self::Feeds;
    fn engine(&mut self) -> &mut Engine;

    /// Why the engine ended, as far as the journal knows better.
    fn explain(&self, error: EngineError) -> Failure {
        error.into()
    }

    /// Brings the numbers of the journal up to date.
    fn refresh(&self) -> Arc<dyn Fn() + Send + Sync>;

    /// Resolves when the journal has stopped without being asked to, with the reason.
    fn stopped(&self) -> impl Future<Output = String> + 'static;

    /// Finishes what was taken, and lets go.
    fn stop(self) -> impl Future<Output = Result<(), Failure>>;
}
