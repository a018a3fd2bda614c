//! The real `kubectl` with the plugin, against a cluster that authenticates by Kubernetes' own code.

use std::time::Duration;

use serde_json::Value;

use crate::world::{
    ALICE, ApiServer, Client, Cluster, Need, Printed, Server, Workstation, World, claims, kubectl,
};

fn is_missing() -> bool {
    Need::Kubectl.is_missing() || Need::Kubernetes.is_missing() || Need::Clock.is_missing()
}

/// The cluster accepts tokens for the client `kubectl`, from this server.
async fn server_and_cluster() -> (Server, Cluster) {
    let server = World::with_clock()
        .over_https()
        .client(Client::public("kubectl"))
        .with("expiry:\n  idTokens: 10m")
        .start()
        .await;
    let cluster = Cluster::authenticating_by(ApiServer::trusting(&server, "kubectl"));
    (server, cluster)
}

/// A kubeconfig as written by hand, with this command as the exec plugin.
fn writes_kubeconfig(alice: &Workstation, cluster: &Cluster, command: &str) {
    let arguments: String = alice
        .get_token()
        .iter()
        .map(|word| format!("      - {}\n", Value::from(word.as_str())))
        .collect();
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: prod\nclusters:\n- name: prod\n  cluster:\n    \
         server: {}\n    certificate-authority-data: {}\ncontexts:\n- name: prod\n  context:\n    cluster: prod\n    \
         user: alice\nusers:\n- name: alice\n  user:\n    exec:\n      apiVersion: client.authentication.k8s.io/v1beta1\n      \
         command: {command}\n      interactiveMode: Never\n      args:\n{arguments}",
        cluster.url,
        cluster.ca_data()
    );
    std::fs::create_dir_all(alice.path(".kube")).unwrap();
    std::fs::write(alice.path(".kube/config"), text).unwrap();
}

fn runs_kubectl(alice: &Workstation) -> Printed {
    alice.starts_program(&kubectl(), &["get", "--raw", "/api/v1/namespaces"]).ends()
}

#[tokio::test]
async fn kubectl_signs_in_refreshes_and_notices_an_end() {
    if is_missing() {
        return;
    }
    let (server, cluster) = server_and_cluster().await;
    let alice = server.workstation();
    writes_kubeconfig(&alice, &cluster, "kubectl-countersign");

    let first = alice.starts_program(&kubectl(), &["get", "--raw", "/api/v1/namespaces"]);
    alice.signs_in(1, &mut server.browser()).await;
    let first = first.ends();
    let seen: Value = serde_json::from_str(&first.stdout).expect(&first.stderr);
    assert_eq!(seen["user"]["username"], format!("oidc:{ALICE}"), "{seen}");
    assert_eq!(seen["user"]["groups"], serde_json::json!(["oidc:admins", "oidc:developers"]));
    assert!(runs_kubectl(&alice).is_success);
    assert_eq!(cluster.tokens().len(), 1, "the cached token");

    // The token has expired: it is refreshed, and no browser tab is opened.
    server.advance(Duration::from_mins(15));
    assert!(runs_kubectl(&alice).is_success);
    assert_eq!((cluster.tokens().len(), alice.opened().len()), (2, 1));

    // An administrator ends the session: at most 30 seconds later kubectl reports it, and Alice signs in again.
    let sid = claims(&cluster.tokens()[1])["sid"].as_str().unwrap().to_owned();
    let ended = server.runs_command(&["sessions", "end", &sid, "--config", "CONFIG"], &[]);
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    server.advance(Duration::from_secs(31));
    let again = alice.starts_program(&kubectl(), &["get", "--raw", "/api/v1/namespaces"]);
    alice.signs_in(2, &mut server.browser()).await;
    let again = again.ends();
    assert!(again.is_success, "{}", again.stderr);
    assert!(again.stderr.contains("ended by an administrator"), "{}", again.stderr);
    alice.keeps_cached_tokens_secret();
    server.assert_no_secret_in("what kubectl printed", &again.stderr);
}

#[tokio::test]
async fn kubectl_with_an_entry_of_kubelogin_and_whoami() {
    if is_missing() {
        return;
    }
    let (server, cluster) = server_and_cluster().await;
    let alice = server.workstation();
    let kubelogin = alice.linked_as("kubectl-oidc_login");
    writes_kubeconfig(&alice, &cluster, &kubelogin.display().to_string());
    let running = alice.starts_program(&kubectl(), &["auth", "whoami", "--output=json", "-v=9"]);
    alice.signs_in(1, &mut server.browser()).await;
    let printed = running.ends();
    let review: Value = serde_json::from_str(&printed.stdout).expect(&printed.stderr);
    assert_eq!(review["status"]["userInfo"]["username"], format!("oidc:{ALICE}"));
    // Even kubectl's debug output does not contain the token.
    alice.keeps_cached_tokens_secret();
    server.assert_no_secret_in("kubectl -v=9", &printed.stderr);
}
