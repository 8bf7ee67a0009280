//! The metrics, the page that explains them, and the dashboards and alert rules that ask for them:
//! each names what there is, and each query gives something on a process under load.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that cannot go on fails")]

mod support;

mod dashboards {
    pub mod boards;
    pub mod load;
}

use dashboards::boards::{self, Dashboard, is_a_series, series_named};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use tidegate::telemetry::{Described, Metrics};

fn described() -> Vec<Described> {
    Metrics::new().unwrap().described().to_vec()
}

fn page() -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    fs::read_to_string(page).unwrap()
}

/// Name, kind and labels of each row of the page's tables.
fn documented() -> BTreeMap<String, (String, String)> {
    let bare = |cell: &str| cell.replace(['`', ' '], "");
    let page = page();
    let rows = page.lines().filter(|line| line.starts_with("| `tidegate_"));
    rows.map(|row| {
        let cells: Vec<String> = row.split('|').map(bare).collect();
        (cells[1].clone(), (cells[2].clone(), cells[3].clone()))
    })
    .collect()
}

#[test]
fn every_metric_is_explained_and_every_explained_metric_exists() {
    let exist = described()
        .into_iter()
        .map(|metric| (metric.name.to_owned(), (metric.kind.to_owned(), metric.labels.join(","))));
    assert_eq!(documented(), exist.collect(), "docs/metrics.md on the left");
}

#[test]
fn every_metric_is_named_as_its_kind_asks() {
    for metric in described() {
        let Described { name, kind, help, .. } = metric;
        assert!(name.starts_with("tidegate_") && help.ends_with('.'), "{name}: {help}");
        assert_eq!(name.ends_with("_total"), kind == "counter", "{name} is a {kind}");
    }
}

/// A series that appears with its first event has no increase that a rule could see.
#[test]
fn every_series_is_there_before_anything_happens() {
    let metrics = Metrics::new().unwrap();
    metrics.begin(2, 3);
    let text = String::from_utf8(metrics.render().unwrap()).unwrap();
    let shown = series_named(&text);
    // Its labels are the endpoints and secrets of the configuration: the door begins it.
    let by_configuration = "tidegate_door_secret_total";
    let missing: Vec<&str> = described()
        .iter()
        .map(|metric| metric.name)
        .filter(|name| *name != by_configuration && !shown.contains(*name))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(text.contains("tidegate_partition_lag{partition=\"2\"} 0"), "{text}");
}

#[test]
fn dashboards_and_alerts_name_metrics_that_exist() {
    let described = described();
    let mut texts: Vec<(String, String)> = boards::all()
        .into_iter()
        .map(|Dashboard { file, json }| (file, json.to_string()))
        .collect();
    let alerts = fs::read_to_string(boards::folder().join("alerts.yaml")).unwrap();
    texts.push(("alerts.yaml".to_owned(), alerts));
    for (file, text) in texts {
        let named = series_named(&text);
        assert!(named.len() > 5, "{file} hardly names a metric: {named:?}");
        let unknown: Vec<&String> =
            named.iter().filter(|name| !is_a_series(name, &described)).collect();
        assert!(unknown.is_empty(), "{file} names {unknown:?}");
    }
}

#[test]
fn dashboards_are_whole_and_find_their_data_source_by_its_variable() {
    let dashboards = boards::all();
    assert_eq!(dashboards.len(), 3);
    let uids: BTreeSet<&str> =
        dashboards.iter().map(|one| one.json["uid"].as_str().unwrap()).collect();
    assert_eq!(uids.len(), dashboards.len(), "{uids:?}");
    for dashboard in &dashboards {
        let file = &dashboard.file;
        let variable = &dashboard.json["templating"]["list"][0];
        let is_source = variable["name"] == "datasource" && variable["query"] == "prometheus";
        assert!(is_source && variable["type"] == "datasource", "{file}: {variable}");
        let ids: BTreeSet<u64> =
            dashboard.panels().iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
        assert_eq!(ids.len(), dashboard.panels().len(), "{file}: {ids:?}");
        for chart in dashboard.charts() {
            let title = chart["title"].as_str().unwrap();
            let explained = chart["description"].as_str().is_some_and(|says| says.len() > 20);
            let unit = chart["fieldConfig"]["defaults"]["unit"].is_string();
            let source = chart["datasource"]["uid"] == "${datasource}";
            assert!(explained && unit && source, "{file}: {title}");
        }
    }
}

/// Alert rules that say nothing, or do not say what they guard, wake people for nothing.
#[test]
fn every_alert_is_explained_and_tried() {
    let text = fs::read_to_string(boards::folder().join("alerts.yaml")).unwrap();
    let page = page();
    let alerts: Vec<&str> =
        text.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 10, "{alerts:?}");
    let unexplained: Vec<&&str> =
        alerts.iter().filter(|alert| !page.contains(&format!("`{alert}`"))).collect();
    assert!(unexplained.is_empty(), "docs/metrics.md does not say what to do: {unexplained:?}");
    let tried = fs::read_to_string(boards::folder().join("alerts.test.yaml")).unwrap();
    let times = |alert: &str| tried.matches(&format!("alertname: {alert}")).count();
    let untried: Vec<&&str> = alerts.iter().filter(|alert| times(alert) < 2).collect();
    assert!(untried.is_empty(), "alerts.test.yaml does not try both: {untried:?}");
}

mod on_prometheus {
    use super::boards;
    use std::process::Command;

    fn promtool(words: &[&str]) {
        let said = Command::new("promtool").args(words).current_dir(boards::folder()).output();
        let said = said.expect("promtool is missing; on Debian: apt-get install prometheus");
        let text = String::from_utf8_lossy(&said.stdout) + String::from_utf8_lossy(&said.stderr);
        assert!(said.status.success(), "promtool {words:?}\n{text}");
    }

    #[test]
    fn the_alert_rules_are_understood() {
        promtool(&["check", "rules", "alerts.yaml"]);
    }

    /// Each story has a moment at which its alert stands and one at which it does not.
    #[test]
    fn the_alerts_stand_when_they_should_and_not_before() {
        promtool(&["test", "rules", "alerts.test.yaml"]);
    }
}

mod on_kafka {
    use super::boards;
    use super::dashboards::load::{Load, garbage};
    use super::support::cluster::Cluster;
    use super::support::served::Configured;
    use super::support::services::prometheus::Prometheus;
    use std::time::{Duration, Instant};

    /// How long the last query may take to give something.
    const PATIENCE: Duration = Duration::from_secs(30);

    /// What Grafana puts in the place of its variables.
    fn filled_in(expression: &str) -> String {
        expression
            .replace("$__rate_interval", "15s")
            .replace("$__range", "2m")
            .replace("$instance", ".*")
    }

    /// Every query of a dashboard, and what each alert rule compares with a number.
    fn queries(prometheus: &Prometheus) -> Vec<(String, String)> {
        let dashboards = boards::all();
        let shown = dashboards.iter().flat_map(|dashboard| dashboard.queries());
        let mut all: Vec<(String, String)> =
            shown.map(|query| (query.shown, filled_in(&query.expression))).collect();
        for rule in prometheus.rules() {
            let name = format!("alerts.yaml: {}", rule["name"].as_str().unwrap());
            let query = rule["query"].as_str().unwrap();
            let (asked, bound) =
                query.rsplit_once(" > ").unwrap_or_else(|| panic!("{name}: {query}"));
            assert!(bound.parse::<f64>().is_ok(), "{name} compares with {bound}");
            all.push((name, asked.to_owned()));
        }
        all
    }

    /// Those that give nothing, and what they gave.
    fn silent(prometheus: &Prometheus, queries: &[(String, String)]) -> Vec<String> {
        let mut silent = vec![];
        for (shown, query) in queries {
            let gave = prometheus.query(query);
            let something = gave.as_ref().is_ok_and(|values| values.iter().any(|it| !it.is_nan()));
            if !something {
                silent.push(format!("{shown}\n  {query}\n  {gave:?}"));
            }
        }
        silent
    }

    #[actix::test]
    async fn every_query_gives_something_on_a_cluster_under_load() {
        let cluster = Cluster::make("dashboards", 6, 2).await;
        cluster.redis.says("CONFIG SET maxmemory 268435456");
        let configured = Configured::of(&cluster, &cluster.redis.url());
        let (stays, goes) = (configured.serve("a"), configured.serve("b"));
        let rules = boards::folder().join("alerts.yaml");
        let prometheus = Prometheus::scrape(&[&stays.ops, &goes.ops], &rules);
        let load = Load::start(stays.public.clone());
        tokio::time::sleep(Duration::from_secs(3)).await;
        // Its partitions are taken over, and what it wrote under is fenced.
        goes.kill();
        cluster.redis.says("FLUSHALL");
        cluster.redis.says("CONFIG SET maxmemory-policy allkeys-lru");
        garbage(&cluster);
        let queries = queries(&prometheus);
        assert!(queries.len() > 80, "only {} queries", queries.len());
        let began = Instant::now();
        let mut left = silent(&prometheus, &queries);
        while !left.is_empty() && began.elapsed() < PATIENCE {
            tokio::time::sleep(Duration::from_millis(500)).await;
            left = silent(&prometheus, &queries);
        }
        assert!(left.is_empty(), "these give nothing:\n{}", left.join("\n"));
        println!("{} queries, each gave something", queries.len());
        saw_what_happened(&prometheus).await;
        assert!(load.stop() > 20, "hardly any load");
        assert_eq!(stays.end(), Some(0));
    }

    /// A query that gives zero for ever would pass: these happened.
    async fn saw_what_happened(prometheus: &Prometheus) {
        let mut left = vec![
            r#"tidegate_outputs_total{topic="fulfillments"}"#,
            r#"tidegate_signals_total{fate="duplicate"}"#,
            r#"tidegate_alarms_total{alarm="second_payment"}"#,
            r#"tidegate_alarms_total{alarm="review"}"#,
            r#"tidegate_dead_letters_total{reason="unproven"}"#,
            r#"tidegate_dead_letters_total{reason="event_id_conflict"}"#,
            r#"tidegate_door_total{answer="signature_mismatch"}"#,
            r#"tidegate_takeovers_total{result="taken"}"#,
            "tidegate_takeover_seconds_count",
            "tidegate_writers_fenced_total",
            "tidegate_view_repairs_total",
            "tidegate_view_apply_states_sum",
            "tidegate_view_look_up_keys_sum",
            "tidegate_replayed_records_total",
            "sum(tidegate_lane_partitions) == 6",
            "tidegate_redis_memory_used_bytes",
            r#"tidegate_redis_changes_total{change="policy_changed"}"#,
            "tidegate_redis_may_evict",
            r#"tidegate_redis_looks_total{result="answered"}"#,
        ];
        let began = Instant::now();
        while !left.is_empty() && began.elapsed() < PATIENCE {
            let none =
                |query: &&str| !prometheus.query(query).unwrap().iter().any(|value| *value > 0.0);
            left.retain(none);
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        assert!(left.is_empty(), "these did not happen: {left:?}");
    }
}
