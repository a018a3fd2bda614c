//! GitHub: the identity, the e-mail address, and a refresh.

use countersign_core::connector::{
    ConnectorError, Fingerprint, LoginOutcome, RefreshOutcome, Refusal,
};
use countersign_core::{Connector, LoginScopes, Secret, Trace};

use crate::fake_github::{Email, GitHub, SECRET};
use crate::steps::{
    ALL, CALLBACK, Keys, accepted, broken, current, handle_callback, login_url, missing, refresh,
    refused, replaced, sound, trace_text,
};
use crate::tree::{list, map, plain, text};
use crate::web::Shown;

pub fn keys(fake: &GitHub) -> Keys {
    vec![
        ("clientID", text(crate::fake_github::CLIENT)),
        ("clientSecret", text(SECRET)),
        ("redirectURI", text(CALLBACK)),
        ("timeout", text("1s")),
        ("apiURLs", map(vec![("web", text(&fake.web.url)), ("api", text(&fake.web.url))])),
    ]
}

pub fn connector(fake: &GitHub, with: Keys) -> Connector {
    sound("github", replaced(keys(fake), with))
}

pub async fn login(
    fake: &GitHub,
    connector: &Connector,
    login_scopes: LoginScopes,
) -> (Result<LoginOutcome, ConnectorError>, Trace) {
    let redirect = login_url(connector, login_scopes).await.unwrap();
    let query = fake.visited(&redirect.url);
    handle_callback(connector, &redirect, &query, login_scopes).await
}

#[tokio::test]
async fn janes_identity_is_the_one_dex_would_return() {
    let fake = GitHub::start().await;
    let connector = connector(&fake, vec![("loadAllGroups", plain("true"))]);
    assert_eq!(connector.fingerprint, Fingerprint::Upstream(format!("github:{}", fake.web.url)));
    assert!(!connector.refresh.as_ref().unwrap().needs_offline_login());
    let url = login_url(&connector, ALL).await.unwrap().url;
    assert!(url.as_str().contains("scope=user%3Aemail+read%3Aorg&"), "{url}");
    let url = login_url(&connector, LoginScopes::default()).await.unwrap().url;
    assert!(url.as_str().contains("scope=user%3Aemail&"), "{url}");

    let (login, trace) = login(&fake, &connector, ALL).await;
    let jane = accepted(login);
    assert_eq!(jane.identity.user_id, "42");
    assert_eq!(jane.identity.username, "Jane Doe");
    assert_eq!(jane.identity.preferred_username, "jane");
    assert_eq!(
        (jane.identity.email.as_str(), jane.identity.email_verified),
        ("jane@example.com", true)
    );
    let kept = jane.upstream.unwrap().expose().to_owned();
    let token = kept.strip_prefix("{\"accessToken\":\"").unwrap().strip_suffix("\"}").unwrap();

    let trace_text = trace_text(&trace);
    for line in [
        &format!("Request user API: {}/user\n", fake.web.url),
        &format!("Request teams API: {}/user/teams?…\n", fake.web.url),
        "Response teams API: 200, ",
        " bytes, 4990 left\n",
        "Included jane@example.com: the address that is returned\n",
        "Included acme: an organization\n",
        "Included acme:ops: a team\n",
    ] {
        assert!(trace_text.contains(line), "{line} in\n{trace_text}");
    }
    assert!(!trace_text.contains(token) && !trace_text.contains(SECRET), "{trace_text}");
}

#[tokio::test]
async fn a_renamed_login_is_the_same_person_unless_the_login_is_the_id() {
    let fake = GitHub::start().await;
    let by_number = connector(&fake, vec![]);
    let by_login = connector(&fake, vec![("useLoginAsID", plain("true"))]);
    let jane = accepted(login(&fake, &by_number, ALL).await.0);
    let other = accepted(login(&fake, &by_login, ALL).await.0);
    assert_eq!((jane.identity.user_id.as_str(), other.identity.user_id.as_str()), ("42", "jane"));
    fake.person("jane", |jane| {
        jane.login = "janet".to_owned();
        jane.name = None;
    });
    // Another user takes the old login at once.
    fake.person("bob", |bob| bob.login = "jane".to_owned());
    let jane = current(refresh(&by_number, &jane, ALL).await).identity;
    assert_eq!((jane.user_id.as_str(), jane.preferred_username.as_str()), ("42", "janet"));
    assert_eq!(jane.username, "janet", "without a name the login is returned");
    // The issuer compares user ids and therefore refuses this refresh.
    assert_eq!(current(refresh(&by_login, &other, ALL).await).identity.user_id, "janet");
    fake.set(|state| state.signed_in = "jane".to_owned());
    assert_eq!(accepted(login(&fake, &by_number, ALL).await.0).identity.user_id, "7");
}

/// Threats 94, 95 and 97.
#[tokio::test]
async fn only_a_verified_address_is_returned_and_the_preferred_domain_first() {
    let (plain_one, work) = ("jane@example.com", "jane@eu.work.example");
    let primary = |verified| Email { email: plain_one.to_owned(), primary: true, verified };
    let second = |verified| Email { email: work.to_owned(), primary: false, verified };
    let odd =
        Email { email: "jane@eu.work.example@evil.net".to_owned(), primary: false, verified: true };
    for (emails, public, preferred, expected) in [
        (vec![primary(true), second(true)], None, None, Some(plain_one)),
        (vec![primary(true), second(true)], Some(work), None, Some(work)),
        (vec![primary(true), second(false)], Some(work), None, Some(plain_one)),
        (vec![primary(true)], Some("ceo@work.example"), None, Some(plain_one)),
        (vec![primary(true), second(true)], None, Some("*.work.example"), Some(work)),
        (vec![primary(true), second(true)], Some(plain_one), Some("eu.work.example"), Some(work)),
        (vec![primary(true), second(false)], None, Some("eu.work.example"), Some(plain_one)),
        (vec![primary(true), odd], None, Some("eu.work.example"), Some(plain_one)),
        (vec![primary(true), second(true)], None, Some("work.example"), Some(plain_one)),
        (vec![primary(false), second(true)], None, Some("eu.work.example"), Some(work)),
        (vec![primary(false), second(true)], None, None, None),
        (vec![primary(false)], Some(plain_one), None, None),
        (vec![], None, None, None),
    ] {
        let fake = GitHub::start().await;
        fake.person("jane", |jane| {
            jane.emails = emails;
            jane.public_email = public.map(str::to_owned);
        });
        let with = preferred.map(|domain| ("preferredEmailDomain", text(domain)));
        let connector = connector(&fake, with.into_iter().collect());
        let (login, trace) = login(&fake, &connector, ALL).await;
        match expected {
            Some(expected) => assert_eq!(accepted(login).identity.email, expected),
            None => {
                assert_eq!(refused(login), Refusal::EmailNotVerified);
                assert!(trace_text(&trace).contains("jane: has no verified primary address"));
            }
        }
    }
}

#[tokio::test]
async fn an_enterprise_server_has_the_configured_host_and_certificate_authority() {
    let (fake, pem) = GitHub::start_tls(Shown::SelfSigned).await;
    let host = fake.web.url.strip_prefix("https://").unwrap().to_owned();
    let of = |pem: &str| {
        let mut keys =
            replaced(keys(&fake), vec![("hostName", text(&host)), ("rootCA", text(pem))]);
        keys.retain(|(name, _)| *name != "apiURLs");
        keys.push(("loadAllGroups", plain("true")));
        sound("github", keys)
    };
    let connector = of(&pem);
    assert_eq!(connector.fingerprint, Fingerprint::Upstream(format!("github:https://{host}")));
    fake.set(|state| state.page_limit = 1);
    let jane = accepted(login(&fake, &connector, ALL).await.0).identity;
    assert_eq!(jane.groups.len(), 5);
    assert_eq!(fake.web.requests("/api/v3/user/teams").len(), 3, "each page with the token");
    // A server that verifies no addresses.
    fake.person("jane", |jane| jane.emails[0].verified = false);
    let (again, trace) = login(&fake, &connector, ALL).await;
    assert_eq!(accepted(again).identity.email, "jane@example.com");
    assert!(trace_text(&trace).contains("this server verifies no addresses"));
    // A server that verifies addresses: an unverified one is not used.
    fake.person("jane", |jane| *jane = jane.clone().with_email("j@example.com", false, true));
    assert_eq!(refused(login(&fake, &connector, ALL).await.0), Refusal::EmailNotVerified);

    let (_, other) = GitHub::start_tls(Shown::SelfSigned).await;
    let reason = broken(login(&fake, &of(&other), ALL).await.0);
    assert!(reason.contains("certificate of the token endpoint is not acceptable"), "{reason}");
}

#[tokio::test]
async fn a_refresh_rereads_the_membership() {
    let fake = GitHub::start().await;
    let orgs = list(vec![map(vec![("name", text("acme"))])]);
    let connector = connector(&fake, vec![("orgs", orgs)]);
    let jane = accepted(login(&fake, &connector, ALL).await.0);
    assert_eq!(jane.identity.groups, ["acme:Platform Team", "acme:ops"]);
    fake.person("jane", |jane| jane.teams.retain(|team| team.slug == "ops"));
    let jane = current(refresh(&connector, &jane, ALL).await);
    assert_eq!(jane.identity.groups, ["acme:ops"]);

    fake.person("jane", |jane| jane.orgs.retain(|org| org != "acme"));
    assert_eq!(missing(refresh(&connector, &jane, ALL).await), "in none of acme");
    fake.person("jane", |jane| jane.orgs.push("acme".to_owned()));
    current(refresh(&connector, &jane, ALL).await);

    fake.person("jane", |jane| jane.suspended = true);
    assert!(matches!(refresh(&connector, &jane, ALL).await, Ok(RefreshOutcome::Disabled)));
    assert_eq!(refused(login(&fake, &connector, ALL).await.0), Refusal::AccountDisabled);
    fake.person("jane", |jane| jane.suspended = false);
    fake.person("jane", |jane| jane.emails[0].verified = false);
    assert!(missing(refresh(&connector, &jane, ALL).await).contains("no longer verified"));
    fake.person("jane", |jane| jane.emails[0].verified = true);
    fake.revoke("jane");
    assert!(matches!(refresh(&connector, &jane, ALL).await, Ok(RefreshOutcome::Disabled)));

    let mut without = jane;
    without.upstream = None;
    crate::steps::not_possible(refresh(&connector, &without, ALL).await);
    // The token contains a line feed, which no header may; octocrab's builder would panic.
    without.upstream = Some(Secret::new(r#"{"accessToken":"a\nb"}"#));
    assert!(broken(refresh(&connector, &without, ALL).await).contains("does not fit a header"));
}

#[tokio::test]
async fn tokens_that_expire_are_renewed_once_they_are_dead() {
    let fake = GitHub::start().await;
    fake.set(|state| state.expiring = true);
    let connector = connector(&fake, vec![]);
    let jane = accepted(login(&fake, &connector, ALL).await.0);
    let kept = |person: &countersign_core::connector::SignedIn| {
        person.upstream.as_ref().unwrap().expose().to_owned()
    };
    let same = current(refresh(&connector, &jane, ALL).await);
    assert_eq!(kept(&same), kept(&jane), "a token that lives is not spent");
    fake.expire();
    let next = current(refresh(&connector, &jane, ALL).await);
    assert_ne!(kept(&next), kept(&jane));
    // As if the database had lost the new token: the response to the old one is remembered for a while.
    assert_eq!(kept(&current(refresh(&connector, &jane, ALL).await)), kept(&next));
    fake.revoke("jane");
    assert!(missing(refresh(&connector, &next, ALL).await).contains("bad_refresh_token"));
}

/// The page is plain HTML, so that a real browser can submit it too.
#[tokio::test]
async fn the_fake_lets_a_browser_walk_through_its_page() {
    let fake = GitHub::start_apart();
    fake.set(|state| state.callback = Some(CALLBACK.to_owned()));
    let connector = connector(&fake, vec![]);
    let redirect = login_url(&connector, ALL).await.unwrap();
    let browser =
        reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let page = browser.get(redirect.url.clone()).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("Signed in as <b id=login>jane</b>"), "{page}");
    let query: Vec<(String, String)> = redirect.url.query_pairs().into_owned().collect();
    for (button, expected) in [("1", "code"), ("0", "error")] {
        let mut form = query.clone();
        form.push(("authorize".to_owned(), button.to_owned()));
        let to = format!("{}/login/oauth/authorize", fake.web.url);
        let response = browser.post(to).form(&form).send().await.unwrap();
        let back = url::Url::parse(response.headers()["location"].to_str().unwrap()).unwrap();
        let query: Vec<(String, String)> = back.query_pairs().into_owned().collect();
        assert_eq!(query[0].0, expected);
        let (login, _) = handle_callback(&connector, &redirect, &query, ALL).await;
        match expected {
            "code" => assert_eq!(accepted(login).identity.user_id, "42"),
            _ => assert_eq!(
                refused(login),
                Refusal::UpstreamDenied { code: "access_denied".to_owned() }
            ),
        }
    }
}
