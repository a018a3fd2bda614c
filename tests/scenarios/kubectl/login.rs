//! `kubectl countersign login`: from the issuer's list of clusters to a working kubeconfig, with the real `kubectl`.

use serde_json::Value;

use crate::world::{ALICE, ApiServer, Client, Cluster, Need, Server, World, kubectl};

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// The kubeconfig before the login.
const HER_KUBECONFIG: &str = "# Written by hand: keep this comment.
apiVersion: v1
kind: Config
preferences: {}
current-context: home
clusters:
- name: home   # in the cellar
  cluster:
    server: https://192.0.2.7:6443
    insecure-skip-tls-verify: true
contexts:
- context: {cluster: home, user: root, namespace: 'default'}
  name: home
users:
- name: root
  user:
    token: hers-alone
";

/// A server that lists two clusters, one of them for groups that alice is not in, and the API server of the other,
/// which accepts tokens for its own client only.
async fn server_and_cluster() -> (Server, Cluster) {
    let world = World::https()
        .client(Client::public("kubectl"))
        .client(Client::public("production").with("trustedPeers: [kubectl]"))
        .client(Client::public("payroll"))
        .with(&format!(
            "oauth2:\n  grantTypes: [authorization_code, refresh_token, \"{EXCHANGE}\"]"
        ));
    let mut server = world.start().await;
    let cluster = Cluster::authenticating_by(ApiServer::trusting(&server, "production"));
    let clusters = format!(
        "clusters:\n- name: production\n  description: Frankfurt\n  server: {}\n  certificateAuthority: {}\n  \
         clientID: production\n  groups: [developers]\n- name: payroll\n  server: https://payroll.example.com\n  \
         groups: [accountants]",
        cluster.url,
        cluster.ca_file().display()
    );
    server.rewrites_config(|world| world.with(&clusters));
    server.restart().await;
    (server, cluster)
}

#[tokio::test]
async fn kubectl_works_on_a_listed_cluster_after_one_login() {
    if Need::Kubectl.is_missing() || Need::Kubernetes.is_missing() {
        return;
    }
    let (server, cluster) = server_and_cluster().await;
    let alice = server.workstation();
    std::fs::create_dir_all(alice.path(".kube")).unwrap();
    let kubeconfig = alice.path(".kube/config");
    std::fs::write(&kubeconfig, HER_KUBECONFIG).unwrap();

    let running = alice.starts(&alice.login());
    alice.signs_in(1, &mut server.browser()).await;
    let printed = running.ends();
    assert!(printed.is_success, "{}", printed.stderr);
    for shown in [&format!("Signed in as {ALICE}"), "production  Frankfurt", "kubectl get pods"] {
        assert!(printed.stderr.contains(shown), "{shown}: {}", printed.stderr);
    }
    let written = std::fs::read_to_string(&kubeconfig).unwrap();
    assert!(written.contains("name: \"production\"") && !written.contains("payroll"), "{written}");
    // Every line that she wrote is unchanged and in the same order, except for the current context.
    let mut lines = written.lines();
    for hers in HER_KUBECONFIG.lines().filter(|line| !line.starts_with("current-context")) {
        assert!(lines.any(|line| line == hers), "{hers:?} is missing or moved:\n{written}");
    }

    let raw = ["--context=production", "get", "--raw", "/api/v1/namespaces"];
    let printed = alice.starts_program(&kubectl(), &raw).ends();
    let seen: Value = serde_json::from_str(&printed.stdout).expect(&printed.stderr);
    assert_eq!(seen["user"]["username"], format!("oidc:{ALICE}"), "{seen}");
    assert_eq!((alice.opened().len(), cluster.tokens().len()), (1, 1), "no second login");
    alice.keeps_cached_tokens_secret();
    server.assert_no_secret_in("the kubeconfig", &written);

    // A second login changes nothing.
    let again = alice.runs_command(&alice.login());
    assert!(again.is_success, "{}", again.stderr);
    assert_eq!(std::fs::read_to_string(&kubeconfig).unwrap(), written);
}

#[tokio::test]
async fn kubectl_login_refuses_a_cluster_that_is_not_listed() {
    if Need::Kubectl.is_missing() || Need::Kubernetes.is_missing() {
        return;
    }
    let (server, _cluster) = server_and_cluster().await;
    let alice = server.workstation();
    let line: Vec<_> = [&alice.login()[..2], &["payroll".to_owned()], &alice.login()[2..]].concat();
    let running = alice.starts(&line);
    alice.signs_in(1, &mut server.browser()).await;
    let printed = running.ends();
    assert!(printed.failure().contains("production"), "the others are named: {}", printed.stderr);
    assert!(!alice.path(".kube/config").exists());
}

/// On a terminal of 80 columns no line is longer, whatever a cluster answers.
#[tokio::test]
async fn status_fits_the_terminal_when_a_cluster_is_unreachable() {
    let clusters = "clusters:\n- name: production\n  server: https://127.0.0.1:9\n  clientID: kubectl\n  \
                    groups: [developers]";
    let server = World::new().client(Client::public("kubectl")).with(clusters).start().await;
    let alice = server.workstation();
    let running = alice.starts(&alice.login());
    alice.signs_in(1, &mut server.browser()).await;
    assert!(running.ends().is_success);
    let shown = alice.runs_on_terminal(80, &["status".to_owned()], "");
    let text = shown.stdout.replace("\u{1b}[1;31m", "").replace("\u{1b}[0m", "");
    let lines: Vec<_> = text.lines().map(str::trim_end).collect();
    let start = lines.iter().position(|line| line.contains("cannot be reached")).expect(&text);
    assert!(lines[start + 1].starts_with("                "), "indented: {text}");
    for line in lines.iter().filter(|line| !line.contains('\u{1b}')) {
        assert!(line.chars().count() <= 80, "{line:?}");
    }
}

/// `kubectl countersign lo` and TAB: kubectl's own completion starts the program under this name.
#[tokio::test]
async fn kubectl_completes_the_commands_of_the_plugin() {
    if Need::Kubectl.is_missing() {
        return;
    }
    let server = World::new().client(Client::public("kubectl")).start().await;
    let alice = server.workstation();
    alice.linked_as("kubectl_complete-countersign");
    alice.linked_as("kubectl-countersign");
    let home = alice.path("").display().to_string();
    let alice = alice.env("PATH", &home);
    let printed = alice.starts_program(&kubectl(), &["__complete", "countersign", "lo"]).ends();
    let lines: Vec<&str> = printed.stdout.lines().collect();
    assert!(lines.iter().any(|line| line.starts_with("login\t")), "{}", printed.stdout);
    assert!(lines.contains(&":4"), "no file names: {}", printed.stdout);
}
