//! A signal that ends every process that decides it, and a supervisor that starts the next one.

use crate::client::Client;
use crate::process::{Dev, Site};
use crate::support::says::{COMPLETED, Event, now};
use std::process::Child;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tidegate::webhook::WebhookSecret;

const PAYMENTS: usize = 40;
const DEADLY: usize = 20;

/// A process that has lived for so long with everything at hand goes on.
const GOES_ON: Duration = Duration::from_secs(3);

/// What stands before it is suspected first: two lives and a try, then two and three for itself; and
/// those that end while it is being delivered.
const DEATHS_MOST: u32 = 18;

fn session(n: usize) -> String {
    if n == DEADLY { "gs_deadly".to_owned() } else { format!("gs_{n:03}") }
}

/// Delivers from `from` on, as far as somebody answers.
fn deliver(dev: &Dev, from: usize) -> usize {
    let secret = WebhookSecret::new(dev.secret.as_str().into());
    let path = dev.webhook_url.rsplit_once("/webhooks").unwrap().1;
    let mut client = Client::new(&dev.webhook_url);
    for n in from..PAYMENTS {
        let (id, session) = (format!("evt_{n}"), session(n));
        let body = Event::new(&id, COMPLETED, &session).body();
        let signature = secret.sign(now().seconds(), &body);
        let headers = [("gate-signature", signature.as_str())];
        let answer = client.ask("POST", &format!("/webhooks{path}"), &headers, &body);
        if !answer.is_ok_and(|answer| answer.status == 200) {
            return n;
        }
    }
    PAYMENTS
}

fn lives_on(child: &mut Child) -> bool {
    let since = Instant::now();
    while since.elapsed() < GOES_ON {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    true
}

#[test]
fn a_signal_that_ends_every_process_is_a_dead_letter_and_the_rest_goes_on() {
    let root = TempDir::new().unwrap();
    let site = Site::new(&root.path().join("data")).with_variable("TIDEGATE_DEADLY", "gs_deadly");
    std::fs::create_dir_all(&site.data).unwrap();
    let (mut acknowledged, mut deaths) = (0, 0);
    loop {
        let mut child = site.start(None);
        if site.ready(&mut child) {
            acknowledged = deliver(&site.dev(), acknowledged);
        }
        if lives_on(&mut child) && acknowledged == PAYMENTS {
            child.kill().unwrap();
            child.wait().unwrap();
            break;
        }
        let _dead_already = child.kill();
        child.wait().unwrap();
        deaths += 1;
        assert!(deaths <= DEATHS_MOST, "it goes on dying:\n{}", site.log_tail());
    }
    assert!(deaths >= 5, "it was given up after {deaths} deaths");
    println!("{deaths} deaths");
    let (code, report) = site.audit();
    assert_eq!(code, Some(0), "{report}");
    let counted = (&report["fulfillments"], &report["in_flight"]);
    assert_eq!(counted, (&(PAYMENTS - 1).into(), &0.into()), "{report}");
    // A process may end of it before it has said that it has it: then it is delivered once more.
    let dead = report["dead_lettered"].as_u64().unwrap();
    assert!((1..=2).contains(&dead), "{report}");
}
