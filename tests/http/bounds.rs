//! What a flood may not take: memory, files.

use crate::support::running::{Dev, PATIENCE, event, folder, now, read_answer, request, tidegate};
use std::io::Write;
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

const HELD: &str = "tidegate_http_bodies_bytes";
const REFUSED: &str = "tidegate_http_bodies_refused_total";

fn until(dev: &Dev, series: &str, wanted: f64) {
    let began = Instant::now();
    while dev.metric(series) != wanted {
        assert!(began.elapsed() < PATIENCE, "{series} is {}", dev.metric(series));
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn bodies_that_do_not_end_hold_no_more_memory_than_they_may() {
    let folder = folder();
    let bounds = [
        ("TIDEGATE_HTTP__MAX_BODY", "1MiB"),
        ("TIDEGATE_HTTP__BODIES_MEMORY", "8MiB"),
        ("TIDEGATE_HTTP__BODY_DEADLINE", "60s"),
    ];
    let dev = Dev::start_with(folder.path(), &bounds);
    let announce = || {
        let mut stream = TcpStream::connect(dev.at("public")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = "POST /webhooks/dev HTTP/1.1\r\nHost: t\r\nContent-Length: 1048576\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        stream
    };
    // Announcing costs nothing: whoever only does that keeps nobody out.
    let _announced: Vec<_> = (0..40).map(|_| announce()).collect();
    let body = event("evt_1", "gate_session.completed", "gs_1");
    assert_eq!(dev.deliver(&body).status, 200);
    until(&dev, HELD, 0.0);

    let most = vec![b'x'; (1 << 20) - 1];
    let slow = || {
        let mut stream = announce();
        stream.write_all(&most).unwrap();
        stream
    };
    let held: Vec<_> = (0..8).map(|_| slow()).collect();
    until(&dev, HELD, f64::from(8 << 20));
    assert_eq!(dev.metric(REFUSED), 0.0);
    let answer = dev.deliver(&body);
    assert_eq!((answer.status, answer.code().as_str()), (503, "too_many_bodies"));
    assert!(answer.head.contains("retry-after: "), "{}", answer.head);
    let mut ninth = announce();
    let _refused_by_now = ninth.write_all(&most);
    assert_eq!(read_answer(&mut ninth).status, 503);
    assert_eq!(dev.metric(REFUSED), 2.0);
    assert_eq!(dev.metric(HELD), f64::from(8 << 20));

    drop(held);
    until(&dev, HELD, 0.0);
    assert_eq!(dev.deliver(&body).status, 200);
}

/// Files are a bound that the operating system sets; under a small one there are fewer
/// connections, and the engine goes on.
#[test]
fn few_files_mean_few_connections() {
    let folder = folder();
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -n 256 && exec \"$0\" \"$@\""]).arg(tidegate().get_program());
    let soon = [("TIDEGATE_HTTP__HEADER_DEADLINE", "500ms")];
    let dev = Dev::start_by(shell, folder.path(), &[], &soon);
    let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
    assert!(log.contains("fewer connections are held than usual"), "{log}");
    let flood: Vec<_> = (0..400).map(|_| TcpStream::connect(dev.at("public"))).collect();
    let began = Instant::now();
    for number in 0..20 {
        // Those of the flood that say nothing are hung up on, and then it is this one's turn.
        let body = event(&format!("evt_{number}"), "gate_session.completed", "gs_1");
        let head = format!("Gate-Signature: {}\r\n", dev.sign_at(now(), body.as_bytes()));
        let answer = request(&dev.at("public"), "POST", "/webhooks/dev", &head, body.as_bytes());
        assert_eq!(answer.status, 200, "after {:?}", began.elapsed());
    }
    dev.attempt_in("gs_1", "fulfilled");
    assert!(!dev.api("/v1/feeds/fulfillments").body.is_empty());
    drop(flood);
    assert_eq!(dev.end(), 0);
}
