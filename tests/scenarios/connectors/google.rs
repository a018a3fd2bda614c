//! Signing in with Google, at a fake of it: the company's domain, and groups from both of its APIs.

use serde_json::{Value, json};

use crate::world::fakes::google::{CLOUD, DIRECTORY, Google};
use crate::world::fakes::provider::{CLIENT, SECRET};
use crate::world::{
    AuthRequest, AuthResponse, Browser, Chromium, Client, Display, Need, OtherOrigin, RelyingParty,
    Server, World, dex_sub, verified,
};

/// Groups by the Admin Directory API, in the name of an administrator.
pub const BY_DIRECTORY: &str = "    domainToAdminEmail: {\"*\": admin@example.com}\n";
/// Groups by the Cloud Identity API, which needs none.
pub const BY_CLOUD: &str = "    groupsSource: cloudidentity\n";
const OF_EXAMPLE: &str = "    hostedDomains: [example.com]\n";

/// What is behind the button "Google"; `more` are lines of its `config`.
pub fn connector(id: &str, google: &Google, more: &str) -> String {
    let (at, file) = (&google.provider.web.url, &google.file);
    format!(
        "- type: google\n  id: {id}\n  name: Google\n  config:\n    clientID: {CLIENT}\n    \
         clientSecret: \"{SECRET}\"\n    serviceAccountFilePath: {file}\n    apiURLs: {{issuer: \
         \"{at}\", directory: \"{at}\", cloudIdentity: \"{at}\"}}\n{more}"
    )
}

async fn house(google: &Google, more: &str) -> (Server, Browser, RelyingParty) {
    let connectors = format!("connectors:\n{}", connector("google", google, more));
    let rules = "oauth2:\n  skipApprovalScreen: true\nsessions:\n  upstreamRefreshInterval: 0s";
    let server = World::new().with(&connectors).with(rules).start().await;
    let (jane, app) = (server.browser(), server.relying_party("example-app"));
    (server, jane, app)
}

async fn comes_by_google(person: &mut Browser, request: &AuthRequest) -> AuthResponse {
    person.opens(&request.url).await;
    person.clicks("Google").await;
    person.continues_to_fake_upstream().await;
    person.auth_response()
}

async fn told(app: &RelyingParty, id_token: &str) -> Value {
    verified(id_token, &app.gets("/keys").await.json)
}

#[tokio::test]
async fn jane_of_the_company_is_told_with_the_addresses_of_her_groups() {
    let google = Google::start().await;
    let more = format!("{OF_EXAMPLE}{BY_DIRECTORY}    fetchTransitiveGroupMembership: true\n");
    let (_server, mut jane, app) = house(&google, &more).await;
    let request = app.auth_request("openid email profile groups");
    jane.opens(&request.url).await;
    let page = jane.clicks("Google").await;
    let asked = page.location().expect("Google is next");
    assert!(asked.query().unwrap().contains("hd=example.com"), "{asked}");
    jane.continues_to_fake_upstream().await;
    let response = app.redeems(&request, &jane.auth_response()).await;
    let told = told(&app, response.id_token()).await;
    assert_eq!(told["sub"], dex_sub("1234", "google"));
    let groups = ["a", "all", "b", "ring", "c"].map(|name| format!("{name}@example.com"));
    assert_eq!(told["groups"], json!(groups));
    assert_eq!((&told["email"], &told["name"]), (&json!("jane@example.com"), &json!("Jane Doe")));
    assert!(told["preferred_username"].is_null(), "as in Dex");
    assert!(google.provider.web.asked(&format!("{CLOUD}searchTransitiveGroups")).is_empty());
}

#[tokio::test]
async fn groups_come_without_any_administrator_by_cloud_identity() {
    let google = Google::start().await;
    let more = format!("{BY_CLOUD}    fetchTransitiveGroupMembership: true\n");
    let (_server, mut jane, app) = house(&google, &more).await;
    let request = app.auth_request("openid groups");
    let auth_response = comes_by_google(&mut jane, &request).await;
    let response = app.redeems(&request, &auth_response).await;
    let groups = &told(&app, response.id_token()).await["groups"];
    assert_eq!(*groups, json!(["x@example.com", "y@example.com"]));
    assert!(google.provider.web.asked(DIRECTORY).is_empty());
}

/// Threat 96: the domain that counts is the one Google signed, not the one that was asked for.
#[tokio::test]
async fn an_account_of_another_domain_ends_at_a_page_that_names_the_right_one() {
    for domain in [json!("evil.example"), Value::Null] {
        let google = Google::start().await;
        google.provider.claims(move |claims| {
            claims.insert("hd".into(), domain.clone());
        });
        let (_server, mut jane, app) = house(&google, &format!("{OF_EXAMPLE}{BY_CLOUD}")).await;
        jane.opens(app.auth_request("openid").url).await;
        jane.clicks("Google").await;
        let page = jane.continues_to_fake_upstream().await;
        assert_eq!(page.status, 403, "{}", page.text());
        assert!(page.text().contains("example.com"), "{}", page.text());
        assert_eq!(page.all("#reference").len(), 1);
    }
}

#[tokio::test]
async fn groups_and_domain_are_read_again_at_each_refresh() {
    let google = Google::start().await;
    let more = format!("{OF_EXAMPLE}{BY_DIRECTORY}");
    let (_server, mut jane, app) = house(&google, &more).await;
    let request = app.auth_request("openid groups offline_access");
    let auth_response = comes_by_google(&mut jane, &request).await;
    let response = app.redeems(&request, &auth_response).await;
    let groups = |names: &[&str]| json!(names.to_vec());
    let told_first = &told(&app, response.id_token()).await["groups"];
    assert_eq!(*told_first, groups(&["a@example.com", "b@example.com", "c@example.com"]));

    google.members.lock().unwrap().insert("jane@example.com", vec!["new@example.com"]);
    let response = app.refreshes(response.refresh_token()).await;
    assert_eq!(response.status, 200, "{}", response.page.body);
    assert_eq!(told(&app, response.id_token()).await["groups"], groups(&["new@example.com"]));

    google.provider.claims(|claims| {
        claims.insert("hd".into(), json!("elsewhere.example"));
    });
    let response = app.refreshes(response.refresh_token()).await;
    assert_eq!(
        (response.status, response.error()),
        (400, "invalid_grant"),
        "{}",
        response.page.body
    );
}

/// On a screen: our page with the mark of Google, the trip, our approval, the application.
#[tokio::test]
async fn browser_on_a_phone_signs_in_with_google() {
    if Need::Browser.is_missing() {
        return;
    }
    let (google, application) = (Google::start().await, OtherOrigin::start());
    let callback = format!("{}/callback", application.url);
    let app = Client::new("example-app").redirects_to(&[&callback]);
    let connectors = format!("connectors:\n{}", connector("google", &google, BY_DIRECTORY));
    let server = World::new().client(app).with(&connectors).start().await;
    let app = server.relying_party("example-app");
    let request = app.auth_request("openid email groups");

    let jane = Chromium::with(Display::PHONE).await;
    jane.opens(&request.url).await;
    jane.sees("#connector-google svg").await;
    jane.screenshot("choosing-google-phone").await;
    jane.presses("#connector-google").await;
    jane.approves().await;
    jane.waits_for_url(&application.url).await;
    let response = app.redeems(&request, &application.auth_response()).await;
    let groups = &told(&app, response.id_token()).await["groups"];
    assert_eq!(*groups, json!(["a@example.com", "b@example.com", "c@example.com"]));
}
