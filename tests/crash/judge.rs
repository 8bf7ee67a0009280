//! The verdict: the senders' own logs against what the process shows, apart from what it says of
//! itself.

use crate::client::Client;
use crate::process::Site;
use crate::sender::{Acknowledged, Shared};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

pub struct Judged {
    pub events: usize,
    pub duplicates: usize,
    pub attempts: usize,
    pub fulfillments: usize,
}

/// How long what was acknowledged may take to be decided, after the last start.
const SETTLE_MAX: Duration = Duration::from_secs(30);

pub fn judge(shared: &Shared, sent: Vec<Vec<Acknowledged>>) -> Judged {
    let sent: Vec<Acknowledged> = sent.into_iter().flatten().collect();
    let completed: BTreeMap<&str, &Acknowledged> = sent
        .iter()
        .filter(|one| one.completes && !one.duplicate)
        .map(|one| (one.attempt.as_str(), one))
        .collect();
    let since = Instant::now();
    let mut fulfilled = feed(shared, "fulfillments");
    while fulfilled.len() < completed.len() && since.elapsed() < SETTLE_MAX {
        std::thread::sleep(Duration::from_millis(200));
        fulfilled = feed(shared, "fulfillments");
    }
    let mut seen = BTreeSet::new();
    for line in &fulfilled {
        let data = &line["data"];
        let attempt = data["attempt_id"].as_str().unwrap_or_default();
        assert!(seen.insert(attempt.to_owned()), "{attempt} is fulfilled twice");
        assert_eq!(data["fulfillment_id"], format!("ful_{attempt}"));
        let completion = completed
            .get(attempt)
            .unwrap_or_else(|| panic!("{attempt} is fulfilled, and nobody completed it: {data}"));
        assert_eq!(data["amount"], completion.amount.as_str(), "{attempt}");
        assert_eq!(data["proof"]["event_id"], completion.event.as_str(), "{attempt}");
        assert_eq!(data["proof"]["body_sha256"], completion.digest.to_string(), "{attempt}");
    }
    for (attempt, completion) in &completed {
        assert!(
            seen.contains(*attempt),
            "{attempt}: its completion was acknowledged at {} and it is not fulfilled",
            completion.at_ms
        );
    }

    let attempts: BTreeSet<&str> = sent.iter().map(|one| one.attempt.as_str()).collect();
    Judged {
        events: sent.len(),
        duplicates: sent.iter().filter(|one| one.duplicate).count(),
        attempts: attempts.len(),
        fulfillments: seen.len(),
    }
}

/// What the product says of itself must agree.
pub fn agrees(site: &Site, judged: &Judged) {
    let (code, said) = site.audit();
    assert_eq!(code, Some(0), "the audit says {said}");
    assert_eq!(said["clean"], true, "{said}");
    assert_eq!(said["fulfillments"], judged.fulfillments, "{said}");
    let accepted = said["accepted"].as_u64().unwrap_or(0);
    assert!(accepted >= judged.events as u64, "{} acknowledged: {said}", judged.events);
}

/// Everything that a feed holds, page by page.
fn feed(shared: &Shared, name: &str) -> Vec<serde_json::Value> {
    let bearer = format!("Bearer {}", shared.dev.api_key);
    let mut client = Client::new(&shared.dev.api);
    let mut all: Vec<serde_json::Value> = vec![];
    loop {
        let after = all.last().and_then(|line| line["position"].as_str()).unwrap_or_default();
        let path = format!("/v1/feeds/{name}?after={after}&limit=1000");
        let headers = [("authorization", bearer.as_str())];
        let answer = client.ask("GET", &path, &headers, b"").expect("the feed answers");
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        let before = all.len();
        let lines = answer.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        all.extend(lines.map(|line| serde_json::from_slice::<serde_json::Value>(line).unwrap()));
        if all.len() == before {
            return all;
        }
    }
}
