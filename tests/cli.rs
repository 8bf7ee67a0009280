//! The command line: what it says of itself, and what its stories end in.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

#[path = "cli/health.rs"]
mod health;

use expect_test::expect_file;
use serde_json::Value;
use std::io::Read;
use std::process::Stdio;
use std::time::{Duration, Instant};
use support::running::{Dev, PATIENCE, folder, tidegate};

/// Every page of help, so that a change of words is seen and meant.
#[test]
fn help_is_reviewed_like_code() {
    let commands: [&[&str]; 22] = [
        &[],
        &["dev"],
        &["serve"],
        &["send"],
        &["tail"],
        &["attempts"],
        &["attempts", "get"],
        &["attempts", "list"],
        &["attempts", "timeline"],
        &["health"],
        &["check"],
        &["config"],
        &["config", "example"],
        &["config", "schema"],
        &["completions"],
        &["bench"],
        &["topics"],
        &["topics", "init"],
        &["topics", "verify"],
        &["audit"],
        &["doctor"],
        &["rebuild"],
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
fn the_version_names_the_client_of_the_brokers_and_what_it_was_built_with() {
    let said = |option: &str| {
        let output = tidegate().arg(option).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let short = said("-V");
    assert_eq!(short, concat!("tidegate ", env!("CARGO_PKG_VERSION"), "\n"));
    let long = said("--version");
    let library = long.strip_prefix(short.trim_end()).unwrap().trim_start();
    assert!(library.starts_with("librdkafka 2."), "{long}");
    assert!(library.contains("sasl_plain") && library.contains("gzip"), "{long}");
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
    dev.run(&["send", "completed", "--session", "gs_before"]);
    dev.attempt_in("gs_before", "fulfilled");
    let sent = dev.run(&["send", "storm", "--count", "60", "--seed", "5", "-o", "json"]);
    let said = String::from_utf8_lossy(&sent.stderr).into_owned();
    assert_eq!(sent.status.code(), Some(0), "{said}");
    let sent: Value = serde_json::from_slice(&sent.stdout).unwrap();
    assert!(sent["deliveries"].as_u64().unwrap() > 180, "some came twice: {sent}");
    let prefix = sent["session_prefix"].as_str().unwrap();
    let began = Instant::now();
    let fulfilled = loop {
        let mut fulfilled = lines(&dev.run(&["tail", "fulfillments", "-o", "json"]).stdout);
        fulfilled.retain(|session| session.starts_with(prefix));
        if fulfilled.len() >= 60 {
            break fulfilled;
        }
        assert!(began.elapsed() < PATIENCE, "{} of 60", fulfilled.len());
        std::thread::sleep(Duration::from_millis(50));
    };
    let distinct: std::collections::BTreeSet<_> = fulfilled.iter().collect();
    assert_eq!((fulfilled.len(), distinct.len()), (60, 60));

    // The hint counts what is of the storm alone.
    let sent = dev.run(&["send", "storm", "--count", "7"]);
    let said = String::from_utf8(sent.stdout).unwrap();
    let prefix = said.trim_end().rsplit(' ').next().unwrap();
    assert!(said.contains("| grep -c gs_test_") && prefix.ends_with('_'), "{said}");
    dev.attempt_in(&format!("{prefix}6"), "fulfilled");
}

#[test]
fn a_storm_that_breaks_off_says_how_far_it_came() {
    let folder = folder();
    let mut dev = Dev::start(folder.path());
    let mut storm = tidegate();
    storm.args(["send", "storm", "--count", "20000", "--data"]).arg(folder.path());
    let storm = storm.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let began = Instant::now();
    while dev.run(&["tail", "fulfillments", "--limit", "1"]).stdout.is_empty() {
        assert!(began.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(20));
    }
    dev.child.kill().unwrap();
    let broken = storm.wait_with_output().unwrap();
    let said = String::from_utf8(broken.stderr).unwrap();
    assert_eq!(broken.status.code(), Some(69), "{said}");
    assert!(said.contains("deliveries sent, ") && said.contains(" acknowledged\n"), "{said}");
}

/// What a refusal that needs no process says.
fn refused_by_send(arguments: &[&str]) -> String {
    let output = tidegate().arg("send").args(arguments).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
    said
}

#[test]
fn what_could_not_be_read_is_not_sent() {
    for (arguments, expected) in [
        (&["completed", "--session", ""][..], "--session is empty"),
        (&["completed", "--session", "a b"], "--session holds a character"),
        (&["completed", "--session", &"x".repeat(190)], "is longer than 200 bytes"),
        (&["completed", "--count", "5"], "--count is for the story storm only"),
        (&["storm", "--session", "gs_1"], "tell one of completed, "),
        (&["completed", "--event-id", "evt_1"], "--event-id is for a single event"),
        (&["completed", "--amount", "-5"], "is not a plain decimal number"),
        (&["completed", "--amount", "abc"], "is not a plain decimal number"),
    ] {
        let said = refused_by_send(arguments);
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
    let printed = tidegate().args(["send", "gate_session.new", "--print"]).output().unwrap();
    let said = String::from_utf8(printed.stderr).unwrap();
    assert_eq!(printed.status.code(), Some(0));
    assert!(said.contains("is sent anyway") && said.contains("webhook.test"), "{said}");
    let one = tidegate().args(["send", "test", "--print", "--event-id", "evt_mine"]).output();
    assert!(String::from_utf8(one.unwrap().stdout).unwrap().contains("evt_mine"));
}

#[test]
fn a_refused_delivery_is_explained() {
    let folder = folder();
    let dev = Dev::start(folder.path());
    let secret = folder.path().join("other");
    std::fs::write(&secret, "whsec_test_other").unwrap();
    let says = |url: &str, code: i32, expected: &str| {
        let mut send = tidegate();
        send.args(["send", "completed", "--url", url, "--secret-file"]).arg(&secret);
        let output = send.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{url}: {said}");
        assert!(said.contains(expected), "{url}: {said}");
    };
    let url = dev.text("webhook_url");
    says(&url, 1, "the secret is not that of this endpoint; dev's is in ./tidegate-data/");
    let mut storm = tidegate();
    storm.args(["send", "storm", "--count", "2", "--url", &url, "--secret-file"]).arg(&secret);
    let storm = storm.output().unwrap();
    assert_eq!(storm.status.code(), Some(1));
    let promised = String::from_utf8(storm.stdout).unwrap();
    assert!(!promised.contains("fulfillments"), "{promised}");
    says(&url.replace("/dev", "/nobody"), 1, "deliver to /webhooks/NAME");
    says(url.trim_start_matches("http://"), 2, "the URL lacks http://");
    says(&url.replace("http:", "https:"), 69, "speaks no TLS here; use http://");

    let mut tail = tidegate();
    tail.args(["tail", "metrics", "--url", &dev.text("public"), "--api-key-file"]);
    let output = tail.arg(folder.path().join("api-key")).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("this listener has no /v1/feeds/metrics"), "{said}");
    assert!(said.contains("give the api listener"), "{said}");
    // "No attempts" would be read as all clear.
    for what in [&["list"][..], &["get", "gs_1"]] {
        let mut attempts = tidegate();
        attempts.arg("attempts").args(what).args(["--url", &dev.text("public"), "--api-key-file"]);
        let output = attempts.arg(folder.path().join("api-key")).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{said}");
        assert!(said.contains("this listener has no /v1/attempts"), "{said}");
    }
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

#[test]
fn what_a_command_line_cannot_mean_is_refused_with_the_way_out() {
    let folder = folder();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let file = file.to_str().unwrap();
    let is_a_file = format!("{file} is a file; --data takes a folder");
    let address = "write a numeric address and a port, such as 127.0.0.1:8480";
    let no_key = "--api-key-file FILE; dev's is tidegate-data/api-key";
    for (arguments, expected) in [
        (&["dev", "--public", "0.0.0.0"][..], address),
        (&["dev", "--api", "localhost:0"], address),
        (&["dev", "--data", file], &is_a_file),
        (&["send", "completed", "--data", file], &is_a_file),
        (&["audit", "--data", file], &is_a_file),
        (&["audit", "--data", "/nonexistent"], "name the folder with --data DIR"),
        (&["tail", "metrics", "--url", "http://127.0.0.1:1", "--api-key", "canary"], no_key),
        (&["attempts", "list", "--url", "http://127.0.0.1:1"], no_key),
        (&["attempts", "list", "--limit", "0"], "0 is not in 1.."),
        (&["attempts", "list", "--state", ""], "--state <STATE>"),
        (&["attempts", "get", ""], "<ID>"),
    ] {
        let output = tidegate().args(arguments).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(expected), "{arguments:?}: {said}");
        assert!(!said.contains("canary"), "{said}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    for (arguments, code) in [
        (&["send", "completed", "--print"][..], 0),
        (&["config", "example"], 0),
        (&["completions", "bash"], 0),
        // A verdict stands.
        (&["check"], 78),
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = tidegate().args(arguments).stdout(writer).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), said.as_str()), (Some(code), ""), "{arguments:?}");
    }
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
