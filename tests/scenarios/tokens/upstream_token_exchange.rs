//! Token exchange with Dex's `connector_id`: a client presents an ID token of an upstream (here another Countersign).

use serde_json::json;

use crate::scenarios::connectors::oidc::{GROUPS, upstream_and_branch};
use crate::world::{
    ALICE, Client, JsonResponse, RelyingParty, Server, SignedInClient, World, claims, verified,
};

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";

/// The upstream, and the server with this configuration of its connector.
async fn servers(config: &str) -> (Server, Server) {
    let branch = World::new().client(Client::public("cli")).with(&format!(
        "oauth2:\n  grantTypes: [authorization_code, refresh_token, \"{EXCHANGE}\"]"
    ));
    upstream_and_branch(World::new(), branch, config).await
}

async fn exchange(app: &RelyingParty, token: &str, more: &[(&str, &str)]) -> JsonResponse {
    let mut fields = vec![
        ("grant_type", EXCHANGE),
        ("connector_id", "home"),
        ("subject_token", token),
        ("subject_token_type", ID_TOKEN),
        ("scope", "openid email groups"),
    ];
    fields.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
    fields.extend(more);
    app.exchange(&fields).await
}

#[tokio::test]
async fn a_program_signs_in_with_an_id_token_of_the_upstream() {
    let (upstream, branch) = servers(GROUPS).await;
    let scopes = "openid email profile groups";
    let job = SignedInClient::sign_in_alice(&upstream, "branch", scopes).await;
    let app = branch.relying_party("example-app");
    let response = exchange(&app, &job.id_token, &[]).await;
    assert_eq!(response.status, 200, "{}", response.page.body);
    assert_eq!(response.json["issued_token_type"], ACCESS_TOKEN);
    assert!(response.json.get("refresh_token").is_none(), "{}", response.page.body);
    let userinfo = app.userinfo(response.access_token()).await;
    assert_eq!(userinfo.json["email"], ALICE, "{}", userinfo.page.body);
    assert_eq!(userinfo.json["groups"], json!(["admins", "developers"]));

    let wanted = [("requested_token_type", ID_TOKEN)];
    let response = exchange(&app, &job.id_token, &wanted).await;
    let token = verified(response.access_token(), &app.gets("/keys").await.json);
    assert_eq!((&token["iss"], &token["aud"]), (&json!(branch.issuer()), &json!("example-app")));
    assert_eq!(token["sub"], userinfo.json["sub"], "the same person as by a login");

    // The exchange creates a session, which an administrator can end.
    let again = exchange(&app, &job.id_token, &[]).await;
    let sid = claims(again.access_token())["sid"].as_str().unwrap().to_owned();
    let ended = branch.runs_command(&["sessions", "end", &sid, "--config", "CONFIG"], &[]);
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    assert_eq!(app.userinfo(again.access_token()).await.status, 401);
}

/// Threat 49: Dex accepts an ID token that the upstream issued to any of its applications (issue 4397 there).
#[tokio::test]
async fn an_id_token_for_another_client_of_the_upstream_is_refused() {
    let (upstream, branch) = servers(GROUPS).await;
    let scopes = "openid email profile groups";
    let others = SignedInClient::sign_in_alice(&upstream, "example-app", scopes).await;
    let job = SignedInClient::sign_in_alice(&upstream, "branch", scopes).await;
    let app = branch.relying_party("example-app");
    let mut forged = job.id_token.clone();
    forged.pop();
    for token in [&others.id_token, &job.access_token, &forged, "x"] {
        let response = exchange(&app, token, &[]).await;
        assert_eq!(
            (response.status, response.error()),
            (400, "invalid_request"),
            "{}",
            response.page.body
        );
    }
    for (more, expected) in [
        (vec![("subject_token_type", ACCESS_TOKEN)], "invalid_request"),
        (vec![("connector_id", "nowhere")], "invalid_request"),
        (vec![("connector_id", "local")], "invalid_request"),
        (vec![("scope", "email")], "invalid_scope"),
        (vec![("audience", "cli")], "invalid_target"),
    ] {
        let response = exchange(&app, &job.id_token, &more).await;
        assert_eq!((response.status, response.error()), (400, expected), "{more:?}");
    }
    let response = exchange(&branch.relying_party("cli"), &job.id_token, &[]).await;
    assert_eq!((response.status, response.error()), (400, "unauthorized_client"));
    // The refusals do not mark the connector as down.
    assert_eq!(exchange(&app, &job.id_token, &[]).await.status, 200);
}

/// Issue 9, item 26: the reason is in the log, in words.
#[tokio::test]
async fn a_token_of_a_user_in_no_required_group_is_refused_and_the_reason_logged() {
    let config = format!("{GROUPS}    allowedGroups: [board]\n");
    let (upstream, branch) = servers(&config).await;
    let job =
        SignedInClient::sign_in_alice(&upstream, "branch", "openid email profile groups").await;
    let response = exchange(&branch.relying_party("example-app"), &job.id_token, &[]).await;
    assert_eq!((response.status, response.error()), (400, "invalid_request"));
    let log = branch.log();
    let line = log.lines().find(|line| line.contains("login_refused")).expect("a line");
    assert!(line.contains("in none of the required groups: board"), "{line}");
}
