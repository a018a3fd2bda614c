//! Refresh tokens that an upstream accepts once: the one it returned is kept, whatever else it returned with it.

use std::time::Duration;

use serde_json::json;

use crate::world::fakes::provider::{CLIENT, Provider, SECRET};
use crate::world::{Need, RelyingParty, Server, World};

/// Every refresh asks the provider.
fn world(base: World, provider: &Provider) -> World {
    let connectors = format!(
        "connectors:\n- type: oidc\n  id: corp\n  name: Corp\n  config:\n    issuer: {}\n    \
         clientID: {CLIENT}\n    clientSecret: \"{SECRET}\"\n    insecureEnableGroups: true\n",
        provider.web.url
    );
    let rules = "oauth2:\n  skipApprovalScreen: true\nsessions:\n  upstreamRefreshInterval: 0s";
    base.with(&connectors).with(rules)
}

/// Signs Jane in; returns her refresh token.
async fn signs_in(server: &Server, app: &RelyingParty) -> String {
    let mut jane = server.browser();
    let scopes = "openid email groups offline_access";
    let request = app.auth_request_with(scopes, &[("connector_id", "corp")]);
    jane.opens(&request.url).await;
    jane.continues_to_fake_upstream().await;
    app.redeems(&request, &jane.auth_response()).await.refresh_token().to_owned()
}

/// Issue 9, item 10. An ID token that cannot be used, because of a mistake at the upstream, is returned together with the
/// next refresh token. When the mistake is corrected, Jane goes on without signing in, also after a restart, and every
/// attempt in between asked the upstream.
#[tokio::test]
async fn a_mistake_of_an_upstream_that_rotates_its_refresh_tokens_signs_nobody_out() {
    let provider = Provider::start().await;
    provider.set(|behaviour| behaviour.rotates = true);
    let mut server = world(World::new(), &provider).start().await;
    let app = server.relying_party("example-app");
    let refresh_token = signs_in(&server, &app).await;

    provider.claims(|claims| {
        claims.insert("groups".into(), json!(5));
    });
    let before = provider.web.requests("/token").len();
    for attempt in 1..=3 {
        let response = app.refreshes(&refresh_token).await;
        assert_eq!(
            (response.status, response.error()),
            (500, "server_error"),
            "{}",
            response.page.body
        );
        assert_eq!(provider.web.requests("/token").len(), before + attempt, "it asks again");
    }
    server.restart().await;
    provider.claims(|claims| {
        claims.insert("groups".into(), json!(["staff"]));
    });
    let app = server.relying_party("example-app");
    let response = app.refreshes(&refresh_token).await;
    assert_eq!(response.status, 200, "{}", response.page.body);
    assert_eq!(crate::world::claims(response.id_token())["groups"], json!(["staff"]));
}

/// Issue 9, item 11: an upstream that refuses its own refresh token has not said that the account is disabled or gone.
#[tokio::test]
async fn a_refused_token_of_the_upstream_is_not_reported_as_a_disabled_account() {
    if Need::Clock.is_missing() {
        return;
    }
    let provider = Provider::start().await;
    let server = world(World::with_clock(), &provider).start().await;
    let app = server.relying_party("example-app");
    let refresh_token = signs_in(&server, &app).await;
    provider.forget_refresh_tokens();
    for expected in ["no longer confirms this person", "has ended", "no longer confirmed"] {
        let response = app.refreshes(&refresh_token).await;
        assert_eq!((response.status, response.error()), (400, "invalid_grant"));
        let description = response.json["error_description"].as_str().unwrap();
        assert!(description.contains(expected), "{description}");
        assert!(!description.contains("disabled"), "{description}");
        server.advance(Duration::from_mins(6));
    }
}
