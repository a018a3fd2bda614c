//! A provider that other people wrote, as upstream: signing out there after signing out here, and being asked
//! there again although one is signed in (OpenID Connect Core 3.1.2.1).

use serde_json::json;

use crate::world::{
    ALICE, ALICE_PASSWORD, Browser, Need, OidcProvider, RelyingParty, Server, World, claims,
};

const THE_PROVIDER: &str = "The provider";

/// A workspace whose people all come from the provider.
async fn house() -> (OidcProvider, Server, Browser, RelyingParty) {
    let world = World::new();
    let provider = OidcProvider::start(&world);
    let world = world.with(&provider.connector("")).with("oauth2:\n  skipApprovalScreen: true");
    let server = world.start().await;
    let (alice, app) = (server.browser(), server.relying_party("example-app"));
    (provider, server, alice, app)
}

/// To the provider, by the page with all ways in; from there she is sent on if it knows her.
async fn goes_to_the_provider(alice: &mut Browser, url: &str) {
    alice.opens(url).await;
    alice.clicks(THE_PROVIDER).await;
}

async fn types_her_password(alice: &mut Browser) {
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    if alice.page().form_with("approval").is_some() {
        alice.approves().await;
    }
}

fn is_asked_by(alice: &Browser, provider: &OidcProvider) -> bool {
    let page = alice.page();
    page.url.as_str().starts_with(&provider.issuer) && page.form_with("password").is_some()
}

async fn signs_out_here(alice: &mut Browser, server: &Server) {
    alice.opens(server.url("/logout")).await;
    let form = alice.page().form_with("csrf").expect("a form that asks");
    let page = alice.submits(form).await;
    assert_eq!(page.status, 200, "{}", page.text());
}

/// RP-Initiated Logout 1.0, with us as the relying party: the provider asks her, because no ID token comes along.
#[tokio::test]
async fn upstreams_who_signed_out_here_signs_out_of_a_real_provider_by_the_link() {
    if Need::Upstreams.is_missing() {
        return;
    }
    let (mut provider, server, mut alice, app) = house().await;
    goes_to_the_provider(&mut alice, &app.auth_request("openid email").url).await;
    types_her_password(&mut alice).await;
    alice.auth_response();

    // Here alone: whoever has her browser comes in again by one click.
    signs_out_here(&mut alice, &server).await;
    goes_to_the_provider(&mut alice, &app.auth_request("openid email").url).await;
    alice.auth_response();

    signs_out_here(&mut alice, &server).await;
    let way = alice.page().link("Also sign out of The provider").expect("the way out of there");
    let discovery = format!("{}/.well-known/openid-configuration", provider.issuer);
    let discovery: serde_json::Value =
        serde_json::from_str(&alice.get(discovery).await.body).unwrap();
    let endpoint = discovery["end_session_endpoint"].as_str().unwrap();
    assert_eq!(way.as_str(), format!("{endpoint}?client_id=countersign"));
    let page = alice.opens(way).await;
    assert_eq!(page.status, 200, "{}", page.text());
    assert!(provider.observed("end_session").is_empty(), "it asks first");
    let form = alice.page().form_with("logout").expect("the provider asks");
    let page = alice.submits(form.press("logout", "yes")).await;
    assert_eq!(page.title(), "You are signed out of the provider");
    let [ended] = &provider.observed("end_session")[..] else { panic!("once") };
    assert_eq!(ended["sub"], "alice-at-the-provider");

    goes_to_the_provider(&mut alice, &app.auth_request("openid email").url).await;
    assert!(is_asked_by(&alice, &provider), "{}", alice.page().text());
}

/// Threat B 37, beyond our own walls: proving it anew is more than clicking through a session over there.
#[tokio::test]
async fn upstreams_a_real_provider_asks_again_whoever_is_to_prove_it_anew() {
    if Need::Upstreams.is_missing() {
        return;
    }
    let (mut provider, server, mut alice, app) = house().await;
    let request = app.auth_request("openid email");
    goes_to_the_provider(&mut alice, &request.url).await;
    types_her_password(&mut alice).await;
    let before = claims(app.redeems(&request, &alice.auth_response()).await.id_token());
    assert_eq!(provider.observed("authorization")[0].get("prompt"), None);

    let request = app.auth_request_with("openid email", &[("prompt", "login")]);
    goes_to_the_provider(&mut alice, &request.url).await;
    assert!(is_asked_by(&alice, &provider), "{}", alice.page().text());
    types_her_password(&mut alice).await;
    let after = claims(app.redeems(&request, &alice.auth_response()).await.id_token());
    assert_eq!(after["sub"], before["sub"]);

    goes_to_the_provider(&mut alice, &server.url("/sign-in?to=/&fresh=1")).await;
    assert!(is_asked_by(&alice, &provider), "{}", alice.page().text());
    types_her_password(&mut alice).await;
    assert!(alice.page().url.as_str().starts_with(&server.issuer()), "{}", alice.page().url);
    assert_eq!(alice.page().status, 200, "{}", alice.page().text());
    let asked: Vec<_> = provider.observed("authorization");
    let prompts: Vec<_> = asked.iter().filter_map(|asked| asked.get("prompt")).collect();
    assert_eq!(prompts, [&json!("login"), &json!("login")], "{asked:?}");
}
