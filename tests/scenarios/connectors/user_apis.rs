//! Signing in with Gitea, Bitbucket Cloud, OpenShift, a generic OAuth 2.0 provider, Keystone and Crowd, at fakes of
//! them: `sub` and groups as Dex spells them, and a refresh.

use serde_json::{Value, json};

use crate::world::fakes::user_apis::{
    ADMIN_PASSWORD, CLIENT, Fake, PASSWORD, SECRET, bitbucket, crowd, gitea, keystone, oauth,
    openshift,
};
use crate::world::{Browser, RelyingParty, Server, World, dex_sub, verified};

/// `config` has the lines of the connector's own keys.
async fn world(kind: &str, config: &[String]) -> (Server, Browser, RelyingParty) {
    let lines: String = config.iter().map(|line| format!("    {line}\n")).collect();
    let connectors =
        format!("connectors:\n- type: {kind}\n  id: up\n  name: Upstream\n  config:\n{lines}");
    let rules = "oauth2:\n  skipApprovalScreen: true\nsessions:\n  upstreamRefreshInterval: 0s";
    let server = World::new().with(&connectors).with(rules).start().await;
    let (jane, app) = (server.browser(), server.relying_party("example-app"));
    (server, jane, app)
}

fn client() -> Vec<String> {
    vec![format!("clientID: {CLIENT}"), format!("clientSecret: \"{SECRET}\"")]
}

const SCOPES: &str = "openid email profile groups offline_access";

/// The claims of the ID token of a login, which a refresh repeats.
async fn claims_by_redirect(kind: &str, fake: &Fake, config: Vec<String>) -> Value {
    let (_server, mut jane, app) = world(kind, &config).await;
    let request = app.auth_request(SCOPES);
    jane.opens(&request.url).await;
    jane.clicks("Upstream").await;
    jane.continues_to_fake_upstream().await;
    let response = app.redeems(&request, &jane.auth_response()).await;
    let keys = app.gets("/keys").await.json;
    let claims = verified(response.id_token(), &keys);
    assert!(!fake.web.url.is_empty());
    if kind != "oauth" {
        let refreshed = app.refreshes(response.refresh_token()).await;
        assert_eq!(verified(refreshed.id_token(), &keys)["groups"], claims["groups"]);
    }
    claims
}

async fn claims_by_password(kind: &str, config: Vec<String>, login: &str) -> Value {
    let (_server, mut jane, app) = world(kind, &config).await;
    let request = app.auth_request(SCOPES);
    jane.opens(&request.url).await;
    jane.clicks("Upstream").await;
    let page = jane.signs_in(login, "a wrong password").await;
    assert_eq!(page.status, 401, "{}", page.text());
    jane.signs_in(login, PASSWORD).await;
    let response = app.redeems(&request, &jane.auth_response()).await;
    let keys = app.gets("/keys").await.json;
    let claims = verified(response.id_token(), &keys);
    let refreshed = app.refreshes(response.refresh_token()).await;
    assert_eq!(verified(refreshed.id_token(), &keys)["groups"], claims["groups"]);
    claims
}

#[tokio::test]
async fn jane_signs_in_with_gitea() {
    let fake = gitea().await;
    let more = [format!("baseURL: {}", fake.web.url), "loadAllGroups: true".to_owned()];
    let claims = claims_by_redirect("gitea", &fake, [client(), more.to_vec()].concat()).await;
    assert_eq!(claims["sub"], dex_sub("7", "up"));
    assert_eq!(claims["preferred_username"], "jane");
    assert_eq!(claims["groups"], json!(["acme", "acme:Owners", "acme:dev", "shop", "shop:web"]));
}

#[tokio::test]
async fn jane_signs_in_with_bitbucket() {
    let fake = bitbucket().await;
    let url = &fake.web.url;
    let more = vec![format!("apiURLs: {{web: \"{url}\", api: \"{url}\"}}")];
    let claims = claims_by_redirect("bitbucket-cloud", &fake, [client(), more].concat()).await;
    assert_eq!(claims["sub"], dex_sub("{b0c0}", "up"));
    assert_eq!(claims["email"], "jane@example.com");
    assert_eq!(claims["groups"], json!(["acme", "shop"]));
}

#[tokio::test]
async fn jane_signs_in_with_openshift() {
    let fake = openshift().await;
    let more = vec![format!("issuer: {}", fake.web.url)];
    let claims = claims_by_redirect("openshift", &fake, [client(), more].concat()).await;
    assert_eq!(claims["sub"], dex_sub("5f0f", "up"));
    assert_eq!((&claims["email"], &claims["email_verified"]), (&json!("jane"), &json!(false)));
    assert_eq!(claims["groups"], json!(["admins", "system:authenticated"]));
}

#[tokio::test]
async fn jane_signs_in_with_any_oauth_provider() {
    let fake = oauth().await;
    let url = &fake.web.url;
    let more = vec![
        format!("authorizationURL: {url}/authorize"),
        format!("tokenURL: {url}/token"),
        format!("userInfoURL: {url}/me"),
    ];
    let claims = claims_by_redirect("oauth", &fake, [client(), more].concat()).await;
    assert_eq!(claims["sub"], dex_sub("1.234567e+06", "up"));
    assert_eq!(claims["groups"], json!(["admins", "dev", "of_token"]));
}

#[tokio::test]
async fn jane_signs_in_with_keystone() {
    let fake = keystone().await;
    let config = vec![
        format!("keystoneHost: {}", fake.web.url),
        "keystoneUsername: admin".to_owned(),
        format!("keystonePassword: {ADMIN_PASSWORD}"),
    ];
    let claims = claims_by_password("keystone", config, "jane").await;
    assert_eq!(claims["sub"], dex_sub("a1b2", "up"));
    assert_eq!(claims["groups"], json!(["admins", "Dev Team"]));
}

#[tokio::test]
async fn jane_signs_in_with_crowd() {
    let fake = crowd().await;
    let more = vec![format!("baseURL: {}/crowd", fake.web.url)];
    let claims = claims_by_password("atlassian-crowd", [client(), more].concat(), "jane d&e").await;
    assert_eq!(claims["sub"], dex_sub("32769:5d", "up"));
    assert_eq!(claims["groups"], json!(["crowd-users", "admins"]));
}
