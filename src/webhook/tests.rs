//! Stories of the door: who gets in, and what is read from what they brought.

use super::*;
use crate::attempt::ID_BYTES_MAX;
use secrecy::SecretString;
use std::borrow::Cow;

const OLD: &str = "whsec_test_old";
const NEW: &str = "whsec_test_new";
const NOW: i64 = 1_782_475_200;

const BODY: &str = concat!(
    r#"{"id":"evt_1","type":"gate_session.completed","created_at":1782475200,"data":{"#,
    r#""id":"gs_1","object":"gate_session","mode":"test","status":"completed","flow":"on_ramp","#,
    r#""amount":"100.00","currency":"EUR","user_reference":"att_1","tx_refid":"tx_1","#,
    r#""metadata":{"order":"o-1"}}}"#
);

fn secret(text: &str) -> WebhookSecret {
    WebhookSecret::new(SecretString::from(text))
}

/// A keyring in the middle of a rotation. The places are the configuration's, not the order's.
fn rotating() -> Keyring {
    Keyring::new([(SecretIndex(3), secret(OLD)), (SecretIndex(5), secret(NEW))])
}

/// The `v1` that `text` makes of [`BODY`] at [`NOW`], without its name.
fn v1(text: &str) -> String {
    secret(text).sign(NOW, BODY.as_bytes()).split_once("v1=").unwrap().1.to_owned()
}

fn verify(signature: &str) -> Result<SecretIndex, SignatureError> {
    Unverified { body: BODY.as_bytes(), signature }.verify(&rotating()).map(|v| v.secret())
}

/// What is read from `body` once a secret of ours has signed it. The one way to an event.
fn read(body: &[u8]) -> Result<Event<'_>, EnvelopeError> {
    // Leaked, because the header would have to outlive the event that is handed back.
    let signature: &str = secret(NEW).sign(NOW, body).leak();
    Unverified { body, signature }.verify(&rotating()).expect("it was signed").event()
}

/// An envelope that is usable but for what `data` says.
fn with_data(data: &str) -> String {
    format!(r#"{{"id":"evt_1","type":"gate_session.completed","created_at":1,"data":{data}}}"#)
}

#[track_caller]
fn fact_of_amount(written: &str, expected: &Fact<'_>) {
    let body = with_data(&format!(r#"{{"amount":{written}}}"#));
    assert_eq!(read(body.as_bytes()).unwrap().data.amount, *expected, "{written}");
}

fn text(text: &str) -> Fact<'_> {
    Fact::Text(Cow::Borrowed(text))
}

// The signature.

#[test]
fn while_a_secret_is_rotated_both_open_the_door_and_it_is_known_which_did() {
    assert_eq!(verify(&secret(OLD).sign(NOW, BODY.as_bytes())), Ok(SecretIndex(3)));
    assert_eq!(verify(&secret(NEW).sign(NOW, BODY.as_bytes())), Ok(SecretIndex(5)));
    let retired = secret("whsec_test_retired").sign(NOW, BODY.as_bytes());
    assert_eq!(verify(&retired), Err(SignatureError::Mismatch));
}

#[test]
fn a_header_signed_with_both_secrets_counts_for_the_first_of_the_configuration() {
    let both = format!("t={NOW},v1={},v1={}", v1(NEW), v1(OLD));
    assert_eq!(verify(&both), Ok(SecretIndex(3)));
}

#[test]
fn no_secret_opens_an_endpoint_without_secrets() {
    let signature = secret(NEW).sign(NOW, b"{}");
    let unverified = Unverified { body: b"{}", signature: &signature };
    assert_eq!(unverified.verify(&Keyring::new([])).err(), Some(SignatureError::Mismatch));
}

#[test]
fn any_v1_may_match_and_bad_ones_do_not_spoil_it() {
    let (good, bad) = (v1(NEW), "0".repeat(64));
    for header in [
        format!("t={NOW},v1={good},v1={bad}"),
        format!("t={NOW},v1={bad},v1={good}"),
        format!("t={NOW},v1=short,v1={good}"),
        format!("t={NOW},v1={},v1={good}", "g".repeat(64)),
        format!("t={NOW},v1={},v1={good}", "é".repeat(32)),
        format!("v0={bad},v1={good},t={NOW},v2"),
        format!(" t = {NOW} , v1 = {good} ,"),
    ] {
        assert_eq!(verify(&header), Ok(SecretIndex(5)), "{header}");
    }
}

#[test]
fn upper_case_hex_is_the_same_number() {
    assert_eq!(verify(&format!("t={NOW},v1={}", v1(NEW).to_uppercase())), Ok(SecretIndex(5)));
}

#[test]
fn a_signature_does_not_cover_another_time_or_other_bytes() {
    let later = format!("t={},v1={}", NOW + 1, v1(NEW));
    assert_eq!(verify(&later), Err(SignatureError::Mismatch));

    let signature = format!("t={NOW},v1={}", v1(NEW));
    for body in [&BODY[1..], &BODY[..BODY.len() - 1], ""] {
        let unverified = Unverified { body: body.as_bytes(), signature: &signature };
        assert_eq!(unverified.verify(&rotating()).err(), Some(SignatureError::Mismatch));
    }
}

#[test]
fn a_time_given_twice_is_refused() {
    let twice = format!("t={NOW},t={NOW},v1={}", v1(NEW));
    assert_eq!(verify(&twice), Err(SignatureError::Malformed("t is given twice")));
}

#[test]
fn a_header_is_read_up_to_its_bounds_and_no_further() {
    let bad = "0".repeat(64);
    let full = |count: usize| {
        let before = format!("v1={bad},").repeat(count - 1);
        format!("t={NOW},{before}v1={}", v1(NEW))
    };
    assert_eq!(verify(&full(V1_MAX)), Ok(SecretIndex(5)));
    assert_eq!(
        verify(&full(V1_MAX + 1)),
        Err(SignatureError::Malformed("it has too many signatures"))
    );

    let good = format!("t={NOW},v1={},", v1(NEW));
    let padded = |length: usize| format!("{good}{}", "x".repeat(length - good.len()));
    assert_eq!(verify(&padded(1024)), Ok(SecretIndex(5)));
    assert_eq!(verify(&padded(1025)), Err(SignatureError::Malformed("it is too long")));
}

#[test]
fn no_header_is_told_apart_from_a_header_that_cannot_be_read() {
    for missing in ["", " ", "\t "] {
        assert_eq!(verify(missing), Err(SignatureError::Missing));
    }
    let good = v1(NEW);
    for (header, why) in [
        ("garbage".to_owned(), "t is missing"),
        (",,,=,==".to_owned(), "t is missing"),
        (format!("v1={good}"), "t is missing"),
        (format!("T={NOW},V1={good}"), "t is missing"),
        (format!("t={NOW}"), "v1 is missing"),
        (format!("t={NOW},v1="), "a v1 must be 64 hex digits"),
        (format!("t={NOW},v1={}", &good[1..]), "a v1 must be 64 hex digits"),
        (format!("t={NOW},v1={good}0"), "a v1 must be 64 hex digits"),
        (format!("t={NOW},v1=0x{}", &good[2..]), "a v1 must be 64 hex digits"),
    ] {
        assert_eq!(verify(&header), Err(SignatureError::Malformed(why)), "{header}");
    }
}

#[test]
fn a_time_is_plain_digits_of_a_year_that_can_be_written() {
    for time in [
        "",
        "0",
        "-1",
        "+1",
        "1.0",
        "1e9",
        "abc",
        "1 2",
        "٣",
        "253402207201",
        "99999999999999999999",
    ] {
        let header = format!("t={time},v1={}", v1(NEW));
        assert_eq!(
            verify(&header),
            Err(SignatureError::Malformed("t is not a usable time")),
            "{time}"
        );
    }
}

#[test]
fn an_authentic_delivery_is_in_time_up_to_both_edges() {
    let signature = secret(NEW).sign(NOW, BODY.as_bytes());
    let verified = Unverified { body: BODY.as_bytes(), signature: &signature }
        .verify(&rotating())
        .ok()
        .unwrap();
    assert_eq!(verified.signed_at(), Timestamp::from_seconds(NOW));
    for (drift, expected) in [
        (-301, Timeliness::OutOfTime),
        (-300, Timeliness::InTime),
        (0, Timeliness::InTime),
        (300, Timeliness::InTime),
        (301, Timeliness::OutOfTime),
    ] {
        let now = Timestamp::from_seconds(NOW + drift);
        assert_eq!(verified.timeliness(now, 300), expected, "{drift}");
    }
    for far in [Timestamp(i64::MIN), Timestamp(i64::MAX)] {
        assert_eq!(verified.timeliness(far, 300), Timeliness::OutOfTime);
    }
}

#[test]
fn a_secret_shows_nothing_when_it_is_printed() {
    let shown = format!("{:?} {:#?} {:?}", secret(OLD), secret(OLD), rotating());
    assert!(!shown.contains("whsec") && !shown.contains("old"), "{shown}");
    assert!(shown.contains("WebhookSecret(***)"), "{shown}");
}

#[test]
fn a_secret_is_found_by_its_place_for_signing_as_the_provider_would() {
    let keyring = rotating();
    assert_eq!(keyring.get(SecretIndex(5)).unwrap().expose(), NEW);
    assert!(keyring.get(SecretIndex(0)).is_none());
}

#[test]
fn the_digest_is_of_the_raw_bytes() {
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(digest(b"").to_string(), empty);
    assert_ne!(digest(BODY.as_bytes()), digest(format!("{BODY}\n").as_bytes()));
}

// The envelope.

#[test]
fn a_completion_says_everything_an_attempt_decides_by() {
    let event = read(BODY.as_bytes()).unwrap();
    assert_eq!(event.id, "evt_1");
    assert_eq!(event.kind, EventType::SessionCompleted);
    assert_eq!(event.created_at, Timestamp::from_seconds(NOW));
    let expected = SessionData {
        id: text("gs_1"),
        user_reference: text("att_1"),
        mode: text("test"),
        flow: text("on_ramp"),
        amount: text("100.00"),
        currency: text("EUR"),
        tx_refid: text("tx_1"),
        ..SessionData::default()
    };
    assert_eq!(event.data, expected);
}

#[test]
fn nothing_is_copied_out_of_a_plain_body() {
    let event = read(BODY.as_bytes()).unwrap();
    assert!(matches!(event.id, Cow::Borrowed(_)));
    let data = &event.data;
    for fact in [&data.id, &data.user_reference, &data.mode, &data.flow, &data.amount] {
        assert!(matches!(fact, Fact::Text(Cow::Borrowed(_))), "{fact:?}");
    }
    for fact in [&data.currency, &data.tx_refid] {
        assert!(matches!(fact, Fact::Text(Cow::Borrowed(_))), "{fact:?}");
    }
    let new = r#"{"id":"evt_1","type":"rail.new","created_at":1}"#;
    let event = read(new.as_bytes()).unwrap();
    assert!(matches!(event.kind, EventType::Unknown(Cow::Borrowed("rail.new"))));
}

#[test]
fn the_eight_types_of_the_catalogue_are_known_by_their_names() {
    for (name, kind) in [
        ("gate_session.created", EventType::SessionCreated),
        ("gate_session.processing", EventType::SessionProcessing),
        ("gate_session.completed", EventType::SessionCompleted),
        ("gate_session.failed", EventType::SessionFailed),
        ("gate_session.expired", EventType::SessionExpired),
        ("gate_session.cancelled", EventType::SessionCancelled),
        ("kyc.required", EventType::KycRequired),
        ("webhook.test", EventType::Test),
    ] {
        let body = format!(r#"{{"id":"evt_1","type":"{name}","created_at":1,"data":{{}}}}"#);
        let event = read(body.as_bytes()).unwrap();
        assert_eq!(event.kind, kind);
        assert_eq!(event.kind.as_str(), name);
        assert!(EventType::NAMES.contains(&name));
    }
}

#[test]
fn a_type_that_the_provider_added_since_survives_with_its_name() {
    for name in ["rail.pay_in.settled", "gate_session.completed.v2", "GATE_SESSION.COMPLETED"] {
        let body = format!(r#"{{"id":"evt_1","type":"{name}","created_at":1,"data":{{"id":7}}}}"#);
        let event = read(body.as_bytes()).unwrap();
        assert_eq!(event.kind, EventType::Unknown(Cow::Borrowed(name)));
        assert_eq!(event.kind.as_str(), name);
    }
}

#[test]
fn fields_that_are_not_known_are_stepped_over() {
    let body = r#"{"v":2,"id":"evt_1","sequence":[1],"type":"webhook.test","created_at":1,
        "data":{"livemode":false,"note":"é","status":{"is":"new"}},"previous":null}"#;
    let event = read(body.as_bytes()).unwrap();
    assert_eq!(event.kind, EventType::Test);
    assert_eq!(event.data, SessionData::default());
}

#[test]
fn escapes_are_undone() {
    let body = r#"{"id":"evt\u005f1","\u0074ype":"gate_session\u002ecompleted","created_at":1,
        "data":{"user_reference":"a\"b\\\u00e9","id":"gs_\ud83d\ude00"}}"#;
    let event = read(body.as_bytes()).unwrap();
    assert_eq!(event.id, "evt_1");
    assert_eq!(event.kind, EventType::SessionCompleted);
    assert_eq!(event.data.user_reference.text(), Some("a\"b\\é"));
    assert_eq!(event.data.id.text(), Some("gs_😀"));
}

#[test]
fn a_null_says_nothing_like_a_missing_field() {
    let nulls = with_data(r#"{"id":null,"amount":null,"currency":null,"tx_refid":null}"#);
    let missing = r#"{"id":"evt_1","type":"gate_session.completed","created_at":1}"#;
    for body in [nulls.as_str(), &with_data("{}"), &with_data("null"), missing] {
        assert_eq!(read(body.as_bytes()).unwrap().data, SessionData::default(), "{body}");
    }
}

#[test]
fn a_whole_number_is_kept_to_the_digit() {
    fact_of_amount("0", &text("0"));
    fact_of_amount("100", &text("100"));
    fact_of_amount("9007199254740993", &text("9007199254740993"));
    fact_of_amount("18446744073709551615", &text("18446744073709551615"));
}

#[test]
fn a_number_that_may_have_lost_something_is_unreadable_rather_than_absent() {
    for written in ["100.00", "1e2", "-1", "-0", "18446744073709551616"] {
        fact_of_amount(written, &Fact::Unreadable);
    }
}

/// JSON that no value can hold. It spoils its own fact, and hides no other under its name.
#[test]
fn a_number_or_an_escape_beyond_every_value_is_unreadable_and_spoils_nothing_else() {
    for written in ["1e400", "-1e400", r#""\ud800""#, r#"{"x":1e400}"#] {
        fact_of_amount(written, &Fact::Unreadable);
        let body = with_data(&format!(r#"{{"amount":{written},"currency":"EUR","id":"gs_1"}}"#));
        let event = read(body.as_bytes()).unwrap();
        assert_eq!((event.data.currency, event.data.id), (text("EUR"), text("gs_1")), "{written}");
        let twice = with_data(&format!(r#"{{"amount":{written},"amount":"1.00"}}"#));
        assert_eq!(read(twice.as_bytes()), Err(EnvelopeError::NotAnEnvelope), "{written}");
        let cut = with_data(&format!(r#"{{"amount":{written}"#));
        assert_eq!(read(cut.as_bytes()), Err(EnvelopeError::NotAnEnvelope), "{written}");
    }
}

#[test]
fn a_fact_of_another_form_is_unreadable_and_spoils_nothing_else() {
    for written in ["true", "[]", r#"["EUR"]"#, "{}", r#"{"code":{"iso":["EUR"]}}"#] {
        let body = with_data(&format!(r#"{{"currency":{written},"amount":"1"}}"#));
        let event = read(body.as_bytes()).unwrap();
        assert_eq!(event.data.currency, Fact::Unreadable, "{written}");
        assert_eq!(event.data.currency.text(), None);
        assert_eq!(event.data.amount.text(), Some("1"));
    }
}

#[test]
fn an_event_without_a_usable_id_or_type_is_not_an_event() {
    let long = format!("\"{}\"", "x".repeat(ID_BYTES_MAX + 1));
    for unusable in ["null", r#""""#, r#""a b""#, r#""é""#, r#""a\n""#, "{}", "1.5", &long] {
        let no_id = format!(r#"{{"id":{unusable},"type":"webhook.test","created_at":1}}"#);
        assert_eq!(read(no_id.as_bytes()), Err(EnvelopeError::Unusable("id")), "{unusable}");
        let no_type = format!(r#"{{"id":"evt_1","type":{unusable},"created_at":1}}"#);
        assert_eq!(read(no_type.as_bytes()), Err(EnvelopeError::Unusable("type")), "{unusable}");
    }
    assert_eq!(read(b"{}"), Err(EnvelopeError::Unusable("id")));
    let longest = "x".repeat(ID_BYTES_MAX);
    let body = format!(r#"{{"id":"{longest}","type":"webhook.test","created_at":1}}"#);
    assert_eq!(read(body.as_bytes()).unwrap().id, longest);
}

#[test]
fn an_event_without_a_usable_time_is_not_an_event() {
    let of = |time: &str| format!(r#"{{"id":"evt_1","type":"webhook.test"{time}}}"#);
    for (time, seconds) in [("0", 0), ("1782475200", NOW), ("253402207200", 253_402_207_200)] {
        let body = of(&format!(r#","created_at":{time}"#));
        let event = read(body.as_bytes()).unwrap();
        assert_eq!(event.created_at, Timestamp::from_seconds(seconds));
    }
    for time in
        ["", r#","created_at":null"#, r#","created_at":-1"#, r#","created_at":253402207201"#]
    {
        assert_eq!(read(of(time).as_bytes()), Err(EnvelopeError::Unusable("created_at")), "{time}");
    }
    for time in ["1.0", "1e3", r#""1""#, "true", "{}", "[1]", "9223372036854775808"] {
        let body = of(&format!(r#","created_at":{time}"#));
        assert_eq!(read(body.as_bytes()), Err(EnvelopeError::NotAnEnvelope), "{time}");
    }
}

#[test]
fn bytes_that_are_no_object_are_not_an_event() {
    let plain: [&[u8]; 9] =
        [b"", b" ", b"not json", b"null", b"7", b"\"evt_1\"", b"\xff", b"{", b"{}{}"];
    for body in plain {
        assert_eq!(read(body), Err(EnvelopeError::NotAnEnvelope), "{body:?}");
    }
    let truncated = &BODY.as_bytes()[..BODY.len() - 1];
    assert_eq!(read(truncated), Err(EnvelopeError::NotAnEnvelope));
}

/// Values in the order of our declaration would be read as if they had been named.
#[test]
fn a_list_is_no_object() {
    let as_list = br#"["evt_1","gate_session.completed",1,{"id":"gs_1"}]"#;
    assert_eq!(read(as_list), Err(EnvelopeError::NotAnEnvelope));
    for data in ["[]", r#"["gs_1",null,"att_1"]"#, r#""gs_1""#, "7"] {
        let body = with_data(data);
        assert_eq!(read(body.as_bytes()), Err(EnvelopeError::NotAnEnvelope), "{data}");
    }
}

/// Readers of JSON differ over which of two values counts, so neither does.
#[test]
fn a_field_given_twice_is_refused() {
    let event = r#""id":"evt_1","type":"webhook.test","created_at":1"#;
    for body in [
        format!(r#"{{{event},"id":"evt_2"}}"#),
        format!(r#"{{{event},"\u0069d":"evt_1"}}"#),
        format!(r#"{{{event},"created_at":1}}"#),
        format!(r#"{{{event},"data":{{}},"data":{{}}}}"#),
        with_data(r#"{"amount":"1","amount":"1000"}"#),
        with_data(r#"{"tx_refid":null,"tx_refid":"tx_1"}"#),
    ] {
        assert_eq!(read(body.as_bytes()), Err(EnvelopeError::NotAnEnvelope), "{body}");
    }
    // What is stepped over may repeat itself.
    let body = format!(r#"{{{event},"x":1,"x":2}}"#);
    assert!(read(body.as_bytes()).is_ok());
}

#[test]
fn ten_thousand_levels_of_nesting_do_not_reach_the_end_of_the_stack() {
    const DEPTH: usize = 10_000;
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        let deep = format!("{}1{}", open.repeat(DEPTH), close.repeat(DEPTH));
        let stepped_over = with_data(&format!(r#"{{"metadata":{deep},"amount":"1"}}"#));
        assert_eq!(read(stepped_over.as_bytes()).unwrap().data.amount.text(), Some("1"));
        fact_of_amount(&deep, &Fact::Unreadable);

        let unfinished = with_data(&format!(r#"{{"metadata":{}"#, open.repeat(DEPTH)));
        assert_eq!(read(unfinished.as_bytes()), Err(EnvelopeError::NotAnEnvelope));
        assert!(read(deep.as_bytes()).is_err());
    }
}

#[test]
fn unsigned_headers_that_disagree_are_counted_and_change_nothing() {
    let event = read(BODY.as_bytes()).unwrap();
    let said =
        |event_id, event_type| event.disagreements(&UnsignedHeaders { event_id, event_type });
    assert_eq!(said(None, None), 0);
    assert_eq!(said(Some("evt_1"), Some("gate_session.completed")), 0);
    assert_eq!(said(Some("evt_2"), None), 1);
    assert_eq!(said(Some("evt_1"), Some("gate_session.failed")), 1);
    assert_eq!(said(Some(""), Some("Gate_Session.Completed")), 2);
}
