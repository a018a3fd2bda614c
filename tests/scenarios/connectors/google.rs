//! The Google connector against a fake: hosted domains, and groups from both APIs.

use serde_json::{Value, json};

use crate::world::fakes::google::{CLOUD, DIRECTORY, Google};
use crate::world::fakes::provider::{CLIENT, SECRET};
use crate::world::{
    AuthRequest, AuthResponse, Browser, Chromium, Client, Display, Need, OtherOrigin, RelyingParty,
    Server, World, dex_sub, verified,
};

/// Groups from the Admin Directory API, impersonating an administrator.
pub const BY_DIRECTORY: &str = "    domainToAdminEmail: {\"*\": admin@example.com}\n";
/// Groups from the Cloud Identity API, without an administrator.
pub const BY_CLOUD: &str = "    groupsSource: cloudidentity\n";
const OF_EXAMPLE: &str = "    hostedDomains: [example.com]\n";

/// The entry of `connectors:` named "Google"; `more` are lines of its `config`.
pub fn connector(id: &str, google: &Google, more: &str) -> String {
    let (at, file) = (&google.provider.web.url, &google.file);
    format!(
        "- type: google\n  id: {id}\n  name: Google\n  config:\n    clientID: {CLIENT}\n    \
         clientSecret: \"{SECRET}\"\n    serviceAccountFilePath: {file}\n    apiURLs: {{issuer: \
         \"{at}\", directory: \"{at}\", cloudIdentity: \"{at}\"}}\n{more}"
    )
}

async fn start(google: &Google, more: &str) -> (Server, Browser, RelyingParty) {
    let connectors = format!("connectors:\n{}", connector("google", google, more));
    let rules = "oauth2:\n  skipApprovalScreen: true\nsessions:\n  upstreamRefreshInterval: 0s";
    let server = World::new().with(&connectors).with(rules).start().await;
    let (jane, app) = (server.browser(), server.relying_party("example-app"));
    (server, jane, app)
}

async fn logs_in_at_google(person: &mut Browser, request: &AuthRequest) -> AuthResponse {
    person.opens(&request.url).await;
    person.clicks("Google").await;
    person.continues_to_fake_upstream().await;
    person.auth_response()
}

async fn verified_claims(app: &RelyingParty, id_token: &str) -> Value {
    verified(id_token, &app.gets("/keys").await.json)
}

#[tokio::test]
async fn jane_gets_the_addresses_of_her_groups() {
    let google = Google::start().await;
    let more = format!("{OF_EXAMPLE}{BY_DIRECTORY}    fetchTransitiveGroupMembership: true\n");
    let (_server, mut jane, app) = start(&google, &more).await;
    let request = app.auth_request("openid email profile groups");
    jane.opens(&request.url).await;
    let page = jane.clicks("Google").await;
    let url = page.location().expect("a redirect to Google");
    assert!(url.query().unwrap().contains("hd=example.com"), "{url}");
    jane.continues_to_fake_upstream().await;
    let response = app.redeems(&request, &jane.auth_response()).await;
    let claims = verified_claims(&app, response.id_token()).await;
    assert_eq!(claims["sub"], dex_sub("1234", "google"));
    let groups = ["a", "all", "b", "ring", "c"].map(|name| format!("{name}@example.com"));
    assert_eq!(claims["groups"], json!(groups));
    assert_eq!(
        (&claims["email"], &claims["name"]),
        (&json!("jane@example.com"), &json!("Jane Doe"))
    );
    assert!(claims["preferred_username"].is_null(), "as in Dex");
    assert!(google.provider.web.requests(&format!("{CLOUD}searchTransitiveGroups")).is_empty());
}

#[tokio::test]
async fn groups_come_from_cloud_identity_without_an_administrator() {
    let google = Google::start().await;
    let more = format!("{BY_CLOUD}    fetchTransitiveGroupMembership: true\n");
    let (_server, mut jane, app) = start(&google, &more).await;
    let request = app.auth_request("openid groups");
    let auth_response = logs_in_at_google(&mut jane, &request).await;
    let response = app.redeems(&request, &auth_response).await;
    let groups = &verified_claims(&app, response.id_token()).await["groups"];
    assert_eq!(*groups, json!(["x@example.com", "y@example.com"]));
    assert!(google.provider.web.requests(DIRECTORY).is_empty());
}

/// Threat 96: the signed `hd` claim counts, not the request parameter.
#[tokio::test]
async fn an_account_of_another_domain_gets_an_error_page_with_the_right_one() {
    for domain in [json!("evil.example"), Value::Null] {
        let google = Google::start().await;
        google.provider.claims(move |claims| {
            claims.insert("hd".into(), domain.clone());
        });
        let (_server, mut jane, app) = start(&google, &format!("{OF_EXAMPLE}{BY_CLOUD}")).await;
        jane.opens(app.auth_request("openid").url).await;
        jane.clicks("Google").await;
        let page = jane.continues_to_fake_upstream().await;
        assert_eq!(page.status, 403, "{}", page.text());
        assert!(page.text().contains("example.com"), "{}", page.text());
        assert_eq!(page.all("#reference").len(), 1);
    }
}

#[tokio::test]
async fn groups_and_domain_are_revalidated_at_each_refresh() {
    let google = Google::start().await;
    let more = format!("{OF_EXAMPLE}{BY_DIRECTORY}");
    let (_server, mut jane, app) = start(&google, &more).await;
    let request = app.auth_request("openid groups offline_access");
    let auth_response = logs_in_at_google(&mut jane, &request).await;
    let response = app.redeems(&request, &auth_response).await;
    let groups = |names: &[&str]| json!(names.to_vec());
    let first_groups = &verified_claims(&app, response.id_token()).await["groups"];
    assert_eq!(*first_groups, groups(&["a@example.com", "b@example.com", "c@example.com"]));

    google.members.lock().unwrap().insert("jane@example.com", vec!["new@example.com"]);
    let response = app.refreshes(response.refresh_token()).await;
    assert_eq!(response.status, 200, "{}", response.page.body);
    assert_eq!(
        verified_claims(&app, response.id_token()).await["groups"],
        groups(&["new@example.com"])
    );

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

/// In Chromium: our connector choice with Google's logo, Google's pages, our approval page, the client.
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
    let groups = &verified_claims(&app, response.id_token()).await["groups"];
    assert_eq!(*groups, json!(["a@example.com", "b@example.com", "c@example.com"]));
}
