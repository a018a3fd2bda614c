//! Applications give back what they were given (RFC 7009) and ask what a token is worth (RFC 7662).

use crate::world::{ALICE, ALICE_PASSWORD, Client, RelyingParty, Server, World};

/// Alice's tokens for an application, with a refresh token.
async fn tokens(server: &Server, app: &RelyingParty) -> (String, String) {
    let request = app.auth_request("openid email offline_access");
    let auth_response = server.browser().logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let response = app.redeems(&request, &auth_response).await;
    (response.access_token().to_owned(), response.refresh_token().to_owned())
}

#[tokio::test]
async fn a_revoked_refresh_token_ends_its_whole_grant_and_no_other() {
    let server = World::new().start().await;
    let app = server.relying_party("example-app");
    let (laptop_access, laptop) = tokens(&server, &app).await;
    let (_, phone) = tokens(&server, &app).await;

    let revoked = app.posts("/revoke", &[("token", &laptop)]).await;
    assert_eq!((revoked.status, revoked.page.body.as_str()), (200, ""));
    assert_eq!(app.refreshes(&laptop).await.error(), "invalid_grant");
    assert_eq!(app.userinfo(&laptop_access).await.status, 401);
    assert_eq!(app.refreshes(&phone).await.status, 200);
}

#[tokio::test]
async fn a_revoked_access_token_ends_its_grant_too() {
    let server = World::new().start().await;
    let app = server.relying_party("example-app");
    let (access, refresh) = tokens(&server, &app).await;
    assert_eq!(app.posts("/revoke", &[("token", &access)]).await.status, 200);
    assert_eq!(app.userinfo(&access).await.status, 401);
    assert_eq!(app.refreshes(&refresh).await.error(), "invalid_grant");
}

/// Threat 53.
#[tokio::test]
async fn another_application_cannot_revoke_what_is_not_its_own() {
    let server = World::new().client(Client::new("other-app")).start().await;
    let (app, other) = (server.relying_party("example-app"), server.relying_party("other-app"));
    let (_, refresh) = tokens(&server, &app).await;
    assert_eq!(other.posts("/revoke", &[("token", &refresh)]).await.status, 200);
    assert_eq!(app.refreshes(&refresh).await.status, 200);
}

/// Threat 53.
#[tokio::test]
async fn a_stranger_can_neither_revoke_nor_ask() {
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
async fn what_was_never_a_token_is_revoked_without_a_word() {
    let server = World::new().start().await;
    let app = server.relying_party("example-app");
    assert_eq!(app.posts("/revoke", &[("token", "nonsense")]).await.status, 200);
    assert_eq!(app.posts("/revoke", &[]).await.error(), "invalid_request");
}

#[tokio::test]
async fn an_application_asks_about_its_own_tokens() {
    let server = World::new().start().await;
    let app = server.relying_party("example-app");
    let (access, refresh) = tokens(&server, &app).await;

    let told = app.posts("/token/introspect", &[("token", &access)]).await;
    assert_eq!(told.page.header("cache-control"), Some("no-store"));
    assert_eq!(told.json["active"], true, "{}", told.page.body);
    assert_eq!(told.json["client_id"], "example-app");
    assert_eq!(told.json["scope"], "openid email offline_access");
    assert_eq!(told.json["token_use"], "access_token");
    assert_eq!(told.json["iss"], server.issuer());
    let told = app.posts("/token/introspect", &[("token", &refresh)]).await;
    assert_eq!(
        (&told.json["active"], &told.json["token_use"]),
        (&true.into(), &"refresh_token".into())
    );

    // The generation before the current one is not active, although a retry would be answered.
    app.refreshes(&refresh).await;
    let told = app.posts("/token/introspect", &[("token", &refresh)]).await;
    assert_eq!(told.json, serde_json::json!({ "active": false }));
}

/// Threat 53: only whom a token was issued to, or whom it names, hears of it.
#[tokio::test]
async fn an_application_hears_nothing_of_anothers_tokens_unless_they_name_it() {
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
