//! A process that reaches its brokers by TLS and proves who it is: everything works as it does in the
//! clear, and what is wrong is said soon, clearly, and without a password.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

mod on_kafka {
    use super::support::cluster::{Cluster, sessions};
    use super::support::says::{COMPLETED, CREATED, Event};
    use super::support::served::Configured;
    use super::support::services::certificates::{Authority, KEYSTORE_PASSWORD};
    use super::support::services::kafka::{Kafka, Secured};
    use std::process::Output;
    use std::sync::OnceLock;
    use std::time::{Duration, Instant};
    use tidegate::adapters::kafka::{self, KafkaOptions};

    const PASSWORD: &str = "canary-of-the-user";

    /// Longer than any refusal may take.
    const SOON: Duration = Duration::from_secs(25);

    struct Ground {
        kafka: Kafka,
        authority: Authority,
    }

    /// A broker whose certificate is for `localhost`; `tidegate` may do everything, `limited` what
    /// somebody allows.
    fn ground() -> &'static Ground {
        static GROUND: OnceLock<Ground> = OnceLock::new();
        GROUND.get_or_init(|| {
            let authority = Authority::make();
            let broker = authority.sign("broker", "DNS:localhost");
            let listener = "listener.name.sasl_ssl";
            let scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
            let plain = "org.apache.kafka.common.security.plain.PlainLoginModule required";
            let settings = vec![
                "sasl.enabled.mechanisms=SCRAM-SHA-256,SCRAM-SHA-512,PLAIN".to_owned(),
                format!("{listener}.scram-sha-256.sasl.jaas.config={scram}"),
                format!("{listener}.scram-sha-512.sasl.jaas.config={scram}"),
                format!("{listener}.plain.sasl.jaas.config={plain} user_tidegate=\"{PASSWORD}\";"),
                format!("{listener}.ssl.keystore.location={}", broker.keystore.display()),
                format!("{listener}.ssl.keystore.type=PKCS12"),
                format!("{listener}.ssl.keystore.password={KEYSTORE_PASSWORD}"),
                format!("{listener}.ssl.key.password={KEYSTORE_PASSWORD}"),
                "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer"
                    .to_owned(),
                "super.users=User:ANONYMOUS;User:tidegate".to_owned(),
            ];
            let known = |mechanism: &str, user: &str| {
                format!("{mechanism}=[name={user},password={PASSWORD}]")
            };
            let scram_users = vec![
                known("SCRAM-SHA-512", "tidegate"),
                known("SCRAM-SHA-256", "tidegate"),
                known("SCRAM-SHA-512", "limited"),
            ];
            Ground { kafka: Kafka::start_secured(&Secured { settings, scram_users }), authority }
        })
    }

    /// How a process reaches the broker; each story changes one thing.
    struct Way {
        brokers: String,
        protocol: &'static str,
        mechanism: &'static str,
        user: &'static str,
        password: String,
        authority: String,
    }

    impl Way {
        fn right() -> Self {
            let ground = ground();
            Self {
                brokers: ground.kafka.secured(),
                protocol: "SASL_SSL",
                mechanism: "SCRAM-SHA-512",
                user: "tidegate",
                password: PASSWORD.to_owned(),
                authority: ground.authority.file().display().to_string(),
            }
        }

        fn configured(&self, cluster: &Cluster) -> Configured {
            let Self { brokers, protocol, mechanism, user, authority, .. } = self;
            let redis = cluster.redis.url();
            let tables = format!(
                r#"
[redis]
url = "{redis}"
[kafka.properties]
"security.protocol" = "{protocol}"
"sasl.mechanism" = "{mechanism}"
"sasl.username" = "{user}"
"sasl.password" = {{ env = "KAFKA_PASSWORD" }}
"ssl.ca.location" = "{authority}"
"broker.address.family" = "v4"
"#
            );
            Configured::reaching(cluster, brokers, &tables)
                .with_variable("KAFKA_PASSWORD", &self.password)
        }
    }

    async fn cluster(name: &str) -> Cluster {
        Cluster::make_on(&ground().kafka, name, 3, 1).await
    }

    fn said(output: &Output) -> String {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        format!("{}{}", text(&output.stdout), text(&output.stderr))
    }

    fn pay(served: &super::support::served::Served, payments: u32) {
        for n in 0..payments {
            let session = format!("gs_{n:05}");
            for kind in [CREATED, COMPLETED, COMPLETED] {
                let answer =
                    served.deliver(&Event::new(&format!("evt_{n}_{kind}"), kind, &session));
                assert_eq!(answer.unwrap().status, 200);
            }
        }
    }

    #[actix::test]
    async fn what_is_paid_is_fulfilled_once_and_every_command_works() {
        let cluster = cluster("whole").await;
        for mechanism in ["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"] {
            let configured = Way { mechanism, ..Way::right() }.configured(&cluster);
            let init = configured.run(&["topics", "init", "--partitions", "3"]);
            assert_eq!(init.status.code(), Some(0), "{mechanism}: {}", said(&init));
        }
        let configured = Way::right().configured(&cluster);
        let served = configured.serve("a");
        pay(&served, 20);
        assert_eq!(cluster.fulfills(20).await, sessions(0, 20));
        assert_eq!(served.end(), Some(0));
        let verify = configured.run(&["topics", "verify"]);
        // One copy on one broker is all that is wrong.
        let verified = said(&verify);
        assert_eq!(verify.status.code(), Some(1), "{verified}");
        assert!(verified.lines().all(|line| line.contains("replicas")), "{verified}");
        let doctor = said(&configured.run(&["doctor"]));
        assert!(
            doctor.contains("ok    brokers") && doctor.contains("ok    transactions"),
            "{doctor}"
        );
        let audit = configured.run(&["audit"]);
        assert_eq!(audit.status.code(), Some(0), "{}", said(&audit));
        assert!(!format!("{doctor}{verified}{}", configured.said("a")).contains(PASSWORD));
    }

    #[actix::test]
    async fn what_topics_init_allows_a_user_is_enough() {
        let cluster = cluster("rights").await;
        let limited = Way { user: "limited", ..Way::right() }.configured(&cluster);
        let refused = limited.run(&["serve"]);
        assert_eq!(refused.status.code(), Some(78), "{}", said(&refused));
        assert!(said(&refused).contains("Describe on topics"), "{}", said(&refused));
        let init = ["topics", "init", "--partitions", "3", "--allow", "User:limited"];
        let refused = limited.run(&init);
        assert_eq!(refused.status.code(), Some(69), "{}", said(&refused));
        let allowed = Way::right().configured(&cluster).run(&init);
        assert_eq!(allowed.status.code(), Some(0), "{}", said(&allowed));
        let served = limited.serve("a");
        pay(&served, 20);
        assert_eq!(cluster.fulfills(20).await, sessions(0, 20));
        assert_eq!(served.end(), Some(0));
        let verified = said(&limited.run(&["topics", "verify"]));
        assert!(verified.lines().all(|line| line.contains("replicas")), "{verified}");
        let audit = limited.run(&["audit"]);
        assert_eq!(audit.status.code(), Some(0), "{}", said(&audit));
    }

    /// Such a user could read and write every topic, and never fence anybody nor commit anything.
    #[actix::test]
    async fn a_user_who_may_not_write_under_our_names_is_told() {
        let cluster = cluster("team.unfenced").await;
        // What begins with `team.` are its topics, and none of its transactional ids.
        let options = KafkaOptions { topic_prefix: "team".to_owned(), ..cluster.options("nobody") };
        kafka::allow(&options, "User:limited").await.unwrap();
        let limited = Way { user: "limited", ..Way::right() }.configured(&cluster);
        let prefix = format!("transactional ids that begin with {}-", cluster.name);
        for (command, code) in [(&["topics", "verify"][..], 1), (&["doctor"], 1), (&["serve"], 69)]
        {
            let output = limited.run(command);
            assert_eq!(output.status.code(), Some(code), "{command:?}: {}", said(&output));
            assert!(said(&output).contains(&prefix), "{command:?}: {}", said(&output));
        }
    }

    /// Neither `serve` nor any other command may wait for ever for what does not heal.
    async fn is_refused(name: &str, way: Way, names: &[&str]) {
        let cluster = cluster(name).await;
        let configured = way.configured(&cluster);
        let began = Instant::now();
        let commands = [&["serve"][..], &["topics", "verify"], &["audit"], &["doctor"]];
        let outputs = std::thread::scope(|scope| {
            let running = commands.map(|command| scope.spawn(|| configured.run(command)));
            running.map(|one| one.join().unwrap())
        });
        let took = began.elapsed();
        assert!(took < SOON, "they took {took:?}");
        for ((command, code), output) in commands.iter().zip([69, 69, 2, 1]).zip(outputs) {
            let told = said(&output);
            assert_eq!(output.status.code(), Some(code), "{command:?}: {told}");
            for word in names {
                assert!(told.contains(word), "{command:?} does not name {word}: {told}");
            }
            assert!(!told.contains(&way.password), "{command:?}: {told}");
        }
    }

    #[actix::test]
    async fn a_wrong_password_is_said() {
        let way = Way { password: "canary-that-is-wrong".to_owned(), ..Way::right() };
        is_refused("password", way, &["sasl.password", "uthentication"]).await;
    }

    #[actix::test]
    async fn a_certificate_of_somebody_unknown_is_said() {
        let stranger = Authority::make();
        let way = Way { authority: stranger.file().display().to_string(), ..Way::right() };
        is_refused("stranger", way, &["certificate verify failed", "ssl.ca.location"]).await;
    }

    #[actix::test]
    async fn a_certificate_of_another_name_is_said() {
        let brokers = Way::right().brokers.replace("localhost", "127.0.0.1");
        let way = Way { brokers, ..Way::right() };
        is_refused("name", way, &["certificate", "use names that stand in them"]).await;
    }

    #[actix::test]
    async fn plain_speech_at_a_port_that_speaks_tls_is_said() {
        let way = Way { protocol: "SASL_PLAINTEXT", ..Way::right() };
        is_refused("plain", way, &["security.protocol", "SASL_SSL"]).await;
    }

    #[actix::test]
    async fn tls_at_a_port_that_speaks_plainly_is_said() {
        let way = Way { brokers: ground().kafka.brokers.clone(), ..Way::right() };
        is_refused("tls", way, &["security.protocol", "PLAINTEXT"]).await;
    }
}
