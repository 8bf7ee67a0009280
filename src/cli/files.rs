//! How many files the process may have open, and what that leaves for connections.

use crate::http::connections::Connections;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit as far as it goes without rights, and says what it is then. The low one that
/// most systems begin with is for programs of another age; nothing here minds a high one.
fn raise() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    let now = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    now.unwrap_or(u64::MAX)
}

/// The connections that the listeners may hold, with a word in the log where they are few.
pub(super) fn connections(workers: usize) -> Connections {
    let files = raise();
    let connections = Connections::within(files, workers);
    if connections != Connections::MOST {
        let Connections { public, private } = connections;
        tracing::warn!(
            files,
            public = public * workers,
            private,
            usual_public = Connections::MOST.public * workers,
            usual_private = Connections::MOST.private,
            "fewer connections are held than usual, because the process may open so few files; \
             raise its limit (`ulimit -Hn`, LimitNOFILE)"
        );
    }
    connections
}
