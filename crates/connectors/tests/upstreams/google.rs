//! Google accounts, their domains and their groups.

use countersign_core::Connector;
use countersign_core::connector::{Fingerprint, Refusal};
use serde_json::{Value, json};

pub use crate::fake_google::{ACCOUNT, CLOUD, DIRECTORY, Google as World};
use crate::oidc::login;
use crate::provider::{CLIENT, Provider, SECRET};
use crate::steps::{
    ALL, CALLBACK, Keys, accepted, broken, configured, current, login_url, missing, refresh,
    refused, replaced, sound,
};
use crate::tree::{list, map, text};
use crate::web::Reply;

pub fn keys(provider: &Provider) -> Keys {
    let at = || text(&provider.web.url);
    vec![
        ("clientID", text(CLIENT)),
        ("clientSecret", text(SECRET)),
        ("redirectURI", text(CALLBACK)),
        ("timeout", text("2s")),
        (
            "apiURLs",
            map(vec![
                ("issuer", at()),
                ("directory", at()),
                ("cloudIdentity", at()),
                ("iamCredentials", at()),
                ("token", text(format!("{}/sa", provider.web.url))),
                ("metadata", at()),
            ]),
        ),
    ]
}

fn connector(provider: &Provider, with: Keys) -> Connector {
    sound("google", replaced(keys(provider), with))
}

pub async fn world() -> World {
    World::start().await
}

impl World {
    pub fn with_directory(&self, mut more: Keys) -> Connector {
        more.extend([
            ("serviceAccountFilePath", text(&self.file)),
            ("domainToAdminEmail", map(vec![("*", text("admin@example.com"))])),
        ]);
        connector(&self.provider, more)
    }

    pub fn with_cloud(&self, mut more: Keys) -> Connector {
        more.extend([
            ("serviceAccountFilePath", text(&self.file)),
            ("groupsSource", text("cloudidentity")),
        ]);
        connector(&self.provider, more)
    }
}

#[tokio::test]
async fn janes_identity_and_stored_token_are_those_of_dex() {
    let World { provider, .. } = world().await;
    let connector = connector(&provider, vec![("hostedDomains", list(vec![text("example.com")]))]);
    assert_eq!(
        connector.fingerprint,
        Fingerprint::Upstream(format!("google:{}", provider.web.url))
    );
    let url = login_url(&connector, ALL).await.unwrap().url;
    for part in
        ["scope=openid+profile+email&", "hd=example.com", "access_type=offline", "prompt=consent"]
    {
        assert!(url.as_str().contains(part), "{part} in {url}");
    }
    let jane = accepted(login(&provider, &connector).await);
    assert_eq!(jane.identity.user_id, "1234");
    assert_eq!(jane.identity.username, "Jane Doe");
    assert_eq!(jane.identity.preferred_username, "", "as in Dex");
    assert_eq!(jane.identity.email, "jane@example.com");
    assert!(jane.identity.email_verified && jane.identity.groups.is_empty());
    assert_eq!(jane.upstream.unwrap().expose(), "refresh-0");
}

/// Threat 96.
#[tokio::test]
async fn threat_96_the_domain_is_the_tokens_and_not_the_requests() {
    for (hd, is_accepted) in [
        (json!("example.com"), true),
        (json!("EXAMPLE.com"), true),
        (json!("other.com"), false),
        (json!("example.com.evil.com"), false),
        (json!(""), false),
        (json!(["example.com"]), false),
        (Value::Null, false),
    ] {
        let World { provider, .. } = world().await;
        let case = hd.to_string();
        provider.claims(move |claims| {
            claims.insert("hd".into(), hd.clone());
        });
        let two = list(vec![text("example.com"), text("example.org")]);
        let connector = connector(&provider, vec![("hostedDomains", two)]);
        assert!(login_url(&connector, ALL).await.unwrap().url.as_str().contains("hd=*"));
        let login = login(&provider, &connector).await;
        if is_accepted {
            accepted(login);
        } else {
            let required = vec!["example.com".to_owned(), "example.org".to_owned()];
            assert_eq!(refused(login), Refusal::NotInRequiredGroup { required }, "{case}");
        }
    }
}

#[tokio::test]
async fn a_refresh_rereads_domain_and_groups_and_keeps_the_name() {
    let world = world().await;
    let connector = world.with_directory(vec![("hostedDomains", list(vec![text("example.com")]))]);
    let jane = accepted(login(&world.provider, &connector).await);
    world.provider.claims(|claims| {
        claims.insert("hd".into(), json!("example.com"));
        claims.remove("name");
    });
    let again = current(refresh(&connector, &jane, ALL).await);
    assert_eq!(again.identity, jane.identity);
    assert_eq!(again.upstream.unwrap().expose(), "refresh-0");
    world.members.lock().unwrap().insert("jane@example.com", vec!["new@example.com"]);
    let again = current(refresh(&connector, &jane, ALL).await);
    assert_eq!(again.identity.groups, ["new@example.com"]);
    world.provider.claims(|claims| {
        claims.remove("hd");
    });
    assert!(missing(refresh(&connector, &jane, ALL).await).contains("example.com"));
    world.provider.forget_refresh_tokens();
    assert!(missing(refresh(&connector, &jane, ALL).await).contains("invalid_grant"));
    world.provider.set(|b| b.replies = vec![("/token", Reply::Json(500, json!({})))]);
    assert!(broken(refresh(&connector, &jane, ALL).await).contains("500"));
}

#[tokio::test]
async fn each_domain_has_its_administrator() {
    let world = world().await;
    let admins =
        map(vec![("Example.com", text("boss@example.com")), ("other.com", text("o@other.com"))]);
    let keys = vec![("domainToAdminEmail", admins), ("serviceAccountFilePath", text(&world.file))];
    let own = connector(&world.provider, keys);
    accepted(login(&world.provider, &own).await);
    assert!(
        world.provider.web.requests(DIRECTORY)[0].bearer().unwrap().contains("boss@example.com")
    );
    let keys = vec![
        ("domainToAdminEmail", map(vec![("other.com", text("o@other.com"))])),
        ("serviceAccountFilePath", text(&world.file)),
    ];
    let cause = broken(login(&world.provider, &connector(&world.provider, keys)).await);
    assert!(cause.contains("no administrator for example.com"), "{cause}");
}

#[tokio::test]
async fn configuration_errors_are_reported() {
    let world = world().await;
    let World { provider, file, .. } = &world;
    for (with, expected) in [
        (vec![("groups", list(vec![text("g@example.com")]))], "groups: lets everybody in"),
        (vec![("serviceAccountFilePath", text(file))], "domainToAdminEmail: is missing"),
        (vec![("groupsSource", text("ldap"))], "groupsSource: found \"ldap\""),
        (vec![("serviceAccountFilePath", text("/no/such"))], "cannot read /no/such"),
        (vec![("domainToAdminEmail", map(vec![("*", text("admin"))]))], "found \"admin\""),
        (vec![("clientSecret", text(""))], "clientSecret: is empty"),
    ] {
        let (_, problems) = configured("google", replaced(keys(provider), with));
        assert!(problems.iter().any(|p| p.contains(expected)), "{expected} in {problems:?}");
    }
    let old = vec![("adminEmail", text("a@example.com")), ("serviceAccountFilePath", text(file))];
    let (connector, problems) = configured("google", replaced(keys(provider), old));
    assert!(connector.is_some() && problems[0].contains("deprecated"), "{problems:?}");
}
