//! Feeds: what a consumer without a broker reads.

use crate::support::running::{Dev, PATIENCE, event, folder};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

fn fulfilled(dev: &Dev, count: usize) {
    for number in 0..count {
        let (id, session) = (format!("evt_{number}"), format!("gs_{number}"));
        assert_eq!(dev.deliver(&event(&id, "gate_session.completed", &session)).status, 200);
        dev.attempt_in(&session, "fulfilled");
    }
}

fn keys(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|line| line["key"].as_str().unwrap()).collect()
}

#[test]
fn a_feed_is_resumed_after_any_line() {
    let folder = folder();
    let dev = Dev::start(folder.path());
    fulfilled(&dev, 5);
    let all = dev.api("/v1/feeds/fulfillments?after=").lines();
    assert_eq!(keys(&all), ["gs_0", "gs_1", "gs_2", "gs_3", "gs_4"]);
    for (index, line) in all.iter().enumerate() {
        let position = line["position"].as_str().unwrap();
        let rest = dev.api(&format!("/v1/feeds/fulfillments?after={position}")).lines();
        assert_eq!(rest, all[index + 1..], "after {index}");
    }
    assert_eq!(dev.api("/v1/feeds/fulfillments?limit=2").lines(), all[..2]);
    assert_eq!(all[0]["type"], "tidegate.attempt.fulfilled.v1");
    assert_eq!(all[0]["data"]["amount"], "100.00");
    assert_eq!(all[0]["id"], "ful_gs_0");
    assert_eq!(dev.api("/v1/feeds/transitions").lines().len(), 5);
}

#[test]
fn a_position_that_was_made_up_is_refused() {
    let folder = folder();
    let dev = Dev::start(folder.path());
    fulfilled(&dev, 1);
    let line = &dev.api("/v1/feeds/transitions").lines()[0];
    let of_transitions = line["position"].as_str().unwrap();
    for position in [of_transitions, "0", "zzzzzzzzzzzzzzzzzzzzzzzzzz", "%00"] {
        let answer = dev.api(&format!("/v1/feeds/fulfillments?after={position}"));
        assert_eq!((answer.status, answer.code().as_str()), (400, "bad_position"), "{position}");
    }
    assert_eq!(dev.api("/v1/feeds/dead-letters").code(), "no_such_feed");
    assert_eq!(dev.api("/v1/feeds/metrics?follow=maybe").code(), "bad_query");
}

#[test]
fn events_carry_their_position_and_resume_by_it() {
    let folder = folder();
    let dev = Dev::start(folder.path());
    fulfilled(&dev, 2);
    let accept = "Accept: text/event-stream\r\n";
    let answer = dev.api_with("/v1/feeds/fulfillments", accept);
    assert!(answer.head.contains("text/event-stream"), "{}", answer.head);
    let events: Vec<_> = answer.body.split_terminator("\n\n").collect();
    assert_eq!(events.len(), 2);
    let position = events[0].lines().next().unwrap().strip_prefix("id: ").unwrap();
    let again = format!("{accept}Last-Event-ID: {position}\r\n");
    let rest = dev.api_with("/v1/feeds/fulfillments", &again);
    assert_eq!(rest.body, format!("{}\n\n", events[1]));
}

#[test]
fn a_follower_sees_a_fulfillment_at_once() {
    let folder = folder();
    let dev = Dev::start(folder.path());
    fulfilled(&dev, 1);
    let mut stream = TcpStream::connect(dev.at("api")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let key = dev.text("api_key");
    write!(
        stream,
        "GET /v1/feeds/fulfillments?follow=true HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {key}\r\n\r\n"
    )
    .unwrap();
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let mut next = |key: &str| {
        let found = lines.find(|line| line.as_ref().unwrap().starts_with('{')).unwrap().unwrap();
        assert_eq!(serde_json::from_str::<Value>(&found).unwrap()["key"], key);
    };
    next("gs_0");
    let mut waits = vec![];
    for number in 10..30 {
        let session = format!("gs_{number}");
        dev.deliver(&event(&format!("evt_{number}"), "gate_session.completed", &session));
        let acknowledged = Instant::now();
        next(&session);
        waits.push(acknowledged.elapsed());
    }
    waits.sort();
    let median = waits[waits.len() / 2];
    println!("from the acknowledgement to the follower: median {median:?}, most {:?}", waits[19]);
    assert!(median < Duration::from_millis(100), "{waits:?}");
}

#[test]
fn a_follower_does_not_hold_up_the_end() {
    let folder = folder();
    let dev = Dev::start(folder.path());
    let mut stream = TcpStream::connect(dev.at("api")).unwrap();
    let key = dev.text("api_key");
    write!(
        stream,
        "GET /v1/feeds/metrics?follow=true HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {key}\r\n\r\n"
    )
    .unwrap();
    std::thread::sleep(Duration::from_millis(200));
    let began = Instant::now();
    assert_eq!(dev.end(), 0);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}
