//! A provider of OpenID Connect that other people wrote, as the upstream of an `oidc` connector: what it
//! is asked, what it sees, how its refresh tokens are spent, and what follows when it is gone.

use serde_json::{Value, json};

use crate::world::{
    ALICE, ALICE_PASSWORD, AuthRequest, BOB, BOB_PASSWORD, Browser, Chromium, Client, Display,
    Need, OidcProvider, OtherOrigin, RelyingParty, Server, World, dex_sub, verified,
};

const THE_PROVIDER: &str = "The provider";

/// A workspace with accounts of its own beside the provider's, which is asked again at each refresh.
async fn house(world: World, more: &str) -> (OidcProvider, Server) {
    let provider = OidcProvider::start(&world);
    let world = world
        .with(&provider.connector(more))
        .with("oauth2:\n  skipApprovalScreen: true\nsessions:\n  upstreamRefreshInterval: 0s");
    (provider, world.start().await)
}

/// From the page with all ways in, through the provider's pages, to the application.
async fn signs_in(alice: &mut Browser, request: &AuthRequest, login: &str, password: &str) {
    alice.opens(&request.url).await;
    alice.clicks(THE_PROVIDER).await;
    alice.signs_in(login, password).await;
    if alice.page().form_with("approval").is_some() {
        alice.approves().await;
    }
}

async fn told(app: &RelyingParty, id_token: &str) -> Value {
    verified(id_token, &app.gets("/keys").await.json)
}

#[tokio::test]
async fn upstreams_alice_comes_by_a_real_provider_with_pkce_nonce_and_her_groups() {
    if Need::Upstreams.is_missing() {
        return;
    }
    let (mut provider, server) = house(World::new(), "").await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let request = app.auth_request("openid email profile groups federated:id offline_access");
    alice.opens(&request.url).await;
    let page = alice.clicks(THE_PROVIDER).await;
    assert!(page.url.as_str().starts_with(&provider.issuer), "{}", page.url);
    assert_eq!(alice.signs_in(ALICE, "not her password").await.status, 401);
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    alice.approves().await;
    let response = app.redeems(&request, &alice.auth_response()).await;

    let told = told(&app, response.id_token()).await;
    assert_eq!(told["sub"], dex_sub("alice-at-the-provider", "provider"));
    assert_eq!(told["groups"], json!(["climbers", "cooks"]));
    let told = ["email", "email_verified", "name", "preferred_username"].map(|name| &told[name]);
    assert_eq!(json!(told), json!([ALICE, true, "Alice Arden", "alice"]));

    let [asked] = &provider.observed("authorization")[..] else { panic!("once") };
    for what in ["nonce", "state", "code_challenge"] {
        assert_eq!(asked[what], true, "{what} in {asked}");
    }
    assert_eq!(asked["code_challenge_method"], "S256");
    assert_eq!(asked["redirect_uri"], format!("{}/callback", server.issuer()));
    let redeemed = &provider.observed("grant")[0];
    assert_eq!(redeemed["grant_type"], "authorization_code");
    assert_eq!(redeemed["code_verifier"], true);
}

#[tokio::test]
async fn upstreams_a_no_at_a_real_provider_reaches_the_person_and_no_application() {
    if Need::Upstreams.is_missing() {
        return;
    }
    let (mut provider, server) = house(World::new(), "").await;
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

/// Threat 98: the provider ends everything when a spent refresh token comes again, so none may.
async fn spends_each_token_once(world: World, has_replica: bool) {
    let world = world.client(Client::new("laptop")).client(Client::new("phone"));
    let (mut provider, server) = house(world, "").await;
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
        let [(laptop, one), (phone, two)] = &mut tokens[..] else { panic!("two") };
        let (first, second) = tokio::join!(laptop.refreshes(one), phone.refreshes(two));
        for (app, response, token) in [(&*laptop, first, one), (&*phone, second, two)] {
            assert_eq!(response.status, 200, "{}", response.page.body);
            assert_eq!(told(app, response.id_token()).await["groups"], json!(groups));
            response.refresh_token().clone_into(token);
        }
    }
    assert!(refreshes(&mut provider) >= spent_before + 2, "it was asked each time");
    assert!(provider.observed("refusal").is_empty() && provider.observed("revocation").is_empty());
}

#[tokio::test]
async fn upstreams_rotating_refresh_tokens_of_a_real_provider_are_each_spent_once() {
    if !Need::Upstreams.is_missing() {
        spends_each_token_once(World::new(), false).await;
    }
}

#[tokio::test]
async fn upstreams_two_replicas_spend_each_refresh_token_of_a_real_provider_once() {
    if !Need::Upstreams.is_missing() && !Need::Postgres.is_missing() {
        spends_each_token_once(World::with_postgres(), true).await;
    }
}

fn refreshes(provider: &mut OidcProvider) -> usize {
    let grants = provider.observed("grant");
    grants.iter().filter(|grant| grant["grant_type"] == "refresh_token").count()
}

/// Threat 100, with whoever is signed in already: nothing of theirs is used up.
#[tokio::test]
async fn upstreams_a_real_provider_that_stops_breaks_only_its_own_button_and_comes_back() {
    if Need::Upstreams.is_missing() {
        return;
    }
    let (mut provider, server) = house(World::new(), "").await;
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
    let sub = &told(&app, response.id_token()).await["sub"];
    assert_eq!(*sub, dex_sub("bob-at-the-provider", "provider"), "not the local Bob");
}

#[tokio::test]
async fn upstreams_whom_a_real_provider_no_longer_knows_gets_nothing_more() {
    if Need::Upstreams.is_missing() {
        return;
    }
    let (mut provider, server) = house(World::new(), "").await;
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
async fn upstreams_a_group_that_is_not_allowed_ends_at_a_page_that_names_those_that_are() {
    if Need::Upstreams.is_missing() {
        return;
    }
    let (_provider, server) = house(World::new(), "    allowedGroups: [divers]\n").await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    signs_in(&mut alice, &app.auth_request("openid"), ALICE, ALICE_PASSWORD).await;
    assert_eq!(alice.page().status, 403, "{}", alice.page().text());
    assert!(alice.page().text().contains("divers"), "{}", alice.page().text());
}

/// The whole way on a screen: our choosing page, the provider's two pages, our approval, the application.
async fn walks_through(look: Display, name: &str) {
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
    assert_eq!(told(&app, response.id_token()).await["groups"], json!(["climbers", "cooks"]));
    let said = alice.console().await.join("\n");
    assert!(!said.contains("Content Security Policy"), "{said}");
}

#[tokio::test]
async fn browser_upstreams_on_a_desk_walks_through_a_real_provider() {
    walks_through(Display::DESKTOP, "desktop").await;
}

#[tokio::test]
async fn browser_upstreams_on_a_phone_walks_through_a_real_provider() {
    walks_through(Display::PHONE, "phone").await;
}
