//! One Countersign signs people in at another: the generic `oidc` connector against a real provider.

use std::time::Duration;

use crate::world::{ALICE, ALICE_PASSWORD, Client, Need, Person, Server, World, verified};

/// The workspace that knows the passwords, and the one that asks it. Both follow the same moved clock.
async fn houses(home: World, branch: World, login_scopes: &str) -> (Server, Server) {
    let callback = format!("{}/callback", branch.issuer());
    let client = Client::new("branch").redirects_to(&[&callback]);
    let secret = client.secret.clone().unwrap();
    let home = home.client(client).with("oauth2:\n  skipApprovalScreen: true").start().await;
    let branch = branch.with(&format!(
        "connectors:\n- type: oidc\n  id: home\n  \
         name: Head office\n  config:\n    issuer: {}\n    clientID: branch\n    clientSecret: \
         {secret}\n{login_scopes}",
        home.issuer()
    ));
    (home, branch.start().await)
}

/// The branch has accounts of its own, too.
const BY_HOME: &[(&str, &str)] = &[("connector_id", "home")];

const GROUPS: &str = "    scopes: [profile, email, groups]\n    insecureEnableGroups: true\n";

#[tokio::test]
async fn alice_of_the_head_office_signs_in_at_the_branch_with_her_groups() {
    let (home, branch) = houses(World::new(), World::new(), GROUPS).await;
    let (mut alice, app) = (branch.browser(), branch.relying_party("example-app"));
    let request = app.auth_request_with("openid email profile groups federated:id", BY_HOME);
    alice.opens(&request.url).await;
    let url = alice.page().url.to_string();
    assert!(url.starts_with(&home.issuer()), "her password is typed at home: {url}");
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    alice.approves().await;
    let response = app.redeems(&request, &alice.auth_response()).await;
    let told = verified(response.id_token(), &app.gets("/keys").await.json);
    assert_eq!(told["iss"], branch.issuer());
    assert_eq!((&told["email"], &told["name"]), (&ALICE.into(), &"alice".into()));
    assert_eq!(told["groups"], serde_json::json!(["admins", "developers"]));
    assert_eq!(told["federated_claims"]["connector_id"], "home");
}

#[tokio::test]
async fn groups_that_the_branch_does_not_trust_stay_outside() {
    let (_home, branch) = houses(World::new(), World::new(), "").await;
    let (mut alice, app) = (branch.browser(), branch.relying_party("example-app"));
    let request = app.auth_request_with("openid groups", BY_HOME);
    let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let response = app.redeems(&request, &auth_response).await;
    let told = verified(response.id_token(), &app.gets("/keys").await.json);
    assert!(told["groups"].is_null(), "{told}");
}

#[tokio::test]
async fn who_is_in_no_allowed_group_is_told_which_are() {
    let login_scopes = format!("{GROUPS}    allowedGroups: [board]\n");
    let (_home, branch) = houses(World::new(), World::new(), &login_scopes).await;
    let (mut alice, app) = (branch.browser(), branch.relying_party("example-app"));
    alice.opens(app.auth_request_with("openid", BY_HOME).url).await;
    let page = alice.signs_in(ALICE, ALICE_PASSWORD).await;
    assert_eq!(page.status, 403, "{}", page.text());
    assert_eq!(page.all(".chips li"), ["board"], "{}", page.text());
    assert_eq!(page.all("#reference").len(), 1);
    assert!(page.link("Try again").is_some(), "with another account: {}", page.text());
}

/// Design 5: the upstream is asked again at refresh, its rotating token is spent once, and a person it no
/// longer knows is refused.
#[tokio::test]
async fn the_branch_asks_home_again_at_refresh() {
    if Need::Clock.is_missing() {
        return;
    }
    let login_scopes = format!("{GROUPS}    promptType: \"\"\n");
    let (mut home, branch) = houses(World::with_clock(), World::with_clock(), &login_scopes).await;
    let (mut alice, app) = (branch.browser(), branch.relying_party("example-app"));
    let request = app.auth_request_with("openid groups offline_access", BY_HOME);
    let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let mut token = app.redeems(&request, &auth_response).await.refresh_token().to_owned();
    for _ in 0..3 {
        for house in [&home, &branch] {
            house.advance(Duration::from_secs(6 * 60));
        }
        let response = app.refreshes(&token).await;
        assert_eq!(response.status, 200, "{}", response.page.body);
        let told = verified(response.id_token(), &app.gets("/keys").await.json);
        assert_eq!(told["groups"], serde_json::json!(["admins", "developers"]));
        token = response.refresh_token().to_owned();
    }

    // Home is closed: nothing is used up, and all goes on when it opens again.
    home.stop().await;
    branch.advance(Duration::from_secs(6 * 60));
    let response = app.refreshes(&token).await;
    assert_eq!((response.status, response.error()), (503, "temporarily_unavailable"));
    assert!(response.page.header("retry-after").is_some());
    home.advance(Duration::from_secs(6 * 60));
    home.restart().await;
    for house in [&home, &branch] {
        house.advance(Duration::from_secs(2 * 60));
    }
    let response = app.refreshes(&token).await;
    assert_eq!(response.status, 200, "{}", response.page.body);
}

/// Threat 100: an upstream that is down breaks its own button, and nothing else.
#[tokio::test]
async fn the_branch_starts_and_its_own_accounts_sign_in_while_home_is_closed() {
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

/// Threat 94: who may write any address at home must not be taken for its owner at the branch.
#[tokio::test]
async fn an_address_that_home_does_not_vouch_for_is_refused_and_the_page_says_why() {
    let hash = bcrypt::hash("eve-eats-2-apples", 10).unwrap();
    let eve = format!(
        "staticPasswords:\n- email: alice@example.com\n  hash: \"{hash}\"\n  username: eve\n  \
         userID: id-of-eve\n  emailVerified: false\n"
    );
    let (_home, branch) = houses(World::new().with(&eve), World::new(), "").await;
    let (mut mallory, app) = (branch.browser(), branch.relying_party("example-app"));
    mallory.opens(app.auth_request_with("openid email", BY_HOME).url).await;
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

    // An administrator may let her in; she is told as what she is.
    let login_scopes = "    insecureSkipEmailVerified: true\n";
    let (_home, branch) = houses(World::new().with(&eve), World::new(), login_scopes).await;
    let (mut mallory, app) = (branch.browser(), branch.relying_party("example-app"));
    let request = app.auth_request_with("openid email", BY_HOME);
    let auth_response = mallory.logs_in(&request, ALICE, "eve-eats-2-apples").await;
    let response = app.redeems(&request, &auth_response).await;
    let told = verified(response.id_token(), &app.gets("/keys").await.json);
    assert_eq!(told["email_verified"], false);
    // The branch knows an alice@example.com of its own; the same address does not make them one.
    let request = app.auth_request_with("openid email", &[("connector_id", "local")]);
    let auth_response = branch.browser().logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let response = app.redeems(&request, &auth_response).await;
    let alice = verified(response.id_token(), &app.gets("/keys").await.json);
    assert_eq!(alice["email"], told["email"]);
    assert_ne!(alice["sub"], told["sub"]);
}

#[tokio::test]
async fn who_signs_out_of_the_branch_is_shown_the_way_to_sign_out_of_home() {
    let (home, branch) = houses(World::new(), World::new(), "").await;
    let (mut alice, app) = (branch.browser(), branch.relying_party("example-app"));
    alice.logs_in(&app.auth_request_with("openid", BY_HOME), ALICE, ALICE_PASSWORD).await;
    alice.opens(branch.url("/logout")).await;
    let form = alice.page().form_with("csrf").unwrap();
    let page = alice.submits(form).await;
    assert_eq!(page.status, 200, "{}", page.text());
    let way = page.link("Also sign out of Head office").unwrap();
    let expected = format!("{}?client_id=branch", home.url("/logout"));
    assert_eq!(way.to_string(), expected);
    // Home asks before it does so.
    let page = alice.opens(way).await;
    assert_eq!(page.status, 200);
    assert!(page.form_with("csrf").is_some(), "{}", page.text());

    // Whose password is the branch's own has nothing else to sign out of.
    let mut bob = branch.browser();
    let request = app.auth_request_with("openid", &[("connector_id", "local")]);
    bob.logs_in(&request, crate::world::BOB, crate::world::BOB_PASSWORD).await;
    bob.opens(branch.url("/logout")).await;
    let form = bob.page().form_with("csrf").unwrap();
    let page = bob.submits(form).await;
    assert!(!page.text().contains("Also sign out"), "{}", page.text());
}

#[tokio::test]
async fn an_administrator_asks_whether_home_is_there_and_takes_us() {
    let (mut home, branch) = houses(World::new(), World::new(), "").await;
    let asked = |arguments: &[&str]| {
        let said =
            branch.runs_command(&[&["check", "CONFIG", "--connector"], arguments].concat(), &[]);
        let text = [said.stdout, said.stderr].concat();
        (said.status.success(), String::from_utf8(text).unwrap())
    };
    let (well, said) = asked(&["home"]);
    assert!(well, "{said}");
    for words in ["people sign in at", "keys that can sign", "+ token endpoint"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(!said.contains("secret-of"), "{said}");
    let (well, said) = asked(&["local"]);
    assert!(!well && said.contains("needs --user NAME"), "{said}");
    home.stop().await;
    let (well, said) = asked(&["home"]);
    assert!(!well && said.contains("the discovery endpoint cannot be reached"), "{said}");
}
