//! Token revocation (RFC 7009) and introspection (RFC 7662).

use crate::world::{ALICE, ALICE_PASSWORD, Client, RelyingParty, Server, World};

/// Access and refresh token of a login by Alice.
async fn tokens(server: &Server, app: &RelyingParty) -> (String, String) {
    let request = app.auth_request("openid email offline_access");
    let auth_response = server.browser().logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let response = app.redeems(&request, &auth_response).await;
    (response.access_token().to_owned(), response.refresh_token().to_owned())
}

#[tokio::test]
async fn revoking_a_refresh_token_ends_its_grant_and_no_other() {
    let server = World::new().start().await;
    let app = server.relying_party("example-app");
    let (access, refresh) = tokens(&server, &app).await;
    let (_, phone) = tokens(&server, &app).await;

    let revoked = app.posts("/revoke", &[("token", &refresh)]).await;
    assert_eq!((revoked.status, revoked.page.body.as_str()), (200, ""));
    assert_eq!(app.refreshes(&refresh).await.error(), "invalid_grant");
    assert_eq!(app.userinfo(&access).await.status, 401);
    assert_eq!(app.refreshes(&phone).await.status, 200);
}

#[tokio::test]
async fn revoking_an_access_token_ends_its_grant() {
    let server = World::new().start().await;
    let app = server.relying_party("example-app");
    let (access, refresh) = tokens(&server, &app).await;
    assert_eq!(app.posts("/revoke", &[("token", &access)]).await.status, 200);
    assert_eq!(app.userinfo(&access).await.status, 401);
    assert_eq!(app.refreshes(&refresh).await.error(), "invalid_grant");
}

/// Threat 53.
#[tokio::test]
async fn a_client_cannot_revoke_the_tokens_of_another() {
    let server = World::new().client(Client::new("other-app")).start().await;
    let (app, other) = (server.relying_party("example-app"), server.relying_party("other-app"));
    let (_, refresh) = tokens(&server, &app).await;
    assert_eq!(other.posts("/revoke", &[("token", &refresh)]).await.status, 200);
    assert_eq!(app.refreshes(&refresh).await.status, 200);
}

/// Threat 53.
#[tokio::test]
async fn revocation_and_introspection_require_client_authentication() {
    let server = World::new().client(Client::public("kubernetes")).start().await;
    let app = server.relying_party("example-app");
    let (_, refresh) = tokens(&server, &app).await;
    let mut mallory = server.relying_party("example-app");
    mallory.secret = Some("a-guess-that-is-long-enough".into());
    for path in ["/revoke", "/token/introspect"] {
        let response = mallory.posts(path, &[("token", &refresh)]).await;
        assert_eq!((response.status, response.error()), (401, "invalid_client"), "{path}");
    }
    let public = server.relying_party("kubernetes");
    let response = public.posts("/token/introspect", &[("token", &refresh)]).await;
    assert_eq!(response.error(), "invalid_client");
    assert_eq!(app.refreshes(&refresh).await.status, 200);
}

#[tokio::test]
async fn revoking_an_unknown_token_succeeds() {
    let server = World::new().start().await;
    let app = server.relying_party("example-app");
    assert_eq!(app.posts("/revoke", &[("token", "nonsense")]).await.status, 200);
    assert_eq!(app.posts("/revoke", &[]).await.error(), "invalid_request");
}

#[tokio::test]
async fn a_client_can_introspect_its_own_tokens() {
    let server = World::new().start().await;
    let app = server.relying_party("example-app");
    let (access, refresh) = tokens(&server, &app).await;

    let response = app.posts("/token/introspect", &[("token", &access)]).await;
    assert_eq!(response.page.header("cache-control"), Some("no-store"));
    assert_eq!(response.json["active"], true, "{}", response.page.body);
    assert_eq!(response.json["client_id"], "example-app");
    assert_eq!(response.json["scope"], "openid email offline_access");
    assert_eq!(response.json["token_use"], "access_token");
    assert_eq!(response.json["iss"], server.issuer());
    let response = app.posts("/token/introspect", &[("token", &refresh)]).await;
    assert_eq!(
        (&response.json["active"], &response.json["token_use"]),
        (&true.into(), &"refresh_token".into())
    );

    // The previous generation is not active, although a retry with it would succeed.
    app.refreshes(&refresh).await;
    let response = app.posts("/token/introspect", &[("token", &refresh)]).await;
    assert_eq!(response.json, serde_json::json!({ "active": false }));
}

/// Threat 53: only the token's client and its audiences learn about it.
#[tokio::test]
async fn a_token_is_inactive_for_clients_it_was_not_issued_to_or_for() {
    let peer = Client::new("cluster").with("trustedPeers: [example-app]");
    let server = World::new().client(peer).client(Client::new("other-app")).start().await;
    let app = server.relying_party("example-app");
    let request = app.auth_request("openid audience:server:client_id:cluster");
    let auth_response = server.browser().logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let access = app.redeems(&request, &auth_response).await.access_token().to_owned();

    let ask = async |id| {
        server.relying_party(id).posts("/token/introspect", &[("token", &access)]).await.json
    };
    assert_eq!(ask("cluster").await["active"], true);
    assert_eq!(ask("other-app").await, serde_json::json!({ "active": false }));
    app.posts("/revoke", &[("token", &access)]).await;
    assert_eq!(ask("cluster").await, serde_json::json!({ "active": false }));
}

/// Dex's `ext`, which Dovecot and Go clients read, limited to the scope of the token.
#[tokio::test]
async fn introspection_has_the_claims_of_dex_in_ext() {
    let server = World::new().start().await;
    let app = server.relying_party("example-app");
    for (scope, is_with_groups) in [("openid email profile groups", true), ("openid email", false)]
    {
        let request = app.auth_request(scope);
        let auth_response = server.browser().logs_in(&request, ALICE, ALICE_PASSWORD).await;
        let response = app.redeems(&request, &auth_response).await;
        let fields = [("token", response.access_token())];
        let about = app.posts("/token/introspect", &fields).await.json;
        assert_eq!((&about["active"], &about["token_use"]), (&true.into(), &"access_token".into()));
        let ext = &about["ext"];
        assert_eq!(
            (&ext["email"], &ext["email_verified"]),
            (&ALICE.into(), &true.into()),
            "{about}"
        );
        let groups = serde_json::json!(["admins", "developers"]);
        assert_eq!(ext.get("groups"), is_with_groups.then_some(&groups), "{scope}: {about}");
        assert_eq!(ext.get("name").is_some(), is_with_groups, "{scope}: {about}");
    }
}

/// RFC 7662 section 2.2: a token of `client_credentials` is active, although it has no session.
#[tokio::test]
async fn a_clients_own_token_is_active_for_itself_and_its_audiences() {
    let job = Client::new("job").with("clientCredentialsClaims: {groups: [deployers]}");
    let world = World::new()
        .client(job)
        .client(Client::new("cluster").with("trustedPeers: [job]"))
        .client(Client::new("other-app"))
        .with("oauth2:\n  grantTypes: [authorization_code, client_credentials]");
    let mut server = world.start().await;
    let scope = "groups audience:server:client_id:cluster";
    let fields = [("grant_type", "client_credentials"), ("scope", scope)];
    let token = server.relying_party("job").exchange(&fields).await.access_token().to_owned();
    let of_token = [("token", token.as_str())];
    let inactive = serde_json::json!({ "active": false });
    for id in ["job", "cluster"] {
        let about = server.relying_party(id).posts("/token/introspect", &of_token).await.json;
        assert_eq!(about["active"], true, "{id}: {about}");
        assert_eq!((&about["sub"], &about["client_id"]), (&"client:job".into(), &"job".into()));
        assert_eq!(about["aud"], serde_json::json!(["cluster", "job"]), "{id}: {about}");
        assert_eq!(about["ext"]["groups"], serde_json::json!(["deployers"]), "{id}: {about}");
        assert!(about.get("sid").is_none(), "{id}: {about}");
    }
    let other = server.relying_party("other-app").posts("/token/introspect", &of_token).await;
    assert_eq!(other.json, inactive);
    // The grant type is switched off: such tokens are no longer active.
    server.rewrites_config(|world| world.with("oauth2:\n  skipApprovalScreen: true"));
    server.restart().await;
    let later = server.relying_party("job").posts("/token/introspect", &of_token).await;
    assert_eq!(later.json, inactive);
}
