//! The consents of a signed-in user: listed and withdrawn on the start page.

use crate::world::{ALICE, ALICE_PASSWORD, BOB, BOB_PASSWORD, World};

const SCOPE: &str = "openid email groups offline_access";

#[tokio::test]
async fn alice_withdraws_her_consent_and_must_approve_again() {
    let server = World::new().start().await;
    let app = server.relying_party("example-app");
    let request = app.auth_request(SCOPE);
    let mut alice = server.browser();
    let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let refresh = app.redeems(&request, &auth_response).await.refresh_token().to_owned();

    alice.opens(server.url("/")).await;
    let page = alice.clicks("Applications you have allowed").await;
    let line = page.all(".places li").concat();
    for shown in ["The example-app", "your email address", "your groups"] {
        assert!(line.contains(shown), "{shown}: {line}");
    }
    let mut form = page.form_with("csrf").unwrap();
    form.fields.push(("client".into(), "example-app".into()));
    let pressed = form.clone();
    let page = alice.submits(form).await;
    let status = page.all("[role=status]").concat();
    assert!(status.contains("The example-app is not allowed any more"), "{status}");
    assert!(status.contains("No application may sign you in without approval"), "{status}");
    // A second click, whose answer replaces the first (issue 9, item 8).
    let fields: Vec<_> = pressed.fields.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let again = alice.post_form(pressed.action.clone(), &fields).await;
    assert_eq!(again.location().map(String::from), Some(server.url("/consents")));

    assert_eq!(app.refreshes(&refresh).await.error(), "invalid_grant");
    alice.opens(app.auth_request(SCOPE).url).await;
    assert!(alice.page().form_with("approval").is_some(), "{}", alice.page().text());
}

#[tokio::test]
async fn a_consent_of_another_user_cannot_be_withdrawn() {
    let server = World::new().start().await;
    let app = server.relying_party("example-app");
    let request = app.auth_request(SCOPE);
    let auth_response = server.browser().logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let refresh = app.redeems(&request, &auth_response).await.refresh_token().to_owned();

    let mut bob = server.browser();
    bob.opens(server.url("/consents")).await;
    let page = bob.signs_in(BOB, BOB_PASSWORD).await;
    assert!(
        page.text().contains("No application may sign you in without approval"),
        "{}",
        page.text()
    );
    let csrf = bob.opens(server.url("/groups")).await.attributes("[name=csrf]", "value");
    let csrf = csrf.first().cloned().unwrap_or_default();
    let fields = [("csrf", csrf.as_str()), ("client", "example-app")];
    let page = bob.post_form(server.url("/consents"), &fields).await;
    assert!([403, 404].contains(&page.status), "{}", page.text());
    assert_eq!(app.refreshes(&refresh).await.status, 200, "her consent is hers");
}
