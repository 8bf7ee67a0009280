//! The audit of a cluster: clean where everything is as it was decided, whoever wrote the signals
//! and whatever was compacted away; and not where somebody else wrote an output.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

mod on_kafka {
    use super::support::cluster::{Cluster, PATIENCE, sessions};
    use super::support::says::{self, COMPLETED, Event};
    use std::time::{Duration, Instant};
    use tidegate::adapters::kafka::Past;
    use tidegate::audit::{self, AuditError, Extent, Invariant, Report};
    use tidegate::wire::Topic;

    fn audited(cluster: &Cluster) -> Result<Report, AuditError> {
        let past = Past::open(cluster.options("judge"), says::admission()).unwrap();
        audit::audit_cluster(&past, &says::trust().keys, &mut |_| {})
    }

    /// Once everything is decided, however long that takes.
    async fn settled(cluster: &Cluster) -> Report {
        let began = Instant::now();
        loop {
            let report = audited(cluster).unwrap();
            if report.in_flight == 0 || began.elapsed() > PATIENCE {
                return report;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    #[actix::test]
    async fn what_others_wrote_and_what_was_sent_on_is_decided_again() {
        let cluster = Cluster::make("audit-others", 3, 1).await;
        let nothing = audited(&cluster).unwrap_err();
        assert!(nothing.to_string().contains("nothing to prove"), "{nothing}");
        let process = cluster.start("a").await;
        process.pay(0, 50).await;
        for n in 50..59 {
            let (id, session) = (format!("evt_{n}"), format!("gs_{n:05}"));
            let mut body = Event::new(&id, COMPLETED, &session).body().to_vec();
            if n == 50 {
                // As large as is believed, and two thirds of these are to be sent on.
                body.resize(1 << 20, b' ');
            }
            let signature = says::secret().sign(says::now().seconds(), &body);
            cluster.produce(n % 3, &[("gate-signature", signature.as_bytes())], Some(&body));
            cluster.produce((n + 1) % 3, &[("gate-signature", signature.as_bytes())], Some(&body));
            cluster.produce(n % 3, &[("tg-signature", b"0.00"), ("tg-hop", b"x")], Some(&body));
        }
        assert_eq!(cluster.fulfills(59).await, sessions(0, 59));
        let report = settled(&cluster).await;
        assert!(report.is_clean(), "{report:#?}");
        assert_eq!((report.attempts, report.fulfillments, report.undecided), (59, 59, 0));
        assert_eq!((report.counts.dead_lettered, report.in_flight), (9, 0));
        assert!(report.counts.forwarded_out >= 9, "{report:#?}");
        assert!(report.warnings[0].contains("9 signals are signed by nobody"), "{report:#?}");
        process.stop().await;
        assert!(audited(&cluster).unwrap().is_clean(), "and when nobody runs any more");
    }

    #[actix::test]
    async fn it_is_clean_beside_a_process_that_works() {
        let cluster = Cluster::make("audit-beside", 4, 2).await;
        let process = cluster.start("a").await;
        for part in 0..8 {
            process.pay(part * 100, part * 100 + 100).await;
            let report = audited(&cluster).unwrap();
            assert!(report.is_clean(), "{report:#?}");
        }
        assert_eq!(cluster.fulfills(800).await, sessions(0, 800));
        process.stop().await;
    }

    #[actix::test]
    async fn an_output_that_nobody_decided_is_a_witness() {
        let cluster = Cluster::at_rest("audit-planted", 1, 5).await;
        assert!(audited(&cluster).unwrap().is_clean());
        // A copy of a fulfillment, as somebody with the right to write may leave it.
        let first = cluster.committed(Topic::Fulfillments).swap_remove(0);
        let copy = serde_json::to_vec(&first).unwrap();
        cluster.plant(Topic::Fulfillments, 0, &[("tg-txn", b"9.9")], b"gs_00000", &copy);
        let report = audited(&cluster).unwrap();
        assert_eq!(report.broken(Invariant::OneFulfillment), 1, "{report:#?}");
        assert!(report.broken(Invariant::Atomic) >= 1, "{report:#?}");
        assert!(report.broken(Invariant::NoUnprovenFulfillment) >= 1, "{report:#?}");
    }

    #[actix::test]
    async fn a_state_that_somebody_changed_is_a_witness() {
        let cluster = Cluster::at_rest("audit-state", 1, 5).await;
        cluster.plant(Topic::Attempts, 0, &[], b"s/gs_00001", b"nobody can read this");
        let report = audited(&cluster).unwrap();
        assert!(report.broken(Invariant::Atomic) >= 1, "{report:#?}");
    }

    /// Trailers and owners stand under keys of their own: of each the newest outlives the others,
    /// and that is all that a restart or an audit needs.
    #[actix::test]
    async fn what_was_compacted_away_is_neither_missed_nor_needed() {
        let cluster = Cluster::at_rest("audit-compacted", 2, 400).await;
        let before = audited(&cluster).unwrap();
        assert_eq!((before.is_clean(), before.undecided), (true, 0), "{before:#?}");
        cluster.compact_soon(Topic::Attempts).await;
        let records = |report: &Report| match report.extent {
            Extent::Topics { records, .. } => records,
            Extent::Log { .. } => panic!("{report:#?}"),
        };
        // A segment is closed by what comes after it.
        let process = cluster.start("a").await;
        let began = Instant::now();
        let mut paid = 400;
        let after = loop {
            process.pay(paid, paid + 5).await;
            paid += 5;
            cluster.fulfills(paid as usize).await;
            let after = audited(&cluster).unwrap();
            assert!(after.is_clean(), "{after:#?}");
            if after.undecided > 0 {
                break after;
            }
            assert!(began.elapsed() < 2 * PATIENCE, "nothing was compacted");
            tokio::time::sleep(Duration::from_secs(2)).await;
        };
        assert!(after.warnings.iter().any(|it| it.contains("no longer there")), "{after:#?}");
        assert!(records(&after) < records(&before) + u64::from(paid) * 12, "{after:#?}");
        process.stop().await;
        // A start without a view has nothing but what compaction left.
        cluster.redis.says("FLUSHALL");
        let process = cluster.start("b").await;
        process.pay(0, paid + 5).await;
        assert_eq!(cluster.fulfills(paid as usize + 5).await, sessions(0, paid + 5));
        let report = settled(&cluster).await;
        assert!(report.is_clean(), "{report:#?}");
        process.stop().await;
    }
}
