//! Operating Dex's gRPC API: certificates and metrics.

use serde_json::json;

use crate::world::http::{bare_client, send};
use crate::world::{DexClient, Need, Server, World, certificates};

/// The value of each sample whose name begins with `grpc_server_`, in the order of the page.
async fn samples(server: &Server) -> Vec<String> {
    let page = send(bare_client().get(format!("{}/metrics", server.telemetry()))).await;
    let lines = page.body.lines().filter(|line| line.starts_with("grpc_server_"));
    lines.map(str::to_owned).collect()
}

fn assert_has(samples: &[String], name: &str, labels: &[&str], value: &str) {
    let is_it = |line: &&String| {
        line.starts_with(&format!("{name}{{")) && labels.iter().all(|label| line.contains(label))
    };
    let found = samples.iter().find(is_it);
    let found = found.unwrap_or_else(|| panic!("no {name} {labels:?} in {samples:#?}"));
    assert_eq!(found.rsplit(' ').next(), Some(value), "{found}");
}

/// Certificates are renewed every few weeks: the authority too, here. Connections that are open stay.
#[tokio::test]
async fn grpc_a_renewed_certificate_is_used_without_a_restart() {
    if Need::Grpc.is_missing() {
        return;
    }
    let server = World::https().with_grpc().start().await;
    let old = server.file("old");
    std::fs::create_dir(&old).unwrap();
    for name in ["ca.crt", "client.crt", "client.key"] {
        std::fs::copy(server.file(name), old.join(name)).unwrap();
    }
    let mut connected = DexClient::of(&server);
    assert_eq!(connected.calls("GetVersion", json!({}))["api"], 3);

    certificates::renew(&server);
    server.sends_signal("HUP");
    server.waits_for_log(1, "SIGHUP").await;

    // It trusts the new authority alone, and is trusted for its new certificate alone.
    assert_eq!(DexClient::of(&server).calls("GetVersion", json!({}))["api"], 3);
    let mut late = DexClient::with_certificates_in(&server, &old);
    assert_eq!(late.is_refused("GetVersion", json!({})).0, "Unavailable", "the connection fails");
    assert_eq!(connected.calls("GetVersion", json!({}))["api"], 3);
}

/// The names and labels of the Go server that Dex uses.
#[tokio::test]
async fn grpc_calls_are_counted_by_method_and_code() {
    if Need::Grpc.is_missing() {
        return;
    }
    let server = World::new().with_grpc().start().await;
    let mut dex = DexClient::of(&server);
    dex.calls("ListClients", json!({}));
    dex.calls("ListClients", json!({}));
    dex.is_refused("DeleteClient", json!({"id": "example-app"}));
    let samples = samples(&server).await;
    let service = "grpc_service=\"api.Dex\"";
    let list = ["grpc_method=\"ListClients\"", service, "grpc_type=\"unary\""];
    assert_has(&samples, "grpc_server_started_total", &list, "2");
    let succeeded = [list[0], service, "grpc_code=\"OK\""];
    assert_has(&samples, "grpc_server_handled_total", &succeeded, "2");
    let refused = ["grpc_method=\"DeleteClient\"", service, "grpc_code=\"Unknown\""];
    assert_has(&samples, "grpc_server_handled_total", &refused, "1");
}
