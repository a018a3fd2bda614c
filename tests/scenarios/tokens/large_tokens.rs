//! Issue 9, item 17: a token that is issued is accepted by every endpoint of the issuer, and one that servers in between
//! may refuse is named in the log with its size. None is issued that those endpoints would refuse (threat 170).

use serde_json::Value;

use crate::world::{ALICE, ALICE_PASSWORD, Person, World};

/// Names of groups: 600 make a token of some 40 KiB.
fn groups(number: usize) -> Vec<String> {
    (0..number).map(|n| format!("team-{n:04}-of-the-department-of-engineering-and-tools")).collect()
}

#[tokio::test]
async fn a_token_of_forty_kilobytes_is_accepted_wherever_it_is_sent() {
    let groups = groups(600);
    let names: Vec<&str> = groups.iter().map(String::as_str).collect();
    let alice = Person::new(ALICE, ALICE_PASSWORD).groups(&names);
    let server = World::new().person(alice).start().await;
    let (mut browser, app) = (server.browser(), server.relying_party("example-app"));
    let request = app.auth_request("openid groups offline_access");
    let auth_response = browser.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let tokens = app.redeems(&request, &auth_response).await;
    let access = tokens.access_token();
    assert!((36_000..48_000).contains(&access.len()), "{}", access.len());

    // RFC 6750 section 2.1 and 2.2: in a header, in a form.
    let userinfo = app.userinfo(access).await;
    assert_eq!(userinfo.status, 200, "{}", userinfo.page.body);
    assert_eq!(userinfo.json["groups"].as_array().unwrap().len(), groups.len());
    let about = app.posts("/token/introspect", &[("token", access)]).await;
    assert_eq!((about.status, &about.json["active"]), (200, &true.into()), "{}", about.page.body);
    let hint = [("id_token_hint", tokens.id_token())];
    let moved = browser.post_form(server.url("/logout"), &hint).await;
    let page = browser.opens(moved.location().expect("the same by GET, without the token")).await;
    assert_eq!(page.status, 200, "{}", page.text());
    assert!(page.text().contains("You are signed out"), "{}", page.text());
    assert_eq!(app.posts("/revoke", &[("token", access)]).await.status, 200);
    assert_eq!(app.userinfo(access).await.status, 401);

    let log = server.log();
    let line = log.lines().find(|line| line.contains("large_token")).expect("a warning");
    let line: Value = serde_json::from_str(line).unwrap();
    assert_eq!((&line["level"], &line["client"]), (&"WARN".into(), &"example-app".into()));
    assert!(line["size_bytes"].as_u64().unwrap() > 36_000, "{line}");
}

#[tokio::test]
async fn threat_170_a_token_that_no_endpoint_accepts_is_not_issued_and_the_reason_is_named() {
    let groups = groups(1_200);
    let names: Vec<&str> = groups.iter().map(String::as_str).collect();
    let alice = Person::new(ALICE, ALICE_PASSWORD).groups(&names);
    let server = World::new().person(alice).start().await;
    let (mut browser, app) = (server.browser(), server.relying_party("example-app"));
    let request = app.auth_request("openid groups offline_access");
    let auth_response = browser.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    // It is permanent, so nothing says "try again"; the code is not used up.
    for _ in 0..2 {
        let response = app.redeems(&request, &auth_response).await;
        assert_eq!((response.status, response.error()), (500, "server_error"));
        let description = response.json["error_description"].as_str().unwrap();
        assert!(description.starts_with("Your 1200 groups make a token of "), "{description}");
        assert!(description.ends_with("An administrator must act."), "{description}");
        assert!(response.page.header("retry-after").is_none());
    }
    let log = server.log();
    let line = log.lines().find(|line| line.contains("1200 groups")).expect("the cause");
    assert!(line.contains("example-app") && line.contains("at most 65536"), "{line}");

    // Without the groups she gets a token that is accepted.
    let request = app.auth_request("openid offline_access");
    let auth_response = browser.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let tokens = app.redeems(&request, &auth_response).await;
    assert_eq!(app.userinfo(tokens.access_token()).await.status, 200);
}
