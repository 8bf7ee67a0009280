//! The pages, as they are read. `UPDATE_EXPECT=1` rewrites them; read the difference.

use super::{SOUND, SOUND_SECRETS, about, findings_with, page};
use expect_test::{Expect, expect};

#[track_caller]
fn shows(text: &str, expected: Expect) {
    expected.assert_eq(&page(&about(text)));
}

#[track_caller]
fn shows_of_variable(name: &str, value: &str, expected: Expect) {
    let mut environment = SOUND_SECRETS.to_vec();
    environment.push((name, value));
    expected.assert_eq(&page(&findings_with(SOUND, &environment)));
}

#[test]
fn a_sound_configuration_has_no_findings() {
    shows("", expect![""]);
}

#[test]
fn an_unknown_key_is_told_its_neighbour() {
    shows(
        "[kafka]\nbrokerz = \"kafka:9092\"\n",
        expect![[r#"
        error: unknown key `brokerz` in `kafka`
          --> tidegate.toml:4:1
          |
        4 | brokerz = ***
          | ^^^^^^^
          = fix: did you mean `brokers`?
    "#]],
    );
}

#[test]
fn a_key_in_the_wrong_table_is_told_the_right_one() {
    shows(
        "[http]\ntolerance = \"300s\"\n",
        expect![[r#"
        error: unknown key `tolerance` in `http`
          --> tidegate.toml:4:1
          |
        4 | tolerance = ***
          | ^^^^^^^^^
          = fix: did you mean `webhook.tolerance`?
    "#]],
    );
}

#[test]
fn an_unknown_variable_is_told_its_neighbour() {
    shows_of_variable(
        "TIDEGATE_KAFKA__BROKRES",
        "kafka:9092",
        expect![[r#"
        error: TIDEGATE_KAFKA__BROKRES sets no known key
          --> environment variable TIDEGATE_KAFKA__BROKRES
          = fix: did you mean TIDEGATE_KAFKA__BROKERS?
    "#]],
    );
}

#[test]
fn a_variable_with_a_table_in_it_is_told_how_to_set_one_key() {
    shows_of_variable(
        "TIDEGATE_LOG",
        "debug",
        expect![[r#"
        error: TIDEGATE_LOG must be a TOML table, for `log`
          --> environment variable TIDEGATE_LOG
          = fix: set one key of it, such as TIDEGATE_LOG__FILTER, or write the whole in { }
    "#]],
    );
}

#[test]
fn a_wrong_value_in_a_variable_is_found_there() {
    shows_of_variable(
        "TIDEGATE_WEBHOOK__TOLERANCE",
        "2h",
        expect![[r#"
        error: `webhook.tolerance` is more than 1h: "2h"
          --> environment variable TIDEGATE_WEBHOOK__TOLERANCE
          = fix: use 1ms to 1h, 0Gate's own is 300s: without a window clocks that differ refuse every delivery, with a wide one a captured delivery can be sent again
    "#]],
    );
}

#[test]
fn a_value_of_the_wrong_type() {
    shows(
        "[http]\nmax_body = 262144\n",
        expect![[r#"
        error: `http.max_body` must be a text, not a whole number
          --> tidegate.toml:4:12
          |
        4 | max_body = 262144
          |            ^^^^^^
          = fix: write a number with its unit, such as "256KiB"
    "#]],
    );
}

#[test]
fn a_word_that_is_none() {
    shows(
        "policy.failed = \"keep-open\"\n",
        expect![[r#"
        error: `policy.failed` cannot be "keep-open"
          --> tidegate.toml:3:17
          |
        3 | policy.failed = "keep-open"
          |                 ^^^^^^^^^^^
          = fix: did you mean "keep_open"?
    "#]],
    );
}

#[test]
fn a_missing_secret_file() {
    shows(
        "signing.keys = [{ file = \"/nonexistent/signing-key\" }]\n",
        expect![[r#"
        error: the file /nonexistent/signing-key, which should hold `signing.keys[0]`, does not exist
          --> tidegate.toml:3:17
          |
        3 | signing.keys = [{ file = "/nonexistent/signing-key" }]
          |                 ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
          = fix: create it, or mend the path; it is relative to the working directory
    "#]],
    );
}

#[test]
fn a_secret_written_into_the_file() {
    shows(
        "[endpoints.other]\nsecrets = [\"whsec_live_canary\"] # canary\n",
        expect![[r#"
        error: `endpoints.other.secrets[0]` holds a secret itself
          --> tidegate.toml:4:12
          |
        4 | secrets = [***]
          |            ^^^
          = fix: put the secret in a file of its own and write { file = "/path/to/it" }, or in an environment variable and write { env = "ITS_NAME" }: a configuration is copied, committed and shown, a secret must not be
    "#]],
    );
}

#[test]
fn a_secret_where_its_file_should_be_named() {
    shows(
        "gate.key = { file = \"sk_live_canary\" }\n",
        expect![[r#"
        error: `gate.key` holds a secret where the name of its place belongs
          --> tidegate.toml:3:6
          |
        3 | gate.key = { file = *** }
          |      ^^^
          = fix: put the secret in a file and write the file's path, or in an environment variable and write the variable's name
    "#]],
    );
}

#[test]
fn the_same_address_twice() {
    shows(
        "[listen]\napi = \"0.0.0.0:8482\"\n",
        expect![[r#"
            error: `listen.api` and `listen.ops` are at the same address, 127.0.0.1:8482
              --> tidegate.toml:4:7
              |
            4 | api = "0.0.0.0:8482"
              |       ^^^^^^^^^^^^^^
              = fix: give each listener a port of its own: each is trusted differently
        "#]],
    );
}

#[test]
fn an_address_without_a_host() {
    shows(
        "listen.public = \":8480\"\n",
        expect![[r#"
        error: `listen.public` is no address: ":8480"
          --> tidegate.toml:3:17
          |
        3 | listen.public = ":8480"
          |                 ^^^^^^^
          = fix: write "127.0.0.1:8480"
    "#]],
    );
}

#[test]
fn a_bad_duration() {
    shows(
        "webhook.tolerance = \"5 minutes\"\n",
        expect![[r#"
        error: `webhook.tolerance` has a unit that is not known: "5 minutes"
          --> tidegate.toml:3:21
          |
        3 | webhook.tolerance = "5 minutes"
          |                     ^^^^^^^^^^^
          = fix: write a duration such as "5s" (units: ms, s, m, h, d)
    "#]],
    );
}

#[test]
fn a_bad_size() {
    shows(
        "http.max_body = \"256KB\"\n",
        expect![[r#"
        error: `http.max_body` is in `KB`, which is not a unit of size here: "256KB"
          --> tidegate.toml:3:17
          |
        3 | http.max_body = "256KB"
          |                 ^^^^^^^
          = fix: write "256KiB": units are powers of 1024
    "#]],
    );
}

#[test]
fn a_size_out_of_bounds() {
    shows(
        "http.max_body = \"2MiB\"\n",
        expect![[r#"
        error: `http.max_body` is more than 1MiB: "2MiB"
          --> tidegate.toml:3:17
          |
        3 | http.max_body = "2MiB"
          |                 ^^^^^^
          = fix: use 4KiB to 1MiB: real completions are near 2KiB, and a body must fit a record of the journal and of a topic
    "#]],
    );
}

#[test]
fn a_file_that_is_no_toml() {
    shows(
        "[listen]\npublic = 127.0.0.1:8480\n",
        expect![[r#"
        error: this is no TOML: invalid float, expected nothing
          --> tidegate.toml:4:15
          |
        4 | public = ***.***.***.***
          |                 ^^^^^^^^
          = fix: texts stand in "quotation marks", lists in [ ], tables under [name] or in { }
    "#]],
    );
}

#[test]
fn a_key_written_twice() {
    shows(
        "mode = \"test\"\nmode = \"live\"\n",
        expect![[r#"
            error: this is no TOML: duplicate key
              --> tidegate.toml:4:1
              |
            4 | mode = "***"
              | ^^^^
              = fix: keep one of the two
        "#]],
    );
}

#[test]
fn adopting_where_attempts_are_created() {
    let text = "gate.key = { env = \"SHOP\" }\npolicy.unknown_session = \"adopt\"\n";
    shows(
        text,
        expect![[r#"
        error: `policy.unknown_session` cannot be "adopt" together with `gate.key`
          --> tidegate.toml:4:26
          |
        4 | policy.unknown_session = "adopt"
          |                          ^^^^^^^
          = fix: write "park": with a key attempts are created here, and a session adopted at once could be one of theirs, fulfilled twice
    "#]],
    );
}

#[test]
fn all_mistakes_at_once_in_the_order_of_the_file() {
    shows(
        "engin = 1\nlanes = 0\n[log]\nformat = \"xml\"\n[redis]\nurl = 5\n",
        expect![[r#"
        error: unknown key `engin`
          --> tidegate.toml:3:1
          |
        3 | engin = ***
          | ^^^^^
          = fix: did you mean `engine`?

        error: `lanes` cannot be 0
          --> tidegate.toml:4:9
          |
        4 | lanes = 0
          |         ^
          = fix: use 1 to 1024, or leave it out for the number of cores

        error: `log.format` cannot be "xml"
          --> tidegate.toml:6:10
          |
        6 | format = "xml"
          |          ^^^^^
          = fix: write one of "auto", "pretty", "json"

        error: `redis.url` must be a text, not a whole number
          --> tidegate.toml:8:7
          |
        8 | url = ***
          |       ^^^
          = fix: write it in quotation marks
    "#]],
    );
}
