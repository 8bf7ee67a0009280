//! The three listeners of a real process, spoken to byte by byte.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

#[path = "http/bounds.rs"]
mod bounds;
#[path = "http/feeds.rs"]
mod feeds;
#[path = "http/life.rs"]
mod life;

use serde_json::json;
use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};
use support::running::{Dev, PATIENCE, event, event_with, folder, now, read_answer, request};

const COMPLETED: &str = "gate_session.completed";

#[test]
fn only_what_our_secret_signed_is_taken() {
    let folder = folder();
    let dev = Dev::start(folder.path());
    let body = event("evt_1", COMPLETED, "gs_1");

    let answer = dev.deliver(&body);
    assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"received":true}"#));
    assert!(answer.head.contains("x-request-id: req_"), "{}", answer.head);

    let other = format!("{body} ");
    let wrong = dev.deliver_signed(other.as_bytes(), &dev.sign(body.as_bytes()));
    assert_eq!((wrong.status, wrong.code().as_str()), (401, "signature_mismatch"));
    let malformed = dev.deliver_signed(body.as_bytes(), "t=abc,v1=00");
    assert_eq!((malformed.status, malformed.code().as_str()), (401, "signature_malformed"));
    let missing = request(&dev.at("public"), "POST", "/webhooks/dev", "", body.as_bytes());
    assert_eq!((missing.status, missing.code().as_str()), (401, "signature_missing"));
    assert!(missing.json()["request_id"].as_str().unwrap().starts_with("req_"));

    let fields: Vec<_> = missing.json().as_object().unwrap().keys().cloned().collect();
    assert_eq!(fields, ["code", "detail", "request_id", "status", "title", "type"]);
    assert_eq!(dev.metric(r#"tidegate_door_total{answer="taken"}"#), 1.0);
    assert_eq!(dev.metric(r#"tidegate_door_total{answer="signature_mismatch"}"#), 1.0);
}

#[test]
fn what_is_authentic_is_answered_with_yes_whatever_it_says() {
    let folder = folder();
    let dev = Dev::start(folder.path());
    let stale = event("evt_1", "gate_session.processing", "gs_1");
    let signature = dev.sign_at(now() - 3600, stale.as_bytes());
    assert_eq!(dev.deliver_signed(stale.as_bytes(), &signature).status, 200);
    assert_eq!(dev.deliver("this is no JSON").status, 200);
    assert_eq!(dev.deliver(&event("evt_2", "gate_session.invented", "gs_1")).status, 200);
    let live = event_with("evt_3", COMPLETED, "gs_1", &json!({ "mode": "live" }));
    assert_eq!(dev.deliver(&live).status, 200);
    assert_eq!(dev.deliver(&event("evt_4", "webhook.test", "gs_1")).status, 200);

    let began = Instant::now();
    while dev.metric(r#"tidegate_signals_accepted_total{kind="webhook"}"#) < 5.0 {
        assert!(began.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(dev.metric(r#"tidegate_door_total{answer="taken_out_of_time"}"#), 1.0);
    assert_eq!(dev.metric(r#"tidegate_door_total{answer="taken_dead_letter"}"#), 2.0);
    assert_eq!(dev.metric(r#"tidegate_dead_letters_total{reason="unparseable"}"#), 1.0);
    assert_eq!(dev.metric(r#"tidegate_dead_letters_total{reason="wrong_environment"}"#), 1.0);
    let syncs = dev.metric("tidegate_journal_syncs_total");
    assert!(syncs > 0.0);
    assert!(dev.metric("tidegate_journal_written_bytes_total") > 0.0);
    assert!(dev.ops("/metrics").body.contains("# TYPE tidegate_journal_syncs_total counter"));
    dev.deliver(&event("evt_5", "webhook.test", "gs_1"));
    assert!(dev.metric("tidegate_journal_syncs_total") > syncs, "a scrape later it has grown");
    assert_eq!(dev.api("/v1/feeds/fulfillments").body, "", "nothing of this fulfills");
}

#[test]
fn a_body_that_is_too_large_is_refused_before_it_is_read() {
    let folder = folder();
    let dev = Dev::start(folder.path());
    let mut stream = TcpStream::connect(dev.at("public")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = "POST /webhooks/dev HTTP/1.1\r\nHost: t\r\nContent-Length: 10485760\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let answer = read_answer(&mut stream);
    assert_eq!((answer.status, answer.code().as_str()), (413, "body_too_large"));

    // Without a length it is refused once it has become too large.
    let mut stream = TcpStream::connect(dev.at("public")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = "POST /webhooks/dev HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    for _ in 0..5 {
        let _refused_by_now = stream.write_all(chunk.as_bytes());
    }
    let began = Instant::now();
    assert_eq!(read_answer(&mut stream).status, 413);
    assert!(began.elapsed() < Duration::from_secs(10), "who goes on sending is hung up on");
}

#[test]
fn who_is_slow_is_not_waited_for() {
    let folder = folder();
    let deadlines =
        [("TIDEGATE_HTTP__BODY_DEADLINE", "1s"), ("TIDEGATE_HTTP__HEADER_DEADLINE", "1s")];
    let dev = Dev::start_with(folder.path(), &deadlines);
    let began = Instant::now();
    let mut body = TcpStream::connect(dev.at("public")).unwrap();
    body.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = "POST /webhooks/dev HTTP/1.1\r\nHost: t\r\nContent-Length: 100\r\n\r\nhalf";
    body.write_all(head.as_bytes()).unwrap();
    let mut headers = TcpStream::connect(dev.at("public")).unwrap();
    headers.set_read_timeout(Some(PATIENCE)).unwrap();
    headers.write_all(b"POST /webhooks/dev HTTP/1.1\r\nHost: t\r\n").unwrap();

    let answer = read_answer(&mut body);
    assert_eq!((answer.status, answer.code().as_str()), (408, "body_too_slow"));
    assert_eq!(read_answer(&mut headers).status, 408);
    assert!(began.elapsed() < Duration::from_secs(10), "both connections were closed");
}

#[test]
fn every_listener_says_what_it_does_not_have() {
    let folder = folder();
    let dev = Dev::start(folder.path());
    for listener in ["public", "api", "ops"] {
        let answer = request(&dev.at(listener), "GET", "/nothing", "", b"");
        assert_eq!((answer.status, answer.code().as_str()), (404, "no_such_path"), "{listener}");
        assert!(answer.head.contains("application/problem+json"), "{}", answer.head);
        assert!(answer.head.contains("x-request-id: "), "{}", answer.head);
    }
    let answer = request(&dev.at("public"), "GET", "/webhooks/dev", "", b"");
    assert_eq!((answer.status, answer.code().as_str()), (405, "wrong_method"));
    assert!(answer.head.contains("allow: POST"), "{}", answer.head);
    let body = event("evt_1", COMPLETED, "gs_1");
    let head = format!("Gate-Signature: {}\r\n", dev.sign(body.as_bytes()));
    let answer = request(&dev.at("public"), "POST", "/webhooks/other", &head, body.as_bytes());
    assert_eq!((answer.status, answer.code().as_str()), (404, "no_such_endpoint"));
}

#[test]
fn nobody_asks_without_a_key() {
    let folder = folder();
    let dev = Dev::start(folder.path());
    let paths = ["/v1/attempts", "/v1/attempts/x", "/v1/attempts/x/status", "/v1/feeds/metrics"];
    for path in paths {
        for head in ["", "Authorization: Bearer wrong\r\n", "Authorization: Basic eDp5\r\n"] {
            let answer = request(&dev.at("api"), "GET", path, head, b"");
            assert_eq!((answer.status, answer.code().as_str()), (401, "unauthorized"), "{path}");
        }
    }
}

#[test]
fn a_status_is_what_a_customer_may_see() {
    let folder = folder();
    let dev = Dev::start(folder.path());
    let processing = json!({ "view": "processing", "nextPollMs": 3000 });
    let closed = |view: &str| json!({ "view": view, "canRetry": true });
    for (name, state, view) in [
        ("created", "requires_action", processing.clone()),
        ("processing", "processing", processing.clone()),
        ("completed", "fulfilled", json!({ "view": "success" })),
        ("failed", "failed", closed("failed")),
        ("expired", "expired", closed("expired")),
        ("cancelled", "cancelled", closed("cancelled")),
    ] {
        let session = format!("gs_{name}");
        dev.deliver(&event(&format!("evt_{name}"), &format!("gate_session.{name}"), &session));
        dev.attempt_in(&session, state);
        let answer = dev.api(&format!("/v1/attempts/{session}/status"));
        assert_eq!((answer.status, answer.json()), (200, view), "{name}");
    }
    dev.deliver(&event("evt_late", COMPLETED, "gs_failed"));
    dev.attempt_in("gs_failed", "review");
    assert_eq!(dev.api("/v1/attempts/gs_failed/status").json(), processing);

    let attempt = dev.api("/v1/attempts/gs_completed").json();
    assert_eq!(attempt["attempt_id"], "gs_completed", "outputs use the same words");
    assert_eq!(attempt["session_id"], "gs_completed");
    assert_eq!(attempt["evidence"][0]["event_id"], "evt_completed");
    let foreign = dev.api("/v1/attempts/gs_completed/status?account_id=somebody");
    assert_eq!((foreign.status, foreign.json()), (404, json!({ "view": "not_found" })));
    let missing = dev.api("/v1/attempts/gs_nobody/status");
    assert_eq!((missing.status, missing.json()), (404, json!({ "view": "not_found" })));
    assert_eq!(dev.api("/v1/attempts/gs_nobody").code(), "no_such_attempt");
    assert_eq!(dev.api("/v1/attempts/x/status?acount_id=1").code(), "bad_query");
}

#[test]
fn a_list_goes_on_where_it_ended() {
    let folder = folder();
    let dev = Dev::start(folder.path());
    for number in 0..7 {
        let name = if number < 5 { "completed" } else { "failed" };
        let (id, session) = (format!("evt_{number}"), format!("gs_{number}"));
        dev.deliver(&event(&id, &format!("gate_session.{name}"), &session));
        dev.attempt_in(&session, if number < 5 { "fulfilled" } else { "failed" });
    }
    let mut seen = vec![];
    let mut after = String::new();
    loop {
        let page = dev.api(&format!("/v1/attempts?limit=3&after={after}")).json();
        let attempts = page["attempts"].as_array().unwrap();
        assert!(attempts.len() <= 3);
        seen.extend(
            attempts.iter().map(|attempt| attempt["attempt_id"].as_str().unwrap().to_owned()),
        );
        match page["next"].as_str() {
            Some(next) => after = next.to_owned(),
            None => break,
        }
    }
    seen.sort();
    assert_eq!(seen, (0..7).map(|number| format!("gs_{number}")).collect::<Vec<_>>());
    let failed = dev.api("/v1/attempts?state=failed").json();
    assert_eq!(failed["attempts"].as_array().unwrap().len(), 2);

    let next = dev.api("/v1/attempts?limit=1").json()["next"].as_str().unwrap().to_owned();
    let other = if next.as_bytes()[20] == b'A' { "B" } else { "A" };
    let forged = format!("{}{other}{}", &next[..20], &next[21..]);
    for bad in [forged.as_str(), "x", "AAAA"] {
        let answer = dev.api(&format!("/v1/attempts?after={bad}"));
        assert_eq!((answer.status, answer.code().as_str()), (400, "bad_cursor"), "{bad}");
    }
    assert_eq!(dev.api("/v1/attempts?state=done").code(), "bad_state");
}
