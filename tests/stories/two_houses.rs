//! One Countersign signs people in at another: the generic `oidc` connector against a real provider.

use std::time::Duration;

use crate::world::{ALICE, ALICE_PASSWORD, Client, Need, Person, Server, World, verified};

/// The house that knows the passwords, and the one that asks it. Both follow the same moved clock.
async fn houses(home: World, branch: World, wants: &str) -> (Server, Server) {
    let callback = format!("{}/callback", branch.issuer());
    let client = Client::new("branch").redirects_to(&[&callback]);
    let secret = client.secret.clone().unwrap();
    let home = home.client(client).with("oauth2:\n  skipApprovalScreen: true").start().await;
    let branch = branch.with(&format!(
        "connectors:\n- type: oidc\n  id: home\n  \
         name: Head office\n  config:\n    issuer: {}\n    clientID: branch\n    clientSecret: \
         {secret}\n{wants}",
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
    let request = app.asks_with("openid email profile groups federated:id", BY_HOME);
    alice.opens(&request.url).await;
    let url = alice.page().url.to_string();
    assert!(url.starts_with(&home.issuer()), "her password is typed at home: {url}");
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    alice.approves().await;
    let answer = app.redeems(&request, &alice.arrives()).await;
    let told = verified(answer.id_token(), &app.reads("/keys").await.json);
    assert_eq!(told["iss"], branch.issuer());
    assert_eq!((&told["email"], &told["name"]), (&ALICE.into(), &"alice".into()));
    assert_eq!(told["groups"], serde_json::json!(["admins", "developers"]));
    assert_eq!(told["federated_claims"]["connector_id"], "home");
}

#[tokio::test]
async fn groups_that_the_branch_does_not_trust_stay_outside() {
    let (_home, branch) = houses(World::new(), World::new(), "").await;
    let (mut alice, app) = (branch.browser(), branch.relying_party("example-app"));
    let request = app.asks_with("openid groups", BY_HOME);
    let arrival = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let answer = app.redeems(&request, &arrival).await;
    let told = verified(answer.id_token(), &app.reads("/keys").await.json);
    assert!(told["groups"].is_null(), "{told}");
}

#[tokio::test]
async fn who_is_in_no_allowed_group_is_told_which_are() {
    let wants = format!("{GROUPS}    allowedGroups: [board]\n");
    let (_home, branch) = houses(World::new(), World::new(), &wants).await;
    let (mut alice, app) = (branch.browser(), branch.relying_party("example-app"));
    alice.opens(app.asks_with("openid", BY_HOME).url).await;
    let page = alice.signs_in(ALICE, ALICE_PASSWORD).await;
    assert_eq!(page.status, 403, "{}", page.text());
    assert!(page.text().contains("board"), "{}", page.text());
    assert_eq!(page.all("#reference").len(), 1);
}

/// Design 5: the upstream is asked again at refresh, its rotating token is spent once, and a person it no
/// longer knows is refused.
#[tokio::test]
async fn the_branch_asks_home_again_at_refresh() {
    if Need::Clock.is_missing() {
        return;
    }
    let wants = format!("{GROUPS}    promptType: \"\"\n");
    let (mut home, branch) = houses(World::with_clock(), World::with_clock(), &wants).await;
    let (mut alice, app) = (branch.browser(), branch.relying_party("example-app"));
    let request = app.asks_with("openid groups offline_access", BY_HOME);
    let arrival = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let mut token = app.redeems(&request, &arrival).await.refresh_token().to_owned();
    for _ in 0..3 {
        for house in [&home, &branch] {
            house.advance(Duration::from_secs(6 * 60));
        }
        let answer = app.refreshes(&token).await;
        assert_eq!(answer.status, 200, "{}", answer.page.body);
        let told = verified(answer.id_token(), &app.reads("/keys").await.json);
        assert_eq!(told["groups"], serde_json::json!(["admins", "developers"]));
        token = answer.refresh_token().to_owned();
    }

    // Home is closed: nothing is used up, and all goes on when it opens again.
    home.stop().await;
    branch.advance(Duration::from_secs(6 * 60));
    let answer = app.refreshes(&token).await;
    assert_eq!((answer.status, answer.error()), (503, "temporarily_unavailable"));
    assert!(answer.page.header("retry-after").is_some());
    home.advance(Duration::from_secs(6 * 60));
    home.restart().await;
    for house in [&home, &branch] {
        house.advance(Duration::from_secs(2 * 60));
    }
    let answer = app.refreshes(&token).await;
    assert_eq!(answer.status, 200, "{}", answer.page.body);
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
    let request = app.asks("openid");
    bea.opens(&request.url).await;
    let page = bea.clicks("Head office").await;
    assert_eq!(page.status, 503, "{}", page.text());
    bea.opens(&request.url).await;
    bea.clicks("Email").await;
    bea.signs_in("bea@example.com", "bea-builds-5-boats").await;
    bea.approves().await;
    bea.arrives();
}
