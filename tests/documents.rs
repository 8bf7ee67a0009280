//! Generated documents are what the code says. `TIDEGATE_BLESS=1` rewrites them.

use std::fs;
use std::path::PathBuf;
use tidegate::wire::documents;

#[test]
fn the_published_forms_are_described_as_they_are() {
    let bless = std::env::var_os("TIDEGATE_BLESS").is_some();
    let mut drifted = vec![];
    for document in documents::all() {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(document.path);
        if bless {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &document.text).unwrap();
        }
        if fs::read_to_string(&path).unwrap_or_default() != document.text {
            drifted.push(document.path);
        }
    }
    assert!(
        drifted.is_empty(),
        "these no longer say what the code does: {drifted:?}\n\
         run TIDEGATE_BLESS=1 cargo test --test documents, and read the diff"
    );
}

#[test]
fn every_document_names_each_fact_that_programs_rely_on() {
    let text = |name: &str| {
        let all = documents::all();
        all.into_iter().find(|document| document.path.contains(name)).unwrap().text
    };
    for fact in [
        "fulfillment_id",
        "attempt_id",
        "account_id",
        "flow",
        "mode",
        "session_id",
        "transaction_ref",
        "amount",
        "currency",
        "target_token",
        "target_network",
        "sequence",
        "proof",
        "kind",
        "event_id",
        "body_sha256",
        "position",
        "occurred_at",
        "received_at",
        "decided_at",
    ] {
        assert!(text("fulfillment").contains(&format!("\"{fact}\"")), "{fact}");
    }
    for fact in ["attempt_id", "sequence", "from", "to", "verdict", "cause", "type", "at"] {
        assert!(text("transition").contains(&format!("\"{fact}\"")), "{fact}");
    }
}
