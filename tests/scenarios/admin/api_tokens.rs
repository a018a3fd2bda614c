//! Access tokens for the administrator's API: audience, lifetime, and which clients get them (threats 48 and
//! 127).

use serde_json::{Value, json};

use crate::world::{ALICE, ALICE_PASSWORD, Client, World, claims};

const ADMINS: &str =
    "admin:\n  groups:\n    - {connector: local, group: admins}\n  clients: [ops, tool]";

fn world() -> World {
    World::new().client(Client::new("ops")).with(ADMINS)
}

/// No session could end it, so it is short-lived; its audience is the API alone, so no cluster accepts it.
#[tokio::test]
async fn a_client_credentials_token_has_the_api_as_audience_and_lives_15_minutes() {
    let yaml = "expiry:\n  idTokens: 24h";
    let server = world().client(Client::new("tool")).with(yaml).start().await;
    let ops = server.relying_party("ops");
    let token = ops.client_credentials_token().await;
    let claims = claims(&token);
    assert_eq!(claims["aud"], json!(format!("{}/api/v1", server.issuer())));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 15 * 60);
    assert_eq!(ops.calls_api("GET", "/sessions", &token, Value::Null).await.status, 200);
}

/// A public client's secret is in every copy of the client, so it authenticates nobody.
#[tokio::test]
async fn a_public_client_gets_no_client_credentials_token_even_with_a_secret() {
    let server = world().client(Client::new("tool").with("public: true")).start().await;
    let tool = server.relying_party("tool");
    let fields = [("grant_type", "client_credentials"), ("scope", "countersign:admin")];
    let response = tool.exchange(&fields).await;
    assert_eq!((response.status, response.error()), (400, "unauthorized_client"));
}

/// A token with a second audience is known to that audience, which could use it at the API.
#[tokio::test]
async fn a_token_with_another_audience_is_refused_by_the_api() {
    let cluster = Client::new("cluster").with("trustedPeers: [ops]");
    let server = world().client(Client::new("tool")).client(cluster).start().await;
    let ops = server.relying_party("ops");
    for (scopes, status) in [
        ("openid countersign:admin audience:server:client_id:cluster", 403),
        ("openid countersign:admin audience:server:client_id:ops", 200),
        ("openid countersign:admin", 200),
    ] {
        let request = ops.auth_request(scopes);
        let auth_response = server.browser().logs_in(&request, ALICE, ALICE_PASSWORD).await;
        let token = ops.redeems(&request, &auth_response).await.access_token().to_owned();
        let response = ops.calls_api("GET", "/sessions", &token, Value::Null).await;
        assert_eq!(response.status, status, "{scopes}");
    }
}
