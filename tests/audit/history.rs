//! A mixed history over several lives and policies: every verdict, both hops, waiting and released
//! signals, reviews, dead letters.

use super::webhooks::{body, event};
use super::world::{World, session, trust};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use tempfile::TempDir;
use tidegate::attempt::{
    Amount, AttemptId, Code, Decision, Flow, LateCompletion, Mode, News, OperatorId, Policy,
    Ruling, Terms, TransactionRef, UnknownSession,
};
use tidegate::wire::own::What;

const CREATED: &str = "gate_session.created";
const PROCESSING: &str = "gate_session.processing";
const COMPLETED: &str = "gate_session.completed";
const FAILED: &str = "gate_session.failed";
const EXPIRED: &str = "gate_session.expired";

const PAID: &[(&str, &str)] = &[("amount", "100.00"), ("currency", "EUR"), ("tx_refid", "tx_1")];

/// A copy of the one journal that all tests begin with.
pub fn journal() -> TempDir {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        // One place for every run, because nothing is dropped at the end of one.
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("audited-journal");
        let _new_here = fs::remove_dir_all(&folder);
        actix_rt::System::new().block_on(lives(&folder));
        folder
    });
    let copy = tempfile::tempdir().unwrap();
    copy_folder(made, copy.path());
    copy
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Minted, so that its events come home by their reference or by a claim.
pub fn minted(key: &str) -> AttemptId {
    trust().keys.mint("acct_1", key)
}

async fn lives(root: &Path) {
    let adopt = Policy::default();
    let world = World::start(root, adopt).await;
    adopted(&world).await;
    world.stop().await;

    let world = World::start(root, adopt).await;
    reviewed(&world).await;
    dead_letters(&world).await;
    world.stop().await;

    let park = Policy { unknown_session: UnknownSession::Park, ..adopt };
    let world = World::start(root, park).await;
    claimed(&world).await;
    world.stop().await;

    let fulfill = Policy { late_completion: LateCompletion::Fulfill, ..adopt };
    let world = World::start(root, fulfill).await;
    world.webhook("evt_90", CREATED, "gs_late", PAID).await;
    world.webhook("evt_91", EXPIRED, "gs_late", &[]).await;
    world.webhook("evt_92", COMPLETED, "gs_late", PAID).await;
    world.pass_a_second().await;
    world.append_and_stop(event("evt_93", CREATED, "gs_waits", PAID)).await;
}

async fn adopted(world: &World) {
    world.webhook("evt_1", CREATED, "gs_1", PAID).await;
    world.webhook("evt_2", PROCESSING, "gs_1", &[]).await;
    world.webhook("evt_3", COMPLETED, "gs_1", PAID).await;
    world.webhook("evt_3", COMPLETED, "gs_1", PAID).await;
    world.webhook("evt_4", COMPLETED, "gs_1", PAID).await;
    world.webhook("evt_5", FAILED, "gs_1", &[]).await;
    world.webhook("evt_6", COMPLETED, "gs_1", &[("tx_refid", "tx_2")]).await;

    world.webhook("evt_10", CREATED, "gs_failed", PAID).await;
    world.webhook("evt_11", FAILED, "gs_failed", &[("failure_reason", "declined")]).await;
    world.webhook("evt_12", PROCESSING, "gs_failed", &[]).await;

    let many = |kind: &'static str, nth: &'static str| {
        (0..20).map(move |n| event(&format!("evt_m{n}_{nth}"), kind, &format!("gs_m{n}"), PAID))
    };
    let created = many(CREATED, "a");
    world.burst(created.chain(many(COMPLETED, "b")).chain(many(CREATED, "a")).collect()).await;
}

async fn reviewed(world: &World) {
    for (name, ruling) in [("gs_2", Ruling::Fulfill), ("gs_3", Ruling::Close)] {
        let id = |nth: u8| format!("evt_{name}_{nth}");
        world.webhook(&id(0), CREATED, name, PAID).await;
        world.webhook(&id(1), EXPIRED, name, &[]).await;
        world.webhook(&id(2), COMPLETED, name, PAID).await;
        let decision = Decision {
            operator: OperatorId::parse("op_1").unwrap(),
            reason: Arc::from("the money is there"),
            ruling,
            saw: 3,
        };
        let attempt = AttemptId::from(&session(name));
        let decided = News::Decided(decision);
        world.command(&format!("cmd_{name}"), &attempt, None, decided).await;
    }
    let old = event("evt_30", COMPLETED, "gs_old", PAID);
    world.deliver_signed(old, 3_600).await;

    let what = What::Reading {
        session: session("gs_read"),
        attempt: None,
        news: News::Completed { transaction: TransactionRef::parse("tx_r").ok() },
        terms: Box::new(terms("7.50")),
        mode: Some(Mode::Test),
    };
    world.own("read_1", what).await;
}

async fn dead_letters(world: &World) {
    world.deliver(body("evt_40", "webhook.test", json!({}))).await;
    world.webhook("evt_41", "gate_session.danced", "gs_1", &[]).await;
    world.deliver(b"this is no event".to_vec()).await;
    world.webhook("evt_42", CREATED, "gs_live", &[("mode", "live")]).await;
    world.deliver(body("evt_43", CREATED, json!({}))).await;
    world.webhook("evt_3", COMPLETED, "gs_1", &[("amount", "1.00")]).await;
    let stranger = AttemptId::parse("gs_nobody").unwrap();
    world.command("cmd_none", &stranger, None, News::CancelRequested).await;
}

fn terms(amount: &str) -> Terms {
    Terms {
        flow: Some(Flow::Payment),
        amount: Amount::parse(amount).ok(),
        currency: Code::parse("EUR").ok(),
        ..Terms::default()
    }
}

async fn claimed(world: &World) {
    let created = |amount| News::Created { terms: terms(amount), endpoint: None };
    let attached = || News::Attached { endpoint: None };

    // The session is claimed, then its events come without our reference.
    let first = minted("first");
    world.command("c1", &first, None, created("100.00")).await;
    world.command("c2", &first, Some("gs_claimed"), attached()).await;
    world.webhook("evt_50", PROCESSING, "gs_claimed", &[]).await;
    world.webhook("evt_51", COMPLETED, "gs_claimed", PAID).await;

    // Its events wait until somebody claims it.
    let second = minted("second");
    world.webhook("evt_60", CREATED, "gs_parked", PAID).await;
    world.webhook("evt_61", COMPLETED, "gs_parked", PAID).await;
    world.command("c3", &second, None, created("100.00")).await;
    world.command("c4", &second, Some("gs_parked"), attached()).await;

    // Another one wants the same session and hears whose it is.
    let third = minted("third");
    world.command("c5", &third, None, created("5")).await;
    world.command("c6", &third, Some("gs_parked"), attached()).await;
    world.command("c7", &third, None, News::CancelRequested).await;

    // By reference, and on the wrong partition.
    let fourth = minted("fourth");
    world.command("c8", &fourth, None, created("100.00")).await;
    let reference = ("user_reference", fourth.as_str());
    world.misplace(event("evt_70", CREATED, "gs_ref", &[reference])).await;
    let facts = [reference, ("amount", "99.00")];
    world.webhook("evt_71", COMPLETED, "gs_ref", &facts).await;

    // Nobody has claimed this one yet.
    world.webhook("evt_80", CREATED, "gs_unclaimed", PAID).await;
}
