//! Token exchange (RFC 8693): the rules of a login and of a refresh hold for it too. An exchanged token lives no longer
//! than its subject token, has the current groups, and needs a connector that serves the grant type.

use std::time::Duration;

use super::other_grants::{EXCHANGE, ID_TOKEN, exchange};
use crate::scenarios::connectors::oidc::{GROUPS, upstream_and_branch};
use crate::world::{
    ALICE, ALICE_PASSWORD, BOB, BOB_PASSWORD, Client, Need, OtherOrigin, SignedInClient, World,
    claims,
};

const MINUTE: Duration = Duration::from_mins(1);

/// With the public client `cli`, which `production` trusts. `more` are further keys of `oauth2`.
fn exchanging(world: World, more: &str) -> World {
    world
        .client(Client::public("cli"))
        .client(Client::public("production").with("trustedPeers: [cli]"))
        .with("expiry:\n  idTokens: 10m")
        .with(&format!(
            "oauth2:\n  skipApprovalScreen: true\n  grantTypes: [authorization_code, refresh_token, \"{EXCHANGE}\"]\n{more}"
        ))
}

/// Otherwise a chain of exchanges would be a refresh token without an end.
#[tokio::test]
async fn an_exchanged_token_expires_with_its_subject_token_at_the_latest() {
    if Need::Clock.is_missing() {
        return;
    }
    let server = exchanging(World::with_clock(), "").start().await;
    let laptop = SignedInClient::sign_in_alice(&server, "cli", "openid email").await;
    let end = claims(&laptop.access_token)["exp"].clone();
    server.advance(4 * MINUTE);
    let wanted = [("audience", "production"), ("requested_token_type", ID_TOKEN)];
    let for_cluster = exchange(&laptop.app, &laptop.access_token, &wanted).await;
    assert_eq!(claims(for_cluster.access_token())["exp"], end, "{}", for_cluster.page.body);
    let left = for_cluster.json["expires_in"].as_i64().unwrap();
    assert!((1..=360).contains(&left), "{left}");
    let first = exchange(&laptop.app, &laptop.access_token, &[]).await;
    let second = exchange(&laptop.app, first.access_token(), &[]).await;
    assert_eq!(claims(second.access_token())["exp"], end, "{}", second.page.body);
    server.advance(7 * MINUTE);
    let late = exchange(&laptop.app, second.access_token(), &[]).await;
    assert_eq!((late.status, late.error()), (400, "invalid_request"));
}

/// As before a code is issued: groups older than `sessions.upstreamRefreshInterval` are revalidated.
#[tokio::test]
async fn the_groups_of_an_exchanged_token_are_revalidated_with_the_upstream() {
    if Need::Clock.is_missing() {
        return;
    }
    let config = format!("{GROUPS}    promptType: \"\"\n");
    let branch = exchanging(World::with_clock(), "");
    let (mut upstream, branch) = upstream_and_branch(World::with_clock(), branch, &config).await;
    let (who, at_upstream) = ((ALICE, ALICE_PASSWORD), [("connector_id", "home")]);
    let scopes = "openid groups offline_access";
    let laptop = SignedInClient::sign_in(who, &branch, "cli", scopes, &at_upstream).await;
    for server in [&upstream, &branch] {
        server.advance(6 * MINUTE);
    }
    upstream.stop().await;
    let response = exchange(&laptop.app, &laptop.access_token, &[]).await;
    assert_eq!((response.status, response.error()), (503, "temporarily_unavailable"));
    assert!(response.page.header("retry-after").is_some());
    upstream.restart().await;
    for server in [&upstream, &branch] {
        server.advance(2 * MINUTE);
    }
    let response = exchange(&laptop.app, &laptop.access_token, &[]).await;
    assert_eq!(response.status, 200, "{}", response.page.body);
    let groups = &claims(response.access_token())["groups"];
    assert_eq!(*groups, serde_json::json!(["admins", "developers"]));
}

/// An ID token of a cluster does not name its scopes: its claims show that a refresh requested fewer.
#[tokio::test]
async fn an_id_token_of_fewer_scopes_is_not_exchanged_for_more() {
    for groups in ["token", "distributed"] {
        let cluster = Client::public("cluster").with(&format!("kubernetes: {{groups: {groups}}}"));
        let server = exchanging(World::new(), "").client(cluster).start().await;
        let scopes = "openid email groups offline_access";
        let laptop = SignedInClient::sign_in_alice(&server, "cluster", scopes).await;
        let all = [("subject_token_type", ID_TOKEN)];
        let response = exchange(&laptop.app, &laptop.id_token, &all).await;
        assert_eq!(response.json["scope"], "openid email groups", "{groups}");
        let fields = [
            ("grant_type", "refresh_token"),
            ("refresh_token", laptop.refresh_token.as_str()),
            ("scope", "openid"),
        ];
        let narrowed = laptop.app.exchange(&fields).await;
        let response = exchange(&laptop.app, narrowed.id_token(), &all).await;
        assert_eq!(response.json["scope"], "openid", "{groups}: {}", response.page.body);
        let more = [("subject_token_type", ID_TOKEN), ("scope", "openid groups")];
        let response = exchange(&laptop.app, narrowed.id_token(), &more).await;
        assert_eq!((response.status, response.error()), (400, "invalid_scope"), "{groups}");
    }
}

/// Bob is in no group, so no claim of an ID token of his shows that it was issued with the scope.
#[tokio::test]
async fn an_id_token_of_a_user_without_groups_is_exchanged_with_the_scope_groups() {
    let cluster = Client::public("cluster").with("kubernetes: {groups: token}");
    let server = exchanging(World::new(), "").client(cluster).start().await;
    let (bob, scopes) = ((BOB, BOB_PASSWORD), "openid groups");
    let laptop = SignedInClient::sign_in(bob, &server, "cluster", scopes, &[]).await;
    for wanted in [
        &[("subject_token_type", ID_TOKEN)][..],
        &[("subject_token_type", ID_TOKEN), ("scope", scopes)],
    ] {
        let response = exchange(&laptop.app, &laptop.id_token, wanted).await;
        assert_eq!(response.status, 200, "{}", response.page.body);
        assert_eq!(response.json["scope"], scopes);
    }
}

/// `kubectl countersign` requests the scopes of its login, also where the connector cannot refresh.
#[tokio::test]
async fn offline_access_is_not_exchanged_and_not_refused() {
    let connectors = format!(
        "connectors:\n- type: mockCallback\n  id: corp\n  name: Example Corp\n  \
         grantTypes: [authorization_code, \"{EXCHANGE}\"]"
    );
    let server = exchanging(World::new(), "").with(&connectors).start().await;
    let (who, at_corp) = ((ALICE, ALICE_PASSWORD), [("connector_id", "corp")]);
    let scopes = "openid email offline_access";
    let laptop = SignedInClient::sign_in(who, &server, "cli", scopes, &at_corp).await;
    assert_eq!(laptop.refresh_token, "", "the connector does not serve refresh_token");
    let wanted = [("audience", "production"), ("scope", scopes)];
    let response = exchange(&laptop.app, &laptop.access_token, &wanted).await;
    assert_eq!(response.status, 200, "{}", response.page.body);
    let granted = response.json["scope"].as_str().unwrap();
    assert_eq!(granted, "openid email audience:server:client_id:production");
}

/// Signing out of the browser leaves the tokens of a command-line tool, also those that it exchanged for a cluster's.
#[tokio::test]
async fn an_exchanged_token_outlives_the_browser_if_its_subject_token_does() {
    let server = exchanging(World::new(), "").start().await;
    for (scopes, expected) in [("openid offline_access", 200), ("openid", 401)] {
        let (mut alice, app) = (server.browser(), server.relying_party("cli"));
        let request = app.auth_request(scopes);
        let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
        let tokens = app.redeems(&request, &auth_response).await;
        let first = exchange(&app, tokens.access_token(), &[]).await;
        assert_eq!(first.json["scope"], "openid", "{}", first.page.body);
        let second = exchange(&app, first.access_token(), &[]).await;
        alice.opens(server.url("/logout")).await;
        let form = alice.page().form_with("csrf").expect("the form that signs out");
        alice.submits(form).await;
        for response in [&tokens, &first, &second] {
            let status = app.userinfo(response.access_token()).await.status;
            assert_eq!(status, expected, "{scopes}");
        }
    }
}

/// `connectors[].grantTypes`.
#[tokio::test]
async fn a_connector_without_token_exchange_has_no_tokens_exchanged() {
    let connectors = "connectors:\n- type: mockCallback\n  id: corp\n  name: Example Corp\n  \
                      grantTypes: [authorization_code]";
    let server = exchanging(World::new(), "").with(connectors).start().await;
    let (who, at_corp) = ((ALICE, ALICE_PASSWORD), [("connector_id", "corp")]);
    let laptop = SignedInClient::sign_in(who, &server, "cli", "openid", &at_corp).await;
    let response = exchange(&laptop.app, &laptop.access_token, &[]).await;
    assert_eq!((response.status, response.error()), (400, "invalid_request"));
    let at_local = [("connector_id", "local")];
    let alice = SignedInClient::sign_in(who, &server, "cli", "openid", &at_local).await;
    assert_eq!(exchange(&alice.app, &alice.access_token, &[]).await.status, 200);
}

/// `oauth2.strictScopes`, as at `/auth` and for the other grant types.
#[tokio::test]
async fn an_unknown_scope_of_an_exchange_is_an_error_if_so_configured() {
    for (more, expected) in [("", 200), ("  strictScopes: true\n", 400)] {
        let server = exchanging(World::new(), more).start().await;
        let laptop = SignedInClient::sign_in_alice(&server, "cli", "openid email").await;
        let wanted = [("scope", "openid nonsense")];
        let response = exchange(&laptop.app, &laptop.access_token, &wanted).await;
        assert_eq!(response.status, expected, "{}", response.page.body);
        let error = response.json["error"].as_str();
        assert_eq!(error, (expected == 400).then_some("invalid_scope"));
    }
}

/// Neither is a fault of the subject token, which is not even read.
#[tokio::test]
async fn a_broken_upstream_is_not_blamed_on_its_token() {
    let no_issuer = OtherOrigin::start();
    let gone = "http://127.64.0.9:5556/dex";
    for (issuer, expected) in
        [(no_issuer.url.as_str(), (500, "server_error")), (gone, (503, "temporarily_unavailable"))]
    {
        let connectors = format!(
            "connectors:\n- type: oidc\n  id: home\n  name: Head office\n  config:\n    issuer: {issuer}\n    \
             clientID: branch\n    clientSecret: a-secret-of-the-branch\n"
        );
        let server = exchanging(World::new(), "").with(&connectors).start().await;
        let upstreams = [("connector_id", "home"), ("subject_token_type", ID_TOKEN)];
        let response = exchange(&server.relying_party("example-app"), "x", &upstreams).await;
        let found = (response.status, response.error());
        assert_eq!(found, expected, "{issuer}: {}", response.page.body);
    }
}
