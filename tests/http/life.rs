//! Starting, ending, starting again.

use crate::support::running::{Dev, PATIENCE, event, folder, now, request, tidegate};
use rustix::process::Signal;
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::panic::AssertUnwindSafe;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tidegate::webhook::WebhookSecret;

#[test]
fn ready_is_said_once_traffic_may_come() {
    let folder = folder();
    let dev = Dev::start(folder.path());
    assert_eq!(dev.ops("/healthz").status, 200);
    assert_eq!(dev.ops("/readyz").status, 200);
    for name in ["dev.json", "api-key", "webhook-secret", "signing.key"] {
        let mode = std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn a_folder_has_one_process() {
    let folder = folder();
    let _dev = Dev::start(folder.path());
    let second = tidegate()
        .args(["dev", "--public", "127.0.0.1:0", "--api", "127.0.0.1:0", "--ops", "127.0.0.1:0"])
        .arg("--data")
        .arg(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(75), "{said}");
    assert!(said.contains("another process is using"), "{said}");
}

#[test]
fn a_port_has_one_process() {
    let (folder, other) = (folder(), folder());
    let dev = Dev::start(folder.path());
    let at = dev.at("public");
    let second = tidegate()
        .args(["dev", "--public", &at, "--api", "127.0.0.1:0", "--ops", "127.0.0.1:0", "--data"])
        .arg(other.path())
        .output()
        .unwrap();
    let said = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(75), "{said}");
    assert!(said.contains(&format!("cannot listen on {at} (public)")), "{said}");
}

#[test]
fn a_start_goes_on_where_the_last_one_was() {
    let folder = folder();
    let dev = Dev::start(folder.path());
    let completed = event("evt_1", "gate_session.completed", "gs_1");
    dev.deliver(&completed);
    dev.attempt_in("gs_1", "fulfilled");
    let (secret, feed) = (dev.text("webhook_secret"), dev.api("/v1/feeds/fulfillments").body);
    assert_eq!(dev.end(), 0);

    let dev = Dev::start(folder.path());
    assert_eq!(dev.text("webhook_secret"), secret);
    assert_eq!(dev.deliver(&completed).status, 200);
    let began = Instant::now();
    while dev.attempt_in("gs_1", "fulfilled")["duplicates"] != 1 {
        assert!(began.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(dev.api("/v1/feeds/fulfillments").body, feed, "one fulfillment, the same bytes");
}

#[test]
fn a_process_tells_how_those_before_it_ended() {
    let folder = folder();
    let how = |dev: &Dev, how: &str| dev.metric(&format!("tidegate_ends_total{{how=\"{how}\"}}"));
    let first = Dev::start(folder.path());
    assert_eq!((how(&first, "asked"), how(&first, "killed")), (0.0, 0.0));
    assert_eq!(first.end(), 0);
    let second = Dev::start(folder.path());
    assert_eq!((how(&second, "asked"), how(&second, "killed")), (1.0, 0.0));
    second.signal(Signal::KILL);
    drop(second);
    let third = Dev::start(folder.path());
    assert_eq!((how(&third, "asked"), how(&third, "killed")), (1.0, 1.0));
}

#[test]
fn an_end_under_load_loses_nothing_that_was_acknowledged() {
    let folder = folder();
    let dev = Dev::start(folder.path());
    let acknowledged = Mutex::new(BTreeSet::new());
    std::thread::scope(|scope| {
        for sender in 0..4 {
            let (dev, acknowledged) = (AssertUnwindSafe(&dev), &acknowledged);
            scope.spawn(move || {
                for number in 0..10_000 {
                    let session = format!("gs_{sender}_{number}");
                    let body = event(&format!("evt_{session}"), "gate_session.completed", &session);
                    // Refused connections and resets are what the end looks like from outside.
                    let answer = std::panic::catch_unwind(AssertUnwindSafe(|| dev.deliver(&body)));
                    match answer {
                        Ok(answer) if answer.status == 200 => {
                            acknowledged.lock().unwrap().insert(session);
                        }
                        Ok(_) | Err(_) => break,
                    }
                }
            });
        }
        std::thread::sleep(Duration::from_millis(500));
        dev.signal(Signal::TERM);
    });
    let mut dev = dev;
    assert_eq!(dev.ended(), 0);
    drop(dev);
    let acknowledged = acknowledged.into_inner().unwrap();
    assert!(acknowledged.len() > 10, "there was load: {}", acknowledged.len());
    let dev = Dev::start(folder.path());
    let fulfilled: Vec<_> = dev
        .api("/v1/feeds/fulfillments")
        .lines()
        .iter()
        .map(|line| line["key"].as_str().unwrap().to_owned())
        .collect();
    let distinct: BTreeSet<_> = fulfilled.iter().cloned().collect();
    assert_eq!(fulfilled.len(), distinct.len(), "one each");
    let lost: Vec<_> = acknowledged.difference(&distinct).collect();
    assert!(lost.is_empty(), "{lost:?}");
}

/// An endpoint and a key that are configured stand beside those that `dev` makes.
#[test]
fn dev_reads_what_is_configured_again_when_asked() {
    let folder = folder();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let first = "whsec_test_0123456789abcdef0123456789abcdef";
    let (secret, key) = (file("secret", first), file("key", "key-of-more-than-twenty-four-chars"));
    let text = format!(
        "[endpoints.shop]\nsecrets = [{{ file = \"{secret}\" }}]\n[api]\nkeys = [{{ file = \
         \"{key}\" }}]\n"
    );
    let config = file("tidegate.toml", &text);
    let dev = Dev::start_as(&folder.path().join("data"), &["--config", &config], &[]);
    let body = event("evt_1", "gate_session.completed", "gs_1");
    let deliver = |secret: &str| {
        let signature = WebhookSecret::new(secret.to_owned().into()).sign(now(), body.as_bytes());
        let head = format!("Gate-Signature: {signature}\r\n");
        request(&dev.at("public"), "POST", "/webhooks/shop", &head, body.as_bytes()).status
    };
    assert_eq!((deliver(first), dev.deliver(&body).status), (200, 200));

    let fresh = "whsec_test_fedcba9876543210fedcba9876543210";
    file("secret", fresh);
    file("key", "another-key-of-more-than-24-characters");
    dev.signal(Signal::HUP);
    let began = Instant::now();
    while deliver(fresh) != 200 {
        assert!(began.elapsed() < PATIENCE, "the new secret is not taken");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(deliver(first), 401, "the old secret is gone");
    assert_eq!(dev.deliver(&body).status, 200, "what dev made is as before");
    assert_eq!(dev.api("/v1/attempts").status, 200);
    let fresh = "Authorization: Bearer another-key-of-more-than-24-characters\r\n";
    assert_eq!(request(&dev.at("api"), "GET", "/v1/attempts", fresh, b"").status, 200);
    assert_eq!(dev.end(), 0);
}

/// Starts `serve` over a configuration of its own in `folder`.
fn serve(folder: &std::path::Path) -> Dev {
    serve_telling(folder, std::fs::File::create(folder.join("log")).unwrap())
}

fn serve_telling(folder: &std::path::Path, log: std::fs::File) -> Dev {
    let file = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path.display().to_string()
    };
    let secret = file("secret", "whsec_test_0123456789abcdef0123456789abcdef");
    let key = file("key", "key-of-more-than-twenty-four-characters");
    let text = format!(
        "data_dir = \"{}\"\n[listen]\npublic = \"{}\"\napi = \"{}\"\nops = \"{}\"\n\
         [endpoints.dev]\nsecrets = [{{ file = \"{secret}\" }}]\n[api]\nkeys = [{{ file = \"{key}\" }}]\n",
        folder.join("data").display(),
        free_port(),
        free_port(),
        free_port(),
    );
    let config = file("tidegate.toml", &text);
    let text: toml::Table = text.parse().unwrap();
    let listen = text["listen"].as_table().unwrap();
    let child = tidegate().args(["serve", "--config", &config]).stderr(log).spawn().unwrap();
    let at = |name: &str| format!("http://{}", listen[name].as_str().unwrap());
    let info = serde_json::json!({
        "public": at("public"), "api": at("api"), "ops": at("ops"),
        "webhook_secret": "whsec_test_0123456789abcdef0123456789abcdef",
        "api_key": "key-of-more-than-twenty-four-characters",
    });
    let dev = Dev { child, info, folder: folder.to_owned() };
    let began = Instant::now();
    let ready = || std::net::TcpStream::connect(dev.at("ops")).is_ok();
    while !ready() || dev.ops("/readyz").status != 200 {
        assert!(began.elapsed() < PATIENCE, "serve is not ready");
        std::thread::sleep(Duration::from_millis(20));
    }
    dev
}

fn free_port() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

#[test]
fn secrets_are_read_again_when_asked() {
    let folder = folder();
    let mut dev = serve(folder.path());
    let body = event("evt_1", "gate_session.completed", "gs_1");
    assert_eq!(dev.deliver(&body).status, 200);

    let fresh = "whsec_test_fedcba9876543210fedcba9876543210";
    std::fs::write(folder.path().join("secret"), fresh).unwrap();
    std::fs::write(folder.path().join("key"), "another-key-of-more-than-24-characters").unwrap();
    dev.signal(Signal::HUP);
    let old = dev.info.clone();
    dev.info["webhook_secret"] = fresh.into();
    dev.info["api_key"] = "another-key-of-more-than-24-characters".into();
    let began = Instant::now();
    while dev.deliver(&body).status != 200 {
        assert!(began.elapsed() < PATIENCE, "the new secret is not taken");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(dev.api("/v1/attempts").status, 200);
    dev.info = old;
    assert_eq!(dev.deliver(&body).status, 401, "the old secret is gone");
    assert_eq!(dev.api("/v1/attempts").status, 401, "so is the old key");
    assert_eq!(dev.end(), 0);
}

/// What is said of a delivery must not decide whether the next one is taken.
#[test]
fn a_log_that_nobody_can_write_ends_nothing() {
    let folder = folder();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let dev = serve_telling(folder.path(), full);
    // The second one is a warning.
    for (id, kind) in [("evt_1", "gate_session.completed"), ("evt_2", "gate_session.failed")] {
        assert_eq!(dev.deliver(&event(id, kind, "gs_1")).status, 200);
    }
    assert_eq!(dev.end(), 0);
}

#[test]
fn a_secret_file_that_does_not_answer_holds_up_nothing_else() {
    let folder = folder();
    let dev = serve(folder.path());
    let secret = folder.path().join("secret");
    std::fs::remove_file(&secret).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&secret).status().unwrap();
    assert!(made.success());
    dev.signal(Signal::HUP);
    std::thread::sleep(Duration::from_millis(300));
    let body = event("evt_1", "gate_session.completed", "gs_1");
    assert_eq!(dev.deliver(&body).status, 200, "the old secrets stay meanwhile");
    assert_eq!(dev.end(), 0, "and it ends when it is told to");
}

#[test]
fn a_folder_is_not_started_with_other_keys() {
    let folder = folder();
    assert_eq!(Dev::start(folder.path()).end(), 0);
    std::fs::write(folder.path().join("signing.key"), "0f".repeat(32)).unwrap();
    let refused = start_again(folder.path());
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(78), "{said}");
    assert!(said.contains("was made with another signing key"), "{said}");
    assert!(said.contains("put the key back"), "{said}");

    let newer = br#"{"format": 9}"#;
    std::fs::write(folder.path().join("journal.json"), newer).unwrap();
    let refused = start_again(folder.path());
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(78), "{said}");
    assert!(said.contains("written by a newer tidegate"), "{said}");
    assert!(!said.contains("damaged"), "{said}");
}

fn start_again(folder: &std::path::Path) -> std::process::Output {
    tidegate()
        .args(["dev", "--public", "127.0.0.1:0", "--api", "127.0.0.1:0", "--ops", "127.0.0.1:0"])
        .arg("--data")
        .arg(folder)
        .output()
        .unwrap()
}
