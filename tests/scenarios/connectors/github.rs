//! The GitHub connector against a fake: from the connector choice to the client, with teams as groups.

use serde_json::{Value, json};

use crate::world::fakes::github::{CLIENT, GitHub, SECRET};
use crate::world::{
    AuthRequest, AuthResponse, Browser, Chromium, Client, Display, Need, OtherOrigin, RelyingParty,
    World, dex_sub, verified,
};

/// The entry of `connectors:` named "GitHub"; `more` are lines of its `config`.
pub fn connector(id: &str, github: &GitHub, more: &str) -> String {
    let at = &github.web.url;
    format!(
        "- type: github\n  id: {id}\n  name: GitHub\n  config:\n    clientID: {CLIENT}\n    \
         clientSecret: {SECRET}\n    apiURLs: {{web: \"{at}\", api: \"{at}\"}}\n{more}"
    )
}

const OF_ACME: &str = "    orgs: [{name: acme}]\n    teamNameField: slug\n";
/// Revalidates at each refresh.
const RULES: &str = "oauth2:\n  skipApprovalScreen: true\nsessions:\n  upstreamRefreshInterval: 0s";

fn world(github: &GitHub, more: &str) -> World {
    World::new().with(&format!("connectors:\n{}", connector("github", github, more))).with(RULES)
}

/// Authorizes at GitHub's page, as the person signed in there.
pub async fn authorizes(person: &mut Browser) {
    let form = person.continues_to_fake_upstream().await.form_with("authorize");
    person.submits(form.expect("GitHub asks").press("authorize", "1")).await;
}

async fn logs_in_at_github(person: &mut Browser, request: &AuthRequest) -> AuthResponse {
    person.opens(&request.url).await;
    person.clicks("GitHub").await;
    authorizes(person).await;
    person.auth_response()
}

async fn verified_claims(app: &RelyingParty, id_token: &str) -> Value {
    verified(id_token, &app.gets("/keys").await.json)
}

#[tokio::test]
async fn jane_gets_her_teams_of_the_configured_organization_as_groups() {
    let github = GitHub::start().await;
    let server = world(&github, OF_ACME).start().await;
    let (mut jane, app) = (server.browser(), server.relying_party("example-app"));
    let request = app.auth_request("openid email profile groups");
    let auth_response = logs_in_at_github(&mut jane, &request).await;
    let response = app.redeems(&request, &auth_response).await;
    let claims = verified_claims(&app, response.id_token()).await;
    assert_eq!(claims["sub"], dex_sub("42", "github"));
    assert_eq!(claims["groups"], json!(["acme:platform-team", "acme:ops"]));
    let claims =
        ["name", "preferred_username", "email", "email_verified"].map(|name| &claims[name]);
    assert_eq!(json!(claims), json!(["Jane Doe", "jane", "jane@example.com", true]));
}

#[tokio::test]
async fn a_refusal_at_github_and_a_missing_organization_are_shown_to_the_person() {
    let github = GitHub::start().await;
    let server = world(&github, "    orgs: [{name: hooli}]\n").start().await;
    let (mut jane, app) = (server.browser(), server.relying_party("example-app"));
    jane.opens(app.auth_request("openid").url).await;
    jane.clicks("GitHub").await;
    authorizes(&mut jane).await;
    assert_eq!(jane.page().status, 403, "{}", jane.page().text());
    assert!(jane.page().text().contains("hooli"), "{}", jane.page().text());

    jane.opens(app.auth_request("openid").url).await;
    jane.clicks("GitHub").await;
    let form = jane.continues_to_fake_upstream().await.form_with("authorize").unwrap();
    let page = jane.submits(form.press("authorize", "0")).await;
    assert_eq!(page.status, 403, "{}", page.text());
    assert_eq!(page.all("#reference").len(), 1);
}

#[tokio::test]
async fn a_removed_team_is_absent_after_a_refresh_and_without_teams_the_refresh_is_refused() {
    let github = GitHub::start().await;
    let server = world(&github, OF_ACME).start().await;
    let (mut jane, app) = (server.browser(), server.relying_party("example-app"));
    let request = app.auth_request("openid groups offline_access");
    let auth_response = logs_in_at_github(&mut jane, &request).await;
    let token = app.redeems(&request, &auth_response).await.refresh_token().to_owned();

    github.person("jane", |jane| jane.teams.retain(|team| team.slug != "ops"));
    let response = app.refreshes(&token).await;
    assert_eq!(response.status, 200, "{}", response.page.body);
    let groups = &verified_claims(&app, response.id_token()).await["groups"];
    assert_eq!(*groups, json!(["acme:platform-team"]));
    let token = response.refresh_token().to_owned();

    github.person("jane", |jane| {
        jane.orgs.retain(|org| org != "acme");
        jane.teams.retain(|team| team.org != "acme");
    });
    let response = app.refreshes(&token).await;
    assert_eq!(
        (response.status, response.error()),
        (400, "invalid_grant"),
        "{}",
        response.page.body
    );
}

/// The `error` parameter of a callback can be forged by anybody.
#[tokio::test]
async fn a_forged_callback_error_does_not_mark_github_as_down() {
    let github = GitHub::start().await;
    let both = format!(
        "{}- type: mockCallback\n  id: mock\n  name: Mock\n",
        connector("github", &github, "")
    );
    let server = World::new().with(&format!("connectors:\n{both}")).start().await;
    let app = server.relying_party("example-app");
    for made_up in
        ["error=server_error", "error=odd", "code=x&error=temporarily_unavailable", "a=b"]
    {
        let mut mallory = server.browser();
        mallory.opens(app.auth_request("openid").url).await;
        let left = mallory.clicks("GitHub").await.location().unwrap();
        let state = left.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
        let page = mallory.opens(server.url(&format!("/callback?state={state}&{made_up}"))).await;
        assert!(page.status >= 400, "{made_up}: {}", page.status);
        let mut jane = server.browser();
        let page = jane.opens(app.auth_request("openid").url).await;
        assert_eq!(page.all("a.way"), ["Email", "GitHub", "Mock"], "{made_up}");
    }
}

/// In Chromium: our connector choice with GitHub's logo, GitHub's page, our approval page, the client.
async fn logs_in_with(look: Display, name: &str) {
    if Need::Browser.is_missing() {
        return;
    }
    let (github, application) = (GitHub::start().await, OtherOrigin::start());
    let callback = format!("{}/callback", application.url);
    let app = Client::new("example-app").redirects_to(&[&callback]);
    let connectors = format!("connectors:\n{}", connector("github", &github, OF_ACME));
    let server = World::new().client(app).with(&connectors).start().await;
    let app = server.relying_party("example-app");
    let request = app.auth_request("openid email groups");

    let jane = Chromium::with(look).await;
    jane.opens(&request.url).await;
    jane.sees("#connector-github svg").await;
    jane.screenshot(&format!("choosing-github-{name}")).await;
    assert!(!jane.overflows().await, "{}", jane.text().await);
    jane.presses("#connector-github").await;
    jane.waits_for_url(&github.web.url).await;
    jane.presses("#authorize").await;
    jane.waits_for_url(&server.issuer()).await;
    jane.approves().await;
    jane.waits_for_url(&application.url).await;

    let response = app.redeems(&request, &application.auth_response()).await;
    let claims = verified_claims(&app, response.id_token()).await;
    assert_eq!(claims["groups"], json!(["acme:platform-team", "acme:ops"]));
    let console = jane.console().await.join("\n");
    assert!(!console.contains("Content Security Policy"), "{console}");
}

#[tokio::test]
async fn browser_on_a_desktop_signs_in_with_github() {
    logs_in_with(Display::DESKTOP, "desktop").await;
}

#[tokio::test]
async fn browser_on_a_phone_signs_in_with_github() {
    logs_in_with(Display::PHONE, "phone").await;
}
