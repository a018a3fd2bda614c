//! The SAML connector, with an identity provider on another site.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Url;
use serde_json::json;

use crate::world::fakes::saml_site::Site;
use crate::world::{
    ALICE, AuthRequest, AuthResponse, Browser, Chromium, Display, Need, RelyingParty, SamlLibrary,
    SamlProvider, Server, World, dex_sub, verified,
};

fn connector(site: &Site, more: &str) -> String {
    format!(
        "connectors:\n- type: saml\n  id: corp\n  name: Company\n  config:\n    ssoURL: {}/sso\n    caData: {}\n    \
         usernameAttr: name\n    emailAttr: email\n    groupsAttr: groups\n{more}",
        site.web.url,
        STANDARD.encode(&site.certificate)
    )
}

async fn world(site: &Site, more: &str) -> (Server, Browser, RelyingParty) {
    let approval = "oauth2:\n  skipApprovalScreen: true";
    let server = World::new().with(&connector(site, more)).with(approval).start().await;
    let (alice, app) = (server.browser(), server.relying_party("example-app"));
    (server, alice, app)
}

/// Follows the login to the identity provider and up to its form, which is not submitted yet.
async fn goes_to_the_identity_provider(alice: &mut Browser, request: &AuthRequest) {
    alice.opens(&request.url).await;
    alice.clicks("Company").await;
    let form = alice.page().form_with("SAMLRequest").expect("the form for the identity provider");
    assert!(form.has("RelayState"));
    alice.submits(form).await;
}

async fn signs_in(alice: &mut Browser, request: &AuthRequest) -> AuthResponse {
    goes_to_the_identity_provider(alice, request).await;
    let form = alice.page().form_with("SAMLResponse").unwrap();
    alice.submits_from_another_site(form).await;
    alice.auth_response()
}

#[tokio::test]
async fn alice_signs_in_with_saml_and_her_token_is_refreshed() {
    let site = Site::start().await;
    let (_server, mut alice, app) = world(&site, "").await;
    let request = app.auth_request("openid email profile groups offline_access");
    let auth_response = signs_in(&mut alice, &request).await;
    let response = app.redeems(&request, &auth_response).await;
    let keys = app.gets("/keys").await.json;
    let claims = verified(response.id_token(), &keys);
    assert_eq!(claims["sub"], dex_sub("alice-1", "corp"));
    assert_eq!(claims["name"], "Alice Doe");
    assert_eq!(claims["email"], "alice@example.com");
    assert_eq!(claims["email_verified"], true);
    assert_eq!(claims["groups"], serde_json::json!(["admins", "dev"]));
    let refreshed = app.refreshes(response.refresh_token()).await;
    let again = verified(refreshed.id_token(), &keys);
    assert_eq!((&again["sub"], &again["groups"]), (&claims["sub"], &claims["groups"]));
}

/// Threats 110 and 114.
#[tokio::test]
async fn a_saml_response_is_accepted_once_and_only_in_the_requesting_browser() {
    let site = Site::start().await;
    let (server, mut alice, app) = world(&site, "").await;
    let request = app.auth_request("openid");
    goes_to_the_identity_provider(&mut alice, &request).await;
    let form = alice.page().form_with("SAMLResponse").unwrap();
    // Another browser, with the response and with the result of its verification.
    let mut mallory = server.browser();
    mallory.opens(&app.auth_request("openid").url).await;
    let page = mallory.submits_from_another_site(form.clone()).await;
    assert_eq!(page.status, 400, "{}", page.text());
    // RelayState of another login: the response belongs to the request of this one.
    let relay_state = mallory_relay_state(&mut mallory, &app).await;
    let page =
        mallory.submits_from_another_site(form.clone().fill("RelayState", &relay_state)).await;
    assert_eq!(page.status, 400, "{}", page.text());
    // Alice, and then the same response again.
    alice.submits_from_another_site(form.clone()).await;
    alice.auth_response();
    let page = alice.submits_from_another_site(form).await;
    assert_eq!(page.status, 400, "{}", page.text());
}

/// `RelayState` is too short to carry a pending login, so the cookies of all tabs share the 7 KiB.
#[tokio::test]
async fn ten_tabs_at_a_saml_identity_provider_finish_in_any_order() {
    let site = Site::start().await;
    let (_server, mut alice, app) = world(&site, "").await;
    let mut tabs = Vec::new();
    for _ in 0..10 {
        let request = app.auth_request("openid email profile groups offline_access");
        goes_to_the_identity_provider(&mut alice, &request).await;
        tabs.push((request, alice.page().form_with("SAMLResponse").unwrap()));
    }
    for n in 0..10 {
        let (request, form) = &tabs[n * 7 % 10];
        alice.submits_from_another_site(form.clone()).await;
        let response = app.redeems(request, &alice.auth_response()).await;
        assert_eq!(response.status, 200, "tab {n}: {}", response.page.body);
    }
}

/// Two replicas receive one response at the same time, with Alice's cookies both times: the database lets one complete
/// the login (SAML 2.0 Profiles section 4.1.4.5). Later copies are refused by either.
#[tokio::test]
async fn a_saml_response_completes_one_login_on_all_replicas_together() {
    if Need::Postgres.is_missing() {
        return;
    }
    let site = Site::start().await;
    let approval = "oauth2:\n  skipApprovalScreen: true";
    let one = World::with_postgres().with(&connector(&site, "")).with(approval).start().await;
    let other = one.replica().await;
    let (mut alice, app) = (one.browser(), one.relying_party("example-app"));
    let request = app.auth_request("openid");
    goes_to_the_identity_provider(&mut alice, &request).await;
    let form = alice.page().form_with("SAMLResponse").unwrap();
    let copy_at = |replica: &Server| {
        let mut copy = one.browser();
        copy.steals_cookies_of(&alice);
        copy.via_replica(replica);
        copy
    };
    let (mut here, mut there) = (copy_at(&one), copy_at(&other));
    let (mut later_here, mut later_there) = (copy_at(&one), copy_at(&other));
    tokio::join!(
        here.submits_from_another_site(form.clone()),
        there.submits_from_another_site(form.clone())
    );
    let is_refused = |browser: &Browser| browser.page().status == 400;
    let (completed, refused) = if is_refused(&here) { (there, here) } else { (here, there) };
    assert!(refused.page().text().contains("has already been used"), "{}", refused.page().text());
    assert_eq!(app.redeems(&request, &completed.auth_response()).await.status, 200);
    for copy in [&mut later_here, &mut later_there] {
        let page = copy.submits_from_another_site(form.clone()).await;
        assert_eq!(page.status, 400, "{}", page.text());
        assert!(page.text().contains("has already been used"), "{}", page.text());
    }
    let log = format!("{}{}", one.log(), other.log());
    let is_refusal =
        |line: &&str| line.contains("login_refused") && line.contains("already been used");
    assert_eq!(log.lines().filter(is_refusal).count(), 3, "{log}");
}

/// The same on SQLite, after the login.
#[tokio::test]
async fn a_copy_of_alices_browser_cannot_use_her_saml_response_again() {
    let site = Site::start().await;
    let (server, mut alice, app) = world(&site, "").await;
    goes_to_the_identity_provider(&mut alice, &app.auth_request("openid")).await;
    let form = alice.page().form_with("SAMLResponse").unwrap();
    let mut copy = server.browser();
    copy.steals_cookies_of(&alice);
    alice.submits_from_another_site(form.clone()).await;
    alice.auth_response();
    let page = copy.submits_from_another_site(form).await;
    assert_eq!(page.status, 400, "{}", page.text());
    assert!(page.text().contains("has already been used"), "{}", page.text());
    // Neither the application nor a type of the program is named as the cause.
    let text = page.text();
    assert!(text.contains("What your identity provider returned"), "{text}");
    assert!(!text.contains("application sent"), "{text}");
    assert!(!server.log().contains("InvalidResponse {"), "{}", server.log());
}

/// Threats 108 and 114: the HTTP-Redirect binding, whose content is compressed, is not supported, and `RelayState` is no
/// address to go to.
#[tokio::test]
async fn a_saml_response_in_a_query_or_with_a_foreign_relay_state_is_refused() {
    let site = Site::start().await;
    let (server, mut alice, app) = world(&site, "").await;
    goes_to_the_identity_provider(&mut alice, &app.auth_request("openid")).await;
    let form = alice.page().form_with("SAMLResponse").unwrap();
    let value = |name: &str| &form.fields.iter().find(|(field, _)| field == name).unwrap().1;
    let mut url = Url::parse(&server.url("/callback")).unwrap();
    url.query_pairs_mut()
        .append_pair("SAMLResponse", value("SAMLResponse"))
        .append_pair("RelayState", value("RelayState"));
    let page = alice.opens(url).await;
    assert_eq!(page.status, 400, "{}", page.text());
    for foreign in ["https://evil.example/", "//evil.example", "", "x.y"] {
        let page = alice.submits_from_another_site(form.clone().fill("RelayState", foreign)).await;
        assert_eq!(page.status, 400, "{foreign}: {}", page.text());
        assert!(page.header("location").is_none() && !page.body.contains("evil.example"));
    }
    // The login itself is not lost.
    alice.submits_from_another_site(form).await;
    alice.auth_response();
}

/// The limit of the connector is below that of the request's body, so that the page names it.
#[tokio::test]
async fn a_response_of_256_kb_is_read_and_a_larger_one_is_named_so() {
    let site = Site::start().await;
    let (_server, mut alice, app) = world(&site, "").await;
    goes_to_the_identity_provider(&mut alice, &app.auth_request("openid")).await;
    let form = alice.page().form_with("SAMLResponse").unwrap();
    for (kilobytes, is_too_large) in [(256, false), (270, true)] {
        let response = STANDARD.encode(vec![b' '; kilobytes * 1024]);
        let form = form.clone().fill("SAMLResponse", &response);
        let page = alice.submits_from_another_site(form).await;
        assert_eq!(page.status, 400, "{kilobytes}: {}", page.text());
        let names_the_limit = page.text().contains("more than 256 kB");
        assert_eq!(names_the_limit, is_too_large, "{kilobytes}: {}", page.text());
    }
}

async fn mallory_relay_state(mallory: &mut Browser, app: &RelyingParty) -> String {
    mallory.opens(&app.auth_request("openid").url).await;
    mallory.clicks("Company").await;
    let form = mallory.page().form_with("SAMLRequest").unwrap();
    let field = form.fields.iter().find(|(name, _)| name == "RelayState").unwrap();
    field.1.clone()
}

#[tokio::test]
async fn an_invalid_response_gets_an_error_page_and_a_log_line() {
    let site = Site::start().await;
    let (server, mut alice, app) = world(&site, "    allowedGroups: [admins]\n").await;
    let request = app.auth_request("openid");
    goes_to_the_identity_provider(&mut alice, &request).await;
    let form = alice.page().form_with("SAMLResponse").unwrap();
    let response = form.fields.iter().find(|(name, _)| name == "SAMLResponse").unwrap();
    let xml = String::from_utf8(STANDARD.decode(&response.1).unwrap()).unwrap();
    let forged = STANDARD.encode(xml.replace(">alice-1<", ">admin-1<"));
    let page = alice.submits_from_another_site(form.clone().fill("SAMLResponse", &forged)).await;
    assert_eq!(page.status, 400);
    assert!(page.text().contains("changed after it was signed"), "{}", page.text());
    server.waits_for_log(1, "the response was changed after it was signed").await;
    // In none of the allowed groups.
    site.template.lock().unwrap().attributes.retain(|(name, _)| *name != "groups");
    goes_to_the_identity_provider(&mut alice, &app.auth_request("openid")).await;
    let form = alice.page().form_with("SAMLResponse").unwrap();
    let page = alice.submits_from_another_site(form).await;
    assert_eq!(page.status, 403);
    assert!(page.text().contains("admins"), "{}", page.text());
}

/// Signs in at a provider of another library up to its page with the response, and posts that.
async fn posts_the_response_of(alice: &mut Browser, app: &RelyingParty) -> AuthRequest {
    let request = app.auth_request("openid email profile groups");
    alice.opens(&request.url).await;
    alice.clicks("The provider").await;
    let form = alice.page().form_with("SAMLRequest").expect("the form for the provider");
    alice.submits(form).await;
    let form = alice.page().form_with("SAMLResponse");
    let form = form.unwrap_or_else(|| panic!("{}", alice.page().body));
    alice.submits_from_another_site(form).await;
    request
}

async fn alice_signs_in_whatever_is_signed_by(library: SamlLibrary) {
    for signed in ["response", "assertion", "both"] {
        let world = World::new().with("oauth2:\n  skipApprovalScreen: true");
        let provider = SamlProvider::start(&world, library);
        let server = world.with(&provider.connector(signed)).start().await;
        let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
        let request = posts_the_response_of(&mut alice, &app).await;
        let tokens = app.redeems(&request, &alice.auth_response()).await;
        let claims = verified(tokens.id_token(), &app.gets("/keys").await.json);
        assert_eq!(claims["sub"], dex_sub("alice-at-the-provider", "saml"), "{signed}");
        assert_eq!((&claims["name"], &claims["email"]), (&json!("Alice Arden"), &json!(ALICE)));
        assert_eq!(claims["groups"], json!(["climbers", "cooks"]));
    }
}

/// Each provider has XML and signature libraries of its own.
#[tokio::test]
async fn upstreams_alice_signs_in_at_samlp_whatever_it_signs() {
    if !Need::Upstreams.is_missing() {
        alice_signs_in_whatever_is_signed_by(SamlLibrary::Samlp).await;
    }
}

#[tokio::test]
async fn upstreams_alice_signs_in_at_pysaml2_whatever_it_signs() {
    if !Need::Upstreams.is_missing() {
        alice_signs_in_whatever_is_signed_by(SamlLibrary::Pysaml2).await;
    }
}

/// Threat 111: pysaml2 signs with SHA-1 where no algorithm is configured.
#[tokio::test]
async fn upstreams_a_response_that_pysaml2_signed_with_sha1_is_refused() {
    if Need::Upstreams.is_missing() {
        return;
    }
    let world = World::new();
    let provider = SamlProvider::start(&world, SamlLibrary::Pysaml2);
    let server = world.with(&provider.connector("default")).start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    posts_the_response_of(&mut alice, &app).await;
    assert_eq!(alice.page().status, 400, "{}", alice.page().text());
    server.waits_for_log(1, "not RSA or ECDSA with SHA-256 or better").await;
}

/// Chromium's cookies: the response is posted from another site.
#[tokio::test]
async fn browser_signs_in_with_saml() {
    if Need::Browser.is_missing() {
        return;
    }
    let site = Site::start().await;
    let (_server, _, app) = world(&site, "").await;
    let chromium = Chromium::with(Display::DESKTOP).await;
    let request = app.auth_request("openid email");
    chromium.opens(&request.url).await;
    chromium.presses("#connector-corp").await;
    let url = chromium.waits_for_url(&request.redirect_uri).await;
    let response = app.redeems(&request, &AuthResponse::at(&url)).await;
    let claims = verified(response.id_token(), &app.gets("/keys").await.json);
    assert_eq!(claims["email"], "alice@example.com");
}
