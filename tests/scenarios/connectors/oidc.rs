//! The oidc connector with another Countersign as upstream.

use std::time::Duration;

use crate::world::{ALICE, ALICE_PASSWORD, Client, Need, Person, Server, World, verified};

/// The upstream, which has the passwords, and the server with the connector. Both follow the moved clock.
pub async fn upstream_and_branch(upstream: World, branch: World, config: &str) -> (Server, Server) {
    let callback = format!("{}/callback", branch.issuer());
    let client = Client::new("branch").redirects_to(&[&callback]);
    let secret = client.secret.clone().unwrap();
    let upstream =
        upstream.client(client).with("oauth2:\n  skipApprovalScreen: true").start().await;
    let branch = branch.with(&format!(
        "connectors:\n- type: oidc\n  id: home\n  \
         name: Head office\n  config:\n    issuer: {}\n    clientID: branch\n    clientSecret: \
         {secret}\n{config}",
        upstream.issuer()
    ));
    (upstream, branch.start().await)
}

/// The branch has local accounts too, so the connector is named.
const AT_UPSTREAM: &[(&str, &str)] = &[("connector_id", "home")];

pub const GROUPS: &str = "    scopes: [profile, email, groups]\n    insecureEnableGroups: true\n";

#[tokio::test]
async fn alice_of_the_upstream_signs_in_at_the_branch_with_her_groups() {
    let (upstream, branch) = upstream_and_branch(World::new(), World::new(), GROUPS).await;
    let (mut alice, app) = (branch.browser(), branch.relying_party("example-app"));
    let request = app.auth_request_with("openid email profile groups federated:id", AT_UPSTREAM);
    alice.opens(&request.url).await;
    let url = alice.page().url.to_string();
    assert!(url.starts_with(&upstream.issuer()), "her password is entered at the upstream: {url}");
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    alice.approves().await;
    let response = app.redeems(&request, &alice.auth_response()).await;
    let claims = verified(response.id_token(), &app.gets("/keys").await.json);
    assert_eq!(claims["iss"], branch.issuer());
    assert_eq!((&claims["email"], &claims["name"]), (&ALICE.into(), &"alice".into()));
    assert_eq!(claims["groups"], serde_json::json!(["admins", "developers"]));
    assert_eq!(claims["federated_claims"]["connector_id"], "home");
}

#[tokio::test]
async fn groups_are_ignored_without_insecure_enable_groups() {
    let (_home, branch) = upstream_and_branch(World::new(), World::new(), "").await;
    let (mut alice, app) = (branch.browser(), branch.relying_party("example-app"));
    let request = app.auth_request_with("openid groups", AT_UPSTREAM);
    let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let response = app.redeems(&request, &auth_response).await;
    let claims = verified(response.id_token(), &app.gets("/keys").await.json);
    assert!(claims["groups"].is_null(), "{claims}");
}

#[tokio::test]
async fn a_user_in_no_allowed_group_sees_which_are_allowed() {
    let config = format!("{GROUPS}    allowedGroups: [board]\n");
    let (_home, branch) = upstream_and_branch(World::new(), World::new(), &config).await;
    let (mut alice, app) = (branch.browser(), branch.relying_party("example-app"));
    alice.opens(app.auth_request_with("openid", AT_UPSTREAM).url).await;
    let page = alice.signs_in(ALICE, ALICE_PASSWORD).await;
    assert_eq!(page.status, 403, "{}", page.text());
    assert_eq!(page.all(".chips li"), ["board"], "{}", page.text());
    assert_eq!(page.all("#reference").len(), 1);
    assert!(
        page.link("Sign in as somebody else").is_some(),
        "with another account: {}",
        page.text()
    );
}

/// The upstream is revalidated at refresh with its rotating refresh token, and a person it no longer knows is
/// refused.
#[tokio::test]
async fn the_branch_revalidates_with_the_upstream_at_refresh() {
    if Need::Clock.is_missing() {
        return;
    }
    let config = format!("{GROUPS}    promptType: \"\"\n");
    let (mut upstream, branch) =
        upstream_and_branch(World::with_clock(), World::with_clock(), &config).await;
    let (mut alice, app) = (branch.browser(), branch.relying_party("example-app"));
    let request = app.auth_request_with("openid groups offline_access", AT_UPSTREAM);
    let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let mut token = app.redeems(&request, &auth_response).await.refresh_token().to_owned();
    for _ in 0..3 {
        for server in [&upstream, &branch] {
            server.advance(Duration::from_mins(6));
        }
        let response = app.refreshes(&token).await;
        assert_eq!(response.status, 200, "{}", response.page.body);
        let claims = verified(response.id_token(), &app.gets("/keys").await.json);
        assert_eq!(claims["groups"], serde_json::json!(["admins", "developers"]));
        token = response.refresh_token().to_owned();
    }

    // While the upstream is down no token is used up, and refreshes work again afterwards.
    upstream.stop().await;
    branch.advance(Duration::from_mins(6));
    let response = app.refreshes(&token).await;
    assert_eq!((response.status, response.error()), (503, "temporarily_unavailable"));
    assert!(response.page.header("retry-after").is_some());
    upstream.advance(Duration::from_mins(6));
    upstream.restart().await;
    for server in [&upstream, &branch] {
        server.advance(Duration::from_mins(2));
    }
    let response = app.refreshes(&token).await;
    assert_eq!(response.status, 200, "{}", response.page.body);
}

/// Threat 100: an unavailable upstream affects its own connector only.
#[tokio::test]
async fn the_branch_starts_and_local_accounts_sign_in_while_the_upstream_is_down() {
    let branch = World::new().person(Person::new("bea@example.com", "bea-builds-5-boats")).with(
        "connectors:\n- type: oidc\n  id: home\n  name: Head office\n  config:\n    issuer: \
         http://127.64.0.9:5556/dex\n    clientID: branch\n    clientSecret: a-secret-of-the-branch\n",
    );
    let branch = branch.start().await;
    let (mut bea, app) = (branch.browser(), branch.relying_party("example-app"));
    let request = app.auth_request("openid");
    bea.opens(&request.url).await;
    let page = bea.clicks("Head office").await;
    assert_eq!(page.status, 503, "{}", page.text());
    bea.opens(&request.url).await;
    bea.clicks("Email").await;
    bea.signs_in("bea@example.com", "bea-builds-5-boats").await;
    bea.approves().await;
    bea.auth_response();
}

/// Threat 94: whoever can enter any address at the upstream must not be taken for its owner.
#[tokio::test]
async fn an_unverified_email_is_refused_with_an_explanation() {
    let hash = bcrypt::hash("eve-eats-2-apples", 10).unwrap();
    let eve = format!(
        "staticPasswords:\n- email: alice@example.com\n  hash: \"{hash}\"\n  username: eve\n  \
         userID: id-of-eve\n  emailVerified: false\n"
    );
    let (_home, branch) = upstream_and_branch(World::new().with(&eve), World::new(), "").await;
    let (mut mallory, app) = (branch.browser(), branch.relying_party("example-app"));
    mallory.opens(app.auth_request_with("openid email", AT_UPSTREAM).url).await;
    let page = mallory.signs_in(ALICE, "eve-eats-2-apples").await;
    assert_eq!(page.status, 403, "{}", page.text());
    assert!(page.text().contains("Your e-mail address is not verified"), "{}", page.text());
    assert_eq!(page.all("#reference").len(), 1);
    assert!(
        !mallory
            .cookies()
            .iter()
            .any(|c| { c.name.ends_with("-session") && branch.issuer().contains(&c.host) })
    );

    // With `insecureSkipEmailVerified`-like configuration she is accepted, and the claim stays false.
    let config = "    insecureSkipEmailVerified: true\n";
    let (_home, branch) = upstream_and_branch(World::new().with(&eve), World::new(), config).await;
    let (mut mallory, app) = (branch.browser(), branch.relying_party("example-app"));
    let request = app.auth_request_with("openid email", AT_UPSTREAM);
    let auth_response = mallory.logs_in(&request, ALICE, "eve-eats-2-apples").await;
    let response = app.redeems(&request, &auth_response).await;
    let claims = verified(response.id_token(), &app.gets("/keys").await.json);
    assert_eq!(claims["email_verified"], false);
    // The branch has a local alice@example.com; the same address does not make them one person.
    let request = app.auth_request_with("openid email", &[("connector_id", "local")]);
    let auth_response = branch.browser().logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let response = app.redeems(&request, &auth_response).await;
    let alice = verified(response.id_token(), &app.gets("/keys").await.json);
    assert_eq!(alice["email"], claims["email"]);
    assert_ne!(alice["sub"], claims["sub"]);
}

#[tokio::test]
async fn after_logout_at_the_branch_a_link_leads_to_the_logout_of_the_upstream() {
    let (upstream, branch) = upstream_and_branch(World::new(), World::new(), "").await;
    let (mut alice, app) = (branch.browser(), branch.relying_party("example-app"));
    alice.logs_in(&app.auth_request_with("openid", AT_UPSTREAM), ALICE, ALICE_PASSWORD).await;
    alice.opens(branch.url("/logout")).await;
    let form = alice.page().form_with("csrf").unwrap();
    let page = alice.submits(form).await;
    assert_eq!(page.status, 200, "{}", page.text());
    let link = page.link("Also sign out of Head office").unwrap();
    let expected = format!("{}?client_id=branch", upstream.url("/logout"));
    assert_eq!(link.to_string(), expected);
    // The upstream asks for confirmation.
    let page = alice.opens(link).await;
    assert_eq!(page.status, 200);
    assert!(page.form_with("csrf").is_some(), "{}", page.text());

    // A local account has no such link.
    let mut bob = branch.browser();
    let request = app.auth_request_with("openid", &[("connector_id", "local")]);
    bob.logs_in(&request, crate::world::BOB, crate::world::BOB_PASSWORD).await;
    bob.opens(branch.url("/logout")).await;
    let form = bob.page().form_with("csrf").unwrap();
    let page = bob.submits(form).await;
    assert!(!page.text().contains("Also sign out"), "{}", page.text());
}

#[tokio::test]
async fn check_reports_whether_the_upstream_is_reachable_and_accepts_the_client() {
    let (mut upstream, branch) = upstream_and_branch(World::new(), World::new(), "").await;
    let check = |arguments: &[&str]| {
        let output =
            branch.runs_command(&[&["check", "CONFIG", "--connector"], arguments].concat(), &[]);
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(text).unwrap())
    };
    let (passed, output) = check(&["home"]);
    assert!(passed, "{output}");
    for words in ["people sign in at", "keys that can sign", "+ token endpoint"] {
        assert!(output.contains(words), "{words}: {output}");
    }
    assert!(!output.contains("secret-of"), "{output}");
    let (passed, output) = check(&["local"]);
    assert!(!passed && output.contains("needs --user NAME"), "{output}");
    upstream.stop().await;
    let (passed, output) = check(&["home"]);
    assert!(!passed && output.contains("the discovery endpoint cannot be reached"), "{output}");
}
