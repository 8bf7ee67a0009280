//! What one delivery costs at the door: the HMAC, the digest, the envelope.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use secrecy::SecretString;
use std::hint::black_box;
use tidegate::webhook::{Keyring, SecretIndex, Unverified, WebhookSecret, digest};

/// A completion as the provider sends it, with the notes that a partner may put on a session.
const BODY: &str = concat!(
    r#"{"id":"6f1c1d6e-0c3b-4a51-9a57-3f6d0b8f2a10","type":"gate_session.completed","#,
    r#""created_at":1782475200,"data":{"id":"gs_live_01JYN4Q6W3T8Z5B7C9D1E2F3G4","#,
    r#""object":"gate_session","partner_id":"prt_01JXA7M2K9P4R6S8T0V1W3X5Y7","mode":"live","#,
    r#""status":"completed","flow":"on_ramp","amount":"1249.90","currency":"EUR","#,
    r#""target_token":"USDC","target_network":"arbitrum","#,
    r#""wallet_address":"0x52908400098527886E0F7030069857D2E4169EE7","#,
    r#""return_url":"https://shop.example/checkout/return?order=order_2026_0626_48213","#,
    r#""cancel_url":"https://shop.example/checkout/cancel?order=order_2026_0626_48213","#,
    r#""user_reference":"att_01JYN4PZK2M3N4P5Q6R7S8T9V0","metadata":{"#,
    r#""order_id":"order_2026_0626_48213","cart_id":"cart_9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d","#,
    r#""channel":"web","locale":"de-DE","campaign":"summer-2026","store":"berlin-mitte","#,
    r#""customer_segment":"returning","risk_band":"low","loyalty_tier":"silver","#,
    r#""items":[{"sku":"SKU-48213-A","quantity":2},{"sku":"SKU-11907-C","quantity":1}],"#,
    r#""invoice":"INV-2026-004821","cost_center":"4711","delivery":"pickup","#,
    r#""support":"https://help.example/o/48213"},"#,
    r#""expires_at":"2026-06-26T12:30:00Z","created_at":"2026-06-26T11:58:21Z","#,
    r#""tx_refid":"tx_01JYN4V8B0C2D4E6F8G0H2J4K6"}}"#
);

fn secret(text: &str) -> WebhookSecret {
    WebhookSecret::new(SecretString::from(text))
}

fn door(c: &mut Criterion) {
    let ours = "whsec_live_0123456789abcdef0123456789abcdef";
    let body = BODY.as_bytes();
    let one = Keyring::of_one(secret(ours));
    let two = Keyring::new([
        (SecretIndex(0), secret("whsec_live_ffffffffffffffffffffffffffffffff")),
        (SecretIndex(1), secret(ours)),
    ]);
    let signature = secret(ours).sign(1_782_475_200, body);
    let unverified = Unverified { body, signature: &signature };
    let verified = unverified.verify(&one).expect("it was signed");
    assert!(verified.event().is_ok(), "a realistic body is an event");

    let mut group = c.benchmark_group(format!("door/{}-bytes", body.len()));
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("verify", |b| {
        b.iter(|| black_box(unverified).verify(&one).is_ok());
    });
    group.bench_function("verify, two secrets", |b| {
        b.iter(|| black_box(unverified).verify(&two).is_ok());
    });
    group.bench_function("event", |b| b.iter(|| black_box(verified).event().is_ok()));
    group.bench_function("verify and event", |b| {
        b.iter(|| black_box(unverified).verify(&one).map(|verified| verified.event().is_ok()).ok());
    });
    group.bench_function("digest", |b| b.iter(|| digest(black_box(body))));
    group.finish();
}

criterion_group!(benches, door);
criterion_main!(benches);
