//! How an API server authenticates with our ID tokens (threat 155). The server uses https with a certificate
//! authority of its own; Kubernetes' own authenticators decide.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::world::{
    ALICE, ALICE_PASSWORD, ApiServer, BOB, BOB_PASSWORD, Client, LogoutReceiver, Need, Person,
    Server, SignedInClient, World, claims,
};

/// The clients of two clusters; a dashboard may request tokens for the first one.
fn world() -> World {
    World::https()
        .client(Client::public("kubernetes").with("trustedPeers: [example-app]"))
        .client(Client::public("kubelogin"))
}

/// The ID token of a login for `client`.
async fn token_of(server: &Server, client: &str, scopes: &str, who: (&str, &str)) -> String {
    let (mut person, app) = (server.browser(), server.relying_party(client));
    let request = app.auth_request(scopes);
    let auth_response = person.logs_in(&request, who.0, who.1).await;
    app.redeems(&request, &auth_response).await.id_token().to_owned()
}

async fn alices(server: &Server, client: &str, scopes: &str) -> String {
    token_of(server, client, scopes, (ALICE, ALICE_PASSWORD)).await
}

/// An API server with these flags besides the usual ones.
fn with_flags(server: &Server, more: &Value) -> ApiServer {
    let mut api = ApiServer::trusting(server, "kubernetes");
    api.executes(&json!({"op": "drop", "id": "cluster"}));
    let mut flags = json!({"op": "flags", "id": "cluster", "issuerURL": server.issuer(),
        "clientID": "kubernetes", "caFile": server.ca_file()});
    flags.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    api.executes(&flags);
    api
}

/// An API server with an AuthenticationConfiguration: more lines of the issuer, then the rest of the entry.
fn configured(server: &Server, audiences: &str, rest: &str) -> ApiServer {
    let authority = Value::from(std::fs::read_to_string(server.ca_file()).unwrap());
    ApiServer::configured(&format!(
        "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\njwt:\n\
         - issuer:\n    url: {}\n    certificateAuthority: {authority}\n    {audiences}\n  {rest}\n",
        server.issuer(),
    ))
}

const BY_EMAIL: &str = "claimMappings:
    username: {claim: email, prefix: 'oidc:'}
    groups: {claim: groups, prefix: 'oidc:'}";

/// The reason of a refusal, after checking that the token was refused and not the request.
fn refusal(seen: &Value) -> String {
    assert_eq!((&seen["ok"], &seen["refused"]), (&json!(false), &json!(true)), "{seen}");
    seen["error"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn kubernetes_authenticates_alice_by_email_and_groups() {
    if Need::Kubernetes.is_missing() {
        return;
    }
    let server = world().start().await;
    let mut cluster = ApiServer::trusting(&server, "kubernetes");
    let seen = cluster.authenticates(&alices(&server, "kubernetes", "openid email groups").await);
    assert_eq!(seen["username"], format!("oidc:{ALICE}"), "{seen}");
    assert_eq!(seen["groups"], json!(["oidc:admins", "oidc:developers"]));
    // Without the scope `groups` there are none.
    let seen = cluster.authenticates(&alices(&server, "kubernetes", "openid email").await);
    assert_eq!((&seen["ok"], &seen["groups"]), (&json!(true), &json!([])), "{seen}");
}

#[tokio::test]
async fn kubernetes_by_default_authenticates_alice_by_issuer_and_subject() {
    if Need::Kubernetes.is_missing() {
        return;
    }
    let server = world().start().await;
    let token = alices(&server, "kubernetes", "openid profile").await;
    let subject = claims(&token)["sub"].as_str().unwrap().to_owned();
    let mut cluster = with_flags(&server, &json!({}));
    let seen = cluster.authenticates(&token);
    assert_eq!(seen["username"], format!("{}#{subject}", server.issuer()), "{seen}");
}

#[tokio::test]
async fn kubernetes_requires_the_configured_claims() {
    if Need::Kubernetes.is_missing() {
        return;
    }
    let server = world().start().await;
    let flags = json!({"usernameClaim": "email", "usernamePrefix": "-",
        "requiredClaims": {"name": "alice", "aud": "kubernetes"}});
    let mut cluster = with_flags(&server, &flags);
    let scopes = "openid email profile";
    let seen = cluster.authenticates(&alices(&server, "kubernetes", scopes).await);
    assert_eq!(seen["username"], ALICE, "{seen}");
    let bobs = token_of(&server, "kubernetes", scopes, (BOB, BOB_PASSWORD)).await;
    assert!(refusal(&cluster.authenticates(&bobs)).contains("required claim name"));
    let nameless = alices(&server, "kubernetes", "openid email").await;
    assert!(refusal(&cluster.authenticates(&nameless)).contains("name"));
}

/// A group that would grant administration without the prefix.
#[tokio::test]
async fn kubernetes_prefixes_our_groups() {
    if Need::Kubernetes.is_missing() {
        return;
    }
    let mallory = Person::new("mallory@example.com", "mallory-is-8-people");
    let server = world().person(mallory.groups(&["system:masters"])).start().await;
    let who = ("mallory@example.com", "mallory-is-8-people");
    let token = token_of(&server, "kubernetes", "openid email groups", who).await;
    let seen = ApiServer::trusting(&server, "kubernetes").authenticates(&token);
    assert_eq!(seen["groups"], json!(["oidc:system:masters"]), "{seen}");
}

#[tokio::test]
async fn kubernetes_accepts_a_dashboards_token_only_with_the_cluster_as_audience() {
    if Need::Kubernetes.is_missing() {
        return;
    }
    let server = world().start().await;
    let mut cluster = ApiServer::trusting(&server, "kubernetes");
    let for_itself = alices(&server, "example-app", "openid email groups").await;
    assert!(refusal(&cluster.authenticates(&for_itself)).contains("audience"));

    let scopes = "openid email groups audience:server:client_id:kubernetes";
    let for_the_cluster = alices(&server, "example-app", scopes).await;
    assert_eq!(claims(&for_the_cluster)["azp"], "example-app", "azp names the requesting client");
    let seen = cluster.authenticates(&for_the_cluster);
    assert_eq!(seen["username"], format!("oidc:{ALICE}"), "{seen}");
}

#[tokio::test]
async fn kubernetes_configured_with_two_audiences_accepts_either() {
    if Need::Kubernetes.is_missing() {
        return;
    }
    let server = world().start().await;
    let audiences = "audiences: [kubernetes, kubelogin]\n    audienceMatchPolicy: MatchAny";
    let mut cluster = configured(&server, audiences, BY_EMAIL);
    let scopes = "openid email groups";
    for client in ["kubernetes", "kubelogin"] {
        let seen = cluster.authenticates(&alices(&server, client, scopes).await);
        assert_eq!(seen["username"], format!("oidc:{ALICE}"), "{client}: {seen}");
        assert_eq!(seen["groups"], json!(["oidc:admins", "oidc:developers"]));
    }
    let of_a_peer = "openid email audience:server:client_id:kubernetes";
    let seen = cluster.authenticates(&alices(&server, "example-app", of_a_peer).await);
    assert_eq!(seen["ok"], true, "{seen}");
    let other = alices(&server, "example-app", scopes).await;
    assert!(refusal(&cluster.authenticates(&other)).contains("audience"));
}

#[tokio::test]
async fn kubernetes_maps_claims_by_cel_expressions() {
    if Need::Kubernetes.is_missing() {
        return;
    }
    let server = world().start().await;
    let mappings = "claimValidationRules:
  - expression: claims.?email_verified.orValue(true) == true
    message: the address is not verified
  claimMappings:
    username: {expression: \"'oidc:' + claims.email\"}
    groups: {expression: \"dyn(claims.groups).filter(g, g != 'admins').map(g, 'oidc:' + g)\"}
    uid: {claim: sub}
    extra:
    - {key: example.com/connector, valueExpression: claims.federated_claims.connector_id}
  userValidationRules:
  - expression: \"!user.username.startsWith('oidc:system:')\"
    message: the name is reserved";
    let mut cluster = configured(&server, "audiences: [kubernetes]", mappings);
    let token = alices(&server, "kubernetes", "openid email groups federated:id").await;
    let seen = cluster.authenticates(&token);
    assert_eq!(seen["username"], format!("oidc:{ALICE}"), "{seen}");
    assert_eq!(seen["groups"], json!(["oidc:developers"]));
    assert_eq!(seen["uid"], claims(&token)["sub"]);
    assert_eq!(seen["extra"]["example.com/connector"], json!(["local"]));
}

/// Without a `kubernetes` block a token for one audience has no `azp` (Core 2). Requiring the claim would
/// refuse the cluster's own tokens; a CEL rule distinguishes them from a peer's (docs/kubernetes.md).
#[tokio::test]
async fn kubernetes_without_a_block_distinguishes_tokens_of_a_peer_by_a_cel_rule_on_azp() {
    if Need::Kubernetes.is_missing() {
        return;
    }
    let server = world().start().await;
    let own = alices(&server, "kubernetes", "openid email").await;
    let scopes = "openid email audience:server:client_id:kubernetes";
    let of_a_peer = alices(&server, "example-app", scopes).await;

    let required = json!({"usernameClaim": "email", "requiredClaims": {"azp": "kubernetes"}});
    let mut locked = with_flags(&server, &required);
    assert!(refusal(&locked.authenticates(&own)).contains("azp"));
    assert!(refusal(&locked.authenticates(&of_a_peer)).contains("azp"));

    let rule = format!(
        "claimValidationRules:\n  - expression: \"!has(claims.azp) || claims.azp == 'kubernetes'\"\n    \
         message: issued to another client\n  {BY_EMAIL}"
    );
    let mut cluster = configured(&server, "audiences: [kubernetes]", &rule);
    let seen = cluster.authenticates(&own);
    assert_eq!(seen["username"], format!("oidc:{ALICE}"), "{seen}");
    assert!(refusal(&cluster.authenticates(&of_a_peer)).contains("issued to another client"));
}

/// With a `kubernetes` block every token for the cluster has `azp`, so a required claim is enough.
#[tokio::test]
async fn kubernetes_with_a_block_distinguishes_tokens_of_a_peer_by_required_azp() {
    if Need::Kubernetes.is_missing() {
        return;
    }
    let cluster = Client::public("kubernetes")
        .with("trustedPeers: [example-app]")
        .with("kubernetes: {webhook: {secret: the-credential-of-a-cluster}}");
    let server = World::https().client(cluster).start().await;
    let scopes = "openid email audience:server:client_id:kubernetes";
    let of_a_peer = alices(&server, "example-app", scopes).await;
    let own = alices(&server, "kubernetes", "openid email").await;

    let required = json!({"usernameClaim": "email", "requiredClaims": {"azp": "kubernetes"}});
    let mut cluster = with_flags(&server, &required);
    assert_eq!(cluster.authenticates(&own)["ok"], true);
    assert!(refusal(&cluster.authenticates(&of_a_peer)).contains("azp"));
}

/// The server's clock is an hour behind, so its ten-minute tokens have expired already.
#[tokio::test]
async fn kubernetes_refuses_an_expired_token() {
    if Need::Kubernetes.is_missing() || Need::Clock.is_missing() {
        return;
    }
    let library = format!("{}-linux-gnu/faketime/libfaketime.so.1", std::env::consts::ARCH);
    let world = world()
        .env("LD_PRELOAD", &format!("/usr/lib/{library}"))
        .env("FAKETIME", "-1h")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    for (lifetime, is_over) in [("10m", true), ("2h", false)] {
        let expiry = format!("expiry:\n  idTokens: {lifetime}");
        let server = world.clone().with(&expiry).start().await;
        let mut cluster = ApiServer::trusting(&server, "kubernetes");
        let seen = cluster.authenticates(&alices(&server, "kubernetes", "openid email").await);
        match is_over {
            true => assert!(refusal(&seen).contains("expired"), "{seen}"),
            false => assert_eq!(seen["ok"], true, "only the lifetime differs: {seen}"),
        }
    }
}

#[tokio::test]
async fn kubernetes_refuses_tokens_of_other_issuers_even_with_our_iss() {
    if Need::Kubernetes.is_missing() {
        return;
    }
    let server = world().start().await;
    let mut cluster = ApiServer::trusting(&server, "kubernetes");
    let other = world().start().await;
    let theirs = alices(&other, "kubernetes", "openid email").await;
    refusal(&cluster.authenticates(&theirs));

    let impostor = world().with(&format!("issuer: {}", server.issuer())).start().await;
    let forged = alices(&impostor, "kubernetes", "openid email").await;
    assert_eq!(claims(&forged)["iss"], server.issuer());
    assert!(refusal(&cluster.authenticates(&forged)).contains("signature"));
    let own = alices(&server, "kubernetes", "openid email").await;
    assert_eq!(cluster.authenticates(&own)["ok"], true);
}

#[tokio::test]
async fn kubernetes_refuses_an_altered_token() {
    if Need::Kubernetes.is_missing() {
        return;
    }
    let server = world().start().await;
    let mut cluster = ApiServer::trusting(&server, "kubernetes");
    let token = alices(&server, "kubernetes", "openid email groups").await;
    assert_eq!(cluster.authenticates(&token)["ok"], true, "as it is");

    let [header, body, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!() };
    let claims = String::from_utf8(URL_SAFE_NO_PAD.decode(body).unwrap()).unwrap();
    let promoted = URL_SAFE_NO_PAD.encode(claims.replace("developers", "cluster-admins"));
    let unsigned = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
    let swapped = if signature.starts_with('A') { "B" } else { "A" };
    for forged in [
        format!("{header}.{promoted}.{signature}"),
        format!("{unsigned}.{promoted}."),
        format!("{header}.{body}.{swapped}{}", &signature[1..]),
    ] {
        refusal(&cluster.authenticates(&forged));
    }
}

/// The plain flags accept RS256 only, which is why it is the default.
#[tokio::test]
async fn kubernetes_accepts_es256_only_where_configured() {
    if Need::Kubernetes.is_missing() {
        return;
    }
    let signer = "signer:\n  type: local\n  config:\n    algorithm: ES256";
    let server = world().with(signer).start().await;
    let token = alices(&server, "kubernetes", "openid email groups").await;
    let mut by_file = configured(&server, "audiences: [kubernetes]", BY_EMAIL);
    assert_eq!(by_file.authenticates(&token)["username"], format!("oidc:{ALICE}"));
    let reason = refusal(&ApiServer::trusting(&server, "kubernetes").authenticates(&token));
    assert!(reason.contains("ES256"), "{reason}");
}

#[tokio::test]
async fn kubernetes_refuses_an_unverified_email() {
    if Need::Kubernetes.is_missing() {
        return;
    }
    let hash = bcrypt::hash("eve-has-3-addresses", 10).unwrap();
    let people = format!(
        "staticPasswords:\n- email: eve@example.com\n  hash: {hash}\n  username: eve\n  \
         userID: id-of-eve\n  emailVerified: false"
    );
    let server = world().with(&people).start().await;
    let who = ("eve@example.com", "eve-has-3-addresses");
    let token = token_of(&server, "kubernetes", "openid email", who).await;
    let reason = refusal(&ApiServer::trusting(&server, "kubernetes").authenticates(&token));
    assert!(reason.contains("email not verified"), "{reason}");
    // Only `email` is affected; other claims identify the person.
    assert_eq!(with_flags(&server, &json!({})).authenticates(&token)["ok"], true);
}

/// An API server ignores `typ`. Of all that this issuer signs, it accepts ID and access tokens only: not a logout
/// token, not the groups of a distributed claim, whichever claim is the user name.
#[tokio::test]
async fn kubernetes_accepts_neither_logout_tokens_nor_groups_tokens() {
    if Need::Kubernetes.is_missing() {
        return;
    }
    let receiver = LogoutReceiver::start();
    let cluster = receiver.client("kubernetes").with("kubernetes: {groups: distributed}");
    let server = World::https().client(cluster).start().await;
    let scopes = "openid email groups offline_access";
    let alice = SignedInClient::sign_in_alice(&server, "kubernetes", scopes).await;
    let token = claims(&alice.id_token);
    let handle = token["_claim_sources"]["countersign"]["access_token"].as_str().unwrap();
    let groups = alice.app.gets_as(handle, "/kubernetes/groups").await;
    assert_eq!(groups.status, 200, "{}", groups.page.body);

    let sid = token["sid"].as_str().unwrap();
    let by_subject = json!({"usernameClaim": "sub", "usernamePrefix": "-"});
    let by_email = json!({"usernameClaim": "email", "usernamePrefix": "-"});
    for flags in [&by_subject, &by_email] {
        let mut api = with_flags(&server, flags);
        assert_eq!(api.authenticates(&alice.id_token)["ok"], true, "{flags}");
        refusal(&api.authenticates(&groups.page.body));
    }
    let ended = server.runs_command(&["sessions", "end", sid, "--config", "CONFIG"], &[]);
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let logout_token = receiver.waits_for_logout_tokens(1).await.remove(0);
    assert_eq!(claims(&logout_token)["sid"], sid, "Back-Channel Logout 1.0 section 2.4");
    for flags in [&by_subject, &by_email] {
        refusal(&with_flags(&server, flags).authenticates(&logout_token));
    }
}
