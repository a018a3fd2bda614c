//! The npm package `oidc-provider` as upstream of an oidc connector: authorization requests, refresh token
//! rotation, unavailability.

use serde_json::{Value, json};

use crate::world::{
    ALICE, ALICE_PASSWORD, AuthRequest, BOB, BOB_PASSWORD, Browser, Chromium, Client, Display,
    Need, OidcProvider, OtherOrigin, RelyingParty, Server, World, dex_sub, verified,
};

const THE_PROVIDER: &str = "The provider";

/// A server with local accounts and this provider, which is revalidated at each refresh.
async fn start(world: World, more: &str) -> (OidcProvider, Server) {
    let provider = OidcProvider::start(&world);
    let world = world
        .with(&provider.connector(more))
        .with("oauth2:\n  skipApprovalScreen: true\nsessions:\n  upstreamRefreshInterval: 0s");
    (provider, world.start().await)
}

/// From the connector choice through the provider's pages to the client.
async fn signs_in(alice: &mut Browser, request: &AuthRequest, login: &str, password: &str) {
    alice.opens(&request.url).await;
    alice.clicks(THE_PROVIDER).await;
    alice.signs_in(login, password).await;
    if alice.page().form_with("approval").is_some() {
        alice.approves().await;
    }
}

async fn verified_claims(app: &RelyingParty, id_token: &str) -> Value {
    verified(id_token, &app.gets("/keys").await.json)
}

#[tokio::test]
async fn upstreams_alice_logs_in_at_oidc_provider_with_pkce_nonce_and_groups() {
    if Need::Upstreams.is_missing() {
        return;
    }
    let (mut provider, server) = start(World::new(), "").await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let request = app.auth_request("openid email profile groups federated:id offline_access");
    alice.opens(&request.url).await;
    let page = alice.clicks(THE_PROVIDER).await;
    assert!(page.url.as_str().starts_with(&provider.issuer), "{}", page.url);
    assert_eq!(alice.signs_in(ALICE, "not her password").await.status, 401);
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    alice.approves().await;
    let response = app.redeems(&request, &alice.auth_response()).await;

    let claims = verified_claims(&app, response.id_token()).await;
    assert_eq!(claims["sub"], dex_sub("alice-at-the-provider", "provider"));
    assert_eq!(claims["groups"], json!(["climbers", "cooks"]));
    let claims =
        ["email", "email_verified", "name", "preferred_username"].map(|name| &claims[name]);
    assert_eq!(json!(claims), json!([ALICE, true, "Alice Arden", "alice"]));

    let [request] = &provider.observed("authorization")[..] else { panic!("once") };
    for what in ["nonce", "state", "code_challenge"] {
        assert_eq!(request[what], true, "{what} in {request}");
    }
    assert_eq!(request["code_challenge_method"], "S256");
    assert_eq!(request["redirect_uri"], format!("{}/callback", server.issuer()));
    let redeemed = &provider.observed("grant")[0];
    assert_eq!(redeemed["grant_type"], "authorization_code");
    assert_eq!(redeemed["code_verifier"], true);
}

#[tokio::test]
async fn upstreams_a_refusal_at_oidc_provider_is_shown_to_the_person_and_not_sent_to_the_client() {
    if Need::Upstreams.is_missing() {
        return;
    }
    let (mut provider, server) = start(World::new(), "").await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let request = app.auth_request("openid");
    alice.opens(&request.url).await;
    alice.clicks(THE_PROVIDER).await;
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    let page = alice.rejects().await;
    assert_eq!(page.status, 403, "{}", page.text());
    assert!(page.url.as_str().starts_with(&server.issuer()), "{}", page.url);
    assert_eq!(page.all("#reference").len(), 1);
    assert!(provider.observed("grant").is_empty());
}

/// Threat 98: the provider ends the grant if a used refresh token is sent again.
async fn uses_each_refresh_token_once(world: World, has_replica: bool) {
    let world = world.client(Client::new("laptop")).client(Client::new("phone"));
    let (mut provider, server) = start(world, "").await;
    let replica = if has_replica { Some(server.replica().await) } else { None };
    let mut alice = server.browser();
    let mut tokens = Vec::new();
    for (id, replica) in [("laptop", None), ("phone", replica.as_ref())] {
        let mut app = server.relying_party(id);
        replica.map(|replica| app.via_replica(replica));
        let request = app.auth_request("openid groups offline_access");
        alice.opens(&request.url).await;
        if alice.page().link(THE_PROVIDER).is_some() {
            signs_in(&mut alice, &request, ALICE, ALICE_PASSWORD).await;
        }
        let response = app.redeems(&request, &alice.auth_response()).await;
        tokens.push((app, response.refresh_token().to_owned()));
    }
    let spent_before = refreshes(&mut provider);
    for groups in [["climbers", "cooks"], ["cooks", "divers"]] {
        provider.sets_groups("alice-at-the-provider", &groups);
        let [(first_app, one), (second_app, two)] = &mut tokens[..] else { panic!("two") };
        let (first, second) = tokio::join!(first_app.refreshes(one), second_app.refreshes(two));
        for (app, response, token) in [(&*first_app, first, one), (&*second_app, second, two)] {
            assert_eq!(response.status, 200, "{}", response.page.body);
            assert_eq!(verified_claims(app, response.id_token()).await["groups"], json!(groups));
            response.refresh_token().clone_into(token);
        }
    }
    assert!(refreshes(&mut provider) >= spent_before + 2, "revalidated each time");
    assert!(provider.observed("refusal").is_empty() && provider.observed("revocation").is_empty());
}

#[tokio::test]
async fn upstreams_each_rotating_refresh_token_of_oidc_provider_is_used_once() {
    if !Need::Upstreams.is_missing() {
        uses_each_refresh_token_once(World::new(), false).await;
    }
}

#[tokio::test]
async fn upstreams_two_replicas_use_each_refresh_token_of_oidc_provider_once() {
    if !Need::Upstreams.is_missing() && !Need::Postgres.is_missing() {
        uses_each_refresh_token_once(World::with_postgres(), true).await;
    }
}

fn refreshes(provider: &mut OidcProvider) -> usize {
    let grants = provider.observed("grant");
    grants.iter().filter(|grant| grant["grant_type"] == "refresh_token").count()
}

/// Threat 100, with existing sessions: no refresh token is used up.
#[tokio::test]
async fn upstreams_a_stopped_oidc_provider_affects_only_its_connector_and_recovers() {
    if Need::Upstreams.is_missing() {
        return;
    }
    let (mut provider, server) = start(World::new(), "").await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let request = app.auth_request("openid offline_access");
    signs_in(&mut alice, &request, ALICE, ALICE_PASSWORD).await;
    let token = app.redeems(&request, &alice.auth_response()).await.refresh_token().to_owned();

    provider.stops();
    let response = app.refreshes(&token).await;
    assert_eq!((response.status, response.error()), (503, "temporarily_unavailable"));
    let mut bob = server.browser();
    bob.opens(app.auth_request("openid").url).await;
    bob.clicks("Email").await;
    bob.signs_in(BOB, BOB_PASSWORD).await;
    bob.auth_response();

    provider.resumes();
    let response = app.refreshes(&token).await;
    assert_eq!(response.status, 200, "{}", response.page.body);
    let mut bob = server.browser();
    let request = app.auth_request("openid");
    signs_in(&mut bob, &request, BOB, BOB_PASSWORD).await;
    let response = app.redeems(&request, &bob.auth_response()).await;
    let sub = &verified_claims(&app, response.id_token()).await["sub"];
    assert_eq!(*sub, dex_sub("bob-at-the-provider", "provider"), "not the local Bob");
}

#[tokio::test]
async fn upstreams_a_person_removed_at_oidc_provider_is_refused() {
    if Need::Upstreams.is_missing() {
        return;
    }
    let (mut provider, server) = start(World::new(), "").await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let request = app.auth_request("openid offline_access");
    signs_in(&mut alice, &request, ALICE, ALICE_PASSWORD).await;
    let token = app.redeems(&request, &alice.auth_response()).await.refresh_token().to_owned();
    provider.removes_user("alice-at-the-provider");
    let response = app.refreshes(&token).await;
    assert_eq!(
        (response.status, response.error()),
        (400, "invalid_grant"),
        "{}",
        response.page.body
    );
    let refused: Vec<_> = provider.observed("refusal");
    assert_eq!(refused[0]["error"], "invalid_grant", "{refused:?}");
    let request = app.auth_request_with("openid", &[("prompt", "none")]);
    alice.opens(&request.url).await;
    assert_eq!(alice.auth_error(), "login_required");
}

#[tokio::test]
async fn upstreams_a_group_that_is_not_allowed_gets_a_page_with_the_allowed_ones() {
    if Need::Upstreams.is_missing() {
        return;
    }
    let (_provider, server) = start(World::new(), "    allowedGroups: [divers]\n").await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    signs_in(&mut alice, &app.auth_request("openid"), ALICE, ALICE_PASSWORD).await;
    assert_eq!(alice.page().status, 403, "{}", alice.page().text());
    assert!(alice.page().text().contains("divers"), "{}", alice.page().text());
}

/// In Chromium: our connector choice, the provider's two pages, our approval page, the client.
async fn logs_in_with(look: Display, name: &str) {
    if Need::Upstreams.is_missing() || Need::Browser.is_missing() {
        return;
    }
    let application = OtherOrigin::start();
    let callback = format!("{}/callback", application.url);
    let world = World::new().client(Client::new("example-app").redirects_to(&[&callback]));
    let provider = OidcProvider::start(&world);
    let server = world.with(&provider.connector("")).start().await;
    let app = server.relying_party("example-app");
    let request = app.auth_request("openid email groups offline_access");

    let alice = Chromium::with(look).await;
    alice.opens(&request.url).await;
    alice.sees("#connector-provider").await;
    alice.screenshot(&format!("choosing-provider-{name}")).await;
    assert!(!alice.overflows().await, "{}", alice.text().await);
    alice.presses("#connector-provider").await;
    alice.waits_for_url(&provider.issuer).await;
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    alice.approves().await;
    alice.waits_for_url(&server.issuer()).await;
    alice.approves().await;
    alice.waits_for_url(&application.url).await;

    let response = app.redeems(&request, &application.auth_response()).await;
    assert_eq!(
        verified_claims(&app, response.id_token()).await["groups"],
        json!(["climbers", "cooks"])
    );
    let console = alice.console().await.join("\n");
    assert!(!console.contains("Content Security Policy"), "{console}");
}

#[tokio::test]
async fn browser_upstreams_on_a_desktop_logs_in_at_oidc_provider() {
    logs_in_with(Display::DESKTOP, "desktop").await;
}

#[tokio::test]
async fn browser_upstreams_on_a_phone_logs_in_at_oidc_provider() {
    logs_in_with(Display::PHONE, "phone").await;
}
