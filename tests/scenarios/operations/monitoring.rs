//! The dashboard and the alert rules under deploy/: each metric and label that they name is one that the server has.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::scenarios::connectors::oidc::upstream_and_branch;
use crate::world::http::{bare_client, send};
use crate::world::{ALICE, ALICE_PASSWORD, LogoutReceiver, Server, World};

const WAIT_TIMEOUT: Duration = Duration::from_mins(1);
const SKIP_APPROVAL: &str = "oauth2:\n  skipApprovalScreen: true";

const PREFIXES: [&str; 5] = ["countersign_", "dex_", "http_", "request_", "process_"];
/// Added by Prometheus, or a variable of the dashboard.
const ADDED_BY_PROMETHEUS: [&str; 3] = ["job", "instance", "le"];

fn deployed(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The PromQL expressions of both files: what follows `expr:` on a line.
fn expressions() -> Vec<String> {
    let alerts = deployed("monitoring/alerts.yaml");
    let rules = alerts.lines().filter_map(|line| line.trim().strip_prefix("expr: "));
    let dashboard = deployed("monitoring/dashboard.json");
    let panels = dashboard.lines().filter_map(|line| line.trim().strip_prefix("\"expr\": "));
    rules.chain(panels).map(|expression| expression.replace('\\', "")).collect()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// The metrics that an expression names.
fn metrics_of(expression: &str) -> BTreeSet<&str> {
    words(expression)
        .filter(|word| PREFIXES.iter().any(|prefix| word.starts_with(prefix)))
        .collect()
}

/// The labels that an expression groups by.
fn labels_of(expression: &str) -> BTreeSet<&str> {
    let groups = expression.split("by (").skip(1);
    groups.flat_map(|rest| words(rest.split(')').next().unwrap_or_default())).collect()
}

/// The families of an exposition with the labels of their samples.
fn families(exposition: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut families = BTreeMap::<String, BTreeSet<String>>::new();
    for line in exposition.lines() {
        if let Some(described) = line.strip_prefix("# TYPE ") {
            families.entry(described.split(' ').next().unwrap().to_owned()).or_default();
        } else if !line.starts_with('#') {
            let name = line.split(['{', ' ']).next().unwrap();
            let labels =
                line.split_once('{').map_or("", |(_, rest)| rest.split('}').next().unwrap());
            let labels =
                labels.split(',').filter_map(|label| label.split_once('=')).map(|(name, _)| name);
            families
                .entry(family_of(name).to_owned())
                .or_default()
                .extend(labels.map(str::to_owned));
            families.entry(name.to_owned()).or_default();
        }
    }
    families
}

/// A histogram's samples have a suffix.
fn family_of(sample: &str) -> &str {
    ["_bucket", "_sum", "_count"]
        .iter()
        .find_map(|suffix| sample.strip_suffix(suffix))
        .unwrap_or(sample)
}

/// A delivery is counted after the receiver has it.
async fn exposition_with(server: &Server, sample: &str) -> String {
    let started = Instant::now();
    loop {
        let exposition =
            send(bare_client().get(format!("{}/metrics", server.telemetry()))).await.body;
        if exposition.contains(sample) {
            return exposition;
        }
        assert!(started.elapsed() < WAIT_TIMEOUT, "no {sample} in {exposition}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn each_metric_of_the_dashboard_and_the_alerts_is_served() {
    let receiver = LogoutReceiver::start();
    let world = World::new().with(SKIP_APPROVAL).client(receiver.client("grafana"));
    let (_upstream, server) = upstream_and_branch(World::new(), world, "").await;
    let app = server.relying_party("grafana");
    let mut mallory = server.browser();
    mallory.opens(app.auth_request_with("openid", &[("connector_id", "local")]).url).await;
    mallory.signs_in(ALICE, "not-the-password").await;
    let mut alice = server.browser();
    let request = app.auth_request_with("openid", &[("connector_id", "home")]);
    let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    app.redeems(&request, &auth_response).await;
    alice.opens(server.url("/logout")).await;
    let form = alice.page().form_with("csrf").expect("a confirmation form");
    alice.submits(form).await;
    receiver.waits_for_logout_tokens(1).await;
    let exposition = exposition_with(&server, "countersign_logout_notifications_total{").await;
    let families = families(&exposition);

    let expressions = expressions();
    assert!(expressions.len() > 15, "{expressions:?}");
    for expression in &expressions {
        let metrics = metrics_of(expression);
        assert!(!metrics.is_empty(), "{expression}");
        for metric in metrics {
            let labels = families.get(family_of(metric)).unwrap_or_else(|| {
                panic!("{metric} of {expression} is not served:\n{exposition}");
            });
            for label in labels_of(expression) {
                // A family without a sample yet has no labels to compare with.
                let is_served = labels.is_empty() || labels.contains(label);
                assert!(
                    is_served || ADDED_BY_PROMETHEUS.contains(&label),
                    "{metric} has no label {label}, in {expression}"
                );
            }
        }
    }
    for result in ["refused", "delayed"] {
        let alert = expressions.iter().find(|expression| expression.contains("result=~"));
        assert!(alert.is_some_and(|alert| alert.contains(result)));
    }
    assert!(exposition.contains("result=\"refused\""), "{exposition}");
}

/// Helm reads only files inside the chart.
#[test]
fn the_chart_has_the_same_dashboard_and_alerts() {
    for file in ["alerts.yaml", "dashboard.json"] {
        let (one, other) = (
            deployed(&format!("monitoring/{file}")),
            deployed(&format!("helm/countersign/files/{file}")),
        );
        assert!(
            one == other,
            "deploy/helm/countersign/files/{file} differs from deploy/monitoring/{file}"
        );
    }
}
