//! Revalidation when the LDAP directory changes while Jane is signed in: groups, removal, a disabled account,
//! and an unavailable directory.

use std::time::Duration;

use serde_json::json;

use crate::scenarios::connectors::ldap::{connector, groups_of};
use crate::world::{
    ALICE, ALICE_PASSWORD, Browser, Client, Need, RelyingParty, Server, World, claims, slapd,
};

/// A little more than the default of `sessions.upstreamRefreshInterval`.
const STALE: Duration = Duration::from_secs(5 * 60 + 5);
const JANE: &str = "uid=jane,ou=People,dc=example,dc=org";

/// Jane, signed in at a client with a refresh token.
struct Setup {
    directory: slapd::Slapd,
    server: Server,
    jane: Browser,
    app: RelyingParty,
    refresh_token: String,
    access_token: String,
}

impl Setup {
    async fn with(settings: &str) -> Option<Self> {
        if Need::Clock.is_missing() {
            return None;
        }
        let directory = slapd::Slapd::start()?;
        let yaml = format!("{}{settings}", connector(&directory));
        let server = World::with_clock().client(Client::new("wiki")).with(&yaml).start().await;
        let (mut jane, app) = (server.browser(), server.relying_party("example-app"));
        let scopes = "openid groups offline_access";
        let request = app.auth_request_with(scopes, &[("connector_id", "ldap")]);
        let auth_response = jane.logs_in(&request, "jane", slapd::PASSWORD).await;
        let response = app.redeems(&request, &auth_response).await;
        let refresh_token = response.refresh_token().to_owned();
        let access_token = response.access_token().to_owned();
        Some(Self { directory, server, jane, app, refresh_token, access_token })
    }

    /// The groups in the next ID token.
    async fn groups(&mut self) -> serde_json::Value {
        let response = self.app.refreshes(&self.refresh_token).await;
        assert_eq!(response.status, 200, "{}", response.page.body);
        response.refresh_token().clone_into(&mut self.refresh_token);
        claims(response.id_token())["groups"].clone()
    }

    async fn is_refused(&self) {
        let response = self.app.refreshes(&self.refresh_token).await;
        assert_eq!(
            (response.status, response.error()),
            (400, "invalid_grant"),
            "{}",
            response.page.body
        );
    }

    /// True if single sign-on at another client requires a new login.
    async fn must_sign_in_again(&mut self) -> bool {
        let wiki = self.server.relying_party("wiki");
        self.jane.opens(wiki.auth_request_with("openid", &[("connector_id", "ldap")]).url).await;
        self.jane.page().form_with("password").is_some()
    }

    fn remove_jane(&self) {
        self.directory.modify(&format!("dn: {JANE}\nchangetype: delete\n"));
    }

    fn add_jane_again(&self) {
        self.directory.modify(&format!(
            "dn: {JANE}\nchangetype: add\nobjectClass: inetOrgPerson\nuid: jane\nsn: Doe\n\
             cn: Jane Doe\nmail: jane@example.org\nuserPassword: bar\n"
        ));
    }
}

fn membership(change: &str, group: &str, member: &str) -> String {
    format!(
        "dn: cn={group},ou=Groups,dc=example,dc=org\nchangetype: modify\n{change}: member\n\
         member: {member}\n\n"
    )
}

#[tokio::test]
async fn ldap_a_new_group_is_in_the_first_token_after_the_refresh_interval() {
    let Some(mut setup) = Setup::with("").await else { return };
    let before = json!(["admins", "developers", "staff", "everybody"]);
    setup.directory.modify(&format!(
        "{}{}",
        membership("replace", "admins", "uid=joe,ou=People,dc=example,dc=org"),
        membership("add", "of commas", JANE)
    ));

    setup.server.advance(Duration::from_mins(4));
    let searches = setup.directory.log().matches("SRCH base=").count();
    assert_eq!(setup.groups().await, before, "the snapshot is fresh");
    assert_eq!(setup.directory.log().matches("SRCH base=").count(), searches, "no search");

    setup.server.advance(Duration::from_secs(65));
    assert_eq!(setup.groups().await, json!(["developers", "of commas", "staff", "everybody"]));
}

#[tokio::test]
async fn ldap_without_an_interval_every_refresh_revalidates() {
    let Some(mut setup) = Setup::with("sessions:\n  upstreamRefreshInterval: 0s\n").await else {
        return;
    };
    setup.directory.modify(&membership("add", "of commas", JANE));
    assert!(setup.groups().await.as_array().unwrap().contains(&json!("of commas")));
    setup.directory.modify(&membership("delete", "of commas", JANE));
    assert!(!setup.groups().await.as_array().unwrap().contains(&json!("of commas")));
}

/// Single sign-on revalidates an old snapshot before a code is issued.
#[tokio::test]
async fn ldap_single_sign_on_at_a_second_client_has_current_groups() {
    let Some(mut setup) = Setup::with("").await else { return };
    setup.directory.modify(&membership("delete", "developers", JANE));
    setup.server.advance(STALE);

    let wiki = setup.server.relying_party("wiki");
    let request = wiki.auth_request("openid groups");
    setup.jane.opens(&request.url).await;
    assert!(setup.jane.page().form_with("password").is_none(), "she is signed in");
    setup.jane.approves().await;
    let response = wiki.redeems(&request, &setup.jane.auth_response()).await;
    assert_eq!(claims(response.id_token())["groups"], json!(["admins", "staff", "everybody"]));
}

/// A missing person may be an error of the upstream, so the session survives a short absence.
#[tokio::test]
async fn ldap_a_short_absence_from_the_directory_does_not_end_the_session() {
    let Some(mut setup) = Setup::with("").await else { return };
    setup.remove_jane();
    setup.server.advance(STALE);
    setup.is_refused().await;
    setup.server.advance(Duration::from_secs(4 * 60 + 50));
    setup.is_refused().await;

    setup.add_jane_again();
    assert_eq!(setup.groups().await, json!(["admins", "developers", "staff", "everybody"]));
    // The absence was forgotten: missing again a day later, the five minutes start again.
    setup.server.advance(Duration::from_hours(24));
    setup.remove_jane();
    setup.is_refused().await;
    setup.add_jane_again();
    setup.groups().await;
}

#[tokio::test]
async fn ldap_a_person_missing_for_five_minutes_loses_the_session_at_the_second_attempt() {
    let Some(mut setup) = Setup::with("").await else { return };
    setup.remove_jane();
    setup.server.advance(STALE);
    setup.is_refused().await;
    setup.server.advance(Duration::from_mins(5));
    setup.is_refused().await;

    // The session has ended, even if the entry returns.
    setup.add_jane_again();
    setup.is_refused().await;
    let userinfo = setup.app.userinfo(&setup.access_token).await;
    assert_eq!(userinfo.status, 401, "{}", userinfo.page.body);
    assert!(setup.must_sign_in_again().await);
}

#[tokio::test]
async fn ldap_a_disabled_account_ends_the_session_at_once() {
    let Some(mut setup) = Setup::with("").await else { return };
    let change = |how: &str| {
        format!(
            "dn: {JANE}\nchangetype: modify\n{how}: pwdAccountLockedTime\n\
             pwdAccountLockedTime: 000001010000Z\n"
        )
    };
    setup.directory.modify(&change("add"));
    setup.server.advance(STALE);
    assert_eq!(setup.app.userinfo(&setup.access_token).await.status, 200, "not revalidated yet");
    setup.is_refused().await;
    assert_eq!(setup.app.userinfo(&setup.access_token).await.status, 401);
    // Issue 9, item 26: the log has values, not how they are written in the program.
    let log = setup.server.log();
    let line = log.lines().find(|line| line.contains("a user with a live session"));
    assert!(line.is_some_and(|line| line.contains("\"outcome\":\"ended\"")), "{line:?}");
    let line = log.lines().find(|line| line.contains("the upstream refuses this user")).unwrap();
    assert!(line.contains("\"tokens_until\":\"20") && !log.contains("Timestamp("), "{line}");

    setup.directory.modify(&change("delete"));
    setup.is_refused().await;
    assert!(setup.must_sign_in_again().await);
    assert_eq!(
        groups_of(&setup.server, &setup.app, "jane").await,
        json!(["admins", "developers", "staff", "everybody"]),
        "enabled again, she may sign in"
    );
}

/// Threat 91 (CVE-2026-55670): a login name is reassigned to another person.
#[tokio::test]
async fn ldap_a_new_person_with_the_same_name_does_not_inherit_the_session() {
    if Need::Clock.is_missing() {
        return;
    }
    let Some(directory) = slapd::Slapd::start() else { return };
    let yaml = connector(&directory).replace("idAttr: uid", "idAttr: employeeNumber");
    let server = World::with_clock().with(&yaml).start().await;
    let (mut jane, app) = (server.browser(), server.relying_party("example-app"));
    let request = app.auth_request_with("openid offline_access", &[("connector_id", "ldap")]);
    let auth_response = jane.logs_in(&request, "jane", slapd::PASSWORD).await;
    let first = app.redeems(&request, &auth_response).await;

    directory.modify(&format!(
        "dn: {JANE}\nchangetype: modify\nreplace: employeeNumber\nemployeeNumber: 2002\n"
    ));
    server.advance(STALE);
    let refused = app.refreshes(first.refresh_token()).await;
    assert_eq!((refused.status, refused.error()), (400, "invalid_grant"));
    let (mut new_jane, again) =
        (server.browser(), app.auth_request_with("openid", &[("connector_id", "ldap")]));
    let auth_response = new_jane.logs_in(&again, "jane", slapd::PASSWORD).await;
    let second = app.redeems(&again, &auth_response).await;
    assert_ne!(claims(first.id_token())["sub"], claims(second.id_token())["sub"]);
}

/// An unavailable upstream affects its own connector only.
#[tokio::test]
async fn ldap_an_unavailable_directory_is_shown_and_affects_no_other_connector() {
    let Some(mut directory) = slapd::Slapd::start() else { return };
    directory.stop();
    let server = World::new().with(&connector(&directory)).start().await;
    let (mut jane, app) = (server.browser(), server.relying_party("example-app"));

    jane.opens(app.auth_request("openid").url).await;
    jane.clicks("Directory").await;
    let page = jane.signs_in("jane", slapd::PASSWORD).await;
    assert_eq!(page.status, 503, "{}", page.text());
    let alert = page.all("[role=alert]").join(" ");
    // Not that it was not checked: the directory may accept the password and fail at the groups (issue 9, item 11).
    assert!(alert.contains("could not be completed"), "{alert}");
    assert!(alert.contains("does not mean that your password is wrong"), "{alert}");

    let mut alice = server.browser();
    alice.opens(app.auth_request("openid").url).await;
    alice.clicks("Email").await;
    alice.signs_in(ALICE, ALICE_PASSWORD).await;
    alice.approves().await;
    alice.auth_response();

    // The form can be submitted again when the directory is back.
    directory.start_again();
    jane.signs_in("jane", slapd::PASSWORD).await;
    jane.approves().await;
    jane.auth_response();
}

/// Dex responds with 500 and may use up the token.
#[tokio::test]
async fn ldap_an_unavailable_directory_does_not_use_up_a_refresh_token() {
    let Some(mut setup) = Setup::with("").await else { return };
    setup.directory.stop();
    setup.server.advance(STALE);
    // The attempts are further apart than the reuse interval: had the first one used the token, the next
    // would be reuse.
    for _ in 0..3 {
        let response = setup.app.refreshes(&setup.refresh_token).await;
        assert_eq!((response.status, response.error()), (503, "temporarily_unavailable"));
        let after = response.page.header("retry-after").expect("Retry-After");
        assert!(after.parse::<u32>().is_ok_and(|seconds| (1..=60).contains(&seconds)), "{after}");
        assert_eq!(response.page.header("cache-control"), Some("no-store"));
        setup.server.advance(Duration::from_hours(1));
    }
    setup.directory.start_again();
    assert_eq!(setup.groups().await, json!(["admins", "developers", "staff", "everybody"]));
}

#[tokio::test]
async fn ldap_an_unavailable_directory_does_not_allow_logins_from_an_old_snapshot() {
    let Some(mut setup) = Setup::with("").await else { return };
    setup.directory.stop();
    setup.server.advance(STALE);
    let wiki = setup.server.relying_party("wiki");
    let page = setup.jane.opens(wiki.auth_request("openid groups").url).await;
    assert_eq!((page.status, page.location()), (503, None), "{}", page.text());
    assert!(page.header("retry-after").is_some());
    // With `prompt=none` the client gets an error.
    let silent = wiki.auth_request_with("openid groups", &[("prompt", "none")]);
    setup.jane.opens(&silent.url).await;
    assert_eq!(setup.jane.auth_error(), "temporarily_unavailable");

    setup.directory.start_again();
    let request = wiki.auth_request("openid groups");
    setup.jane.opens(&request.url).await;
    setup.jane.approves().await;
    setup.jane.auth_response();
}
