//! Threat 158: a permanent fault of a person's entry or of the directory is named, to the person and exactly to the
//! administrator, and is not shown as an outage: nobody is told to try again.

use std::time::Duration;

use crate::scenarios::connectors::ldap::connector;
use crate::world::{ALICE, ALICE_PASSWORD, Client, Need, Page, World, slapd};

const JANE: &str = "uid=jane,ou=People,dc=example,dc=org";

fn mail(change: &str) -> String {
    format!("dn: {JANE}\nchangetype: modify\n{change}\n")
}

fn assert_is_not_an_outage(page: &Page) {
    assert_eq!(page.status, 502, "{}", page.text());
    assert_eq!(page.header("retry-after"), None);
    assert!(page.text().contains("You did nothing wrong"), "{}", page.text());
    assert!(page.text().contains("Trying again does not help"), "{}", page.text());
}

#[tokio::test]
async fn ldap_threat_158_a_missing_attribute_is_named_and_using_other_connectors_goes_on() {
    let Some(directory) = slapd::Slapd::start() else { return };
    let server = World::new().with(&connector(&directory)).start().await;
    directory.modify(&mail("delete: mail"));
    let (mut jane, app) = (server.browser(), server.relying_party("example-app"));
    jane.opens(app.auth_request("openid email").url).await;
    jane.clicks("Directory").await;
    let page = jane.signs_in("jane", slapd::PASSWORD).await.clone();
    assert_is_not_an_outage(&page);
    assert!(page.text().contains("mail"), "what is missing: {}", page.text());
    // The administrator reads whose entry it is.
    server.waits_for_log(1, &format!("{JANE} lacks mail")).await;
    // The same browser goes on with another connector.
    jane.clicks("Other ways to sign in").await;
    jane.clicks("Email").await;
    jane.signs_in(ALICE, ALICE_PASSWORD).await;
    jane.approves().await;
    jane.auth_response();
}

#[tokio::test]
async fn ldap_threat_158_at_refresh_it_is_server_error_and_the_token_stays_valid() {
    if Need::Clock.is_missing() {
        return;
    }
    let Some(directory) = slapd::Slapd::start() else { return };
    let world = World::with_clock().client(Client::new("wiki"));
    let server = world.with(&connector(&directory)).start().await;
    let (mut jane, app) = (server.browser(), server.relying_party("example-app"));
    let request = app.auth_request_with("openid offline_access", &[("connector_id", "ldap")]);
    let auth_response = jane.logs_in(&request, "jane", slapd::PASSWORD).await;
    let token = app.redeems(&request, &auth_response).await.refresh_token().to_owned();

    directory.modify(&mail("delete: mail"));
    server.advance(Duration::from_secs(305));
    for _ in 0..2 {
        let response = app.refreshes(&token).await;
        assert_eq!(response.error(), "server_error", "{}", response.page.body);
        assert_eq!(response.page.header("retry-after"), None);
    }
    // Single sign-on requires a new login, which names the reason; the browser is not caught.
    let wiki = server.relying_party("wiki");
    let page = jane.opens(wiki.auth_request_with("openid", &[("connector_id", "ldap")]).url).await;
    assert!(page.form_with("password").is_some(), "{}", page.text());
    assert_is_not_an_outage(&jane.signs_in("jane", slapd::PASSWORD).await.clone());

    directory.modify(&mail("add: mail\nmail: jane@example.org"));
    let response = app.refreshes(&token).await;
    assert_eq!(response.status, 200, "{}", response.page.body);
}
