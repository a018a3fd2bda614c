//! The list of clusters at `/clusters`, and how an API server is configured for one of them.

use serde_json::{Value, json};

use crate::world::{
    ALICE, ALICE_PASSWORD, ApiServer, BOB, BOB_PASSWORD, Client, Need, Server, SignedInClient,
    World, refusal,
};

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// Production for administrators, staging for everybody.
fn world(base: World) -> World {
    let ca = base.dir().join("production-ca.pem");
    let pem = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    std::fs::write(&ca, pem).unwrap();
    let clusters = format!(
        "clusters:\n- name: production\n  description: Frankfurt <b>1</b>\n  server: https://api.production.example.com:6443\n  \
         certificateAuthority: {}\n  clientID: kubernetes\n  groups: [admins]\n  namespace: apps\n- name: staging\n  \
         server: https://api.staging.example.com\n",
        ca.display()
    );
    base.client(Client::public("kubernetes"))
        .client(Client::public("staging"))
        .with("oauth2:\n  skipApprovalScreen: true")
        .with(&clusters)
}

async fn access_token(server: &Server, scopes: &str, who: (&str, &str)) -> String {
    let (mut person, app) = (server.browser(), server.relying_party("kubernetes"));
    let request = app.auth_request(scopes);
    let auth_response = person.logs_in(&request, who.0, who.1).await;
    app.redeems(&request, &auth_response).await.access_token().to_owned()
}

fn names(list: &Value) -> Vec<&str> {
    list["clusters"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_tool_lists_the_clusters_of_a_persons_groups() {
    let server = world(World::new()).start().await;
    let app = server.relying_party("kubernetes");
    let alices = access_token(&server, "openid groups", (ALICE, ALICE_PASSWORD)).await;
    let list = app.gets_as(&alices, "/clusters").await;
    assert_eq!(list.page.header("cache-control"), Some("no-store"));
    let data = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSUIKLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo=";
    assert_eq!(
        list.json,
        json!({"clusters": [
            {"name": "production", "description": "Frankfurt <b>1</b>",
             "server": "https://api.production.example.com:6443", "certificateAuthorityData": data,
             "clientID": "kubernetes", "namespace": "apps"},
            {"name": "staging", "description": "", "server": "https://api.staging.example.com",
             "clientID": "staging"},
        ]})
    );
    // Bob is in no group; a token without the scope `groups` contains none.
    let bobs = access_token(&server, "openid groups", (BOB, BOB_PASSWORD)).await;
    assert_eq!(names(&app.gets_as(&bobs, "/clusters").await.json), ["staging"]);
    let without = access_token(&server, "openid", (ALICE, ALICE_PASSWORD)).await;
    assert_eq!(names(&app.gets_as(&without, "/clusters").await.json), ["staging"]);
    // The token is refused when its grant has ended; without a token there is no JSON.
    app.posts("/revoke", &[("token", &alices)]).await;
    let ended = app.gets_as(&alices, "/clusters").await;
    assert_eq!((ended.status, ended.error()), (401, "invalid_token"));
    assert_eq!(app.gets_as("x", "/clusters").await.status, 401);
}

#[tokio::test]
async fn alice_finds_her_clusters_on_a_page() {
    let server = world(World::new()).start().await;
    let mut alice = server.browser();
    alice.opens(server.url("/clusters")).await;
    let page = alice.signs_in(ALICE, ALICE_PASSWORD).await;
    assert!(page.url.path().ends_with("/clusters"), "she comes back: {}", page.url);
    let login = format!("kubectl countersign login {} production", server.issuer());
    for shown in ["production", "Frankfurt <b>1</b>", "https://api.staging.example.com", &login] {
        assert!(page.text().contains(shown), "{shown}: {}", page.text());
    }
    let home = alice.opens(server.url("/")).await;
    assert!(home.link("Your clusters").is_some(), "{}", home.text());
    let file = alice.get(server.url("/clusters/production/kubeconfig")).await;
    assert_eq!(file.header("content-type"), Some("application/yaml"));
    let name = file.header("content-disposition").unwrap();
    assert_eq!(name, "attachment; filename=\"production.kubeconfig\"");
    for line in [
        "current-context: \"production\"",
        "server: \"https://api.production.example.com:6443\"",
        "namespace: \"apps\"",
        "interactiveMode: IfAvailable",
        "\"--oidc-client-id=kubernetes\"",
        &format!("\"--oidc-issuer-url={}\"", server.issuer()),
    ] {
        assert!(file.body.contains(line), "{line}: {}", file.body);
    }
    let both = alice.get(server.url("/clusters/kubeconfig")).await;
    assert!(both.body.contains("\"production\"") && both.body.contains("\"staging\""));

    let mut bob = server.browser();
    bob.opens(server.url("/clusters")).await;
    let page = bob.signs_in(BOB, BOB_PASSWORD).await;
    assert!(page.text().contains("staging") && !page.text().contains("production"));
    assert_eq!(bob.get(server.url("/clusters/production/kubeconfig")).await.status, 404);
    let nobody = server.browser().get(server.url("/clusters/staging/kubeconfig")).await;
    assert_eq!(nobody.status, 303, "signed out: to the login");
}

#[tokio::test]
async fn invalid_clusters_are_configuration_errors() {
    let clusters = "clusters:\n- {name: 'a b', server: https://a.example}\n- {name: kubernetes, server: ftp://a}\n\
                    - {name: kubernetes, server: http://a.example, clientID: kubernets}\n";
    let world = World::new().client(Client::public("kubernetes")).with(clusters);
    let message = world.refuses_to_start().await;
    for expected in [
        "clusters[0].name: has characters that are not allowed in a path",
        "clusters[0].name: \"a b\" is no client in this file",
        "clusters[1].server: found \"ftp://a\"",
        "clusters[2].name: kubernetes is the name of another cluster above",
        "clusters[2].server: is http",
        "clusters[2].clientID: \"kubernets\" is no client in this file, did you mean kubernetes?",
    ] {
        assert!(message.contains(expected), "{expected}: {message}");
    }
}

fn printed(server: &Server, more: &[&str]) -> String {
    let arguments = ["kubernetes", "config", "CONFIG", "--cluster", "production"];
    let output = server.runs_command(&[&arguments[..], more].concat(), &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Kubernetes' own code accepts the printed configuration, authenticates Alice with it, and refuses a token
/// for another cluster.
#[tokio::test]
async fn kubernetes_accepts_the_printed_configuration() {
    if Need::Kubernetes.is_missing() {
        return;
    }
    let server = world(World::https()).start().await;
    let ca = server.ca_file().display().to_string();
    let scopes = "openid email groups offline_access";
    let token = SignedInClient::sign_in_alice(&server, "kubernetes", scopes).await.id_token;
    let others = SignedInClient::sign_in_alice(&server, "staging", scopes).await.id_token;
    for version in ["v1", "v1beta1"] {
        let yaml = printed(&server, &["--format", version, "--certificate-authority", &ca]);
        let mut api = ApiServer::configured(&yaml);
        let seen = api.authenticates(&token);
        assert_eq!(seen["username"], format!("oidc:{ALICE}"), "{version}: {seen}");
        assert_eq!(seen["groups"], json!(["oidc:admins", "oidc:developers"]), "{version}");
        let reason = refusal(&api.authenticates(&others));
        assert!(
            reason.contains("audience"),
            "a token for one cluster is useless at another: {reason}"
        );
        // `--lint` reports no problem with it.
        let file = server.file(&format!("{version}.yaml"));
        std::fs::write(&file, &yaml).unwrap();
        let message = printed(&server, &["--lint", file.to_str().unwrap()]);
        assert!(message.contains("no problem found"), "{message}");
    }
    let flags = printed(&server, &["--format", "flags"]);
    let file = server.file("flags.yaml");
    std::fs::write(&file, &flags).unwrap();
    let message = printed(&server, &["--lint", file.to_str().unwrap()]);
    assert!(message.contains("no problem found"), "{message}");
    assert!(flags.contains("--oidc-client-id=kubernetes"), "{flags}");
    assert!(!flags.contains("signing-algs"), "RS256 is what plain flags accept: {flags}");
}

/// As `kubectl countersign login` obtains it for a cluster with a client of its own: by exchange, so that `azp` is the
/// client of the tool, which the cluster's client trusts.
#[tokio::test]
async fn kubernetes_accepts_an_exchanged_token_with_the_printed_configuration() {
    if Need::Kubernetes.is_missing() {
        return;
    }
    let world = World::https()
        .client(Client::public("kubectl"))
        .client(Client::public("production").with("trustedPeers: [kubectl]"))
        .with(&format!(
            "oauth2:\n  skipApprovalScreen: true\n  grantTypes: [authorization_code, \"{EXCHANGE}\"]"
        ))
        .with("clusters:\n- {name: production, server: 'https://api.production.example.com'}");
    let server = world.start().await;
    let ca = server.ca_file().display().to_string();
    let laptop = SignedInClient::sign_in_alice(&server, "kubectl", "openid email groups").await;
    let fields = [
        ("grant_type", EXCHANGE),
        ("subject_token", laptop.access_token.as_str()),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
        ("requested_token_type", "urn:ietf:params:oauth:token-type:id_token"),
        ("audience", "production"),
    ];
    let exchanged = laptop.app.exchange(&fields).await.access_token().to_owned();
    let own = SignedInClient::sign_in_alice(&server, "production", "openid email groups").await;
    for version in ["v1", "v1beta1"] {
        let yaml = printed(&server, &["--format", version, "--certificate-authority", &ca]);
        let mut api = ApiServer::configured(&yaml);
        for token in [&exchanged, &own.id_token] {
            let seen = api.authenticates(token);
            assert_eq!(seen["username"], format!("oidc:{ALICE}"), "{version}: {seen}");
        }
        assert!(refusal(&api.authenticates(&laptop.id_token)).contains("audience"));
        let file = server.file(&format!("{version}.yaml"));
        std::fs::write(&file, &yaml).unwrap();
        let message = printed(&server, &["--lint", file.to_str().unwrap()]);
        assert!(message.contains("no problem found"), "{message}");
    }
    let flags = printed(&server, &["--format", "flags"]);
    assert!(!flags.contains("azp"), "a flag can name only one client: {flags}");
}

#[tokio::test]
async fn an_existing_configuration_is_checked() {
    let server = world(World::new()).start().await;
    let file = server.file("authentication.yaml");
    let yaml = format!(
        "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\njwt:\n- issuer:\n    url: {}/\n    \
         audiences: [staging]\n  claimMappings:\n    username: {{claim: email}}\n",
        server.issuer()
    );
    std::fs::write(&file, yaml).unwrap();
    let path = file.to_str().unwrap();
    let output = server.runs_command(
        &["kubernetes", "config", "CONFIG", "--cluster", "production", "--lint", path],
        &[],
    );
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8(output.stdout).unwrap();
    for expected in [
        "authentication.yaml:5:10: error: the issuer is",
        "error: audiences does not name kubernetes",
        "error: audiences names staging: tokens for the cluster staging work here",
        "error: username.prefix is missing",
        "warning: claimMappings.groups is missing",
    ] {
        assert!(message.contains(expected), "{expected}: {message}");
    }
    let config = ["kubernetes", "config", "CONFIG", "--cluster", "production"];
    let claim = server.runs_command(&[&config[..], &["--username-claim", "upn"]].concat(), &[]);
    let message = String::from_utf8(claim.stderr).unwrap();
    assert!(message.contains("preferred_username"), "no token has upn: {message}");
    let unknown =
        server.runs_command(&["kubernetes", "config", "CONFIG", "--cluster", "nowhere"], &[]);
    let message = String::from_utf8(unknown.stderr).unwrap();
    assert!(message.contains("no cluster nowhere in production, staging"), "{message}");
}
