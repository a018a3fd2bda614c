//! Grant types beside codes, refresh tokens and devices (dex.md 2.8): token exchange, the password grant and client
//! credentials, each where the configuration allows it (threats 47 to 49).

use serde_json::{Value, json};

use crate::world::{
    ALICE, ALICE_PASSWORD, BOB, BOB_PASSWORD, Client, Need, RelyingParty, Server, SignedInClient,
    World, claims, dex_sub,
    http::{bare_client, send},
    verified,
};

pub const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
pub const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";

fn exchanging() -> World {
    World::new()
        .client(Client::public("cli"))
        .client(Client::public("production").with("trustedPeers: [cli]"))
        .client(Client::public("staging"))
        .with(&format!("oauth2:\n  skipApprovalScreen: true\n  grantTypes: [authorization_code, refresh_token, \"{EXCHANGE}\"]"))
}

/// An exchange of an access token, with more fields or others.
pub async fn exchange(
    app: &RelyingParty,
    token: &str,
    more: &[(&str, &str)],
) -> crate::world::JsonResponse {
    let mut fields = vec![
        ("grant_type", EXCHANGE),
        ("subject_token", token),
        ("subject_token_type", ACCESS_TOKEN),
    ];
    fields.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
    fields.extend(more);
    app.exchange(&fields).await
}

/// One login, and a token for a cluster that trusts the tool.
#[tokio::test]
async fn a_token_is_exchanged_for_one_of_another_audience() {
    let server = exchanging().start().await;
    let laptop =
        SignedInClient::sign_in_alice(&server, "cli", "openid email groups offline_access").await;
    let wanted = [("audience", "production"), ("requested_token_type", ID_TOKEN)];
    let response = exchange(&laptop.app, &laptop.access_token, &wanted).await;
    assert_eq!(response.status, 200, "{}", response.page.body);
    assert_eq!(response.json["issued_token_type"], ID_TOKEN);
    assert_eq!(response.json["token_type"], "bearer");
    assert!(response.json.get("refresh_token").is_none(), "{}", response.page.body);
    let keys = laptop.app.gets("/keys").await.json;
    let token = verified(response.access_token(), &keys);
    assert_eq!((&token["aud"], &token["azp"]), (&json!(["production", "cli"]), &json!("cli")));
    assert_eq!((&token["email"], &token["sub"]), (&json!(ALICE), &claims(&laptop.id_token)["sub"]));
    // A subset of the scopes may be requested; userinfo accepts the result like any other access token.
    let narrowed = exchange(&laptop.app, &laptop.access_token, &[("scope", "openid")]).await;
    assert_eq!(narrowed.json["scope"], "openid");
    assert_eq!(laptop.app.userinfo(narrowed.access_token()).await.status, 200);
    assert!(claims(narrowed.access_token()).get("email").is_none());
}

/// Threat 49.
#[tokio::test]
async fn an_exchange_widens_nothing() {
    let server = exchanging().start().await;
    let laptop = SignedInClient::sign_in_alice(&server, "cli", "openid email offline_access").await;
    for (more, expected) in [
        (vec![("audience", "staging")], "invalid_target"),
        (vec![("audience", "nowhere")], "invalid_target"),
        (vec![("scope", "openid groups")], "invalid_scope"),
        (vec![("scope", "openid audience:server:client_id:staging")], "invalid_target"),
        (vec![("scope", "email"), ("requested_token_type", ID_TOKEN)], "invalid_scope"),
        (vec![("subject_token_type", ID_TOKEN)], "invalid_request"),
        (vec![("subject_token_type", "urn:ietf:params:oauth:token-type:jwt")], "invalid_request"),
        (
            vec![("requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token")],
            "invalid_request",
        ),
        (vec![("actor_token", "x"), ("actor_token_type", ACCESS_TOKEN)], "invalid_request"),
        (vec![("resource", "https://api.example.com")], "invalid_target"),
        (vec![("connector_id", "local")], "invalid_request"),
    ] {
        let response = exchange(&laptop.app, &laptop.access_token, &more).await;
        assert_eq!((response.status, response.error()), (400, expected), "{more:?}");
    }
    // Other kinds of tokens, forged ones, and another client's.
    let mut forged = laptop.access_token.clone();
    forged.pop();
    for token in [&laptop.refresh_token, &laptop.id_token, &forged, "x"] {
        let response = exchange(&laptop.app, token, &[]).await;
        assert_eq!((response.status, response.error()), (400, "invalid_request"));
    }
    let other = exchange(&server.relying_party("staging"), &laptop.access_token, &[]).await;
    assert_eq!((other.status, other.error()), (400, "invalid_request"));
    // An ID token without `grant_id` cannot be assigned to a grant, so it is refused as subject token.
    let id = [("subject_token_type", ID_TOKEN)];
    assert_eq!(exchange(&laptop.app, &laptop.id_token, &id).await.error(), "invalid_request");
    // A token of a revoked grant is refused although it has not expired. The token it was exchanged for belongs to a
    // grant of its own and stays valid.
    let exchanged = exchange(&laptop.app, &laptop.access_token, &[]).await;
    laptop.revokes().await;
    let response = exchange(&laptop.app, &laptop.access_token, &[]).await;
    assert_eq!((response.status, response.error()), (400, "invalid_request"));
    let still = laptop.app.userinfo(exchanged.access_token()).await.status;
    assert_eq!(still, 200, "a grant of its own, which ends with the session");
}

#[tokio::test]
async fn what_is_not_configured_is_no_grant_type() {
    let server = World::new().start().await;
    let app = server.relying_party("example-app");
    let password = [("grant_type", "password"), ("username", ALICE), ("password", "x")];
    let client = [("grant_type", "client_credentials"), ("scope", "openid")];
    let exchange =
        [("grant_type", EXCHANGE), ("subject_token", "x"), ("subject_token_type", ACCESS_TOKEN)];
    for fields in [&password[..], &client, &exchange] {
        let response = app.exchange(fields).await;
        assert_eq!(
            (response.status, response.error()),
            (400, "unsupported_grant_type"),
            "{fields:?}"
        );
    }
    let known = app.gets("/.well-known/openid-configuration").await.json;
    let device = "urn:ietf:params:oauth:grant-type:device_code";
    assert_eq!(
        known["grant_types_supported"],
        json!(["authorization_code", "refresh_token", device])
    );
    assert_eq!(known["response_types_supported"], json!(["code"]));
}

async fn password(server: &Server, who: (&str, &str), scope: &str) -> crate::world::JsonResponse {
    let fields =
        [("grant_type", "password"), ("username", who.0), ("password", who.1), ("scope", scope)];
    server.relying_party("example-app").exchange(&fields).await
}

/// dex.md 2.8: `oauth2.passwordConnector` enables it.
#[tokio::test]
async fn a_client_signs_alice_in_with_her_password() {
    let server = World::new().with("oauth2:\n  passwordConnector: local").start().await;
    let response =
        password(&server, (ALICE, ALICE_PASSWORD), "openid email groups offline_access").await;
    assert_eq!(response.status, 200, "{}", response.page.body);
    let app = server.relying_party("example-app");
    let token = verified(response.id_token(), &app.gets("/keys").await.json);
    assert_eq!(
        (&token["email"], &token["sub"]),
        (&json!(ALICE), &json!(dex_sub("id-of-alice", "local")))
    );
    assert_eq!(token["groups"], json!(["admins", "developers"]));
    assert_eq!(app.refreshes(response.refresh_token()).await.status, 200);
    let known = app.gets("/.well-known/openid-configuration").await.json;
    assert!(known["grant_types_supported"].as_array().unwrap().contains(&json!("password")));
    for wrong in [(ALICE, "wrong"), ("nobody@example.com", "wrong"), (ALICE, BOB_PASSWORD)] {
        let response = password(&server, wrong, "openid").await;
        assert_eq!((response.status, response.error()), (400, "invalid_grant"), "{wrong:?}");
    }
    // Counted like sign-ins on the login page, so that an alert for guessing includes them.
    let metrics = send(bare_client().get(format!("{}/metrics", server.telemetry()))).await.body;
    for (result, count) in [("success", 1), ("refused", 3)] {
        let labels = format!("connector=\"local\",result=\"{result}\"");
        let line = format!("countersign_logins_total{{{labels}}} {count}\n");
        assert!(metrics.contains(&line), "{line}: {metrics}");
    }
    for scope in ["email", "openid countersign:admin"] {
        let response = password(&server, (ALICE, ALICE_PASSWORD), scope).await;
        assert_eq!((response.status, response.error()), (400, "invalid_scope"), "{scope}");
    }
}

/// As in Dex; a repeated one is refused (RFC 6749 section 3.2).
#[tokio::test]
async fn the_nonce_of_a_password_grant_is_in_the_id_token() {
    let server = World::new().with("oauth2:\n  passwordConnector: local").start().await;
    let app = server.relying_party("example-app");
    let mut fields = vec![
        ("grant_type", "password"),
        ("username", ALICE),
        ("password", ALICE_PASSWORD),
        ("scope", "openid"),
        ("nonce", "n-0S6_WzA2Mj"),
    ];
    let response = app.exchange(&fields).await;
    assert_eq!(claims(response.id_token())["nonce"], "n-0S6_WzA2Mj");
    fields.push(("nonce", "another"));
    let response = app.exchange(&fields).await;
    assert_eq!((response.status, response.error()), (400, "invalid_request"));
}

/// Threat 47: the limits on attempts are those of the login page.
#[tokio::test]
async fn guessing_by_the_password_grant_is_delayed() {
    if Need::Clock.is_missing() {
        return;
    }
    let server =
        World::with_stopped_clock().with("oauth2:\n  passwordConnector: local").start().await;
    for _ in 0..10 {
        assert_eq!(password(&server, (BOB, "wrong"), "openid").await.status, 400);
    }
    let response = password(&server, (BOB, BOB_PASSWORD), "openid").await;
    assert_eq!((response.status, response.error()), (429, "temporarily_unavailable"));
    assert!(response.page.header("retry-after").is_some());
    // The login page uses the same counters, so it is refused there too.
    let app = server.relying_party("example-app");
    let mut bob = server.browser();
    bob.opens(&app.auth_request("openid").url).await;
    assert_eq!(bob.signs_in(BOB, BOB_PASSWORD).await.status, 429);
}

/// Threat 48.
#[tokio::test]
async fn a_client_gets_tokens_of_its_own() {
    let job = Client::new("job").with("clientCredentialsClaims: {groups: [deployers]}");
    let cluster = Client::public("production").with("trustedPeers: [job]");
    let block = "kubernetes: {webhook: {secret: the-credential-of-a-cluster}}";
    let world = World::new().client(job).client(cluster).client(Client::public("cli"));
    let world = world.client(Client::new("test-cluster").with(block));
    let server =
        world.with("oauth2:\n  grantTypes: [authorization_code, client_credentials]").start().await;
    let requests_token = async |id: &str, scope: &str| {
        let fields = [("grant_type", "client_credentials"), ("scope", scope)];
        server.relying_party(id).exchange(&fields).await
    };
    let response =
        requests_token("job", "openid groups profile audience:server:client_id:production").await;
    assert_eq!(response.status, 200, "{}", response.page.body);
    let keys = server.relying_party("job").gets("/keys").await.json;
    for token in [response.id_token(), response.access_token()] {
        let token = verified(token, &keys);
        assert_eq!(
            (&token["sub"], &token["groups"]),
            (&json!("client:job"), &json!(["deployers"]))
        );
        assert_eq!((&token["aud"], &token["azp"]), (&json!(["production", "job"]), &json!("job")));
        assert_eq!(token["name"], "The job");
    }
    assert!(response.json.get("refresh_token").is_none());
    for (id, scope, expected) in [
        ("job", "openid offline_access", "invalid_scope"),
        ("job", "federated:id", "invalid_scope"),
        ("job", "countersign:admin", "unauthorized_client"),
        ("job", "audience:server:client_id:cli", "invalid_scope"),
        ("cli", "openid", "unauthorized_client"),
    ] {
        let response = requests_token(id, scope).await;
        assert_eq!((response.status, response.error()), (400, expected), "{id} {scope}");
    }
    // Every token for a client with a `kubernetes` block has `azp`, which the cluster may require (docs/kubernetes.md).
    for (id, azp) in [("job", Value::Null), ("test-cluster", json!("test-cluster"))] {
        let response = requests_token(id, "openid").await;
        for token in [response.id_token(), response.access_token()] {
            let token = verified(token, &keys);
            assert_eq!((&token["aud"], &token["azp"]), (&json!(id), &azp));
        }
    }
    let nobodys = server.relying_party("job").userinfo(response.access_token()).await;
    assert_eq!(nobodys.status, 401, "there is no person behind it");
}

/// As for people's tokens: the shortest lifetime of all audiences, and `azp` in every token for a cluster.
#[tokio::test]
async fn a_clients_own_tokens_follow_the_rules_of_their_audiences() {
    let short_lived = Client::public("production").with("trustedPeers: [job]");
    let world = World::new()
        .client(Client::new("job"))
        .client(short_lived.with("expiry: {idTokens: 2m}"))
        .client(Client::new("cluster").with("kubernetes: {groups: token}"))
        .with("expiry:\n  idTokens: 10m")
        .with("oauth2:\n  grantTypes: [authorization_code, client_credentials]");
    let server = world.start().await;
    for (id, scope, seconds, azp) in [
        ("job", "openid audience:server:client_id:production", 120, json!("job")),
        ("job", "openid", 600, json!(null)),
        ("cluster", "openid", 600, json!("cluster")),
    ] {
        let fields = [("grant_type", "client_credentials"), ("scope", scope)];
        let response = server.relying_party(id).exchange(&fields).await;
        for token in [response.id_token(), response.access_token()] {
            let token = claims(token);
            let lifetime = token["exp"].as_i64().unwrap() - token["iat"].as_i64().unwrap();
            assert!((seconds - 5..=seconds).contains(&lifetime), "{id} {scope}: {lifetime}");
            assert_eq!(token["azp"], azp, "{id} {scope}");
        }
    }
}
