//! The npm package `oidc-provider` as upstream: logout there after logout here, and forced re-authentication
//! there (OpenID Connect Core 3.1.2.1).

use serde_json::json;

use crate::world::{
    ALICE, ALICE_PASSWORD, Browser, Need, OidcProvider, RelyingParty, Server, World, claims,
};

const THE_PROVIDER: &str = "The provider";

/// A server whose only connector is the provider.
async fn start() -> (OidcProvider, Server, Browser, RelyingParty) {
    let world = World::new();
    let provider = OidcProvider::start(&world);
    let world = world.with(&provider.connector("")).with("oauth2:\n  skipApprovalScreen: true");
    let server = world.start().await;
    let (alice, app) = (server.browser(), server.relying_party("example-app"));
    (provider, server, alice, app)
}

/// Goes to the provider by the connector choice; a provider session continues without its pages.
async fn goes_to_the_provider(alice: &mut Browser, url: &str) {
    alice.opens(url).await;
    alice.clicks(THE_PROVIDER).await;
}

async fn enters_password(alice: &mut Browser) {
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    if alice.page().form_with("approval").is_some() {
        alice.approves().await;
    }
}

fn shows_login_of(alice: &Browser, provider: &OidcProvider) -> bool {
    let page = alice.page();
    page.url.as_str().starts_with(&provider.issuer) && page.form_with("password").is_some()
}

async fn signs_out_of_countersign(alice: &mut Browser, server: &Server) {
    alice.opens(server.url("/logout")).await;
    let form = alice.page().form_with("csrf").expect("a confirmation form");
    let page = alice.submits(form).await;
    assert_eq!(page.status, 200, "{}", page.text());
}

/// RP-Initiated Logout 1.0 with us as the relying party: without an ID token the provider asks for
/// confirmation.
#[tokio::test]
async fn upstreams_after_logout_a_link_leads_to_the_logout_of_oidc_provider() {
    if Need::Upstreams.is_missing() {
        return;
    }
    let (mut provider, server, mut alice, app) = start().await;
    goes_to_the_provider(&mut alice, &app.auth_request("openid email").url).await;
    enters_password(&mut alice).await;
    alice.auth_response();

    // Signed out here only: one click signs in again.
    signs_out_of_countersign(&mut alice, &server).await;
    goes_to_the_provider(&mut alice, &app.auth_request("openid email").url).await;
    alice.auth_response();

    signs_out_of_countersign(&mut alice, &server).await;
    let link = alice.page().link("Also sign out of The provider").expect("a logout link");
    let discovery = format!("{}/.well-known/openid-configuration", provider.issuer);
    let discovery: serde_json::Value =
        serde_json::from_str(&alice.get(discovery).await.body).unwrap();
    let endpoint = discovery["end_session_endpoint"].as_str().unwrap();
    assert_eq!(link.as_str(), format!("{endpoint}?client_id=countersign"));
    let page = alice.opens(link).await;
    assert_eq!(page.status, 200, "{}", page.text());
    assert!(provider.observed("end_session").is_empty(), "confirmation first");
    let form = alice.page().form_with("logout").expect("the provider asks");
    let page = alice.submits(form.press("logout", "yes")).await;
    assert_eq!(page.title(), "You are signed out of the provider");
    let [ended] = &provider.observed("end_session")[..] else { panic!("once") };
    assert_eq!(ended["sub"], "alice-at-the-provider");

    goes_to_the_provider(&mut alice, &app.auth_request("openid email").url).await;
    assert!(shows_login_of(&alice, &provider), "{}", alice.page().text());
}

/// Threat B 37: re-authentication must not be satisfied by a session at the provider.
#[tokio::test]
async fn upstreams_prompt_login_requires_the_password_at_oidc_provider_too() {
    if Need::Upstreams.is_missing() {
        return;
    }
    let (mut provider, server, mut alice, app) = start().await;
    let request = app.auth_request("openid email");
    goes_to_the_provider(&mut alice, &request.url).await;
    enters_password(&mut alice).await;
    let before = claims(app.redeems(&request, &alice.auth_response()).await.id_token());
    assert_eq!(provider.observed("authorization")[0].get("prompt"), None);

    let request = app.auth_request_with("openid email", &[("prompt", "login")]);
    goes_to_the_provider(&mut alice, &request.url).await;
    assert!(shows_login_of(&alice, &provider), "{}", alice.page().text());
    enters_password(&mut alice).await;
    let after = claims(app.redeems(&request, &alice.auth_response()).await.id_token());
    assert_eq!(after["sub"], before["sub"]);

    goes_to_the_provider(&mut alice, &server.url("/sign-in?to=/&fresh=1")).await;
    assert!(shows_login_of(&alice, &provider), "{}", alice.page().text());
    enters_password(&mut alice).await;
    assert!(alice.page().url.as_str().starts_with(&server.issuer()), "{}", alice.page().url);
    assert_eq!(alice.page().status, 200, "{}", alice.page().text());
    let requests: Vec<_> = provider.observed("authorization");
    let prompts: Vec<_> = requests.iter().filter_map(|request| request.get("prompt")).collect();
    assert_eq!(prompts, [&json!("login"), &json!("login")], "{requests:?}");
}
