//! The command line: what it says of itself, and what its stories end in.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use expect_test::expect_file;
use serde_json::Value;
use std::io::Read;
use std::process::Stdio;
use std::time::{Duration, Instant};
use support::running::{Dev, PATIENCE, folder, tidegate};

/// Every page of help, so that a change of words is seen and meant.
#[test]
fn help_is_reviewed_like_code() {
    let commands: [&[&str]; 15] = [
        &[],
        &["dev"],
        &["serve"],
        &["send"],
        &["tail"],
        &["attempts"],
        &["attempts", "get"],
        &["attempts", "list"],
        &["attempts", "timeline"],
        &["check"],
        &["config"],
        &["config", "example"],
        &["config", "schema"],
        &["completions"],
        &["bench"],
    ];
    for command in commands {
        let output = tidegate().args(command).arg("--help").env("COLUMNS", "100").output().unwrap();
        assert!(output.status.success(), "{command:?}");
        let help = String::from_utf8(output.stdout).unwrap();
        assert!(help.contains("Examples:"), "{command:?} shows an example");
        if command == ["bench"] {
            continue;
        }
        let name = if command.is_empty() { "tidegate".to_owned() } else { command.join("-") };
        expect_file![format!("cli/help/{name}.txt")].assert_eq(&help);
    }
}

#[test]
fn stories_end_as_they_are_told() {
    let folder = folder();
    let dev = Dev::start(folder.path());
    for (story, state) in [
        ("completed", "fulfilled"),
        ("failed", "failed"),
        ("expired", "expired"),
        ("cancelled", "cancelled"),
        ("late-completion", "review"),
        ("duplicate", "fulfilled"),
        ("out-of-order", "fulfilled"),
        ("second-payment", "fulfilled"),
        ("wrong-amount", "review"),
    ] {
        let session = format!("gs_{story}");
        let sent = dev.run(&["send", story, "--session", &session]);
        let said = String::from_utf8_lossy(&sent.stderr).into_owned();
        assert_eq!(sent.status.code(), Some(0), "{story}: {said}");
        dev.attempt_in(&session, state);
    }
    assert_eq!(dev.run(&["send", "test"]).status.code(), Some(0));
    let sent = dev.run(&["send", "gate_session.processing", "--session", "gs_one", "-o", "json"]);
    let sent: Value = serde_json::from_slice(&sent.stdout).unwrap();
    assert_eq!(sent["deliveries"][0]["status"], 200);
    dev.attempt_in("gs_one", "processing");

    let mut fulfilled = lines(&dev.run(&["tail", "fulfillments", "-o", "json"]).stdout);
    fulfilled.sort();
    assert_eq!(fulfilled, ["gs_completed", "gs_duplicate", "gs_out-of-order", "gs_second-payment"]);
    assert_eq!(dev.metric(r#"tidegate_alarms_total{alarm="second_payment"}"#), 1.0);
    assert_eq!(dev.metric(r#"tidegate_alarms_total{alarm="late_completion"}"#), 1.0);

    let text = dev.run(&["attempts", "timeline", "gs_second-payment"]);
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains("contradiction (second_payment)"), "{text}");
    let text = String::from_utf8(dev.run(&["attempts", "list", "--state", "review"]).stdout);
    let text = text.unwrap();
    assert!(text.contains("gs_wrong-amount") && text.contains("gs_late-completion"), "{text}");
    let lost = dev.run(&["tail", "metrics", "--after", "abc"]);
    let said = String::from_utf8(lost.stderr).unwrap();
    assert_eq!(lost.status.code(), Some(2), "{said}");
    assert!(said.contains("the feed metrics has no position `abc`"), "{said}");
    assert!(said.contains("leave --after out to start from the beginning"), "{said}");
    let missing = dev.run(&["attempts", "get", "gs_nobody"]);
    assert_eq!(missing.status.code(), Some(1));
}

#[test]
fn whoever_follows_is_told_that_the_process_ended_the_feed() {
    let folder = folder();
    let dev = Dev::start(folder.path());
    dev.run(&["send", "completed", "--session", "gs_one"]);
    dev.attempt_in("gs_one", "fulfilled");
    let all = dev.run(&["tail", "fulfillments", "-o", "json"]);
    let last: Value = serde_json::from_slice(&all.stdout).unwrap();
    let within = dev.run(&["tail", "fulfillments", "--follow", "--limit", "1"]);
    assert_eq!(within.status.code(), Some(0), "the limit was reached");

    let mut following = tidegate();
    following.args(["tail", "fulfillments", "--follow", "--data"]).arg(folder.path());
    let mut following = following.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = [0];
    following.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    assert_eq!(dev.end(), 0);
    let ended = following.wait_with_output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(69), "{said}");
    let position = last["position"].as_str().unwrap();
    assert!(said.contains("the process ended the feed"), "{said}");
    assert!(said.contains(&format!("--after {position}")), "{said}");
}

#[test]
fn a_storm_ends_in_one_fulfillment_each() {
    let folder = folder();
    let dev = Dev::start(folder.path());
    let arguments =
        ["send", "storm", "--count", "60", "--seed", "5", "--session", "gs", "-o", "json"];
    let sent = dev.run(&arguments);
    let said = String::from_utf8_lossy(&sent.stderr).into_owned();
    assert_eq!(sent.status.code(), Some(0), "{said}");
    let sent: Value = serde_json::from_slice(&sent.stdout).unwrap();
    assert!(sent["deliveries"].as_u64().unwrap() > 180, "some came twice: {sent}");
    let began = Instant::now();
    let fulfilled = loop {
        let fulfilled = lines(&dev.run(&["tail", "fulfillments", "-o", "json"]).stdout);
        if fulfilled.len() >= 60 {
            break fulfilled;
        }
        assert!(began.elapsed() < PATIENCE, "{} of 60", fulfilled.len());
        std::thread::sleep(Duration::from_millis(50));
    };
    let distinct: std::collections::BTreeSet<_> = fulfilled.iter().collect();
    assert_eq!((fulfilled.len(), distinct.len()), (60, 60));
}

#[test]
fn a_stranger_is_told_what_to_do() {
    let folder = folder();
    let nothing = tidegate().args(["send", "completed", "--data"]).arg(folder.path()).output();
    let nothing = nothing.unwrap();
    let said = String::from_utf8(nothing.stderr).unwrap();
    assert_eq!(nothing.status.code(), Some(2), "{said}");
    assert!(said.contains("start `tidegate dev` first"), "{said}");

    let printed = tidegate().args(["send", "completed", "--print"]).output().unwrap();
    assert_eq!(String::from_utf8(printed.stdout).unwrap().lines().count(), 3);
    let unknown = tidegate().args(["send", "complete"]).output().unwrap();
    let said = String::from_utf8(unknown.stderr).unwrap();
    assert!(said.contains("late-completion"), "{said}");
    let served = tidegate().arg("serve").output().unwrap();
    assert_eq!(served.status.code(), Some(78), "nothing to serve");
}

fn lines(output: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(output)
        .lines()
        .map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            line["key"].as_str().unwrap().to_owned()
        })
        .collect()
}
