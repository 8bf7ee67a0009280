//! By TLS, and as a user.

use crate::on_redis::{PARTITION, apply, has, text};
use crate::support::services::certificates::Authority;
use crate::support::services::redis::Redis;
use crate::support::services::sentinels::Secured;
use futures_util::future::join_all;
use secrecy::SecretString;
use std::time::{Duration, Instant};
use tidegate::adapters::redis::{RedisError, RedisOptions, RedisView};
use tidegate::ports::View;

const PASSWORD: &str = "canary-of-the-user";

/// Longer than a refusal may take.
const SOON: Duration = Duration::from_secs(12);

/// A server with a certificate for `localhost`, and whoever signed that.
fn server(settings: &[&str]) -> (Redis, Authority) {
    let authority = Authority::make();
    let certificate = authority.sign("redis", "DNS:localhost");
    (Redis::start_tls(&certificate, settings), authority)
}

fn by_tls(server: &Redis, authority: &Authority) -> RedisOptions {
    let ca_file = Some(authority.file());
    RedisOptions { ca_file, ..RedisOptions::new(format!("rediss://{}", server.tls()), "t") }
}

async fn refused(options: &RedisOptions) -> RedisError {
    let began = Instant::now();
    let refused = RedisView::open(options).await.err().unwrap();
    assert!(began.elapsed() < SOON, "after {:?}: {refused}", began.elapsed());
    refused
}

#[actix::test]
async fn what_was_applied_is_found_by_tls() {
    let (server, authority) = server(&[]);
    let view = RedisView::open(&by_tls(&server, &authority)).await.unwrap();
    view.apply(apply(0, 10, 300, "first")).await.unwrap();
    assert_eq!(has(&view, "name7").await, (10, Some(text("first"))));
}

#[actix::test]
async fn sentinels_and_the_primary_that_they_name_are_reached_by_tls() {
    let authority = Authority::make();
    let certificate = authority.sign("redis", "IP:127.0.0.1");
    let server = Redis::start_tls(&certificate, &[]);
    let sentinel = Secured::watch(&server, &authority, &certificate);
    let ca_file = Some(authority.file());
    let options = RedisOptions { ca_file, ..RedisOptions::new(sentinel.url(), "t") };
    let view = RedisView::open(&options).await.unwrap();
    view.apply(apply(0, 10, 3, "first")).await.unwrap();
    assert_eq!(has(&view, "name2").await, (10, Some(text("first"))));
}

#[actix::test]
async fn a_certificate_of_somebody_unknown_is_refused() {
    let (server, _) = server(&[]);
    let another = Authority::make();
    let of_another = by_tls(&server, &another);
    let of_the_public = RedisOptions { ca_file: None, ..of_another.clone() };
    for options in [of_another, of_the_public] {
        let refused = refused(&options).await;
        assert!(matches!(refused, RedisError::Untrusted { .. }), "{refused}");
        assert!(refused.fix().contains("redis.ca_file"));
    }
}

#[actix::test]
async fn a_certificate_of_another_name_is_refused() {
    let (server, authority) = server(&[]);
    let mut options = by_tls(&server, &authority);
    options.url = format!("rediss://{}", server.tls().replace("localhost", "127.0.0.1")).into();
    let refused = refused(&options).await;
    assert!(matches!(refused, RedisError::Untrusted { .. }), "{refused}");
}

#[actix::test]
async fn whoever_speaks_otherwise_is_told_how() {
    let (server, authority) = server(&[]);
    let plainly = RedisOptions::new(format!("redis://{}", server.tls()), "t");
    let tls = format!("rediss://127.0.0.1:{}", server.port);
    let tls = RedisOptions { url: tls.into(), ..by_tls(&server, &authority) };
    for refused in join_all([refused(&plainly), refused(&tls)]).await {
        assert!(matches!(refused, RedisError::Unreachable { .. }), "{refused}");
        assert!(refused.fix().contains("rediss://"));
    }
}

#[actix::test]
async fn a_file_without_a_certificate_trusts_nobody() {
    let (server, authority) = server(&[]);
    let mut options = by_tls(&server, &authority);
    options.ca_file = Some("Cargo.toml".into());
    let refused = refused(&options).await;
    assert!(matches!(refused, RedisError::Authority { .. }), "{refused}");
    assert_eq!(options.refusal(), Some(refused));
}

/// What docs/operating.md says that the user needs, and nothing else.
const RIGHTS: &str = "~{t:* +info +time +evalsha +script|load +hgetall +hget +hmget +hset +hincrby \
                      +hlen +hdel +del +unlink";

fn as_user(server: &Redis, authority: &Authority, password: &str) -> RedisOptions {
    let options = by_tls(server, authority);
    let url: SecretString = format!("rediss://tidegate@{}", server.tls()).into();
    RedisOptions { url, password: Some(password.into()), ..options }
}

#[actix::test]
async fn a_user_with_the_rights_that_are_documented_is_enough() {
    let (server, authority) = server(&[]);
    server.says(&format!("ACL SETUSER tidegate on >{PASSWORD} {RIGHTS}"));
    let options = as_user(&server, &authority, PASSWORD);
    let view = RedisView::open(&options).await.unwrap();
    view.apply(apply(0, 10, 300, "first")).await.unwrap();
    assert_eq!(has(&view, "name7").await, (10, Some(text("first"))));
    assert_eq!(view.scan(PARTITION, text(""), 1_000).await.unwrap().len(), 300);
    server.says("DEL {t:3}:meta");
    assert_eq!(view.position(PARTITION).await.unwrap().changelog, 0);
    tidegate::adapters::redis::examine(&options).await.unwrap();
}

#[actix::test]
async fn a_wrong_password_and_a_user_without_rights_are_refused_in_silence_about_it() {
    let (server, authority) = server(&[]);
    server.says(&format!("ACL SETUSER tidegate on >{PASSWORD} ~* +ping"));
    for password in ["canary-that-is-wrong", PASSWORD] {
        let options = as_user(&server, &authority, password);
        let refused = refused(&options).await;
        assert!(matches!(refused, RedisError::Refused { .. }), "{refused}");
        let said = format!("{refused} {refused:?} {options:?}");
        assert!(!said.contains("canary"), "{said}");
    }
}
