//! Real services for tests, each on a free port of its own and gone with its test. Where one cannot
//! be had, the test that needs it fails and says what to install. Such a test has `on_redis`,
//! `on_kafka` or `on_prometheus` in its name, so that `TIDEGATE_TESTS=embedded tests/run` can leave it out.

pub mod certificates;
pub mod kafka;
pub mod prometheus;
pub mod proxy;
pub mod redis;
pub mod redis_cluster;
pub mod sentinels;

use std::net::TcpListener;
use std::time::{Duration, Instant};

/// A port that nobody listens on. Another process may take it before it is used: whoever starts a
/// service on it tries again.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Waits until `ready` says yes, or for `patience`.
fn within(patience: Duration, mut ready: impl FnMut() -> bool) -> bool {
    let began = Instant::now();
    while !ready() {
        if began.elapsed() > patience {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}
