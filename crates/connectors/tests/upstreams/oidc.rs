//! Login at an OpenID Connect provider: the request, the identity, the refusals.

use countersign_core::connector::{Fingerprint, LoginMethod, UpstreamLogin};
use countersign_core::{Connector, LoginScopes};
use serde_json::{Value, json};

use crate::provider::{CLIENT, Provider, SECRET};
use crate::steps::{
    ALL, CALLBACK, Keys, accepted, broken, configured, handle_callback, login_url, replaced, sound,
    trace_text, upstream_login,
};
use crate::tree::{list, map, plain, text};

pub fn keys(provider: &Provider) -> Keys {
    vec![
        ("issuer", text(&provider.web.url)),
        ("clientID", text(CLIENT)),
        ("clientSecret", text(SECRET)),
        ("redirectURI", text(CALLBACK)),
        ("timeout", text("2s")),
    ]
}

pub fn connector(provider: &Provider, with: Keys) -> Connector {
    sound("oidc", replaced(keys(provider), with))
}

/// From the authorization request to the identity.
pub async fn login(
    provider: &Provider,
    connector: &Connector,
) -> Result<countersign_core::connector::LoginOutcome, countersign_core::connector::ConnectorError>
{
    let redirect = login_url(connector, ALL).await?;
    let query = provider.visited(&redirect);
    handle_callback(connector, &redirect, &query, ALL).await.0
}

/// Re-authentication is requested at the upstream too, so that a session there does not satisfy it.
#[tokio::test]
async fn a_login_that_must_be_new_is_new_at_the_provider_as_well() {
    let provider = Provider::start().await;
    let connector = connector(&provider, Vec::new());
    let LoginMethod::Redirect(method) = &connector.login_method else { panic!("it is a redirect") };
    let prompt = async |login_scopes: LoginScopes| {
        let redirect = method
            .login_url(&UpstreamLogin { again: true, ..upstream_login(login_scopes) })
            .await
            .unwrap();
        let prompt = redirect.url.query_pairs().find(|(name, _)| name == "prompt");
        prompt.map(|(_, value)| value.into_owned())
    };
    assert_eq!(prompt(LoginScopes::default()).await.as_deref(), Some("login"));
    assert_eq!(prompt(ALL).await.as_deref(), Some("login consent"));
}

#[tokio::test]
async fn jane_signs_in_with_the_identity_dex_would_return() {
    let provider = Provider::start().await;
    let connector = connector(&provider, vec![("insecureEnableGroups", plain("true"))]);
    assert_eq!(connector.fingerprint, Fingerprint::Upstream(format!("oidc:{}", provider.web.url)));
    let redirect = login_url(&connector, ALL).await.unwrap();
    let params: Vec<(String, String)> = redirect.url.query_pairs().into_owned().collect();
    let value = |name: &str| {
        let mut all = params.iter().filter(|(key, _)| key == name);
        let value = all.next().map(|(_, value)| value.as_str());
        assert!(all.next().is_none(), "{name} twice");
        value
    };
    assert_eq!(value("tenant"), Some("1"), "what the endpoint had is kept");
    assert_eq!(value("response_type"), Some("code"));
    assert_eq!(value("client_id"), Some(CLIENT));
    assert_eq!(value("redirect_uri"), Some(CALLBACK));
    assert_eq!(value("scope"), Some("openid profile email offline_access"));
    assert_eq!(value("state"), Some("the-state"));
    assert_eq!(value("prompt"), Some("consent"));
    assert_eq!(value("access_type"), Some("offline"));
    assert_eq!(value("code_challenge_method"), Some("S256"));
    assert_eq!(value("nonce").map(str::len), Some(43));
    let verifier = &redirect.callback_state.0.iter().find(|(key, _)| key == "verifier").unwrap().1;
    assert!(!redirect.url.as_str().contains(verifier.as_str()), "the verifier stays here");

    let query = provider.visited(&redirect);
    let (login, trace) = handle_callback(&connector, &redirect, &query, ALL).await;
    let jane = accepted(login);
    assert_eq!(jane.identity.user_id, "1234");
    assert_eq!(jane.identity.username, "Jane Doe");
    assert_eq!(jane.identity.preferred_username, "jane");
    assert_eq!(jane.identity.email, "jane@example.com");
    assert!(jane.identity.email_verified);
    assert_eq!(jane.identity.groups, ["staff", "admins"]);
    // Dex's own form: base64 of the token.
    assert_eq!(jane.upstream.unwrap().expose(), r#"{"RefreshToken":"cmVmcmVzaC0w"}"#);
    let trace_text = trace_text(&trace);
    for secret in [SECRET, "the-code", "the-access-token", "refresh-0", verifier] {
        assert!(!trace_text.contains(secret), "{secret} in {trace_text}");
    }
    assert!(
        trace_text.contains("Request token endpoint: ") && trace_text.contains("Included admins: "),
        "{trace_text}"
    );
}

#[tokio::test]
async fn a_login_without_offline_access_requests_no_refresh_token() {
    let provider = Provider::start().await;
    let connector = connector(&provider, vec![("acrValues", list(vec![text("a"), text("b")]))]);
    let url = login_url(&connector, LoginScopes::default()).await.unwrap().url;
    assert!(!url.as_str().contains("offline") && !url.as_str().contains("prompt"), "{url}");
    assert!(url.as_str().contains("acr_values=a+b"), "{url}");
}

#[tokio::test]
async fn configured_values_precede_detected_ones() {
    let provider = Provider::start().await;
    let with = vec![
        ("promptType", text("")),
        ("scopes", list(vec![text("email"), text("groups")])),
        ("basicAuthUnsupported", plain("true")),
        ("pkceChallenge", text("S256")),
    ];
    provider.set(|b| {
        b.metadata.insert("code_challenge_methods_supported".into(), Value::Null);
    });
    let connector = connector(&provider, with);
    let url = login_url(&connector, ALL).await.unwrap().url;
    assert!(url.as_str().contains("scope=openid+email+groups+offline_access"), "{url}");
    assert!(url.as_str().contains("code_challenge=") && !url.as_str().contains("prompt="), "{url}");
    accepted(login(&provider, &connector).await);
    let requests = provider.web.requests("/token");
    assert_eq!(requests[0].form("client_secret").as_deref(), Some(SECRET));
    assert!(!requests[0].headers.contains_key("authorization"));
}

#[tokio::test]
async fn a_provider_without_pkce_is_not_sent_any_and_one_that_takes_no_basic_gets_none() {
    let provider = Provider::start().await;
    provider.set(|b| {
        b.metadata.insert("code_challenge_methods_supported".into(), json!(["plain"]));
        let methods = json!(["client_secret_post", "private_key_jwt"]);
        b.metadata.insert("token_endpoint_auth_methods_supported".into(), methods);
    });
    let connector = connector(&provider, vec![]);
    let url = login_url(&connector, ALL).await.unwrap().url;
    assert!(!url.as_str().contains("code_challenge"), "{url}");
    accepted(login(&provider, &connector).await);
    assert!(provider.web.requests("/token")[0].form("client_secret").is_some());
}

#[tokio::test]
async fn a_foreign_redirect_uri_is_refused_before_the_redirect() {
    let provider = Provider::start().await;
    let other = vec![("redirectURI", text("https://other.example.com/callback"))];
    let cause = broken(login_url(&connector(&provider, other), ALL).await);
    assert!(cause.contains("redirectURI") && cause.contains(CALLBACK), "{cause}");
    let without: Keys =
        keys(&provider).into_iter().filter(|(key, _)| *key != "redirectURI").collect();
    assert!(login_url(&sound("oidc", without), ALL).await.is_ok());
}

#[tokio::test]
async fn claims_are_mapped_as_in_dex() {
    for (with, claims, expected) in [
        (
            vec![("userIDKey", text("oid")), ("userNameKey", text("nick"))],
            json!({ "oid": "o-1", "nick": "jd" }),
            ("o-1", "jd", "jane", "jane@example.com"),
        ),
        // A mapping fills what is absent …
        (
            vec![(
                "claimMapping",
                map(vec![("email", text("mail")), ("preferred_username", text("login"))]),
            )],
            json!({ "mail": "m@example.com", "login": "l" }),
            ("1234", "Jane Doe", "jane", "jane@example.com"),
        ),
        (
            vec![("claimMapping", map(vec![("email", text("mail"))]))],
            json!({ "mail": "m@example.com", "email": null }),
            ("1234", "Jane Doe", "jane", "m@example.com"),
        ),
        // … and replaces what is there only on demand.
        (
            vec![
                ("overrideClaimMapping", plain("true")),
                (
                    "claimMapping",
                    map(vec![("email", text("mail")), ("preferred_username", text("login"))]),
                ),
            ],
            json!({ "mail": "m@example.com", "login": "l" }),
            ("1234", "Jane Doe", "l", "m@example.com"),
        ),
    ] {
        let provider = Provider::start().await;
        let changes = claims.as_object().unwrap().clone();
        provider.claims(move |claims| claims.extend(changes.clone()));
        let jane = accepted(login(&provider, &connector(&provider, with)).await).identity;
        let (user_id, name, preferred, email) = expected;
        assert_eq!(
            [&jane.user_id, &jane.username, &jane.preferred_username, &jane.email],
            [user_id, name, preferred, email]
        );
        assert!(jane.groups.is_empty(), "insecureEnableGroups is not set");
    }
}

#[tokio::test]
async fn userinfo_completes_the_id_token_of_the_same_sub_only() {
    let provider = Provider::start().await;
    provider.claims(|claims| {
        claims.remove("name");
    });
    let connector = connector(&provider, vec![("getUserInfo", plain("true"))]);
    provider.set(|b| {
        b.userinfo = json!({ "name": "Jane", "email": "new@example.com", "iss": "x", "aud": "y" })
            .as_object()
            .unwrap()
            .clone();
    });
    let jane = accepted(login(&provider, &connector).await).identity;
    assert_eq!((jane.username.as_str(), jane.email.as_str()), ("Jane", "new@example.com"));
    for sub in [json!("4321"), json!(""), json!(1234), Value::Null] {
        provider.set(|b| {
            b.userinfo.insert("sub".into(), sub);
        });
        let cause = broken(login(&provider, &connector).await);
        assert!(cause.contains("sub"), "{cause}");
    }
}

/// OpenID Connect Core 1.0 section 5.3.2: a claim that is not returned should not be there with null, but with some
/// providers it is.
#[tokio::test]
async fn a_null_of_userinfo_does_not_replace_a_claim_of_the_id_token() {
    let provider = Provider::start().await;
    let with = vec![("getUserInfo", plain("true")), ("insecureEnableGroups", plain("true"))];
    let connector = connector(&provider, with);
    provider.set(|b| {
        for name in ["name", "email", "email_verified", "preferred_username", "groups"] {
            b.userinfo.insert(name.into(), Value::Null);
        }
    });
    let jane = accepted(login(&provider, &connector).await).identity;
    assert_eq!((jane.username.as_str(), jane.email.as_str()), ("Jane Doe", "jane@example.com"));
    assert_eq!((jane.preferred_username.as_str(), jane.email_verified), ("jane", true));
    assert_eq!(jane.groups, ["staff", "admins"]);
}

#[test]
fn every_configuration_error_is_reported_at_once() {
    let (connector, problems) = configured(
        "oidc",
        vec![
            ("issuer", text("id.example.com")),
            ("redirectURI", text("/callback")),
            ("hostedDomains", list(vec![text("example.com")])),
            ("allowedGroups", list(vec![text("staff")])),
            ("pkceChallenge", text("S512")),
            ("rootCAs", list(vec![text("/no/such/file")])),
            (
                "claimModifications",
                map(vec![
                    ("filterGroupClaims", map(vec![("groupsFilter", text("("))])),
                    ("newGroupFromClaims", list(vec![map(vec![("delimiter", text("-"))])])),
                ]),
            ),
            ("usrInfo", plain("true")),
        ],
    );
    assert!(connector.is_none());
    for expected in [
        "issuer: found \"id.example.com\", expected an https URL",
        "clientID: is missing: tokens are accepted only if they were issued to this client",
        "redirectURI: found \"/callback\"",
        "hostedDomains: is not for this connector",
        "allowedGroups: lets everybody in",
        "pkceChallenge: found \"S512\"",
        "rootCAs[0]: cannot read /no/such/file",
        "filterGroupClaims.groupsFilter: is not a regular expression",
        "newGroupFromClaims[0].claims: is missing or empty",
        "usrInfo: is not a known key",
    ] {
        assert!(problems.iter().any(|p| p.contains(expected)), "{expected} in {problems:#?}");
    }
    assert_eq!(problems.len(), 10, "{problems:#?}");
}
